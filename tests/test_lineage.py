"""Column lineage against DuckDB itself: where a changed value changes a result, lineage says so."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segflow import pipeline
from segflow.compile.lineage import Stale, all_of, stale_columns
from segflow.compile.outlines import EVERYTHING, REPEATS, ROWS, Lineage, outline
from segflow.project.config import Environment
from segflow.report import Options
from tests.conftest import MakeProject, Project

COLUMNS = {"t.a": ("k", "x", "y"), "t.b": ("k", "v", "w"), "t.c": ("k", "z")}

CONNECTION = duckdb.connect(config={"threads": 1})

QUERIES = [
    "select k, x + 1 as x1, y from t.a",
    "select * from t.a where x > 1",
    "select * exclude (y) replace (x + y as x) from t.a",
    "select a.k, b.v, b.w from t.a as a left join t.b as b on a.k = b.k",
    "select a.k, coalesce(b.v, 0) as v from t.a as a left join t.b as b using (k)",
    "select k, v from t.a left join t.b using (k)",
    "select k, v from t.a right join t.b using (k)",
    "select k, x, v from t.a full join t.b using (k)",
    "select a.k, b.v from t.a as a inner join t.b as b on a.k = b.k and b.w > 0",
    "select a.k, count(*) as n from t.a as a left join t.b as b on a.k = b.k group by a.k",
    "select a.k, count(b.v) as n, max(a.x) as m from t.a left join t.b using (k) group by all",
    "select x, sum(y) as s from t.a group by 1 having count(*) > 1",
    "select count(*) as n, max(x) as m from t.a where y > 0",
    "select a.k, (select max(v) from t.b where b.k = a.k) as m from t.a as a",
    "select k from t.a where exists (select 1 from t.b where b.k = a.k and b.v > 1)",
    "select k, x from t.a where k not in (select k from t.b where w is not null)",
    "select k, x, row_number() over (partition by x order by y, k) as n from t.a",
    "select k, y from t.a qualify row_number() over (partition by x order by y, k) = 1",
    "select k, x from t.a order by y, k, x limit 2",
    "select distinct x, y from t.a",
    "select distinct on (x) x, k from t.a order by x, y, k",
    "select k, x from t.a union all select k, v from t.b",
    "select k, x from t.a union select k, v from t.b",
    "select k from t.a except select k from t.b where v > 0",
    "select k from t.a intersect all select k from t.b",
    "select k, x from t.a union all by name select k, v from t.b",
    "select a.k, c.z from t.a as a anti join t.b as b on a.k = b.k left join t.c as c using (k)",
    "select * from t.a semi join t.b using (k)",
    "with s as (select k, sum(v) as s from t.b group by k) select a.*, s.s from t.a left join s using (k)",
    "with j as (select a.k, b.v from t.a as a left join t.b as b using (k)) select count(*) as n from j",
    "with j as (select a.k, b.v from t.a as a left join t.b as b using (k)) select k, count(*) from j group by k",
    "with j as (select a.k, a.x from t.a left join t.b using (k)) select distinct k, x from j",
    "with recursive r (n) as (select max(x) from t.a union all select n + 1 from r where n < 3) select n from r",
    "select a.k, l.m from t.a as a, lateral (select max(v) as m from t.b where b.k = a.k) as l",
    "select k, u from (select k, [x, y] as l from t.a), unnest(l) as t (u)",
    "select k, list_transform([x, y], lambda e: e + k) as l from t.a",
    "select k, [e + x for e in [y] if e > k] as l from t.a",
    "select k, x as p, p + y as q from t.a where q > 1",
    "select k, case when x > 1 then y end as c, x is null as n from t.a",
    "select a from t.a as a",
    "select k, columns('x|y') + 1 from t.a",
    "select k, count(*) filter (where x > 0) over (partition by y) as n from t.a",
    "select k, sum(x) over w as s from t.a window w as (partition by y order by k)",
    "select a.k, b.v from t.a as a asof left join t.b as b on a.k >= b.k",
    "select * from (t.a join t.b using (k)) left join t.c using (k)",
    "select * from t.a natural left join t.c",
    "select a.k, a.x from t.a as a, t.c as c where a.k = c.k",
    "from t.a select k, hash(x, y) as h",
    "select grouping(x) as g, x, count(*) from t.a group by rollup (x)",
    "select k, quantile_cont(x, 0.5) as q, histogram(y) as h from t.a group by k",
    "select * from (values (1), (2)) as o (k) left join t.b using (k)",
    "pivot t.a on x in (0, 1) using sum(y) group by k",
    "select k, unnest({'p': x, 'q': y}) from t.a",
    "select (select count(*) from t.b) as n, k from t.a",
    "select a.k, m.m from t.a as a cross join (select max(v) as m from t.b) as m",
]


def lineage_of(sql: str) -> tuple[tuple[str, ...] | None, Lineage | None]:
    found = outline(sql, COLUMNS)
    assert not found.problems, found.problems
    packed = found.lineage
    return found.columns, msgspec.msgpack.decode(packed, type=Lineage) if packed else None


def tables(chance: random.Random) -> dict[str, list[tuple[int | None, ...]]]:
    """A few rows for each table, the key of a right side once only."""
    pool = [0, 1, 2, 3, None]
    return {
        "t.a": [(k, chance.choice(pool), chance.choice(pool)) for k in (0, 1, 1, 2, 3)],
        "t.b": [(k, chance.choice(pool), chance.choice(pool)) for k in chance.sample(range(4), 3)],
        "t.c": [(k, chance.choice(pool)) for k in chance.sample(range(5), 3)],
    }


def filled(data: dict[str, list[tuple[int | None, ...]]]) -> duckdb.DuckDBPyConnection:
    CONNECTION.execute("create schema if not exists t")
    for name, columns in COLUMNS.items():
        rows = ", ".join(
            f"({', '.join('null' if v is None else str(v) for v in r)})" for r in data[name]
        )
        kinds = ", ".join(f"cast({c} as integer) as {c}" for c in columns)
        values = f"(values {rows}) as r ({', '.join(columns)})"
        CONNECTION.execute(f"create or replace table {name} as select {kinds} from {values}")
    return CONNECTION


def changes(
    data: dict[str, list[tuple[int | None, ...]]], chance: random.Random
) -> Iterator[tuple[str, str, dict[str, list[tuple[int | None, ...]]]]]:
    """Every column of every table with other values, and every table with other rows."""
    for name, columns in COLUMNS.items():
        rows = data[name]
        for at, column in enumerate(columns):
            values = [chance.choice([0, 1, 2, 3, None]) for _ in rows]
            if column == "k" and name != "t.a":
                values = list(chance.sample(range(5), len(rows)))
            other = [(*r[:at], v, *r[at + 1 :]) for r, v in zip(rows, values, strict=True)]
            yield name, column, {**data, name: other}
        yield name, ROWS, {**data, name: rows[:-1]}


def results(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(map(repr, row)) for row in connection.execute(sql).fetchall()]


def shown(rows: list[tuple[Any, ...]], places: tuple[int, ...], once: bool) -> Any:
    found = [tuple(row[place] for place in places) for row in rows]
    return set(found) if once else Counter(found)


@pytest.mark.parametrize("sql", QUERIES)
def test_what_changes_a_result_is_in_its_lineage(sql: str) -> None:
    check(sql, rounds=4)


def check(sql: str, rounds: int) -> None:
    """Change each column of each table: what lineage does not name stays as it is."""
    columns, lineage = lineage_of(sql)
    if columns is None or lineage is None:
        assert "unnest({" in sql or "columns(" in sql or "pivot" in sql or "count(*)" in sql
        return
    chance = random.Random(sql)
    seen = 0
    for _ in range(rounds):
        data = tables(chance)
        before = results(filled(data), sql)
        for table, column, changed in changes(data, chance):
            after = results(filled(changed), sql)
            touched = {
                i
                for i, o in enumerate(lineage.origins)
                if o in ((table, column), (table, EVERYTHING))
            }
            if column == ROWS:
                touched |= {i for i, o in enumerate(lineage.origins) if o == (table, REPEATS)}
            stale = {name for name, made_of in lineage.columns.items() if touched & set(made_of)}
            if ROWS in stale:
                seen += 1
                continue
            good = tuple(i for i, name in enumerate(columns) if name not in stale)
            seen += len(good) < len(columns)
            # where rows may repeat, they are the same ones all the same
            assert shown(before, good, REPEATS in stale) == shown(after, good, REPEATS in stale), (
                table,
                column,
            )
    assert seen or rounds == 1, "nothing was ever said to change"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_any_query_of_three_layers(seed: int) -> None:
    """A join or a union, then a filter or a window, then an aggregate or none."""
    chance = random.Random(seed)
    first = chance.choice(
        [
            "select a.k, a.x as p, b.v as q from t.a as a left join t.b as b on a.k = b.k",
            "select a.k, b.w as p, c.z as q from t.a join t.b using (k) left join t.c using (k)",
            "select k, x as p, y as q from t.a union all select k, v, null from t.b",
            "select coalesce(a.k, b.k) as k, a.x as p, b.w as q from t.a full join t.b using (k)",
            "select k, max(x) as p, count(*) as q from t.a group by k",
            "select a.k, a.y as p, s.n as q from t.a as a left join"
            " (select k, count(*) as n from t.b where v > 0 group by k) as s on a.k = s.k",
        ]
    )
    second = chance.choice(
        [
            "select * from first where p > 0 or p is null",
            "select k, p, q from first qualify row_number() over (partition by k order by q, p) = 1",
            "select k, q as p, sum(p) over (partition by k) as q from first",
            "select first.* from first where exists (select 1 from t.c where c.k = first.k)",
            "select first.k, p, c.z as q from first left join t.c as c on first.k = c.k",
            "select distinct k, p, q from first",
        ]
    )
    third = chance.choice(
        [
            "select * from second",
            "select p, q from second",
            "select k, count(*) as n from second group by k",
            "select q, max(p) as m from second group by q",
            "select k, p from second where q is not null",
            "select k, q is null as n from second except select k, z > 0 from t.c",
        ]
    )
    check(f"with first as ({first}), second as ({second}) {third}", rounds=1)


def test_lineage_is_no_wider_than_it_must_be() -> None:
    def of(sql: str) -> dict[str, set[str]]:
        _, lineage = lineage_of(sql)
        assert lineage
        return {
            name: {".".join(lineage.origins[i]) for i in made_of}
            for name, made_of in lineage.columns.items()
        }

    found = of("select a.k, a.x, b.v from t.a as a left join t.b as b on a.k = b.k where a.y > 0")
    assert found["k"] == {"t.a.k"} and found["x"] == {"t.a.x"}
    assert found["v"] == {"t.b.v", "t.a.k", "t.b.k", f"t.b.{ROWS}"}
    assert found[ROWS] == {f"t.a.{ROWS}", "t.a.y"}
    found = of("select a.k, count(*) as n, max(a.x) as m from t.a join t.b using (k) group by a.k")
    assert found["k"] == {"t.a.k"}
    assert found[ROWS] == {f"t.a.{ROWS}", f"t.b.{ROWS}", "t.a.k", "t.b.k"}
    assert found[REPEATS] == set()


# ── through a project ─────────────────────────────────────────────────────────────────────────


def impact_on(made: Project, *broken: str) -> dict[str, set[str]]:
    options = Options("compile", datetime(2026, 7, 1), project_dir=made.root)
    compiled = pipeline.compile_project(options, Environment())
    found: dict[str, Stale] = {node: all_of(node) for node in broken}
    for node in compiled.graph.order:
        stale = stale_columns(compiled.graph, compiled.compilation, node, found)
        if stale and node not in found:
            found[node] = stale
    return {node.rpartition(".")[2]: set(columns) for node, columns in found.items()}


def test_impact_goes_through_models(project: MakeProject) -> None:
    made = project(
        {
            "seeds/raw.csv": "contact_id,score\na,1\n",
            "seeds/other.csv": "contact_id,size\na,1\n",
            "models/scores.sql": "select contact_id, max(score) as score from {{ ref('raw') }} group by all",
            "models/inside.sql": "{{ config(materialized='ephemeral') }} select contact_id, score from {{ ref('scores') }}",
            "models/contacts.sql": "select o.contact_id, o.size, i.score from {{ ref('other') }} as o"
            " left join {{ ref('inside') }} as i on o.contact_id = i.contact_id",
            "models/contacts.yml": "models: [{name: contacts, columns: [{name: contact_id, data_tests: [unique]}]}]",
            "models/sizes.sql": "select count(*) as n, sum(size) as s from {{ ref('contacts') }}",
            "models/asks.sql": "{% do run_query('select 1') %} select size from {{ ref('contacts') }}",
            "models/segments/big.sql": "select contact_id, size from {{ ref('contacts') }} where size > 1",
            "models/segments/scored.sql": "select contact_id from {{ ref('contacts') }} where score > 1",
        }
    )
    found = impact_on(made, "seed.demo.raw")
    assert found["contacts"] == {"score"}
    assert found["asks"] == {EVERYTHING}
    assert found["scored"] == {ROWS}
    assert not {"big", "sizes"} & found.keys()
    # without a test of its key, rows of contacts may repeat
    (made.root / "models/contacts.yml").unlink()
    assert impact_on(made, "seed.demo.raw")["sizes"] >= {"n", "s"}
