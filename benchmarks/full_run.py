"""Part a: a whole `segflow run`, its statements in plain duckdb, and dbt with the same models."""

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import company, dbt, dbt_company
from benchmarks.measure import Command, Samples, cpu_ratio, in_turn, timed, wall_ratio
from benchmarks.results import Section, against, costs

_BUDGET = 1.03
_RUN = ("--full-refresh", "--as-of", company.AS_OF)


def prepare(folder: Path) -> Path:
    """Run the project once, then once more with its statements written down.

    Returns the published file that every measured run starts from.
    """
    timed(company.run_command("first run", folder, "--as-of", company.AS_OF))
    kept = folder.with_name("published.duckdb")
    shutil.copyfile(folder / "warehouse" / "segflow.duckdb", kept)
    # One node at a time: the statements of two would mix, and wait for each other in a replay.
    record = (sys.executable, "-m", "benchmarks.record", "statements.json", "run", "--quiet")
    python_path = {"PYTHONPATH": str(dbt.ROOT)}
    timed(Command("record", (*record, "--threads", "1", *_RUN), folder, environment=python_path))
    for destination in (folder / "exports").iterdir():
        (folder / "exports_plain" / destination.name).mkdir(parents=True, exist_ok=True)
    return kept


def _plain(folder: Path, kept: Path) -> Command:
    """The recorded statements on a copy of the same published file."""
    database = folder / "warehouse" / "plain.duckdb"
    script = str(Path(__file__).with_name("plain.py"))

    def before() -> None:
        shutil.copyfile(kept, database)

    return Command(
        "plain duckdb",
        (sys.executable, script, str(database), "statements.json"),
        folder,
        before,
    )


def measure(data: Path, small: bool, with_dbt: bool) -> Section:
    """Run the whole project three ways."""
    size = company.SMALL if small else company.FULL
    base = data / "company"
    raw = company.generate(base, size)
    folder = base / "project"
    company.write_project(folder, raw)
    kept = prepare(folder)
    commands = [company.run_command("segflow", folder, *_RUN, kept=kept), _plain(folder, kept)]
    if with_dbt:
        translated = base / "dbt_project"
        dbt_company.write_project(translated, raw)
        # Its unit tests of incremental models want the tables of a run before.
        timed(dbt.command("first dbt", translated, "build", "--exclude-resource-type", "unit_test"))
        commands.append(dbt.command("dbt", translated, "build", "--full-refresh"))
    samples = in_turn(commands, 1 if small else 3)
    seconds = company.seconds_per_node(folder)
    return Section(
        "a",
        f"The project at {size.contacts:,} contacts",
        f"{_events(raw):,} events in Parquet files. `segflow run --full-refresh` beside all the"
        " statements of that same run (models, tests, memberships, audiences, files and segflow's"
        " own questions) replayed in plain duckdb, both with the copy of the published file, and"
        " beside dbt with the same models and tests, segments as views under one union table of"
        " memberships, without history, audiences and files.",
        ("what", "CPU", "wall", "memory", "segflow / this, CPU", "… wall", "budget"),
        tuple(_rows(samples)),
        _notes(seconds, with_dbt),
    )


def _events(raw: Path) -> int:
    """Counted in a process of its own: what this one holds, its children would be charged with."""
    query = f"select count(*) from '{company.files_of('raw_events', raw)}'"
    code = f"import duckdb; print(duckdb.sql({query!r}).fetchall()[0][0])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(found.stdout)


def _rows(samples: Samples) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    ours = samples["segflow"]
    for name, theirs in samples.items():
        if name == "segflow":
            rows.append((name, *costs(ours), "1", "1", "-"))
            continue
        ratio = cpu_ratio(ours, theirs)
        budget = against(ratio, _BUDGET, f"≤ {_BUDGET}") if name == "plain duckdb" else "-"
        ratios = (f"{ratio:.2f}", f"{wall_ratio(ours, theirs):.2f}")
        rows.append((name, *costs(theirs), *ratios, budget))
    return rows


def _notes(seconds: dict[str, float], with_dbt: bool) -> tuple[str, ...]:
    longest = [f"{name} {value:.1f} s" for name, value in list(seconds.items())[:6]]
    notes = [f"The nodes that take longest: {', '.join(longest)}."]
    if with_dbt:
        notes.append(f"dbt is `dbt build --full-refresh` ({dbt.versions()}).")
    return tuple(notes)
