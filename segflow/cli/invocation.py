"""How a command is typed and answered: its options, the clock, exit codes, text or JSON."""

import functools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segflow import __version__, baseline, pipeline
from segflow.cli.output import as_json, errors_of
from segflow.errors import ProjectError, SegflowError
from segflow.pipeline import Compiled
from segflow.project import documents
from segflow.project.config import Environment, moment
from segflow.report import Options, Report

if TYPE_CHECKING:
    from segflow.cli.render import Screen

_OPTIONS: dict[str, Callable[..., Any]] = {
    "project_dir": click.option("--project-dir", help="The folder with segflow.yml.", default="."),
    "target": click.option("--target", "-t", help="A target of segflow.yml."),
    "variables": click.option(
        "--vars", "variables", help="Vars as YAML, as in '{at_risk_days: 10}'."
    ),
    "selected": click.option(
        *("--select", "-s", "selected"),
        multiple=True,
        help="What to choose: names, tag:x, +up, down+.",
    ),
    "excluded": click.option("--exclude", "excluded", multiple=True, help="What to leave out."),
    "as_of": click.option("--as-of", help="The moment of the run, UTC."),
    "threads": click.option("--threads", type=click.IntRange(1), help="Nodes built at a time."),
    "full_refresh": click.option(
        "--full-refresh", is_flag=True, help="Rebuild incremental models."
    ),
    "store_failures": click.option(
        "--store-failures", is_flag=True, help="Keep the rows that fail tests."
    ),
    "approved": click.option(
        *("--approve", "approved"),
        multiple=True,
        help="name=ceiling: how much a guard is to let through.",
    ),
    "refresh": click.option(
        "--refresh", is_flag=True, help="Count anew what every clause of a segment does."
    ),
    "backfill": click.option(
        "--backfill", is_flag=True, help="Write the segments' history anew from --as-of on."
    ),
    "resource_type": click.option("--resource-type", help="model, segment, audience, …"),
    "name": click.argument("name"),
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


class Invocation:
    """One command as it was typed: its options, and how to answer."""

    def __init__(self, command: str, given: dict[str, Any], environment: Environment):
        self.command, self.given, self.environment = command, given, environment
        # What was compiled is kept once the command has done something: exit 2 leaves no trace.
        self.keep: Callable[[], None] = lambda: None
        self.output = given.get("output", "text")
        self._quiet = given.get("quiet", False) or self.output != "text"
        self.options = Options(
            command=command,
            now=datetime.now(UTC).replace(tzinfo=None, microsecond=0),
            **{name: read(given[name]) for name, read in _TYPED.items() if given.get(name)},
        )

    @functools.cached_property
    def screen(self) -> "Screen":
        # It takes longer to load than to compile a project in which nothing has changed.
        from segflow.cli.render import Screen

        return Screen(self._quiet)

    def compiled(self) -> Compiled:
        compiled = pipeline.compile_project(self.options, self.environment)
        self.keep = compiled.project.cache.save
        state = self.given.get("state")
        if state and "state:" in " ".join((*self.options.selected, *self.options.excluded)):
            compiled.graph.modified = baseline.modified(compiled, self.options, Path(state))
        return compiled

    def say(self, text: str) -> None:
        """A line about what is going on."""
        if not self._quiet:
            click.echo(text)

    def answer(
        self, lines: Iterable[str], results: dict[str, Any], report: Report | None = None
    ) -> int:
        """Print what was asked for, as lines or as JSON; the exit code."""
        scrub = self.environment.scrub
        if self.output == "json":
            click.echo(scrub(as_json(self.command, results, report)))
        for line in () if self.output == "json" else lines:
            click.echo(scrub(line))
        return 0 if report is None or report.ok else 1

    def complain(self, report: Report) -> None:
        """What failed, where nothing else is printed."""
        if self._quiet and self.output == "text":
            for line in errors_of(report):
                click.echo(self.environment.scrub(f"error: {line}"), err=True)


def _variables(text: str) -> dict[str, Any]:
    """`--vars '{days: 3}'`: a YAML mapping on one line."""
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


# What of the command line goes into `Options`, and how each is read.
_TYPED: dict[str, Callable[[Any], Any]] = {
    "project_dir": lambda text: Path(text).resolve(),
    "target": str,
    "variables": _variables,
    "selected": tuple,
    "excluded": tuple,
    "as_of": moment,
    "threads": int,
    "full_refresh": bool,
    "store_failures": bool,
    "approved": _approved,
    "refresh": bool,
    "backfill": bool,
}


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


def command(
    name: str, *options: str
) -> Callable[[Callable[[Invocation], int]], Callable[..., int]]:
    """A command whose function takes its Invocation and returns the exit code."""

    def decorate(function: Callable[[Invocation], int]) -> Callable[..., int]:
        @functools.wraps(function)
        def guarded(**given: Any) -> int:
            environment = Environment()
            try:
                invocation = Invocation(name, given, environment)
                code = function(invocation)
                invocation.keep()
                return code
            except SegflowError as error:
                text = environment.scrub(str(error))
                if given.get("output") == "json":
                    click.echo(as_json(name, {}, errors=[text]))
                else:
                    click.echo(f"error: {text}", err=True)
                return error.exit_code

        taking: Callable[..., int] = guarded
        for option in reversed(options):
            taking = _OPTIONS[option](taking)
        cli.command(name)(taking)
        return function

    return decorate
