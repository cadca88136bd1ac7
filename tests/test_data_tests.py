"""Data tests inside a run: what fails, what is kept of it, and what it leaves as it was."""

from typing import Any

import pytest

from tests.conftest import MakeProject, Outcome, Project

ROWS = "id,kind,parent\n1,a,1\n2,b,2\n3,,9\n3,c,\n"
TESTED = """
models:
  - name: it
    columns:
      - name: {column}
        data_tests:
          - {test}
"""
BASE = {
    "seeds/raw.csv": ROWS,
    "seeds/parents.csv": "id\n1\n2\n",
    "models/it.sql": "select * from {{ ref('raw') }}",
}
NO_NULLS = "not_null: {{{}}}"


def with_test(column: str, test: str) -> dict[str, str]:
    return {**BASE, "models/it.yml": TESTED.format(column=column, test=test)}


def results(outcome: Outcome) -> dict[str, tuple[str, int]]:
    """Status and failures of each test, by the start of its name."""
    return {
        test["name"]: (test["status"], test["failures"])
        for node in outcome.json["results"]["nodes"]
        for test in node["tests"]
    }


def result(made: Project, *arguments: str) -> tuple[str, int]:
    (found,) = results(made.segflow("run", "--output", "json", *arguments)).values()
    return found


@pytest.mark.parametrize(
    ("column", "test", "expected"),
    [
        ("kind", "not_null", ("error", 1)),
        ("id", "not_null", ("pass", 0)),
        ("id", "unique", ("error", 1)),
        ("parent", "unique", ("pass", 0)),
        ("kind", "accepted_values: {values: [a, b]}", ("error", 1)),
        ("kind", 'accepted_values: {arguments: {values: [a, b, c, "it\'s"]}}', ("pass", 0)),
        ("id", "accepted_values: {values: [1, 2], quote: false}", ("error", 1)),
        ("parent", "relationships: {to: ref('parents'), field: id}", ("error", 1)),
        (
            "parent",
            "relationships: {to: ref('parents'), field: id, config: {where: parent < 9}}",
            ("pass", 0),
        ),
        ("id", "at_most: {limit: 2}", ("error", 2)),
        # limits, as in dbt: a warning asks warn_if, an error asks error_if and then warn_if
        ("kind", NO_NULLS.format("severity: warn"), ("warn", 1)),
        ("kind", NO_NULLS.format("severity: WARN, warn_if: '> 1'"), ("pass", 1)),
        ("kind", NO_NULLS.format("error_if: '> 1'"), ("warn", 1)),
        ("kind", NO_NULLS.format("error_if: '> 1', warn_if: '> 1'"), ("pass", 1)),
        ("kind", NO_NULLS.format("config: {error_if: '>= 1', severity: error}"), ("error", 1)),
        ("kind", NO_NULLS.format("config: {where: id < 3}"), ("pass", 0)),
    ],
)
def test_generic_tests(
    project: MakeProject, column: str, test: str, expected: tuple[str, int]
) -> None:
    made = project(with_test(column, test))
    made.write(
        {
            "tests/generic/at_most.sql": "{% test at_most(model, column_name, limit) %}"
            "select * from {{ model }} where {{ column_name }} > {{ limit }}{% endtest %}"
        }
    )
    assert result(made) == expected


def test_a_combination_is_unique(project: MakeProject) -> None:
    made = project(
        {
            **BASE,
            "models/it.yml": "models: [{name: it, data_tests: [{unique_combination: {columns: [id, kind]}}]}]",
        }
    )
    assert result(made) == ("pass", 0)
    made.write({"seeds/raw.csv": ROWS + "1,a,2\n"})
    assert result(made) == ("error", 1)


def test_singular_tests_read_vars_clock_and_several_models(project: MakeProject) -> None:
    made = project(
        {
            **BASE,
            "tests/no_orphans.sql": "select it.* from {{ ref('it') }} as it"
            " left join {{ ref('parents') }} as parents on it.parent = parents.id"
            " where parents.id is null and it.parent > {{ var('limit') }}"
            " and {{ as_of() }} > timestamp '2026-06-30';",
            "tests/about.yml": "data_tests: [{name: no_orphans, description: Nobody without parent.}]",
        }
    )
    made.write(
        {
            "tests/asks.sql": "{% set n = run_query('select 9') %}select * from {{ ref('it') }}"
            "{% if execute %} where parent > {{ n.columns[0].values()[0] }}{% endif %}"
        }
    )
    outcome = made.segflow("run", "--vars", "{limit: 3}", "--output", "json")
    assert results(outcome) == {"no_orphans": ("error", 1), "asks": ("pass", 0)}
    assert outcome.json["errors"] == ["it: no_orphans: 1 row (Nobody without parent.)"]
    made.run("--vars", "{limit: 10}")


