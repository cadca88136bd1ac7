"""Part e: five hundred segments over one wide table: their membership a day later, and history."""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import dbt
from benchmarks.compiling import SEGFLOW
from benchmarks.measure import Command, Samples, cpu_ratio, in_turn, timed, wall_ratio
from benchmarks.results import Section, against, costs

_PLAIN, _DBT = 2, 1 / 3
_DAYS = ("2026-07-01", "2026-07-02")
_YML = """\
name: wide
models:
  wide:
    +schema: lifecycle
    +materialized: table
    segments: {+schema: segments, +materialized: segment}
"""
_DBT_YML = """\
name: wide
profile: benchmark
vars: {as_of: set-on-the-command-line}
models:
  wide: {+materialized: table}
"""
# Thirteen numbers, words and moments each, all independent of one another.
_CONTACTS = """\
copy (
    select
        'contact_' || lpad(range::varchar, 8, '0') as contact_id,
        {columns}
    from range({contacts})
) to '{path}' (format parquet)"""
_KINDS = (
    "(hash(range, {n}) % 1000)::integer as number_{n:02}",
    "'word_' || (hash(range, {n} + 100) % 10) as word_{n:02}",
    "timestamp '2026-07-03' - to_seconds((hash(range, {n} + 200) % 31536000)::bigint) as at_{n:02}",
)


@dataclass(frozen=True)
class Share:
    """How large a part of all contacts each segment has: half a word, so many days and numbers."""

    percent: str
    days: int
    below: int


_SHARES = (Share("0.2", 73, 20), Share("1", 73, 100), Share("7", 128, 400))


