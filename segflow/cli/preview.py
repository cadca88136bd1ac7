"""What a run would do, in people: text for a terminal, Markdown for a pull request, JSON."""

from collections.abc import Iterable, Iterator
from typing import Any

from segflow.planning import Preview
from segflow.questions.preview import AudiencePreview, Moved, SegmentPreview

_MINUS = "\N{MINUS SIGN}"
_SHOWN = 15
_KINDS = {
    "new": "new",
    "columns": "columns removed",
    "logic": "changed",
    "text": "differ in text only",
    "renamed": "renamed",
    "removed": "removed",
}


def markdown(made: Preview) -> Iterator[str]:
    """One screen, then what can be unfolded. By the first line CI finds its earlier comment."""
    yield f"<!-- segflow-plan {made.report.project} -->"
    yield f"### segflow plan: {_title(made, '**')}"
    yield ""
    yield f"{_what_changed(made, '`')} · {_evaluated(made)}"
    segments = [s for s in made.segments if s.moves or s.guard or s.held]
    if segments:
        yield ""
        yield "| segment | before | after | entered | left | because |"
        yield "| --- | ---: | ---: | ---: | ---: | --- |"
        for s in segments[:_SHOWN]:
            counts = f"{s.before:,} | {s.after:,} | {_plus(s.entered)} | {_less(s.left)}"
            yield f"| **{s.segment}** | {counts} | {_because(made, s)} |"
        yield from _others(len(made.segments) - len(segments), len(segments) - _SHOWN)
        yield from (f"\n_{line}_" for line in _about_data(made))
    audiences = [a for a in made.audiences if a.moves or a.guard or a.held]
    if audiences:
        yield ""
        yield "| audience → destination | add | change | remove | guard |"
        yield "| --- | ---: | ---: | ---: | --- |"
        for a in audiences[:_SHOWN]:
            counts = f"{a.adds:,} | {a.changes:,} | {a.removes:,}"
            yield f"| {a.audience} → {a.destination} | {counts} | {_verdict(a)} |"
    examples = [f"- {s.segment}: {example}" for s in segments for example in s.examples]
    if examples:
        yield ""
        yield "<details><summary>Who would enter, for example</summary>"
        yield ""
        yield from examples
        yield "</details>"
    approvals = _approvals(made)
    if approvals:
        yield ""
        yield f"**To let it through:** raise the guard, or run once with `{approvals}`."
    if made.changes and (made.changes.models or made.changes.downstream):
        yield ""
        yield f"<details><summary>Models: {_models(made)}</summary>"
        yield ""
        yield from (f"- {line}" for line in _model_lines(made, "`"))
        yield "</details>"


def text(made: Preview) -> Iterator[str]:
    """The same for a terminal."""
    yield _title(made, "")
    yield f"{_what_changed(made, '')} · {_evaluated(made)}"
    segments = [s for s in made.segments if s.moves or s.guard or s.held]
    if segments:
        yield ""
        yield f"{'Segments':<32}{'before':>10}{'after':>10}{'entered':>10}{'left':>9}   because"
        for s in segments:
            counts = f"{s.before:>10,}{s.after:>10,}{_plus(s.entered):>10}{_less(s.left):>9}"
            yield f"  {s.segment:<30}{counts}   {_because(made, s)}".rstrip()
        others = len(made.segments) - len(segments)
        if others:
            yield f"  {others} others: no change"
        yield from (f"  {line}" for line in _about_data(made))
        yield from _examples(segments)
    audiences = [a for a in made.audiences if a.moves or a.guard or a.held]
    if audiences:
        yield ""
        yield f"{'Audiences':<32}{'add':>10}{'change':>10}{'remove':>10}   to"
        for a in audiences:
            counts = f"{a.adds:>10,}{a.changes:>10,}{a.removes:>10,}"
            yield f"  {a.audience:<30}{counts}   {a.destination}   {_verdict(a)}".rstrip()
    if made.changes and (made.changes.models or made.changes.downstream):
        yield ""
        yield f"Models    {_models(made)}"
        yield from (f"  {line}" for line in _model_lines(made, ""))
    approvals = _approvals(made)
    if approvals:
        yield ""
        yield f"  {'if that is right':<32}  segflow run {approvals}"


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
        "segments": made.segments,
        "audiences": made.audiences,
        "nodes": made.report.results,
        "warnings": made.report.warnings,
    }


def _examples(segments: list[SegmentPreview]) -> Iterator[str]:
    if any(s.examples for s in segments):
        yield ""
        yield "Who would enter, for example"
    for segment in segments:
        yield from (f"  {segment.segment:<30}  {example}" for example in segment.examples)


