"""Sections in, RESULTS.md out: each part replaces its own section and leaves the others."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Sample, cpu, memory, wall

_HEAD = """\
# Benchmark results

Written by `make bench` (all parts) or `python -m benchmarks b` (one of a to f; `--small` for a
try at tiny sizes, which is printed and not kept; `--no-dbt` to leave dbt out). Each command is a
process of its own, run in turn with those it is compared to, after all have been run once. CPU is
user and system seconds together. Figures are medians, ratios are medians of the ratios within each
round, memory is the largest peak. Where wall time and CPU disagree, CPU is the steadier figure.
"Plain duckdb" is a script that knows the finished statements and nothing else.
"""


@dataclass(frozen=True)
class Section:
    """One part's findings; `letter` tells it from the others. `rows` are cells as shown."""

    letter: str
    title: str
    about: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 20 else f"{value:.2f} s"


def megabytes(value: float) -> str:
    return f"{value:,.0f} MB"


def against(value: float, budget: float, shown: str) -> str:
    """A budget as shown, and whether the value keeps it."""
    return f"{shown}: {'met' if value <= budget else '**missed**'}"


def costs(samples: list[Sample]) -> tuple[str, str, str]:
    """CPU, wall and memory, as three cells."""
    return seconds(cpu(samples)), seconds(wall(samples)), megabytes(memory(samples))


def markdown(section: Section) -> str:
    """A section of RESULTS.md."""
    lines = [f"## ({section.letter}) {section.title}", "", section.about, ""]
    lines += [_row(section.header), _row(["---"] * len(section.header))]
    lines += [_row(row) for row in section.rows]
    if section.notes:
        lines += ["", *(f"- {note}" for note in section.notes)]
    return "\n".join([*lines, "", f"_Measured on {_machine()}._", ""])


def keep(section: Section, path: Path) -> None:
    """Put a section in its place among those that are there."""
    text = path.read_text("utf-8") if path.exists() else ""
    found = {part[4]: part.rstrip() + "\n" for part in re.split(r"(?m)^(?=## \()", text)[1:]}
    found[section.letter] = markdown(section)
    path.write_text("\n".join([_HEAD, *(found[letter] for letter in sorted(found))]), "utf-8")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _machine() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{date.today()}: {os.cpu_count()} cores, {pages / 2**30:.0f} GiB of memory,"
        f" {platform.system()} {platform.machine()}; Python {platform.python_version()},"
        f" segflow {version('segflow')}, duckdb {version('duckdb')}, sqlglot {version('sqlglot')}"
    )