# ── a model and its tests are one transaction ─────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["table", "view", "incremental", "seed"])
def test_a_failing_test_leaves_the_old_relation(project: MakeProject, kind: str) -> None:
    if kind == "seed":
        made = project(
            {
                "seeds/it.csv": "id\n1\n",
                "seeds/it.yml": "seeds: [{name: it, columns: [{name: id, data_tests: [{accepted_values: {values: [1], quote: false}}]}]}]",
            }
        )
        where = "seeds.it"
    else:
        made = project(with_test("id", "accepted_values: {values: [1], quote: false}"))
        made.write(
            {
                "seeds/raw.csv": "id\n1\n",
                "models/it.sql": f"{{{{ config(materialized='{kind}') }}}} select id from {{{{ ref('raw') }}}}",
            }
        )
        where = "lifecycle.it"
    made.run()
    before = made.rows("select * from information_schema.tables where table_name = 'it'")
    if kind == "seed":
        made.write({"seeds/it.csv": "id\n1\n2\n"})
    else:
        made.write(
            {
                "models/it.sql": made.root.joinpath("models/it.sql").read_text()
                + " union all select 2"
            }
        )
    outcome = made.segflow("run")
    assert outcome.code == 1 and "1 row" in outcome.out
    assert made.rows(f"select id from {where}") == [(1,)]
    assert made.rows("select * from information_schema.tables where table_name = 'it'") == before


def test_a_warning_does_not_undo(project: MakeProject) -> None:
    made = project(with_test("kind", NO_NULLS.format("severity: warn")))
    outcome = made.run()
    assert "warned" in outcome.out
    assert made.rows("select count(*) from lifecycle.it") == [(4,)]


def test_a_test_that_cannot_run_is_named(project: MakeProject) -> None:
    made = project(with_test("kind", "relationships: {to: ref('parents'), field: nothing}"))
    outcome = made.segflow("run", "--output", "json")
    assert outcome.code == 1
    assert "relationships_it_kind" in outcome.json["errors"][0]
    assert "cannot run: Binder Error" in outcome.json["errors"][0]


# ── stored failures ───────────────────────────────────────────────────────────────────────────


def failures(made: Project) -> dict[str, list[tuple[Any, ...]]]:
    names = made.rows(
        "select table_name from information_schema.tables where table_schema = 'test_failures'"
    )
    return {name: made.rows(f"from test_failures.{name} order by all") for (name,) in names}


def test_failures_are_kept_though_the_model_is_undone(project: MakeProject) -> None:
    made = project(with_test("kind", NO_NULLS.format("config: {store_failures: true}")))
    made.write({"tests/ids.sql": "{{ config() }}select id from {{ ref('it') }} where id > 2"})
    assert made.segflow("run").code == 1
    assert failures(made) == {"not_null_it_kind": [(3, None, 9)]}
    assert made.segflow("run", "--store-failures").code == 1
    assert failures(made) == {"not_null_it_kind": [(3, None, 9)], "ids": [(3,), (3,)]}
    made.write({"seeds/raw.csv": "id,kind,parent\n1,a,1\n"})
    made.run("--store-failures")
    assert failures(made) == {"not_null_it_kind": [], "ids": []}


SOURCE = """
sources:
  - name: files
    tables:
      - name: raw
        config: {external_location: data.csv}
        columns: [{name: id, data_tests: [{accepted_values: {values: [1], quote: false}}]}]
"""


def test_failures_of_sources_and_many_models_are_kept_at_any_number_of_threads(
    project: MakeProject,
) -> None:
    models = {f"models/m{n}.sql": "select 1 as id" for n in range(12)}
    tests = {f"tests/t{n}.sql": f"from {{{{ ref('m{n}') }}}}" for n in range(12)}
    made = project({**models, **tests, "data.csv": "id\n5\n"})
    made.write({"models/sources.yml": SOURCE})
    outcome = made.segflow("run", "--store-failures", "--threads", "6", "--output", "json")
    assert {status for status, _ in results(outcome).values()} == {"error"}
    assert len(results(outcome)) == len(failures(made)) == 13


# ── tests that read several models ────────────────────────────────────────────────────────────

