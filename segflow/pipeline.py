"""The whole flow as plain calls: files → project → graph → plan → run → audiences → files.

Every command is one function. What is wrong before anything was started is raised as ProjectError
or WorkspaceError; what goes wrong in one step of a run is told in its Report.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from segflow import artifacts, journal
from segflow.audiences import deliveries, exposures, guards, history
from segflow.audiences.backfill import backfill as write_anew
from segflow.audiences.clauses import write_clauses
from segflow.audiences.membership import Evaluation
from segflow.audiences.update import update_audiences
from segflow.build.leftovers import leftovers
from segflow.build.plan import Plan, plan_build
from segflow.build.runner import Watch, run_plan, test_published
from segflow.build.steps import Execution
from segflow.build.workspace import locked, open_engine, private_copy, published
from segflow.compile import findings
from segflow.compile.compiler import Compilation, compile_graph, fingerprint
from segflow.compile.connecting import build_graph
from segflow.compile.definitions import Definitions
from segflow.compile.graph import Graph
from segflow.compile.relations import at
from segflow.compile.selection import select, select_with_tests, with_tests
from segflow.destinations.file import File
from segflow.engines.base import Engine, Session
from segflow.errors import ProjectError, WorkspaceError, did_you_mean
from segflow.journal import Result, TestResult
from segflow.project import archive
from segflow.project.config import Environment, moment
from segflow.project.load import Project, load
from segflow.questions.emptiness import first_empty, why_nobody
from segflow.report import Options, Report


@dataclass(frozen=True)
class Compiled:
    """A project that has been read, connected, rendered and checked."""

    project: Project
    graph: Graph
    compilation: Compilation


def compile_project(options: Options, environment: Environment) -> Compiled:
    """Read and check a project; nothing is run.

    Raises:
        ProjectError: whatever is wrong with it, at its file and line.
    """
    return compile_loaded(load(options.project_dir, options.target, options.variables, environment))


def compile_loaded(project: Project) -> Compiled:
    """Connect, render and check a project that has been read; raises ProjectError."""
    graph = build_graph(project)
    compilation = compile_graph(graph)
    found = findings.find(graph, compilation)
    compilation.warnings += found.warnings
    compilation.notes += found.notes
    deliveries.check_destinations(project)
    return Compiled(project, graph, compilation)


def write_artifacts(compiled: Compiled, options: Options) -> None:
    """Compiled SQL and the manifest below `target/`."""
    artifacts.write_compiled(compiled.graph, compiled.compilation)
    artifacts.write_manifest(compiled.graph, compiled.compilation, options.now)
    archive.pack(compiled.project, compiled.project.target_path / archive.NAME)


def run(compiled: Compiled, options: Options, watch: Watch, then_deliver: bool = True) -> Report:
    """Seeds, models with their tests, membership and audiences; published, then delivered."""
    if options.backfill:
        return backfill(compiled, options)
    plan = plan_build(
        compiled.graph,
        select_with_tests(compiled.graph, options.selected, options.excluded),
        is_whole=not options.selected and not options.excluded,
    )
    engine = open_engine(compiled.project, options.threads)
    destinations = deliveries.open_destinations(compiled.project) if then_deliver else {}
    with locked(engine.location, options.command), private_copy(engine):
        report = build_copy(compiled, options, engine, plan, watch)
        engine.commit_run()
        if then_deliver:
            _deliver(compiled, engine, destinations, plan.audiences, report)
    return report


def backfill(compiled: Compiled, options: Options) -> Report:
    """Write the history of the chosen segments anew from a moment on; nothing else changes.

    Raises:
        WorkspaceError: no moment is given, or it is no past one.
    """
    if options.as_of is None:
        raise WorkspaceError("a backfill needs a moment to begin at", hint="add --as-of")
    graph, report = compiled.graph, _report(compiled, options)
    chosen = select(graph, options.selected, options.excluded)
    segments = [name for name, segment in graph.segments.items() if segment.id in chosen]
    engine = open_engine(compiled.project, options.threads)
    with locked(engine.location, options.command), private_copy(engine):
        with engine.session() as session:
            journal.prepare(session)
            last = journal.last_run(session)
            if last is None or last.as_of < report.as_of:
                so_far = f"ended as of {last.as_of}" if last else "has not begun"
                raise WorkspaceError(
                    f"there is nothing to fill in from {report.as_of} on: the history {so_far}",
                    hint="leave --backfill out",
                )
            history.rename(session, graph, segments)
            report.run = journal.next_run(session)
            moved = _evaluation(compiled, report)
            report.updated.movements = write_anew(
                session, graph, compiled.compilation, segments, moved
            )
            journal.record(
                session, _record(report, options), [], set(graph.nodes), journal.stale(session), []
            )
        engine.commit_run()
    return report


def as_last_time(options: Options, environment: Environment) -> Options:
    """The options of the last run, its `as_of` and vars included, for `retry`.

    Raises:
        WorkspaceError: there was no run.
    """
    project = load(options.project_dir, options.target, options.variables, environment)
    with published(open_engine(project)) as session:
        last = journal.last_run(session)
    if last is None:
        raise WorkspaceError("there is no run to retry", hint="segflow run")
    return replace(options, as_of=last.as_of, variables={**last.variables, **options.variables})


def retry(compiled: Compiled, options: Options, watch: Watch) -> Report:
    """Go on with what the last run left behind; `options` are those of `as_last_time`."""
    graph = compiled.graph
    engine = open_engine(compiled.project, options.threads)
    destinations = deliveries.open_destinations(compiled.project)
    with locked(engine.location, options.command):
        with published(engine) as session:
            left = leftovers(session, graph)
        if not left:
            return replace(_report(compiled, options), warnings=["nothing was left behind"])
        plan = plan_build(graph, with_tests(graph, left), False, "left behind, or edited since")
        with private_copy(engine):
            report = build_copy(compiled, options, engine, plan, watch)
            engine.commit_run()
            _deliver(compiled, engine, destinations, plan.audiences, report)
    return report


def deliver(compiled: Compiled, options: Options, watch: Watch) -> Report:
    """Deliver the audiences that are chosen as they were last published.

    Those that are `approved` are built first, from the members that stand.

    Raises:
        ProjectError: a segment is approved, which moves only in a run.
    """
    graph, project = compiled.graph, compiled.project
    engine = open_engine(project, options.threads)
    destinations = deliveries.open_destinations(project)
    chosen = select(graph, options.selected, options.excluded)
    for destination in chosen & {node.id for node in project.destinations}:
        chosen |= set(graph.parents[destination])
    names = tuple(a.name for a in project.audiences if a.id in chosen)
    report = _report(compiled, options)
    _check_approved(compiled, options)
    for name in options.approved.keys() - {audience.name for audience in project.audiences}:
        hint = f"segflow retry --approve {name}={options.approved[name]}"
        raise ProjectError(f"--approve names `{name}`: only audiences move here", hint=hint)
    with locked(engine.location, options.command):
        if options.approved:
            approved = {a.id for a in project.audiences if a.name in options.approved}
            plan = plan_build(graph, approved, False, "approved")
            with private_copy(engine):
                report = build_copy(compiled, options, engine, plan, watch)
                engine.commit_run()
        known = {result.node for result in report.results}
        with published(engine) as session:
            for node, status in journal.statuses(session).items():
                name = node.rpartition(".")[2]
                is_asked = name in names and node not in known
                if status.kind == "audience" and status.is_behind and is_asked:
                    held = Result(node, "audience", name, status.relation, "held", status.reason)
                    report.results.append(held)
        _deliver(compiled, engine, destinations, names, report)
    return report


def test(compiled: Compiled, options: Options, watch: Callable[[TestResult], None]) -> Report:
    """Data tests and unit tests of what is chosen, on what was last published."""
    engine = open_engine(compiled.project, options.threads)
    chosen = select_with_tests(compiled.graph, options.selected, options.excluded)
    report = _report(compiled, options)
    with published(engine) as session:
        as_of = last_moment(session, options, report.as_of)
        execution = Execution(engine, compiled.graph, compiled.compilation, as_of)
        report.tests = test_published(session, execution, chosen, watch)
    return report


def build_copy(
    compiled: Compiled, options: Options, engine: Engine, plan: Plan, watch: Watch
) -> Report:
    """Everything up to the moment before publishing, on a private copy that is open."""
    graph, project, approved = compiled.graph, compiled.project, options.approved
    report = _report(compiled, options)
    _check_file_name(compiled, engine)
    _check_approved(compiled, options)
    with engine.session() as session:
        journal.prepare(session)
        history.rename(session, graph, plan.segments)
        history.check_clock(session, plan.segments, report.as_of)
        if plan.messages:
            exposures.check_clock(session, report.as_of)
        _check_outside(session, graph, plan, report.as_of)
        stale = {n: s for n, s in journal.stale(session).items() if n in graph.nodes}
        had = guards.filled(graph, plan, journal.last_rows(session))
        report.run = journal.next_run(session)
    execution = Execution(
        engine,
        graph,
        compiled.compilation,
        report.as_of,
        options.full_refresh,
        options.store_failures,
        report.warnings.append,
        stale,
        {n: rows for n, rows in had.items() if rows > approved.get(graph.nodes[n].name, 0)},
    )
    threads = options.threads or project.target.properties.threads
    write_artifacts(compiled, options)
    watch(plan)
    report.results = run_plan(plan, execution, threads, watch)
    taken_apart, moved = Definitions(graph, compiled.compilation), _evaluation(compiled, report)
    with engine.session() as session:
        report.updated = updated = update_audiences(session, graph, plan, moved, stale, approved)
        report.results = [_stopped(result, report) for result in report.results]
        report.results += updated.results
        names = sorted({m.segment for m in updated.movements} & graph.segments.keys())
        found = {name: taken_apart.of(name) for name in names}
        write_clauses(session, found, report.as_of, options.refresh)
        watched = updated.watched
        watched.note_sources(graph, report.results, had)
        report.warnings += watched.outside
        approvals = [(t.name, t.guard, t.moved, t.approved) for t in watched.trips if not t.holds]
        record = _record(report, options)
        journal.record(session, record, report.results, set(graph.nodes), stale, approvals)
        path = project.target_path / archive.NAME
        journal.keep_project(session, report.run, path, dict(options.variables))
        after = journal.statuses(session)
        empty = {r.node for r in report.results if r.is_good and r.rows == 0}
        report.empty = first_empty(graph, empty)
        report.nobody = why_nobody(session, graph, taken_apart, empty, report.as_of)
    report.kept_since = {node: s.as_of for node, s in after.items() if s.state == "kept"}
    return report


def _deliver(
    compiled: Compiled,
    engine: Engine,
    destinations: dict[str, File],
    names: tuple[str, ...],
    report: Report,
) -> None:
    """Deliver from what is published; an audience that was not built keeps what its tool has."""
    chosen = [a for a in compiled.project.audiences if a.name in names]
    held = {r.name: r.message for r in report.results if r.kind == "audience" and not r.is_good}
    report.deliveries = deliveries.deliver(
        engine, chosen, held, destinations, compiled.project.root
    )


def _check_file_name(compiled: Compiled, engine: Engine) -> None:
    """DuckDB calls a database by its file's name, which must not be that of a schema in it."""
    models = [parsed.relation.schema for parsed in compiled.graph.models.values()]
    seeds = [compiled.graph.relations[seed.id].schema for seed in compiled.project.seeds]
    schemas = {"segments", *models, *seeds}
    name = engine.location.stem
    if name.lower() in {schema.lower() for schema in schemas}:
        raise ProjectError(
            f"readers of {engine.location.name} cannot tell the database from its schema `{name}`",
            compiled.project.location(f"$.targets.{compiled.project.target.name}.path"),
            "name the file otherwise",
        )


