"""A `Graph` and the nodes chosen in, a `Plan` out: the list of steps that running and explaining read.

A step is one node with everything that belongs to it. Its tests run inside its transaction, so a
test goes to the last of the models it reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from segflow.compile.graph import CONTACTS, Graph
from segflow.project import nodes


@dataclass(frozen=True)
class Step:
    """One node of a plan.

    `needs` are the steps it reads from: where one fails, it is held back. `outside` are nodes it
    reads that are not part of the plan. `follows` are steps that only its tests read: it waits for
    them, but stands without them.
    """

    node: str
    kind: str
    reason: str
    needs: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    unit_tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Steps in an order that respects `needs` and `follows`; then segments and audiences by name.

    `is_whole` where everything was chosen: then what the project no longer has is closed, too.
    """

    steps: tuple[Step, ...]
    segments: tuple[str, ...]
    audiences: tuple[str, ...]
    is_whole: bool


def plan_build(graph: Graph, chosen: set[str], is_whole: bool, reason: str = "selected") -> Plan:
    """The steps that build the chosen nodes, with their tests."""
    built = {
        node
        for node in chosen
        if isinstance(graph.nodes[node], nodes.Seed)
        or (node in graph.models and graph.models[node].config.materialized != "ephemeral")
    }
    read = {parent for node in built for parent in _readable_parents(graph, node)}
    tested = {test.attached for test in graph.project.data_tests}
    sources = {
        node.id
        for node in graph.project.sources
        if (node.freshness or node.id in tested) and (node.id in read or node.id in chosen)
    }
    members = built | sources
    reads = {node: tuple(_readable_parents(graph, node)) for node in members}
    needs = {node: tuple(p for p in reads[node] if p in members) for node in members}
    tests, follows = _owners(graph, members, needs)
    _after_contacts(graph, follows)
    steps = []
    for node in _in_order(graph, needs, follows):
        steps.append(
            Step(
                node,
                kind_of(graph, node),
                "read by what was chosen" if node in sources - chosen else reason,
                needs[node],
                tuple(p for p in reads[node] if p not in members),
                follows[node],
                tuple(tests.get(node, ())),
                tuple(
                    test.id
                    for test in graph.project.unit_tests
                    if test.id in graph.nodes and graph.parents[test.id] == (node,)
                ),
            )
        )
    segments = tuple(name for name, s in graph.segments.items() if s.id in built)
    audiences = tuple(a.name for a in graph.project.audiences if a.id in chosen)
    return Plan(tuple(steps), segments, audiences, is_whole)


def kind_of(graph: Graph, node: str) -> str:
    if node in graph.models and graph.models[node].is_segment:
        return "segment"
    return graph.nodes[node].kind


def _readable_parents(graph: Graph, node: str) -> Iterable[str]:
    """Parents of a node, an ephemeral one replaced by its own parents."""
    found: dict[str, None] = {}
    for parent in graph.parents[node]:
        model = graph.models.get(parent)
        if model and model.config.materialized == "ephemeral":
            found.update(dict.fromkeys(_readable_parents(graph, parent)))
        else:
            found[parent] = None
    return found


def _owners(
    graph: Graph, members: set[str], needs: dict[str, tuple[str, ...]]
) -> tuple[dict[str, list[str]], dict[str, tuple[str, ...]]]:
    """Which step each test runs in, and what else that step then waits for."""
    tests: dict[str, list[str]] = {}
    follows: dict[str, tuple[str, ...]] = dict.fromkeys(members, ())
    position = {node: index for index, node in enumerate(graph.order)}
    for test in graph.project.data_tests:
        if test.id not in graph.nodes:
            continue
        parents = [p for p in _readable_parents(graph, test.id) if p in members]
        if not parents:
            continue
        last = max(parents, key=position.__getitem__)
        owner = test.attached if test.attached in parents else last
        if owner != last and owner in graph.ancestors(last):
            owner = last
        tests.setdefault(owner, []).append(test.id)
        others = [p for p in parents if p != owner and p not in needs[owner]]
        follows[owner] = tuple(dict.fromkeys((*follows[owner], *others)))
    return tests, follows


def _after_contacts(graph: Graph, follows: dict[str, tuple[str, ...]]) -> None:
    """Every segment waits for `contacts`, which says what type a contact_id has."""
    contacts = graph.find(CONTACTS)
    if contacts in follows:
        before = {contacts, *graph.ancestors(contacts)}
        for segment in graph.segments.values():
            if segment.id in follows and segment.id not in before:
                follows[segment.id] = (*follows[segment.id], contacts)


def _in_order(
    graph: Graph, needs: dict[str, tuple[str, ...]], follows: dict[str, tuple[str, ...]]
) -> list[str]:
    """Steps after what they need and follow, otherwise in the graph's order.

    Tests of two models may read each other's; then the later model in the graph goes last.
    """
    position = {node: index for index, node in enumerate(graph.order)}
    members = sorted(needs, key=position.__getitem__)
    try:
        edges = {node: (*needs[node], *follows[node]) for node in members}
        return list(TopologicalSorter(edges).static_order())
    except CycleError:
        for node in members:
            follows[node] = tuple(p for p in follows[node] if position[p] < position[node])
        edges = {node: (*needs[node], *follows[node]) for node in members}
        return list(TopologicalSorter(edges).static_order())
