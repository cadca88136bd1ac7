"""A change that is larger than its guards allow stays out until somebody approves it."""

from typing import Any

import pytest

from tests.conftest import SEGFLOW_YML, MakeProject, Outcome, Project

CONTACTS = """
select 'c' || range as contact_id, 'c' || range || '@x.example' as email
from range({{ var('contacts') }})
"""
YML = """
models:
  - name: everybody
    config: {guards: GUARDS}
channels: [{name: email, address: email, consent: none}]
audiences:
  - name: mails
    segments: [everybody]
    channel: email
    destination: files
    key: email
    fields: {id: contact_id}
    guards: LIMITS
  - {name: others, segments: [first], channel: email, destination: files, key: email, fields: {}}
"""


def make(project: MakeProject, guards: str = "{}", limits: str = "{}") -> Project:
    return project(
        {
            "models/contacts.sql": CONTACTS,
            "models/segments/everybody.sql": "select contact_id from {{ ref('contacts') }}",
            "models/segments/first.sql": "select contact_id from {{ ref('contacts') }} limit 1",
            "models/a.yml": YML.replace("GUARDS", guards).replace("LIMITS", limits),
        },
        SEGFLOW_YML + "vars: {contacts: 200}\n",
    )


def run(made: Project, contacts: int, day: int, *words: str) -> Outcome:
    moment = f"2026-07-{day:02} 02:00:00"
    return made.segflow("run", "--vars", f"contacts: {contacts}", "--as-of", moment, *words)


def members(made: Project, segment: str = "everybody") -> int:
    sql = f"select count(*) from segments.memberships where segment = '{segment}'"
    return int(made.rows(sql)[0][0])


def lines(made: Project) -> int:
    return (made.root / "exports/files/mails.csv").read_text().count("\n") - 1


@pytest.mark.parametrize(
    ("guards", "contacts", "says", "moved"),
    [
        ("{max_left: 20%}", 150, "guard max_left 20%: 50 of 200 would leave (25%)", 50),
        ("{max_left: 49}", 150, "guard max_left 49: 50 of 200 would leave (25%)", 50),
        ("{max_entered: 12.5%}", 230, "guard max_entered 12.5%: 30 of 200 would enter (15%)", 30),
        ("{min_size: 199}", 198, "guard min_size 199: 200 would become 198", 2),
        ("{max_size: 210}", 211, "guard max_size 210: 200 would become 211", 11),
    ],
)
@pytest.mark.parametrize("of_audience", [False, True])
def test_each_guard_holds_until_it_is_approved(
    project: MakeProject, guards: str, contacts: int, says: str, moved: int, of_audience: bool
) -> None:
    made = make(project, *(("{}", guards) if of_audience else (guards, "{}")))
    name, stays = ("mails", contacts) if of_audience else ("everybody", 200)
    assert run(made, 200, 1).code == 0
    for day in (2, 3):
        stopped = run(made, contacts, day)
        assert stopped.code == 1
        assert says in stopped.out.replace("\n", " ")
        assert f"segflow retry --approve {name}={moved}" in stopped.out
        assert (members(made), lines(made), members(made, "first")) == (stays, 200, 1)
        others = made.rows(
            "select as_of::date::varchar from segments.status where relation = 'audiences.others'"
        )
        assert others == [(f"2026-07-{day:02}",)]
    assert made.segflow("retry", "--approve", f"{name}={moved - 1}").code == 1
    assert (members(made), lines(made)) == (stays, 200)
    approved = made.segflow("retry", "--approve", f"{name}={moved}")
    assert approved.code == 0, approved.out
    assert (members(made), lines(made)) == (contacts, contacts)
    assert made.rows("select name, moved, approved from segflow.approvals") == [
        (name, moved, moved)
    ]
    assert run(made, contacts, 4).code == 0


def test_a_share_counts_from_a_hundred_up_and_not_at_first(project: MakeProject) -> None:
    made = make(project, "{max_left: 20%, max_entered: 50%}", "{max_left: 20%, max_entered: 50%}")
    assert run(made, 99, 1).code == 0
    assert run(made, 1, 2).code == 0
    assert run(made, 100, 3).code == 0
    assert run(made, 79, 4).code == 1
    assert run(made, 80, 5).code == 0


@pytest.mark.parametrize(("before", "code"), [(9, 0), (10, 1), (99, 1)])
def test_all_of_a_few_do_not_leave_at_once(project: MakeProject, before: int, code: int) -> None:
    made = make(project, "{max_left: 20%}")
    assert run(made, before, 1).code == 0
    assert run(made, 0, 2).code == code


