"""The lock, the copy and the published file, by one process at a time or two."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from tests.conftest import SEGFLOW_YML, MakeProject, Project

SEGFLOW = Path(sys.executable).with_name("segflow")
QUICK = {"models/it.sql": "select 1 as n"}
# Runs for minutes unless it is stopped.
SLOW = (
    "select count(*) as n from range(200000) a, range(200000) b where (a.range * b.range) % 7 = 3"
)


@contextmanager
def running(made: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`segflow` in a process of its own, killed at the end if it still runs."""
    process = subprocess.Popen(
        [SEGFLOW, *arguments, "--project-dir", str(made.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def left_overs(made: Project) -> list[str]:
    """What lies in the folder beside the database and its lock."""
    names = {path.name for path in made.database.parent.glob("*")}
    return sorted(names - {"demo.duckdb", "demo.duckdb.lock"})


def in_slow_model(made: Project) -> Callable[[], bool]:
    """Whether a run has begun with the model that takes long."""
    return lambda: any(".run-" in name for name in left_overs(made))


def test_a_second_run_says_who_holds_the_project(project: MakeProject) -> None:
    made = project(QUICK)
    made.run()
    made.write({"models/it.sql": SLOW})
    published = made.database.read_bytes()
    with running(made, "run") as first:
        wait_for(in_slow_model(made))
        for command in ("run", "build", "seed --select it", "retry", "deliver"):
            second = made.segflow(*command.split())
            if command.startswith("seed"):
                assert second.code == 2
                continue
            assert second.code == 2, second.out
            assert f"demo.duckdb is being built by `segflow run`, process {first.pid}" in second.err
        # reading commands need not wait
        assert made.segflow("show", "--select", "it").code == 0
        assert made.segflow("test").code == 0
    assert made.database.read_bytes() == published
    made.write(QUICK)
    made.run()
    assert left_overs(made) == []


@pytest.mark.parametrize("threads", ["1", "3"])
def test_an_interrupt_publishes_nothing(project: MakeProject, threads: str) -> None:
    made = project(QUICK)
    made.run()
    published = made.database.read_bytes()
    made.write({f"models/slow_{n}.sql": SLOW for n in range(3)})
    with running(made, "run", "--threads", threads) as process:
        wait_for(in_slow_model(made))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130, out + err
    assert "Traceback" not in err and "nothing was published" in err
    assert made.database.read_bytes() == published
    assert left_overs(made) == []


@pytest.mark.parametrize("delay", [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_at_any_moment_is_quiet(
    project: MakeProject, delay: float, stop: signal.Signals
) -> None:
    made = project({f"models/slow_{n}.sql": SLOW for n in range(3)})
    with running(made, "run") as process:
        status = Path(f"/proc/{process.pid}/status")
        # Python itself has begun by then.
        wait_for(lambda: "SigBlk:\t0000000000000000" not in status.read_text())
        time.sleep(delay)
        process.send_signal(stop)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + stop, out + err
    assert err.splitlines()[-1].startswith("interrupted") and "Traceback" not in err
    assert not made.database.exists() and left_overs(made) == []


def test_a_stale_wal_is_refused(project: MakeProject) -> None:
    made = project(QUICK)
    made.run()
    published = made.database.read_bytes()
    wal = made.database.with_name("demo.duckdb.wal")
    wal.write_bytes(b"left over")
    outcome = made.segflow("run")
    assert outcome.code == 2
    assert "demo.duckdb.wal lies beside the database" in outcome.err
    assert made.database.read_bytes() == published and left_overs(made) == ["demo.duckdb.wal"]
    wal.unlink()
    made.run()


def test_what_killed_runs_left_behind_is_removed(project: MakeProject) -> None:
    made = project(QUICK)
    made.write(
        {
            "warehouse/demo.duckdb.run-1": "half a copy",
            "warehouse/demo.duckdb.run-1.tmp/duckdb_temp_block.tmp": "spilled",
            "warehouse/demo.duckdb.other": "not ours",
            "warehouse/other.duckdb.run-1": "nor this",
        }
    )
    made.run()
    assert left_overs(made) == ["demo.duckdb.other", "other.duckdb.run-1"]


def test_a_newer_segflow_wrote_it(project: MakeProject) -> None:
    made = project(QUICK)
    made.run()
    with duckdb.connect(str(made.database)) as connection:
        connection.execute("update segflow.schema_version set version = 99")
    published = made.database.read_bytes()
    outcome = made.segflow("run")
    assert outcome.code == 2
    assert "written by a newer version of segflow (its schema is 99, this one knows" in outcome.err
    assert made.database.read_bytes() == published and left_overs(made) == []


@pytest.mark.parametrize("command", ["run", "show --select it", "retry", "test", "debug"])
def test_it_is_no_database(project: MakeProject, command: str) -> None:
    made = project({**QUICK, "warehouse/demo.duckdb": "this is not a database" * 300})
    published = made.database.read_bytes()
    outcome = made.segflow(*command.split())
    assert outcome.code == 2, outcome.out
    assert "demo.duckdb cannot be opened" in outcome.err
    assert made.database.read_bytes() == published and left_overs(made) == []


def test_a_folder_is_no_database(project: MakeProject) -> None:
    made = project({**QUICK, "warehouse/demo.duckdb/file": ""})
    outcome = made.segflow("run")
    assert outcome.code == 2
    assert "cannot copy" in outcome.err and "directory" in outcome.err.lower()
    assert left_overs(made) == []


def test_a_database_of_another_writer_keeps_its_tables(project: MakeProject) -> None:
    made = project(QUICK)
    made.database.parent.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{made.database}' as db (storage_version 'v1.4.0')")
        connection.execute("create schema db.raw; create table db.raw.mine as select 7 as n")
    made.write(
        {
            "models/sources.yml": "sources: [{name: raw, tables: [{name: mine}]}]",
            "models/it.sql": "select n from {{ source('raw', 'mine') }}",
        }
    )
    made.run()
    assert made.rows("from lifecycle.it union all from raw.mine") == [(7,), (7,)]


def test_a_file_that_older_readers_could_not_open_is_refused(project: MakeProject) -> None:
    made = project(QUICK)
    made.database.parent.mkdir(parents=True)
    with duckdb.connect(
        str(made.database), config={"storage_compatibility_version": "latest"}
    ) as c:
        c.execute("create table mine as select 7 as n")
    published = made.database.read_bytes()
    outcome = made.segflow("run")
    assert outcome.code == 2 and "storage version" in outcome.err
    assert made.database.read_bytes() == published and left_overs(made) == []


# Whoever closes a file that DuckDB holds in the same process takes DuckDB's lock away.
WATCHED = """
import os, sys

inside = False
found = []

def held(path):
    inode = os.stat(path).st_ino
    with open("/proc/locks") as locks:
        return any(
            words[1] == "POSIX" and words[4] == str(os.getpid()) and words[5].endswith(f":{inode}")
            for words in map(str.split, locks)
        )

def hook(event, args):
    global inside
    if event != "open" or inside or "demo.duckdb" not in str(args[0]) or ".lock" in str(args[0]):
        return
    inside = True
    try:
        if os.path.exists(args[0]):
            found.append((args[0], held(args[0])))
    finally:
        inside = False

sys.addaudithook(hook)
from segflow.cli.commands import cli
for command in (["run"], ["run"], ["retry"], ["deliver"], ["show", "--select", "it"], ["test"]):
    assert not cli([*command, "--quiet", "--project-dir", sys.argv[1]], standalone_mode=False)
assert found
print([path for path, is_held in found if is_held])
"""


def test_no_file_is_opened_that_duckdb_holds(project: MakeProject) -> None:
    made = project(QUICK)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(made.root)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["segments", "lifecycle"])
def test_a_file_named_like_a_schema_is_refused(project: MakeProject, name: str) -> None:
    made = project(QUICK, SEGFLOW_YML.replace("demo.duckdb", f"{name}.duckdb"))
    outcome = made.segflow("run")
    assert outcome.code == 2 and "cannot tell the database from its schema" in outcome.err
    assert not made.database.with_name(f"{name}.duckdb").exists()
