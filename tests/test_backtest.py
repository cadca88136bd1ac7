"""What a segment would have been in the past, beside what it was."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeProject, Project
from tests.test_history import SEEN, WITH_DAYS

EVERY_DAY = [f"2026-07-{day:02} 20:00:00" for day in range(1, 9)]
SPAN = ["--from", EVERY_DAY[0], "--to", EVERY_DAY[-1]]
LONGER = SEEN["models/segments/s.sql"].replace("interval ({{ var('days') }}) day", "interval 4 day")


def run_once(project: MakeProject) -> Project:
    made = project(SEEN, WITH_DAYS)
    made.run("--as-of", EVERY_DAY[-1])
    return made


def points(made: Project, *arguments: str) -> list[list[tuple[Any, ...]]]:
    """Moment, members, entered and left of each definition."""
    outcome = made.segflow("backtest", *arguments, "--output", "json")
    assert outcome.code == 0, outcome.err
    return [
        [
            (point["as_of"].replace("T", " "), point["members"], point["entered"], point["left"])
            for point in found["points"]
        ]
        for found in outcome.json["results"]["definitions"]
    ]


@pytest.mark.parametrize("segment", ["s", "also", "other"])
def test_a_backtest_says_what_runs_would_have_said(project: MakeProject, segment: str) -> None:
    made = run_once(project)
    before = made.database.read_bytes()
    (found,) = points(made, segment, *SPAN)
    assert made.database.read_bytes() == before
    made.database.unlink()
    for day in EVERY_DAY:
        made.run("--as-of", day)
    ran = made.rows(
        'select as_of::varchar, members, entered, "left" from segments.sizes'
        f" where segment = '{segment}' order by 1"
    )
    if segment == "other":  # who is in `contacts` holds only the present
        assert {row[1] for row in found} == {4}
        return
    assert found[0] == (*ran[0][:2], None, None)
    assert found[1:] == ran[1:]


def test_stays_and_who_came_back(project: MakeProject) -> None:
    made = run_once(project)
    made.write({"models/segments/s.sql": LONGER})
    outcome = made.segflow("backtest", "s", *SPAN, "--output", "json")
    (found,) = outcome.json["results"]["definitions"]
    # Seen a b c a b d c a on eight days, and a member for four days from then on.
    assert [point["members"] for point in found["points"]] == [1, 2, 3, 3, 3, 4, 4, 4]
    assert [point["back"] for point in found["points"]] == [None, *[0] * 7]
    made.write({"models/segments/s.sql": LONGER.replace("4 day", "2 day")})
    outcome = made.segflow("backtest", "s", *SPAN, "--output", "json")
    (found,) = outcome.json["results"]["definitions"]
    assert [point["back"] for point in found["points"]] == [None, 0, 0, 1, 1, 0, 1, 1]
    assert (found["contacts"], found["flapping"], found["stays"]) == (4, 3, 8)
    assert (found["ended"], found["median_days"]) == (5, 2)
    text = made.segflow("backtest", "s", *SPAN).out
    assert "8 stays of 4 contacts, 3 came back" in text
    assert "5 stays began and ended: 2 days in the median" in text


def test_every_week(project: MakeProject) -> None:
    (found,) = points(run_once(project), "s", *SPAN, "--every", "1w")
    assert [point[0] for point in found] == [EVERY_DAY[0], EVERY_DAY[7]]
    (found,) = points(run_once(project), "s", "--from", EVERY_DAY[-2])
    assert [point[0] for point in found] == EVERY_DAY[-2:]


def test_against_a_file_and_a_git_ref(project: MakeProject, tmp_path: Path) -> None:
    made = run_once(project)
    before = points(made, "s", *SPAN)[0]
    other = tmp_path / "other.sql"
    other.write_text(LONGER, "utf-8")
    ours, theirs = points(made, "s", *SPAN, "--against", str(other))
    assert ours == before and [point[1] for point in theirs] == [1, 2, 3, 3, 3, 4, 4, 4]
    git = ["git", "-C", str(made.root), "-c", "user.name=t", "-c", "user.email=t@t.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    made.write({"models/segments/s.sql": LONGER})
    assert points(made, "s", *SPAN, "--against", "HEAD") == [theirs, before]
    text = made.segflow("backtest", "s", *SPAN, "--against", "HEAD").out
    assert "members 1" in text and "members 2" in text and "2  HEAD" in text


def test_a_git_ref_stands_for_the_whole_project(project: MakeProject) -> None:
    made = run_once(project)
    kept = "select contact_id from {{ ref('contacts') }} where contact_id != 'a'"
    made.write(
        {
            "models/kept.sql": kept,
            "models/segments/k.sql": "select contact_id from {{ ref('s') }}"
            " semi join {{ ref('kept') }} using (contact_id)",
        }
    )
    git = ["git", "-C", str(made.root.parent), "-c", "user.name=t", "-c", "user.email=t@t.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    made.run("--as-of", EVERY_DAY[-1])
    before = points(made, "k", *SPAN)[0]
    # A var, and a model that was published as it is now.
    settings = WITH_DAYS.replace("days: 1", "days: 4")
    made.write({"segflow.yml": settings, "models/kept.sql": kept.replace("'a'", "'b'")})
    made.run("--as-of", EVERY_DAY[-1])
    now, then = points(made, "k", *SPAN, "--against", "HEAD")
    assert then == before and [p[1] for p in then] == [0, 1, 1, 0, 1, 1, 1, 0]
    assert [p[1] for p in now] == [1, 1, 2, 2, 2, 3, 3, 3]
    # Rows of seeds are not built anew.
    text = made.segflow("backtest", "k", *SPAN, "--against", "HEAD").out
    assert "is as of today" not in text
    made.write({"seeds/seen.csv": SEEN["seeds/seen.csv"] + "e,2026-07-08 12:00:00\n"})
    text = made.segflow("backtest", "k", *SPAN, "--against", "HEAD").out
    assert text.count("what is read of seen is as of today, not as of HEAD") == 1
    made.write({"models/segments/new.sql": "select contact_id from {{ ref('s') }}"})
    outcome = made.segflow("backtest", "new", *SPAN, "--against", "HEAD")
    assert outcome.code == 2 and "there was no segment `new` as of `HEAD`" in outcome.err


def test_what_has_no_history_is_named(project: MakeProject) -> None:
    made = run_once(project)
    files = {
        "models/segments/german.sql": "select s.contact_id from {{ ref('s') }} inner join"
        " {{ ref('contacts') }} as known on s.contact_id = known.contact_id"
        " where known.country = 'de'"
    }
    made.write(files)
    text = made.segflow("backtest", "german", *SPAN).out
    assert "`country` has no history: today's value was used (contacts)" in text
    assert "seen" not in text.partition("stays of")[2]
    assert "no history" not in made.segflow("backtest", "s", *SPAN).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["t", *SPAN], "unknown segment `t`"),
        (["s", "--from", "2026-07-09", "--to", "2026-07-01"], "before it begins"),
        (["s", "--from", "yesterday"], "`yesterday` is no moment"),
        (["s", *SPAN, "--against", "nowhere"], "`nowhere` is no file, and no git ref"),
        (["s", *SPAN, "--against", "{root}/wrong.sql"], "unknown model `nothing`"),
        (["s", *SPAN, "--against", "{root}/clock.sql"], "clock.sql:1"),
    ],
)
def test_what_a_backtest_refuses(project: MakeProject, arguments: list[str], said: str) -> None:
    made = run_once(project)
    wrong = "select contact_id from {{ ref('nothing') }}"
    made.write({"wrong.sql": wrong, "clock.sql": "select now() as contact_id"})
    given = [one.replace("{root}", str(made.root)) for one in arguments]
    outcome = made.segflow("backtest", *given)
    assert outcome.code == 2 and said in outcome.err


def test_a_backtest_needs_a_database(project: MakeProject) -> None:
    outcome = project(SEEN, WITH_DAYS).segflow("backtest", "s", *SPAN)
    assert outcome.code == 2 and "segflow run" in outcome.err
