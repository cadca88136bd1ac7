"""Histories that get other ids, other names, or a past written anew."""

import pytest

from tests.conftest import AS_OF, SEGFLOW_YML, MakeProject, Project
from tests.line import LATER, NEXT_DAY, members
from tests.test_membership import HISTORY, SIZES, segment, small

MERGED = "select unnest([{}]) as merged_contact_id, unnest([{}]) as contact_id"


def merge(made: Project, merged: str, into: str) -> None:
    made.write({"models/merged_contacts.sql": MERGED.format(merged, into)})


def test_events_say_which_run_and_commit_saw_them(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    made.write({"models/segments/s.sql": segment("b")})
    made.run("--as-of", NEXT_DAY)
    made.run("--as-of", NEXT_DAY)
    assert made.rows(
        "select contact_id, event, happened_at::varchar, run, length(fingerprint), git_commit"
        " from segments.membership_events where segment = 's' order by happened_at, event"
    ) == [
        ("a", "entered", AS_OF, 1, 16, None),
        ("b", "entered", NEXT_DAY, 3, 16, None),
        ("a", "left", NEXT_DAY, 3, 16, None),
    ]


# ── merges ────────────────────────────────────────────────────────────────────────────────────


def test_a_merge_is_no_entering_and_no_leaving(project: MakeProject) -> None:
    made = small(project, "a", "b")
    made.run()
    made.write({"models/segments/s.sql": segment("b", "c")})
    merge(made, "'a'", "'c'")
    made.run("--as-of", NEXT_DAY)
    for _ in range(2):
        assert made.rows(HISTORY) == [("b", AS_OF, None), ("c", AS_OF, None)]
        assert made.rows(SIZES) == [(AS_OF, 2, 2, 0), (NEXT_DAY, 2, 0, 0)]
        made.run("--as-of", NEXT_DAY)


def test_stays_of_a_merged_contact_become_one_where_they_meet(project: MakeProject) -> None:
    made = small(project, "a")
    for moment, ids in (("2026-07-01", "a"), ("2026-07-02", "b"), ("2026-07-04", "c")):
        made.write({"models/segments/s.sql": segment(*ids)})
        made.run("--as-of", moment)
    merge(made, "'a', 'c'", "'b', 'b'")
    made.write({"models/segments/s.sql": segment("z")})
    made.run("--as-of", "2026-07-05")
    assert made.rows(HISTORY) == [
        ("b", "2026-07-01 00:00:00", "2026-07-05 00:00:00"),
        ("z", "2026-07-05 00:00:00", None),
    ]


def test_a_segment_that_was_not_evaluated_follows_a_merge(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    merge(made, "'c'", "'b'")
    made.run("--select", "s", "merged_contacts", "--as-of", NEXT_DAY)
    assert members(made) == {"s": ["a"], "other": ["b"]}
    made.run("--as-of", NEXT_DAY)
    assert members(made) == {"s": ["a"], "other": ["b"]}


# ── names ─────────────────────────────────────────────────────────────────────────────────────


def renamed(made: Project, old: str, new: str) -> None:
    file = made.root / f"models/segments/{old}.sql"
    config = f"{{{{ config(renamed_from='{old}') }}}}\n"
    made.write({f"models/segments/{new}.sql": config + file.read_text("utf-8")})
    file.unlink()


def test_a_renamed_segment_keeps_its_history(project: MakeProject) -> None:
    made = small(project, "a", "b")
    made.run()
    made.write({"models/segments/s.sql": segment("b")})
    made.run("--as-of", NEXT_DAY)
    renamed(made, "s", "t")
    made.write({"models/segments/t.sql": "{{ config(renamed_from='s') }}" + segment("b", "c")})
    for _ in range(2):
        made.run("--as-of", LATER)
        assert made.rows(HISTORY.replace("'s'", "'t'")) == [
            ("a", AS_OF, NEXT_DAY),
            ("b", AS_OF, None),
            ("c", LATER, None),
        ]
        assert made.rows(SIZES.replace("'s'", "'t'"))[-2:] == [
            (NEXT_DAY, 1, 0, 1),
            (LATER, 2, 1, 0),
        ]
        assert made.rows(HISTORY) == made.rows(SIZES) == []
    assert made.rows(
        "select table_name from information_schema.tables"
        " where table_name in ('s', 't') and table_schema = 'segments'"
    ) == [("t",)]
    # The old name is free again.
    made.write({"models/segments/t.sql": segment("b"), "models/segments/s.sql": segment("a")})
    made.run("--as-of", LATER)
    assert made.rows(HISTORY) == [("a", LATER, None)]


def test_a_renamed_segment_that_fails_keeps_its_history(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    renamed(made, "s", "t")
    made.write({"models/segments/t.sql": "{{ config(renamed_from='s') }}" + segment("a", "a")})
    assert made.segflow("run", "--as-of", NEXT_DAY).code == 1
    assert members(made) == {"t": ["a"], "other": ["c"]}


def test_a_name_with_a_history_of_its_own_is_not_given_away(project: MakeProject) -> None:
    made = small(project, "a")
    made.run()
    (made.root / "models/segments/s.sql").unlink()
    other = made.root / "models/segments/other.sql"
    made.write({"models/segments/other.sql": "{{ config(renamed_from='s') }}" + other.read_text()})
    outcome = made.segflow("run", "--as-of", NEXT_DAY)
    assert outcome.code == 2
    assert "`other` is renamed from `s`, and both have a history" in outcome.err
    assert "other.sql" in outcome.err and "drop `renamed_from`" in outcome.err
    assert members(made) == {"s": ["a"], "other": ["c"]}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("models/segments/t.sql", "renamed_from: `s` is a segment of this project"),
        ("models/thing.sql", "`renamed_from` is for segments, not for `thing`"),
    ],
)
def test_a_former_name_must_make_sense(project: MakeProject, file: str, said: str) -> None:
    made = small(project, "a")
    made.write({file: "{{ config(renamed_from='s') }}" + segment("a")})
    outcome = made.segflow("compile")
    assert outcome.code == 2 and said in outcome.err


def test_two_segments_cannot_take_over_one_history(project: MakeProject) -> None:
    made = small(project, "a")
    for name in ("t", "u"):
        config = "{{ config(renamed_from='gone') }}"
        made.write({f"models/segments/{name}.sql": config + segment("a")})
    outcome = made.segflow("compile")
    assert outcome.code == 2 and "`gone` was the name of another segment" in outcome.err


# ── backfills ─────────────────────────────────────────────────────────────────────────────────

# Who was seen lately, by way of an incremental table, an ephemeral model and another segment.
SEEN = {
    "seeds/seen.csv": "contact_id,seen_at\n"
    + "".join(
        f"{one},2026-07-{day:02} 12:00:00\n"
        for one, day in zip("abcabdca", range(1, 9), strict=True)
    ),
    "models/contacts.sql": "select distinct contact_id::varchar as contact_id, 'de' as country"
    " from {{ ref('seen') }}",
    "models/days.sql": """
        {{ config(materialized='incremental', unique_key=['contact_id', 'seen_at']) }}
        select contact_id, seen_at from {{ ref('seen') }} where seen_at <= {{ as_of() }}
        {% if is_incremental() %} and seen_at > (select max(seen_at) from {{ this }}) {% endif %}
    """,
    "models/latest.sql": "{{ config(materialized='ephemeral') }} select contact_id,"
    " max(seen_at) as seen_at from {{ ref('days') }} group by contact_id",
    "models/segments/s.sql": "select contact_id, seen_at from {{ ref('latest') }}"
    " where seen_at > {{ as_of() }} - interval ({{ var('days') }}) day",
    "models/segments/also.sql": "select s.contact_id from {{ ref('s') }} where s.contact_id != 'a'",
    "models/segments/other.sql": "select contact_id from {{ ref('contacts') }}",
    "models/all.yml": "channels: [{name: email, address: contact_id, consent: none}]\n"
    "audiences: [{name: seen, segments: [s], channel: email, destination: files, key: contact_id,\n"
    "             fields: {id: contact_id}}]",
}
WITH_DAYS = SEGFLOW_YML + "vars: {days: 1}\n"
ALL_STAYS = (
    "select segment, contact_id, entered_at::varchar, left_at::varchar"
    " from segments.membership_history order by all"
)
DAYS = [f"2026-07-{day:02} 20:00:00" for day in (2, 4, 6, 8)]


def test_a_backfill_is_as_if_the_definition_had_been_there(project: MakeProject) -> None:
    wanted = project(SEEN, WITH_DAYS)
    for number, day in enumerate(DAYS):
        wanted.run("--as-of", day, "--vars", f"days: {3 if number else 1}")
    expected, sizes = wanted.rows(ALL_STAYS), wanted.rows(SIZES)
    wanted.database.unlink()
    made = wanted
    for day in DAYS:
        made.run("--as-of", day)
    assert made.rows(ALL_STAYS) != expected
    file = made.root / "exports" / "files" / "seen.csv"
    sent, view = file.read_bytes(), made.rows("from segments.s order by all")
    outcome = made.run("--backfill", "--as-of", DAYS[1], "-s", "s also", "--vars", "days: 3")
    assert made.rows(ALL_STAYS) == expected
    assert made.rows(SIZES) == sizes
    assert file.read_bytes() == sent and made.rows("from segments.s order by all") == view
    assert "Audiences" not in outcome.out
    # What the last run left is untouched, so that `retry` has nothing to do.
    assert "nothing was left behind" in made.segflow("retry").out


def test_a_backfill_begins_where_it_is_told(project: MakeProject) -> None:
    made = project(SEEN, WITH_DAYS)
    for day in DAYS[::3]:
        made.run("--as-of", day)
    before = made.rows(ALL_STAYS)
    made.run("--backfill", "--as-of", DAYS[2], "--select", "s")
    assert made.rows(SIZES) == [(DAYS[0], 1, 1, 0), (DAYS[2], 1, 1, 1), (DAYS[3], 1, 1, 1)]
    assert [row for row in made.rows(ALL_STAYS) if row[0] != "s"] == [
        row for row in before if row[0] != "s"
    ]
    made.run("--as-of", DAYS[3])
    assert made.rows(SIZES)[-1] == (DAYS[3], 1, 1, 1)


def test_a_backfill_that_fails_changes_nothing(project: MakeProject) -> None:
    made = project(SEEN, WITH_DAYS)
    for day in DAYS[:2]:
        made.run("--as-of", day)
    before = made.database.read_bytes()
    fails = "select unnest(['a', 'b', if({{ as_of() }} < '2026-07-03', 'a', 'c')]) as contact_id"
    made.write({"models/segments/s.sql": fails})
    outcome = made.segflow("run", "--backfill", "--as-of", DAYS[0], "--select", "s")
    assert outcome.code == 1
    assert f"s.sql: as of {DAYS[0]}: 1 rows too many" in outcome.err
    assert made.database.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--backfill"], "a backfill needs a moment to begin at"),
        (["--backfill", "--as-of", LATER], f"ended as of {AS_OF}"),
        (["--as-of", "2026-06-01"], "add --backfill"),
    ],
)
def test_a_backfill_is_asked_for_and_goes_back(
    project: MakeProject, arguments: list[str], said: str
) -> None:
    made = small(project, "a")
    made.run()
    outcome = made.segflow("run", *arguments)
    assert outcome.code == 2 and said in outcome.err


def test_there_is_nothing_to_fill_in_before_the_first_run(project: MakeProject) -> None:
    outcome = small(project, "a").segflow("build", "--backfill", "--as-of", AS_OF)
    assert outcome.code == 2 and "the history has not begun" in outcome.err
