"""What a user types. Here the clock is read, and every error becomes a line and an exit code."""

import functools
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from segflow import __version__, artifacts, asking, pipeline, planning
from segflow.build.plan import Plan, Step, kind_of
from segflow.build.runner import Result, Watch
from segflow.cli import answers, preview
from segflow.cli.output import Log, as_json, emptiness, errors_of, results_of, table
from segflow.cli.starter import copy_starter
from segflow.compile.selection import select, select_with_tests
from segflow.errors import ProjectError, SegflowError
from segflow.pipeline import Compiled
from segflow.project import documents
from segflow.project.config import Environment, moment
from segflow.project.load import load
from segflow.report import Options, Report

if TYPE_CHECKING:
    from segflow.cli.render import Screen

F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """One command as it was typed: its options, and how to answer."""

    def __init__(self, command: str, given: dict[str, Any]):
        self.environment = Environment()
        self.command = command
        self.output = given.pop("output", "text")
        self._quiet = given.pop("quiet", False) or self.output != "text"
        self.given = given
        self.options = Options(
            command=command,
            now=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
            project_dir=Path(given.get("project_dir") or ".").resolve(),
            target=given.get("target"),
            variables=_variables(given.get("vars")),
            selected=tuple(given.get("select") or ()),
            excluded=tuple(given.get("exclude") or ()),
            as_of=moment(given["as_of"]) if given.get("as_of") else None,
            threads=given.get("threads"),
            full_refresh=given.get("full_refresh", False),
            store_failures=given.get("store_failures", False),
            approved=_approved(given.get("approve") or ()),
            refresh=given.get("refresh", False),
            backfill=given.get("backfill", False),
        )

    @functools.cached_property
    def screen(self) -> "Screen":
        # It takes longer to load than to compile a project in which nothing has changed.
        from segflow.cli.render import Screen

        return Screen(self._quiet)

    def compiled(self) -> Compiled:
        compiled = pipeline.compile_project(self.options, self.environment)
        state = self.given.get("state")
        if state and "state:" in " ".join((*self.options.selected, *self.options.excluded)):
            compiled.graph.modified = planning.modified(compiled, self.options, Path(state))
        return compiled

    def say(self, text: str) -> None:
        """A line about what is going on."""
        if not self._quiet:
            click.echo(text)

    def data(self, text: str) -> None:
        """A line of what was asked for."""
        if self.output != "json":
            click.echo(text)

    def complain(self, report: Report) -> None:
        """What failed, where nothing else is printed."""
        if self._quiet and self.output == "text":
            for line in errors_of(report):
                click.echo(self.environment.scrub(f"error: {line}"), err=True)

    def answer(self, results: dict[str, Any], report: Report | None = None) -> None:
        """Print JSON where it was asked for."""
        if self.output == "json":
            click.echo(self.environment.scrub(as_json(self.command, results, report)))


def _variables(text: str | None) -> dict[str, Any]:
    """`--vars '{days: 3}'`: a YAML mapping on one line."""
    if not text:
        return {}
    return documents.parse(text, Path("--vars"))


def _approved(words: tuple[str, ...]) -> dict[str, int]:
    """`--approve name=ceiling`, as often as it takes."""
    found = {}
    for word in words:
        name, _, ceiling = word.partition("=")
        if not ceiling.isdecimal() or len(ceiling) > 15:
            raise ProjectError(
                f"--approve {word}: how many contacts?", hint="as in: --approve vip_sales_calls=212"
            )
        found[name] = int(ceiling)
    return found


