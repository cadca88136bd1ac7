"""The matrix and the outcomes in, lines for a terminal and for Markdown out."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from textwrap import wrap
from typing import Any

from segflow.cli.output import OWED
from segflow.questions.matrix import FINDINGS, MANY, Cell, Matrix, Offer

_WIDTH = 100
# Longer names of user types are broken, after an underscore.
_NAME = 8


def text(made: Matrix) -> Iterator[str]:
    """Who can get a message and who has one, goal by goal; the messages; what is not covered."""
    as_of = f"{made.as_of:%Y-%m-%d %H:%M} UTC"
    yield f"Goals by {made.by}, as of {as_of}: who is eligible for a message, who has one live"
    label = max(len(name) for name, _ in _lines(made, [])) + 1
    for types in _blocks(made, _WIDTH - label):
        widths = [_column(made, name) for name in types]
        yield ""
        broken = [_broken(name) for name in types]
        for level in range(max(map(len, broken))):
            words = [parts[level] if level < len(parts) else "" for parts in broken]
            line = "".join(w.rjust(n) for w, n in zip(words, widths, strict=True))
            yield f"{'':<{label}}{line}".rstrip()
        for name, counts in _lines(made, types):
            cells = [f"{n:,}" if n else "·" for n in counts]
            line = "".join(c.rjust(n) for c, n in zip(cells, widths, strict=True))
            yield f"{name:<{label}}{line}"
    yield ""
    yield from _messages(made.messages)
    yield ""
    yield "Coverage"
    for kind, said in _coverage(made):
        first, *rest = wrap(said, _WIDTH - 20) or [""]
        yield f"  {kind:<18}{first}"
        yield from (" " * 20 + line for line in rest)


def markdown(made: Matrix) -> Iterator[str]:
    """The same as tables: a row per goal, a column per user type."""
    yield f"### Goals by {made.by}, as of {made.as_of:%Y-%m-%d %H:%M} UTC"
    yield ""
    names = [f"{name}<br>{count:,}" for name, count in made.user_types.items()]
    yield f"| goal | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for goal, cells in groupby(made.cells, lambda cell: cell.goal):
        yield f"| **{goal}** | {' | '.join(map(_cell, cells))} |"
    yield ""
    yield "Eligible contacts → those with a live message."
    yield ""
    yield "| goal | message | to | by | priority | purpose | eligible | live |"
    yield "| --- | --- | --- | --- | ---: | --- | ---: | ---: |"
    for m in made.messages:
        to, by = ", ".join(m.segments), ", ".join(m.channels)
        purpose = f"{m.purpose} ({OWED})" if m.is_contract else m.purpose
        counts = f"{m.eligible:,} | {m.live:,}"
        yield f"| {m.goal} | **{m.message}** | {to} | {by} | {m.priority} | {purpose} | {counts} |"
    yield ""
    yield from (f"- {kind}: {said}" for kind, said in _coverage(made))


def outcomes(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Totals of goals, their messages and variants, under each other."""
    totals = sorted(
        (row for row in rows if row["month"] is None),
        key=lambda row: (row["goal"], row["message"] or "", row["variant"] or ""),
    )
    yield "Who was sent a message against who was held out of it, over windows that have closed"
    yield ""
    yield (f"{'':<30}{'treated':>9}{'held out':>10}{'converted':>16}  difference in points, 95 %")
    for row in totals:
        depth = ("goal", "message", "variant").index(row["level"])
        name = "  " * depth + row[row["level"]]
        rates = f"{_rate(row['treated_rate']):>8}{_rate(row['held_out_rate']):>8}"
        counts = f"{row['treated']:>9,}{row['held_out']:>10,}{rates}"
        yield f"{_cut(name, 29):<30}{counts}  {_difference(row)}"
    still_open = sum(row["still_open"] for row in totals if row["level"] == "goal")
    yield ""
    yield f"{still_open:,} windows of contacts and goals are still open"


def _lines(made: Matrix, types: list[str]) -> Iterator[tuple[str, list[int]]]:
    """The rows of the matrix: a name, and a count for each of some user types."""
    yield "contacts", [made.user_types[name] for name in types]
    for goal, group in groupby(made.cells, lambda cell: cell.goal):
        cells = {cell.user_type: cell for cell in group}
        chosen = [cells[name] for name in types]
        channels = dict.fromkeys(c for m in made.messages if m.goal == goal for c in m.channels)
        yield goal, [cell.eligible for cell in chosen]
        if len(channels) > 1:
            yield "  live", [cell.live for cell in chosen]
        for channel in channels:
            yield f"  {channel}", [cell.by_channel.get(channel, 0) for cell in chosen]


def _column(made: Matrix, name: str) -> int:
    return max(*(len(part) for part in _broken(name)), len(f"{made.user_types[name]:,}")) + 1


def _blocks(made: Matrix, room: int) -> Iterator[list[str]]:
    """The user types that fit beside each other."""
    block: list[str] = []
    for name in made.user_types:
        if block and sum(_column(made, other) for other in [*block, name]) > room:
            yield block
            block = []
        block.append(name)
    yield block


def _broken(name: str) -> list[str]:
    lines = [""]
    for part in name.replace("_", "_ ").split():
        if lines[-1] and len(lines[-1] + part) > _NAME:
            lines.append("")
        lines[-1] += part
    return lines


def _messages(messages: tuple[Offer, ...]) -> Iterator[str]:
    yield f"{'Messages':<24}{'to':<28}{'by':<32}{'prio':>4}{'elig.':>6}{'live':>6}"
    for goal, group in groupby(messages, lambda message: message.goal):
        yield goal
        for m in group:
            more = f" +{len(m.segments) - 1}" if len(m.segments) > 1 else ""
            to = _cut(m.segments[0], 27 - len(more)) + more
            name = f"{_cut(m.message, 19)}{' *' if m.is_contract else ''}"
            by = _cut(", ".join(m.channels), 31)
            yield f"  {name:<22}{to:<28}{by:<32}{m.priority:>4}{m.eligible:>6,}{m.live:>6,}"
    owed = sorted({message.purpose for message in messages if message.is_contract})
    if owed:
        yield f"* {', '.join(owed)}, {OWED}"


def _coverage(made: Matrix) -> Iterator[tuple[str, str]]:
    """What is not covered, by kind; then how many contacts have too little or much to hope for."""
    for kind, group in groupby(made.findings, lambda finding: finding.kind):
        details = [f"{f.name}: {f.detail}" if f.detail else f.name for f in group]
        yield FINDINGS[kind], "; ".join(details)
    everyone = sum(made.user_types.values())
    yield (
        "contacts",
        f"{made.without:,} of {everyone:,} are eligible for nothing,"
        f" {made.many:,} for more than {MANY} goals",
    )


def _cell(cell: Cell) -> str:
    if not cell.eligible:
        return "·"
    by = ", ".join(f"{channel} {count:,}" for channel, count in cell.by_channel.items())
    return f"{cell.eligible:,} → {cell.live:,}" + (f"<br>{by}" if by else "")


def _rate(rate: float | None) -> str:
    return "\N{EN DASH}" if rate is None else f"{rate:.1%}"


def _difference(row: dict[str, Any]) -> str:
    if row["lift"] is None:
        return "nobody was held out" if row["treated"] else str(row["verdict"])
    lift, low, high = (100 * row[name] for name in ("lift", "lift_low", "lift_high"))
    return f"{lift:+.1f} ({low:+.1f} to {high:+.1f})  {row['verdict']}"


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"
