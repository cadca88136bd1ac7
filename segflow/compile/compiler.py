"""A `Graph` in, compiled SQL out, checked as far as can be without a database."""

import hashlib
import re
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segflow.compile import checks
from segflow.compile.connecting import said_at
from segflow.compile.graph import Graph, reference
from segflow.compile.names import Catalog, Facts, Rendered, Scope, names_of
from segflow.compile.outlines import Columns, Outline, Problem, lowered, outline
from segflow.compile.parsing import ParsedModel, nothing_behind
from segflow.compile.relations import Relation
from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import place
from segflow.project.properties import DataTestConfig


class CompiledSql(Rendered):
    """The SQL of one model or test, the clock still a placeholder, and its outline."""

    sql: str
    outline: Outline = Outline()


class Compilation(Struct):
    """What compiling found: SQL by model id, SQL by test id, warnings, and notes for `compile`.

    `fingerprints` are there once one was asked for.
    """

    models: dict[str, CompiledSql] = {}
    tests: dict[str, str] = {}
    warnings: list[str] = []
    notes: list[str] = []
    fingerprints: dict[str, str] = {}


def compile_graph(graph: Graph) -> Compilation:
    """Render and check every model and test.

    Raises:
        ProjectError: SQL does not parse, reads a column or a clock it cannot, or YAML speaks of a
            column that is not there.
    """
    compilation = Compilation(warnings=list(graph.project.warnings))
    known = known_columns(graph, compilation)
    for node in graph.order:
        if node in graph.models:
            compiled = _compile_model(graph, known, graph.models[node])
            compilation.models[node] = compiled
            known[node] = compiled.outline.columns
            _report(graph, graph.models[node], compiled, compilation)
            if graph.models[node].is_segment:
                checks.check_segment(graph.models[node], compiled.outline.columns)
    for test in graph.project.data_tests:
        compilation.tests[test.id] = _compile_test(graph, known, test)
    compilation.warnings += checks.check_columns(graph, known)
    return compilation


def recompiled(graph: Graph, compilation: Compilation, node: str) -> Compilation:
    """A compilation of all models with one of them compiled anew.

    Raises:
        ProjectError: as `compile_graph`, of this model.
    """
    known = known_columns(graph, compilation)
    compiled = _compile_model(graph, known, graph.models[node])
    changed = Compilation({**compilation.models, node: compiled}, compilation.tests)
    _report(graph, graph.models[node], compiled, changed)
    return changed


def known_columns(graph: Graph, compilation: Compilation) -> dict[str, Columns | None]:
    """Columns of seeds, and of the models that are compiled; None where they cannot be known."""
    seeds = {seed.id: tuple(map(lowered, seed.header)) for seed in graph.project.seeds}
    return seeds | {node: found.outline.columns for node, found in compilation.models.items()}


# ── fingerprints ─────────────────────────────────────────────────────────────────────────────


def fingerprint(graph: Graph, compilation: Compilation, node: str) -> str:
    """Changes when the definition of a node does, or of anything that it reads.

    Comments and formatting do not count, the moment of a run neither: compiled SQL holds a
    placeholder. Vars and macros count through the SQL that they become, seeds by their content,
    sources by name.
    """
    found = compilation.fingerprints
    if not found:
        for each in graph.order:
            made_of = (
                _made_of(graph, compilation, each),
                sorted(found[p] for p in graph.parents[each]),
            )
            found[each] = hashlib.blake2b(repr(made_of).encode(), digest_size=8).hexdigest()
    return found[node]


def _made_of(graph: Graph, compilation: Compilation, node: str) -> object:
    said = graph.nodes[node]
    if node in graph.models:
        config = graph.models[node].config
        joined_by = (config.unique_key, config.incremental_strategy, config.on_schema_change)
        is_joined = config.materialized == "incremental"
        return compilation.models[node].outline.digest, joined_by if is_joined else ()
    if isinstance(said, nodes.Seed):
        return said.digest, msgspec.json.encode(said.config)
    return node


