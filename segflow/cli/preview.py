"""What a run would do, in people: text for a terminal, Markdown for a pull request, JSON."""

from collections.abc import Iterator
from typing import Any

from segflow.cli.output import OWED, some, way, ways_on
from segflow.compile.changes import Changes
from segflow.planning import Preview
from segflow.questions.preview import (
    AudiencePreview,
    Crowd,
    MessagePreview,
    Moved,
    SegmentPreview,
    most_moved,
)

_MINUS = "\N{MINUS SIGN}"
_SHOWN = 15
_SHOWN_LINES = 24
# What a crowd is told by: so many values and medians.
_VALUES, _MEDIANS = 4, 3
_CAUSES = {"definition": "definition", "data": "new data", "time": "time", "unknown": ""}
_DIFF = "Definition before and after"
_KINDS = {
    "new": "new",
    "columns": "columns removed",
    "logic": "changed",
    "text": "only written otherwise",
    "renamed": "renamed",
    "removed": "removed",
}


def markdown(made: Preview) -> Iterator[str]:
    """One screen, then what can be unfolded. By the first line CI finds its earlier comment."""
    yield f"<!-- segflow-plan {made.report.project} -->"
    if _is_quiet(made):
        yield f"segflow plan: {_title(made)} · {_when(made)}"
        return
    yield from (f"### segflow plan: {_title(made)}", "", _what_changed(made))
    yield from (f"\n{line}" for line in (*_owed(made), *_failures(made)))
    for names, rows, notes in _tables(made):
        more = len(rows) - _SHOWN
        yield from ("", _row(names), "| --- |" + " ---: |" * (len(names) - 2) + " --- |")
        for name, *cells in rows[:_SHOWN]:
            bold = name if "→" in name else f"**{name}**"
            yield _row([bold, *cells])
        for note in [f"{more} more that move", *notes] if more > 0 else notes:
            yield f"\n_{note}_"
    ways = [f"- {when}: `{what}`" for when, what in _ways_on(made)]
    yield from ("\n**To merge:**\n", *ways) if ways else ()
    for heading, lines in _lists(made):
        yield f"\n<details><summary>{heading}</summary>\n"
        yield from (f"- {line}" for line in lines)
        yield "</details>"
    diff = _diff(made)
    if diff:
        yield f"\n<details><summary>{_DIFF}</summary>\n\n```diff"
        yield from (*diff, "```", "</details>")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def text(made: Preview) -> Iterator[str]:
    """The same for a terminal."""
    if _is_quiet(made):
        yield f"{_title(made)} · {_when(made)}"
        return
    yield from map(_bare, (_title(made), _what_changed(made), *_owed(made), *_failures(made)))
    for names, rows, notes in _tables(made):
        yield ""
        for first, *counts, last in [names, *rows]:
            indent = "" if first is names[0] else "  "
            widths = [max(10, len(name) + 2) for name in names[1:-1]]
            cells = "".join(f"{n:>{width}}" for n, width in zip(counts, widths, strict=True))
            yield f"{indent + first:<42}{cells}   {last}".rstrip()
        yield from (f"  {note}" for note in notes)
    for heading, lines in _lists(made):
        yield from ("", heading, *(f"  {_bare(line)}" for line in lines))
    diff = _diff(made)
    if diff:
        yield from ("", _DIFF, *(f"  {line}" for line in diff))
    ways = _ways_on(made)
    yield from ("", *(way(*said) for said in ways)) if ways else ()


def _bare(line: str) -> str:
    return line.replace("**", "").replace("`", "")


def results(made: Preview) -> dict[str, Any]:
    """The parts of a preview, as lists of records."""
    found = made.changes
    return {
        "base": {
            "run": made.base.run.run if made.base and made.base.run else None,
            "as_of": made.base.run.as_of if made.base and made.base.run else None,
        },
        "vars": {
            name: {"before": was, "now": now}
            for name, (was, now) in (found.vars if found else {}).items()
        },
        "models": found.models if found else [],
        "downstream": found.downstream if found else [],
        "said": found.said if found else {},
        "owed": found.owed if found else [],
        "segments": made.segments,
        "messages": made.messages,
        "audiences": made.audiences,
        "crowds": made.crowds,
        "nodes": made.report.results,
        "warnings": [*made.report.warnings, *_as_if(made)],
    }


# ── parts ─────────────────────────────────────────────────────────────────────────────────────