def _select(number: int, share: Share, contacts: str, as_of: str) -> str:
    """One segment: three conditions on other columns than its neighbours', and its evidence."""
    a, b, c = (1 + number % 13, 1 + number // 13 % 13, 1 + number // 169 % 13)
    words = ", ".join(f"'word_{(number + step) % 10}'" for step in range(5))
    low = number * 7 % (1000 - share.below)
    return (
        f"select contact_id, at_{a:02}, number_{b:02} from {contacts}"
        f" where at_{a:02} <= {as_of} and at_{a:02} > {as_of} - interval {share.days} day"
        f" and number_{b:02} >= {low} and number_{b:02} < {low + share.below}"
        f" and word_{c:02} in ({words})"
    )


def _write(folder: Path, count: int, share: Share, data: Path) -> None:
    """The same segments for segflow, for dbt and as a script of statements."""
    shutil.rmtree(folder, ignore_errors=True)
    script = []
    ours, theirs = folder / "models" / "segments", folder / "dbt" / "models"
    for path in (ours, theirs):
        path.mkdir(parents=True)
    for number in range(count):
        name = f"segment_{number:03}"
        sql = _select(number, share, "{{ ref('contacts') }}", "{{ as_of() }}")
        (ours / f"{name}.sql").write_text(sql, "utf-8")
        sql = _select(number, share, "{{ ref('contacts') }}", "timestamp '{{ var(\"as_of\") }}'")
        (theirs / f"{name}.sql").write_text(sql, "utf-8")
        sql = _select(number, share, "lifecycle.contacts", f"timestamp '{_DAYS[1]}'")
        statement = f"create or replace table main.{name} as {sql}"
        script += [["execute", 0, text] for text in ("begin", statement, "commit")]
    lines = [json.dumps(event) for event in [*script, ["publish"]]]
    (folder / "statements.json").write_text("\n".join(lines) + "\n", "utf-8")
    contacts = f"select * from '{data}'"
    (folder / "models" / "contacts.sql").write_text(contacts, "utf-8")
    (theirs / "contacts.sql").write_text(contacts, "utf-8")
    union = (
        "{% for n in range(" + str(count) + ") %}select '{{ n }}' as segment, contact_id from"
        " {{ ref('segment_%03d' | format(n)) }}"
        "{% if not loop.last %} union all {% endif %}{% endfor %}"
    )
    (theirs / "memberships.sql").write_text(
        "".join(f"-- depends_on: {{{{ ref('segment_{n:03}') }}}}\n" for n in range(count)) + union,
        "utf-8",
    )
    (folder / "segflow.yml").write_text(_YML, "utf-8")
    (folder / "dbt" / "dbt_project.yml").write_text(_DBT_YML, "utf-8")
    dbt.write_profile(folder / "dbt")


def _commands(folder: Path, percent: str, with_dbt: bool) -> list[Command]:
    """Each tool the day after it has done the same as of the day before."""
    warehouse = folder / "warehouse"
    build = (SEGFLOW, "build", "--quiet", "--as-of")
    timed(Command("first", (*build, _DAYS[0]), folder))
    for name in ("segflow", "plain"):
        shutil.copyfile(warehouse / "segflow.duckdb", folder / f"{name}.duckdb")
    script = (sys.executable, str(Path(__file__).with_name("plain.py")))
    plain = (*script, str(warehouse / "plain.duckdb"), "statements.json")

    def start_from(name: str) -> None:
        shutil.copyfile(folder / f"{name}.duckdb", warehouse / f"{name}.duckdb")

    segments = ("--select", "resource_type:segment")
    commands = [
        Command(
            f"segflow, {percent} %",
            (*build, _DAYS[1], *segments),
            folder,
            lambda: start_from("segflow"),
        ),
        Command(f"plain, {percent} %", plain, folder, lambda: start_from("plain")),
    ]
    if with_dbt:
        as_of = [("--vars", f"as_of: '{day}'") for day in _DAYS]
        timed(dbt.command("first dbt", folder / "dbt", "run", *as_of[0]))
        run = ("run", "--exclude", "contacts", *as_of[1])
        commands.append(dbt.command(f"dbt, {percent} %", folder / "dbt", *run))
    return commands


def measure(data: Path, small: bool, with_dbt: bool) -> Section:
    """Evaluate all segments a day later, at three sizes of them."""
    contacts, count = (10_000, 20) if small else (1_000_000, 500)
    base = data / "segments"
    base.mkdir(parents=True, exist_ok=True)
    path = base / "contacts.parquet"
    columns = ", ".join(kind.format(n=n) for kind in _KINDS for n in range(1, 14))
    query = _CONTACTS.format(columns=columns, contacts=contacts, path=path)
    timed(
        Command("contacts", (sys.executable, "-c", f"import duckdb; duckdb.sql({query!r})"), base)
    )
    samples: Samples = {}
    for share in _SHARES:
        folder = base / share.percent
        _write(folder, count, share, path)
        samples |= in_turn(_commands(folder, share.percent, with_dbt), 1 if small else 3)
        shutil.rmtree(folder)
    return Section(
        "e",
        f"{count} segments over {contacts:,} contacts of 40 columns",
        "`segflow build --select resource_type:segment` a day after all of them were evaluated:"
        " evaluation, comparison with who was in, and history, at three sizes of a segment in"
        " percent of all contacts. Plain duckdb writes the same SELECTs as tables, one by one, on a"
        " copy of the published file; dbt builds them as tables, and one table that is their union.",
        ("what", "CPU", "wall", "memory", "segflow / this, CPU", "… wall", "budget"),
        tuple(_rows(samples)),
        (f"dbt is `dbt run` ({dbt.versions()}).",) if with_dbt else (),
    )


def _rows(samples: Samples) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, theirs in samples.items():
        tool, percent = name.split(", ")
        if tool == "segflow":
            rows.append((name, *costs(theirs), "1", "1", "-"))
            continue
        ours = samples[f"segflow, {percent}"]
        ratio, slower = cpu_ratio(ours, theirs), wall_ratio(ours, theirs)
        budget = against(ratio, _PLAIN, f"≤ {_PLAIN}")
        if tool == "dbt":
            is_sparse = percent == f"{_SHARES[0].percent} %"
            budget = against(ratio, _DBT, "≤ 0.33") if is_sparse else "-"
        rows.append((name, *costs(theirs), f"{ratio:.2f}", f"{slower:.2f}", budget))
    return rows
