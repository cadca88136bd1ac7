"""The code and `words.yml` in, `docs/reference/` out: one page per subject.

python docs/generate.py

Names, types and defaults come from the code; the sentence beside each comes from `words.yml`.
"""

import inspect
import pkgutil
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml
from msgspec import NODEFAULT
from msgspec import inspect as shapes

import segflow
from segflow import errors, pipeline
from segflow.build.workspace import open_engine, published
from segflow.cli.commands import cli
from segflow.compile import selection, templating
from segflow.compile.context import Record, Scope, names_of
from segflow.compile.relations import Relation
from segflow.destinations.file import FileSettings
from segflow.engines.duckdb import DuckDBSettings
from segflow.project import config, nodes
from segflow.project.config import Environment
from segflow.project.load import load
from segflow.report import Options

HERE = Path(__file__).parent
ROOT = HERE.parent
FOLDER = HERE / "reference"

# Tables of segflow's own are described from a project that has one of everything they tell of.
_SAMPLE = {
    "segflow.yml": "name: sample\nmodels: {sample: {+materialized: table, +schema: lifecycle}}\n",
    "models/contacts.sql": "select 'a' as contact_id, 'a@example.com' as email",
    "models/everyone.sql": "{{ config(materialized='segment', schema='segments') }}"
    " select contact_id from {{ ref('contacts') }}",
    "models/all.yml": "channels: [{name: email, address: email}]",
}

Row = tuple[str, ...]


class Words:
    """What `words.yml` says, remembering what it was asked for."""

    def __init__(self, text: str):
        self._said: dict[str, Any] = yaml.safe_load(text)
        self._used: set[tuple[str, str]] = set()
        self.missing: list[str] = []

    def of(self, section: str, name: str) -> str:
        """The sentence for a name; empty, and noted, where there is none."""
        found = self._said[section].get(name)
        if found is None:
            self.missing.append(f"{section}: {name}")
            return ""
        self._used.add((section, name))
        return str(found).strip()

    def key(self, section: str, group: str, name: str) -> str:
        """The sentence for a key of a struct or table, else what is said of such a key anywhere."""
        own = self._said[section].get(group, {})
        if name in own:
            self._used.add((f"{section}.{group}", name))
            return str(own[name]).strip()
        if section == "structs" and name in self._said["any"]:
            return self.of("any", name)
        self.missing.append(f"{section}.{group}: {name}")
        return ""

    def about(self, section: str, group: str, name: str) -> str:
        """A struct's `title` or `intro`, which may be left out."""
        found = str(self._said[section].get(group, {}).get(name, "")).strip()
        self._used.add((f"{section}.{group}", name))
        return found.replace("{goals}", ", ".join(f"`{goal}`" for goal in nodes.GOALS))

    def applies(self, name: str, all_of: Iterable[str]) -> list[str]:
        """The materializations that read a config."""
        self._used.add(("applies", name))
        return list(self._said["applies"].get(name, all_of))

    def macros(self) -> dict[str, str]:
        return dict(self._said["macros"])

    @property
    def unused(self) -> list[str]:
        """Words for names that the code does not have."""
        found = []
        for section, entries in self._said.items():
            for name, value in entries.items():
                if section in ("structs", "tables"):
                    found += [
                        f"{section}.{name}: {key}"
                        for key in value
                        if (f"{section}.{name}", key) not in self._used
                    ]
                elif (section, name) not in self._used:
                    found.append(f"{section}: {name}")
        return found


def pages(words: Words) -> dict[str, str]:
    """Every page of the reference by file name."""
    makers = {
        "commands": _commands,
        "project-file": _project_file,
        "yaml": _yaml,
        "configs": _configs,
        "jinja": _jinja,
        "tests-and-macros": _tests_and_macros,
        "selection": _selection,
        "errors": _errors,
        "tables": _tables,
    }
    found = {}
    listed = []
    for name, make in makers.items():
        title = name.replace("-", " ").capitalize()
        summary = words.of("pages", name)
        listed.append(f"- [{title}]({name}.md): {summary}")
        body = "\n\n".join(part for part in make(words) if part)
        found[f"{name}.md"] = f"# {title}\n\n{summary}\n\n{body}\n"
    made = "Made from the code by `python docs/generate.py`; a test compares."
    found["README.md"] = "\n".join(["# Reference", "", made, "", *listed, ""])
    return found


# ── pages ─────────────────────────────────────────────────────────────────────────────────────


def _commands(words: Words) -> Iterator[str]:
    for name, command in cli.commands.items():
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        usage = " ".join(["segflow", name, *(str(p.name).upper() for p in arguments)])
        yield f"## {usage}"
        yield f"{command.help} {words.of('commands', name)}"
        rows = [_option(words, parameter) for parameter in command.params]
        yield _table(("option", "takes", "meaning"), [row for row in rows if row])


