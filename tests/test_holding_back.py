"""A failure stays where it is: what depends on it stays as the last good run left it, nothing else."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import AS_OF, MakeProject, Outcome, Project
from tests.line import LATER, LINE, NEXT_DAY, file, line, manifest, members, states

SEGMENTS = {"in_trial": ["a", "c", "d", "e"], "lately_active": ["a", "b"], "unreachable": ["e"]}


def statuses(outcome: Outcome) -> dict[str, str]:
    return {node["name"]: node["status"] for node in outcome.json["results"]["nodes"]}


def one_moves_to_trial(made: Project) -> None:
    made.write({"seeds/people.csv": LINE["seeds/people.csv"].replace("active", "trial")})


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_late_source_holds_back_what_reads_it(project: MakeProject, threads: str) -> None:
    made = line(project)
    made.run("--threads", threads)
    assert members(made) == SEGMENTS
    before = {name: file(made, name) for name in ("trial_mail", "active_calls", "everyone")}
    one_moves_to_trial(made)
    outcome = made.segflow("run", "--as-of", LATER, "--threads", threads, "--output", "json")
    assert outcome.code == 1
    found = statuses(outcome)
    assert found.pop("files.events") == "error"
    held = {name for name, status in found.items() if status == "held"}
    assert held == {"lately_active", "active_calls"}
    assert {found[name] for name in found.keys() - held} == {"success"}
    # nothing of it moved: not the table, not the segment, not the audience, not the file
    assert members(made) == {**SEGMENTS, "in_trial": ["a", "b", "c", "d", "e"]}
    assert made.rows(
        "select max(as_of)::varchar from segments.sizes where segment = 'lately_active'"
    ) == [(AS_OF,)]
    assert states(made)["active_calls"] == ("kept", 1, "reads files.events")
    assert states(made)["lately_active"] == ("kept", 1, "reads files.events")
    # a table is built all the same, and says what of it does not count
    assert states(made)["activity"] == ("fresh", 2, "stands on what was kept of files.events")
    assert states(made)["in_trial"] == states(made)["contacts"] == ("fresh", 2, "")
    assert file(made, "active_calls") == before["active_calls"]
    assert file(made, "trial_mail") != before["trial_mail"]
    entry = manifest(made)["active_calls"]
    assert entry["state"] == "kept" and entry["run"] == 1 and "files.events" in entry["reason"]
    assert manifest(made)["trial_mail"]["state"] == "fresh"
    # and it is still so when audiences are delivered once more
    again = made.segflow("deliver", "--output", "json")
    assert again.code == 1 and file(made, "active_calls") == before["active_calls"]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_retry_goes_on_with_just_that(project: MakeProject, threads: str) -> None:
    made = line(project)
    made.run()
    made.segflow("run", "--as-of", LATER)
    made.write({"data/events.csv": LINE["data/events.csv"] + "c,2026-07-04 01:00:00\n"})
    outcome = made.segflow("retry", "--threads", threads, "--output", "json")
    assert outcome.code == 0, outcome.out
    assert outcome.json["as_of"] == LATER.replace(" ", "T")
    assert set(statuses(outcome)) >= {"files.events", "activity", "lately_active", "active_calls"}
    assert not {"contacts", "in_trial", "trial_mail"} & set(statuses(outcome))
    assert members(made) == {**SEGMENTS, "lately_active": ["c"]}
    assert "c,2026-07-04 01:00:00" in file(made, "active_calls")
    assert manifest(made)["active_calls"]["state"] == "fresh"
    assert "reason" not in manifest(made)["active_calls"]
    assert {state for state, _, _ in states(made).values()} == {"fresh"}
    history = "select contact_id, left_at::varchar from segments.membership_history where segment = 'lately_active' order by 1"
    assert made.rows(history) == [("a", LATER), ("b", LATER), ("c", None)]


def test_a_failing_model_a_failing_test_and_a_wrong_segment(project: MakeProject) -> None:
    made = line(project)
    made.run()
    made.write(
        {
            "models/activity.sql": "select contact_id, error('no')::timestamp as last_seen_at"
            " from {{ source('files', 'events') }}",
            "models/segments/unreachable.sql": "select contact_id from {{ ref('contacts') }},"
            " (values (1), (2)) where not is_reachable",
        }
    )
    outcome = made.segflow("run", "--output", "json")
    found = statuses(outcome)
    assert {name for name, status in found.items() if status == "error"} == {
        "activity",
        "unreachable",
    }
    # the mail's channel suppresses `unreachable`; the desk's does not
    assert {name for name, status in found.items() if status == "held"} == {
        "lately_active",
        "active_calls",
        "trial_mail",
    }
    assert members(made) == SEGMENTS
    errors = "\n".join(outcome.json["errors"])
    assert "target/compiled/demo/models/activity.sql" in errors
    assert re.search("unreachable: .*one row per contact_id, and 'e' comes 2 times", errors)


def test_what_was_never_built_is_empty_and_says_why(project: MakeProject) -> None:
    made = line(project)
    outcome = made.segflow("run", "--as-of", LATER)
    assert outcome.code == 1
    assert states(made)["lately_active"] == ("empty", None, "reads files.events")
    assert states(made)["active_calls"] == ("empty", None, "reads files.events")
    assert not (made.root / "exports/files/active_calls.csv").exists()
    assert "active_calls" not in manifest(made)


def test_an_empty_relation_says_so(project: MakeProject) -> None:
    made = line(project)
    made.write({"seeds/people.csv": "contact_id,email,stage,is_reachable\na,,active,true\n"})
    made.run()
    assert states(made)["in_trial"] == ("empty", 1, "")
    assert states(made)["contacts"] == ("fresh", 1, "")


def test_a_seed_that_only_a_test_reads_keeps_its_rows(project: MakeProject) -> None:
    made = line(project)
    test = "tests/stages.sql", "select 1 as wrong from {{ ref('stages') }} where stage is null"
    made.write({"seeds/stages.csv": "stage\nactive\n", "seeds/notes.csv": "note\na\n"})
    made.write(dict([test]))
    made.run()
    made.write({"seeds/stages.csv": "stage\n", "seeds/notes.csv": "note\n"})
    outcome = made.segflow("run")
    assert outcome.code == 1 and "stages: empty, had 1 row\n" in outcome.out
    counts = "select (select count(*) from seeds.stages), (select count(*) from seeds.notes)"
    assert made.rows(counts) == [(1, 0)]
    made.run("--approve", "stages=1")
    assert made.rows(counts) == [(0, 0)]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_partial_run_is_held_back_by_what_is_kept(project: MakeProject, threads: str) -> None:
    made = line(project)
    made.run()
    made.segflow("run", "--as-of", LATER)
    arguments = ("--select", "lately_active", "in_trial", "active_calls", "--as-of", LATER)
    outcome = made.segflow("run", *arguments, "--threads", threads, "--output", "json")
    assert statuses(outcome) == {
        "lately_active": "held",
        "in_trial": "success",
        "active_calls": "held",
    }
    assert states(made)["lately_active"] == ("kept", 1, "reads files.events")
    assert members(made) == SEGMENTS


def test_a_partial_run_is_held_back_by_what_was_never_built(project: MakeProject) -> None:
    made = line(project)
    made.write({"models/activity.sql": LINE["models/activity.sql"].replace("max", "no_such")})
    made.segflow("run", "--as-of", LATER)
    assert states(made)["activity"][:2] == ("empty", None)
    outcome = made.segflow("run", "--select", "lately_active", "--as-of", LATER, "--output", "json")
    assert statuses(outcome) == {"lately_active": "held"}


def test_a_kept_segment_whose_view_no_longer_binds_shows_its_last_membership(
    project: MakeProject,
) -> None:
    made = line(project)
    made.write(
        {
            "models/segments/lately_active.sql": "select contact_id, last_seen_at, email"
            " from {{ ref('activity') }} left join {{ ref('contacts') }} using (contact_id)"
            " where last_seen_at > {{ as_of() }} - interval 1 day"
        }
    )
    made.run()
    made.write(
        {
            "models/contacts.sql": "select * exclude (email), email as mail from {{ ref('people') }}",
            "models/segments/lately_active.sql": "select contact_id, last_seen_at, mail"
            " from {{ ref('activity') }} left join {{ ref('contacts') }} using (contact_id)",
            "models/audiences.yml": "",
        }
    )
    assert made.segflow("run", "--as-of", LATER).code == 1
    assert made.rows("select contact_id from segments.lately_active order by 1") == [("a",), ("b",)]
    made.write({"data/events.csv": LINE["data/events.csv"] + "c,2026-07-04 01:00:00\n"})
    made.run("--as-of", LATER)
    assert made.rows("select contact_id, mail from segments.lately_active order by 1")[2] == (
        "c",
        "c@x.example",
    )


WIDE = {
    "models/contacts.sql": "select people.*, activity.last_seen_at from {{ ref('people') }} as people"
    " left join {{ ref('activity') }} as activity using (contact_id)",
    "models/segments/lately_active.sql": "select contact_id, last_seen_at from {{ ref('contacts') }}"
    " where last_seen_at > {{ as_of() }} - interval 1 day",
    "models/seen.sql": "{{ config(materialized='incremental') }} select contact_id, last_seen_at,"
    " {{ as_of() }} as noted_at from {{ ref('contacts') }}",
    "models/stages.sql": "{{ config(materialized='incremental') }} select contact_id, stage,"
    " {{ as_of() }} as noted_at from {{ ref('contacts') }}",
}


def test_a_wide_table_holds_back_by_column(project: MakeProject) -> None:
    made = line(project)
    made.write(WIDE)
    made.run()
    good = LINE["models/activity.sql"]
    made.write({"models/activity.sql": good.replace("max(seen_at)", "error('no')::timestamp")})
    outcome = made.segflow("run", "--as-of", NEXT_DAY, "--output", "json")
    found = statuses(outcome)
    assert {n for n, s in found.items() if s != "success"} == {
        *("activity", "lately_active", "active_calls"),
        # what would keep stale values in a history of its own waits, too
        "seen",
    }
    assert states(made)["contacts"] == ("fresh", 2, "last_seen_at from what was kept of activity")
    assert made.rows("select count(distinct noted_at) from lifecycle.stages") == [(2,)]
    # `contacts` still stands on the old `activity` when that is mended
    made.write({"models/activity.sql": good})
    made.run("--select", "activity", "--as-of", NEXT_DAY)
    behind = made.segflow("run", "--select", "lately_active", "--as-of", NEXT_DAY)
    assert behind.code == 1 and "reads activity" in behind.out
    made.run("--select", "contacts", "--as-of", NEXT_DAY)
    made.run("--select", "lately_active", "--as-of", NEXT_DAY)
    assert states(made)["contacts"] == ("fresh", 5, "")
    assert states(made)["lately_active"] == ("empty", 6, "")
    assert states(made)["seen"] == ("kept", 1, "reads activity")


def test_other_errors_have_their_exit_codes(project: MakeProject) -> None:
    made = line(project)
    assert made.segflow("retry").code == 2
    assert made.segflow("deliver").code == 2
    made.run()
    assert made.segflow("run", "--as-of", "2026-06-01").code == 2
    assert states(made)["in_trial"][1] == 1


# ── freshness ─────────────────────────────────────────────────────────────────────────────────

NEWEST = "2026-06-30 20:00:00"
SOURCE = """
sources:
  - name: files
    loaded_at_field: {field}
    freshness: {{{freshness}}}
    tables: [{{name: events, config: {{external_location: data/events.csv}}}}]
