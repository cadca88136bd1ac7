"""A `Graph` in, compiled SQL out, checked as far as can be without a database."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import Struct

from segflow.compile import graph as graphs
from segflow.compile import templating
from segflow.compile.context import Catalog, Record, Scope, names_of
from segflow.compile.graph import Graph
from segflow.compile.outlines import Columns, Outline, Problem, outline
from segflow.compile.parsing import ParsedModel, find_line, source_line
from segflow.compile.relations import Relation
from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import place

# Tables and views that segflow itself keeps in the schema `segments`.
BUILT_IN_TABLES = {
    "memberships",
    "membership_history",
    "membership_events",
    "sizes",
    "reach",
    "status",
    "user_types",
    "clauses",
    "decisions",
    "decision_counts",
    "next_message",
    "message_matrix",
    "outcomes",
}


class CompiledSql(Struct, frozen=True):
    """The SQL of one model, the clock still a placeholder, and its outline."""

    sql: str
    outline: Outline


@dataclass
class Compilation:
    """What compiling found: SQL by model id, SQL by test id, and warnings to show."""

    models: dict[str, CompiledSql] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def columns(self) -> dict[str, Columns | None]:
        return {node: compiled.outline.columns for node, compiled in self.models.items()}


def compile_graph(graph: Graph) -> Compilation:
    """Render and check every model and test.

    Raises:
        ProjectError: SQL does not parse, reads a column or a clock it cannot, or an audience
            asks for a column that neither its segments nor its contacts have.
    """
    compilation = Compilation()
    for node in graph.order:
        if node in graph.models:
            compiled = _compile_model(graph, compilation, graph.models[node])
            compilation.models[node] = compiled
            _report(graph.models[node], compiled, compilation)
    for test in graph.project.data_tests:
        if test.id in graph.nodes:
            compilation.tests[test.id] = _cached_test(graph, test)
    columns = compilation.columns()
    for segment in graph.segments.values():
        _check_segment(segment, columns[segment.id])
    for audience in graph.project.audiences:
        _check_audience(graph, audience, columns)
    for channel in graph.project.channels:
        _check_channel(graph, channel, columns)
    return compilation


def scope_of(
    graph: Graph, model: ParsedModel, catalog: Catalog | None = None, **changes: Any
) -> Scope:
    """What surrounds the template of a model: the real relations, and a catalog just before it runs."""
    scope = Scope(
        ref=graph.ref,
        source=graph.source,
        this=model.relation,
        name=model.model.name,
        config={**model.model.config, **model.facts.config},
        catalog=catalog,
    )
    return replace(scope, **changes)


def render_model(graph: Graph, model: ParsedModel, scope: Scope) -> str:
    """The model's SELECT, the clock still a placeholder."""
    text = graph.parser.render(model.model.text, model.model.file, scope, Record())
    return text.strip().rstrip(";").rstrip() if text.rstrip().endswith(";") else text.strip("\n ")


def render_test(graph: Graph, test: nodes.DataTest, catalog: Catalog | None = None) -> str:
    """The test's SELECT: the rows that are wrong."""
    this = graph.relations[test.attached] if test.attached else Relation("main", test.name)
    scope = Scope(graph.ref, graph.source, this, test.name, {}, catalog=catalog)
    if test.file:
        return graph.parser.render(test.text, test.file, scope, Record()).strip().rstrip(";")
    names = names_of(graph.project, graph.parser.library, scope, Record())
    macro = f"test_{test.test}"
    location = test.origin.location() if test.origin else None
    if macro not in names:
        known = [n.removeprefix("test_") for n in graph.parser.library.names if "test_" in n]
        raise ProjectError(
            f"unknown test `{test.test}`", location, did_you_mean(str(test.test), known)
        )
    model: Any = this
    if test.config.where:
        model = Relation("", "", f"(select * from {this} where {test.config.where})")
    arguments: dict[str, Any] = {"model": model}
    if test.column:
        arguments["column_name"] = test.column
    for key, value in test.arguments.items():
        arguments[key] = _argument(graph, test, value)
    try:
        return templating.call(macro, names, **arguments).strip()
    except ProjectError as error:
        error.location = location
        raise


def _argument(graph: Graph, test: nodes.DataTest, value: Any) -> Any:
    calls = graphs.test_arguments(
        nodes.DataTest(name="", package="", path="", config=test.config, arguments={"value": value})
    )
    for call, (first, second) in calls:
        return graph.ref(first, second) if call == "ref" else graph.source(str(first), second)
    return value