@pytest.mark.parametrize("of_audience", [False, True])
@pytest.mark.parametrize(
    ("before", "now", "guards", "code"),
    [
        (200, 200, "{max_size: 100}", 0),
        (200, 150, "{max_size: 100}", 0),
        (200, 201, "{max_size: 100}", 1),
        (200, 200, "{min_size: 300}", 0),
        (200, 250, "{min_size: 300}", 0),
        (200, 199, "{min_size: 300}", 1),
    ],
)
def test_a_size_that_no_change_leads_to_is_warned_of(
    project: MakeProject, before: int, now: int, guards: str, code: int, of_audience: bool
) -> None:
    made = make(project)
    assert run(made, before, 1).code == 0
    limits = ("{}", guards) if of_audience else (guards, "{}")
    made.write({"models/a.yml": YML.replace("GUARDS", limits[0]).replace("LIMITS", limits[1])})
    outcome = run(made, now, 2)
    assert outcome.code == code
    name = "mails" if of_audience else "everybody"
    said = f"warning  {name} has {now} members ({guards.strip('{}').replace(':', '')})"
    assert (said in outcome.out) == (code == 0)


def test_every_guard_that_trips_is_named(project: MakeProject) -> None:
    made = make(project, "{max_left: 20%, min_size: 180}")
    assert run(made, 200, 1).code == 0
    quiet = run(made, 100, 2, "--quiet")
    assert (quiet.code, quiet.out) == (1, "")
    assert "everybody: guard max_left 20%" in quiet.err and "; guard min_size 180" in quiet.err


def test_all_ceilings_are_named_at_once(project: MakeProject) -> None:
    made = make(project, "{max_left: 20%}", "{max_left: 10%}")
    assert run(made, 200, 1).code == 0
    stopped = run(made, 100, 2)
    assert "segflow retry --approve everybody=100 --approve mails=100" in stopped.out
    assert (members(made), lines(made)) == (200, 200)
    one = made.segflow("retry", "--approve", "everybody=100")
    assert (one.code, members(made), lines(made)) == (1, 100, 200)
    assert "segflow retry --approve mails=100" in one.out
    assert run(made, 40, 3, "--approve", "everybody=60", "--approve", "mails=160").code == 0
    approved = made.rows("select name, moved from segflow.approvals order by all")
    assert approved == [("everybody", 60), ("everybody", 100), ("mails", 160)]


def test_what_is_approved_can_be_delivered_without_a_run(project: MakeProject) -> None:
    made = make(project, "{}", "{max_left: 10%}")
    assert run(made, 200, 1).code == 0
    assert run(made, 100, 2).code == 1
    assert made.segflow("deliver", "--approve", "mails=99").code == 1
    assert lines(made) == 200
    refused = made.segflow("deliver", "--approve", "everybody=100")
    assert refused.code == 2
    assert "segflow retry --approve everybody=100" in refused.err
    delivered = made.segflow("deliver", "--approve", "mails=100")
    assert delivered.code == 0, delivered.out
    assert (lines(made), members(made)) == (100, 100)
    assert made.rows("select name, moved from segflow.approvals") == [("mails", 100)]
    assert made.rows("select as_of::date::varchar from segflow.runs order by run")[-1] == (
        "2026-07-02",
    )


def test_an_empty_source_empties_no_mailing_list(project: MakeProject) -> None:
    made = make(project)
    made.write(
        {
            "segflow.yml": (made.root / "segflow.yml")
            .read_text()
            .replace("+materialized: segment", "+materialized: segment, +guards: {max_left: 20%}")
        }
    )
    assert run(made, 200, 1).code == 0
    assert run(made, 0, 2).code == 1
    assert (members(made), lines(made)) == (200, 200)


FLAPPING = "select contact_id from {{ ref('contacts') }} where contact_id != '{{ var('out') }}'"