def _tables(made: Preview) -> Iterator[tuple[list[str], list[list[str]], list[str]]]:
    """Names of columns, rows and notes; only of what moves, or would and may not."""
    segments = [s for s in made.segments if s.moves or s.guard]
    if segments:
        rows = [
            [s.segment, f"{s.before:,}", f"{s.after:,}", _plus(s.entered), _less(s.left), why]
            for s in segments
            for why in [_because(s)]
        ]
        others = len(made.segments) - len(segments)
        notes = [f"{others} others: no change"] if others else []
        if any(_count(s.causes["data"]) for s in made.segments):
            notes.append("new data: rows that came late or were corrected since the last run")
        yield ["segment", "before", "after", "entered", "left", "because"], rows, notes
    messages = [m for m in made.messages if m.moves]
    if messages:
        rows = [
            [f"{m.message} · {m.channel}", f"{m.before:,}", f"{m.after:,}", _of_whom(m)]
            for m in messages
        ]
        others = len(made.messages) - len(messages)
        notes = [f"{others} others: no change"] if others else []
        yield ["message · channel", "now", "with this change", "of whom"], rows, notes
    audiences = [a for a in made.audiences if a.moves or a.guard]
    if audiences:
        rows = [
            [
                f"{a.audience} → {a.destination}",
                *(f"{n:,}" for n in (a.adds, a.changes, a.removes)),
                _stopped(a) or "ok",
            ]
            for a in audiences
        ]
        yield ["audience → destination", "add", "change", "remove", "guard"], rows, _as_if(made)


def _as_if(made: Preview) -> list[str]:
    return ["counted as if everything that a guard stops were approved"] if made.trips else []


def _lists(made: Preview) -> Iterator[tuple[str, list[str]]]:
    """Headings, each with lines below it."""
    examples = [f"{s.segment}: {example}" for s in made.segments for example in s.examples]
    if examples:
        yield "Who would enter, for example", examples
    if made.crowds:
        yield "Who they are, beside all contacts", [_who(crowd) for crowd in made.crowds]
    if made.changes and (made.changes.models or made.changes.downstream):
        yield f"Models: {_models(made.changes)}", [*_model_lines(made.changes)]


def _title(made: Preview) -> str:
    said = [
        f"{count:,} {verb}{'s' if count == 1 else ''} {s.segment}"
        for s in most_moved(made.segments)[:2]
        for count, verb in ((s.entered, "enter"), (s.left, "leave"))
        if count
    ][:2]
    if said:
        count, _, moves = said[0].partition(" ")
        said[0] = f"**{count} contact{'' if count == '1' else 's'} {moves}**"
    reached = made.reached
    counts = (
        (reached.more, "more would get a message"),
        (reached.other, "would get another one"),
        (reached.fewer, "would get none any more"),
    )
    said += [f"{count:,} {what}" for count, what in counts if count]
    changed = sum(a.moves for a in made.audiences)
    if said or changed:
        verb = "changes" if changed == 1 else "change"
        title = f"{', '.join(said or ['no contact moves'])} · {_many(changed, 'audience')} {verb}"
    else:
        texts = sum(m.kind == "text" for m in made.changes.models) if made.changes else 0
        differ = "differs" if texts == 1 else "differ"
        only = f": {_many(texts, 'model')} {differ} in text only" if texts else ""
        title = f"No contact moves, no audience changes{only}"
    failed = sum(r.status == "error" for r in made.report.results)
    guards = sum(bool(item.guard) for item in _items(made))
    title += f" · ⛔ {_many(guards, 'guard')}" if guards else ""
    return title + (f" · ⛔ {_many(failed, 'failure')}" if failed else "")


def _items(made: Preview) -> list[SegmentPreview | AudiencePreview]:
    return [*made.segments, *made.audiences]


def _owed(made: Preview) -> Iterator[str]:
    """What goes to people who did not ask for it from now on."""
    owed = [node.split(".") for node in made.changes.owed] if made.changes else []
    if owed:
        yield f"{', '.join(f'{kind} `{name}`' for kind, *_, name in owed)} now {OWED}"


def _failures(made: Preview) -> Iterator[str]:
    """What fails, and what would stay as it is because of that."""
    failed = {r.name: r.message for r in made.report.results if r.status == "error"}
    yield from (f"⛔ `{name}`: {message}" for name, message in failed.items())
    waiting = [(i.held, i.name) for i in _items(made) if i.held and not i.moves]
    for why in dict.fromkeys(why for why, name in waiting if name not in failed):
        yield f"{some([name for because, name in waiting if because == why], 4)} held back: {why}"


def _what_changed(made: Preview) -> str:
    """The changed vars, seeds and what YAML says, then models; and of what moment."""
    said = []
    if made.changes:
        said = [
            f"`{name}` {was} → {now}" + (f" ({made.places[name]})" if name in made.places else "")
            for name, (was, now) in made.changes.vars.items()
        ]
        texts = [*made.changes.said.values()]
        said += texts[:3] + ([f"{len(texts) - 3} more in YAML"] if len(texts) > 3 else [])
        said += [f"seed `{seed.rpartition('.')[2]}`" for seed in made.changes.seeds]
        edited = [m for m in made.changes.models if m.kind != "text" and not m.causes]
        said += [f"{_KINDS[m.kind]}: `{m.name}`" for m in edited[:3]]
        said += [f"{len(edited) - 3} more models"] if len(edited) > 3 else []
    nothing = "no definition changed" if made.base else "nothing was published before"
    return f"{', '.join(said) or nothing} · {_when(made)}"