"""
WARN = "warn_after: {count: 6, period: hour}"
ERROR = "error_after: {count: 6, period: hour}"


@pytest.mark.parametrize(
    ("freshness", "as_of", "status", "said"),
    [
        (WARN, AS_OF, "success", ""),
        (WARN, "2026-07-01 02:00:01", "warn", "last row 6 h ago (warned after 6 h)"),
        (ERROR, AS_OF, "success", ""),
        (ERROR, "2026-07-01 02:00:01", "error", "last row 6 h ago (limit 6 h)"),
        (f"{WARN}, error_after: {{count: 1, period: day}}", NEXT_DAY, "error", "last row 30 h ago"),
        (f"{ERROR}, filter: contact_id = 'b'", AS_OF, "error", "last row 7 h ago"),
        (f"{ERROR}, filter: contact_id = 'nobody'", AS_OF, "error", "no rows (limit 6 h)"),
        ("warn_after: {count: 3, period: minute}", "2026-06-30 20:02:00", "success", ""),
        (ERROR, "2026-06-01", "error", "no rows"),
    ],
)
def test_freshness(
    project: MakeProject, freshness: str, as_of: str, status: str, said: str
) -> None:
    made = project(
        {
            "data/events.csv": f"contact_id,seen_at\na,{NEWEST}\nb,2026-06-30 19:00:00\nc,\n",
            "models/sources.yml": SOURCE.format(field="seen_at", freshness=freshness),
            "models/activity.sql": "select * from {{ source('files', 'events') }}",
        }
    )
    outcome = made.segflow("run", "--as-of", as_of, "--output", "json")
    (source, reader) = outcome.json["results"]["nodes"]
    assert (source["status"], outcome.code) == (status, int(status == "error"))
    assert said in source["message"]
    assert reader["status"] == "success"
    assert reader["because"] == ([source["node"]] if status == "error" else [])


def test_a_source_without_a_field_or_a_file(project: MakeProject) -> None:
    made = project(
        {
            "models/sources.yml": SOURCE.format(field="null", freshness=ERROR),
            "models/activity.sql": "select * from {{ source('files', 'events') }}",
        }
    )
    outcome = made.segflow("run", "--output", "json")
    assert outcome.code == 1
    assert "has freshness but no loaded_at_field" in outcome.json["errors"][0]
    made.write({"models/sources.yml": SOURCE.format(field="seen_at", freshness=ERROR)})
    outcome = made.segflow("run", "--output", "json")
    assert outcome.code == 1
    assert "files.events" in outcome.json["errors"][0]
    assert "data/events.csv" in outcome.json["errors"][0]


# ── a full disk ───────────────────────────────────────────────────────────────────────────────

SEGFLOW = Path(sys.executable).with_name("segflow")


def run_with_room(made: Project, size: int) -> subprocess.CompletedProcess[str]:
    """`segflow run` where no file may grow beyond `size` bytes."""
    return subprocess.run(
        [SEGFLOW, "run", "--project-dir", str(made.root)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.mark.parametrize("room", [100_000, 2_000_000, 20_000_000])
def test_a_full_disk_leaves_what_is_published(project: MakeProject, room: int) -> None:
    made = line(project)
    made.run()
    published = made.database.read_bytes()
    made.write(
        {
            "models/big.sql": "select range as n, md5(range::varchar) as h from range(1000000)",
            "models/reads.sql": "select count(*) as n from {{ ref('big') }}",
        }
    )
    done = run_with_room(made, room)
    text = done.stdout + done.stderr
    assert done.returncode in (1, 2), text
    assert "Traceback" not in text
    assert re.search(r"big|demo\.duckdb|cannot (copy|write)", text), text
    if made.database.read_bytes() != published:
        assert members(made) == SEGMENTS
    assert sorted(p.name for p in made.database.parent.iterdir()) == [
        "demo.duckdb",
        "demo.duckdb.lock",
    ]
    made.run()
    assert made.rows("select n from lifecycle.reads") == [(1_000_000,)]


def test_retry_knows_what_an_earlier_run_left_behind(project: MakeProject) -> None:
    made = project(
        {
            "seeds/raw.csv": "contact_id\na\n",
            "models/contacts.sql": "select contact_id from {{ ref('raw') }}",
            "models/broken.sql": "select 1 as n",
            "models/behind.sql": "select n from {{ ref('broken') }}",
        }
    )
    made.run()
    made.write({"models/broken.sql": "select error('not today') as n"})
    assert made.segflow("run").code == 1
    made.run("--select", "contacts")
    made.write({"models/broken.sql": "select 2 as n"})
    assert made.segflow("retry").code == 0
    assert made.rows("select n from lifecycle.behind") == [(2,)]


@pytest.mark.parametrize("said", ["threads: 0", "memory_limit: lots"])
def test_a_target_with_a_senseless_setting(project: MakeProject, said: str) -> None:
    made = project({"models/it.sql": "select 1 as n"})
    path = made.root / "segflow.yml"
    path.write_text(path.read_text().replace("dev: {", f"dev: {{{said}, "))
    outcome = made.segflow("run")
    assert outcome.code == 2 and outcome.err.startswith("error: ")
    assert not made.database.exists()
