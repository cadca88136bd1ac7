"""Who may be in an audience: consent, suppression, reachability, exclusion, keys; and its columns."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segflow.audiences import audiences, user_types
from segflow.audiences.guards import Watched
from segflow.audiences.permission import HELD, permission_sql
from segflow.engines.base import Session
from segflow.engines.duckdb import DuckDB, DuckDBSettings
from segflow.pipeline import compile_project
from segflow.project.config import Environment
from segflow.report import Options
from tests.conftest import SEGFLOW_YML, MakeProject, Project
from tests.line import LINE, file, line, manifest

CONSENTS = "seeds/agreed.csv"
PEOPLE = "seeds/people.csv"
AUDIENCES = "models/audiences.yml"


def built(made: Project, *arguments: str) -> dict[str, tuple[int, dict[str, int]]]:
    """Rows of each audience, and why the other candidates are not in it."""
    results = made.segflow("run", "--output", "json", *arguments).json["results"]
    for audience in results["audiences"]:
        assert audience["candidates"] == audience["rows"] + sum(audience["held"].values())
    return {a["audience"]: (a["rows"], a["held"]) for a in results["audiences"]}


def test_each_reason_is_counted_and_nobody_else_is_in_it(project: MakeProject) -> None:
    made = line(project)
    found = built(made)
    # a agreed; c refused, d has no address, e bounces; the desk needs neither consent nor address
    assert found["trial_mail"] == (1, {"no_address": 1, "no_consent": 1, "unreachable": 1})
    assert found["active_calls"] == (2, {})
    assert file(made, "trial_mail") == "email,BECAUSE\na@x.example,trial\n"


@pytest.mark.parametrize(
    ("statements", "mailed"),
    [
        ("a,email,marketing,true", True),
        ("", False),
        ("a,email,marketing,false", False),
        ("a,email,marketing,", False),
        ("a,email,service,true", False),
        ("a,in_app,marketing,true", False),
        ("b,email,marketing,true", False),
        ("a,email,marketing,true\na,email,marketing,false", False),
        ("a,email,marketing,true\na,email,marketing,", False),
    ],
)
def test_consent(project: MakeProject, statements: str, mailed: bool) -> None:
    made = line(project)
    header = "contact_id,channel,purpose,is_granted\n"
    types = LINE["seeds/types.yml"].replace(
        "- {name: agreed, config: {column_types: {contact_id: VARCHAR}}}",
        "- {name: agreed, config: {column_types: {contact_id: VARCHAR, channel: VARCHAR,"
        " purpose: VARCHAR, is_granted: BOOLEAN}}}",
    )
    made.write({CONSENTS: f"{header}{statements}\n", "seeds/types.yml": types})
    built(made)
    assert ("a@x.example" in file(made, "trial_mail")) is mailed


@pytest.mark.parametrize(
    ("basis", "expected"),
    [("consent", {"a"}), ("opt_out", {"a", "f"}), ("contract", {"a", "c", "f"})],
)
def test_the_basis_of_a_purpose(project: MakeProject, basis: str, expected: set[str]) -> None:
    made = line(project)
    made.write(
        {
            PEOPLE: LINE[PEOPLE] + "f,f@x.example,trial,true\n",
            AUDIENCES: LINE[AUDIENCES].replace(
                "{name: marketing}", f"{{name: marketing, basis: {basis}}}"
            ),
        }
    )
    built(made)
    mails = made.rows("select email from audiences.trial_mail")
    assert {mail[0] for (mail,) in mails} == expected


def test_without_a_model_of_consents_nobody_agreed(project: MakeProject) -> None:
    made = line(project)
    (made.root / "models/consents.sql").unlink()
    rows, held = built(made)["trial_mail"]
    assert rows == 0 and held["no_consent"] == 2


def test_what_an_address_refuses_all_its_contacts_refuse(project: MakeProject) -> None:
    made = line(project)
    agreed = LINE[CONSENTS]
    for extra, reason in (
        ("f, A@X.example ,other,true\n", "no_consent"),  # f says no below
        ("f,a@x.example,other,false\n", "unreachable"),
        ("f,a@x.example,other,true\n", "suppressed"),
    ):
        made.write({PEOPLE: LINE[PEOPLE] + extra, CONSENTS: agreed})
        if reason == "no_consent":
            made.write({CONSENTS: agreed + "f,email,marketing,false\n"})
        suppress = "is_reachable" if reason != "suppressed" else "contact_id != 'f'"
        made.write(
            {
                "models/segments/unreachable.sql": LINE["models/segments/unreachable.sql"].replace(
                    "not is_reachable", f"not ({suppress})"
                )
            }
        )
        rows, held = built(made)["trial_mail"]
        assert rows == 0 and held[reason] >= 1, (extra, held)


def test_shared_keys_exclusions_and_unknown_contacts(project: MakeProject) -> None:
    made = line(project)
    made.write(
        {
            PEOPLE: LINE[PEOPLE] + "A0,A@x.example,trial,true\n,nobody@x.example,trial,true\n",
            CONSENTS: LINE[CONSENTS] + "A0,email,marketing,true\n",
            "models/segments/in_trial.sql": (
                "select contact_id, stage as because from {{ ref('contacts') }}"
                " where stage = 'trial' and contact_id is not null"
                " union all select 'ghost', 'trial'"
            ),
            "models/segments/nobody.sql": (
                "select contact_id from {{ ref('contacts') }} where contact_id = ''"
            ),
            AUDIENCES: LINE[AUDIENCES].replace(
                "{name: trial_mail, segments: [in_trial]",
                "{name: trial_mail, segments: [in_trial, lately_active], exclude: [nobody]",
            )
            + "  - {name: others, segments: [in_trial], exclude: [lately_active], channel: desk,\n"
            "     destination: files, key: contact_id, purpose: service, fields: {}}\n",
        }
    )
    found = built(made)
    # A0 and a have one address in two spellings: the first by contact_id stands for both
    assert made.rows("select email, because from audiences.trial_mail order by 1") == [
        ("A@x.example", "trial"),
        ("b@x.example", None),
    ]
    assert found["trial_mail"][1]["same_key"] == found["trial_mail"][1]["unknown_contact"] == 1
    assert made.rows("from audiences.others order by all") == [("A0",), ("c",), ("d",), ("e",)]
    assert found["others"] == (4, {"excluded": 1, "unknown_contact": 1})
    assert found["everyone"] == (6, {"unknown_contact": 1})


def test_evidence_comes_before_contacts_but_never_for_the_address(project: MakeProject) -> None:
    made = line(project)
    made.write(
        {
            "models/segments/in_trial.sql": "select contact_id, 'evil@x.example' as email,"
            " 'evidence' as stage from {{ ref('contacts') }} where stage = 'trial'",
            AUDIENCES: LINE[AUDIENCES].replace(
                "BECAUSE: because", "S: stage, TO: email, R: is_reachable"
            ),
        }
    )
    built(made)
    assert file(made, "trial_mail") == "TO,S,R\na@x.example,evidence,true\n"


def test_a_column_that_is_nowhere_fails_that_audience(project: MakeProject) -> None:
    made = line(project)
    made.run()
    # columns by `select *` from a source cannot be known before the run
    made.write(
        {
            "data/more.csv": "contact_id\na\n",
            "models/more.yml": "sources: [{name: more, tables: [{name: more, config: {external_location: data/more.csv}}]}]",
            "models/segments/in_trial.sql": "select * from {{ source('more', 'more') }}",
        }
    )
    outcome = made.segflow("run", "--output", "json")
    assert outcome.code == 1
    assert outcome.json["errors"] == [
        "trial_mail: neither its segments nor its contacts have a column `because`"
    ]
    assert made.rows("select count(*) from audiences.trial_mail") == [(1,)]
    assert manifest(made)["trial_mail"]["state"] == "kept"


def test_user_types_of_everyone(project: MakeProject) -> None:
    made = line(project)
    made.write(
        {
            "models/personas/last.yml": "personas: [{name: last, segment: in_trial},"
            " {name: busy, segment: lately_active}]",
            "models/personas/first.yml": "personas: [{name: first, segment: unreachable}]",
            AUDIENCES: LINE[AUDIENCES].replace(
                "personas: [{name: nancy, segment: in_trial}]\n", ""
            ),
        }
    )
    built(made)
    assert made.rows("from segments.user_types order by contact_id") == [
        ("a", "trial", "last", ["in_trial", "lately_active"], None),
        ("b", "active", "busy", ["lately_active"], None),
        ("c", "trial", "last", ["in_trial"], None),
        ("d", "trial", "last", ["in_trial"], None),
        ("e", "trial", "first", ["in_trial", "unreachable"], None),
    ]
    assert file(made, "everyone").splitlines()[:2] == [
        "contact_id,stage,persona,segments",
        "a,trial,last,in_trial;lately_active",
    ]


def test_reach(project: MakeProject) -> None:
    made = line(project)
    built(made)
    assert made.rows("from segments.reach order by all") == [
        ("in_trial", "desk", 4, 4, 4),
        ("in_trial", "email", 4, 2, 1),
        ("lately_active", "desk", 2, 2, 2),
        ("lately_active", "email", 2, 2, 2),
        ("unreachable", "desk", 1, 1, 1),
        ("unreachable", "email", 1, 0, 0),
    ]


def test_a_partial_run_builds_only_the_audiences_that_are_chosen(project: MakeProject) -> None:
    made = line(project)
    made.run()
    mail = file(made, "trial_mail")
    made.write({PEOPLE: LINE[PEOPLE].replace("a@x", "new@x")})
    found = built(made, "--select", "people", "contacts", "in_trial", "active_calls")
    assert list(found) == ["active_calls"]
    assert file(made, "trial_mail") == mail
    assert "new@x" in file(made, "active_calls")


# ── whatever the data ─────────────────────────────────────────────────────────────────────────

IDS = st.sampled_from(["a", "b", "c", "d", "B"])
YES_NO = st.sampled_from([True, False, None])
MAILS = st.sampled_from([None, "", " ", "x@x", " X@x", "y@x", "z@x"])
PERSON = st.tuples(IDS | st.none(), MAILS, YES_NO)
STATEMENT = st.tuples(
    IDS | st.just("ghost") | st.none(),
    st.sampled_from(["email", "desk", None]),
    st.sampled_from(["marketing", "service", "profiling", None]),
    YES_NO,
)
SEGMENTS = st.fixed_dictionaries(
    {name: st.frozensets(IDS | st.just("ghost")) for name in ("p", "q", "gate", "out")}
)
YML = """
channels: [{name: email, address: email, reachable: is_reachable, suppress: [gate]}]
purposes: [{name: marketing, basis: BASIS}]
audiences:
  - {name: mail, segments: [p, q], exclude: [out], channel: email, destination: files, key: email,
     fields: {who: contact_id}}