# ── models ────────────────────────────────────────────────────────────────────────────────────


def scope_of(
    graph: Graph, model: ParsedModel, catalog: Catalog | None = None, **changes: Any
) -> Scope:
    """A model's template among the real relations, with a catalog just before it runs."""
    scope = replace(
        nothing_behind(model.model),
        ref=graph.ref,
        source=graph.source,
        this=model.relation,
        catalog=catalog,
    )
    return replace(scope, **changes)


def _compile_model(
    graph: Graph, known: dict[str, Columns | None], model: ParsedModel
) -> CompiledSql:
    said, tables = model.model, _tables(graph, known, model.id)
    spelt = {parent: str(graph.relations[parent]) for parent in graph.parents[model.id]}

    def make() -> CompiledSql:
        facts = Facts()
        sql = graph.parser.sql(scope_of(graph, model), facts)
        found = outline(sql, tables)
        if model.facts.asks:
            # The database decides what this SELECT will be: here are both that it may be.
            grown = said.text
            with suppress(ProjectError):
                grown = graph.parser.sql(scope_of(graph, model, is_incremental=True), facts)
            digest = found.digest + outline(grown, tables).digest
            found = replace(found, lineage=b"", digest=digest)
        if any(question != "is_incremental" for question in model.facts.asks):
            found = replace(found, columns=None, problems=())
        return CompiledSql(sql, found, env=facts.env)

    parts = ["sql", said.text, said.name, str(model.relation), spelt, tables, said.config]
    compiled = graph.parser.keep(parts, CompiledSql, make)
    if model.config.materialized == "ephemeral":
        graph.relations[model.id] = replace(model.relation, text=f"(\n{compiled.sql}\n)")
    return compiled


def _tables(graph: Graph, known: dict[str, Columns | None], node: str) -> dict[str, Columns | None]:
    """The columns of the tables that a node may read, by `schema.name` in lower case."""
    tables = {}
    for parent in graph.parents[node]:
        relation = graph.relations[parent]
        if relation.text is None:
            tables[lowered(f"{relation.schema}.{relation.identifier}")] = known.get(parent)
    return tables


def _report(
    graph: Graph, model: ParsedModel, compiled: CompiledSql, compilation: Compilation
) -> None:
    """Raise what is wrong with a model's SQL; collect what is only doubtful."""
    found = compiled.outline
    for problem in (*found.problems, *found.clocks):
        _blame_contract(graph, model, compilation)
        raise _located(graph, scope_of(graph, model), compiled.sql, problem)
    for problem in found.unstable:
        wrong = _located(graph, scope_of(graph, model), compiled.sql, problem)
        hint = f" ({wrong.hint})" if wrong.hint else ""
        compilation.warnings.append(f"{wrong.location}: {wrong.message}{hint}")
    where = Location(model.model.file)
    compilation.warnings += [f"{where}: {text}" for text in model.facts.warnings]


def _blame_contract(graph: Graph, reader: ParsedModel, compilation: Compilation) -> None:
    """A column that a reader misses may be one that its parent's contract promises."""
    for parent in graph.parents[reader.id]:
        model = graph.models.get(parent)
        columns = compilation.models[parent].outline.columns if model else None
        if model is None or columns is None or not model.config.contract.enforced:
            continue
        for column in model.model.columns:
            if lowered(column.name) not in columns:
                raise ProjectError(
                    f"`{column.name}` is in the contract and not in the SELECT",
                    Location(model.model.file),
                    did_you_mean(lowered(column.name), columns),
                )


def _located(graph: Graph, scope: Scope, sql: str, problem: Problem) -> ProjectError:
    """A problem at the lines of the template that it comes from."""
    first, *callers = graph.parser.origin(scope, sql, problem.offset or 0)
    message = problem.message + (f" (called from {callers[0]})" if callers else "")
    return ProjectError(message, first, problem.hint)


