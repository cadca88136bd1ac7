"""A segment and a span of time in; who would have been in it at each moment of that span, out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from segflow.build.materializations import members_table
from segflow.build.replay import Replay, plan_replay
from segflow.compile.compiler import Compilation, fingerprint, recompiled
from segflow.compile.connecting import with_definition
from segflow.compile.graph import CONTACTS, Graph
from segflow.engines.base import SCRATCH, Session
from segflow.errors import ProjectError

_SEEN = f'{SCRATCH}."members seen"'
# What a table may have one row of, as far as it says so by a test.
_OWNERS = ("contact_id", "account_id")


@dataclass(frozen=True)
class Span:
    """The moments to look at: `begin`, then every so many days up to `end`, which is included."""

    begin: datetime
    end: datetime
    days: int

    @property
    def moments(self) -> list[datetime]:
        """In order; raises ProjectError where the span ends before it begins."""
        if self.end < self.begin:
            raise ProjectError(f"the span ends at {self.end}, before it begins at {self.begin}")
        count = (self.end - self.begin) // timedelta(days=self.days) + 1
        return [self.begin + n * timedelta(days=self.days) for n in range(count)]


@dataclass(frozen=True)
class Point:
    """A segment at one moment, and how it moved since the one before (None at the first).

    `back` are those of `entered` who had been in before.
    """

    as_of: datetime
    members: int
    entered: int | None
    left: int | None
    back: int | None


@dataclass(frozen=True)
class Backtest:
    """What one definition would have done.

    `flapping` contacts, of all `contacts` that were ever in, had more than one stay. `median_days`
    is the length of the `ended` stays, which began and ended within the span, to the step; None
    where there is none. `notes` say what was not as it was then.
    """

    definition: str
    points: tuple[Point, ...]
    contacts: int
    flapping: int
    stays: int
    ended: int
    median_days: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Defined:
    """A definition under its name, with the project that says it.

    `changed` are the nodes of that project which are not what they are today.
    """

    name: str
    graph: Graph
    compilation: Compilation
    changed: frozenset[str] = frozenset()

    def with_file(self, segment: str, file: Path) -> "Defined":
        """The same project with the segment as another file defines it; raises ProjectError."""
        graph = with_definition(self.graph, segment, file.read_text("utf-8"), file)
        node = graph.segments[segment].id
        return Defined(str(file), graph, recompiled(graph, self.compilation, node))

    def with_project(self, name: str, graph: Graph, compilation: Compilation) -> "Defined":
        """As another state of the project defines it."""
        changed = {
            node
            for node in graph.order
            if node not in self.graph.nodes
            or fingerprint(graph, compilation, node)
            != fingerprint(self.graph, self.compilation, node)
        }
        return Defined(name, graph, compilation, frozenset(changed))


def backtest(session: Session, segment: str, span: Span, defined: Defined) -> Backtest:
    """The segment as one project defines it.

    Raises:
        StepError: it cannot be evaluated at one of the moments.
    """
    replay = plan_replay(defined.graph, defined.compilation, [segment], defined.changed)
    for step, moment in enumerate(span.moments):
        replay.evaluate(session, moment, [segment])
        rows = f"select {step} as step, contact_id from {members_table(segment)}"
        into = f"insert into {_SEEN}" if step else f"create or replace table {_SEEN} as"
        session.execute(f"{into} {rows}")
    last = len(span.moments) - 1
    contacts, flapping, stays, ended, steps = session.rows(
        f"{_MARKED}, stays as (select contact_id, min(step) as first, max(step) as last from"
        " (select *, count(*) filter (where is_new) over"
        " (partition by contact_id order by step rows unbounded preceding) as stay from marked)"
        " group by contact_id, stay),"
        " each as (select contact_id, count(*) as stays from stays group by contact_id)"
        " select (select count(*) from each), (select count(*) from each where stays > 1),"
        f" count(*), count(*) filter (where first > 0 and last < {last}),"
        " quantile_disc(last + 1 - first, 0.5)"
        f" filter (where first > 0 and last < {last}) from stays"
    )[0]
    notes = tuple(_notes(session, defined, replay))
    points = tuple(_points(session, span))
    days = None if steps is None else steps * span.days
    return Backtest(defined.name, points, contacts, flapping, stays, ended, days, notes)


# Each sighting of a contact, whether it begins a stay, and whether it ends one.
_MARKED = (
    "with beside as (select contact_id, step,"
    " lag(step) over (partition by contact_id order by step) as before,"
    f" lead(step) over (partition by contact_id order by step) as after from {_SEEN}),"
    " marked as (select *, coalesce(before < step - 1, true) as is_new,"
    " coalesce(after > step + 1, true) as is_last from beside)"
)


def _points(session: Session, span: Span) -> Iterator[Point]:
    counted = session.rows(
        f"{_MARKED} select step, count(*), count(*) filter (where is_new),"
        " count(*) filter (where is_new and before is not null), count(*) filter (where is_last)"
        " from marked group by step"
    )
    by_step = {step: counts for step, *counts in counted}
    leaving: int | None = None
    for step, moment in enumerate(span.moments):
        members, entered, back, last = by_step.get(step, (0, 0, 0, 0))
        if leaving is None:
            yield Point(moment, members, None, None, None)
        else:
            yield Point(moment, members, entered, leaving, back)
        leaving = last


def _notes(session: Session, defined: Defined, replay: Replay) -> Iterator[str]:
    """What is read as it is today: by name, of the columns that decide who is in the segments.

    A table that says it has one row per contact or account holds their last version; so does one
    without any date. In others, rows are taken to have been added as things happened.
    """
    graph, asked = defined.graph, set[str]()
    for node, model in replay.models.items():
        asked |= defined.compilation.models[node].outline.conditions if model.is_segment else set()
    read = {parent for node in replay.models for parent in graph.parents[node]}
    unique = {
        test.attached
        for test in graph.project.data_tests
        if test.test == "unique" and test.column in _OWNERS
    }
    undated = []
    for node in sorted(read - replay.models.keys()):
        columns = session.columns(f"select * from {graph.relations[node]}")
        plain = [c.lower() for c, kind in columns if not kind.startswith(("DATE", "TIMESTAMP"))]
        is_undated = len(plain) == len(columns)
        name = graph.nodes[node].name
        if node in defined.changed:
            yield f"what is read of {name} is as of today, not as of {defined.name}"
        if is_undated or node in unique or node == graph.find(CONTACTS):
            named = [c for c in plain if c in asked and c not in _OWNERS]
            yield from (f"`{c}` has no history: today's value was used ({name})" for c in named)
            undated += [name] if is_undated and not named else []
    if undated:
        yield f"without dates, and read as of today: {', '.join(undated)}"