def _option(words: Words, parameter: click.Parameter) -> Row:
    if isinstance(parameter, click.Argument):
        return f"`{str(parameter.name).upper()}`", "text", words.of("options", str(parameter.name))
    long = max(parameter.opts, key=len)
    spelt = ", ".join(f"`{name}`" for name in [long, *(n for n in parameter.opts if n != long)])
    if isinstance(parameter.type, click.Choice):
        takes = " or ".join(f"`{choice}`" for choice in parameter.type.choices)
    elif isinstance(parameter, click.Option) and parameter.is_flag:
        takes = ""
    else:
        takes = "number" if isinstance(parameter.type, click.IntRange) else "text"
    if isinstance(parameter.default, str | int) and takes:
        takes += f", by default `{parameter.default}`"
    return spelt, takes, words.of("options", long.lstrip("-"))


def _project_file(words: Words) -> Iterator[str]:
    for struct in (
        config.ProjectFile,
        config.PackageProperties,
        config.TargetProperties,
        DuckDBSettings,
        config.DestinationProperties,
        FileSettings,
    ):
        yield from _struct(words, struct)
    text = (ROOT / "segflow.yml").read_text("utf-8")
    # the first three vars stand for all
    text = re.sub(r"(vars:\n(?:  .*\n){3})(?:  .*\n)+", r"\1  # …\n", text)
    yield f"## The starter's\n\n```yaml\n{text.strip()}\n```"


def _yaml(words: Words) -> Iterator[str]:
    elsewhere: set[type[msgspec.Struct]] = {
        nodes.ModelConfig,
        nodes.SourceConfig,
        nodes.DataTestConfig,
        nodes.NodeConfig,
    }
    for struct in _reached(nodes.Properties, elsewhere):
        yield from _struct(words, struct)
        if struct is nodes.ColumnProperties:
            yield (
                "## Data tests\n\nAn entry is a name, or a name with its arguments and"
                " [configs](configs.md#data-tests):"
            )
            yield f"```yaml\n{_excerpt('models/staging/stg_contacts.yml', 'account_id')}\n```"


def _excerpt(path: str, column: str) -> str:
    """One column of a YAML file of the starter, as it stands there."""
    lines = (ROOT / path).read_text("utf-8").splitlines()
    start = lines.index(f"      - name: {column}")
    rest = lines[start + 1 :]
    end = next(i for i, line in enumerate(rest) if line.startswith("      - "))
    return inspect.cleandoc("\n".join([lines[start], *rest[:end]]))


def _configs(words: Words) -> Iterator[str]:
    for struct in (
        nodes.ModelConfig,
        nodes.Contract,
        nodes.SeedConfig,
        nodes.SourceConfig,
        nodes.DataTestConfig,
        nodes.NodeConfig,
    ):
        yield from _struct(words, struct)
        if struct is nodes.ModelConfig:
            yield from _materializations(words)


def _materializations(words: Words) -> Iterator[str]:
    fields = _fields(nodes.ModelConfig)
    kinds = next(f.type for f in fields if f.name == "materialized")
    assert isinstance(kinds, shapes.LiteralType)
    order = sorted(str(kind) for kind in kinds.values)
    rows = []
    for kind in order:
        read = [f.encode_name for f in fields if kind in words.applies(f.encode_name, order)]
        listed = ", ".join(f"`{name}`" for name in read if name != "materialized")
        rows.append((f"`{kind}`", words.of("materializations", kind), listed))
    yield "## Materializations"
    yield _table(("materialization", "what the model becomes", "configs it reads"), rows)


def _jinja(words: Words) -> Iterator[str]:
    yield (
        "The environment is Jinja's sandbox with the extensions `do` and `loopcontrols`. A name"
        " that is not defined is an error. Macros of the project are called by their names, those of a"
        " package also as `package.macro()`. In YAML only `env_var` and `var` are rendered."
    )
    with tempfile.TemporaryDirectory() as folder:
        names = _jinja_names(_sample(Path(folder)))
    rows = [(f"`{name}`", words.of("jinja", name)) for name in names]
    yield _table(("name", "meaning"), rows)
    yield (
        "`current_date`, `now()`, `random()`, `uuid()` and their like are refused in models: they"
        " give other rows at every run."
    )


def _jinja_names(root: Path) -> Iterator[str]:
    """What a template may name, and below each object the methods it has."""
    this = Relation("main", "sample")
    scope = Scope(lambda *_: this, lambda *_: this, this, "sample", {})
    names = names_of(load(root), templating.Library([]), scope, Record())
    for name in [*names, "execute"]:
        yield name
        if name in ("config", "adapter", "exceptions"):
            methods = vars(type(names[name]))
            yield from (f"{name}.{method}" for method in methods if not method.startswith("_"))


