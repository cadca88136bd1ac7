"""A run on a copy that is thrown away, held against what there is: what would change, and why.

What it announces is what a run does, because it is one. To tell the causes apart, the definitions
of the last run, which the database keeps, are evaluated on the data of now: once at their own
moment, once at the moment of now. What differs after the first is data, after the second time, and
after the run itself the definition.
"""

import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from segflow.audiences.guards import Change, Trip, Watched, said_at
from segflow.baseline import Base, files_of, last_built, of_folder
from segflow.build.plan import Plan, plan_build
from segflow.build.runner import Watch, run_plan
from segflow.build.steps import Execution
from segflow.build.workspace import locked, open_engine, private_copy
from segflow.compile.changes import Changes
from segflow.compile.graph import CONTACTS
from segflow.compile.outlines import EVERYTHING
from segflow.compile.selection import select_with_tests
from segflow.engines.base import Engine, Session
from segflow.errors import Location, ProjectError, WorkspaceError
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
        against: another database than the target's: its memberships and definitions to start from.
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
            phases = _before(compiled, base, options, engine, steps, folder)
            with private_copy(engine):
                everything = options.approved | dict.fromkeys(_guarded(compiled), sys.maxsize)
                approving = replace(options, approved=everything)
                report = build_copy(compiled, approving, engine, steps, watch)
                found = base.changes(compiled) if base else None
                with engine.session() as session:
                    segments = preview.compare_segments(session, *phases)
                    for s in segments if with_examples else ():
                        shown[s.segment] = _examples(session, compiled, s, phases[0])
                    crowds = _crowds(session, compiled, segments, phases[0])
                    messages = preview.compare_messages(session, folder / "messages")
                    reached = preview.count_reached(session, folder / "messages")
                    audiences = [
                        preview.compare_audience(session, audience, folder / "audiences")
                        for audience in compiled.project.audiences
                        if audience.name in steps.audiences
                    ]
    segments = [replace(s, examples=shown.get(s.segment, ())) for s in segments]
    places = _places(compiled, options, found) if found else {}
    made = Preview(report, base, found, segments, messages, audiences, reached, crowds, places)
    return _judged(made, compiled, options)


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


def _guarded(compiled: Compiled) -> list[str]:
    return [*compiled.graph.segments, *(a.name for a in compiled.project.audiences)]


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


# Members before, on the data of now, at the moment of now; and which segments could not be asked.
Phases = tuple[Path, Path | None, Path | None, list[str]]


def _before(
    compiled: Compiled,
    base: Base | None,
    options: Options,
    engine: Engine,
    steps: Plan,
    folder: Path,
) -> Phases:
    """Put aside what the state before holds, and what its definitions would give now."""
    before, data, time = (folder / name for name in ("before", "data", "time"))
    names = [audience.name for audience in compiled.project.audiences]
    now = moment_of(compiled, options)
    renamed = {
        segment.config.renamed_from: name
        for name, segment in compiled.graph.segments.items()
        if segment.config.renamed_from
    }
    blind: list[str] = []
    with private_copy(engine):
        if base and base.run is None:
            known = base.newest
            everything = dict.fromkeys(_guarded(known), sys.maxsize)
            all_of_it = plan_build(known.graph, set(known.graph.nodes), is_whole=True)
            build_copy(
                known, replace(options, as_of=now, approved=everything), engine, all_of_it, _unseen
            )
        with engine.session() as session:
            preview.keep_members(session, preview.published_members(session), renamed, before)
            preview.keep_messages(session, folder / "messages")
            preview.keep_audiences(session, names, folder / "audiences")
        if base is None or base.run is None:
            return before, before, before, blind
        files = files_of(compiled, folder)
        same_clock = {moment for _, moment in base.segments().values()} <= {now}
        same_definitions = all(
            state.files == files and state.compiled.project.vars == compiled.project.vars
            for state in base.states
        )
        if same_clock and same_definitions:
            return before, None, None, blind
        blind += _evaluate(base, engine, None, steps, renamed, data)
        if same_definitions:
            return before, data, None, blind
        if same_clock:
            return before, data, data, blind
        blind += _evaluate(base, engine, now, steps, renamed, time)
    return before, data, time, blind


def _evaluate(
    base: Base,
    engine: Engine,
    now: datetime | None,
    steps: Plan,
    renamed: dict[str, str],
    path: Path,
) -> list[str]:
    """Put aside the members by the definitions of before; names the segments it cannot say of.

    Args:
        now: the moment to evaluate all of them at, None for that of each one's last evaluation.
    """
    asked = {*steps.segments, *(old for old, new in renamed.items() if new in steps.segments)}
    groups: dict[tuple[int, datetime], list[str]] = {}
    for name, (state, moment) in base.segments().items():
        if steps.is_whole or name in asked:
            groups.setdefault((base.states.index(state), now or moment), []).append(name)
    blind: list[str] = []
    for (place, moment), names in groups.items():
        good = _evaluated(base.states[place].compiled, engine, moment, names)
        with engine.session() as session:
            preview.keep_members(session, preview.evaluated_members(good), renamed, path)
        blind += [renamed.get(name, name) for name in names if name not in good]
    if not groups:
        with engine.session() as session:
            preview.keep_members(session, preview.evaluated_members([]), renamed, path)
    return blind


def _evaluated(base: Compiled, engine: Engine, as_of: datetime, names: list[str]) -> list[str]:
    """Those of the segments that could be evaluated; with all that they read, at that moment."""
    graph = base.graph
    segments = [graph.segments[name].id for name in names]
    chosen = {n for s in segments for n in (s, *graph.ancestors(s))}
    built = plan_build(
        graph, {n for n in chosen if graph.nodes[n].kind in ("model", "seed")}, False
    )
    execution = Execution(engine, graph, base.compilation, as_of)
    threads = base.project.target.properties.threads
    results = run_plan(built, execution, threads, _unseen)
    return [r.name for r in results if r.kind == "segment" and r.is_good and r.node in segments]


def _unseen(_: object) -> None:
    """Nobody watches what is only compared with."""


def _near(compiled: Compiled, place: Location) -> str:
    """A place as seen from the project's root, the same on every machine."""
    return str(Location(Path(os.path.relpath(place.path, compiled.project.root)), place.line))


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────


def _judged(made: Preview, compiled: Compiled, options: Options) -> Preview:
    """With what would hold each segment and audience back, and what its change comes from."""
    graph = compiled.graph
    held = {r.name: r.message for r in made.report.results if not r.is_good}
    roots = made.changes.roots if made.changes else {}
    trips, guards = _trips(made, compiled, options), dict[str, str]()
    for trip in trips:
        guards[trip.name] = "; ".join(filter(None, (guards.get(trip.name), trip.why)))
    ids = {name: segment.id for name, segment in graph.segments.items()}
    segments = [
        replace(
            found,
            because=roots.get(ids.get(found.segment, ""), ())
            if found.causes["definition"] != Moved()
            else (),
            guard=guards.get(found.segment),
            held=held.get(found.segment),
        )
        for found in made.segments
    ]
    reads = {a.name: graph.parents[a.id] for a in compiled.project.audiences if not a.user_types}
    stopped = {ids[name]: name for name in guards if name in ids}
    for name, parents in reads.items():
        waits = [stopped[parent] for parent in parents if parent in stopped]
        if waits:
            held[name] = f"waits for {', '.join(waits)}"
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
