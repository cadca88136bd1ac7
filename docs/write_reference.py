"""The code and `words.yml` in, `docs/reference/` out: one page per subject.

    python docs/write_reference.py             # write the pages
    python docs/write_reference.py --check     # only say which are not what the code is

Names, types and defaults come from the code; the sentence beside each comes from `words.yml`.
"""

import inspect
import pkgutil
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path

import click
from msgspec.inspect import LiteralType
from structs import CONFIGS, Row, Words, describe, fields_of, markdown_table, reached_from

import segflow
from segflow import errors, pipeline
from segflow.build.workspace import open_engine, published
from segflow.cli.commands import cli
from segflow.compile import selection
from segflow.compile.names import Facts, Scope, names_of
from segflow.compile.relations import Relation
from segflow.destinations.file import FileSettings
from segflow.engines.duckdb import DuckDBSettings
from segflow.pipeline import Compiled
from segflow.project import config, properties, reader
from segflow.project.config import Environment
from segflow.report import Options

HERE = Path(__file__).parent
ROOT = HERE.parent
FOLDER = HERE / "reference"
BUILT_IN = Path(segflow.__path__[0]) / "compile" / "macros"

# What a template may name, and segflow's own tables, are read off a project of two models.
SAMPLE = {
    "segflow.yml": "name: sample\nmodels: {sample: {+materialized: table, +schema: lifecycle}}\n",
    "models/contacts.sql": "select 'a' as contact_id, 'a@example.com' as email",
    "models/everyone.sql": "{{ config(materialized='segment', schema='segments') }}"
    " select contact_id from {{ ref('contacts') }}",
    "models/all.yml": "channels: [{name: email, address: email}]\n"
    "messages: [{name: hello, goal: inform, segment: everyone, channels: [email], priority: 1}]\n"
    "personas: [{name: somebody, segment: everyone}]",
}


def pages(words: Words, sample: Path) -> dict[str, str]:
    """Every page of the reference by file name; `sample` is the folder of the sample project."""
    options = Options("run", datetime(2026, 7, 1), sample)
    compiled = pipeline.compile_project(options, Environment({}))
    parts = {
        "commands": _commands(words),
        "project-file": _project_file(words),
        "yaml": _yaml(words),
        "configs": _configs(words),
        "jinja": _jinja(words, compiled),
        "tests-and-macros": _tests_and_macros(words),
        "selection": _selection(words),
        "errors": _errors(words),
        "tables": _tables(words, compiled, options),
    }
    found = {}
    listed = []
    for name, body in parts.items():
        title, summary = words.of("titles", name), words.of("pages", name)
        listed.append(f"- [{title}]({name}.md): {summary}")
        found[f"{name}.md"] = "\n\n".join([f"# {title}", summary, *filter(None, body)]) + "\n"
    intro = words.of("pages", "README")
    found["README.md"] = "\n".join(["# Reference", "", intro, "", *listed, ""])
    return found


def _commands(words: Words) -> Iterator[str]:
    options: dict[str, Row] = {}
    for name, command in cli.commands.items():
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        yield "## " + " ".join(["segflow", name, *(str(p.name).upper() for p in arguments)])
        yield f"{command.help} {words.of('commands', name)}"
        taken = {row[0]: row for p in command.params if (row := _option(words, p))}
        listed = ", ".join(spelt.partition(",")[0] for spelt in taken)
        yield f"Takes {listed}."
        options |= taken
    yield "## Options"
    rows = sorted(options.values(), key=lambda row: row[0].strip("`-"))
    yield markdown_table(("option", "takes", "default", "meaning"), rows)


def _option(words: Words, parameter: click.Parameter) -> Row:
    if isinstance(parameter, click.Argument):
        name = str(parameter.name)
        return f"`{name.upper()}`", "text", "required", words.of("options", name)
    spelt = sorted(parameter.opts, key=len, reverse=True)
    takes = "number" if isinstance(parameter.type, click.IntRange) else "text"
    if isinstance(parameter.type, click.Choice):
        takes = " or ".join(f"`{choice}`" for choice in parameter.type.choices)
    default = f"`{parameter.default}`" if isinstance(parameter.default, str | int) else ""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        takes = default = ""
    names = ", ".join(f"`{name}`" for name in spelt)
    return names, takes, default, words.of("options", spelt[0].lstrip("-"))


