"""A `Project` in, a `Graph` out: every node, what each one reads, and an order to build them in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from segflow.compile.cache import Cache
from segflow.compile.outlines import Columns
from segflow.compile.parsing import ParsedModel, Parser, find_line
from segflow.compile.relations import Relation
from segflow.compile.templating import Library
from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import Project, place
from segflow.project.nodes import Node

# What the runner itself reads: the table of contacts, and who agreed to what.
CONTACTS = "contacts"
CONSENTS = "consents"

_REF = re.compile(r"^\s*(?:\{\{\s*)?ref\(\s*['\"](\w+)['\"]\s*(?:,\s*['\"](\w+)['\"]\s*)?\)")
_SOURCE = re.compile(r"^\s*(?:\{\{\s*)?source\(\s*['\"](\w+)['\"]\s*,\s*['\"](\w+)['\"]\s*\)")


@dataclass
class Graph:
    """Every node by id, and the ids that each one reads (`parents`), in a fixed order.

    `order` has each node after its parents. `relations` are those of models, seeds and sources.
    """

    project: Project
    parser: Parser
    nodes: dict[str, Node] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    models: dict[str, ParsedModel] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {node: [] for node in self.nodes}
        for node, parents in self.parents.items():
            for parent in parents:
                found[parent].append(node)
        return {node: tuple(children) for node, children in found.items()}

    @cached_property
    def segments(self) -> dict[str, ParsedModel]:
        """The segments by name, in the order of their names."""
        found = [m for m in self.models.values() if m.is_segment]
        return {m.model.name: m for m in sorted(found, key=lambda m: m.model.name)}

    @cached_property
    def _by_name(self) -> dict[tuple[str | None, str], str]:
        found: dict[tuple[str | None, str], str] = {}
        for node in [*self.project.seeds, *(m.model for m in self.models.values())]:
            found[(None, node.name)] = node.id
            found[(node.package, node.name)] = node.id
        return found

    def find(self, name: str, package: str | None = None) -> str | None:
        """The id of the model or seed that `ref` means."""
        return self._by_name.get((package, name))

    def ref(self, package: str | None, name: str) -> Relation:
        """The relation that `ref` returns; raises ProjectError where there is no such model."""
        node = self.find(name, package)
        if node is None:
            names = [other for owner, other in self._by_name if owner is None]
            known = f"{package}.{name}" if package else name
            raise ProjectError(f"unknown model `{known}`", hint=did_you_mean(name, names))
        return self.relations[node]

    def source(self, source_name: str, table: str) -> Relation:
        """The relation that `source` returns; raises ProjectError where it is not declared."""
        names = {node.name: node.id for node in self.project.sources}
        name = f"{source_name}.{table}"
        if name not in names:
            near = did_you_mean(name, names)
            hint = near or "declare it under `sources:` in a YAML file beside the models"
            raise ProjectError(f"unknown source `{name}`", hint=hint)
        return self.relations[names[name]]

    def ancestors(self, node: str) -> set[str]:
        return _reach(node, self.parents)

    def descendants(self, node: str) -> set[str]:
        return _reach(node, self.children)


def build_graph(project: Project, cache: Cache) -> Graph:
    """Parse every file and connect the nodes.

    Raises:
        ProjectError: something is unknown, named twice, or reads itself by a detour.
    """
    library = Library(project.macros)
    graph = Graph(project, Parser(project, library, cache))
    for model in project.models:
        parsed = graph.parser.model(model)
        if parsed.config.enabled:
            graph.models[model.id] = parsed
            graph.relations[model.id] = parsed.relation
    for seed in project.seeds:
        config = seed.config
        graph.relations[seed.id] = Relation(config.schema or "main", config.alias or seed.name)
    for source in project.sources:
        relation = Relation(source.schema, source.identifier, source.external_location)
        graph.relations[source.id] = relation
    _check_relations(graph)
    _add(graph, [m.model for m in graph.models.values()])
    _add(graph, project.seeds)
    _add(graph, project.sources)
    for parsed in graph.models.values():
        graph.parents[parsed.id] = _model_parents(graph, parsed)
    _connect_tests(graph)
    _connect_audiences(graph)
    graph.order = _ordered(graph)
    return graph


def known_columns(graph: Graph, node: str, compiled: dict[str, Columns | None]) -> Columns | None:
    """Columns of a node, lower case, where they can be known before anything runs."""
    if node in compiled:
        return compiled[node]
    found = graph.nodes[node]
    if isinstance(found, nodes.Seed):
        return tuple(column.lower() for column in found.header)
    return None


def _add(graph: Graph, found: Iterable[Node]) -> None:
    for node in found:
        graph.nodes[node.id] = node
        graph.parents.setdefault(node.id, ())


def _check_relations(graph: Graph) -> None:
    seen: dict[str, str] = {}
    owned = [*graph.project.seeds, *(m.model for m in graph.models.values())]
    for node in owned:
        text = str(graph.relations[node.id]).lower()
        if text in seen:
            raise ProjectError(
                f"`{node.name}` and `{seen[text]}` would both be {text}",
                place(node),
                "give one another `schema` or `alias`",
            )
        seen[text] = node.name


def _model_parents(graph: Graph, parsed: ParsedModel) -> tuple[str, ...]:
    model, facts = parsed.model, parsed.facts
    found: dict[str, None] = {}
    for package, name in facts.refs:
        try:
            graph.ref(package, name)
        except ProjectError as error:
            line = find_line(model.text, rf"ref\([^)]*['\"]{re.escape(name)}['\"]")
            error.location = Location(model.file, line)
            raise
        found[str(graph.find(name, package))] = None
    for source_name, table in facts.sources:
        try:
            graph.source(source_name, table)
        except ProjectError as error:
            pattern = (
                rf"source\(\s*['\"]{re.escape(source_name)}['\"]\s*,\s*['\"]{re.escape(table)}"
            )
            error.location = Location(model.file, find_line(model.text, pattern))
            raise
        name = f"{source_name}.{table}"
        found[next(s.id for s in graph.project.sources if s.name == name)] = None
    return tuple(found)


def test_arguments(test: nodes.DataTest) -> list[tuple[str, tuple[str | None, str]]]:
    """The `ref` and `source` calls among the arguments of a generic test."""
    found: list[tuple[str, tuple[str | None, str]]] = []
    for value in test.arguments.values():
        if isinstance(value, str) and (match := _REF.match(value)):
            package, name = (match[1], match[2]) if match[2] else (None, match[1])
            found.append(("ref", (package, name)))
        elif isinstance(value, str) and (match := _SOURCE.match(value)):
            found.append(("source", (match[1], match[2])))
    return found


def _connect_tests(graph: Graph) -> None:
    for test in graph.project.data_tests:
        if test.attached and test.attached not in graph.nodes:
            continue
        found: dict[str, None] = {test.attached: None} if test.attached else {}
        if test.file:
            facts = graph.parser.facts(test.text, test.file, test.name, {})
            calls: list[tuple[str, tuple[str | None, str]]] = [("ref", r) for r in facts.refs]
            calls += [("source", s) for s in facts.sources]
        else:
            calls = test_arguments(test)
        for call, (first, second) in calls:
            try:
                if call == "ref":
                    graph.ref(first, second)
                    found[str(graph.find(second, first))] = None
                else:
                    graph.source(str(first), second)
                    name = f"{first}.{second}"
                    found[next(s.id for s in graph.project.sources if s.name == name)] = None
            except ProjectError as error:
                error.location = test.origin.location() if test.origin else place(test)
                raise
        _add(graph, [test])
        graph.parents[test.id] = tuple(found)
    for unit_test in graph.project.unit_tests:
        model = graph.find(unit_test.model)
        if model is None or model not in graph.models:
            names = [m.model.name for m in graph.models.values()]
            raise ProjectError(
                f"unknown model `{unit_test.model}`",
                unit_test.origin.location(".model") if unit_test.origin else None,
                did_you_mean(unit_test.model, names),
            )
        _add(graph, [unit_test])
        graph.parents[unit_test.id] = (model,)


def _connect_audiences(graph: Graph) -> None:
    """Personas, channels, goals, purposes, audiences and destinations, with what each one reads."""
    project = graph.project

    def segment(name: str, node: Node, key: str) -> str:
        if name in graph.segments:
            return graph.segments[name].id
        raise _unknown("segment", name, graph.segments, node, key)

    def named(kind: str, name: str | None, group: Iterable[Node], node: Node) -> str:
        for other in group:
            if other.name == name:
                return other.id
        raise _unknown(kind, str(name), [n.name for n in group], node, f".{kind}")

    _add(graph, project.goals)
    _add(graph, project.purposes)
    _add(graph, project.destinations)
    _add(graph, project.personas)
    _add(graph, project.channels)
    _add(graph, project.audiences)
    contacts, consents = graph.find(CONTACTS), graph.find(CONSENTS)
    for persona in project.personas:
        graph.parents[persona.id] = (segment(persona.segment, persona, ".segment"),)
    for channel in project.channels:
        found = [contacts] if contacts else []
        found += [segment(name, channel, ".suppress") for name in channel.suppress]
        graph.parents[channel.id] = tuple(found)
    goals = {*nodes.GOALS, *(goal.name for goal in project.goals)}
    for audience in project.audiences:
        if audience.goal is not None and audience.goal not in goals:
            raise _unknown("goal", audience.goal, goals, audience, ".goal")
        if contacts is None:
            raise ProjectError(
                f"the audience `{audience.name}` needs a model `{CONTACTS}`, and there is none",
                place(audience),
            )
        if bool(audience.segments) == audience.user_types:
            raise ProjectError(
                f"the audience `{audience.name}` has either `segments` or `user_types: all`",
                place(audience),
            )
        found = [contacts, *([consents] if consents else [])]
        found += [segment(name, audience, ".segments") for name in audience.segments]
        found += [segment(name, audience, ".exclude") for name in audience.exclude]
        if audience.user_types:
            found += [parsed.id for parsed in graph.segments.values()]
            found += [persona.id for persona in project.personas]
        found.append(named("channel", audience.channel, project.channels, audience))
        found.append(named("purpose", audience.purpose, project.purposes, audience))
        destination = named("destination", audience.destination, project.destinations, audience)
        graph.parents[audience.id] = tuple(dict.fromkeys(found))
        graph.parents[destination] = (*graph.parents[destination], audience.id)


def _unknown(kind: str, name: str, names: Iterable[str], node: Node, key: str) -> ProjectError:
    known = sorted(names)
    hint = did_you_mean(name, known)
    if hint is None:
        hint = f"there is: {', '.join(known[:12])}" if known else f"the project has no {kind} yet"
    where = node.origin.location(key) if node.origin else place(node)
    return ProjectError(f"unknown {kind} `{name}`", where, hint)


def _ordered(graph: Graph) -> tuple[str, ...]:
    """Nodes after their parents, otherwise in the order they were read."""
    sorter: TopologicalSorter[str] = TopologicalSorter(graph.parents)
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        cycle: list[str] = error.args[1]
        path = " → ".join(node.rpartition(".")[2] for node in reversed(cycle))
        first = graph.nodes[cycle[0]]
        raise ProjectError(
            f"these models read each other in a circle: {path}", place(first)
        ) from None


def _reach(start: str, edges: dict[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    left = list(edges.get(start, ()))
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left.extend(edges.get(node, ()))
    return found