def _check_outside(session: Session, graph: Graph, plan: Plan, as_of: datetime) -> None:
    """What a run reads and does not build must not be of a later moment than the run."""
    outside = dict.fromkeys(node for step in plan.steps for node in step.outside)
    states = journal.statuses(session)
    for node in outside:
        built = states[node].as_of if node in states else None
        if built and built > as_of:
            raise WorkspaceError(
                f"`{graph.nodes[node].name}` was built as of {built}, and {as_of} is before that",
                hint="choose what is read, too, as in +name, or name a later moment with --as-of",
            )


def _check_approved(compiled: Compiled, options: Options) -> None:
    known = guards.approvable(compiled.graph)
    for name in options.approved:
        if name not in known:
            hint = (
                did_you_mean(name, known)
                or "name a segment, an audience, a seed or what reads a source"
            )
            raise ProjectError(f"--approve names `{name}`, which there is not", hint=hint)


def _evaluation(compiled: Compiled, report: Report) -> Evaluation:
    """What is noted of the segments that a run evaluates."""
    assert report.run is not None
    graph, compilation = compiled.graph, compiled.compilation
    fingerprints = {n: fingerprint(graph, compilation, s.id) for n, s in graph.segments.items()}
    sqls = compilation.models
    definitions = {n: at(sqls[s.id].sql, report.as_of) for n, s in graph.segments.items()}
    return Evaluation(report.run, report.as_of, report.git_commit, fingerprints, definitions)