def _options(*names: str) -> Callable[[F], F]:
    """The options that several commands share, by name."""
    known = {
        "project_dir": click.option(
            "--project-dir", help="The folder with segflow.yml.", default="."
        ),
        "target": click.option("--target", "-t", help="A target of segflow.yml."),
        "vars": click.option("--vars", help="Vars as YAML, as in '{at_risk_days: 10}'."),
        "select": click.option(
            "--select", "-s", multiple=True, help="What to choose: names, tag:x, +up, down+."
        ),
        "exclude": click.option("--exclude", multiple=True, help="What to leave out."),
        "as_of": click.option("--as-of", help="The moment of the run, UTC."),
        "threads": click.option("--threads", type=click.IntRange(1), help="Nodes built at a time."),
        "full_refresh": click.option(
            "--full-refresh", is_flag=True, help="Rebuild incremental models."
        ),
        "store_failures": click.option(
            "--store-failures", is_flag=True, help="Keep the rows that fail tests."
        ),
        "approve": click.option(
            "--approve", multiple=True, help="name=ceiling: how much a guard is to let through."
        ),
        "refresh": click.option(
            "--refresh", is_flag=True, help="Count anew what every clause of a segment does."
        ),
        "backfill": click.option(
            "--backfill", is_flag=True, help="Write the segments' history anew from --as-of on."
        ),
        "resource_type": click.option("--resource-type", help="model, segment, audience, …"),
        "names": click.argument("names", nargs=-1, metavar="[CONTACT] [SEGMENT]"),
        "persona": click.option("--persona", help="A persona, whose card is filled."),
        "message": click.option("--message", help="Why CONTACT gets this message, or does not."),
        "at": click.option("--at", help="With --message: as it stood at this moment, UTC."),
        "run": click.option("--run", type=click.IntRange(1), help="With --message: after a run."),
        "inline": click.option("--inline", help="A query, with Jinja."),
        "limit": click.option("--limit", type=click.IntRange(1), default=5, show_default=True),
        "segment": click.argument("segment"),
        "begin": click.option("--from", "begin", required=True, help="The first moment, UTC."),
        "end": click.option("--to", "end", help="The last moment, UTC."),
        "every": click.option(
            "--every", type=click.Choice(["1d", "1w"]), default="1d", show_default=True
        ),
        "against": click.option("--against", help="What to compare with."),
        "output": click.option("--output", type=click.Choice(["text", "json"]), default="text"),
        "document": click.option(
            "--output", type=click.Choice(["text", "json", "markdown"]), default="text"
        ),
        "state": click.option("--state", help="A target folder of an earlier state."),
        "examples": click.option("--examples", is_flag=True, help="Show examples in Markdown."),
        "quiet": click.option("--quiet", "-q", is_flag=True, help="Print errors only."),
    }

    def decorate(function: F) -> F:
        for name in reversed(names):
            function = known[name](function)
        return function

    return decorate


_EVERY = ("project_dir", "target", "vars", "output", "quiet")
_CHOICE = ("select", "exclude", "state")
_BUILD = ("threads", "full_refresh", "store_failures", "approve", "refresh")
_RUN = (*_EVERY, *_CHOICE, "as_of", *_BUILD)


