"""How much a segment or an audience would move in, why that is more than its guards allow out.

A share, as in `20%`, is of the members before, and counts from a hundred of them up, or where all
of ten or more would leave at once: a first run, and what is small, may move as it likes. What a
guard stops stays as it was, until the change is smaller or somebody approves it: `--approve
name=ceiling` lets a change of up to `ceiling` contacts through, once.

Where data comes in a guard stands that nobody has to write: a table that had rows and has none
keeps those it had, until that is approved, so that no segment of any size is emptied by it and no
test passes for want of rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from segflow.build.plan import Plan
from segflow.compile.graph import Graph
from segflow.errors import Location
from segflow.journal import Result
from segflow.project.load import place
from segflow.project.nodes import Node
from segflow.project.properties import Guards, SegmentGuards

# Of fewer members than this a share says little: one of three is a third. But that all leave at
# once says much, unless it was only a handful.
_FEW, _HANDFUL = 100, 10


@dataclass(frozen=True)
class Change:
    """What a segment or an audience has now, and what it would have.

    `flapping` are the contacts that leave soon after they entered, or enter soon after they left.
    """

    name: str
    before: int
    after: int
    entered: int
    left: int
    flapping: int = 0


@dataclass(frozen=True)
class Trip:
    """A guard that was tripped by `moved` contacts; `approved` says up to how many may pass."""

    name: str
    guard: str
    moved: int
    message: str
    approved: int | None = None

    @property
    def holds(self) -> bool:
        return self.approved is None or self.moved > self.approved

    @property
    def why(self) -> str:
        return f"guard {self.guard}: {self.message}"


@dataclass
class Watched:
    """The guards that were tripped in a run, and how much somebody approved, by name.

    `shared` says what has lost most of its rows and is read by all that is stopped, `outside` what
    is too large or too small without a change that could wait.
    """

    approved: Mapping[str, int] = field(default_factory=dict)
    trips: list[Trip] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def judge(self, guards: Guards, change: Change) -> str | None:
        """Why a change has to wait, None where it may pass."""
        found = [
            Trip(change.name, guard, moved, message, self.approved.get(change.name))
            for guard, moved, message in _tripped(guards, change)
        ]
        self.trips += found
        if not found:
            self.outside += _outside(guards, change)
        return "; ".join(trip.why for trip in found if trip.holds) or None

    def note_sources(self, graph: Graph, results: Iterable[Result], had: Mapping[str, int]) -> None:
        """Note the tables that had rows and have none, or few and all that waits stands on them."""
        waiting = {trip.name for trip in self.trips}
        for r in (r for r in results if r.node in had and r.rows is not None):
            before = had[r.node]
            if not r.rows:
                approved = self.approved.get(r.name)
                self.trips.append(Trip(r.name, "empty", before, "its rows are gone", approved))
            elif r.rows * 2 < before and waiting <= {
                graph.nodes[node].name for node in graph.descendants(r.node)
            }:
                self.shared.append(f"{r.name} has {r.rows:,} rows, had {before:,}")


def approvable(graph: Graph) -> set[str]:
    """The names of what guards stand before: segments, audiences, and where data comes in."""
    moves = ("segment", "audience")
    return {
        said.name
        for node, said in graph.nodes.items()
        if graph.kind(node) in moves or _comes_in(graph, node)
    }


def _comes_in(graph: Graph, node: str) -> bool:
    """Whether a node is a seed, or a model that reads a source."""
    kind, read = graph.kind(node), (graph.nodes[parent].kind for parent in graph.parents[node])
    return kind == "seed" or (kind == "model" and "source" in read)


def filled(graph: Graph, plan: Plan, last: Mapping[str, int | None]) -> dict[str, int]:
    """The tables of a plan where data comes in, with the rows they had, if anything reads them.

    Args:
        last: the rows of each node when it was last built; None where they were not counted.
    """
    found = {}
    for node in (step.node for step in plan.steps):
        if _comes_in(graph, node) and graph.children[node] and last.get(node, 0) != 0:
            found[node] = last[node] or 1
    return found


def said_at(graph: Graph, trip: Trip) -> Location | None:
    """Where the project says the guard of a segment or an audience that was tripped."""
    segment = graph.segments.get(trip.name)
    named = (a for a in graph.project.audiences if a.name == trip.name)
    node: Node | None = segment.model if segment else next(named, None)
    if node is None:
        return None
    key, at = trip.guard.partition(" ")[0], node.origin
    places = [at.location(f"{below}.guards.{key}") for below in (".config", "")] if at else []
    kind = "models" if segment else "audiences"
    levels = [kind, node.package, *Path(node.path).parts[1:-1], node.name]
    for depth in range(len(levels), 0, -1):
        pointer = f"$.{'.'.join(levels[:depth])}.+guards.{key}"
        places.append(graph.project.location(pointer))
    # A pointer that leads nowhere ends at a line above, which does not say the key.
    found = (p for p in places if p.line and key in _line(p))
    return next(found, place(node))


def _line(place: Location) -> str:
    return place.path.read_text("utf-8-sig").splitlines()[(place.line or 1) - 1]


def _outside(guards: Guards, change: Change) -> Iterator[str]:
    """A size that no change leads to is only warned of: there is nothing to hold back."""
    if guards.min_size is not None and change.after < guards.min_size:
        yield f"{change.name} has {change.after:,} members (min_size {guards.min_size})"
    if guards.max_size is not None and change.after > guards.max_size:
        yield f"{change.name} has {change.after:,} members (max_size {guards.max_size})"


def _tripped(guards: Guards, change: Change) -> list[tuple[str, int, str]]:
    """Each guard that is tripped, as the project wrote it, the contacts it is about, and why."""
    found = []
    moves = [
        ("max_entered", guards.max_entered, change.entered, "would enter"),
        ("max_left", guards.max_left, change.left, "would leave"),
    ]
    if isinstance(guards, SegmentGuards) and (guards.min_stay or guards.max_flapping is not None):
        allowed = guards.max_flapping if guards.max_flapping is not None else 0
        moves.append(("max_flapping", allowed, change.flapping, "would come and go"))
    for name, limit, moved, does in moves:
        if limit is not None and moved > _ceiling(limit, change):
            message = f"{moved:,} {does}"
            if change.before:
                message = f"{moved:,} of {change.before:,} {does} ({moved / change.before:.0%})"
            found.append((f"{name} {limit}", moved, message))
    size = f"{change.before:,} would become {change.after:,}"
    shrinks, grows = change.left or not change.before, change.entered
    if guards.min_size is not None and change.after < guards.min_size and shrinks:
        found.append((f"min_size {guards.min_size}", change.left, size))
    if guards.max_size is not None and change.after > guards.max_size and grows:
        found.append((f"max_size {guards.max_size}", change.entered, size))
    return found


def _ceiling(limit: int | str, change: Change) -> float:
    """How many contacts a limit allows."""
    if isinstance(limit, int):
        return limit
    counts = change.before >= _FEW or (change.before >= _HANDFUL and not change.after)
    return change.before * float(limit.removesuffix("%")) / 100 if counts else float("inf")
