"""A run on a copy that is thrown away, held against what there is: what would change, and why.

What it announces is what a run does, because it is one. To tell the causes apart, the definitions
of the last run, which the database keeps, are evaluated on the data of now: once at their own
moment, once at the moment of now. What differs after the first is data, after the second time, and
after the run itself the definition.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from segflow import phases
from segflow.audiences.guards import Change, Trip, Watched, said_at
from segflow.baseline import Base, last_built, of_folder
from segflow.build.plan import plan_build
from segflow.build.runner import Watch
from segflow.build.workspace import locked, open_engine, private_copy
from segflow.compile.changes import Changes
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.outlines import EVERYTHING
from segflow.compile.selection import select_with_tests
from segflow.engines.base import Engine, Session
from segflow.errors import Location, ProjectError, WorkspaceError
from segflow.journal import Result
from segflow.pipeline import Compiled, build_copy, moment_of
from segflow.project.documents import locate
from segflow.questions import preview
from segflow.questions.preview import (
    AudiencePreview,
    Crowd,
    MessagePreview,
    Moved,
    Reached,
    SegmentPreview,
)
from segflow.questions.privacy import private_columns
from segflow.questions.profile import traits
from segflow.report import Options, Report


@dataclass(frozen=True)
class Preview:
    """What a run would do. `changes` are those of the project since `base`.

    `crowds` are who enters and who leaves the segment that moves most; `places` say where each
    changed var has its value from. `trips` are the guards that would stop something, `guarded`
    where the project says each, `shared` what all of that stands on.
    """

    report: Report
    base: Base | None
    changes: Changes | None
    segments: list[SegmentPreview]
    messages: list[MessagePreview]
    audiences: list[AudiencePreview]
    reached: Reached
    crowds: list[Crowd]
    places: dict[str, str]
    trips: list[Trip] = field(default_factory=list)
    guarded: dict[str, str] = field(default_factory=dict)
    shared: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether a run would end well: nothing fails, is held back or trips a guard."""
        return self.report.ok and not self.trips


def plan(
    compiled: Compiled,
    options: Options,
    watch: Watch,
    state: Path | None = None,
    against: Path | None = None,
    with_examples: bool = False,
) -> Preview:
    """Announce what a run would do; nothing is published or delivered.

    Args:
        state: a folder with the artifacts of an earlier state of the project. Its definitions are
            evaluated on the same data at the same moment, so that only their change shows.
        against: another database than the target's: its memberships and definitions to start from,
            and its moment where it is later than the project's own and none is typed.
        with_examples: whether to show what stands for some of the contacts that would enter.

    Raises:
        ProjectError: what is compared with cannot be read, or does not compile any more.
        WorkspaceError: the database cannot be worked on.
    """
    graph = compiled.graph
    steps = plan_build(
        graph,
        select_with_tests(graph, options.selected, options.excluded),
        is_whole=not options.selected and not options.excluded,
    )
    shown: dict[str, tuple[str, ...]] = {}
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        engine = open_engine(_on(compiled, against, folder).project, options.threads)
        with locked(engine.location, options.command):
            if state:
                base: Base | None = of_folder(compiled, options, state, folder / "base")
            else:
                base = _last_built(compiled, engine, against, folder / "base")
                options = _not_before(compiled, options, base) if against else options
            put_aside = phases.before(compiled, base, options, engine, steps, folder)
            with private_copy(engine):
                everything = options.approved | dict.fromkeys(phases.guarded(compiled), sys.maxsize)
                approving = replace(options, approved=everything)
                report = build_copy(compiled, approving, engine, steps, watch)
                found = base.changes(compiled) if base else None
                with engine.session() as session:
                    segments = preview.compare_segments(session, *put_aside)
                    for s in segments if with_examples else ():
                        shown[s.segment] = _examples(session, compiled, s, put_aside[0])
                    crowds = _crowds(session, compiled, segments, put_aside[0])
                    messages = preview.compare_messages(session, folder / "messages")
                    reached = preview.count_reached(session, folder / "messages")
                    audiences = [
                        preview.compare_audience(session, audience, folder / "audiences")
                        for audience in compiled.project.audiences
                        if audience.name in steps.audiences
                    ]
    segments = [replace(s, examples=shown.get(s.segment, ())) for s in segments]
    places = _places(compiled, options, found) if found else {}
    blind = {s.segment: put_aside[3][s.segment] for s in segments if "unknown" in s.causes}
    report.warnings += _not_known(blind)
    made = Preview(report, base, found, segments, messages, audiences, reached, crowds, places)
    return _judged(made, compiled, options, blind)


