"""Readers during runs, and runs that are killed: with real processes and real kills."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeProject, Project
from tests.line import LINE, NEXT_DAY, line
from tests.test_workspace import SEGFLOW, left_overs, running, wait_for

# ── readers ───────────────────────────────────────────────────────────────────────────────────

# Two tables that say which run they come from, built one after the other.
TWO_TABLES = {
    "models/first.sql": "select {{ as_of() }} as moment, range as n from range(20000)",
    "models/second.sql": "select moment, n from {{ ref('first') }} order by hash(n)",
}
READER = """
import sys, time, pathlib, duckdb
path, stop = sys.argv[1], pathlib.Path(sys.argv[2])
seen, reads = [], 0
while not stop.exists():
    with duckdb.connect(path, read_only=True) as connection:
        first, = connection.execute("select distinct moment from lifecycle.first").fetchall()
        second, = connection.execute("select distinct moment from lifecycle.second").fetchall()
        run, = connection.execute("select max(as_of) from segflow.runs").fetchall()
    assert first == second == run, (first, second, run)
    reads += 1
    if first not in seen[-1:]:
        seen.append(first)
print(reads, len(seen))
"""


def test_a_reader_in_a_loop_never_fails_and_never_sees_half_a_run(project: MakeProject) -> None:
    made = project(TWO_TABLES)
    made.run("--as-of", "2026-07-01")
    stop = made.root / "stop"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(made.database), str(stop)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for day in range(2, 8):
        made.run("--as-of", f"2026-07-0{day}")
    stop.touch()
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        reads, runs = map(int, out.split())
        assert reads > 7 and runs > 3, out


HOLDER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
query = "select max(moment)::varchar from lifecycle.first"
for _ in sys.stdin:
    print(connection.execute(query).fetchone()[0], flush=True)
with duckdb.connect() as fresh:
    connection.close()
    fresh.execute(f"attach '{sys.argv[1]}' as now (read_only)")
    print(fresh.execute(query.replace("lifecycle", "now.lifecycle")).fetchone()[0], flush=True)
"""


def test_a_reader_that_holds_the_file_open_does_not_hinder_a_run(project: MakeProject) -> None:
    made = project(TWO_TABLES)
    made.run("--as-of", "2026-07-01")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(made.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin and holder.stdout
        for _ in range(2):
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "2026-07-01 00:00:00\n"
            made.run("--as-of", "2026-07-02")
        holder.stdin.close()
        assert holder.stdout.readline() == "2026-07-02 00:00:00\n"


@pytest.fixture(scope="session")
def duckdb_1_5() -> Path:
    """A folder with the DuckDB that BI tools embed, kept from one session to the next."""
    folder = Path(tempfile.gettempdir()) / "segflow-tests" / "duckdb-1.5"
    if not folder.exists():
        scratch = folder.with_name(f"duckdb-1.5.{os.getpid()}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        done = subprocess.run(
            [*pip, str(scratch), "duckdb==1.5.*"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"pip cannot install duckdb 1.5 here: {done.stderr[-300:]}")
        if folder.exists():
            shutil.rmtree(scratch)
        else:
            scratch.rename(folder)
    return folder


OLD_READER = """
import sys, duckdb
assert duckdb.__version__.startswith("1.5"), duckdb.__version__
connection = duckdb.connect(sys.argv[1], read_only=True)
tables = connection.execute(
    "select table_schema, table_name from information_schema.tables"
).fetchall()
for schema, name in tables:
    connection.execute(f'select * from "{schema}"."{name}"').fetchall()
print(len(tables))
"""


def test_duckdb_1_5_reads_every_table_and_view(project: MakeProject, duckdb_1_5: Path) -> None:
    made = line(project)
    made.run("--store-failures")
    done = subprocess.run(
        [sys.executable, "-c", OLD_READER, str(made.database)],
        env={**os.environ, "PYTHONPATH": str(duckdb_1_5)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


# ── kills ─────────────────────────────────────────────────────────────────────────────────────

# A few thousand contacts, so that a kill finds every part of a run at work.
CROWD = {
    **LINE,
    "models/contacts.sql": (
        "select * from {{ ref('people') }} union all select 'n' || range, range || '@x.example',"
        " case when range % {{ var('share', 3) }} = 0 then 'trial' else 'active' end, range % 5 > 0"
        " from range(12000)"
    ),
    "models/consents.sql": (
        "select * from {{ ref('agreed') }} union all"
        " select 'n' || range, 'email', 'marketing', range % 4 > 0 from range(12000)"
    ),
}
COMPARED = (
    "from lifecycle.contacts order by all",
    "select segment, contact_id, entered_at, left_at from segments.membership_history order by all",
    'select as_of, segment, members, entered, "left" from segments.sizes order by all',
    "from segments.user_types order by all",
    "from segments.reach order by all",
    "from audiences.trial_mail order by all",
    "from audiences.everyone order by all",
    "select relation, kind, as_of, state, reason from segments.status order by all",
)
THEN = ("run", "--as-of", NEXT_DAY, "--vars", "{share: 4}")


def outcome_of(made: Project) -> list[Any]:
    files = sorted((made.root / "exports/files").glob("*.csv"))
    return [*map(made.rows, COMPARED), *((path.name, path.read_bytes()) for path in files)]


def fresh_events(made: Project) -> None:
    made.write({"data/events.csv": LINE["data/events.csv"] + "c,2026-07-02 01:00:00\n"})


def test_a_run_killed_at_any_instant_is_made_good_by_the_next(
    project: MakeProject, tmp_path: Path
) -> None:
    undisturbed = Project(tmp_path / "undisturbed")
    undisturbed.write(
        {"segflow.yml": line(project).root.joinpath("segflow.yml").read_text(), **CROWD}
    )
    made = project(CROWD)
    for one in (made, undisturbed):
        one.run()
        fresh_events(one)
    before = outcome_of(made)
    start = time.monotonic()
    subprocess.run([SEGFLOW, *THEN, "--project-dir", str(undisturbed.root)], check=True, stdout=-3)
    seconds = time.monotonic() - start
    after = outcome_of(undisturbed)
    assert before != after
    chance = random.Random(7)
    killed = 0
    for _ in range(15):
        with running(made, *THEN) as process:
            try:
                process.wait(timeout=chance.uniform(0.2, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                killed += 1
        # whatever was published is whole: the state before, or the one after
        found = outcome_of(made)[: len(COMPARED)]
        assert found in (before[: len(COMPARED)], after[: len(COMPARED)])
    assert killed >= 8
    made.segflow(*THEN)
    assert outcome_of(made) == after
    assert left_overs(made) == []
    assert {path.suffix for path in (made.root / "exports/files").iterdir()} == {".csv", ".json"}


def test_a_kill_while_it_builds_leaves_the_last_good_file(project: MakeProject) -> None:
    made = project(TWO_TABLES)
    made.run("--as-of", "2026-07-01")
    published = made.database.read_bytes()
    made.write({"models/third.sql": "select md5(range::varchar) as h from range(20000000)"})
    with running(made, "run", "--as-of", "2026-07-02"):
        wait_for(lambda: any(".run-" in name for name in left_overs(made)))
        time.sleep(0.3)
    assert made.database.read_bytes() == published
    assert [name for name in left_overs(made) if ".run-" in name]
    (made.root / "models/third.sql").unlink()
    made.run("--as-of", "2026-07-02")
    assert left_overs(made) == []
