"""Views, tables, incremental, ephemeral and segment models; contracts; comments; schemas."""

from typing import Any

import pytest

from tests.conftest import SEGFLOW_YML, MakeProject, Outcome, Project

RAW = "seeds/raw.csv"
INCREMENTAL = """
{{{{ config(materialized='incremental', {options}) }}}}
select *, {{{{ is_incremental() }}}} as is_again from {{{{ ref('raw') }}}}
"""


def incremental(options: str = "") -> dict[str, str]:
    return {RAW: "id,n,v\n1,1,a\n2,1,b\n", "models/log.sql": INCREMENTAL.format(options=options)}


def error(outcome: Outcome) -> str:
    assert outcome.code == 1, outcome.out
    return str(outcome.json["errors"][0])


# ── incremental ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", [(1, "a", 0), (2, "b", 0), (2, "c", 1), (3, "d", 1)]),
        ("incremental_strategy='append'", [(1, "a", 0), (2, "b", 0), (2, "c", 1), (3, "d", 1)]),
        ("unique_key='id'", [(1, "a", 0), (2, "c", 1), (3, "d", 1)]),
        (
            "unique_key='id', incremental_strategy='delete+insert'",
            [(1, "a", 0), (2, "c", 1), (3, "d", 1)],
        ),
        ("unique_key=['id', 'n']", [(1, "a", 0), (2, "c", 1), (3, "d", 1)]),
        (
            "unique_key=['id', 'v'], incremental_strategy='delete+insert'",
            [(1, "a", 0), (2, "b", 0), (2, "c", 1), (3, "d", 1)],
        ),
    ],
)
def test_new_rows_join_the_old(
    project: MakeProject, options: str, expected: list[tuple[Any, ...]]
) -> None:
    made = project(incremental(options))
    made.run()
    made.write({RAW: "id,n,v\n2,1,c\n3,1,d\n"})
    made.run()
    found = "select id, v, is_again::int from lifecycle.log order by all"
    assert made.rows(found) == expected
    made.run("--full-refresh")
    assert made.rows(found) == [(2, "c", 0), (3, "d", 0)]


def test_what_an_incremental_model_cannot_do_leaves_its_table(project: MakeProject) -> None:
    made = project(incremental("unique_key='id'"))
    made.run()
    made.write({RAW: "id,n,v\n2,1,c\n2,1,d\n"})
    assert "more than once" in error(made.segflow("run", "--output", "json"))
    made.write(incremental("incremental_strategy='merge'"))
    assert "needs a unique_key" in error(made.segflow("run", "--output", "json"))
    assert made.rows("select id, v from lifecycle.log order by all") == [(1, "a"), (2, "b")]


def test_delete_and_insert_keeps_all_new_rows_of_a_key(project: MakeProject) -> None:
    made = project(incremental("unique_key='id', incremental_strategy='delete+insert'"))
    made.run()
    made.write({RAW: "id,n,v\n2,1,c\n2,1,d\n"})
    made.run()
    assert made.rows("select v from lifecycle.log order by all") == [("a",), ("c",), ("d",)]


def test_full_refresh_can_be_forbidden_or_forced(project: MakeProject) -> None:
    never = INCREMENTAL.format(options="full_refresh=false")
    always = INCREMENTAL.format(options="full_refresh=true")
    made = project({RAW: "id\n1\n", "models/never.sql": never, "models/always.sql": always})
    made.run()
    made.run("--full-refresh")
    assert made.rows("select count(*) from lifecycle.never") == [(2,)]
    assert made.rows("select count(*) from lifecycle.always") == [(1,)]


@pytest.mark.parametrize(
    ("policy", "columns", "rows"),
    [
        ("append_new_columns", "id, n, v, x", [(1, 1, "a", None), (2, None, "b", 9)]),
        ("sync_all_columns", "id, v, x", [(1, "a", None), (2, "b", 9)]),
    ],
)
def test_columns_that_come_and_go(
    project: MakeProject, policy: str, columns: str, rows: list[tuple[Any, ...]]
) -> None:
    text = f"{{{{ config(materialized='incremental', on_schema_change='{policy}') }}}}"
    made = project({RAW: "id,n,v\n1,1,a\n", "models/log.sql": text + "from {{ ref('raw') }}"})
    made.run()
    made.write({RAW: "id,v,x\n2,b,9\n"})
    made.run()
    assert made.rows("from lifecycle.log order by id") == rows
    assert made.rows("select string_agg(name, ', ') from pragma_table_info('lifecycle.log')") == [
        (columns,)
    ]


