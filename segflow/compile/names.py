"""What a template may name, as in dbt: `ref`, `source`, `config`, `var`, `this`, `as_of`, …

`names_of` makes the names for one node. Whatever a template asks for is noted in its `Facts`; what
it asks of the database goes to a `Catalog`, or is noted as asked where there is none yet.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from segflow.compile.library import Library, MacroReturn, Names
from segflow.compile.relations import AS_OF, Relation, quoted
from segflow.errors import ProjectError
from segflow.project import documents
from segflow.project.config import missing_variable, unknown_var
from segflow.project.folders import merge
from segflow.project.load import Project
from segflow.project.properties import ModelConfig

_NOTHING = object()


class Catalog(Protocol):
    """What a template may ask of the database just before its node runs."""

    def relation_type(self, relation: Relation) -> str | None:
        """`table`, `view`, or None where there is no such relation."""
        ...

    def columns(self, relation: Relation) -> list[tuple[str, str]]:
        """Names and types of the columns, in order."""
        ...

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query, the clock filled in."""
        ...


class Rendered(Struct, kw_only=True):
    """What follows from a template; `env` has a digest of each environment variable it read."""

    env: dict[str, str] = {}


class Facts(Rendered):
    """What a template says of itself, noted while it renders.

    `asks` names what it wants of the database, `vars` those it reads, in macros too; `warnings` are
    for whoever runs the command.
    """

    config: dict[str, Any] = {}
    refs: list[tuple[str | None, str]] = []
    sources: list[tuple[str, str]] = []
    asks: list[str] = []
    vars: list[str] = []
    warnings: list[str] = []


class Scope(Struct, frozen=True):
    """The template of one node, the `text` in `path`, and what surrounds it.

    `ref` and `source` turn names into relations; `this` is the node's own relation; `config` is
    what folders and YAML say, `shape` what `config(…)` may say. `variables` and `macros` replace
    those of the project in unit tests.
    """

    text: str
    path: Path
    ref: Callable[[str | None, str], Relation]
    source: Callable[[str, str], Relation]
    this: Relation
    name: str
    config: dict[str, Any] = {}
    shape: type[Struct] = ModelConfig
    variables: dict[str, Any] = {}
    macros: dict[str, Any] = {}
    catalog: Catalog | None = None
    log: Callable[[str], None] = lambda _: None
    is_incremental: bool | None = None


def digest(value: str | None) -> str:
    """Tells whether a variable changed without keeping its value."""
    return "unset" if value is None else hashlib.sha256(value.encode()).hexdigest()[:16]


def names_of(project: Project, library: Library, scope: Scope, facts: Facts) -> Names:
    """Everything the template of one node may name."""
    calls, target = _Calls(project, scope, facts), project.target
    own: dict[str, Any] = {
        "ref": calls.ref,
        "source": calls.source,
        "config": _Config(scope, facts),
        "var": calls.var,
        "env_var": calls.env_var,
        "as_of": lambda: AS_OF,
        "this": scope.this,
        "model": {"name": scope.name, "alias": scope.this.identifier, "schema": scope.this.schema},
        "target": {"name": target.name, "type": target.properties.type, "schema": "main"},
        "project_name": project.name,
        "is_incremental": calls.is_incremental,
        "run_query": calls.run_query,
        "exceptions": _Exceptions(scope, facts),
        "log": calls.log,
        "return": calls.leave,
        "tojson": json.dumps,
        "fromjson": json.loads,
    }
    # Reading `execute` counts as asking.
    names = Names(own, library, scope.macros, lambda: calls.ask("execute") is not None)
    names["adapter"] = _Adapter(names, calls.ask)
    return names


