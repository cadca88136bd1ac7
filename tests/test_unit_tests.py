"""Unit tests: what they give, what they expect, and how they say that it did not come out."""

import pytest

from tests.conftest import MakeProject, Outcome, Project

RAW = "seeds/raw.csv"
MODEL = """
select
    id,
    upper(name) as name,
    price * {{ var('rate', 2) }} as price,
    {{ as_of() }} as moment
from {{ ref('raw') }}
where id > {{ least() }}
"""
FILES = {
    RAW: "id,name,price\n1,a,1.50\n",
    "seeds/raw.yml": "seeds: [{name: raw, config: {column_types: {id: INTEGER, price: 'DECIMAL(10,2)'}}}]",
    "macros/least.sql": "{% macro least() %}0{% endmacro %}",
    "models/it.sql": MODEL,
}
TEST = """
unit_tests:
  - name: checks
    model: it
    given:
      - {{input: ref('raw'), {given}}}
    expect: {{{expect}}}
    overrides: {{{overrides}}}
"""


def checked(made: Project, given: str, expect: str, overrides: str = "") -> Outcome:
    text = TEST.format(given=given, expect=expect, overrides=overrides)
    made.write({"models/it.yml": text})
    return made.segflow("run", "--output", "json")


def said(outcome: Outcome) -> str:
    """The one error, without the place it names."""
    (message,) = outcome.json["errors"]
    return str(message).partition("unit test `checks`: ")[2]


TWO = "rows: [{id: 1, name: x, price: 2}, {id: 2, name: null}]"


@pytest.mark.parametrize(
    ("given", "expect", "overrides"),
    [
        (TWO, "rows: [{id: 1, name: X, price: 4.00}, {id: 2}]", ""),
        (TWO, "rows: [{name: X}, {name: null}]", ""),
        (TWO, "rows: [{ID: 2, Name: null, PRICE: null}, {id: 1, name: X, price: 4}]", ""),
        (r'format: csv, rows: "id, name\n1, x\n2,\n"', "rows: [{name: X}, {name: null}]", ""),
        (TWO, r'format: csv, rows: "id,name\n2,\n1,X"', ""),
        (
            "format: sql, rows: \"select 1 as id, 'x' as name, 3 as price\"",
            "rows: [{price: 6}]",
            "",
        ),
        (TWO, 'format: sql, rows: "select 1 as id union all select 2"', ""),
        (TWO, "rows: [{price: 6}, {price: null}]", "vars: {rate: 3}"),
        (TWO, "rows: [{id: 2}]", "macros: {least: 1}"),
        (
            TWO,
            'rows: [{id: 1, moment: 2025-01-01 00:00:00}, {id: 2, moment: "2025-01-01"}]',
            "as_of: '2025-01-01'",
        ),
        (
            TWO,
            "rows: [{id: 1, moment: 2026-07-01 02:00:00}, {id: 2, moment: 2026-07-01 02:00:00}]",
            "",
        ),
        ("rows: []", "rows: []", ""),
        ("format: csv", "rows: []", ""),
        ("rows: [{id: 1}, {id: 1}]", "rows: [{id: 1}, {id: 1}]", ""),
    ],
)
def test_passes(project: MakeProject, given: str, expect: str, overrides: str) -> None:
    made = project(FILES)
    outcome = checked(made, given, expect, overrides)
    assert outcome.code == 0, outcome.out


@pytest.mark.parametrize(
    ("given", "expect", "overrides", "message"),
    [
        (
            TWO,
            "rows: [{id: 1, name: X}, {id: 3, name: null}]",
            "",
            "missing: id 3, name null; not expected: id 2, name null",
        ),
        ("rows: [{id: 1}, {id: 1}]", "rows: [{id: 1}]", "", "not expected: id 1"),
        ("rows: [{id: 1}]", "rows: [{id: 1}, {id: 1}]", "", "missing: id 1"),
        (
            "rows: []",
            "rows: [{id: 1}, {id: 2}, {id: 3}, {id: 4}, {id: 5}]",
            "",
            "missing: id 1 | id 2 | id 3 and 2 more",
        ),
        ("rows: [{id: x}]", "rows: []", "", "Could not convert string 'x' to INT32"),
        (
            r'format: csv, rows: "id,name\n1,x,y"',
            "rows: []",
            "",
            "line 2 of its rows has too many cells",
        ),
        ("rows: 'id,name'", "rows: []", "", "rows as text need `format: csv` or `format: sql`"),
        (TWO, "rows: []", "as_of: yesterday", "`yesterday` is no moment"),
    ],
)
def test_fails_readably(
    project: MakeProject, given: str, expect: str, overrides: str, message: str
) -> None:
    made = project(FILES)
    outcome = checked(made, given, expect, overrides)
    assert outcome.code == 1
    assert message in said(outcome)
    assert "models/it.yml:3" in outcome.json["errors"][0]


@pytest.mark.parametrize(
    ("given", "expect", "message"),
    [
        ("rows: [{nmae: 1}]", "rows: []", "models/it.yml:6: `raw` has no column `nmae`"),
        (r'format: csv, rows: "id,nmae\n1,x"', "rows: []", "`raw` has no column `nmae`"),
        (TWO, "rows: [{nome: X}]", "models/it.yml:7: `it` has no column `nome`"),
        (TWO, r'format: csv, rows: "nome\nX"', "models/it.yml:7: `it` has no column `nome`"),
    ],
)
def test_unknown_columns_are_found_before_anything_runs(
    project: MakeProject, given: str, expect: str, message: str
) -> None:
    made = project(FILES)
    outcome = checked(made, given, expect)
    assert outcome.code == 2
    (error,) = outcome.json["errors"]
    assert message in error and "hint: did you mean `name`?" in error
    assert not made.database.exists()