"""


@pytest.fixture(scope="module", params=["consent", "opt_out", "contract"])
def basis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A session with the graph of a project whose tables the test fills itself."""
    made = Project(tmp_path_factory.mktemp("audiences"))
    one = "select 'a' as contact_id, 'x' as email, true as is_reachable"
    two = "select 'a' as contact_id, 'email' as channel, 'marketing' as purpose, true as is_granted"
    made.write(
        {"segflow.yml": SEGFLOW_YML, "models/contacts.sql": one, "models/consents.sql": two}
        | {
            f"models/segments/{name}.sql": "select 'a' as contact_id"
            for name in ("p", "q", "gate", "out")
        }
        | {"models/a.yml": YML.replace("BASIS", request.param)}
    )
    options = Options("test", datetime(2026, 7, 1), made.root)
    graph = compile_project(options, Environment()).graph
    engine = DuckDB(DuckDBSettings(path="a.duckdb"), made.root, 2)
    engine.open_run()
    with engine.session() as session:
        for schema in ("lifecycle", "segments", "audiences"):
            session.execute(f"create schema {schema}")
        yield request.param, session, graph
    engine.discard_run()


def literal(value: Any) -> str:
    return (
        "null"
        if value is None
        else repr(value).lower()
        if isinstance(value, bool)
        else f"'{value}'"
    )