def _project_file(words: Words) -> Iterator[str]:
    for struct in (
        config.ProjectFile,
        config.PackageProperties,
        config.TargetProperties,
        DuckDBSettings,
        config.DestinationProperties,
        FileSettings,
    ):
        yield from describe(words, struct)
    text = (ROOT / "segflow.yml").read_text("utf-8")
    # the first three vars stand for all
    text = re.sub(r"(vars:\n(?:  .*\n){3})(?:  .*\n)+", r"\1  # …\n", text)
    yield f"## The starter's\n\n```yaml\n{text.strip()}\n```"


def _yaml(words: Words) -> Iterator[str]:
    for struct in reached_from(reader.Properties):
        yield from describe(words, struct)
        if struct is properties.ColumnProperties:
            yield f"## Data tests\n\n{words.of('paragraphs', 'data_tests')}"
            yield f"```yaml\n{_column_of('models/staging/stg_contacts.yml', 'account_id')}\n```"


def _column_of(path: str, column: str) -> str:
    """What a YAML file of the starter says of one column, as it stands there."""
    lines = (ROOT / path).read_text("utf-8").splitlines()
    start = lines.index(f"      - name: {column}")
    end = next(i for i in range(start + 1, len(lines)) if lines[i].startswith("      - "))
    return "\n".join(line[6:] for line in lines[start:end])


def _configs(words: Words) -> Iterator[str]:
    for struct in CONFIGS:
        yield from describe(words, struct)
        if struct is properties.ModelConfig:
            yield from _materializations(words)


def _materializations(words: Words) -> Iterator[str]:
    fields = {field.encode_name: field.type for field in fields_of(properties.ModelConfig)}
    kinds = fields.pop("materialized")
    assert isinstance(kinds, LiteralType)
    rows = []
    for kind in sorted(str(kind) for kind in kinds.values):
        only = {name: words.if_any("only_for", name) for name in fields}
        read = [f"`{name}`" for name in fields if not only[name] or kind in only[name].split()]
        rows.append((f"`{kind}`", words.of("materializations", kind), ", ".join(read)))
    yield "## Materializations"
    yield markdown_table(("materialization", "what the model becomes", "configs it reads"), rows)


def _jinja(words: Words, compiled: Compiled) -> Iterator[str]:
    yield words.of("paragraphs", "jinja")
    this = Relation("main", "sample")
    scope = Scope("", Path(), lambda *_: this, lambda *_: this, this, "sample")
    graph = compiled.graph
    values = names_of(graph.project, graph.parser.library, scope, Facts())
    names: list[str] = []
    for name in [*values, "execute"]:
        names.append(name)
        if name in ("config", "adapter", "exceptions"):
            methods = vars(type(values[name]))
            names += [f"{name}.{method}" for method in methods if not method.startswith("_")]
    yield markdown_table(("name", "meaning"), [(f"`{n}`", words.of("jinja", n)) for n in names])
    yield words.of("paragraphs", "clocks")


def _tests_and_macros(words: Words) -> Iterator[str]:
    tests, macros, own = [], [], []
    for path in sorted(BUILT_IN.glob("*.sql")):
        for kind, name, arguments in _signatures(path.read_text("utf-8")):
            if kind == "test":
                given = [f"`{a}`" for a in arguments if a not in ("model", "column_name")]
                tests.append((f"`{name}`", ", ".join(given), words.of("generic_tests", name)))
            else:
                macros.append((f"`{name}({', '.join(arguments)})`", words.of("macros", name)))
    for path in sorted((ROOT / "macros").rglob("*.sql")):
        text = path.read_text("utf-8")
        comment = re.match(r"\{#(.*?)#\}", text, re.DOTALL)
        _, name, arguments = next(_signatures(text))
        meaning = " ".join(comment[1].split()) if comment else ""
        own.append((f"`{name}({', '.join(arguments)})`", meaning))
    yield f"## Generic tests\n\n{words.of('paragraphs', 'generic_tests')}"
    yield markdown_table(("test", "arguments", "what holds"), tests)
    if macros:
        yield "## Built-in macros"
        yield markdown_table(("macro", "meaning"), macros)
    yield f"## Macros of the starter\n\n{words.of('paragraphs', 'macros')}"
    yield markdown_table(("macro", "meaning"), own)