def _compile_model(graph: Graph, compilation: Compilation, model: ParsedModel) -> CompiledSql:
    known: dict[str, Columns | None] = {}
    columns = compilation.columns()
    relations = {}
    for parent in graph.parents[model.id]:
        relation = graph.relations[parent]
        relations[parent] = str(relation)
        if relation.text is None:
            name = f"{relation.schema}.{relation.identifier}".lower()
            known[name] = graphs.known_columns(graph, parent, columns)

    def make() -> CompiledSql:
        sql = render_model(graph, model, scope_of(graph, model))
        return CompiledSql(sql, outline(sql, known))

    facts = model.facts
    compiled = graph.parser.cache.get(
        ["sql", model.model.text, str(model.relation), relations, known, facts.env, model.model.config, *graph.parser.context],
        CompiledSql,
        make,
    )
    if model.config.materialized == "ephemeral":
        graph.relations[model.id] = replace(model.relation, text=f"(\n{compiled.sql}\n)")
    return compiled


def _report(model: ParsedModel, compiled: CompiledSql, compilation: Compilation) -> None:
    """Raise what is wrong with a model's SQL; collect what is only doubtful."""
    found = compiled.outline
    asks_data = any(question != "is_incremental" for question in model.facts.asks)
    for problem in (*(() if asks_data else found.problems), *found.clocks):
        where = source_line(model.model, compiled.sql, problem)
        raise ProjectError(problem.message, where, problem.hint)
    for problem in found.unstable:
        compilation.warnings.append(_warning(model, compiled, problem))


def _warning(model: ParsedModel, compiled: CompiledSql, problem: Problem) -> str:
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{source_line(model.model, compiled.sql, problem)}: {problem.message}{hint}"


def _cached_test(graph: Graph, test: nodes.DataTest) -> str:
    relations = [str(graph.relations[parent]) for parent in graph.parents[test.id]]
    parts = ["test", test.text, test.test, test.arguments, test.column, test.config.where]
    return graph.parser.cache.get(
        [*parts, relations, *graph.parser.context], str, lambda: render_test(graph, test)
    )


def _check_segment(segment: ParsedModel, columns: Columns | None) -> None:
    model = segment.model
    if model.name in BUILT_IN_TABLES:
        raise ProjectError(
            f"`segments.{model.name}` is a table of segflow's own; a segment cannot have its name",
            Location(model.file),
            "name it for who is in it",
        )
    if columns is not None and "contact_id" not in columns:
        raise ProjectError(
            f"the segment `{model.name}` has no column `contact_id`",
            Location(model.file, find_line(model.text, r"^select") or 1),
            did_you_mean("contact_id", columns) or "a segment has one row per contact_id",
        )


def _check_audience(
    graph: Graph, audience: nodes.Audience, columns: dict[str, Columns | None]
) -> None:
    sources = [columns.get(str(graph.find(graphs.CONTACTS)))]
    if audience.user_types:
        sources.append(("persona", "segments", "stage", "contact_id"))
    sources += [columns.get(graph.segments[name].id) for name in audience.segments]
    if None in sources:
        return
    known = {name for found in sources for name in found or ()}
    wanted = [("key", audience.key), *((f"fields.{n}", c) for n, c in audience.fields)]
    for key, column in wanted:
        if column.lower() not in known:
            where = audience.origin.location(f".{key}") if audience.origin else place(audience)
            raise ProjectError(
                f"the audience `{audience.name}` asks for `{column}`, which neither its segments"
                " nor its contacts have",
                where,
                did_you_mean(column, known),
            )


def _check_channel(
    graph: Graph, channel: nodes.Channel, columns: dict[str, Columns | None]
) -> None:
    contacts = columns.get(str(graph.find(graphs.CONTACTS)))
    if contacts is None:
        return
    wanted: Iterable[tuple[str, str | None]] = (
        ("address", channel.address),
        ("reachable", channel.reachable),
    )
    for key, column in wanted:
        if column is not None and column.lower() not in contacts:
            where = channel.origin.location(f".{key}") if channel.origin else place(channel)
            raise ProjectError(
                f"`{graphs.CONTACTS}` has no column `{column}`",
                where,
                did_you_mean(column, contacts),
            )
