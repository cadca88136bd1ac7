"""A `Graph` and the nodes chosen in, a `Plan` out: what running and explaining a build both read.

A step is one node with everything that belongs to it. Its tests run inside its transaction, so a
test goes to the last of the models it reads: to the one it is attached to, where that can wait for
the others.
"""

from dataclasses import dataclass
from graphlib import TopologicalSorter

from segflow.compile.graph import CONTACTS, Graph, reached
from segflow.project import nodes


@dataclass(frozen=True)
class Step:
    """One node of a plan.

    `needs` are the steps it reads from, `outside` nodes it reads that are not part of the plan.
    `follows` are steps that only its tests read: it waits for them, too.
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
    """Steps in an order that respects `needs` and `follows`; then what is chosen of segments,
    audiences and messages, by name.

    `is_whole` where everything was chosen: then what the project no longer has is closed, too.
    """

    steps: tuple[Step, ...]
    segments: tuple[str, ...]
    audiences: tuple[str, ...]
    messages: tuple[str, ...]
    is_whole: bool


def plan_build(graph: Graph, chosen: set[str], is_whole: bool, reason: str = "selected") -> Plan:
    """The steps that build the chosen nodes, and in them the chosen tests."""
    built = {
        node
        for node in chosen
        if isinstance(graph.nodes[node], nodes.Seed)
        or (node in graph.models and graph.models[node].config.materialized != "ephemeral")
    }
    read = {parent for node in built for parent in graph.tables_of(node)}
    tested = {test.attached for test in graph.project.data_tests}
    sources = {
        node.id
        for node in graph.project.sources
        if (node.freshness or node.id in tested) and (node.id in read or node.id in chosen)
    }
    members = built | sources
    reads = {node: tuple(graph.tables_of(node)) for node in members}
    needs = {node: tuple(p for p in reads[node] if p in members) for node in members}
    waits = {node: dict.fromkeys(needs[node]) for node in members}
    tests, unit_tests = _owners(graph, waits, chosen), _unit_tests(graph, chosen)
    _after_contacts(graph, waits)
    position = {node: index for index, node in enumerate(graph.order)}
    order = TopologicalSorter({n: waits[n] for n in sorted(members, key=position.__getitem__)})
    steps = []
    for node in order.static_order():
        steps.append(
            Step(
                node,
                graph.kind(node),
                "read by what was chosen" if node in sources - chosen else reason,
                needs[node],
                tuple(p for p in reads[node] if p not in members),
                tuple(p for p in waits[node] if p not in needs[node]),
                tuple(tests.get(node, ())),
                tuple(unit_tests.get(node, ())),
            )
        )
    segments = tuple(name for name, s in graph.segments.items() if s.id in built)
    audiences = tuple(a.name for a in graph.project.audiences if a.id in chosen)
    messages = tuple(m.name for m in graph.project.messages if m.id in chosen)
    return Plan(tuple(steps), segments, audiences, messages, is_whole)


# What each step waits for: the steps that it or its tests read, in a fixed order.
Waits = dict[str, dict[str, None]]


def _owners(graph: Graph, waits: Waits, chosen: set[str]) -> dict[str, list[str]]:
    """Which step each test runs in; that step then waits for all that the test reads.

    Where the step that a test is attached to is itself waited for by what the test reads, the test
    goes there.
    """
    tests: dict[str, list[str]] = {}
    for test in graph.project.data_tests:
        if test.id not in chosen:
            continue
        parents = [p for p in graph.tables_of(test.id) if p in waits]
        if not parents:
            continue
        owner = test.attached if test.attached in parents else parents[0]
        for parent in parents:
            if owner in reached([parent], waits):
                owner = parent
        tests.setdefault(owner, []).append(test.id)
        waits[owner].update(dict.fromkeys(p for p in parents if p != owner))
    return tests


def _unit_tests(graph: Graph, chosen: set[str]) -> dict[str, list[str]]:
    """The chosen unit tests of each model."""
    tests: dict[str, list[str]] = {}
    for test in (test for test in graph.project.unit_tests if test.id in chosen):
        for model in graph.parents[test.id]:
            tests.setdefault(model, []).append(test.id)
    return tests


def _after_contacts(graph: Graph, waits: Waits) -> None:
    """Every segment waits for `contacts`, which says what type a contact_id has."""
    contacts = graph.find(CONTACTS)
    if contacts not in waits:
        return
    for segment in graph.segments.values():
        if segment.id in waits and segment.id not in reached([contacts], waits):
            waits[segment.id][contacts] = None
