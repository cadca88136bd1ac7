"""dbt beside segflow: an environment of its own, a profile, and its commands."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import Command

ROOT = Path(__file__).parent.parent
_VENV = ROOT / ".venv-dbt"
# The last dbt that PyPI alone can install: later ones fetch a binary from elsewhere.
REQUIREMENTS = ("dbt-core<1.12", "dbt-duckdb", f"duckdb=={version('duckdb')}")
TARGET = "target_dbt"
_ENVIRONMENT = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DBT_VERSION_CHECK": "false",
    "DBT_TARGET_PATH": TARGET,
}
_PROFILE = """\
benchmark:
  target: dev
  outputs:
    dev: {type: duckdb, path: dbt.duckdb, threads: 2, schema: main}
"""


def install() -> None:
    """Make the environment, unless it is there."""
    if (_VENV / "bin" / "dbt").exists():
        return
    print("installing dbt into .venv-dbt", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(_VENV)], check=True)
    pip = [str(_VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *REQUIREMENTS], check=True)


def versions() -> str:
    """dbt and its adapter, as in `dbt-core 1.11.16, dbt-duckdb 1.11.1`."""
    code = (
        "from importlib.metadata import version as v;"
        "print(', '.join(f'{n} {v(n)}' for n in ('dbt-core', 'dbt-duckdb')))"
    )
    found = subprocess.run(
        [str(_VENV / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def write_profile(folder: Path) -> None:
    (folder / "profiles.yml").write_text(_PROFILE, "utf-8")


def command(
    name: str, folder: Path, *arguments: str, before: Callable[[], None] = lambda: None
) -> Command:
    """A dbt command in `folder`, to be timed."""
    return Command(
        name, (str(_VENV / "bin" / "dbt"), *arguments), folder, before, environment=_ENVIRONMENT
    )