def test_a_column_of_another_type_is_synchronized(project: MakeProject) -> None:
    text = "{{ config(materialized='incremental', on_schema_change='sync_all_columns') }}"
    made = project({RAW: "id\n1\n", "models/log.sql": text + "from {{ ref('raw') }}"})
    made.run()
    made.write({RAW: "id\nx\n"})
    made.run()
    assert made.rows("select id, typeof(id) from lifecycle.log order by id") == [
        ("1", "VARCHAR"),
        ("x", "VARCHAR"),
    ]


def test_changed_columns_are_ignored_or_refused(project: MakeProject) -> None:
    made = project(incremental("on_schema_change='fail'"))
    made.write(
        {
            "models/lax.sql": INCREMENTAL.format(options="on_schema_change='ignore'"),
            "models/lax.yml": """
models: [{name: lax, columns: [{name: x, description: New.}, {name: id, description: Key.}]}]
""",
        }
    )
    made.run()
    made.write({RAW: "id,n,v,x\n3,1,c,9\n"})
    outcome = made.segflow("run", "--output", "json")
    assert "the columns changed: x" in error(outcome) and len(outcome.json["errors"]) == 1
    assert made.rows("select id, n, v from lifecycle.lax order by id")[-1] == (3, 1, "c")
    made.write({RAW: "id,n\n4,1\n"})
    errors = made.segflow("run", "--output", "json").json["errors"]
    assert any("lax: " in text and "no longer has v" in text for text in errors)
    assert made.rows(
        "select max(id) from lifecycle.lax union all select max(id) from lifecycle.log"
    ) == [
        (3,),
        (2,),
    ]


# ── the other kinds ───────────────────────────────────────────────────────────────────────────


def kind_of(made: Project, name: str) -> str:
    (found,) = made.rows(
        f"select table_type from information_schema.tables where table_name='{name}'"
    )
    return str(found[0])


def test_a_model_moves_between_the_kinds(project: MakeProject) -> None:
    made = project({RAW: "id\n1\n", "models/reads.sql": "select id from {{ ref('it') }}"})
    for kind in ("view", "table", "view", "incremental", "view", "ephemeral", "table"):
        made.write(
            {"models/it.sql": f"{{{{ config(materialized='{kind}') }}}} from {{{{ ref('raw') }}}}"}
        )
        made.run()
        if kind != "ephemeral":
            assert kind_of(made, "it") == ("VIEW" if kind == "view" else "BASE TABLE")
        assert made.rows("from lifecycle.reads") == [(1,)]


def test_a_failing_change_of_kind_keeps_the_old_one(project: MakeProject) -> None:
    made = project({"models/it.sql": "{{ config(materialized='view') }} select 1 as a"})
    made.run()
    made.write({"models/it.sql": "select error('no') as a"})
    assert made.segflow("run").code == 1
    assert kind_of(made, "it") == "VIEW" and made.rows("from lifecycle.it") == [(1,)]


def test_ephemeral_models_nest_and_leave_nothing_behind(project: MakeProject) -> None:
    ephemeral = "{{ config(materialized='ephemeral') }} "
    made = project(
        {
            RAW: "id\n1\n2\n",
            "models/inner_one.sql": ephemeral
            + "with a as (from {{ ref('raw') }}) from a where id > 1",
            "models/outer_one.sql": ephemeral
            + "select id + 1 as id from {{ ref('inner_one') }} -- so",
            "models/reads.sql": "select a.id from {{ ref('outer_one') }} as a, {{ ref('inner_one') }} as b",
            "models/reads.yml": "models: [{name: outer_one, columns: [{name: id, data_tests: [unique]}]}]",
        }
    )
    made.run()
    assert made.rows("from lifecycle.reads") == [(3,)]
    names = "select table_name from information_schema.tables where table_schema = 'lifecycle'"
    assert made.rows(names) == [("reads",)]


def test_schemas_aliases_and_packages(project: MakeProject) -> None:
    made = project(
        {
            "models/mine.sql": "select n + 1 as n from {{ ref('base', 'theirs') }}",
            "models/Odd Name.sql": "{{ config(schema='Two Words', alias='select') }} select 1 as n",
            "models/reads.sql": "select * from {{ ref('Odd Name') }}",
            "base/segflow.yml": "name: base\nmodels: {base: {+schema: far, +materialized: table}}\n",
            "base/models/theirs.sql": "select 1 as n from {{ ref('shared') }}",
            "base/models/shared.sql": "select 'base' as origin",
            "models/shared.sql": "{{ config(alias='shared_here') }} select 'mine' as origin",
        },
        SEGFLOW_YML + "packages: [{local: base}]\n",
    )
    made.write(
        {
            "segflow.yml": SEGFLOW_YML.replace(
                "models:\n", "models:\n  base: {shared: {+enabled: false}}\n", 1
            )
            + "packages: [{local: base}]\n"
        }
    )
    made.run()
    assert made.rows("from lifecycle.mine") == [(2,)]
    assert made.rows("from far.theirs") == [(1,)]
    assert made.rows('from "Two Words"."select"') == made.rows("from lifecycle.reads") == [(1,)]