def _tests_and_macros(words: Words) -> Iterator[str]:
    yield "## Generic tests"
    yield (
        "More go into `macros/` or `tests/generic/` as `{% test name(model, column_name) %}`: a"
        " SELECT of the rows that are wrong. `model` and `column_name` are filled in."
    )
    tests, macros = [], []
    for file in templating._built_in():
        for kind, name, arguments in _signatures(file.text):
            given = [a for a in arguments if a not in ("model", "column_name")]
            if kind == "test":
                takes = ", ".join(f"`{argument}`" for argument in given)
                tests.append((f"`{name}`", takes, words.of("generic_tests", name)))
            else:
                macros.append((f"`{name}({', '.join(arguments)})`", words.of("macros", name)))
    yield _table(("test", "arguments", "what holds"), tests)
    if macros:
        yield "## Built-in macros"
        yield _table(("macro", "meaning"), macros)
    yield "## Macros of the starter"
    yield "`segflow init` copies them into `macros/`; they are the project's own from then on."
    yield _table(("macro", "meaning"), [_starter_macro(p) for p in sorted(_starter_macros())])


def _starter_macros() -> Iterable[Path]:
    return (ROOT / "macros").rglob("*.sql")


def _starter_macro(path: Path) -> Row:
    text = path.read_text("utf-8")
    comment = re.match(r"\{#(.*?)#\}", text, re.DOTALL)
    _, name, arguments = next(_signatures(text))
    meaning = " ".join(comment[1].split()) if comment else ""
    return f"`{name}({', '.join(arguments)})`", meaning


def _signatures(text: str) -> Iterator[tuple[str, str, list[str]]]:
    for kind, name, arguments in re.findall(r"\{%-?\s*(test|macro)\s+(\w+)\((.*?)\)", text):
        yield kind, name, [argument.strip() for argument in arguments.split(",") if argument]


def _selection(words: Words) -> Iterator[str]:
    operators = words._said["operators"]
    yield "## Words"
    yield _table(("word", "chooses"), [(f"`{w}`", words.of("operators", w)) for w in operators])
    yield "## Methods"
    yield "A method and a value, with `*` for any letters. A word that matches nothing is an error."
    methods = [*selection._METHODS, "config.materialized"]
    yield _table(("method", "as in"), [(f"`{m}`", f"`{words.of('methods', m)}`") for m in methods])
    yield (
        "`config.` takes any [config](configs.md) of a model, as in `config.schema:segments`."
        " Segments, audiences, destinations, personas and channels are nodes like models, so"
        " `stg_carts+` ends at the tools that would receive something else."
    )


def _errors(words: Words) -> Iterator[str]:
    codes = words._said["exit_codes"]
    yield "## Exit codes"
    yield _table(("code", "meaning"), [(f"`{c}`", words.of("exit_codes", c)) for c in codes])
    yield "## Classes"
    yield "Each carries a message, a place (file and line) where there is one, and a hint."
    for module in pkgutil.walk_packages(segflow.__path__, "segflow."):
        import_module(module.name)
    rows = []
    for error in _family(errors.SegflowError):
        parent = "" if error is errors.SegflowError else f"`{error.__bases__[0].__name__}`"
        meaning = " ".join(inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0].split())
        rows.append((f"`{error.__name__}`", parent, f"`{error.exit_code}`", meaning))
    yield _table(("class", "is a", "exit code", "meaning"), rows)


def _family(error: type[errors.SegflowError]) -> Iterator[type[errors.SegflowError]]:
    yield error
    for child in sorted(error.__subclasses__(), key=lambda c: c.__name__):
        yield from _family(child)


def _tables(words: Words) -> Iterator[str]:
    yield (
        "Beside them `segments` has one view per segment. Times are UTC. See"
        " [the database](../concepts/the-database.md)."
    )
    with tempfile.TemporaryDirectory() as folder:
        found = _own_tables(_sample(Path(folder)))
    for schema in ("segments", "segflow"):
        for name, (kind, columns) in found.items():
            if name.startswith(f"{schema}."):
                yield f"## {name}"
                yield f"{words.about('tables', name, 'intro')} A {kind}."
                rows = [
                    (f"`{c}`", t.lower(), words.key("tables", name, c)) for c, t in columns.items()
                ]
                yield _table(("column", "type", "meaning"), rows)


