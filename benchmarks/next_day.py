"""Part d: one more day of events on top of a year of them, against the full run."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

from benchmarks import company
from benchmarks.measure import Command, Samples, cpu_ratio, in_turn, timed, wall_ratio
from benchmarks.results import Section, against, costs

_BUDGET = 0.1
_SINCE = "2025-07"
_EVENTS = ("raw_events", "raw_message_events")


def last_year(base: Path) -> Path:
    """The company's files with the events of the last year only, and none of the next day."""
    raw, year = base / "raw", base / "year"
    shutil.rmtree(year, ignore_errors=True)
    for path in raw.rglob("*.parquet"):
        if path.parent == raw or path.stem >= _SINCE:
            link = year / path.relative_to(raw)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.hardlink_to(path)
    return year


def add_day(base: Path, year: Path) -> None:
    """Put the next day's files beside the others."""
    for table in _EVENTS:
        for path in (base / "more" / table).glob("*.parquet"):
            (year / table / path.name).hardlink_to(path)


def measure(data: Path, small: bool, with_dbt: bool) -> Section:
    """Run as of one day, add a day of events, and run as of the next day in both ways."""
    size = company.SMALL if small else company.FULL
    base = data / "company"
    company.generate(base, size)
    year = last_year(base)
    folder = base / "next_day"
    company.write_project(folder, year)
    timed(company.run_command("the day before", folder, "--as-of", company.AS_OF))
    kept = base / "day_before.duckdb"
    shutil.copyfile(folder / "warehouse" / "segflow.duckdb", kept)
    add_day(base, year)
    arguments = ("--as-of", company.NEXT_AS_OF)
    full = company.run_command("full refresh", folder, *arguments, "--full-refresh", kept=kept)
    day = company.run_command("the next day", folder, *arguments, kept=kept)
    seconds: dict[str, dict[str, float]] = {}
    commands = [_noting(full, folder, seconds), _noting(day, folder, seconds)]
    samples = in_turn(commands, 1 if small else 3)
    return Section(
        "d",
        "One more day on top of a year",
        f"{size.contacts:,} contacts and their events since {date.fromisoformat(_SINCE + '-01')}."
        f" A run as of {company.AS_OF}, then the events of one more day and a run as of"
        f" {company.NEXT_AS_OF}; the same moment with `--full-refresh`, from the same published"
        " file.",
        ("what", "CPU", "wall", "memory", "ratio, CPU", "ratio, wall", "budget"),
        tuple(_rows(samples)),
        _notes(seconds["full refresh"], seconds["the next day"], company.incremental(folder)),
    )


def _noting(command: Command, folder: Path, seconds: dict[str, dict[str, float]]) -> Command:
    """The command, keeping how long each node of its last run took."""

    def after() -> None:
        seconds[command.name] = company.seconds_per_node(folder)

    return replace(command, after=after)


def _rows(samples: Samples) -> list[tuple[str, ...]]:
    full, day = samples["full refresh"], samples["the next day"]
    ratio = cpu_ratio(day, full)
    budget = against(ratio, _BUDGET, f"≤ {_BUDGET}")
    return [
        ("full refresh", *costs(full), "1", "1", "-"),
        ("the next day", *costs(day), f"{ratio:.2f}", f"{wall_ratio(day, full):.2f}", budget),
    ]


def _notes(
    full: dict[str, float], day: dict[str, float], incremental: list[str]
) -> tuple[str, ...]:
    longest = [f"{name} {value:.1f} s ({full[name]:.1f} s)" for name, value in day.items()][:8]
    ratio = sum(day[name] for name in incremental) / sum(full[name] for name in incremental)
    return (
        f"The nodes that take longest on the next day (in the full refresh): {', '.join(longest)}.",
        f"The incremental models alone, with their tests: {ratio:.2f} of their full refresh"
        f" ({', '.join(incremental)}).",
        "What the next day cannot save: tables over all contacts and accounts, whatever happened,"
        " and tests that read all of staging again. Without events they are most of a full run.",
    )