# ── tests ─────────────────────────────────────────────────────────────────────────────────────


def _compile_test(graph: Graph, known: dict[str, Columns | None], test: nodes.DataTest) -> str:
    relations = [str(graph.relations[parent]) for parent in graph.parents[test.id]]
    tables = _tables(graph, known, test.id) if test.file else {}

    def make() -> CompiledSql:
        facts = Facts()
        sql = render_test(graph, test, facts=facts)
        is_fixed = test.file is not None and not facts.asks
        found = outline(sql, tables) if is_fixed else Outline()
        return CompiledSql(sql, found, env=facts.env)

    parts = ["test", test.text, test.test, test.arguments, test.column, test.config.where]
    compiled = graph.parser.keep([*parts, test.name, relations, tables], CompiledSql, make)
    for problem in (*compiled.outline.problems, *compiled.outline.clocks):
        raise _located(graph, _scope_of_test(graph, test), compiled.sql, problem)
    return compiled.sql


def render_test(
    graph: Graph,
    test: nodes.DataTest,
    catalog: Catalog | None = None,
    facts: Facts | None = None,
) -> str:
    """The test's SELECT: the rows that are wrong."""
    scope = _scope_of_test(graph, test, catalog)
    if test.file:
        return graph.parser.sql(scope, facts)
    names = names_of(graph.project, graph.parser.library, scope, facts or Facts())
    macro = f"test_{test.test}"
    if test.test not in graph.parser.library.tests:
        hint = did_you_mean(str(test.test), graph.parser.library.tests)
        raise ProjectError(f"unknown test `{test.test}`", place(test, ""), hint)
    model: Any = scope.this
    if test.config.where:
        where = _from_yaml(graph, test, "where", test.config.where, scope, facts)
        model = Relation("", "", f"(select * from {scope.this} where {where})")
    arguments = {"model": model, **({"column_name": test.column} if test.column else {})}
    for key, value in test.arguments.items():
        arguments[key] = _from_yaml(graph, test, key, value, scope, facts)
    _check_arguments(test, names[macro].arguments)
    try:
        return graph.parser.library.templates.call(macro, names, **arguments).strip()
    except ProjectError as error:
        missing = re.fullmatch(r"the argument (`\w+`) is missing", error.message)
        said = f"needs the argument {missing[1]}" if missing else f"fails: {error.message}"
        raise ProjectError(f"the test `{test.test}` {said}", place(test, ""), error.hint) from None


def _scope_of_test(graph: Graph, test: nodes.DataTest, catalog: Catalog | None = None) -> Scope:
    this = graph.relations[test.attached] if test.attached else Relation("main", test.name)
    scope = nothing_behind(test)
    return replace(scope, ref=graph.ref, source=graph.source, this=this, catalog=catalog)


def _check_arguments(test: nodes.DataTest, takes: tuple[str, ...] | None) -> None:
    for name in test.arguments:
        if takes is not None and name not in takes:
            known = [*(t for t in takes if t not in ("model", "column_name"))]
            hint = did_you_mean(name, [*known, *DataTestConfig.__struct_fields__])
            otherwise = f"it takes {', '.join(known)}" if known else "it takes none"
            raise ProjectError(
                f"the test `{test.test}` takes no argument `{name}`",
                said_at(test, name),
                hint or otherwise,
            )


def _from_yaml(
    graph: Graph, test: nodes.DataTest, key: str, value: Any, scope: Scope, facts: Facts | None
) -> Any:
    """What YAML says under `key`: a reference as its relation, Jinja in a text rendered."""
    if isinstance(value, list):
        return [_from_yaml(graph, test, key, item, scope, facts) for item in value]
    called = reference(value)
    if called:
        return graph.relations[graph.target(called)]
    if not isinstance(value, str) or "{{" not in value or test.origin is None:
        return value
    try:
        return graph.parser.render(replace(scope, text=value, path=test.origin.path), facts)
    except ProjectError as error:
        error.location = said_at(test, key)
        raise
