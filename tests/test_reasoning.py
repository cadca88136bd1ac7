"""What is said of segments before any data holds for all data."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from segflow.compile.definitions import Definitions
from segflow.compile.reasoning import Reasoner
from segflow.pipeline import compile_project
from segflow.project.config import Environment
from segflow.report import Options
from tests.conftest import SEGFLOW_YML, MakeProject, Project
from tests.test_clauses import AS_OF

PEOPLE = "contact_id,email,referrer,a,b,t,f,seen_at,stage"
CONTACTS = "select * from {{ ref('people') }}"
NOT_NULL = """
models:
  - name: contacts
    columns:
      - {name: stage, data_tests: [not_null]}
"""


def findings(project: MakeProject, **segments: str) -> tuple[list[str], list[str]]:
    """Warnings and notes of segments, each given by its condition or its whole SELECT."""
    return said_of(project, CONTACTS, **segments)


def said_of(project: MakeProject, contacts: str, **segments: str) -> tuple[list[str], list[str]]:
    """The same, over other contacts."""
    files = {"seeds/people.csv": f"{PEOPLE}\n", "models/contacts.sql": contacts}
    files["models/contacts.yml"] = NOT_NULL
    for name, said in segments.items():
        exclusive, _, condition = said.rpartition("|")
        config = f"{{{{ config(exclusive_with=['{exclusive}']) }}}}\n" if exclusive else ""
        whole = condition if condition.startswith("select") else ""
        sql = whole or f"select contact_id from {{{{ ref('contacts') }}}} where {condition}"
        files[f"models/segments/{name}.sql"] = config + sql
    outcome = project(files).segflow("compile", "--output", "json")
    assert outcome.code == 0, outcome.out
    found = outcome.json["results"]
    return tuple(  # type: ignore[return-value]
        [text.partition(".sql: ")[2] for text in found[kind]] for kind in ("warnings", "notes")
    )


@pytest.mark.parametrize(
    "condition",
    [
        "a > 3 and a < 3",
        "a >= 3 and not a >= 3",
        "a is null and a = 1",
        "t in ('lead', 'trial') and t = 'paid'",
        "f and not f",
        "(a = 1 or a = 2) and (a = 3 or a is null)",
        "seen_at > {{ as_of() }} - interval '3 days' and seen_at < {{ as_of() }} - interval '73 hours'",
        "a between 5 and 4",
        "t like 'x%' and t not like 'x%' and t is not null",
        "a < b and not a < b",
    ],
)
def test_contradictions(project: MakeProject, condition: str) -> None:
    expected = "`s` can never have members: its clauses contradict each other"
    assert expected in findings(project, s=condition)[0]


@pytest.mark.parametrize(
    "condition",
    [
        "a >= 3 and a <= 3",
        "a > 3 and a < 4",
        "t = '1' and t = '01'",
        "t = 'x' or t = 'z'",
        "a = 9007199254740993 and a = 9007199254740992",
        "a < b and b < a",
        "t > 'lead' and t < 'lead'",
        "seen_at > {{ as_of() }} - interval '1 month' and seen_at < {{ as_of() }} - interval '30 days'",
        "t in (select t from {{ ref('contacts') }} where a = 1) and t not in (select t from {{ ref('contacts') }} where a = 2) and t is not null and stage in (select stage from {{ ref('contacts') }})",
    ],
)
def test_what_is_not_certain_is_not_said(project: MakeProject, condition: str) -> None:
    assert not any("never have members" in text for text in findings(project, s=condition)[0])


def test_two_segments_that_are_the_same_or_lie_within_one_another(project: MakeProject) -> None:
    warnings, notes = findings(
        project,
        one="a >= 3 and stage = 'x'",
        same="not (a < 3 or stage != 'x')",
        within="a > 5 and stage = 'x' and f",
        apart="a >= 3 and stage = 'y'",
        built="select contact_id from {{ ref('one') }} where contact_id != '9'",
    )
    assert warnings == ["`one` always has the same members as `same`"]
    assert sorted(notes) == [
        "`built` lies within `same`: all its members are in that",
        "`within` lies within `one`: all its members are in that",
        "`within` lies within `same`: all its members are in that",
    ]


def test_exclusive_segments_that_can_overlap(project: MakeProject) -> None:
    warnings, _ = findings(
        project,
        early="late|stage = 'x' and a <= 3",
        late="stage = 'x' and a >= 3",
        other="early|stage = 'z' and a <= 3",
        inner="late|stage = 'x' and a > 7 and f",
        unknown="late|stage = 'x' and a < b",
    )
    assert warnings == [
        "`early` is exclusive with `late`, yet nothing keeps out of both: a = 3, stage = 'x'",
        "`inner` is exclusive with `late`, yet nothing keeps out of both: all members of one",
    ]


@pytest.mark.parametrize(
    ("contacts", "one", "other"),
    [
        # Within the other one, and perhaps without members.
        (CONTACTS, "a > 3", "a > 5 and upper(t) = 'de'"),
        # `stage` is computed from `a`: who has a value there is never `lead`.
        (
            "select * exclude (stage), if(a is null, 'lead', 'paid') as stage from {{ ref('people') }}",
            "stage = 'lead' and a > 1",
            "stage = 'lead' and b > 1",
        ),
        ("select * replace (a as b) from {{ ref('people') }}", "a > 5", "b < 3"),
        (f"{CONTACTS} where a < 10", "a > 20", "a > 30"),
        (f"{CONTACTS} where a < 10 or b < 10", "a > 20", "b > 20"),
        # One table may lack a row for either column.
        (
            "select p.* exclude (a, b), o.a, o.b from {{ ref('people') }} as p left join {{ ref('people') }} as o on p.t = o.email",
            "a > 3",
            "b > 3",
        ),
        ("select * replace ('y' as stage) from {{ ref('people') }}", "stage = 'x'", "stage = 'x' and a > 3"),
    ],
)  # fmt: skip
def test_an_overlap_that_the_data_may_rule_out_is_not_claimed(
    project: MakeProject, contacts: str, one: str, other: str
) -> None:
    warnings, _ = said_of(project, contacts, one=f"other|{one}", other=other)
    assert not any("yet nothing keeps out" in text for text in warnings)


def test_one_computed_column_may_have_any_value(project: MakeProject) -> None:
    contacts = "select * replace (a + 1 as a) from {{ ref('people') }} where b is not null"
    warnings, _ = said_of(project, contacts, one="other|a > 3", other="a > 5")
    assert (
        "`one` is exclusive with `other`, yet nothing keeps out of both: all members of one"
        in warnings
    )


def test_a_segment_is_exclusive_with_one_that_is_there(project: MakeProject) -> None:
    made = project({"seeds/people.csv": PEOPLE, "models/contacts.sql": CONTACTS})
    made.write(
        {
            "models/segments/s.sql": "{{ config(exclusive_with=['ss']) }}\nselect contact_id from {{ ref('contacts') }}"
        }
    )
    outcome = made.segflow("compile")
    assert outcome.code == 2
    assert "`s` is exclusive with the segment `ss`, which there is not" in outcome.err


def test_traps_of_null(project: MakeProject) -> None:
    contacts = "{{ ref('contacts') }}"
    tie = f"select 1 from {contacts} as o where o.referrer"
    warnings, _ = findings(
        project,
        drops="t != 'x'",
        drops_more="t not in ('x', 'y') and f",
        lists="t not in ('x', null) or f",
        says_so="t != 'x' and t is not null",
        handles="t != 'x' or t is null",
        certain="stage != 'x'",
        picks=f"email not in (select referrer from {contacts}) and email is not null",
        picks_ids=f"contact_id not in (select contact_id from {contacts})",
        picks_members="contact_id not in (select contact_id from {{ ref('certain') }})",
        slips=f"not exists ({tie} = contacts.email)",
        holds=f"not exists ({tie} = contacts.contact_id)",
    )
    assert [text for text in warnings if "exclusive" not in text] == [
        "`drops` leaves out whoever has no `t`: add `t is not null` if meant",
        "`drops_more` leaves out whoever has no `t`: add `t is not null` if meant",
        "`lists` asks what is true of nobody, as a null is in the list: `t not in ('x', null)`",
        "`picks` has nobody once a `lifecycle.contacts.referrer` is null: use not exists for `email not in (select referrer as referrer from lifecycle.contacts as contacts)`",
        '`slips` excludes nobody whose `email` is null: `not exists(select 1 as "1" from lifecycle.contacts as o where o.referrer = email)`',
    ]


def test_the_starter_raises_no_alarm(starter: Project) -> None:
    found = starter.segflow("compile", "--output", "json").json["results"]
    assert (found["warnings"], found["notes"]) == ([], [])


# ── brute force ───────────────────────────────────────────────────────────────────────────────

NUMBERS = st.integers(0, 3)
WORDS = st.sampled_from(["lead", "trial", "paid"])
COLUMNS = st.sampled_from(["a", "b"])
TESTS = st.one_of(
    st.builds("{} {} {}".format, COLUMNS, st.sampled_from(["<", "<=", ">", ">=", "=", "!="]), NUMBERS),
    st.builds("{} {} between {} and {}".format, COLUMNS, st.sampled_from(["", "not"]), NUMBERS, NUMBERS),
    st.builds("{} {} in ({}, {})".format, COLUMNS, st.sampled_from(["", "not"]), NUMBERS, NUMBERS),
    st.builds("{} is {} null".format, st.sampled_from(["a", "b", "t", "f"]), st.sampled_from(["", "not"])),
    st.builds("t {} '{}'".format, st.sampled_from(["=", "!=", "is distinct from", "is not distinct from", "like"]), WORDS),
    st.builds("t {} in ('{}', '{}')".format, st.sampled_from(["", "not"]), WORDS, WORDS),
    st.sampled_from(["f", "not f", "a < b", "a >= b", "f is true", "f is not true"]),
)  # fmt: skip
TREES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=5,
)


def everything() -> str:
    """Contacts with every combination of values that such definitions can tell apart."""
    numbers = ["null", *(str(n / 2) for n in range(-2, 9))]
    rows = product(
        numbers,
        numbers,
        ("null", "'lead'", "'trial'", "'paid'", "'else'"),
        ("null", "true", "false"),
    )
    values = ", ".join(f"({i}, {', '.join(row)})" for i, row in enumerate(rows))
    return f"select * from (values {values}) as contacts (contact_id, a, b, t, f)"


@settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
@example(["not (t is not null or t is distinct from 'lead')", "t is not distinct from 'lead'"])
@given(st.lists(TREES, min_size=12, max_size=12, unique=True))
def test_all_that_is_claimed_is_so(conditions: list[str]) -> None:
    segments = {f"s{i}": condition for i, condition in enumerate(conditions)}
    with TemporaryDirectory() as folder:
        made = Project(Path(folder))
        columns = "'1' as contact_id, 1.5 as a, 1.5 as b, 'x' as t, true as f"
        made.write({"segflow.yml": SEGFLOW_YML, "models/contacts.sql": f"select {columns}"})
        select = "select contact_id from {{ ref('contacts') }} where "
        made.write({f"models/segments/{n}.sql": select + c for n, c in segments.items()})
        compiled = compile_project(Options("compile", AS_OF, made.root), Environment())
        definitions = Definitions(compiled.graph, compiled.compilation)
        found = {name: definitions.of(name) for name in segments}
        reasoner = Reasoner(found)
    with duckdb.connect() as connection:
        connection.execute(
            f"create schema lifecycle; create table lifecycle.contacts as {everything()}"
        )
        for definition in found.values():
            # Negations that were pushed down leave true, false and null where they were.
            for clause in (part for whole in definition.clauses for part in whole.walk()):
                if clause.parts:
                    again = f" {clause.kind} ".join(f"({part.sql})" for part in clause.parts)
                    counted = f"select count(*) from {definition.source} where ({clause.sql}) is distinct from ({again})"
                    assert connection.execute(counted).fetchone() == (0,), clause.text
        members = {
            name: {
                row[0]
                for row in connection.execute(
                    f"select contact_id from lifecycle.contacts where {condition}"
                ).fetchall()
            }
            for name, condition in segments.items()
        }
    for name in segments:
        assert found[name].is_judged
        if reasoner.is_never(name):
            assert members[name] == set(), segments[name]
        elif "a < b" not in segments[name] and "a >= b" not in segments[name]:
            # Where columns have nothing to do with each other, nothing goes unnoticed.
            is_free = "like" not in segments[name] and "f is not true" not in segments[name]
            assert members[name] or not is_free, segments[name]
    for name, other in product(segments, segments):
        if name != other and reasoner.is_contained(name, other):
            assert members[name] <= members[other], (segments[name], segments[other])
        if name != other and reasoner.common(name, other, lambda columns: True):
            assert members[name] & members[other], (segments[name], segments[other])