def fill(session: Session, table: str, columns: str, rows: list[Any]) -> None:
    nothing = ", ".join("null" for _ in columns.split(","))
    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows) or f"({nothing})"
    names = ", ".join(part.split()[0] for part in columns.split(","))
    casts = ", ".join(
        f"{name}::{kind} as {name}" for name, kind in map(str.split, columns.split(","))
    )
    limit = "" if rows else " limit 0"
    session.execute(
        f"create or replace table {table} as select {casts} from (values {values}) as t ({names}){limit}"
    )


def expected(
    basis: str, people: list[Any], statements: list[Any], segments: dict[str, frozenset[str]]
) -> tuple[set[tuple[str, str]], Counter[str]]:
    """Who is in the audience, as address and contact, and why the others are not; in plain Python."""
    address = {one: (mail or "").strip().lower() or None for one, mail, _ in people}
    reachable = {one: yes for one, _, yes in people}
    said: dict[str, bool] = {}
    for one, channel, purpose, yes in statements:
        if channel == "email" and purpose == "marketing":
            said[one] = said.get(one, True) and yes is True
    for one, _, purpose, yes in statements:
        if purpose == "profiling" and yes is not True:
            said[one] = False

    def reason(one: str) -> str | None:
        if one in segments["out"]:
            return "excluded"
        if one not in address:
            return "unknown_contact"
        if address[one] is None:
            return "no_address"
        others = [other for other in address if address[other] == address[one]]
        if reachable[one] is not True or any(reachable[other] is False for other in others):
            return "unreachable"
        if basis != "contract" and any(other in segments["gate"] for other in others):
            return "suppressed"
        refused = basis != "contract" and any(said.get(other) is False for other in others)
        if refused or (basis == "consent" and one not in said):
            return "no_consent"
        return None

    chosen: dict[str, str] = {}
    why: Counter[str] = Counter()
    for one in sorted(segments["p"] | segments["q"]):
        because = reason(one)
        if because is None and address[one] in chosen:
            because = "same_key"
        if because is None:
            chosen[str(address[one])] = one
        else:
            why[because] += 1
    return set(chosen.items()), why


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    people=st.lists(PERSON, max_size=6, unique_by=lambda person: person[0]),
    statements=st.lists(STATEMENT, max_size=8),
    segments=SEGMENTS,
)
def test_nobody_without_permission(
    basis: Any, people: list[Any], statements: list[Any], segments: dict[str, frozenset[str]]
) -> None:
    name, session, graph = basis
    fill(
        session,
        "lifecycle.contacts",
        "contact_id varchar, email varchar, is_reachable boolean",
        people,
    )
    fill(
        session,
        "lifecycle.consents",
        "contact_id varchar, channel varchar, purpose varchar, is_granted boolean",
        statements,
    )
    stays = [(segment, one) for segment, ids in segments.items() for one in sorted(ids)]
    fill(session, "segments.memberships", "segment varchar, contact_id varchar", stays)
    for segment in segments:
        session.execute(
            f'create or replace view segments."{segment}" as select contact_id'
            f" from segments.memberships where segment = '{segment}'"
        )
    made = audiences.build_audience(session, graph, graph.project.audiences[0], Watched())
    rows, why = expected(name, people, statements, segments)
    found = session.rows("select lower(trim(email)), who from audiences.mail")
    assert set(found) == rows and len(found) == made.rows
    assert made.held == why
    assert (
        made.candidates == made.rows + sum(made.held.values()) == len(segments["p"] | segments["q"])
    )
    reach = user_types.write_reach(session, graph)
    permitted = {
        one
        for (one,) in session.rows(
            f"select contact_id from ({permission_sql(graph, graph.project.channels[0], graph.project.purposes[0])})"
            f" where {HELD} is null"
        )
    }
    for segment, ids in segments.items():
        assert reach.get((segment, "email"), 0) == len(ids & permitted)