@pytest.mark.parametrize(
    ("guards", "hours", "code"),
    [
        ("{min_stay: 12h}", 6, 1),
        ("{min_stay: 12h}", 18, 0),
        ("{min_stay: 12h, max_flapping: 1}", 6, 0),
        ("{max_flapping: 0}", 18, 1),
        ("{max_flapping: 0}", 24, 0),
        ("{min_stay: 2d}", 24, 1),
    ],
)
@pytest.mark.parametrize("comes_back", [False, True])
def test_coming_and_going(
    project: MakeProject, guards: str, hours: int, code: int, comes_back: bool
) -> None:
    made = make(project, guards)
    made.write({"models/segments/everybody.sql": FLAPPING})

    def see(out: str, moment: str) -> int:
        return made.segflow("run", "--vars", f"out: {out}", "--as-of", moment).code

    late = f"2026-07-{2 + hours // 24:02} {hours % 24:02}:00:00"
    order = ("", "c7", "") if comes_back else ("c7", "", "c7")
    assert see(order[0], "2026-06-01") == 0
    assert see(order[1], "2026-07-02") == 0
    assert see(order[2], late) == code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("everbody=3", "--approve names `everbody`, which there is not\n  hint: did you mean"),
        ("everybody", "--approve everybody: how many contacts?"),
        ("everybody=x", "--approve everybody=x: how many contacts?"),
        (f"everybody={2**64}", ": how many contacts?"),
    ],
)
def test_an_approval_says_what_and_how_much(project: MakeProject, words: str, says: str) -> None:
    outcome = make(project).segflow("run", "--approve", words)
    assert outcome.code == 2 and says in outcome.err


@pytest.mark.parametrize(
    ("guards", "says"),
    [
        ("{max_left: 20 percent}", "`max_left` is written as in 20%, not `20 percent`"),
        ("{min_stay: 2 days}", "`min_stay` is written as in 30m, 12h or 7d, not `2 days`"),
        ("{max_left: -1}", "`max_left` is a number of contacts, not `-1`"),
        ("{min_size: 3, max_size: 2}", "`min_size` 3 is above `max_size` 2"),
        ("{max_lft: 3}", "unknown key `max_lft`\n  hint: did you mean `max_left`?"),
    ],
)
def test_a_guard_that_is_written_wrong(project: MakeProject, guards: str, says: str) -> None:
    outcome = make(project, guards).segflow("compile")
    assert outcome.code == 2 and says in outcome.err and "models/a.yml:4" in outcome.err


def test_what_json_says_of_guards(project: MakeProject) -> None:
    made = make(project, "{max_left: 20%}")
    run(made, 200, 1)
    found: list[dict[str, Any]] = run(made, 100, 2, "--output", "json").json["results"]["guards"]
    assert found == [
        {
            "name": "everybody",
            "guard": "max_left 20%",
            "moved": 100,
            "message": "100 of 200 would leave (50%)",
            "approved": None,
        }
    ]


SOURCE = """
sources:
  - {name: crm, config: {external_location: 'data/{name}.csv'}, tables: [{name: people}]}
"""
READS = "select contact_id, email from {{ source('crm', 'people') }}"


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("made_as", ["table", "view"])
def test_a_source_without_rows_empties_no_list_of_any_size(
    project: MakeProject, size: int, made_as: str
) -> None:
    made = make(project)
    people = [f"c{n},c{n}@x.example\n" for n in range(size)]

    def write(rows: list[str]) -> None:
        made.write({"data/people.csv": "contact_id,email\n" + "".join(rows)})

    made.write(
        {
            "models/sources.yml": SOURCE,
            "models/people.sql": "{{ config(materialized='MADE') }} ".replace("MADE", made_as)
            + READS,
            "models/contacts.sql": "select * from {{ ref('people') }}",
        }
    )
    write(people)
    assert made.segflow("run").code == 0
    write([])
    for day in (2, 3):
        stopped = made.segflow("run", "--as-of", f"2026-07-0{day}")
        assert stopped.code == 1 and (members(made), lines(made)) == (size, size)
        # How many rows a view had, nobody counted.
        had = size if made_as == "table" else 1
        said = {"view": "rows", "table": "1 row" if size == 1 else "9 rows"}[made_as]
        assert f"people: empty, had {said}\n" in stopped.out
    assert f"segflow retry --approve people={had}\n" in stopped.out
    assert made.segflow("retry", "--approve", f"people={had - 1}").code == 1
    assert lines(made) == size
    assert made.segflow("retry", "--approve", f"people={had}").code == 0
    assert (members(made), lines(made)) == (0, 0)
    assert made.rows("from segflow.approvals") == [(5, "people", "empty", had, had)]
    assert made.segflow("run", "--as-of", "2026-07-04").code == 0
    write(people)
    assert made.segflow("run", "--as-of", "2026-07-05").code == 0
    assert lines(made) == size


def test_what_no_segment_stands_on_may_be_empty(project: MakeProject) -> None:
    made = make(project)
    made.write(
        {
            "models/sources.yml": SOURCE,
            "models/people.sql": READS,
            "data/people.csv": "contact_id,email\nc1,c1@x.example\n",
        }
    )
    assert made.segflow("run").code == 0
    made.write({"data/people.csv": "contact_id,email\n"})
    assert made.segflow("run").code == 0
