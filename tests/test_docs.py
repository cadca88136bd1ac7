"""What the README, the guides and the reference say is so: commands run, links lead on."""

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from msgspec import Struct
from msgspec import inspect as shapes

from segflow.cli.commands import cli
from segflow.cli.main import join_lists
from segflow.compile import selection
from segflow.compile.names import Facts, Scope, names_of
from segflow.compile.relations import Relation
from segflow.pipeline import compile_project
from segflow.project import properties, reader
from segflow.project.config import Environment, ProjectFile
from segflow.report import Options
from tests.conftest import MakeProject, Project

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted((DOCS / "guides").glob("*.md"))]
CONCEPTS = sorted((DOCS / "concepts").glob("*.md"))

# How every page begins. The fixture `starter` has done it, once for all pages.
BEGINNING = ["segflow init acme", "cd acme", "segflow run"]


# ── reading a page ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, and the line of text above it, which may name a file."""

    language: str
    text: str
    above: str

    @property
    def names_a_file(self) -> bool:
        """As in: `models/a.sql`, Below `vars:` in `segflow.yml`, At the end of `models/a.yml`."""
        return bool(re.fullmatch(r"(Below `.+` in |At the end of )?`[\w./]+\.\w+`", self.above))

    @property
    def lines(self) -> list[str]:
        """Without remarks; `# exit 1` is none."""
        return [re.sub(r"\s+# (?!exit \d).*", "", line) for line in self.text.splitlines() if line]


def blocks(page: Path) -> Iterator[Block]:
    above, fence, inside = "", None, list[str]()
    for line in page.read_text("utf-8").splitlines():
        if fence is None and line.startswith("```"):
            fence, inside = line[3:], []
        elif fence is not None and line == "```":
            yield Block(fence, "\n".join(inside) + "\n", above)
            fence = None
        elif fence is not None:
            inside.append(line)
        elif line.strip():
            above = line


def commands(page: Path) -> list[str]:
    return [line for block in blocks(page) if block.language == "sh" for line in block.lines]


def is_for_the_repository(line: str) -> bool:
    return line.startswith(("make ", "pip install "))


# ── doing what it says ────────────────────────────────────────────────────────────────────────