class _Calls:
    """What a template may call; what it asks for is noted."""

    def __init__(self, project: Project, scope: Scope, facts: Facts):
        self._scope, self._facts, self._environment = scope, facts, project.environment
        self._variables = {**project.vars, **scope.variables}

    def ask(self, question: str) -> Catalog | None:
        """What answers a question that only a database can answer."""
        self._facts.asks.append(question)
        return self._scope.catalog

    def ref(self, *args: str, **_: Any) -> Relation:
        if len(args) not in (1, 2) or not all(isinstance(arg, str) for arg in args):
            raise ProjectError("`ref` takes the name of a model, or of a package and a model")
        package = args[0] if len(args) == 2 else None
        self._facts.refs.append((package, args[-1]))
        return self._scope.ref(package, args[-1])

    def source(self, *args: str) -> Relation:
        if len(args) != 2 or not all(isinstance(arg, str) for arg in args):
            raise ProjectError("`source` takes the names of a source and of a table in it")
        self._facts.sources.append((args[0], args[1]))
        return self._scope.source(*args)

    def var(self, name: str, default: Any = _NOTHING) -> Any:
        self._facts.vars.append(name)
        found = self._variables.get(name, default)
        if found is _NOTHING:
            raise unknown_var(name, self._variables, None)
        # A template that appends to a list must not change it for the next one.
        return copy.deepcopy(found)

    def env_var(self, name: str, default: str | None = None) -> str:
        found = self._environment.get(name)
        self._facts.env[name] = digest(found)
        if found is None and default is None:
            raise missing_variable(name, None)
        return found if found is not None else str(default)

    def is_incremental(self) -> bool:
        if self._scope.is_incremental is None:
            self._facts.asks.append("is_incremental")
        return bool(self._scope.is_incremental)

    def run_query(self, sql: Any) -> "Table":
        catalog = self.ask("run_query")
        return Table(*catalog.query(str(sql))) if catalog else Table([], [])

    def log(self, message: Any, info: bool = False) -> str:
        self._scope.log(str(message))
        return ""

    def leave(self, value: Any = None) -> None:
        raise MacroReturn(value)


class _Config:
    """`{{ config(materialized='table') }}`, and `config.get('materialized')`."""

    def __init__(self, scope: Scope, facts: Facts):
        self._scope, self._facts = scope, facts

    def __call__(self, *args: dict[str, Any], **kwargs: Any) -> str:
        for layer in (*args, kwargs):
            try:
                documents.convert(layer, self._scope.shape)
            except documents.Mismatch as error:
                key = error.message.replace("unknown key", "unknown config key")
                raise ProjectError(key, hint=error.hint) from None
            kept = msgspec.msgpack.encode(layer, enc_hook=str)
            self._facts.config = merge(self._facts.config, msgspec.msgpack.decode(kept))
        return ""

    def get(self, name: str, default: Any = None) -> Any:
        return {**self._scope.config, **self._facts.config}.get(name, default)

    def require(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise ProjectError(f"the config `{name}` is required here")
        return value


class _Exceptions:
    def __init__(self, scope: Scope, facts: Facts):
        self._scope, self._facts = scope, facts

    def raise_compiler_error(self, message: Any) -> None:
        raise ProjectError(str(message))

    def warn(self, message: Any) -> str:
        if str(message) not in self._facts.warnings:
            self._facts.warnings.append(str(message))
        self._scope.log(f"warning: {message}")
        return ""


class _Adapter:
    """`adapter.dispatch` picks the macro for this database; the rest looks into the database."""

    def __init__(self, names: Names, ask: Callable[[str], Catalog | None]):
        self._names, self._ask = names, ask

    def dispatch(self, name: str, macro_namespace: str | None = None) -> Any:
        for candidate in (f"duckdb__{name}", f"default__{name}"):
            if candidate in self._names:
                return self._names[candidate]
        raise ProjectError(
            f"no macro `duckdb__{name}` or `default__{name}` to dispatch to",
            hint=self._names.nearest(f"default__{name}"),
        )

    def get_relation(
        self, database: str | None = None, schema: str = "", identifier: str = ""
    ) -> Relation | None:
        relation = Relation(schema, identifier)
        catalog = self._ask("adapter")
        return relation if catalog and catalog.relation_type(relation) else None

    def get_columns_in_relation(self, relation: Relation) -> list["ColumnOf"]:
        catalog = self._ask("adapter")
        return [ColumnOf(*column) for column in catalog.columns(relation)] if catalog else []

    def quote(self, name: str) -> str:
        return quoted(name)


class ColumnOf(Struct, frozen=True):
    """A column of a relation, as `adapter.get_columns_in_relation` lists it."""

    name: str
    data_type: str

    @property
    def quoted(self) -> str:
        return quoted(self.name)


class ColumnValues(Struct, frozen=True):
    """A column of a query's result."""

    name: str
    _values: Sequence[Any]

    def values(self) -> Sequence[Any]:
        return self._values


class Table:
    """The result of `run_query`: `columns` with `values()`, and `rows`."""

    def __init__(self, names: list[str], rows: list[tuple[Any, ...]]):
        self.column_names, self.rows = names, rows
        self.columns = [ColumnValues(n, [row[i] for row in rows]) for i, n in enumerate(names)]

    def __len__(self) -> int:
        return len(self.rows)