def _examples(
    session: Session, compiled: Compiled, segment: SegmentPreview, before: Path
) -> tuple[str, ...]:
    """Of a segment that was evaluated, without what says who somebody is."""
    model = compiled.graph.segments.get(segment.segment)
    if model is None or not segment.entered:
        return ()
    private = private_columns(compiled.graph, compiled.compilation)[model.id]
    if EVERYTHING in private:
        return ()
    return preview.examples(session, segment.segment, before, private)


def _crowds(
    session: Session, compiled: Compiled, segments: list[SegmentPreview], before: Path
) -> list[Crowd]:
    """Who enters and who leaves the segment that moves most, where that is more than a few."""
    graph, keys = compiled.graph, {"contact_id", "account_id"}
    contacts = str(graph.find(CONTACTS))
    relation = graph.relations.get(contacts)
    most = preview.most_moved(segments)[:1]
    if not most or not relation or not session.relation_type(relation.schema, relation.identifier):
        return []
    # The id of a plan tells kinds of contacts apart, not contacts.
    private = private_columns(graph, compiled.compilation, keys.__contains__).get(contacts, keys)
    if EVERYTHING in private:
        return []
    crowds = []
    for way, count in (("enter", most[0].entered), ("leave", most[0].left)):
        movers = preview.movers(session, str(relation), most[0].segment, way, before)
        found = traits(session, graph, movers, private, preview.CROWD)
        if count >= preview.CROWD and (found.values or found.medians):
            crowds.append(Crowd(most[0].segment, way, count, found))
    return crowds


def _places(compiled: Compiled, options: Options, found: Changes) -> dict[str, str]:
    """Where each changed var has its value from; nothing of one that is gone."""
    places = {
        name: _near(compiled, locate(package.path, f"$.vars.{name}"))
        for package in reversed(compiled.project.packages)
        for name in found.vars.keys() & package.file.vars.keys()
    }
    return places | dict.fromkeys(found.vars.keys() & options.variables.keys(), "--vars")


def _last_built(
    compiled: Compiled, engine: Engine, against: Path | None, folder: Path
) -> Base | None:
    """What the database was made by; an error calls a copy of it by the name that was typed."""
    try:
        return last_built(compiled, engine, folder)
    except WorkspaceError as error:
        typed = str(against or engine.location)
        error.message = error.message.replace(str(engine.location), typed)
        raise


def _not_before(compiled: Compiled, options: Options, base: Base | None) -> Options:
    """The moment that was typed, else that of another database, unless it is over here."""
    if options.as_of or base is None or base.run is None:
        return options
    moments = (moment_of(compiled, options), base.run.as_of, *base.moments.values())
    return replace(options, as_of=max(moments))


def _on(compiled: Compiled, against: Path | None, folder: Path) -> Compiled:
    """The project on a copy of another database."""
    if against is None:
        return compiled
    if not against.is_file():
        raise ProjectError(f"--against {against}: there is no such file")
    shutil.copyfile(against, folder / against.name)
    target = compiled.project.target
    settings = {**target.settings, "path": str(folder / against.name)}
    project = replace(compiled.project, target=structs.replace(target, settings=settings))
    return replace(compiled, project=project)