def _stopped(result: Result, report: Report) -> Result:
    """A segment's result, held where its guards say so."""
    why = report.updated.stopped.get(result.node)
    held = replace(result, status="held", message=why or "", because=(result.node,))
    return held if why else result


def moment_of(compiled: Compiled, options: Options) -> datetime:
    """The moment of a run: the one typed, else the target's own, else the clock's."""
    pinned = compiled.project.target.properties.as_of
    return options.as_of or (moment(pinned) if pinned else options.now)


def _report(compiled: Compiled, options: Options) -> Report:
    """An empty report."""
    project = compiled.project
    return Report(
        options.command,
        project.name,
        project.target.name,
        moment_of(compiled, options),
        git_commit=_git_commit(project.root),
        warnings=list(compiled.compilation.warnings),
    )


def _record(report: Report, options: Options) -> journal.Run:
    assert report.run is not None
    return journal.Run(
        report.run,
        report.as_of,
        report.command,
        report.target,
        dict(options.variables),
        options.now,
        report.git_commit,
    )


def last_moment(session: Session, options: Options, otherwise: datetime) -> datetime:
    """The moment asked for, else that of the last run."""
    last = journal.last_run(session)
    return options.as_of or (last.as_of if last else otherwise)


def _git_commit(root: Path) -> str | None:
    """The commit that the project's folder is at, None outside git."""
    # Compiling does not ask for it.
    import subprocess

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