def _title(made: Preview, bold: str) -> str:
    moved = sorted(made.segments, key=lambda s: -(s.entered + s.left))
    said = [
        f"{bold}{count:,} contact{'' if count == 1 else 's'} {_verb(count, verb)} {s.segment}{bold}"
        for s in moved[:2]
        for count, verb in ((s.entered, "enter"), (s.left, "leave"))
        if count
    ][:2]
    changed = sum(a.moves for a in made.audiences)
    if not said and not changed:
        texts = sum(m.kind == "text" for m in made.changes.models) if made.changes else 0
        only = f": {texts} {_many(texts, 'model')} in text only" if texts else ""
        title = f"No contact moves, no audience changes{only}"
    else:
        audiences = f"{changed} {'audience changes' if changed == 1 else 'audiences change'}"
        title = ", ".join(said or ["no contact moves"]) + f" · {audiences}"
    guards = len(made.guards)
    stop = f" · ⛔ {guards} {'guard' if guards == 1 else 'guards'}" if guards else ""
    failed = sum(r.status == "error" for r in made.report.results)
    return title + stop + (f" · ⛔ {failed} failed" if failed else "")


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb


def _many(count: int, noun: str) -> str:
    return f"{noun} differs" if count == 1 else f"{noun}s differ"


def _what_changed(made: Preview, quote: str) -> str:
    """The changed vars and seeds, else how many models say something else."""
    found = made.changes
    if made.base is None:
        return "nothing was published before"
    if found is None:
        return "no definition changed"
    said = [f"{quote}{name}{quote} {was} → {now}" for name, (was, now) in found.vars.items()]
    said += [f"seed {quote}{seed.rpartition('.')[2]}{quote}" for seed in found.seeds]
    edited = [m for m in found.models if m.kind not in ("text",) and not m.causes]
    said += [f"{_KINDS[m.kind]}: {quote}{m.name}{quote}" for m in edited[:3]]
    said += [f"{len(edited) - 3} more models"] if len(edited) > 3 else []
    return ", ".join(said) or "no definition changed"


def _evaluated(made: Preview) -> str:
    run = made.base.run if made.base else None
    base = f", against run {run.run:04} of {run.as_of:%Y-%m-%d %H:%M}" if run else ""
    return f"evaluated on {made.report.as_of:%Y-%m-%d %H:%M} UTC data{base}"


def _because(made: Preview, segment: SegmentPreview) -> str:
    if segment.held and not segment.guard:
        return f"held back: {segment.held}"
    said = []
    if segment.causes["definition"].entered or segment.causes["definition"].left:
        moved = _signed(segment.causes["definition"])
        names = ", ".join(segment.because[:3])
        is_all = not any(_count(segment.causes[c]) for c in ("data", "time"))
        definition = f"definition {moved}" + (f" ({names})" if names else "")
        said.append(names if is_all and names else definition)
    said += [
        f"{label} {_signed(segment.causes[cause])}"
        for cause, label in (("data", "new data"), ("time", "time"))
        if _count(segment.causes[cause])
    ]
    said += [f"⛔ {segment.guard}"] if segment.guard else []
    return " · ".join(said)


def _count(moved: Moved) -> int:
    return moved.entered + moved.left


def _signed(moved: Moved) -> str:
    parts = [_plus(moved.entered)] if moved.entered else []
    parts += [_less(moved.left)] if moved.left else []
    return " / ".join(parts)


def _verdict(audience: AudiencePreview) -> str:
    if audience.guard:
        return f"⛔ {audience.guard}"
    return f"held back: {audience.held}" if audience.held else "ok"


def _approvals(made: Preview) -> str:
    trips = made.report.updated.watched.trips
    most: dict[str, int] = {}
    for trip in trips:
        if trip.why in made.guards:
            most[trip.name] = max(trip.moved, most.get(trip.name, 0))
    return " ".join(f"--approve {name}={moved}" for name, moved in most.items())


def _models(made: Preview) -> str:
    assert made.changes is not None
    counts = {kind: sum(m.kind == kind for m in made.changes.models) for kind in _KINDS}
    said = [f"{count} {_KINDS[kind]}" for kind, count in counts.items() if count]
    total = len(made.report.results)
    return " · ".join([*said, f"{len(made.changes.downstream)} downstream of {total} nodes"])


def _model_lines(made: Preview, quote: str) -> Iterable[str]:
    assert made.changes is not None
    for model in made.changes.models[:_SHOWN]:
        gone = ", ".join(f"{quote}{column}{quote}" for column in model.removed_columns)
        by = ", ".join(f"var {quote}{name}{quote}" for name in model.causes)
        detail = f": no more {gone}" if gone else f" by {by}" if by else ""
        yield f"{quote}{model.name}{quote} {_KINDS[model.kind]}{detail}"
    names = [node.rpartition(".")[2] for node in made.changes.downstream]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        listed = ", ".join(f"{quote}{name}{quote}" for name in names[:_SHOWN])
        yield f"downstream: {listed}{more}"


def _others(still: int, more: int) -> Iterator[str]:
    if more > 0:
        yield f"| {more} more that move | | | | | |"
    if still:
        yield f"| {still} others | | | | | no change |"


def _about_data(made: Preview) -> Iterator[str]:
    if any(_count(s.causes["data"]) for s in made.segments):
        yield "new data: rows that came late or were corrected since the last run"


def _plus(count: int) -> str:
    return f"+{count:,}" if count else "0"


def _less(count: int) -> str:
    return f"{_MINUS}{count:,}" if count else "0"