BOTH_WAYS = """
models:
  - name: a
    columns: [{name: id, data_tests: [{relationships: {to: ref('b'), field: id, name: a_in_b}}]}]
  - name: b
    columns: [{name: id, data_tests: [{relationships: {to: ref('a'), field: id, name: b_in_a}}]}]
"""


def table(*ids: int) -> str:
    return f"select unnest({list(ids)}) as id"


@pytest.mark.parametrize("threads", ["1", "4"])
def test_relationships_both_ways(project: MakeProject, threads: str) -> None:
    made = project(
        {
            "models/a.sql": table(1),
            "models/b.sql": table(1),
            "models/c.sql": "select * from {{ ref('a') }}",
            "models/d.sql": "select * from {{ ref('b') }}",
            "models/tests.yml": BOTH_WAYS,
        }
    )
    made.run("--threads", threads)
    made.write({"models/a.sql": table(1, 2), "models/b.sql": table(1, 2)})
    made.run("--threads", threads)
    assert made.rows("select count(*) from lifecycle.a, lifecycle.b") == [(4,)]
    made.write({"models/b.sql": table(1, 3)})
    outcome = made.segflow("run", "--threads", threads, "--output", "json")
    nodes = {node["name"]: node["status"] for node in outcome.json["results"]["nodes"]}
    # both tests run once both tables are there: in the later one, which alone is undone
    assert nodes == {"b": "success", "d": "success", "a": "error", "c": "success"}
    # and is read as it was
    assert made.rows("select max(id) from lifecycle.a join lifecycle.c using (id)") == [(2,)]
    assert made.rows("select max(id) from lifecycle.b") == [(3,)]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_relationship_fails_the_model_it_is_attached_to(
    project: MakeProject, threads: str
) -> None:
    made = project(
        {
            "models/a.sql": table(1, 2),
            "models/b.sql": table(1),
            "models/c.sql": "select * from {{ ref('b') }}",
            "models/tests.yml": BOTH_WAYS.partition("  - name: b")[0],
        }
    )
    outcome = made.segflow("run", "--threads", threads, "--output", "json")
    nodes = {node["name"]: node["status"] for node in outcome.json["results"]["nodes"]}
    assert nodes == {"a": "error", "b": "success", "c": "success"}


def test_a_model_waits_in_vain_for_what_its_test_reads(project: MakeProject) -> None:
    made = project(
        {
            "models/a.sql": table(1),
            "models/b.sql": "select error('late') as id",
            "models/tests.yml": BOTH_WAYS.partition("  - name: b")[0],
        }
    )
    outcome = made.segflow("run", "--output", "json")
    nodes = {node["name"]: node["status"] for node in outcome.json["results"]["nodes"]}
    assert nodes == {"a": "held", "b": "error"}
    made.write({"models/b.sql": table(1)})
    made.run()
    made.write({"models/b.sql": "select error('late') as id"})
    outcome = made.segflow("run", "--output", "json")
    nodes = {node["name"]: node["status"] for node in outcome.json["results"]["nodes"]}
    assert nodes == {"a": "success", "b": "error"}


# ── segflow test ──────────────────────────────────────────────────────────────────────────────


def test_tests_run_on_what_is_published(project: MakeProject) -> None:
    made = project(with_test("kind", NO_NULLS.format("severity: warn")))
    made.run()
    made.write(
        {
            "tests/broken.sql": "select * from {{ ref('it') }} where cast('no' as int) = {{ var('x', 1) }}"
        }
    )
    outcome = made.segflow("test", "--output", "json")
    assert outcome.code == 1
    assert [t["status"] for t in outcome.json["results"]["tests"]] == ["warn", "error"]
    assert "the test broken cannot run" in outcome.json["errors"][0]
    assert made.segflow("test", "--select", "not_null_it_kind").code == 0


def test_a_test_that_is_excluded_does_not_run(project: MakeProject) -> None:
    made = project(
        {
            "models/it.sql": "select 1 as n",
            "models/it.yml": "models: [{name: it, columns: [{name: n, data_tests: [unique]}]}]",
            "tests/broken.sql": "select * from {{ ref('it') }}",
        }
    )
    assert made.segflow("run").code == 1
    ran = made.segflow("run", "--exclude", "broken", "--output", "json")
    assert ran.code == 0
    assert [t["name"] for n in ran.json["results"]["nodes"] for t in n["tests"]] == ["unique_it_n"]
    assert made.segflow("test", "--exclude", "broken").code == 0
    assert made.segflow("test", "--select", "broken").code == 1
    assert made.segflow("test", "--select", "it", "--exclude", "unique_it_n").code == 1