@dataclass
class Reader:
    """Someone who does what a page says, in a folder of her own."""

    folder: Path
    printed: list[str] = field(default_factory=list)

    def write(self, block: Block) -> None:
        """Put a block where the line above it says."""
        *anchor, name = re.findall(r"`([^`]+)`", block.above)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.read_text("utf-8") if block.above[0] != "`" else ""
        if anchor:
            before, found, after = old.partition(f"{anchor[0]}\n")
            assert found, block.above
            path.write_text(before + found + block.text + after, "utf-8")
        else:
            path.write_text(old + block.text, "utf-8")

    def type(self, lines: list[str]) -> None:
        """Run lines: `segflow` in this process, `cd` here, what is between them in bash."""
        for own, group in groupby(lines, lambda line: line.startswith(("segflow ", "cd "))):
            if not own:
                subprocess.run(["bash", "-ec", "\n".join(group)], cwd=self.folder, check=True)
                continue
            for line in group:
                if line.startswith("cd "):
                    self.folder = (self.folder / line[3:]).resolve()
                else:
                    self.segflow(line)

    def segflow(self, line: str) -> None:
        words = shlex.split(line, comments=True)[1:]
        wanted = int(line.rpartition("# exit ")[2]) if "# exit " in line else 0
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            result = CliRunner().invoke(cli, join_lists(words), standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        assert (result.return_value or 0) == wanted, f"{line}\n{result.output}"
        self.printed.append(result.output)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_can_be_done(page: Path, starter: Project, tmp_path: Path) -> None:
    shutil.copytree(starter.root, tmp_path / "acme")
    reader = Reader(tmp_path / "acme")
    expected: list[str] = []
    done: list[str] = []
    for block in blocks(page):
        if block.language == "sh":
            typed = [line for line in block.lines if not is_for_the_repository(line)]
            done += typed
            reader.type(typed[max(len(BEGINNING) - len(done) + len(typed), 0) :])
        elif block.names_a_file:
            reader.write(block)
        elif block.language == "":
            expected += block.text.splitlines()
    assert done[: len(BEGINNING)] == BEGINNING
    printed = "\n".join(reader.printed)
    for line in expected:
        assert line.partition("…")[0].rstrip() in printed, f"{page.name} shows: {line}"


@pytest.mark.parametrize("page", CONCEPTS, ids=lambda page: page.stem)
def test_queries_and_pieces_of_the_concepts_are_real(page: Path, starter: Project) -> None:
    real = {
        line.strip()
        for path in [*starter.root.glob("models/**/*"), *starter.root.glob("*.yml")]
        if path.suffix in (".sql", ".yml")
        for line in path.read_text("utf-8").splitlines()
    }
    with duckdb.connect(starter.database, read_only=True) as database:
        for block in blocks(page):
            if block.language == "sql" and "from segments." in block.text:
                database.execute(block.text)
            elif block.language == "yaml":
                for line in block.text.splitlines():
                    assert line.strip() in real, f"{page.name}: {line}"


# ── the README ────────────────────────────────────────────────────────────────────────────────


def test_the_readme_shows_the_segment_as_it_is() -> None:
    shown = next(block.text for block in blocks(README) if block.language == "sql")
    assert shown == (ROOT / "models/segments/trials_ending.sql").read_text("utf-8")


def test_the_map_of_the_house_is_that_of_the_folders() -> None:
    drawn = next(block.text for block in blocks(README) if block.language == "text")
    top = ROOT
    for line in drawn.splitlines():
        name = line.split()[0]
        top = top if line.startswith("  ") else ROOT / name
        assert (top / name if line.startswith("  ") else top).exists(), line


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = {line.split()[1] for page in PAGES for line in commands(page) if "make " in line}
    assert named >= {"run", "test"}
    assert [name for name in named if f"\n{name}:" not in makefile] == []


# ── the reference ─────────────────────────────────────────────────────────────────────────────


def test_the_reference_is_what_the_code_is() -> None:
    script = [sys.executable, str(DOCS / "write_reference.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python docs/write_reference.py`:\n{done.stderr}"


def test_every_name_has_its_row(project: MakeProject) -> None:
    made = project({"models/contacts.sql": "select 'a' as contact_id"})
    options = Options("compile", datetime(2026, 7, 1), made.root)
    graph = compile_project(options, Environment({})).graph
    this = Relation("main", "x")
    scope = Scope("", Path(), lambda *_: this, lambda *_: this, this, "x")
    names = names_of(graph.project, graph.parser.library, scope, Facts())
    kinds = next(f.type for f in fields_of(properties.ModelConfig) if f.name == "materialized")
    assert isinstance(kinds, shapes.LiteralType)
    wanted = {
        "jinja.md": {"execute", *names},
        "yaml.md": {key.encode_name for key in fields_of(reader.Properties)},
        "project-file.md": {key.encode_name for key in fields_of(ProjectFile)},
        "configs.md": {str(kind) for kind in kinds.values},
        "selection.md": set(selection._METHODS),
    }
    for page, rows in wanted.items():
        text = (DOCS / "reference" / page).read_text("utf-8")
        assert [row for row in sorted(rows) if f"\n| `{row}` |" not in text] == [], page
    headings = (DOCS / "reference" / "commands.md").read_text("utf-8")
    missing = [name for name in cli.commands if f"\n## segflow {name}" not in headings]
    assert missing == []


def fields_of(struct: type[Struct]) -> tuple[shapes.Field, ...]:
    found = shapes.type_info(struct)
    assert isinstance(found, shapes.StructType)
    return found.fields


# ── links ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", [README, *sorted(DOCS.rglob("*.md"))], ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        name, _, heading = target.partition("#")
        assert "://" not in target, target
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name}: {target}"
        if heading:
            assert heading in anchors(path), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


# ── the package ───────────────────────────────────────────────────────────────────────────────


def test_the_wheel_brings_the_starter(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    call([*pip, *build], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for part in ("models", "seeds", "macros", "tests/data"):
        files = [
            path for path in (ROOT / part).rglob("*") if path.suffix in (".sql", ".csv", ".yml")
        ]
        own = [path for path in files if "generator" not in path.parts]
        packed = {f"segflow/starter/{path.relative_to(ROOT).as_posix()}" for path in own}
        assert packed
        assert packed <= names
    templates = {path.name for path in (ROOT / "segflow/site/templates").iterdir()}
    assert {f"segflow/site/templates/{name}" for name in templates} <= names
    assert "segflow/starter/segflow.yml" in names

    site = tmp_path / "site"
    call([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], tmp_path)
    # without the working copy's own path, only the installed package is found
    start = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from segflow.cli.main import main; main()"
    )
    installed = [sys.executable, "-c", start]
    call([*installed, "init", "acme"], tmp_path)
    call([*installed, "run", "--quiet"], tmp_path / "acme")
    assert (tmp_path / "acme/exports/email_tool/trial_mails.csv").is_file()
    call([*installed, "docs", "--quiet"], tmp_path / "acme")
    assert (tmp_path / "acme/target/docs/index.html").is_file()


def call(words: list[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
