"""A `Project` in, a `Graph` out: every file parsed, every reference found."""

import dataclasses
from collections.abc import Callable
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import msgspec
from msgspec.structs import replace

from segflow.compile.audiences import connect_audiences
from segflow.compile.graph import Graph, Reference, reference
from segflow.compile.library import Library
from segflow.compile.names import Facts
from segflow.compile.parsing import Parser, nothing_behind
from segflow.compile.relations import Relation
from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import documents, nodes
from segflow.project.folders import merge
from segflow.project.load import Project, place
from segflow.project.nodes import Node
from segflow.project.properties import DataTestConfig

# Where the arguments and the config of a generic test may stand in YAML.
_BELOW = (".arguments", ".config", "")


def build_graph(project: Project) -> Graph:
    """Parse every file and connect the nodes.

    Raises:
        ProjectError: something is unknown, named twice, or reads itself by a detour.
    """
    library = Library(project.macros)
    library.check(project.cache)
    graph = Graph(project, Parser(project, library), disabled=set(project.disabled))
    for model in project.models:
        parsed = graph.parser.model(model)
        if parsed.config.enabled:
            graph.models[model.id] = parsed
            graph.relations[model.id] = parsed.relation
        else:
            graph.disabled.add(model.id)
    for seed in project.seeds:
        config = seed.config
        graph.relations[seed.id] = Relation(config.schema or "main", config.alias or seed.name)
    for source in project.sources:
        relation = Relation(source.schema, source.identifier, source.external_location)
        graph.relations[source.id] = relation
    _check_relations(graph)
    _check_renamed(graph)
    graph.add([m.model for m in graph.models.values()])
    graph.add(project.seeds)
    graph.add(project.sources)
    for parsed in graph.models.values():
        model = parsed.model
        graph.parents[parsed.id] = _reads(graph, model, parsed.facts)
    connected = (_connect_test(graph, test) for test in project.data_tests)
    project.data_tests = [test for test in connected if test]
    for unit_test in project.unit_tests:
        _connect_unit_test(graph, unit_test)
    connect_audiences(graph)
    graph.order = _ordered(graph)
    return graph


def with_definition(graph: Graph, segment: str, text: str, file: Path) -> Graph:
    """The graph with another definition of a segment, which stands in `file`.

    Raises:
        ProjectError: it reads what there is not, or itself by a detour.
    """
    former = graph.segments[segment]
    model = msgspec.structs.replace(former.model, text=text, file=file)
    parsed = replace(graph.parser.model(model), relation=former.relation, config=former.config)
    parents = {**graph.parents, former.id: _reads(graph, parsed.model, parsed.facts)}
    changed = dataclasses.replace(
        graph, models={**graph.models, former.id: parsed}, parents=parents
    )
    changed.order = _ordered(changed)
    return changed


def _check_relations(graph: Graph) -> None:
    seen: dict[str, Node] = {}
    for node in [*graph.project.seeds, *(m.model for m in graph.models.values())]:
        text = str(graph.relations[node.id]).lower()
        if text in seen:
            raise ProjectError(
                f"`{node.name}` and `{seen[text].name}` would both be {text}",
                place(node),
                "give one another `schema` or `alias`",
            )
        seen[text] = node


def _check_renamed(graph: Graph) -> None:
    """A former name belongs to one segment, and to none of today."""
    taken = dict.fromkeys(graph.segments, "is a segment")
    for model in graph.models.values():
        old = model.config.renamed_from
        if old is None:
            continue
        at = model.said_at("renamed_from")
        if not model.is_segment:
            raise ProjectError(f"`renamed_from` is for segments, not for `{model.model.name}`", at)
        if old in taken:
            hint = "drop `renamed_from`: its history is not there to be taken over"
            raise ProjectError(f"renamed_from: `{old}` {taken[old]} of this project", at, hint)
        taken[old] = "was the name of another segment"