def _command(name: str, *options: str) -> Callable[[Callable[..., int]], click.Command]:
    """A command whose function takes its Invocation and returns the exit code."""

    def decorate(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def guarded(**given: Any) -> int:
            output = given.get("output", "text")
            environment = Environment()
            try:
                invocation = Invocation(name, given)
                environment = invocation.environment
                return function(invocation)
            except SegflowError as error:
                return _fail(name, error, output, environment)

        return cli.command(name)(_options(*options)(guarded))

    return decorate


def _fail(command: str, error: SegflowError, output: str, environment: Environment) -> int:
    text = environment.scrub(str(error))
    if output == "json":
        click.echo(as_json(command, {}, None, [text]))
    else:
        click.echo(f"error: {text}", err=True)
    return error.exit_code


class _Group(click.Group):
    """Exit codes of its own: a wrong command line is 2, like every other error before a start."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except click.exceptions.Exit as error:
            return error.exit_code
        except click.ClickException as error:
            error.show()
            return 2
        except click.Abort:
            return 130


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="segflow %(version)s")
def cli() -> None:
    """Customer segmentation as code: SQL models in, segments and audiences out."""


def _run(invocation: Invocation, then_deliver: bool) -> int:
    compiled = invocation.compiled()
    with _watched(invocation, compiled) as watch:
        report = pipeline.run(compiled, invocation.options, watch, then_deliver)
    return _finish(invocation, compiled, report)


@contextmanager
def _watched(invocation: Invocation, compiled: Compiled) -> Iterator[Watch]:
    """Progress on the screen and in the log."""
    log = Log(compiled.project.target_path / "segflow.log", invocation.command)
    with invocation.screen.progress() as watch, log:
        yield log.also(watch)


def _finish(invocation: Invocation, compiled: Compiled, report: Report) -> int:
    results, screen = results_of(report), invocation.screen
    lines = [invocation.environment.scrub(line) for line in screen.summary(report)]
    text = as_json(invocation.command, results, report)
    artifacts.write_report(compiled.project, text, screen.plain(lines))
    screen.show(lines)
    invocation.complain(report)
    invocation.answer(results, report)
    return 0 if report.ok else 1


@_command("run", *_RUN, "backfill")
def run(invocation: Invocation) -> int:
    """Build everything, then deliver the audiences."""
    return _run(invocation, True)


@_command("build", *_RUN, "backfill")
def build(invocation: Invocation) -> int:
    """Build seeds, models with their tests, memberships and audiences."""
    return _run(invocation, False)


@_command("seed", *_RUN)
def seed(invocation: Invocation) -> int:
    """Load the CSV seeds."""
    options = invocation.options
    seeds = ("resource_type:seed",)
    chosen = tuple(
        f"{part},resource_type:seed" for text in options.selected for part in text.split()
    )
    invocation.options = replace(options, selected=chosen or seeds)
    return _run(invocation, False)


@_command("deliver", *_EVERY, *_CHOICE)
def deliver(invocation: Invocation) -> int:
    """Deliver the audiences as they were last published."""
    compiled = invocation.compiled()
    return _finish(invocation, compiled, pipeline.deliver(compiled, invocation.options))


@_command("retry", *_EVERY, *_BUILD)
def retry(invocation: Invocation) -> int:
    """Go on with what the last run left behind, at the same moment."""
    invocation.options = pipeline.as_last_time(invocation.options, invocation.environment)
    compiled = invocation.compiled()
    with _watched(invocation, compiled) as watch:
        report = pipeline.retry(compiled, invocation.options, watch)
    return _finish(invocation, compiled, report)


@_command(
    "plan",
    *(option for option in _EVERY if option != "output"),
    *_CHOICE,
    "as_of",
    "threads",
    "full_refresh",
    "approve",
    "against",
    "document",
    "examples",
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
    if output == "json":
        invocation.answer(preview.results(made), made.report)
    elif output == "markdown":
        click.echo(invocation.environment.scrub("\n".join(preview.markdown(made))))
    else:
        for line in preview.text(made):
            invocation.data(invocation.environment.scrub(line))
    return 0 if made.ok else 1


@_command("test", *_EVERY, *_CHOICE, "as_of")
def test(invocation: Invocation) -> int:
    """Run data tests and unit tests on what was last published."""
    compiled = invocation.compiled()
    report = pipeline.test(compiled, invocation.options, invocation.screen.test)
    counts = [f"{sum(t.status == s for t in report.tests)} {s}" for s in ("pass", "warn", "error")]
    invocation.say(", ".join(counts))
    invocation.answer(results_of(report), report)
    return 0 if report.ok else 1


@_command("compile", *_EVERY, *_CHOICE)
def compile_(invocation: Invocation) -> int:
    """Check the project and write its SQL to target/compiled."""
    compiled = invocation.compiled()
    pipeline.write_artifacts(compiled, invocation.options)
    chosen = select(compiled.graph, invocation.options.selected, invocation.options.excluded)
    models = [
        node
        for node in compiled.graph.order
        if node in compiled.compilation.models and node in chosen
    ]
    if invocation.options.selected:
        for node in models:
            invocation.data(compiled.compilation.models[node].sql)
    for warning in compiled.compilation.warnings:
        invocation.say(f"warning  {warning}")
    for note in compiled.compilation.notes:
        invocation.say(f"note     {note}")
    where = compiled.project.target_path / "compiled"
    if not invocation.options.selected:
        invocation.say(f"{len(models)} models, {len(compiled.compilation.tests)} tests: {where}")
    sql = {node: compiled.compilation.models[node].sql for node in models}
    said = {"warnings": compiled.compilation.warnings, "notes": compiled.compilation.notes}
    invocation.answer({"models": sql, **said})
    return 0


@_command("ls", *_EVERY, *_CHOICE, "resource_type")
def ls(invocation: Invocation) -> int:
    """List nodes."""
    compiled = invocation.compiled()
    graph = compiled.graph
    wanted = invocation.given.get("resource_type")
    choose = select_with_tests if wanted else select
    chosen = choose(graph, invocation.options.selected, invocation.options.excluded)
    if wanted:
        chosen &= select(graph, [f"resource_type:{wanted}"])
    listed = []
    for node in (graph.nodes[node] for node in graph.order if node in chosen):
        if wanted or node.kind not in ("test", "unit_test"):
            kind = kind_of(graph, node.id)
            invocation.data(f"{kind}:{node.name}")
            listed.append(
                {
                    "unique_id": node.id,
                    "resource_type": kind,
                    "name": node.name,
                    "path": node.path,
                    "tags": node.tags,
                }
            )
    invocation.answer({"nodes": listed})
    return 0


@_command("show", *_EVERY, *_CHOICE, "as_of", "inline", "limit")
def show(invocation: Invocation) -> int:
    """Show the first rows of a node, or of a query."""
    compiled = invocation.compiled()
    given = invocation.given
    names, rows = asking.show(compiled, invocation.options, given["inline"], given["limit"])
    for line in table(names, rows):
        invocation.data(line)
    invocation.answer({"columns": names, "rows": [list(row) for row in rows]})
    return 0


@_command("explain", *_EVERY, "names", "persona", "message", "at", "run")
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
    for line in answers.lines(answer):
        invocation.data(line)
    invocation.answer(answers.results(answer))
    return 0


@_command("backtest", "segment", *_EVERY, "begin", "end", "every", "against")
def backtest(invocation: Invocation) -> int:
    """Tell who would have been in SEGMENT in the past."""
    given = invocation.given
    found = asking.backtest(invocation.compiled(), given["segment"], given, given["against"])
    for line in answers.backtest_lines(found):
        invocation.data(line)
    invocation.answer({"segment": given["segment"], "definitions": found})
    return 0


@_command("docs", *_EVERY)
def docs(invocation: Invocation) -> int:
    """Write a page for every segment, persona, message and audience to target/docs."""
    compiled = invocation.compiled()
    folder = compiled.project.target_path / "docs"
    count = asking.write_pages(compiled, folder)
    invocation.say(f"{count} pages: {folder / 'index.html'}")
    invocation.answer({"pages": count, "path": str(folder / "index.html")})
    return 0


@_command("debug", *_EVERY)
def debug(invocation: Invocation) -> int:
    """Check that everything is in place, and what is empty."""
    # Nothing else asks for it, and it loads a library for mail.
    from importlib.metadata import version

    compiled = invocation.compiled()
    seen = asking.inspect(compiled)
    graph, found = compiled.graph, seen.statuses
    facts = {
        "segflow": __version__,
        "python": sys.version.split()[0],
        "duckdb": version("duckdb"),
        "project": f"{compiled.project.name} in {compiled.project.root}",
        "target": f"{compiled.project.target.name}, {seen.database}",
        "nodes": f"{len(graph.models)} models, {len(graph.segments)} segments,"
        f" {len(compiled.project.audiences)} audiences",
        "published": f"{len(found)} relations" if found else "nothing yet: segflow run",
    }
    for name, value in facts.items():
        invocation.say(f"{name:<12}{value}")
    for status in found.values():
        if status.is_behind:
            since = f"kept since {status.as_of}" if status.as_of else "never built"
            invocation.say(f"{status.relation}  {since}: {status.reason}")
    for line in emptiness(seen.empty, seen.nobody):
        invocation.say(line)
    invocation.answer({**facts, "empty": seen.empty, "nobody": seen.nobody})
    return 0


@_command("clean", "project_dir", "target", "output", "quiet")
def clean(invocation: Invocation) -> int:
    """Remove target/: compiled SQL, artifacts and the log. The database stays."""
    project = load(invocation.options.project_dir, invocation.options.target)
    shutil.rmtree(project.target_path, ignore_errors=True)
    invocation.say(f"removed {project.target_path}")
    invocation.answer({"removed": str(project.target_path)})
    return 0


@cli.command("init")
@click.argument("name")
def init(name: str) -> int:
    """Copy the starter into a new folder NAME, ready to run."""
    try:
        copy_starter(Path(name))
    except SegflowError as error:
        return _fail("init", error, "text", Environment())
    click.echo(f"{name} is ready:\n  cd {name}\n  segflow run")
    return 0
