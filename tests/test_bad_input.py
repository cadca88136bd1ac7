"""Whatever is wrong ends in one message with file, line and mend; nothing is started or written.

The good project stands in `fixtures/compile/project`. Each case in `fixtures/compile/bad_input`
changes it, as a diff does, and says which message must come of it:

    # the name of the case
    $ the command, where it is not `compile`
    models/contacts.sql
    -what is replaced
    +what it is replaced by; without a `-`, the whole file
    error: models/contacts.sql:6: the message
    hint: the mend
"""

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segflow.compile.compiler import compile_graph
from segflow.compile.connecting import build_graph
from segflow.errors import ProjectError
from segflow.project.load import load
from tests.conftest import MakeProject, Project

FIXTURES = Path(__file__).parent / "fixtures" / "compile"
GOOD = {
    str(path.relative_to(FIXTURES / "project")): path.read_text("utf-8")
    for path in sorted((FIXTURES / "project").rglob("*"))
    if path.is_file()
}


@dataclass
class Case:
    """What is changed, by path: the lines that go and those that come; and what is said of it."""

    name: str
    command: list[str] = field(default_factory=lambda: ["compile"])
    changes: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    says: list[str] = field(default_factory=list)

    def files(self) -> dict[str, str]:
        files = dict(GOOD)
        for path, (old, new) in self.changes.items():
            gone, come = "\n".join(old), "\n".join(new)
            assert not old or gone in GOOD[path], f"{path} does not hold {gone!r}"
            files[path] = GOOD[path].replace(gone, come, 1) if old else f"{come}\n"
        return files


def cases(text: str) -> list[Case]:
    found: list[Case] = []
    path = ""
    for line in filter(None, text.splitlines()):
        mark, rest = line[0], line[1:]
        if mark == "#":
            found.append(Case(rest.strip()))
        elif mark == "$":
            found[-1].command = shlex.split(rest)
        elif mark in "-+":
            found[-1].changes[path][mark == "+"].append(rest)
        elif line.startswith("error: "):
            found[-1].says.append(line)
        elif line.startswith("hint: "):
            found[-1].says.append(f"  {line}")
        else:
            path = line
            found[-1].changes[path] = ([], [])
    return found


CASES = [
    pytest.param(case, id=f"{file.stem}: {case.name}")
    for file in sorted((FIXTURES / "bad_input").glob("*.txt"))
    for case in cases(file.read_text("utf-8"))
]


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a project, except what segflow keeps for itself in target/."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "target" not in path.relative_to(root).parts
    }


def check(made: Project, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    before = contents(made.root)
    outcome = made.segflow(*case.command)
    found = outcome.err.replace(str(made.root.parent), "{above}").splitlines()
    assert found == case.says
    assert outcome.code == 2
    assert outcome.out == ""
    assert contents(made.root) == before


def make(project: MakeProject, files: dict[str, str]) -> Project:
    return project(files, files["segflow.yml"])


def test_the_project_that_the_others_break_is_good(project: MakeProject) -> None:
    outcome = make(project, GOOD).segflow("compile")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("case", CASES)
def test_one_message_and_nothing_done(
    case: Case, project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    check(make(project, case.files()), case, monkeypatch)


@pytest.mark.parametrize(
    ("path", "text", "says"),
    [
        ("models/contacts.sql", b"select\n\xff", "2: not UTF-8: invalid start byte"),
        ("models/contacts.yml", b"\n\nmodels: \xff", "3: not UTF-8: invalid start byte"),
        ("seeds/raw.csv", b"contact_id\na\n\xff\n", "3: not UTF-8: invalid start byte"),
        ("segflow.yml", b"\xffname: demo", "1: not UTF-8: invalid start byte"),
        ("macros/has_email.sql", b"\xc3", "1: not UTF-8: unexpected end of data"),
        ("seeds/raw.csv", b"", "1: the seed is empty: its first line names the columns"),
        ("models/contacts.yml", b"models: []\n\tx: 1\n", "2: broken YAML: found character that"),
        ("models/contacts.yml", b"models:\n - name: a\x07", "2: broken YAML: control characters"),
    ],
)
def test_what_no_text_file_holds(
    path: str, text: bytes, says: str, project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(project, GOOD)
    (made.root / path).write_bytes(text)
    monkeypatch.chdir(made.root)
    outcome = made.segflow("compile")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {path}:{says}")


RWA = cases(
    """\
# an unknown ref
models/contacts.sql
-{{ ref('raw') }}
+{{ ref('rwa') }}
error: models/contacts.sql:6: unknown model `rwa`
hint: did you mean `raw`?
"""
)[0]


@pytest.mark.parametrize("command", ["run", "build", "seed", "test", "ls", "debug", "deliver"])
def test_every_command_says_the_same(
    command: str, project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(project, RWA.files())
    check(made, Case("", [command], says=RWA.says), monkeypatch)
    assert not (made.root / "target" / "compiled").exists()


def test_a_path_that_is_no_project(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(project, GOOD)
    (made.root / "segflow.yml").unlink()
    says = [
        "error: `{above}/project` is not a segflow project: it has no segflow.yml",
        "  hint: name the folder with --project-dir, or start one: segflow init my_project",
    ]
    check(made, Case("", says=says), monkeypatch)


def test_a_good_run_stays_when_the_project_breaks(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(project, GOOD)
    made.run()
    made.write(RWA.files())
    check(made, Case("", ["run"], says=RWA.says), monkeypatch)


TOKENS = [
    *(
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "(",
        "]",
        "}",
        ":",
        ",",
        "- ",
        "\n",
        "\n  ",
        "\t",
        "'",
        '"',
        "&a",
    ),
    *(
        "*a",
        "<<: *a",
        "|",
        "!x",
        "%",
        "@",
        "`",
        "? ",
        "~",
        "1.5",
        "2026-13-01",
        "\x00",
        "\ufeff",
        "é",
    ),
    *("select ", " from ", "{{ this }}", "{% set x = 1 %}", "{% for i in [1] %}", "{% endmacro %}"),
    *("{{ return(1) }}", "{{ 'x' % 1 }}", "{{ ref(1) }}", "{{ config(1) }}", "--", "/*", ";", "::"),
    *(
        "{{ adapter.dispatch('x')() }}",
        "{% include 'x' %}",
        "{% raw %}",
        "{{ self }}",
        "+",
        "name: ",
    ),
]


@given(
    path=st.sampled_from(sorted(GOOD)),
    start=st.integers(0, 400),
    length=st.sampled_from([0, 0, 1, 2, 5, 20]),
    token=st.sampled_from(["", *TOKENS]),
)
@settings(max_examples=120, deadline=None)
def test_no_edit_at_all_ends_in_a_traceback(
    path: str, start: int, length: int, token: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = Project(tmp_path_factory.getbasetemp() / f"edited-{os.getpid()}")
    start = min(start, len(GOOD[path]))
    made.write({**GOOD, path: GOOD[path][:start] + token + GOOD[path][start + length :]})
    try:
        compile_graph(build_graph(load(made.root)))
    except ProjectError as error:
        assert error.location is not None
        lines = (made.root / error.location.path).read_text("utf-8").count("\n") + 1
        assert error.location.line is None or 1 <= error.location.line <= lines