def _when(made: Preview) -> str:
    run = made.base.run if made.base else None
    base = f", against run {run.run:04} of {run.as_of:%Y-%m-%d %H:%M}" if run else ""
    return f"evaluated on {made.report.as_of:%Y-%m-%d %H:%M} UTC data{base}"


def _is_quiet(made: Preview) -> bool:
    """Whether there is nothing to say but that."""
    found = made.changes
    moves = any(item.moves for item in (*_items(made), *made.messages))
    edits = [m for m in found.models if m.kind != "text"] if found else []
    says = found and (edits or found.vars or found.seeds or found.said)
    return made.ok and not moves and not says


def _because(segment: SegmentPreview) -> str:
    if segment.held and not segment.guard:
        return _stopped(segment)
    said, names = [], ", ".join(segment.because[:3])
    for cause, label in _CAUSES.items():
        moved = segment.causes.get(cause, Moved())
        if not _count(moved):
            continue
        named = names if cause in ("definition", "unknown") else ""
        is_all = _count(moved) == segment.entered + segment.left
        parts = [_plus(moved.entered)] if moved.entered else []
        parts += [_less(moved.left)] if moved.left else []
        whole = f"{label} {' / '.join(parts)}" + (f" ({named})" if named else "")
        said.append(named if named and is_all else whole)
    return " · ".join([*said, *filter(None, [_stopped(segment)])])


def _of_whom(message: MessagePreview) -> str:
    """Whom a message gains and loses: what they had, or have now."""
    said = [f"+{message.gained:,}"] if message.gained else []
    had = [f"{message.had_nothing:,} had nothing"] if message.had_nothing else []
    had += _first_two(message.instead_of, "had")
    said[:1] = [f"{said[0]}: {', '.join(had)}"] if said else []
    to = _first_two(message.to, "to")
    nothing = message.lost - sum(message.to.values())
    to += [f"{nothing:,} to nothing"] if nothing and to else []
    if message.lost:
        said.append(f"{_less(message.lost)}{': ' if to else ''}{', '.join(to)}")
    return " · ".join(said)


def _first_two(counts: dict[str, int], verb: str) -> list[str]:
    named = [f"{n:,} {verb} {name}" for name, n in [*counts.items()][:2]]
    others = sum([*counts.values()][2:])
    return [*named, f"{others:,} {verb} others"] if others else named


def _stopped(item: SegmentPreview | AudiencePreview) -> str:
    if item.guard:
        return f"⛔ {item.guard}"
    return f"held back: {item.held}" if item.held else ""


def _ways_on(made: Preview) -> list[tuple[str, str]]:
    return [*ways_on(made.trips, made.shared, "run", made.guarded)]


def _models(found: Changes) -> str:
    counts = {kind: sum(m.kind == kind for m in found.models) for kind in _KINDS}
    said = [f"{count} {_KINDS[kind]}" for kind, count in counts.items() if count]
    return " · ".join([*said, f"{len(found.downstream)} downstream"])


def _model_lines(found: Changes) -> Iterator[str]:
    for model in found.models[:_SHOWN]:
        gone = ", ".join(f"`{column}`" for column in model.removed_columns)
        by = ", ".join(f"var `{name}`" for name in model.causes)
        detail = f": no more {gone}" if gone else f" by {by}" if by else ""
        yield f"`{model.name}` {_KINDS[model.kind]}{detail}"
    names = [f"`{node.rpartition('.')[2]}`" for node in found.downstream]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        yield f"downstream: {', '.join(names[:_SHOWN])}{more}"


def _who(crowd: Crowd) -> str:
    """What is more frequent among them, and their medians."""
    said = [
        f"{v.column} {v.value} {v.members:.0%} ({v.everyone:.0%})"
        for v in crowd.traits.values
        if v.value and v.members > v.everyone
    ][:_VALUES]
    said += [
        f"median {m.column} {m.members:,.10g} ({m.everyone:,.10g})"
        for m in crowd.traits.medians
        if m.members is not None and m.everyone is not None
    ][:_MEDIANS]
    who = f"the {crowd.contacts:,} who {crowd.way} {crowd.segment}"
    return f"{who}: {' · '.join(said) or 'like everyone'}"


def _diff(made: Preview) -> list[str]:
    """What went and came in compiled SQL, cut where it is long."""
    lines = [line for model in made.changes.models for line in model.diff] if made.changes else []
    more = len(lines) - _SHOWN_LINES
    return [*lines[:_SHOWN_LINES], f"… {more} more lines: --output json"] if more > 0 else lines


def _count(moved: Moved) -> int:
    return moved.entered + moved.left


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _plus(count: int) -> str:
    return f"+{count:,}" if count else "0"


def _less(count: int) -> str:
    return f"{_MINUS}{count:,}" if count else "0"
