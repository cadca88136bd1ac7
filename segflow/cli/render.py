"""Reports in, text out: the only place with colour. Never an address, never an id of a contact."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from segflow import __version__
from segflow.audiences.audiences import Built
from segflow.audiences.policies import COUNTED
from segflow.build.plan import Plan, Step
from segflow.build.runner import Watch
from segflow.cli.output import emptiness, some, way, ways_on
from segflow.journal import Result, TestResult
from segflow.report import Report

_MARKS = {
    "success": "[green]ok[/]  ",
    "pass": "[green]ok[/]  ",
    "warn": "[yellow]warn[/]",
    "error": "[red]FAIL[/]",
    "held": "[yellow]held[/]",
}
_SHOWN_SEGMENTS = 12
_SHOWN_HELD = 6
_SHOWN_WARNINGS = 5
_MINUS = "\N{MINUS SIGN}"
_NONE = "\N{EN DASH}"


class Screen:
    """Standard output in colour for people; `quiet` shows nothing."""

    def __init__(self, quiet: bool):
        self._console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self._quiet = quiet

    def summary(self, report: Report, scrub: Callable[[str], str]) -> str:
        """Show what a run did, in people; returns the same without colours."""
        lines = [scrub(line) for line in _summary(report)]
        self.show(lines)
        return "\n".join(Text.from_markup(line).plain.rstrip() for line in lines).strip()

    def show(self, lines: Iterable[str]) -> None:
        for line in () if self._quiet else lines:
            self._console.print(line)

    @contextmanager
    def progress(self) -> Iterator[Watch]:
        """A bar on a terminal, one line per node elsewhere."""
        if self._console.is_terminal and not self._quiet:
            with self._bar() as watch:
                yield watch
        else:
            yield self._line

    def _line(self, event: Plan | Step | Result) -> None:
        if isinstance(event, Result):
            self.show([_result_line(event)])

    @contextmanager
    def _bar(self) -> Iterator[Watch]:
        now = TextColumn("{task.fields[now]}")
        columns = (SpinnerColumn(), BarColumn(30), MofNCompleteColumn(), now)
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("", total=None, now="")
            running: dict[str, None] = {}

            def watch(event: Plan | Step | Result) -> None:
                if isinstance(event, Plan):
                    bar.update(task, total=len(event.steps))
                    return
                name = event.node.rpartition(".")[2]
                if isinstance(event, Step):
                    running[name] = None
                else:
                    running.pop(name, None)
                    bar.advance(task)
                    if not event.is_good:
                        bar.console.print(_result_line(event))
                bar.update(task, now=", ".join(running))

            yield watch

    def test(self, result: TestResult) -> None:
        self.show([f"  {_MARKS[result.status]}  {escape(result.name)}"])
        if result.message:
            self.show([f"        {escape(result.message)}"])


def _result_line(result: Result) -> str:
    name = result.name if result.kind == "source" else result.relation
    line = f"  {_MARKS[result.status]}  {escape(name)}"
    if result.status == "held":
        return f"{line}  {escape(result.message)}"
    rows = f"  {result.rows:,} rows" if result.rows is not None else ""
    failed = f"\n        {escape(result.message)}" if not result.is_good else ""
    return f"{line}{rows}  {result.seconds:.2f} s{failed}"


def _summary(report: Report) -> Iterator[str]:
    run = f"   run {report.run:04}" if report.run else ""
    commit = f"   commit {report.git_commit}" if report.git_commit else ""
    yield ""
    yield (
        f"[bold]segflow {__version__}   {report.project} → {report.target}"
        f"   as of {_minute(report.as_of)} UTC{run}{commit}[/]"
    )
    yield ""
    yield from _nodes(report)
    yield from _segments(report)
    yield from _messages(report)
    yield from _audiences(report)
    if report.warnings:
        yield ""
    yield from (f"[yellow]warning[/]  {escape(text)}" for text in report.warnings)
    yield ""
    segments = sum(r.seconds for r in report.results if r.kind == "segment")
    models = sum(r.seconds for r in report.results if r.kind in ("seed", "model", "source"))
    spent = f"models {models:.1f} s · segments {segments:.1f} s"
    yield f"{spent}      report: target/run_summary.md"
    yield ""
    yield from _ending(report)


def _nodes(report: Report) -> Iterator[str]:
    if not report.results:
        return
    sources = [r for r in report.results if r.kind == "source"]
    if sources:
        late = [r for r in sources if not r.is_good]
        old = [r for r in sources if r.status == "warn" and r.message]
        fresh = len(sources) - len(late) - len(old)
        yield f"Sources   {_counts(fresh, 'fresh', (len(old), 'old'), (len(late), 'late'))}"
        yield from (f"          {escape(f'{r.name}  {r.message}')}" for r in (*late, *old))
    models = [r for r in report.results if r.kind in ("seed", "model", "segment")]
    bad = [r for r in models if not r.is_good]
    kept = f", {len(bad)} kept" if bad else ""
    yield f"Models    {len(models) - len(bad):>3} built{kept}".ljust(32) + _kept(report, bad)
    partly = [r.name for r in models if r.is_good and r.because]
    if partly:
        yield f"{len(partly):>13} stand on them in part: {some(partly, 6)}"
    tests = [t for r in report.results for t in r.tests]
    warned = [t for t in tests if t.status == "warn"]
    failed = [t for t in tests if t.status == "error"]
    passed = len(tests) - len(warned) - len(failed)
    others = ((len(failed), "failed"), (len(warned), "warned"))
    yield f"Tests     {_counts(passed, 'passed', *others)}"
    for test in warned[:_SHOWN_WARNINGS]:
        yield f"          {escape(test.message)}"
    if len(warned) > _SHOWN_WARNINGS:
        yield f"          … {len(warned) - _SHOWN_WARNINGS} more: target/run_results.json"
    yield from map(escape, emptiness(report.empty, report.nobody))


def _kept(report: Report, bad: list[Result]) -> str:
    if not bad:
        return ""
    names = some([r.name for r in bad], 4)
    moments = sorted({m for r in bad if (m := report.kept_since.get(r.node))})
    return f"kept as of {_minute(moments[0])}: {names}" if moments else f"never built: {names}"


def _segments(report: Report) -> Iterator[str]:
    held = [r for r in report.results if r.kind == "segment" and not r.is_good]
    if not report.updated.movements and not held:
        return
    yield ""
    yield f"{'Segments':<32}{'members':>10}{'mailable':>11}{'entered':>10}{'left':>9}"
    ordered = sorted(report.updated.movements, key=lambda m: (-(m.entered + m.left), m.segment))
    for move in ordered[:_SHOWN_SEGMENTS]:
        mail = report.updated.mailable.get(move.segment)
        mailable = "" if mail is None else f"{mail:,}"
        entered = f"+{move.entered:,}" if move.entered else "0"
        left = f"{_MINUS}{move.left:,}" if move.left else "0"
        yield f"  {move.segment:<30}{move.members:>10,}{mailable:>11}{entered:>10}{left:>9}"
    for result in held[:_SHOWN_HELD]:
        since = report.kept_since.get(result.node)
        kept = f"kept since {_minute(since)}" if since else "never evaluated"
        why = escape(result.message) if result.status == "held" else "failed"
        yield f"  [yellow]{result.name:<30}  {kept}, {why}[/]"
    if len(held) > _SHOWN_HELD:
        yield f"  [yellow]… {len(held) - _SHOWN_HELD} more segments held back[/]"
    more = len(ordered) - _SHOWN_SEGMENTS
    if more > 0:
        yield f"  … {more} more: segflow ls --resource-type segment"
    if report.updated.stages:
        counts = " · ".join(f"{stage} {count:,}" for stage, count in report.updated.stages.items())
        yield f"  stage      {counts}"


def _messages(report: Report) -> Iterator[str]:
    """How many candidates got their message, and why the others did not, by policy."""
    decided = report.updated.decided
    if decided is None:
        return
    held = sum(decided.held.values())
    yield ""
    yield (
        f"Messages  {decided.candidates:,} candidates:  {decided.sent:,} sent ·"
        f" {decided.held_out:,} held out · {held:,} held"
    )
    for name, count in report.updated.waiting.items():
        yield f"  [yellow]{count:,} of those sent wait: {name} is kept as it was[/]"
    reasons = [f"{count:,} {COUNTED.get(name, name)}" for name, count in decided.held.items()]
    for start in range(0, len(reasons), 4):
        heading = "why held" if start == 0 else ""
        yield f"  {heading:<10}{' · '.join(reasons[start : start + 4])}"


def _audiences(report: Report) -> Iterator[str]:
    results = {r.name: r for r in report.results if r.kind == "audience"}
    delivered = {d.audience: d for d in report.deliveries}
    built = {b.audience: b for b in report.updated.audiences}
    if not results and not delivered:
        return
    yield ""
    yield f"{'Audiences':<32}{'rows':>10}   file"
    for name in dict.fromkeys((*results, *delivered)):
        result, delivery = results.get(name), delivered.get(name)
        if result and not result.is_good:
            yield f"  [yellow]{name:<30}{_NONE:>10}   HELD  {escape(result.message)}[/]"
            continue
        rows = result.rows if result else delivery.rows if delivery else None
        where = "not delivered"
        if delivery:
            where = delivery.path or f"FAILED  {delivery.message}"
        yield f"  {name:<30}{rows or 0:>10,}   {escape(where)}"
        if name in built and built[name].rows < max(built[name].candidates, 1):
            yield f"  {'':<30}{'':>10}   [dim]{_why(built[name])}[/]"


def _why(built: Built) -> str:
    """Why an audience has fewer rows than its segments have members."""
    if not built.candidates:
        none = "nobody has a message live there" if built.of_messages else ""
        return none or "its segments have no members"
    reasons = [f"{count:,} {COUNTED.get(name, name)}" for name, count in built.held.items()]
    of = "with a message" if built.of_messages else "members"
    return f"of {built.candidates:,} {of}: {', '.join(reasons)}"


def _ending(report: Report) -> Iterator[str]:
    """The last lines: what is left to do, as a command to type."""
    failed = [r for r in report.results if r.status == "error"]
    held = [r for r in report.results if r.status == "held"]
    unsent = [d for d in report.deliveries if d.state == "error"]
    stopped = [trip for trip in report.updated.watched.trips if trip.holds]
    if report.ok:
        for trip in report.updated.watched.trips:
            yield f"Approved: {trip.message} in {trip.name} (guard {trip.guard})"
        yield "[green]All delivered.[/]" if report.deliveries else "[green]All built.[/]"
        return
    for result in failed:
        yield f"[red]{result.name}[/]: {escape(result.message)}"
    for delivery in unsent:
        yield f"[red]{delivery.audience}[/]: {escape(delivery.message)}"
    audiences = sum(r.kind == "audience" for r in held)
    failures = f"{len(failed) + len(unsent)} failed, " if failed or unsent else ""
    yield (
        f"{failures}{len(held)} held back ({audiences} of them audiences)."
        " Nothing else waited for them."
    )
    late = [r.name for r in failed if r.kind == "source" and "(limit " in r.message]
    when = f"when {', '.join(late)} arrived" if late else "when it is mended"
    if failed or not stopped:
        command = "segflow deliver" if unsent and not failed else "segflow retry"
        yield way(when, command)
    shared = report.updated.watched.shared
    yield from (escape(way(*said)) for said in ways_on(stopped, shared, "retry", {}))


def _counts(count: int, name: str, *others: tuple[int, str]) -> str:
    """How many there are, and how many of other kinds where there are any."""
    return ", ".join([f"{count:>3} {name}", *(f"{n} {kind}" for n, kind in others if n)])


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
