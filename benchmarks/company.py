"""The demo company at any size: its raw tables as Parquet files, and a project that reads them."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiling import SEGFLOW
from benchmarks.dbt import ROOT
from benchmarks.measure import Command

AS_OF = "2026-07-01 02:00:00"
NEXT_AS_OF = "2026-07-02 02:00:00"
_GENERATOR = ROOT / "seeds" / "generate.py"


@dataclass(frozen=True)
class Size:
    contacts: int
    events_per_contact: int


FULL = Size(200_000, 50)
SMALL = Size(500, 20)


def raw_tables() -> list[str]:
    """The tables that the repository has as seeds and a benchmark has as files."""
    return sorted(path.stem for path in (ROOT / "seeds").glob("raw_*.csv"))


def generate(folder: Path, size: Size) -> Path:
    """The company's Parquet files, in `folder/raw`, and one day more in `folder/more`."""
    stamp = folder / "generated_by.txt"
    digest = _digest(size)
    if stamp.exists() and stamp.read_text("utf-8") == digest:
        return folder / "raw"
    shutil.rmtree(folder, ignore_errors=True)
    raw, more = folder / "raw", folder / "more"
    _run_generator(
        raw,
        *("--contacts", str(size.contacts)),
        *("--events-per-contact", str(size.events_per_contact)),
    )
    more.mkdir()
    shutil.copy(raw / "company.json", more)
    _run_generator(more, "--days-more", "1")
    stamp.write_text(digest, "utf-8")
    return raw


def _digest(size: Size) -> str:
    """Of the generator and the size: another one makes another company."""
    scripts = [_GENERATOR, *sorted(_GENERATOR.with_name("generator").glob("*.sql"))]
    text = "".join(script.read_text("utf-8") for script in scripts)
    return hashlib.sha256(f"{size} {text}".encode()).hexdigest()


def _run_generator(out: Path, *arguments: str) -> None:
    print(f"generating {out}", file=sys.stderr)
    command = [sys.executable, str(_GENERATOR), "--format", "parquet", "--out", str(out)]
    subprocess.run([*command, *arguments], check=True)


def files_of(table: str, raw: Path) -> str:
    """What DuckDB reads a raw table from: one file, or all in the table's folder."""
    folder = raw / table
    return str(folder / "*.parquet" if folder.is_dir() else folder.with_suffix(".parquet"))


def write_project(folder: Path, raw: Path) -> None:
    """A project on top of the repository's own, its raw seeds replaced by views over the files."""
    shutil.rmtree(folder, ignore_errors=True)
    models = folder / "models"
    models.mkdir(parents=True)
    for table in raw_tables():
        select = f"select * from read_parquet('{files_of(table, raw)}')\n"
        (models / f"{table}.sql").write_text(select, "utf-8")
    settings = {
        "name": "company",
        "packages": [{"local": str(ROOT)}],
        "models": {"company": {"+schema": "raw", "+materialized": "view"}},
        "seeds": {"starter": {table: {"+enabled": False} for table in raw_tables()}},
    }
    (folder / "segflow.yml").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def run_command(name: str, folder: Path, *arguments: str, kept: Path | None = None) -> Command:
    """`segflow run` in `folder`, on the published file `kept` where one is given."""
    database = folder / "warehouse" / "segflow.duckdb"

    def before() -> None:
        if kept:
            shutil.copyfile(kept, database)

    return Command(name, (SEGFLOW, "run", "--quiet", *arguments), folder, before)


def seconds_per_node(folder: Path) -> dict[str, float]:
    """How long each node of the last run took, by its name, the longest first."""
    found = json.loads((folder / "target" / "run_results.json").read_text("utf-8"))
    nodes = found["results"]["nodes"]
    seconds = {node["name"]: float(node["seconds"]) for node in nodes}
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def incremental(folder: Path) -> list[str]:
    """The names of the incremental models of a project that was compiled."""
    manifest = json.loads((folder / "target" / "manifest.json").read_text("utf-8"))
    return sorted(
        node["name"]
        for node in manifest["nodes"].values()
        if node["config"].get("materialized") == "incremental"
    )