def _signatures(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for kind, name, arguments in re.findall(r"\{%-?\s*(test|macro)\s+(\w+)\((.*?)\)", text):
        yield kind, name, [argument.strip() for argument in arguments.split(",") if argument]


def _selection(words: Words) -> Iterator[str]:
    spelt = words.names("operators")
    yield "## Words"
    yield markdown_table(("word", "chooses"), [(f"`{w}`", words.of("operators", w)) for w in spelt])
    methods = [*selection._METHODS, "config.materialized"]
    rows = [(f"`{method}`", f"`{words.of('methods', method)}`") for method in methods]
    yield f"## Methods\n\n{words.of('paragraphs', 'methods')}"
    yield markdown_table(("method", "as in"), rows)


def _errors(words: Words) -> Iterator[str]:
    for module in pkgutil.walk_packages(segflow.__path__, "segflow."):
        import_module(module.name)
    codes = words.names("exit_codes")
    yield "## Exit codes"
    yield markdown_table(("code", "says"), [(f"`{c}`", words.of("exit_codes", c)) for c in codes])
    yield f"## Classes\n\n{words.of('paragraphs', 'errors')}"
    yield markdown_table(("class", "is a", "exit code", "meaning"), _family(errors.SegflowError))


def _family(error: type[errors.SegflowError]) -> Iterator[Row]:
    """An error class and all below it."""
    parent = "" if error is errors.SegflowError else f"`{error.__bases__[0].__name__}`"
    meaning = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0]
    yield f"`{error.__name__}`", parent, f"`{error.exit_code}`", meaning
    for child in sorted(error.__subclasses__(), key=lambda child: child.__name__):
        yield from _family(child)


def _tables(words: Words, compiled: Compiled, options: Options) -> Iterator[str]:
    yield words.of("paragraphs", "tables")
    for name, (kind, columns) in _own_tables(compiled, options).items():
        yield f"## {name}\n\n{words.of('tables', 'intro', name)} A {kind}."
        rows = [(f"`{c}`", t.lower(), words.of("tables", c, name)) for c, t in columns.items()]
        yield markdown_table(("column", "type", "meaning"), rows)


def _own_tables(compiled: Compiled, options: Options) -> dict[str, tuple[str, dict[str, str]]]:
    """Kind and columns of everything in `segments` and `segflow` after a run, but of segments."""
    report = pipeline.run(compiled, options, lambda _: None)
    assert report.ok, report.results
    own: dict[str, tuple[str, dict[str, str]]] = {}
    with published(open_engine(compiled.project)) as session:
        for schema, name, kind in session.rows(
            "select table_schema, table_name, table_type from information_schema.tables"
            " where table_schema in ('segments', 'segflow') and table_name != 'everyone'"
            " order by table_schema desc, table_name"
        ):
            columns = dict(session.columns(f"select * from {schema}.{name}"))
            own[f"{schema}.{name}"] = ("view" if kind == "VIEW" else "table", columns)
    return own


def main(arguments: list[str]) -> int:
    """Write or compare the pages; 1 where they, or `words.yml`, are not what the code is."""
    words = Words((HERE / "words.yml").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for name, text in SAMPLE.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        made = pages(words, Path(folder))
    FOLDER.mkdir(exist_ok=True)
    found = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    problems = [f"docs/words.yml says nothing of {name}" for name in words.missing]
    problems += [f"docs/words.yml speaks of {name}, which is gone" for name in words.unused()]
    differing = sorted(n for n in made.keys() | found.keys() if made.get(n) != found.get(n))
    if "--check" in arguments:
        problems += [f"docs/reference/{n} differs: run `{_COMMAND}`" for n in differing]
    else:
        for name in differing:
            (FOLDER / name).unlink(missing_ok=True)
            if name in made:
                (FOLDER / name).write_text(made[name], "utf-8")
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems else 0


_COMMAND = "python docs/write_reference.py"

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
