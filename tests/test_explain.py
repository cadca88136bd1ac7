"""Why somebody is in a segment: verdicts, values, and what would have to change."""

import re
from typing import Any

import pytest

from tests.conftest import MakeProject, Project

CONTACTS = """
select
    t.*,
    case
        when is_late then 'past_due'
        when days > 10 then 'heavy'
        when days is null or country = 'XX' then 'unknown'
        else 'light'
    end as stage
from (values
    ('c1', 'jo@x.example', 12, 'DE', false, timestamp '2026-07-02 01:00:00'),
    ('c2', 'shared@x.example', 3, null, false, timestamp '2026-07-01 02:00:00'),
    ('c3', 'shared@x.example', 8, 'FR', true, null),
    ('c4', null, null, 'FR', false, null)
) as t (contact_id, email, days, country, is_late, ends_at)
"""
CONTACTS_YML = """
models:
  - name: contacts
    columns:
      - {name: email, meta: {identifier: true}}
"""
CARTS = """
select * from (values ('c1', 5), ('c1', 50), ('c2', 20)) as t (contact_id, amount)
"""
SEGMENTS = {
    "often": "select contact_id from {{ ref('contacts') }} where days >= 8 and country != 'FR'",
    "light": "select contact_id from {{ ref('contacts') }} where stage in ('light', 'none') or ends_at > {{ as_of() }} + interval '1 day'",
    "carts_large": "select contacts.contact_id from {{ ref('contacts') }} as contacts inner join {{ ref('carts') }} as carts"
    " on contacts.contact_id = carts.contact_id where carts.amount > 15 and contacts.days between 1 and 5 and not contacts.is_late",
    "others": "select contact_id from {{ ref('contacts') }} anti join {{ ref('often') }} using (contact_id) where country like 'F%'",
    "united": "select contact_id from {{ ref('contacts') }} where days > 5 union select contact_id from {{ ref('contacts') }} where is_late",
}
FILES = {
    "models/contacts.sql": CONTACTS,
    "models/contacts.yml": CONTACTS_YML,
    "models/carts.sql": CARTS,
    **{f"models/segments/{name}.sql": sql for name, sql in SEGMENTS.items()},
}


@pytest.fixture
def made(project: MakeProject) -> Project:
    made = project(FILES)
    made.run("--quiet")
    return made


def explained(made: Project, *names: str) -> Any:
    outcome = made.segflow("explain", *names, "--output", "json")
    assert outcome.code == 0, outcome.out
    return outcome.json["results"]


def verdicts(found: Any) -> dict[str, tuple[Any, Any, str]]:
    """Verdict, values and needs of every clause that is not made of others, by its text."""

    def flat(clauses: Any) -> Any:
        for clause in clauses:
            if clause["parts"]:
                yield from flat(clause["parts"])
            else:
                yield clause["text"], (clause["verdict"], clause["values"], clause["needs"])

    return dict(flat(found["clauses"]))


def test_a_member_passes_every_clause(made: Project) -> None:
    found = explained(made, "c1", "often")
    assert (found["is_in"], found["agrees"]) == (True, True)
    assert found["stays"] == [{"name": "often", "since": "2026-07-01T02:00:00", "until": None}]
    assert verdicts(found) == {
        "days >= 8": (True, {"days": "12"}, ""),
        "country != 'FR'": (True, {"country": "DE"}, ""),
    }


def test_what_would_have_to_change(made: Project) -> None:
    found = explained(made, "c2", "often")
    assert (found["is_in"], found["agrees"], found["stays"]) == (False, True, [])
    assert verdicts(found) == {
        "days >= 8": (False, {"days": "3"}, "at least 8"),
        "country != 'FR'": (None, {"country": None}, "anything but FR"),
    }
    assert verdicts(explained(made, "c2", "light")) == {
        "stage in ('light', 'none')": (True, {"stage": "light"}, ""),
        "ends_at > as_of + interval '1 day'": (
            False,
            {"ends_at": "2026-07-01 02:00:00"},
            "after 2026-07-02 02:00:00",
        ),
    }
    assert verdicts(explained(made, "c4", "others"))["not in often"] == (True, {}, "")
    assert verdicts(explained(made, "c1", "others")) == {
        "not in often": (False, {}, ""),
        "country like 'F%'": (False, {"country": "DE"}, "like F%"),
    }


def test_of_several_rows_the_best_one_is_judged(made: Project) -> None:
    found = explained(made, "c1", "carts_large")
    assert verdicts(found) == {
        "a row in carts": (True, {"contact_id": "c1", "carts.contact_id": "c1"}, ""),
        "carts.amount > 15": (True, {"carts.amount": "50"}, ""),
        "days between 1 and 5": (False, {"days": "12"}, "between 1 and 5"),
        "not is_late": (True, {"is_late": "false"}, ""),
    }
    lacking = verdicts(explained(made, "c3", "carts_large"))
    assert lacking["a row in carts"][0] is False
    assert lacking["carts.amount > 15"] == (None, {"carts.amount": None}, "more than 15")
    assert lacking["not is_late"] == (False, {"is_late": "true"}, "false")