def _near(compiled: Compiled, place: Location) -> str:
    """A place as seen from the project's root, the same on every machine."""
    return str(Location(Path(os.path.relpath(place.path, compiled.project.root)), place.line))


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────


def _judged(
    made: Preview, compiled: Compiled, options: Options, blind: dict[str, Result]
) -> Preview:
    """With what would hold each segment and audience back, and what its change comes from."""
    graph = compiled.graph
    held = {r.name: r.message for r in made.report.results if not r.is_good}
    roots = made.changes.roots if made.changes else {}
    trips, guards = _trips(made, compiled, options), dict[str, str]()
    for trip in trips:
        guards[trip.name] = "; ".join(filter(None, (guards.get(trip.name), trip.why)))
    ids = {name: segment.id for name, segment in graph.segments.items()}
    because = {
        s.segment: roots.get(ids.get(s.segment, ""), ())
        for s in made.segments
        if s.causes["definition"] != Moved()
    } | {name: (f"not known: {_as_it_was(failed)}",) for name, failed in blind.items()}
    segments = [
        replace(
            found,
            because=because.get(found.segment, ()),
            guard=guards.get(found.segment),
            held=held.get(found.segment),
        )
        for found in made.segments
    ]
    held |= _waits(graph, {ids[name]: name for name in guards if name in ids})
    audiences = [
        replace(found, guard=guards.get(found.audience), held=held.get(found.audience))
        for found in made.audiences
    ]
    guarded = {t.name: _near(compiled, at) for t in trips if (at := said_at(graph, t))}
    shared = made.report.updated.watched.shared if made.base and made.base.run else []
    return replace(
        made,
        segments=segments,
        audiences=audiences,
        trips=trips,
        guarded=guarded,
        shared=shared,
    )


def _waits(graph: Graph, stopped: dict[str, str]) -> dict[str, str]:
    """What audiences wait for, of the segments that guards stop.

    In part, where the rest is sent: user types, and messages of which others do not wait.
    """
    found = {}
    for audience in graph.project.audiences:
        parents = graph.parents[audience.id]
        messages = [graph.parents[n] for n in parents if graph.nodes[n].kind == "message"]
        behind = [[stopped[n] for n in read if n in stopped] for read in messages or [parents]]
        names = dict.fromkeys(name for waiting in behind for name in waiting)
        in_part = " (in part)" if audience.user_types or not all(behind) else ""
        if names:
            found[audience.name] = f"waits for {', '.join(names)}{in_part}"
    return found


def _not_known(blind: dict[str, Result]) -> Iterator[str]:
    """Which segments move for a reason that nobody knows, by what failed."""
    for node, failed in {failed.node: failed for failed in blind.values()}.items():
        names = ", ".join(name for name, root in blind.items() if root.node == node)
        yield f"{_as_it_was(failed)}, so it is not known why {names} would move: {failed.message}"


def _as_it_was(failed: Result) -> str:
    return f"`{failed.name}` cannot be built as it was"


def _trips(made: Preview, compiled: Compiled, options: Options) -> list[Trip]:
    """The guards that would stop something.

    The run knows them, unless what it is compared with is not what it started from.
    """
    watched = made.report.updated.watched
    if made.base and made.base.run is None:
        watched = Watched()
        segments = compiled.graph.segments
        for s in made.segments:
            if s.segment in segments:
                change = Change(s.segment, s.before, s.after, s.entered, s.left)
                watched.judge(segments[s.segment].config.guards, change)
        audiences = {a.name: a for a in compiled.project.audiences}
        for a in made.audiences:
            change = Change(a.audience, a.before, a.after, a.adds, a.removes)
            watched.judge(audiences[a.audience].guards, change)
    said = [replace(trip, approved=options.approved.get(trip.name)) for trip in watched.trips]
    return [trip for trip in said if trip.holds]
