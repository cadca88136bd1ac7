"""The commands: each is one call of the flow, and what is said of its outcome."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from segflow import __version__, artifacts, asking, pipeline, planning
from segflow.build.plan import Plan, Step
from segflow.build.runner import Watch
from segflow.cli import answers, matrices, preview
from segflow.cli.invocation import Invocation, cli, command
from segflow.cli.output import as_json, emptiness, logged, results_of, table
from segflow.cli.starter import copy_starter
from segflow.compile.selection import select, select_with_tests
from segflow.errors import ProjectError
from segflow.journal import Result
from segflow.pipeline import Compiled
from segflow.project.load import load
from segflow.report import Options, Report

__all__ = ["cli"]

_EVERY = ("project_dir", "target", "variables", "output", "quiet")
_CHOICE = ("selected", "excluded", "state")
_BUILD = ("threads", "full_refresh", "store_failures", "approved", "refresh")
_RUN = (*_EVERY, *_CHOICE, "as_of", *_BUILD)


def _build(invocation: Invocation, flow: Callable[[Compiled, Options, Watch], Report]) -> int:
    """Build something, with progress on the screen and in the log."""
    compiled = invocation.compiled()
    path = compiled.project.target_path / "segflow.log"
    with invocation.screen.progress() as watch:
        report = flow(compiled, invocation.options, logged(path, invocation.command, watch))
    return _finish(invocation, compiled, report)


def _finish(invocation: Invocation, compiled: Compiled, report: Report) -> int:
    results = results_of(report)
    summary = invocation.screen.summary(report, invocation.environment.scrub)
    text = as_json(invocation.command, results, report)
    artifacts.write_report(compiled.project, text, summary)
    invocation.complain(report)
    return invocation.answer((), results, report)


@command("run", *_RUN, "backfill")
def run(invocation: Invocation) -> int:
    """Build everything, then deliver the audiences."""
    return _build(invocation, pipeline.run)


@command("build", *_RUN, "backfill")
def build(invocation: Invocation) -> int:
    """Build seeds, models with their tests, memberships and audiences."""
    return _build(invocation, partial(pipeline.run, then_deliver=False))


@command("seed", *_RUN)
def seed(invocation: Invocation) -> int:
    """Load the CSV seeds."""
    words = " ".join(invocation.options.selected).split()
    chosen = tuple(f"{word},resource_type:seed" for word in words) or ("resource_type:seed",)
    invocation.options = replace(invocation.options, selected=chosen)
    return build(invocation)


@command("deliver", *_EVERY, *_CHOICE, "approved")
def deliver(invocation: Invocation) -> int:
    """Deliver the audiences as they were last published."""
    if invocation.options.approved:
        invocation.options = pipeline.as_last_time(invocation.options, invocation.environment)
    return _build(invocation, pipeline.deliver)


@command("retry", *_EVERY, *_BUILD)
def retry(invocation: Invocation) -> int:
    """Go on with what the last run left behind, at the same moment."""
    invocation.options = pipeline.as_last_time(invocation.options, invocation.environment)
    return _build(invocation, pipeline.retry)


@command(
    "plan",
    *("project_dir", "target", "variables", "quiet", *_CHOICE, "as_of"),
    *("threads", "full_refresh", "approved", "against", "document", "examples"),
)
def plan(invocation: Invocation) -> int:
    """Announce what a run would change, and why; nothing is published or delivered."""
    given, output = invocation.given, invocation.output
    compiled = invocation.compiled()
    state, against = (Path(given[n]) if given[n] else None for n in ("state", "against"))
    shows = given["examples"] or (output == "text" and sys.stdout.isatty())
    with invocation.screen.progress() as watch:

        def watch_bad(event: Plan | Step | Result) -> None:
            if not isinstance(event, Result) or not event.is_good:
                watch(event)

        made = planning.plan(compiled, invocation.options, watch_bad, state, against, shows)
    lines = preview.markdown(made) if output == "markdown" else preview.text(made)
    invocation.answer(lines, preview.results(made), made.report)
    return 0 if made.ok else 1


@command("test", *_EVERY, *_CHOICE, "as_of")
def test(invocation: Invocation) -> int:
    """Run data tests and unit tests on what was last published."""
    report = pipeline.test(invocation.compiled(), invocation.options, invocation.screen.test)
    counts = [f"{sum(t.status == s for t in report.tests)} {s}" for s in ("pass", "warn", "error")]
    invocation.say(", ".join(counts))
    return invocation.answer((), results_of(report), report)


@command("compile", *_EVERY, *_CHOICE)
def compile_(invocation: Invocation) -> int:
    """Check the project and write its SQL to target/compiled."""
    compiled, options = invocation.compiled(), invocation.options
    compilation = compiled.compilation
    pipeline.write_artifacts(compiled, options)
    chosen = select(compiled.graph, options.selected, options.excluded)
    models = {node: found.sql for node, found in compilation.models.items() if node in chosen}
    said = {"warnings": compilation.warnings, "notes": compilation.notes}
    code = invocation.answer(
        models.values() if options.selected else (), {"models": models, **said}
    )
    for warning in compilation.warnings:
        invocation.say(f"warning  {warning}")
    for note in compilation.notes:
        invocation.say(f"note     {note}")
    if not options.selected:
        where = compiled.project.target_path / "compiled"
        invocation.say(f"{len(models)} models, {len(compilation.tests)} tests: {where}")
    return code


@command("ls", *_EVERY, *_CHOICE, "resource_type")
def ls(invocation: Invocation) -> int:
    """List nodes."""
    graph, options = invocation.compiled().graph, invocation.options
    wanted = invocation.given["resource_type"]
    choose = select_with_tests if wanted else select
    chosen = choose(graph, options.selected, options.excluded)
    if wanted:
        chosen &= select(graph, [f"resource_type:{wanted}"])
    listed = [
        {
            "unique_id": node.id,
            "resource_type": graph.kind(node.id),
            "name": node.name,
            "path": node.path,
            "tags": node.tags,
        }
        for node in (graph.nodes[node] for node in graph.order if node in chosen)
        if wanted or node.kind not in ("test", "unit_test")
    ]
    lines = (f"{entry['resource_type']}:{entry['name']}" for entry in listed)
    return invocation.answer(lines, {"nodes": listed})


@command("show", *_EVERY, *_CHOICE, "as_of", "inline", "limit")
def show(invocation: Invocation) -> int:
    """Show the first rows of a node, or of a query."""
    inline, limit = invocation.given["inline"], invocation.given["limit"]
    names, rows = asking.show(invocation.compiled(), invocation.options, inline, limit)
    return invocation.answer(table(names, rows), {"columns": names, "rows": rows})


@command("explain", *_EVERY, "names", "persona", "message", "at", "run")
def explain(invocation: Invocation) -> int:
    """Show why a contact is in a segment, or gets a message, or not; or who is in a segment."""
    given = invocation.given
    names, persona = given["names"], given["persona"]
    if given["message"]:
        if len(names) != 1 or persona:
            hint = "segflow explain CONTACT --message MESSAGE"
            raise ProjectError("name one contact, and one message", hint=hint)
        compiled = invocation.compiled()
        story = asking.explain_message(
            compiled, names[0], given["message"], given["at"], given["run"]
        )
        return _answered(invocation, story)
    if given["at"] or given["run"]:
        raise ProjectError("--at and --run go with --message")
    if len(names) not in ((0,) if persona else (1, 2)):
        hint = "segflow explain CONTACT SEGMENT"
        raise ProjectError("name a contact, a segment or both, or one persona", hint=hint)
    return _answered(invocation, asking.explain(invocation.compiled(), names, persona))


def _answered(invocation: Invocation, answer: answers.Answer) -> int:
    return invocation.answer(answers.lines(answer), answers.results(answer))


@command("backtest", "segment", *_EVERY, "begin", "end", "every", "against")
def backtest(invocation: Invocation) -> int:
    """Tell who would have been in SEGMENT in the past."""
    given, compiled = invocation.given, invocation.compiled()
    found = asking.backtest(compiled, invocation.options, given["segment"], given, given["against"])
    results = {"segment": given["segment"], "definitions": found}
    return invocation.answer(answers.backtest_lines(found), results)


@command("matrix", "project_dir", "target", "variables", "quiet", "by", "outcomes", "document")
def matrix(invocation: Invocation) -> int:
    """Show which goal has a message for whom, and what is not covered."""
    is_markdown = invocation.output == "markdown"
    if invocation.given["outcomes"]:
        outcomes, fence = asking.outcomes(invocation.compiled()), ["```"] * is_markdown
        lines = (*fence, *matrices.outcomes(outcomes), *fence)
        return invocation.answer(lines, {"outcomes": outcomes})
    made = asking.matrix(invocation.compiled(), invocation.given["by"])
    shown = matrices.markdown(made) if is_markdown else matrices.text(made)
    return invocation.answer(shown, vars(made))


@command("docs", *_EVERY)
def docs(invocation: Invocation) -> int:
    """Write a page for every segment, persona, message and audience to target/docs."""
    compiled = invocation.compiled()
    folder = compiled.project.target_path / "docs"
    count = asking.write_pages(compiled, folder)
    invocation.say(f"{count} pages: {folder / 'index.html'}")
    return invocation.answer((), {"pages": count, "path": str(folder / "index.html")})


@command("debug", *_EVERY)
def debug(invocation: Invocation) -> int:
    """Check that everything is in place, and what is empty."""
    # Nothing else asks for it, and it loads a library for mail.
    from importlib.metadata import version

    compiled = invocation.compiled()
    seen, graph, project = asking.inspect(compiled), compiled.graph, compiled.project
    facts = {
        "segflow": __version__,
        "python": sys.version.split()[0],
        "duckdb": version("duckdb"),
        "project": f"{project.name} in {project.root}",
        "target": f"{project.target.name}, {seen.database}",
        "nodes": f"{len(graph.models)} models, {len(graph.segments)} segments,"
        f" {len(project.audiences)} audiences",
        "published": f"{len(seen.statuses)} relations"
        if seen.statuses
        else "nothing yet: segflow run",
    }
    for name, value in facts.items():
        invocation.say(f"{name:<12}{value}")
    for status in seen.statuses.values():
        if status.is_behind:
            since = f"kept since {status.as_of}" if status.as_of else "never built"
            invocation.say(f"{status.relation}  {since}: {status.reason}")
    for line in emptiness(seen.empty, seen.nobody):
        invocation.say(line)
    return invocation.answer((), {**facts, "empty": seen.empty, "nobody": seen.nobody})


@command("clean", "project_dir", "target", "output", "quiet")
def clean(invocation: Invocation) -> int:
    """Remove target/: compiled SQL, artifacts and the log. The database stays."""
    project = load(invocation.options.project_dir, invocation.options.target)
    shutil.rmtree(project.target_path, ignore_errors=True)
    invocation.say(f"removed {project.target_path}")
    return invocation.answer((), {"removed": str(project.target_path)})


@command("init", "name")
def init(invocation: Invocation) -> int:
    """Copy the starter into a new folder NAME, ready to run."""
    name = invocation.given["name"]
    copy_starter(Path(name))
    invocation.say(f"{name} is ready:\n  cd {name}\n  segflow run")
    return 0