DESCRIBED = """
    description: "It's a {kind}."
    columns: [{{name: n, description: A "number"; it's one.}}, {{name: gone, description: No.}}]
"""


def test_descriptions_are_comments(project: MakeProject) -> None:
    table, view, seed = (DESCRIBED.format(kind=kind) for kind in ("table", "view", "seed"))
    made = project(
        {
            "seeds/s.csv": "n\n1\n",
            "models/t.sql": "select 1 as n",
            "models/v.sql": "{{ config(materialized='view') }} select 1 as n",
            "models/all.yml": f"models:\n  - name: t{table}  - name: v{view}"
            f"seeds:\n  - name: s{seed}",
        }
    )
    for _ in range(2):
        made.run()
        found = made.rows(
            "select table_name, comment from duckdb_tables() where comment is not null union all"
            " select view_name, comment from duckdb_views() where view_name = 'v' order by 1"
        )
        assert found == [("s", "It's a seed."), ("t", "It's a table."), ("v", "It's a view.")]
        said = made.rows(
            "select table_name, comment from duckdb_columns() where comment is not null order by 1"
        )
        assert said == [(name, 'A "number"; it\'s one.') for name in ("s", "t", "v")]


# ── contracts ─────────────────────────────────────────────────────────────────────────────────

CONTRACT = """
models:
  - name: it
    config: {contract: {enforced: true}}
    columns: [{name: id, data_type: int}, {name: name, data_type: text}, {name: seen_at, data_type: timestamp}]
"""
GOOD = "select 1 as id, 'x' as name, timestamp '2026-01-01' as seen_at"


@pytest.mark.parametrize("kind", ["view", "table", "incremental"])
@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select 1 as id, 'x' as name", "`seen_at` is missing"),
        (f"{GOOD}, 4 as more", "`more` is not in the contract"),
        (GOOD.replace("1 as", "1.5 as"), "`id` is DECIMAL(2,1), not INTEGER"),
        (GOOD.replace("'x' as name", "'x' as nome"), "`name` is missing (did you mean `nome`?)"),
    ],
)
def test_a_broken_contract_leaves_the_old_relation(
    project: MakeProject, kind: str, sql: str, said: str
) -> None:
    config = f"{{{{ config(materialized='{kind}') }}}} "
    made = project({"models/it.sql": config + GOOD, "models/it.yml": CONTRACT})
    made.run()
    made.write({"models/it.sql": config + sql})
    text = error(made.segflow("run", "--output", "json"))
    assert said in text and "target/compiled/demo/models/it.sql" in text
    assert made.rows("select id, name from lifecycle.it") == [(1, "x")]


def test_a_contract_is_kept_in_any_spelling_of_a_type(project: MakeProject) -> None:
    made = project(
        {"models/it.sql": f"select name, ID, seen_at from ({GOOD.replace('as id', 'as ID')})"}
    )
    made.write({"models/it.yml": CONTRACT})
    made.run()


def test_seeds_are_read_to_the_letter(project: MakeProject) -> None:
    made = project(
        {
            "seeds/s.csv": 'id,said,day\n#1,"a ""b"", c",2026-01-01\n2,"two\nlines",\n3,,2026-01-03\n',
            "seeds/none.csv": "id,name\n",
            "models/it.sql": "select * from {{ ref('none') }}",
            "seeds/semi.csv": "id;n\n1;1,5\n",
            "seeds/semi.yml": "seeds: [{name: semi, config: {delimiter: ';', column_types: {n: VARCHAR}}}]",
        }
    )
    made.run()
    assert made.rows("select id, said, typeof(day) from seeds.s") == [
        ("#1", 'a "b", c', "DATE"),
        ("2", "two\nlines", "DATE"),
        ("3", None, "DATE"),
    ]
    assert made.rows("from seeds.semi") == [(1, "1,5")]
    assert made.rows("select count(*) from seeds.none") == [(0,)]
