"""The whole flow as a page of plain calls: files → project → graph → plan → run → audiences → files.

Every command is one function. What is wrong before anything was started is raised as a ProjectError
or a WorkspaceError; what goes wrong in one step of a run is told in its Report.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from segflow import artifacts, journal
from segflow.audiences import audiences, deliveries, membership, user_types
from segflow.audiences.audiences import Built
from segflow.audiences.deliveries import Delivery
from segflow.audiences.membership import Movement
from segflow.build.data_tests import TestResult
from segflow.build.plan import Plan, plan_build
from segflow.build.runner import Execution, Result, Watch, run_plan
from segflow.build.testing import run_tests
from segflow.build.workspace import locked
from segflow.compile.cache import Cache
from segflow.compile.compiler import Compilation, compile_graph
from segflow.compile.graph import CONTACTS, Graph, build_graph
from segflow.compile.selection import select
from segflow.destinations.file import File
from segflow.engines.base import Engine, Session
from segflow.errors import ProjectError, StepError, WorkspaceError, did_you_mean
from segflow.project.config import Environment
from segflow.project.load import Project, load
from segflow.questions.show import Table, show_node, show_query


@dataclass(frozen=True)
class Options:
    """What was typed. `now` is the clock, UTC; `as_of` wins over the target's own and over it."""

    command: str
    now: datetime
    project_dir: Path = Path()
    target: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    selected: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    as_of: datetime | None = None
    threads: int | None = None
    full_refresh: bool = False
    store_failures: bool = False


@dataclass(frozen=True)
class Compiled:
    """A project that has been read, connected, rendered and checked."""

    project: Project
    graph: Graph
    compilation: Compilation
    destinations: dict[str, File]


@dataclass
class Report:
    """What a command did, for whoever shows it. `nobody` names empty models and whom they leave out."""

    command: str
    project: str
    target: str
    as_of: datetime
    run: int | None = None
    git_commit: str | None = None
    results: list[Result] = field(default_factory=list)
    tests: list[TestResult] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    mailable: dict[str, int] = field(default_factory=dict)
    stages: dict[str, int] = field(default_factory=dict)
    audiences: list[Built] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    kept_since: dict[str, datetime | None] = field(default_factory=dict)
    nobody: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing was held back."""
        return (
            all(result.is_good for result in self.results)
            and all(delivery.state == "ok" for delivery in self.deliveries)
            and all(test.status != "error" for test in self.tests)
        )


def compile_project(options: Options, environment: Environment) -> Compiled:
    """Read and check a project; nothing is run.

    Raises:
        ProjectError: whatever is wrong with it, at its file and line.
    """
    project = load(options.project_dir, options.target, options.variables, environment)
    cache = Cache(project.target_path / "cache.msgpack")
    graph = build_graph(project, cache)
    compilation = compile_graph(graph)
    destinations = deliveries.open_destinations(project)
    cache.save()
    return Compiled(project, graph, compilation, destinations)


def write_artifacts(compiled: Compiled, options: Options) -> None:
    """Compiled SQL and the manifest below `target/`."""
    artifacts.write_compiled(compiled.graph, compiled.compilation)
    artifacts.write_manifest(compiled.graph, compiled.compilation, options.now)


def run(compiled: Compiled, options: Options, watch: Watch, then_deliver: bool = True) -> Report:
    """Seeds, models with their tests, membership and audiences; published, then delivered."""
    chosen = select(compiled.graph, options.selected, options.excluded)
    is_whole = not options.selected and not options.excluded
    plan = plan_build(compiled.graph, chosen, is_whole)
    engine = open_engine(compiled.project, options.threads)
    with locked(engine.location, options.command), _private_copy(engine):
        report = _build(compiled, options, engine, plan, watch)
        engine.commit_run()
        if then_deliver:
            _deliver(compiled, engine, plan.audiences, report)
    return report


def retry(compiled: Compiled, options: Options, watch: Watch) -> Report:
    """Go on with what the last run left behind, at the same `as_of`."""
    engine = open_engine(compiled.project, options.threads)
    with locked(engine.location, options.command):
        with published(engine) as session:
            last = journal.last_run(session)
            if last is None:
                raise WorkspaceError("there is no run to retry", hint="segflow run")
            left = journal.left_behind(session, last.run) & compiled.graph.nodes.keys()
        plan = plan_build(compiled.graph, left, False, f"left behind by run {last.run:04}")
        with _private_copy(engine):
            report = _build(compiled, replace(options, as_of=last.as_of), engine, plan, watch)
            engine.commit_run()
            _deliver(compiled, engine, plan.audiences, report)
    return report


def deliver(compiled: Compiled, options: Options) -> Report:
    """Deliver the audiences that are chosen as they were last published."""
    graph, project = compiled.graph, compiled.project
    engine = open_engine(project, options.threads)
    chosen = select(graph, options.selected, options.excluded)
    for destination in chosen & {node.id for node in project.destinations}:
        chosen |= set(graph.parents[destination])
    names = tuple(a.name for a in project.audiences if a.id in chosen)
    report = _report(compiled, options)
    with locked(engine.location, options.command):
        with published(engine) as session:
            for node, status in journal.statuses(session).items():
                name = node.rpartition(".")[2]
                if status.kind == "audience" and status.state == "kept" and name in names:
                    held = Result(node, "audience", name, status.relation, "held", status.reason)
                    report.results.append(held)
        _deliver(compiled, engine, names, report)
    return report


def test(compiled: Compiled, options: Options, watch: Callable[[TestResult], None]) -> Report:
    """Data tests and unit tests of what is chosen, on what was last published."""
    engine = open_engine(compiled.project, options.threads)
    chosen = select(compiled.graph, options.selected, options.excluded)
    report = _report(compiled, options)
    with published(engine) as session:
        as_of = _last_moment(session, options, report.as_of)
        execution = Execution(engine, compiled.graph, compiled.compilation, as_of)
        report.tests = run_tests(session, execution, chosen, watch)
    return report


def show(compiled: Compiled, options: Options, inline: str | None, limit: int) -> Table:
    """The first rows of what is chosen, or of a query, on what was last published."""
    graph = compiled.graph
    engine = open_engine(compiled.project, options.threads)
    with published(engine) as session:
        if inline is not None:
            as_of = _last_moment(session, options, _report(compiled, options).as_of)
            return show_query(session, graph, inline, as_of, limit)
        chosen = [n for n in graph.order if n in select(graph, options.selected)]
        if not options.selected or len(chosen) != 1:
            raise ProjectError("choose one node to show", hint="segflow show --select contacts")
        return show_node(session, graph, chosen[0], limit)


def statuses(compiled: Compiled, options: Options) -> dict[str, journal.Status]:
    """How fresh every relation of the published database is, by node; empty before the first run."""
    engine = open_engine(compiled.project, options.threads)
    if not engine.exists():
        return {}
    with published(engine) as session:
        return journal.statuses(session)


def open_engine(project: Project, threads: int | None = None) -> Engine:
    """The engine of the project's target, by its entry point."""
    target = project.target
    found = {entry.name: entry for entry in entry_points(group="segflow.engines")}
    kind = target.properties.type
    at = f"$.targets.{target.name}"
    if kind not in found:
        raise ProjectError(
            f"unknown engine `{kind}`",
            project.location(f"{at}.type"),
            did_you_mean(kind, found) or f"there is: {', '.join(sorted(found))}",
        )
    location = project.location(at)
    settings = project.environment.fill(target.settings, location, project.vars, secret=True)
    try:
        engine: Engine = found[kind].load()(
            settings, project.root, threads or target.properties.threads
        )
    except ProjectError as error:
        error.location = error.location or location
        raise
    return engine