def test_the_case_behind_a_column(made: Project) -> None:
    stage = explained(made, "c1", "light")["clauses"][0]["parts"][0]
    assert (stage["verdict"], stage["needs"]) == (False, "one of light, none")
    branches = [
        (b["result"], b["model"], b["place"], b["condition"]["text"]) for b in stage["behind"]
    ]
    assert branches == [
        ("'heavy'", "contacts", "taken", "days > 10"),
        ("'light'", "contacts", "after", "none of those before it"),
    ]
    assert stage["behind"][0]["condition"]["values"] == {"days": "12"}
    assert stage["behind"][1]["condition"]["verdict"] is False
    said = made.segflow("explain", "c2", "light").out
    assert re.search(r"'light' because \(in contacts\)\n +✓ none of those before it\n", said)


def test_what_cannot_be_judged_says_so(made: Project) -> None:
    (clause,) = explained(made, "c2", "united")["clauses"]
    assert (clause["verdict"], clause["why"]) == (False, "it is a set operation")
    assert "not taken apart: it is a set operation" in made.segflow("explain", "c2", "united").out


def test_a_query_inside_a_clause_has_its_value_told(made: Project) -> None:
    contacts = "{{ ref('contacts') }}"
    clauses = [
        f"days > (select avg(days) from {contacts})",
        "not days < all (select 20)",
        f"days = any (select days from {contacts})",
        "(select true)",
        "(select 3) between 1 and (select 4)",
    ]
    sql = f"select contact_id from {contacts} where {' and '.join(clauses)}"
    made.write({"models/segments/above.sql": sql})
    made.run("--quiet")
    average = "(select avg(days) as _col_0 from lifecycle.contacts as contacts)"
    found = verdicts(explained(made, "c2", "above"))
    needs = f"more than 7.666666666666667 {average}"
    assert found[f"days > {average}"] == (False, {"days": "3"}, needs)
    assert [verdict for verdict, _, _ in found.values()] == [False, False, True, True, True]


def test_contacts_go_by_any_identifier(made: Project) -> None:
    assert explained(made, "JO@x.example", "often")["contact"] == "c1"
    shared = made.segflow("explain", "shared@x.example", "often")
    assert shared.code == 2
    assert "2 contacts are called `shared@x.example`: c2, c3" in shared.err
    nobody = made.segflow("explain", "nobody", "often")
    assert (nobody.code, "no contact has contact_id or email `nobody`" in nobody.err) == (2, True)
    assert "did you mean `often`?" in made.segflow("explain", "oftn").err
    assert "did you mean `often`?" in made.segflow("explain", "c1", "oftn").err
    assert made.segflow("explain").code == 2
    assert made.segflow("explain", "c1", "often", "light").code == 2


def test_one_contact(made: Project) -> None:
    made.write({"models/segments/often.sql": SEGMENTS["often"].replace("8", "20")})
    made.run("--quiet", "--as-of", "2026-07-02 02:00:00")
    found = explained(made, "c1")
    left = {"name": "often", "since": "2026-07-01T02:00:00", "until": "2026-07-02T02:00:00"}
    assert found["segments"] == [
        {"name": "united", "since": "2026-07-01T02:00:00", "until": None},
        left,
    ]
    near = {verdict["segment"]: verdicts(verdict) for verdict in found["near"]}
    assert near.keys() == {"often", "carts_large", "others"}
    assert near["often"]["days >= 20"] == (False, {"days": "12"}, "at least 20")
    text = made.segflow("explain", "c1").out
    assert "days is 12, needs at least 20" in text
    assert "from 2026-07-01 02:00 UTC until 2026-07-02 02:00 UTC" in text


def test_a_definition_that_changed_since_says_so(made: Project) -> None:
    made.write({"models/segments/often.sql": SEGMENTS["often"].replace("8", "20")})
    found = explained(made, "c1", "often")
    assert (found["is_in"], found["agrees"]) == (True, False)
    assert "the clauses say otherwise now" in made.segflow("explain", "c1", "often").out
    made.write({"models/segments/new.sql": SEGMENTS["often"]})
    never = made.segflow("explain", "c1", "new")
    assert (never.code, "`new` was never evaluated" in never.err) == (2, True)