def _reads(graph: Graph, node: nodes.Model | nodes.DataTest, facts: Facts) -> tuple[str, ...]:
    """The ids of what a node's template reads."""
    found = [Reference("ref", *ref) for ref in facts.refs]
    found += [Reference("source", *source) for source in facts.sources]
    try:
        return tuple(dict.fromkeys(graph.target(each) for each in found))
    except ProjectError:
        graph.parser.locate(replace(nothing_behind(node), ref=graph.ref, source=graph.source))
        raise


# ── tests ─────────────────────────────────────────────────────────────────────────────────────


def _connect_test(graph: Graph, test: nodes.DataTest) -> nodes.DataTest | None:
    """Add a test with what its own file says of it; None where there is nothing to test."""
    if test.attached and test.attached not in graph.nodes:
        return None
    found: dict[str, None] = {test.attached: None} if test.attached else {}
    if test.file:
        facts = graph.parser.facts(nothing_behind(test))
        config = merge(msgspec.to_builtins(test.config), facts.config)
        test = replace(test, config=documents.convert(config, DataTestConfig))
        if not test.config.enabled:
            return None
        found |= dict.fromkeys(_reads(graph, test, facts))
    for key, value in test.arguments.items():
        called = reference(value)
        if called:
            found[_target(graph, called, partial(said_at, test, key))] = None
    if test.id in graph.nodes:
        raise ProjectError(
            f"two tests are named `{test.name}`, also {place(graph.nodes[test.id])}",
            place(test, ""),
            "drop one, or give it another `name`",
        )
    graph.add([test])
    graph.parents[test.id] = tuple(found)
    return test


def said_at(test: nodes.DataTest, key: str) -> Location:
    """The line of a key of a generic test, which may stand below `arguments` or `config`."""
    spots = [place(test, f".{test.test}{below}.{key}") for below in _BELOW]
    return max(spots, key=lambda spot: spot.line or 0)


def _target(graph: Graph, called: Reference, locate: Callable[[], Location]) -> str:
    try:
        return graph.target(called)
    except ProjectError as error:
        error.location = locate()
        raise


def _connect_unit_test(graph: Graph, test: nodes.UnitTest) -> None:
    if f"model.{test.package}.{test.model}" in graph.disabled:
        # It was for this model, and not for what another package puts in its place.
        return
    model = graph.find(test.model)
    if model not in graph.models:
        names = [m.model.name for m in graph.models.values()]
        hint = did_you_mean(test.model, names)
        raise ProjectError(f"unknown model `{test.model}`", place(test, ".model"), hint)
    for index, given in enumerate(test.given):
        called = reference(given.input)
        where = f".given[{index}].input"
        if called:
            _target(graph, called, partial(place, test, where))
        elif given.input.strip() != "this":
            raise ProjectError(
                f"`{given.input}` is no input: write ref('…'), source('…', '…') or this",
                place(test, where),
            )
    graph.add([test])
    graph.parents[test.id] = (str(model),)


# ── order ─────────────────────────────────────────────────────────────────────────────────────


def _ordered(graph: Graph) -> tuple[str, ...]:
    """Nodes after their parents, otherwise in the order they were read."""
    sorter: TopologicalSorter[str] = TopologicalSorter(graph.parents)
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        # Every node of the cycle is read by the one after it; it begins and ends with one node.
        cycle: list[Node] = [graph.nodes[node] for node in reversed(error.args[1])]
        path = " → ".join(node.name for node in cycle)
        where = _place_of_ref(graph, cycle[0], cycle[1].name)
        hint = "let one of them read what the other is made of instead"
        raise ProjectError(
            f"these models read each other in a circle: {path}", where, hint
        ) from None


def _place_of_ref(graph: Graph, node: Node, name: str) -> Location:
    """The line where a model refers to `name`."""
    if not isinstance(node, nodes.Model):
        return place(node)

    def ref(_: str | None, other: str) -> Relation:
        if other == name:
            raise ProjectError(f"`{name}`")
        return Relation("ref", other)

    try:
        graph.parser.locate(replace(nothing_behind(node), ref=ref))
    except ProjectError as error:
        return error.location or place(node)
    return place(node)
