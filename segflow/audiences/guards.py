"""How much a segment or an audience would move in, why that is more than its guards allow out.

A share, as in `20%`, is of the members before, and counts from a hundred of them up, or where all
of ten or more would leave at once: a first run, and what is small, may move as it likes. What a
guard stops stays as it was, until the change is smaller or somebody approves it: `--approve
name=ceiling` lets a change of up to `ceiling` contacts through, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from segflow.project.nodes import Guards, SegmentGuards

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
    """The guards that were tripped in a run, and how much somebody approved, by name."""

    approved: Mapping[str, int] = field(default_factory=dict)
    trips: list[Trip] = field(default_factory=list)

    def judge(self, guards: Guards, change: Change) -> str | None:
        """Why a change has to wait, None where it may pass."""
        found = [
            Trip(change.name, guard, moved, message, self.approved.get(change.name))
            for guard, moved, message in _tripped(guards, change)
        ]
        self.trips += found
        return "; ".join(trip.why for trip in found if trip.holds) or None


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
