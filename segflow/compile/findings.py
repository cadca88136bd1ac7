"""A compiled project in; what its segments' definitions prove, and traps of null in them, out."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import combinations

from msgspec import Struct

from segflow.compile.compiler import Compilation, known_columns
from segflow.compile.definitions import Definition, Definitions
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.lineage import Stale, roots_of, stale_columns
from segflow.compile.outlines import EVERYTHING, REPEATS, ROWS, lowered
from segflow.compile.reasoning import Reasoner, tests_of
from segflow.errors import Location, ProjectError, did_you_mean

_NEGATIVE = ("!=", "not in", "not like", "not ilike", "not between")


class Findings(Struct, frozen=True):
    """`warnings` say what is likely wrong, `notes` which segment lies within another one."""

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find(graph: Graph, compilation: Compilation) -> Findings:
    """What is certain of segments before any data.

    Raises:
        ProjectError: a segment is exclusive with itself, or with one that there is not.
    """
    if graph.find(CONTACTS) is None:
        return Findings()
    for name, model in graph.segments.items():
        for other in model.config.exclusive_with:
            at = model.said_at("exclusive_with")
            if other == name:
                raise ProjectError(f"`{name}` is exclusive with itself", at, "name another one")
            if other not in graph.segments:
                message = f"`{name}` is exclusive with the segment `{other}`, which there is not"
                raise ProjectError(message, at, did_you_mean(other, graph.segments))
    sqls = [(node, compiled.sql) for node, compiled in compilation.models.items()]
    declared = [(name, m.config.exclusive_with) for name, m in graph.segments.items()]
    sure = _never_null(graph)
    seeds = [(seed.id, seed.header) for seed in graph.project.seeds]
    parts = ["findings", sqls, seeds, declared, sorted(sure)]

    def make() -> Findings:
        definitions = Definitions(graph, compilation)
        found = {name: definitions.of(name) for name in graph.segments}
        reasoner = Reasoner(found)
        alone = [*_alone(graph, reasoner, found, sure)]
        pairs = [*_pairs(graph, compilation, reasoner)]
        return Findings(
            (*alone, *filter(None, (w for w, _ in pairs))), tuple(n for _, n in pairs if n)
        )

    return graph.project.cache.get(parts, Findings, make)


def _alone(
    graph: Graph, reasoner: Reasoner, definitions: dict[str, Definition], sure: set[str]
) -> Iterator[str]:
    """What is wrong with a segment by itself."""
    for name, definition in definitions.items():
        if reasoner.is_never(name):
            yield _at(graph, name, "can never have members: its clauses contradict each other")
        yield from (_at(graph, name, trap) for trap in _traps(graph, definition, sure))


def _pairs(graph: Graph, compilation: Compilation, reasoner: Reasoner) -> Iterator[tuple[str, str]]:
    """A warning or a note on two segments, as far as there is one."""
    are_free = partial(_are_free, _roots(graph, compilation))
    for name, other in combinations(graph.segments, 2):
        within, around = reasoner.is_contained(name, other), reasoner.is_contained(other, name)
        if within and around:
            yield _at(graph, name, f"always has the same members as `{other}`"), ""
        elif within or around:
            inner, outer = (name, other) if within else (other, name)
            nodes = graph.segments[inner].id, graph.segments[outer].id
            if nodes[1] not in graph.ancestors(nodes[0]):
                yield "", _at(graph, inner, f"lies within `{outer}`: all its members are in that")
        if _are_exclusive(graph, name, other):
            both = reasoner.common(name, other, are_free)
            if both:
                who = "all members of one" if within or around else both
                said = f"is exclusive with `{other}`, yet nothing keeps out of both: {who}"
                yield _at(graph, name, said), ""


def _roots(graph: Graph, compilation: Compilation) -> Stale:
    """The columns of seeds and sources that each column of contacts comes from, and their rows."""
    contacts = str(graph.find(CONTACTS))
    columns = known_columns(graph, compilation)
    found: dict[str, Stale] = {}
    for node in graph.order:
        if node in compilation.models:
            found[node] = stale_columns(graph, compilation, node, found)
        else:
            names = (ROWS, REPEATS, *(columns.get(node) or (EVERYTHING,)))
            found[node] = {name: frozenset({f"{node}.{name}"}) for name in names}
    return found[contacts]


def _are_free(roots: Stale, columns: Iterable[str]) -> bool:
    """Whether columns can have any values together, as far as lineage tells.

    Two that share what they come from may not, nor may one all of which decides who is there. What
    a single expression can come to is not looked into.
    """
    rows = roots_of(roots, column=ROWS)
    seen: frozenset[str] = frozenset()
    for column in columns:
        own = roots_of(roots, column=lowered(column))
        if own <= rows or own & seen:
            return False
        seen |= own | rows if own & rows else own
    return True


def _are_exclusive(graph: Graph, name: str, other: str) -> bool:
    one, two = graph.segments[name].config, graph.segments[other].config
    return other in one.exclusive_with or name in two.exclusive_with


def _at(graph: Graph, name: str, text: str) -> str:
    return f"{Location(graph.segments[name].model.file)}: `{name}` {text}"


# ── null ──────────────────────────────────────────────────────────────────────────────────────


def _never_null(graph: Graph) -> set[str]:
    """`schema.table.column` of what a test holds to be not null, ids of segments included."""
    found = {f"{model.relation}.contact_id" for model in graph.segments.values()}
    found.add(f"{graph.relations[str(graph.find(CONTACTS))]}.contact_id")
    for test in graph.project.data_tests:
        if test.test == "not_null" and test.attached in graph.relations and test.column:
            found.add(f"{graph.relations[test.attached]}.{test.column}")
    return {lowered(name) for name in found}


def _traps(graph: Graph, definition: Definition, sure: set[str]) -> Iterator[str]:
    contacts = lowered(str(graph.relations[str(graph.find(CONTACTS))]))
    tests = list(tests_of(definition))
    for test in tests:
        if test.operator == "not in" and "null" in (o.text for o in test.operands[1:]):
            yield f"asks what is true of nobody, as a null is in the list: `{test.text}`"
            continue
        columns = [lowered(column) for operand in test.reads if (column := operand.column)]
        loose = [c for c in columns if f"{contacts}.{c}" not in sure]
        if test.operator == "not in" and test.picked and lowered(test.picked) not in sure:
            yield f"has nobody once a `{test.picked}` is null: use not exists for `{test.text}`"
        elif test.operator == "not exists":
            yield from (f"excludes nobody whose `{c}` is null: `{test.text}`" for c in loose)
        elif test.operator in _NEGATIVE and test.operands[0].column in loose:
            column = test.operands[0].column
            others = (operand.column for t in tests if t is not test for operand in t.reads)
            if column not in others:
                yield f"leaves out whoever has no `{column}`: add `{column} is not null` if meant"
