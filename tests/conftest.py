"""Whole projects as `{path: text}`, run in this process by the command that a user types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from click.testing import CliRunner

from segflow.cli.commands import cli
from segflow.cli.main import join_lists
from segflow.cli.starter import copy_starter

AS_OF = "2026-07-01 02:00:00"

# A project of one table of contacts: enough for a segment, a channel and an audience to stand on.
SEGFLOW_YML = f"""
name: demo
seeds: {{demo: {{+schema: seeds}}}}
models:
  demo:
    +schema: lifecycle
    +materialized: table
    segments: {{+schema: segments, +materialized: segment}}
destinations:
  - {{name: files, type: file, format: csv}}
targets:
  dev: {{path: warehouse/demo.duckdb, as_of: {AS_OF}}}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)


@dataclass(frozen=True)
class Project:
    """A project on disk."""

    root: Path

    @property
    def database(self) -> Path:
        found = sorted((self.root / "warehouse").glob("*.duckdb"))
        return found[0] if found else self.root / "warehouse" / "demo.duckdb"

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def segflow(self, *arguments: str) -> Outcome:
        """Run a command on the project; any exception it lets out fails the test."""
        words = [*arguments, "--project-dir", str(self.root)]
        result = CliRunner().invoke(cli, join_lists(words), standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return Outcome(result.return_value or 0, result.stdout, result.stderr)

    def run(self, *arguments: str) -> Outcome:
        """`segflow run`, which must end well."""
        outcome = self.segflow("run", *arguments)
        assert outcome.code == 0, outcome.out + outcome.err
        return outcome

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the published database, read as a BI tool would."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()


MakeProject = Callable[..., Project]


@pytest.fixture
def project(tmp_path: Path) -> MakeProject:
    """Write a project into a folder of its own; `segflow_yml` replaces the usual one."""

    def make(files: Mapping[str, str], segflow_yml: str = SEGFLOW_YML) -> Project:
        made = Project(tmp_path / "project")
        made.write({"segflow.yml": segflow_yml, **files})
        return made

    return make


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the repository's own project that has been run once; not to be written to."""
    root = tmp_path_factory.mktemp("starter") / "acme"
    copy_starter(root)
    made = Project(root)
    made.run("--quiet")
    return made