def test_a_failing_unit_test_keeps_the_table_and_the_others_still_speak(
    project: MakeProject,
) -> None:
    made = project({"models/it.sql": "select 1 as id"})
    made.run()
    one = "{{name: {name}, model: it, given: [], expect: {{rows: [{{id: {id}}}]}}}}"
    tests = [one.format(name=f"wants_{n}", id=n) for n in (2, 3, 4)]
    made.write(
        {"models/it.sql": "select 4 as id", "models/it.yml": f"unit_tests: [{', '.join(tests)}]"}
    )
    outcome = made.segflow("run", "--output", "json")
    (error,) = outcome.json["errors"]
    assert "`wants_2`: missing: id 2; not expected: id 4" in error and "`wants_3`" in error
    (node,) = outcome.json["results"]["nodes"]
    assert [(t["name"], t["status"]) for t in node["tests"]] == [
        ("wants_2", "error"),
        ("wants_3", "error"),
        ("wants_4", "pass"),
    ]
    assert made.rows("from lifecycle.it") == [(1,)]
    outcome = made.segflow("test", "--select", "wants_2", "wants_4", "--output", "json")
    assert [t["status"] for t in outcome.json["results"]["tests"]] == ["error", "pass"]


def test_types_of_every_kind(project: MakeProject) -> None:
    made = project(
        {
            "models/types.sql": "select ['a'] as list, {'k': 1} as pair, 1.25::decimal(9, 2) as amount,"
            " timestamp '2026-01-01' as seen_at, true as is_it, 1.5::double as ratio, date '2026-01-01' as day,"
            " '{\"a\": 1}'::json as body, [[1]] as nested",
            "models/it.sql": "select * from {{ ref('types') }}",
            "models/it.yml": """
unit_tests:
  - name: types
    model: it
    given:
      - input: ref('types')
        rows: &rows
          - {list: [x, "it's", null], pair: {k: 2}, amount: 0.10, seen_at: 2026-06-30 12:00:00, is_it: false,
             ratio: 0.1, day: 2026-06-30, body: {b: [1, null]}, nested: [[1, 2], []]}
          - {list: [], amount: "3", is_it: true, seen_at: "2026-06-30T12:00:00"}
    expect: {rows: *rows}
""",
        }
    )
    made.run()


def test_types_from_a_contract_where_nothing_is_built(project: MakeProject) -> None:
    made = project(
        {
            "models/base.sql": "select 1 as n, 'x' as said",
            "models/base.yml": """
models:
  - name: base
    config: {contract: {enforced: true}}
    columns: [{name: n, data_type: integer}, {name: said, data_type: varchar}]
""",
            "models/it.sql": "select n, typeof(n) as kind from {{ ref('base') }} where false or n = 7",
            "models/it.yml": """
unit_tests:
  - name: n
    model: it
    given: [{input: ref('base'), rows: [{n: 7}, {n: 8}]}]
    expect: {rows: [{n: 7, kind: INTEGER}]}
""",
        }
    )
    outcome = made.segflow("build", "--select", "it", "--output", "json")
    # the unit test passed on the contract's types; only the model itself wants the table
    assert "unit test" not in outcome.json["errors"][0]
    assert "base does not exist" in outcome.json["errors"][0]
    made.run()


def test_sources_and_this(project: MakeProject) -> None:
    made = project(
        {
            "data.csv": "id,n\n1,1\n",
            "models/sources.yml": "sources: [{name: files, tables: [{name: data, config: {external_location: data.csv}}]}]",
            "models/it.sql": """
{{ config(materialized='incremental') }}
select id, n from {{ source('files', 'data') }}
{% if is_incremental() %} where n > (select coalesce(max(n), 0) from {{ this }}) {% endif %}
""",
            "models/it.yml": """
unit_tests:
  - name: anew
    model: it
    given: [{input: "source('files', 'data')", rows: [{id: 1, n: 1}, {id: 2, n: 2}]}]
    expect: {rows: [{id: 1}, {id: 2}]}
  - name: again
    model: it
    given:
      - {input: this, rows: [{id: 1, n: 1}]}
      - {input: "source('files', 'data')", rows: [{id: 1, n: 1}, {id: 2, n: 2}]}
    expect: {rows: [{id: 2}]}
    overrides: {macros: {is_incremental: true}}
""",
        }
    )
    made.run()
    made.run()
    text = made.root.joinpath("models/it.yml").read_text()
    made.write(
        {"models/it.yml": text.replace("      - {input: this, rows: [{id: 1, n: 1}]}\n", "")}
    )
    outcome = made.segflow("run", "--output", "json")
    assert (
        "`again`: the model reads `this`, which the test does not give" in outcome.json["errors"][0]
    )


def test_inputs_that_are_wrong(project: MakeProject) -> None:
    made = project({**FILES, "seeds/other.csv": "id\n1\n"})
    made.segflow("seed")
    for given, message in (
        ("input: raw", "`raw` is no input: write ref('…'), source('…', '…') or this"),
        ("input: ref('rav')", "unknown model `rav`\n  hint: did you mean `raw`?"),
        ("input: ref('other')", "the model reads ref('raw'), which the test does not give"),
    ):
        made.write(
            {
                "models/it.yml": f"unit_tests: [{{name: checks, model: it, given: [{{{given}}}],"
                " expect: {rows: []}}]"
            }
        )
        outcome = made.segflow("run", "--output", "json")
        assert message in outcome.json["errors"][0], outcome.out