def test_what_is_kept_says_since_when_and_why(made: Project) -> None:
    guard = "models: [{name: often, config: {guards: {max_left: 0}}}]"
    failing = CARTS + "union all select 'c3', cast('many' as integer)"
    often = SEGMENTS["often"].replace("8", "20")
    made.write({"models/g.yml": guard, "models/carts.sql": failing})
    made.write({"models/segments/often.sql": often})
    assert made.segflow("run", "--as-of", "2026-07-02 02:00:00").code == 1
    kept = "  kept since 2026-07-01 02:00 UTC: guard max_left 0: 1 of 1 would leave (100%)"
    edited = "by the definition of then, the clauses are by that of now"
    for names in (("often",), ("c1", "often")):
        shown = made.segflow("explain", *names).out
        assert kept in shown and edited in shown
        assert explained(made, *names)["standing"]["as_of"] == "2026-07-01T02:00:00"
    assert ", kept: guard max_left 0" in made.segflow("explain", "c1").out
    made.write({"models/carts.sql": CARTS})
    behind = made.segflow("explain", "carts_large").out
    assert "kept since 2026-07-01 02:00 UTC: reads carts" in behind
    assert edited not in behind
    assert "kept since" not in made.segflow("explain", "light").out


def test_before_the_first_run(project: MakeProject) -> None:
    outcome = project(FILES).segflow("explain", "c1", "often")
    assert (outcome.code, "segflow run" in outcome.err) == (2, True)


def test_a_funnel_that_knows_no_order(made: Project) -> None:
    found = explained(made, "carts_large")
    assert (found["everyone"], found["members"]) == (4, 1)
    counted = [(c["sql"], c["passes"], c["keeps_out"], c["without"]) for c in found["clauses"]]
    assert counted == [
        ("a row in carts", 2, 0, 1),
        ("carts.amount > 15", 2, 0, 1),
        ("days between 1 and 5", 1, 1, 2),
        ("not is_late", 3, 0, 1),
    ]


def test_overlaps_and_what_sets_members_apart(made: Project) -> None:
    found = explained(made, "united")
    assert found["members"] == 2
    assert found["overlaps"] == [
        {"segment": "often", "both": 1, "of_this": 0.5, "of_other": 1.0, "jaccard": 0.5},
        {"segment": "others", "both": 1, "of_this": 0.5, "of_other": 0.5, "jaccard": 1 / 3},
    ]
    values = {(v["column"], v["value"]): (v["members"], v["everyone"]) for v in found["values"]}
    assert values["country", None] == (0, 0.25)
    assert values["stage", "heavy"] == (0.5, 0.25)
    assert not any(column in ("contact_id", "email") for column, _ in values)
    assert found["medians"] == [{"column": "days", "members": 10.0, "everyone": 8.0}]


def test_a_persona_card(starter: Project) -> None:
    outcome = starter.segflow("explain", "--persona", "new_trial_nancy")
    assert outcome.out.startswith("New Trial Nancy: trials_starting\n  Wants to see it work")
    assert "stage trial                                         100%" in outcome.out
    missing = starter.segflow("explain", "--persona", "nancy")
    assert (missing.code, "unknown persona `nancy`" in missing.err) == (2, True)


def test_the_starters_stage_is_followed_down_to_its_case(starter: Project) -> None:
    rows = starter.rows("select stage, min(contact_id) from lifecycle.contacts group by stage")
    for stage, contact in rows:
        (clause,) = explained(starter, contact, "new_customers")["clauses"]
        assert clause["values"] == {"stage": stage}
        taken = [branch for branch in clause["behind"] if branch["place"] == "taken"]
        if stage in ("lead", "subscriber"):
            assert taken == []
        else:
            assert [branch["result"] for branch in taken] == [f"'{stage}'"]
            assert {branch["model"] for branch in clause["behind"]} == {"account_stages"}
            assert taken[0]["condition"]["verdict"] is True
    found = explained(starter, "c1")
    assert found["stages"][-1]["until"] is None


def test_bi_finds_what_every_clause_does(made: Project) -> None:
    counted = "select sql, passes, keeps_out, size_without from segments.clauses where segment = '{}' order by clause"
    funnel = [("days >= 8", 2, 0, 1), ("country != 'FR'", 1, 0, 1)]
    assert made.rows(counted.format("often")) == [(s, None, None, None) for s, *_ in funnel]
    made.write({"models/segments/often.sql": SEGMENTS["often"].replace("8", "20")})
    made.run("--quiet", "--as-of", "2026-07-02 02:00:00")
    assert made.rows(counted.format("often")) == [
        ("days >= 20", 0, 1, 1),
        ("country != 'FR'", 1, 0, 0),
    ]
    assert made.rows(counted.format("united"))[0][1] is None
    made.run("--quiet", "--as-of", "2026-07-03 02:00:00", "--refresh")
    assert made.rows(counted.format("united")) == [("in united", 2, 2, 4)]
    reasons = made.rows(
        "select distinct segment, not_judged_because from segments.clauses where not_judged_because is not null"
    )
    assert reasons == [("united", "it is a set operation")]
