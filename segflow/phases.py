"""What the state before a plan holds, and what its definitions would give now, put aside."""

import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from segflow.baseline import Base, files_of
from segflow.build.plan import Plan, plan_build
from segflow.build.runner import run_plan
from segflow.build.steps import Execution
from segflow.build.workspace import private_copy
from segflow.engines.base import Engine
from segflow.journal import Result
from segflow.pipeline import Compiled, build_copy, moment_of
from segflow.questions import preview
from segflow.report import Options

# Members before, on the data of now, at the moment of now; and which segments could not be asked,
# each with what failed.
Phases = tuple[Path, Path | None, Path | None, dict[str, Result]]


def before(
    compiled: Compiled,
    base: Base | None,
    options: Options,
    engine: Engine,
    steps: Plan,
    folder: Path,
) -> Phases:
    """Put aside what the state before holds, and what its definitions would give now."""
    was, data, time = (folder / name for name in ("before", "data", "time"))
    names = [audience.name for audience in compiled.project.audiences]
    now = moment_of(compiled, options)
    renamed = {
        segment.config.renamed_from: name
        for name, segment in compiled.graph.segments.items()
        if segment.config.renamed_from
    }
    blind: dict[str, Result] = {}
    with private_copy(engine):
        if base and base.run is None:
            known = base.newest
            everything = dict.fromkeys(guarded(known), sys.maxsize)
            all_of_it = plan_build(known.graph, set(known.graph.nodes), is_whole=True)
            build_copy(
                known, replace(options, as_of=now, approved=everything), engine, all_of_it, _unseen
            )
        with engine.session() as session:
            preview.keep_members(session, preview.published_members(session), renamed, was)
            preview.keep_messages(session, folder / "messages")
            preview.keep_audiences(session, names, folder / "audiences")
        if base is None or base.run is None:
            return was, was, was, blind
        files = files_of(compiled, folder)
        same_clock = {moment for _, moment in base.segments().values()} <= {now}
        same_definitions = all(
            state.files == files and state.compiled.project.vars == compiled.project.vars
            for state in base.states
        )
        if same_clock and same_definitions:
            return was, None, None, blind
        blind |= _evaluate(base, engine, None, steps, renamed, data)
        if same_definitions:
            return was, data, None, blind
        if same_clock:
            return was, data, data, blind
        blind |= _evaluate(base, engine, now, steps, renamed, time)
    return was, data, time, blind


def _evaluate(
    base: Base,
    engine: Engine,
    now: datetime | None,
    steps: Plan,
    renamed: dict[str, str],
    path: Path,
) -> dict[str, Result]:
    """Put aside the members by the definitions of before; the segments it cannot say of.

    Args:
        now: the moment to evaluate all of them at, None for that of each one's last evaluation.
    """
    asked = {*steps.segments, *(old for old, new in renamed.items() if new in steps.segments)}
    groups: dict[tuple[int, datetime], list[str]] = {}
    for name, (state, moment) in base.segments().items():
        if steps.is_whole or name in asked:
            groups.setdefault((base.states.index(state), now or moment), []).append(name)
    blind: dict[str, Result] = {}
    for (place, moment), names in groups.items():
        bad = _evaluated(base.states[place].compiled, engine, moment, names)
        good = [name for name in names if name not in bad]
        with engine.session() as session:
            preview.keep_members(session, preview.evaluated_members(good), renamed, path)
        blind |= {renamed.get(name, name): failed for name, failed in bad.items()}
    if not groups:
        with engine.session() as session:
            preview.keep_members(session, preview.evaluated_members([]), renamed, path)
    return blind


def _evaluated(
    base: Compiled, engine: Engine, as_of: datetime, names: list[str]
) -> dict[str, Result]:
    """Evaluate segments and all they read as of then; of those that cannot be, what failed."""
    graph = base.graph
    segments = [graph.segments[name].id for name in names]
    chosen = {n for s in segments for n in (s, *graph.ancestors(s))}
    built = plan_build(
        graph, {n for n in chosen if graph.nodes[n].kind in ("model", "seed")}, False
    )
    execution = Execution(engine, graph, base.compilation, as_of)
    threads = base.project.target.properties.threads
    results = {r.node: r for r in run_plan(built, execution, threads, _unseen)}
    bad = [r for r in map(results.__getitem__, segments) if not r.is_good]
    return {r.name: results[r.because[0]] if r.because else r for r in bad}


def _unseen(_: object) -> None:
    """Nobody watches what is only compared with."""


def guarded(compiled: Compiled) -> list[str]:
    return [*compiled.graph.segments, *(a.name for a in compiled.project.audiences)]