@contextmanager
def published(engine: Engine) -> Iterator[Session]:
    """A session on what was last published.

    Raises:
        WorkspaceError: nothing was published yet.
    """
    if not engine.exists():
        raise WorkspaceError(f"there is no {engine.location} yet", hint="segflow run")
    try:
        with engine.session() as session:
            yield session
    finally:
        engine.discard_run()


@contextmanager
def _private_copy(engine: Engine) -> Iterator[None]:
    """Work on a private copy, which is thrown away unless it was published."""
    engine.open_run()
    try:
        yield
    finally:
        engine.discard_run()


def _build(
    compiled: Compiled, options: Options, engine: Engine, plan: Plan, watch: Watch
) -> Report:
    """Everything up to the moment before publishing."""
    graph = compiled.graph
    report = _report(compiled, options)
    with engine.session() as session:
        journal.prepare(session)
        membership.check_clock(session, plan.segments, report.as_of)
        before = journal.statuses(session)
        report.run = journal.next_run(session)
    record = journal.Run(
        report.run,
        report.as_of,
        options.command,
        report.target,
        dict(options.variables),
        options.now,
        report.git_commit,
    )
    execution = Execution(
        engine,
        graph,
        compiled.compilation,
        report.as_of,
        options.full_refresh,
        options.store_failures,
        report.warnings.append,
        frozenset(node for node, status in before.items() if status.state == "kept"),
    )
    threads = options.threads or compiled.project.target.properties.threads
    report.results = run_plan(plan, execution, threads, watch)
    with engine.session() as session:
        _update_audiences(session, compiled, plan, report, execution.kept)
        steps = [_step(result) for result in report.results]
        journal.record(session, record, steps, options.now, set(graph.nodes))
        after = journal.statuses(session)
    report.kept_since = {node: s.as_of for node, s in after.items() if s.state == "kept"}
    report.nobody = _nobody(graph, report)
    return report


