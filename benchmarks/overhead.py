"""Part c: what segflow adds to a model that does nothing, three hundred of them in one build."""

import json
import shutil
import sys
from pathlib import Path

from benchmarks import dbt
from benchmarks.compiling import SEGFLOW
from benchmarks.measure import Command, Sample, Samples, cpu, in_turn, memory, wall
from benchmarks.results import Section, against, megabytes

_BUDGET = 3
_PROJECT = "name: trivial\nmodels:\n  trivial: {+materialized: table}\n"
_DBT = "profile: benchmark\n"


def write_project(folder: Path, count: int) -> None:
    """`count` models that are one constant, for both tools, and their statements as a script."""
    shutil.rmtree(folder, ignore_errors=True)
    models = folder / "models"
    models.mkdir(parents=True)
    script = []
    for number in range(count):
        (models / f"trivial_{number:03}.sql").write_text("select 1 as a\n", "utf-8")
        statement = f"create or replace table main.trivial_{number:03} as\nselect 1 as a"
        script += [["execute", 0, sql] for sql in ("begin", statement, "commit")]
    lines = [json.dumps(event) for event in [*script, ["publish"]]]
    (folder / "statements.json").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "segflow.yml").write_text(_PROJECT, "utf-8")
    (folder / "dbt_project.yml").write_text(_PROJECT + _DBT, "utf-8")
    dbt.write_profile(folder)


def _commands(folder: Path, with_dbt: bool) -> list[Command]:
    """Builds of a project that has been built before, so that nothing compiles anew."""
    plain = (sys.executable, str(Path(__file__).with_name("plain.py")))
    count = folder.name
    commands = [
        Command(f"segflow {count}", (SEGFLOW, "build"), folder),
        Command(f"plain {count}", (*plain, "plain.duckdb", "statements.json"), folder),
    ]
    if with_dbt:
        commands.append(dbt.command(f"dbt {count}", folder, "build"))
    return commands


def measure(data: Path, small: bool, with_dbt: bool) -> Section:
    """Build one model and many; the difference is what a model costs."""
    many = 30 if small else 300
    commands = []
    for count in (1, many):
        folder = data / "trivial" / str(count)
        write_project(folder, count)
        commands += _commands(folder, with_dbt)
    rounds, warm_ups = (1, 1) if small else (7, 1)
    samples = in_turn(commands, rounds, warm_ups)
    return Section(
        "c",
        f"Overhead per trivial model, of {many}",
        f"`segflow build` of a project of {many} models `select 1 as a`, all tables, less the same"
        f" with one model, divided by {many - 1}; plain duckdb runs the same statements, each in a"
        " transaction of its own, on a copy of the file that then takes its place. Nothing is"
        " compiled anew. The overhead is segflow's time less that of plain duckdb.",
        ("what", "CPU per model", "wall per model", "memory", "budget"),
        tuple(_rows(samples, many)),
        (f"dbt is `dbt build` ({dbt.versions()}).",) if with_dbt else (),
    )


def _rows(samples: Samples, many: int) -> list[tuple[str, ...]]:
    tools = dict.fromkeys(name.split()[0] for name in samples)
    costs = {t: _per_model(samples[f"{t} 1"], samples[f"{t} {many}"], many) for t in tools}
    overhead = costs["segflow"][0] - costs["plain"][0]
    rows = []
    for tool in tools:
        peak = megabytes(memory(samples[f"{tool} {many}"]))
        rows.append((tool, *(f"{cost:.2f} ms" for cost in costs[tool]), peak, "-"))
    slower = costs["segflow"][1] - costs["plain"][1]
    budget = against(overhead, _BUDGET, f"≤ {_BUDGET} ms")
    rows.append(("overhead of segflow", f"{overhead:.2f} ms", f"{slower:.2f} ms", "-", budget))
    return rows


def _per_model(one: list[Sample], all_: list[Sample], many: int) -> tuple[float, float]:
    """CPU and wall milliseconds for each model after the first."""
    added = many - 1
    return (cpu(all_) - cpu(one)) * 1000 / added, (wall(all_) - wall(one)) * 1000 / added
