"""Part b: compile a thousand generated models, cold, unchanged and after one edit."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dbt
from benchmarks.measure import Command, Samples, cpu, cpu_ratio, in_turn, memory
from benchmarks.results import Section, against, costs, megabytes, seconds

SEGFLOW = str(Path(sys.executable).with_name("segflow"))
_PER_FOLDER = 100

_ROOT = """\
{{# One row per item of {name}. #}}

with

numbers as (

    select unnest(range(1000)) as item_number

),

items as (

    select
        cast(item_number as varchar) as item_id,
        item_number % {modulus} as kind,
        item_number * {factor} as amount,
        timestamp '2026-01-01' + to_hours(item_number) as created_at

    from numbers

)

select
    item_id,
    kind,
    amount,
    created_at

from items

where amount >= 0
"""

_STEP = """\
{{# One row per item of {name}. #}}
with first_parent as (
    select * from {{{{ ref('{first}') }}}}
),

second_parent as (
    select * from {{{{ ref('{second}') }}}}
),
{third}
totals as (
    select
        item_id,
        sum(amount) as amount,
        max(created_at) as created_at

    from second_parent
    group by item_id
)

select
    first_parent.item_id,
    first_parent.kind,
    first_parent.amount + totals.amount as amount,
    greatest(first_parent.created_at, totals.created_at) as created_at

from first_parent

inner join totals
    on first_parent.item_id = totals.item_id
where first_parent.amount >= {least}{semi}
"""

_THIRD = """
third_parent as (
    select item_id from {{{{ ref('{third}') }}}}
),
"""

_YAML = """\
models:
  - name: {name}
    description: "Items after step {number}. One row per item."
    columns:
      - name: item_id
        description: "Key of the item."
        data_tests: [not_null, unique]
      - name: kind
        description: "What kind of item it is."
      - name: amount
        description: "What it is worth."
        data_tests: [not_null]
      - name: created_at
        description: "When it came to be."
"""

_SEGFLOW_PROJECT = "name: thousand\nmodels:\n  thousand: {+materialized: table}\n"
_DBT_PROJECT = """\
name: thousand
profile: benchmark
models:
  thousand: {+materialized: table}
"""


@dataclass
class Edits:
    """Changes one model in the middle of the graph, to something new every time."""

    path: Path
    count: int = 0

    def __call__(self) -> None:
        self.count += 1
        text = self.path.read_text("utf-8").partition("\n-- edit ")[0]
        self.path.write_text(f"{text}\n-- edit {self.count}\n", "utf-8")


def write_project(folder: Path, count: int) -> Path:
    """One folder that both tools can read; the path of a model with others below it."""
    shutil.rmtree(folder, ignore_errors=True)
    width = min(_PER_FOLDER, count // 10)
    for number in range(count):
        layer, name = number // width, f"step_{number:04}"
        below = folder / "models" / f"layer_{layer}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{name}.sql").write_text(_model(number, width), "utf-8")
        (below / f"{name}.yml").write_text(_YAML.format(name=name, number=number), "utf-8")
    (folder / "segflow.yml").write_text(_SEGFLOW_PROJECT, "utf-8")
    (folder / "dbt_project.yml").write_text(_DBT_PROJECT, "utf-8")
    dbt.write_profile(folder)
    middle = width * 5
    return folder / "models" / "layer_5" / f"step_{middle:04}.sql"


def _model(number: int, width: int) -> str:
    """A root that makes rows, or a step that reads two or three models of the layer before it."""
    name = f"step_{number:04}"
    if number < width:
        return _ROOT.format(name=name, modulus=2 + number % 7, factor=1 + number % 5)
    start = (number // width - 1) * width
    parents = [f"step_{start + (number * step + step) % width:04}" for step in (1, 3, 7)]
    third = number % 2 == 1
    return _STEP.format(
        name=name,
        first=parents[0],
        second=parents[1],
        third=_THIRD.format(third=parents[2]) if third else "",
        least=number % 10,
        semi="\n    and first_parent.item_id in (select item_id from third_parent)"
        if third
        else "",
    )


@dataclass
class Aside:
    """Moves a folder out of the way. Deleting it would slow down the files made right after."""

    folder: Path
    count: int = 0

    def __call__(self) -> None:
        self.count += 1
        trash = self.folder.with_name("trash")
        trash.mkdir(exist_ok=True)
        if self.folder.exists():
            self.folder.rename(trash / f"{self.folder.name}_{self.count}")


def _commands(folder: Path, edited: Path, with_dbt: bool) -> list[Command]:
    ours = (SEGFLOW, "compile")
    cold = Aside(folder / "target")
    edit = Edits(edited)
    commands = [
        Command("segflow --version", (SEGFLOW, "--version"), folder),
        Command("segflow cold", ours, folder, cold),
        Command("segflow unchanged", ours, folder),
        Command("segflow one edit", ours, folder, edit),
    ]
    if with_dbt:
        cold = Aside(folder / dbt.TARGET)
        commands += [
            dbt.command("dbt --version", folder, "--version"),
            dbt.command("dbt cold", folder, "compile", before=cold),
            dbt.command("dbt unchanged", folder, "compile"),
            dbt.command("dbt one edit", folder, "compile", before=edit),
            dbt.command("dbt parse cold", folder, "parse", before=cold),
            dbt.command("dbt parse unchanged", folder, "parse"),
        ]
    return commands


def measure(data: Path, small: bool, with_dbt: bool) -> Section:
    """Compile, and see what it costs."""
    count = 60 if small else 1000
    folder = data / "thousand"
    edited = write_project(folder, count)
    rounds, warm_ups = (1, 0) if small else (5, 1)
    samples = in_turn(_commands(folder, edited, with_dbt), rounds, warm_ups)
    return Section(
        "b",
        f"Compile {count:,} models",
        "Models of about 33 lines with two or three refs, each with a YAML file of its own and"
        " three data tests, in ten folders. Cold: nothing is kept from before. One edit: a model"
        " changes that others read.",
        ("what", "CPU", "wall", "memory", "dbt, CPU", "dbt / segflow", "budget"),
        tuple(_rows(samples)),
        _notes(samples),
    )


def _rows(samples: Samples) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for what, limit in (("--version", 0.15), ("cold", 5), ("unchanged", 0.5), ("one edit", None)):
        ours = samples[f"segflow {what}"]
        theirs = samples.get(f"dbt {what}")
        budget = against(cpu(ours), limit, f"≤ {limit} s") if limit else "-"
        beside = (seconds(cpu(theirs)), f"{cpu_ratio(theirs, ours):.0f}") if theirs else ("-", "-")
        typed = f"`segflow {what}`" if what == "--version" else f"`segflow compile`, {what}"
        rows.append((typed, *costs(ours), *beside, budget))
    return rows


def _notes(samples: Samples) -> tuple[str, ...]:
    peak = max(memory(s) for name, s in samples.items() if name.startswith("segflow"))
    kept = against(peak, 150, "≤ 150 MB")
    notes = [f"Python's memory at its peak: {megabytes(peak)} ({kept})."]
    if "dbt cold" in samples:
        parse = (samples["dbt parse cold"], samples["dbt parse unchanged"])
        notes.append(
            f"dbt is `dbt compile` ({dbt.versions()}). `dbt parse` alone, without any SQL:"
            f" {seconds(cpu(parse[0]))} cold, {seconds(cpu(parse[1]))} unchanged;"
            f" peak memory of `dbt compile` {megabytes(memory(samples['dbt cold']))}."
        )
    return tuple(notes)