def _own_tables(root: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Kind and columns of every table and view in `segments` and `segflow`, after one run."""
    options = Options("run", datetime(2026, 7, 1), root)
    environment = Environment({})
    compiled = pipeline.compile_project(options, environment)
    report = pipeline.run(compiled, options, lambda _: None)
    assert report.ok, report.results
    own: dict[str, tuple[str, dict[str, str]]] = {}
    with published(open_engine(compiled.project)) as session:
        for schema, name, kind in session.rows(
            "select table_schema, table_name, table_type from information_schema.tables"
            " where table_schema in ('segments', 'segflow') and table_name != 'everyone'"
            " order by all"
        ):
            columns = dict(session.columns(f"select * from {schema}.{name}"))
            own[f"{schema}.{name}"] = ("view" if kind == "VIEW" else "table", columns)
    return own


def _sample(root: Path) -> Path:
    for name, text in _SAMPLE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return root


# ── structs as tables ─────────────────────────────────────────────────────────────────────────


def _struct(words: Words, struct: type[msgspec.Struct]) -> Iterator[str]:
    """A heading, a sentence and a table with the keys of a YAML shape."""
    name = struct.__name__
    title = words.about("structs", name, "title") or name
    words.about("structs", name, "title")
    yield f"## {title}"
    yield words.about("structs", name, "intro")
    rows = []
    for key in _fields(struct):
        meaning = words.key("structs", name, key.encode_name)
        rows.append((f"`{key.encode_name}`", _kind(words, key.type), _default(key), meaning))
    yield _table(("key", "takes", "default", "meaning"), rows)


def _fields(struct: type[msgspec.Struct]) -> tuple[shapes.Field, ...]:
    found = shapes.type_info(struct)
    assert isinstance(found, shapes.StructType)
    return found.fields


def _reached(
    start: type[msgspec.Struct], elsewhere: set[type[msgspec.Struct]]
) -> list[type[msgspec.Struct]]:
    """`start` and every struct below it, each after the one that first names it."""
    found: list[type[msgspec.Struct]] = []

    def visit(kind: shapes.Type) -> None:
        if isinstance(kind, shapes.StructType) and kind.cls not in (*found, *elsewhere):
            found.append(kind.cls)
            for key in kind.fields:
                visit(key.type)
        elif isinstance(kind, shapes.UnionType):
            for member in kind.types:
                visit(member)
        elif isinstance(kind, shapes.ListType):
            visit(kind.item_type)
        elif isinstance(kind, shapes.DictType):
            visit(kind.value_type)

    visit(shapes.type_info(start))
    return found


def _kind(words: Words, kind: shapes.Type) -> str:
    """A type in words; a struct is a link to its own table."""
    if isinstance(kind, shapes.StructType):
        title = words.about("structs", kind.cls.__name__, "title") or kind.cls.__name__
        page = "configs.md" if kind.cls in (nodes.SourceConfig, nodes.NodeConfig) else ""
        page = "configs.md" if kind.cls is nodes.DataTestConfig else page
        return f"[{title.lower()}]({page}#{title.lower().replace(' ', '-').replace('`', '')})"
    if isinstance(kind, shapes.UnionType):
        dropped = shapes.NoneType | shapes.CustomType
        members = [t for t in kind.types if not isinstance(t, dropped)]
        return " or ".join(dict.fromkeys(_kind(words, member) for member in members))
    if isinstance(kind, shapes.LiteralType):
        lower = sorted({str(value).lower() for value in kind.values})
        return ", ".join(f"`{value}`" for value in lower)
    if isinstance(kind, shapes.ListType | shapes.VarTupleType):
        return f"list of {_kind(words, kind.item_type)}"
    if isinstance(kind, shapes.DictType):
        inner = kind.value_type
        return (
            "mapping" if isinstance(inner, shapes.AnyType) else f"mapping to {_kind(words, inner)}"
        )
    return _PLAIN.get(type(kind), "anything")


_PLAIN = {
    shapes.StrType: "text",
    shapes.IntType: "number",
    shapes.FloatType: "number",
    shapes.BoolType: "`true` or `false`",
}


def _default(key: shapes.Field) -> str:
    if key.required:
        return "required"
    value = key.default_factory() if key.default is NODEFAULT else key.default
    if value is None or value is msgspec.UNSET or isinstance(value, msgspec.Struct):
        return ""
    if value in ("", [], {}):
        return ""
    return f"`{msgspec.json.encode(value).decode().strip(chr(34))}`".replace('"', "")


def _table(heads: Row, rows: Iterable[Row]) -> str:
    """A table of Markdown; a column that is empty throughout is left out."""
    rows = list(rows)
    if not rows:
        return ""
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(
        "| " + " | ".join(line[i].replace("|", "\\|").replace("\n", " ") for i in kept) + " |"
        for line in lines
    )


def main() -> int:
    """Write the pages; 1 where `words.yml` is not what the code is."""
    words = Words((HERE / "words.yml").read_text("utf-8"))
    made = pages(words)
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, "utf-8")
    for line in words.missing:
        sys.stderr.write(f"docs/words.yml says nothing of {line}\n")
    for line in words.unused:
        sys.stderr.write(f"docs/words.yml speaks of {line}, which is gone\n")
    return 1 if words.missing or words.unused else 0


if __name__ == "__main__":
    sys.exit(main())
