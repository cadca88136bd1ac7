"""What a template may name, as in dbt: `ref`, `source`, `config`, `var`, `this`, `as_of`, …

`names_of` makes the names for one node. Whatever a template asks for is noted in a `Record`; what
it asks of the database goes to a `Catalog`, or is noted as asked where there is none yet.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

from segflow.compile.relations import AS_OF, Relation, quoted
from segflow.compile.templating import Library, MacroReturn, Names
from segflow.errors import ProjectError, did_you_mean
from segflow.project.config import merge, missing_variable
from segflow.project.load import Project


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


class Facts(Struct, frozen=True):
    """What parsing found out about one template.

    `asks` names what it wants of the database; `env` has a digest of each variable it read.
    """

    config: dict[str, Any] = {}
    refs: tuple[tuple[str | None, str], ...] = ()
    sources: tuple[tuple[str, str], ...] = ()
    asks: tuple[str, ...] = ()
    env: dict[str, str] = {}


@dataclass
class Record:
    """Collects facts while a template renders."""

    config: dict[str, Any] = field(default_factory=dict)
    refs: dict[tuple[str | None, str], None] = field(default_factory=dict)
    sources: dict[tuple[str, str], None] = field(default_factory=dict)
    asks: dict[str, None] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    def facts(self) -> Facts:
        return Facts(self.config, tuple(self.refs), tuple(self.sources), tuple(self.asks), self.env)


@dataclass(frozen=True)
class Scope:
    """What surrounds the template of one node.

    `ref` and `source` turn names into relations; `this` is the node's own relation; `config` is
    what folders and YAML say. `variables` and `macros` replace those of the project in unit tests.
    """

    ref: Callable[[str | None, str], Relation]
    source: Callable[[str, str], Relation]
    this: Relation
    name: str
    config: dict[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    macros: dict[str, Any] = field(default_factory=dict)
    catalog: Catalog | None = None
    log: Callable[[str], None] = lambda _: None
    is_incremental: bool | None = None


def digest(value: str | None) -> str:
    """Tells whether a variable changed without keeping its value."""
    return hashlib.sha256((value or "").encode()).hexdigest()[:16]


def names_of(project: Project, library: Library, scope: Scope, record: Record) -> Names:
    """Everything the template of one node may name."""
    asked = _Asked(scope, record)
    own: dict[str, Any] = {
        "ref": _ref(scope, record),
        "source": _source(scope, record),
        "config": _Config(scope, record),
        "var": _var({**project.vars, **scope.variables}),
        "env_var": _env_var(project, record),
        "as_of": lambda: AS_OF,
        "this": scope.this,
        "model": {"name": scope.name, "alias": scope.this.identifier, "schema": scope.this.schema},
        "target": _target(project),
        "project_name": project.name,
        "is_incremental": asked.is_incremental,
        "run_query": asked.run_query,
        "adapter": _Adapter(scope, asked),
        "exceptions": _Exceptions(scope),
        "log": _log(scope),
        "return": _return,
        "tojson": json.dumps,
        "fromjson": json.loads,
    }
    names = _NamesThatNotice(own, library, scope.macros)
    names.noted = asked
    own["adapter"].names = names
    return names


class _NamesThatNotice(Names):
    """`execute` tells a template whether it may ask the database: reading it counts as asking."""

    noted: "_Asked"

    def __contains__(self, name: object) -> bool:
        return name == "execute" or super().__contains__(name)

    def __missing__(self, name: str) -> Any:
        if name == "execute":
            return self.noted.catalog("execute") is not None
        return super().__missing__(name)


def _ref(scope: Scope, record: Record) -> Callable[..., Relation]:
    def ref(*args: str, **_: Any) -> Relation:
        package = args[0] if len(args) == 2 else None
        name = args[-1]
        record.refs[(package, name)] = None
        return scope.ref(package, name)

    return ref


def _source(scope: Scope, record: Record) -> Callable[[str, str], Relation]:
    def source(source_name: str, table: str) -> Relation:
        record.sources[(source_name, table)] = None
        return scope.source(source_name, table)

    return source


class _Config:
    """`{{ config(materialized='table') }}`, and `config.get('materialized')`."""

    def __init__(self, scope: Scope, record: Record):
        self._scope, self._record = scope, record

    def __call__(self, *args: dict[str, Any], **kwargs: Any) -> str:
        for layer in (*args, kwargs):
            self._record.config = merge(self._record.config, layer)
        return ""

    def get(self, name: str, default: Any = None) -> Any:
        return {**self._scope.config, **self._record.config}.get(name, default)

    def require(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise ProjectError(f"the config `{name}` is required here")
        return value


def _var(variables: dict[str, Any]) -> Callable[..., Any]:
    nothing = object()

    def var(name: str, default: Any = nothing) -> Any:
        found = variables.get(name, default)
        if found is nothing:
            raise ProjectError(
                f"unknown var `{name}`",
                hint=did_you_mean(name, variables) or f"add it to `vars` in segflow.yml: {name}: …",
            )
        return found

    return var


def _env_var(project: Project, record: Record) -> Callable[..., str]:
    def env_var(name: str, default: str | None = None) -> str:
        found = project.environment.get(name)
        record.env[name] = digest(found)
        if found is None and default is None:
            raise missing_variable(name, None)
        return found if found is not None else str(default)

    return env_var


def _target(project: Project) -> dict[str, Any]:
    target = project.target
    return {"name": target.name, "type": target.properties.type, "schema": "main"}


def _log(scope: Scope) -> Callable[..., str]:
    def log(message: Any, info: bool = False) -> str:
        scope.log(str(message))
        return ""

    return log


def _return(value: Any = None) -> None:
    raise MacroReturn(value)


class _Asked:
    """The questions that only a database can answer."""

    def __init__(self, scope: Scope, record: Record):
        self._scope, self._record = scope, record

    def catalog(self, question: str) -> Catalog | None:
        self._record.asks[question] = None
        return self._scope.catalog

    def is_incremental(self) -> bool:
        if self._scope.is_incremental is None:
            self._record.asks["is_incremental"] = None
        return bool(self._scope.is_incremental)

    def run_query(self, sql: Any) -> "Table":
        catalog = self.catalog("run_query")
        return Table(*catalog.query(str(sql))) if catalog else Table([], [])


class _Exceptions:
    def __init__(self, scope: Scope):
        self._scope = scope

    def raise_compiler_error(self, message: str) -> None:
        raise ProjectError(message)

    def warn(self, message: str) -> str:
        self._scope.log(f"warning: {message}")
        return ""


class _Adapter:
    """`adapter.dispatch` picks the macro for this database; the rest looks into the database."""

    names: Names

    def __init__(self, scope: Scope, asked: _Asked):
        self._scope, self._asked = scope, asked

    def dispatch(self, name: str, macro_namespace: str | None = None) -> Any:
        for candidate in (f"duckdb__{name}", f"default__{name}"):
            if candidate in self.names:
                return self.names[candidate]
        raise ProjectError(
            f"no macro `duckdb__{name}` or `default__{name}` to dispatch to",
            hint=self.names.nearest(f"default__{name}"),
        )

    def get_relation(
        self, database: str | None = None, schema: str = "", identifier: str = ""
    ) -> Relation | None:
        relation = Relation(schema, identifier)
        catalog = self._asked.catalog("adapter")
        return relation if catalog and catalog.relation_type(relation) else None

    def get_columns_in_relation(self, relation: Relation) -> list["ColumnOf"]:
        catalog = self._asked.catalog("adapter")
        return [ColumnOf(*column) for column in catalog.columns(relation)] if catalog else []

    def quote(self, name: str) -> str:
        return quoted(name)


@dataclass(frozen=True)
class ColumnOf:
    """A column of a relation, as `adapter.get_columns_in_relation` lists it."""

    name: str
    data_type: str

    @property
    def quoted(self) -> str:
        return quoted(self.name)


@dataclass(frozen=True)
class ColumnValues:
    """A column of a query's result."""

    name: str
    _values: Sequence[Any]

    def values(self) -> Sequence[Any]:
        return self._values


class Table:
    """The result of `run_query`: `columns` with `values()`, and `rows`."""

    def __init__(self, names: list[str], rows: list[tuple[Any, ...]]):
        self.column_names = names
        self.rows = rows
        self.columns = [
            ColumnValues(name, [row[index] for row in rows]) for index, name in enumerate(names)
        ]

    def __len__(self) -> int:
        return len(self.rows)
