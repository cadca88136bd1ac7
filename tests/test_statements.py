"""The column resolver beside DuckDB itself: what DuckDB accepts, it accepts, and names the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from segflow.compile.outlines import lowered
from segflow.compile.statements import outline

SCHEMA = """
create schema s;
create table s.a (id int, name text, st struct(x int, y int), l int[], ts timestamp);
create table s.b (id int, a_id int, v int, name text);
create table s.c (id int, v int, extra date);
"""
KNOWN = {
    "s.a": ("id", "name", "st", "l", "ts"),
    "s.b": ("id", "a_id", "v", "name"),
    "s.c": ("id", "v", "extra"),
}
FIXTURES = Path(__file__).parent / "fixtures" / "compile"


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(SCHEMA)
        yield connection


def columns_in(database: duckdb.DuckDBPyConnection, sql: str) -> tuple[str, ...]:
    """The columns of a relation made of `sql`, as a model would have them.

    Raises:
        duckdb.Error: DuckDB refuses the query.
    """
    # A pivot without an IN list can only be a table.
    kind = "table" if "pivot" in sql else "view"
    database.execute(f"create or replace {kind} s.made_{kind} as {sql}")
    found = database.execute(f"describe s.made_{kind}").fetchall()
    return tuple(lowered(str(row[0])) for row in found)


def fixture(name: str) -> list[str]:
    """The statements of a file, without its comments."""
    text = re.sub(r"--.*", "", (FIXTURES / name).read_text("utf-8"))
    return [sql.strip() for sql in text.split(";\n") if sql.strip()]


# ── by hand ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sql", fixture("known.sql"))
def test_columns_are_known(sql: str, database: duckdb.DuckDBPyConnection) -> None:
    found = outline(sql, KNOWN)
    assert not found.problems
    assert found.columns == columns_in(database, sql)


@pytest.mark.parametrize("sql", fixture("open.sql"))
def test_what_is_not_known_is_left_open(sql: str, database: duckdb.DuckDBPyConnection) -> None:
    columns_in(database, sql)
    found = outline(sql, KNOWN)
    assert not found.problems
    assert found.columns is None


@pytest.mark.parametrize("sql", fixture("refused.sql"))
def test_what_is_missing_is_found_at_its_place(
    sql: str, database: duckdb.DuckDBPyConnection
) -> None:
    with pytest.raises(duckdb.Error):
        columns_in(database, sql)
    problem = outline(sql, KNOWN).problems[0]
    assert problem.offset is not None
    assert sql[problem.offset :].startswith("nope")


# ── clocks and dice ───────────────────────────────────────────────────────────────────────────

# Functions that DuckDB calls unstable and that yet give the same rows in every run.
HARMLESS = {
    *("current_catalog", "current_database", "current_query", "current_role", "current_schema"),
    *("current_schemas", "current_setting", "error", "getvariable", "in_search_path", "sleep_ms"),
    *("stats", "vector_type", "write_log", "user"),
}
SPELT = [
    *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("now()", "today()", "current_date()", "NOW()", "main.now()", "age(ts)", "random()"),
    *("ago(interval 1 day)", "get_current_timestamp()", "transaction_timestamp()"),
    *("current_localtimestamp()", "uuid()", "gen_random_uuid()", "nextval('q')"),
]


def test_every_function_that_is_not_stable_is_refused(
    database: duckdb.DuckDBPyConnection,
) -> None:
    found = database.execute(
        "select distinct function_name from duckdb_functions()"
        " where (function_type = 'scalar' and stability != 'CONSISTENT')"
        " or (function_type = 'macro' and regexp_matches(macro_definition, 'current_|random|now'))"
    ).fetchall()
    names = {name for (name,) in found} - HARMLESS
    assert len(names) > 15
    assert not [name for name in names if not outline(f"select {name}() as x", {}).clocks]


@pytest.mark.parametrize("call", SPELT)
def test_a_clock_is_found_at_its_place(call: str) -> None:
    sql = f"select 'now()' as a, -- now()\n    {call} as x from s.a"
    (problem,) = outline(sql, KNOWN).clocks
    assert problem.offset is not None
    assert sql[problem.offset :].lower().startswith(call.partition("(")[0].lower().split(".")[-1])


@pytest.mark.parametrize(
    "sql",
    [
        "select age(ts, ts) as x, today.id as now, 'random()' as y from s.a as today",
        "with now (uuid) as (select id from s.a) select uuid, now.uuid as today from now",
        "select id from s.a tablesample reservoir(10 rows) repeatable (1)",
    ],
)
def test_what_only_looks_like_a_clock_is_none(
    sql: str, database: duckdb.DuckDBPyConnection
) -> None:
    columns_in(database, sql)
    found = outline(sql, KNOWN)
    assert not found.clocks
    assert not found.problems


def test_samples_without_a_seed_throw_dice() -> None:
    assert outline("select id from s.a using sample 10 rows", KNOWN).clocks
    assert outline("select id from s.a tablesample 10%", KNOWN).clocks


@pytest.mark.parametrize(
    ("sql", "doubtful"),
    [
        ("select any_value(name) as x from s.a", True),
        ("select arg_max(name, id) as x from s.a", True),
        ("select first(name order by id) as x from s.a", False),
        ("select mode(name) as x from s.a", True),
        ("select row_number() over (partition by id) as x from s.a", True),
        ("select row_number() over (order by id) as x from s.a", False),
        ("select row_number() over w as x from s.a window w as (order by id)", False),
    ],
)
def test_ties_are_warned_of(sql: str, doubtful: bool) -> None:
    assert bool(outline(sql, KNOWN).unstable) == doubtful


# ── at random ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Tables:
    """What a query can name at some point, as far as whoever writes it knows."""

    columns: dict[str, list[str]] = field(default_factory=dict)
    outer: "Tables | None" = None

    def every(self) -> list[str]:
        own = [f"{t}.{c}" for t, columns in self.columns.items() for c in columns]
        return own + (self.outer.every() if self.outer else [])


@dataclass
class Writer:
    """Writes queries that are mostly right and sometimes name what is not there."""

    draw: st.DrawFn
    number: int = 0
    ctes: dict[str, list[str]] = field(default_factory=dict)

    def pick(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def new(self, letter: str) -> str:
        self.number += 1
        return f"{letter}{self.number}"

    def column(self, tables: Tables) -> str:
        names = tables.every()
        if not names or self.chance(4):
            odd = ("nope", "id", "v", "x1", "made2", "extra", "st.x", "a.id", "rowid", "b.nope")
            return self.pick(*odd)
        name = self.draw(st.sampled_from(names))
        return name if self.chance(92) else name.partition(".")[2]

    def expression(self, tables: Tables, depth: int) -> str:
        """Something of any type at all, so that DuckDB has only names to complain of."""
        c = self.column(tables)
        form = self.draw(st.integers(0, 12 if depth else 8))
        inside = Tables(dict(tables.columns), tables.outer)
        forms = {
            1: f"hash({c})",
            2: f"coalesce({c}, null)",
            3: f"case when {c} is null then 1 end",
            4: f"list_transform([{c}], lambda e: hash(e, {c}))",
            5: f"{{'k': {c}}}.k",
            6: f"[hash(e, {c}) for e in [{c}] if e is not null]",
            7: f"cast({c} as text)",
            8: f"({c}, {self.column(tables)})",
        }
        if form in forms:
            return forms[form]
        if not form:
            return c
        query = self.select(Tables(outer=inside), depth - 1, items=1)
        return self.pick(
            f"({query} limit 1)", f"exists ({query})", f"array({query})", f"hash({c}) in ({query})"
        )

    # ── tables ──

    def table(self, tables: Tables, depth: int) -> tuple[str, str, list[str]]:
        """Text, alias and columns of something in FROM."""
        alias = self.new("t")
        form = self.draw(st.integers(0, 11 if depth else 5))
        base = self.pick("s.a", "s.b", "s.c")
        columns = list(KNOWN[base])
        if form == 0:
            return f"(values (1, 2), (3, 4)) as {alias} (x1, x2)", alias, ["x1", "x2"]
        if form == 1:
            return f"range(3) as {alias} (x1)", alias, ["x1"]
        if form == 2:
            return f"unnest([1, 2]) as {alias} (x1)", alias, ["x1"]
        if form == 3:
            return f"{base} as {alias} (x1)", alias, ["x1", *columns[1:]]
        if form == 4 and self.ctes:
            name = self.draw(st.sampled_from(sorted(self.ctes)))
            return f"{name} as {alias}", alias, self.ctes[name]
        if form == 5:
            text = f"(pivot s.b on v in (1, 2) using count(*)) as {alias}"
            return text, alias, ["id"]
        if form > 8:
            lateral = self.chance(50)
            around = Tables(dict(tables.columns), tables.outer) if lateral else None
            query, found = self.query(Tables(outer=around), depth - 1)
            names = found[:1] and self.chance(20)
            head, listed = ("lateral " if lateral else ""), (" (x9)" if names else "")
            return (
                f"{head}({query}) as {alias}{listed}",
                alias,
                ["x9", *found[1:]] if names else found,
            )
        return f"{base} as {alias}", alias, columns

    def joined(self, tables: Tables, depth: int) -> str:
        text, alias, columns = self.table(tables, depth)
        tables.columns[alias] = columns
        for _ in range(self.draw(st.integers(0, 2))):
            before = [c for names in tables.columns.values() for c in names]
            more, alias, columns = self.table(tables, depth)
            common = [c for c in columns if before.count(c) == 1]
            kind = self.pick("join", "left join", "full join", "semi join", "anti join", ",")
            form = self.draw(st.integers(0, 5))
            if kind == ",":
                text += f", {more}"
            elif form == 0 and common:
                text += f" {kind} {more} using ({common[0]})"
            elif form == 1 and self.chance(30):
                text += f" {kind} {more} using ({self.pick('id', 'nope', 'v')})"
            elif form == 2 and common:
                text += f" natural join {more}"
            elif form == 3:
                text += f" positional join {more}"
            else:
                both = Tables({**tables.columns, alias: columns}, tables.outer)
                on = f"hash({self.column(both)}) = hash({self.column(both)})"
                text += f" {kind} {more} on {on}"
            if kind not in ("semi join", "anti join"):
                tables.columns[alias] = columns
        return text

    # ── queries ──

    def item(self, tables: Tables, depth: int, names: list[str]) -> str:
        every = [c for columns in tables.columns.values() for c in columns]
        form = self.draw(st.integers(0, 11))
        star = self.pick("*", *(f"{alias}.*" for alias in tables.columns))
        within = every if star == "*" else tables.columns[star[:-2]]
        if form < 3 and within:
            name = self.pick(*within, *(["nope"] if self.chance(10) else []))
            ending, renamed = {
                0: ("", {}),
                1: (f" exclude ({name})", {name: None}),
                2: (f" replace ({self.expression(tables, 0)} as {name})", {}),
            }[form]
            names += [c for c in within if c not in renamed]
            return star + ending
        if form == 3 and within:
            name, new = self.pick(*within), self.new("made")
            names += [new if c == name else c for c in within]
            return f"{star} rename ({name} as {new})"
        if form == 4:
            return self.pick("columns('i.*')", "count(*)", "st.y", "unnest([1, 2])", "#1")
        if form == 5:
            names.append(name := self.new("made"))
            return f"unnest([{self.column(tables)}]) as {name}"
        if form == 6 and names:
            names.append(name := self.new("made"))
            return f"hash({self.draw(st.sampled_from(names))}) as {name}"
        text = self.expression(tables, depth)
        if form == 7:
            text = f"max(hash({self.column(tables)})) over (partition by {self.column(tables)})"
        if re.fullmatch(r"[\w.]+", text) and self.chance(50):
            names.append(text.rpartition(".")[2])
            return text
        names.append(name := self.new("made"))
        return f"{text} as {name}"

    def select(self, tables: Tables, depth: int, items: int | None = None) -> str:
        return self.select_and_names(tables, depth, items)[0]

    def select_and_names(
        self, tables: Tables, depth: int, items: int | None = None
    ) -> tuple[str, list[str]]:
        source = self.joined(tables, depth)
        names: list[str] = []
        if items is None and self.chance(5):
            return f"from {source}", [c for cs in tables.columns.values() for c in cs]
        if items:
            listed = [self.expression(tables, 0)]
        else:
            count = self.draw(st.integers(1, 3))
            listed = [self.item(tables, depth, names) for _ in range(count)]
        head = self.pick("", "distinct ") if not items else ""
        body = f"select {head}{', '.join(listed)}"
        text = f"from {source} {body}" if self.chance(10) else f"{body} from {source}"
        if self.chance(40):
            text += f" where {self.expression(tables, depth)} is not null"
        if self.chance(5):
            text += " group by all"
        elif self.chance(15):
            key = self.column(tables)
            text += f" qualify row_number() over (partition by {key} order by {key}) = 1"
        if self.chance(20) and not items:
            text += f" order by {self.pick('1', *names, self.column(tables))}"
        return text, names

    def query(self, tables: Tables, depth: int) -> tuple[str, list[str]]:
        text, names = self.select_and_names(tables, depth)
        if self.chance(15):
            other, more = self.select_and_names(Tables(outer=tables.outer), depth)
            how = self.pick("union all", "union all by name", "except")
            names = list(dict.fromkeys([*names, *more])) if "by name" in how else names
            text = f"({text}) {how} ({other})"
        return text, names

    def whole(self) -> str:
        """A query with CTEs; each is read at least once, since DuckDB looks at no other."""
        written = []
        for _ in range(self.draw(st.integers(0, 2))):
            name = self.new("cte")
            text, found = self.query(Tables(), 1)
            written.append(f"{name} as ({text})")
            self.ctes[name] = found
        text, _ = self.query(Tables(), 2)
        unread = "".join(f", (select count(*) from {name}) as used_{name}" for name in self.ctes)
        if unread:
            text = f"select *{unread} from ({text})"
        return f"with {', '.join(written)} {text}" if written else text


@st.composite
def queries(draw: st.DrawFn) -> str:
    return Writer(draw).whole()


@given(sql=queries())
@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_duckdb_and_the_resolver_agree(sql: str, database: duckdb.DuckDBPyConnection) -> None:
    found = outline(sql, KNOWN)
    try:
        columns = columns_in(database, sql)
    except duckdb.Error:
        return
    # FROM before SELECT with something else than a table first is more than the parser knows.
    assume(not any("not parse" in problem.message for problem in found.problems))
    assert not found.problems, found.problems
    assert found.columns in (None, columns)