def _update_audiences(
    session: Session, compiled: Compiled, plan: Plan, report: Report, kept: frozenset[str]
) -> None:
    """Membership, then what is made of it: user types, reach and the chosen audiences."""
    graph = compiled.graph
    contacts = graph.find(CONTACTS)
    if contacts is None or not session.relation_type(
        graph.relations[contacts].schema, graph.relations[contacts].identifier
    ):
        return
    key = dict(session.columns(f"select contact_id from {graph.relations[contacts]}"))
    membership.prepare(session, key["contact_id"])
    good = {result.node for result in report.results if result.is_good}
    evaluated = [name for name in plan.segments if graph.segments[name].id in good]
    removed = membership.gone(session, graph.segments) if plan.is_whole else []
    assert report.run is not None
    report.movements = membership.update(session, evaluated, removed, report.run, report.as_of)
    user_types.write_user_types(session, graph)
    reach = user_types.write_reach(session, graph)
    mailed = {name for a in compiled.project.audiences if a.channel == "email" for name in a.segments}
    report.mailable = {
        segment: count
        for (segment, channel), count in reach.items()
        if channel == "email" and segment in mailed
    }
    stages = session.rows(
        "select stage, count(*) from segments.user_types where stage is not null"
        " group by stage order by count(*) desc, stage"
    )
    report.stages = dict(stages)
    session.execute(f"create schema if not exists {audiences.SCHEMA}")
    bad = {result.node: result for result in report.results if not result.is_good}
    for audience in compiled.project.audiences:
        if audience.name in plan.audiences:
            report.results.append(_audience(session, graph, audience, bad, kept, report))


def _audience(
    session: Session,
    graph: Graph,
    audience: deliveries.Audience,
    bad: dict[str, Result],
    kept: frozenset[str],
    report: Report,
) -> Result:
    """Build one audience, or hold it back because of what it reads."""
    blank = Result(
        audience.id, "audience", audience.name, str(audiences.relation_of(audience)), "success"
    )
    built = {result.node for result in report.results}
    reads = audiences.parents(graph, audience)
    roots: dict[str, None] = {}
    for parent in reads:
        if parent in bad:
            roots.update(dict.fromkeys(bad[parent].because or (parent,)))
        elif parent in kept and parent not in built:
            roots[parent] = None
    if roots:
        names = ", ".join(graph.nodes[root].name for root in roots)
        return replace(blank, status="held", message=f"reads {names}", because=tuple(roots))
    try:
        made = audiences.build_audience(session, graph, audience)
    except StepError as error:
        return replace(blank, status="error", message=str(error))
    report.audiences.append(made)
    return replace(blank, rows=made.rows)


def _deliver(compiled: Compiled, engine: Engine, names: tuple[str, ...], report: Report) -> None:
    """Deliver from what is published; an audience that was not built keeps what its tool has."""
    chosen = [a for a in compiled.project.audiences if a.name in names]
    held = {
        result.name: result.message
        for result in report.results
        if result.kind == "audience" and not result.is_good
    }
    report.deliveries = deliveries.deliver(
        engine, chosen, held, compiled.destinations, compiled.project.root
    )


def _report(compiled: Compiled, options: Options) -> Report:
    project = compiled.project
    pinned = project.target.properties.as_of
    as_of = options.as_of or (moment(pinned) if pinned else options.now)
    return Report(
        options.command,
        project.name,
        project.target.name,
        as_of.replace(microsecond=0),
        git_commit=_git_commit(project.root),
        warnings=list(compiled.compilation.warnings),
    )


def moment(text: object) -> datetime:
    """A moment in UTC, as `2026-07-01` or `2026-07-01 02:00:00`; a zone given is converted.

    Raises:
        ProjectError: it is no moment.
    """
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        raise ProjectError(
            f"`{text}` is no moment", hint="write it as 2026-07-01 or '2026-07-01 02:00:00', in UTC"
        ) from None
    offset = found.utcoffset()
    return found.replace(tzinfo=None, microsecond=0) - offset if offset else found.replace(
        tzinfo=None, microsecond=0
    )


def _last_moment(session: Session, options: Options, otherwise: datetime) -> datetime:
    """The moment asked for, else that of the last run."""
    last = journal.last_run(session)
    return options.as_of or (last.as_of if last else otherwise)


def _nobody(graph: Graph, report: Report) -> dict[str, list[str]]:
    """Staging models without rows, each with the segments below it that have no members."""
    empty = {m.segment for m in report.movements if m.members == 0}
    found = {}
    for result in report.results:
        if result.is_good and result.rows == 0 and result.kind == "model":
            below = graph.descendants(result.node)
            names = [name for name in graph.segments if graph.segments[name].id in below]
            found[result.name] = [name for name in names if name in empty]
    return found


def _step(result: Result) -> journal.Step:
    return journal.Step(
        result.node,
        result.kind,
        result.relation,
        result.status,
        result.message,
        result.rows,
        result.seconds,
    )


def _git_commit(root: Path) -> str | None:
    """The commit that the project's folder is at, None outside git."""
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return found.stdout.strip() or None
