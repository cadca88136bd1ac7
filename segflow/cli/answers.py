"""What `explain` and `backtest` found in, lines for people and records for JSON out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from segflow.audiences.policies import COUNTED, NEEDS
from segflow.cli.output import table
from segflow.questions.backtest import Backtest
from segflow.questions.explain import Card, Standing, Stay, Verdict
from segflow.questions.judging import Branch, Judged
from segflow.questions.profile import Profile
from segflow.questions.story import Decision, Exposure, Story

_MARKS = {True: "✓", False: "✗", None: "✗"}
_PLACES = {
    "taken": "because",
    "before": "would need",
    "after": "would need, where nothing before it is so",
}


_EDITED = "  (as it is now: it, or what it reads, was edited since)"
# Why a message was over before its time, where it is not a reason to hold it.
_ENDED = {
    "left": "she left the segment",
    "success": "its goal was reached",
    "displaced": "what is owed by contract took its place",
    "merged": "two contacts turned out to be one",
    "decided_anew": "another run of that moment decided otherwise",
}

Answer = Card | Verdict | Profile | Story
_SHOWN = 5


def results(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(answer, builtin_types=(datetime,))
    return found


def lines(answer: Answer) -> Iterator[str]:
    if not isinstance(answer, Profile) and answer.merged:
        yield f"{answer.merged} was merged into {answer.contact}"
        yield ""
    if isinstance(answer, Profile):
        yield from _profile(answer)
    elif isinstance(answer, Story):
        yield from _story(answer)
    else:
        yield from _card(answer) if isinstance(answer, Card) else _verdict(answer)


def _verdict(found: Verdict) -> Iterator[str]:
    state = "in" if found.is_in else "not in"
    yield f"{found.contact} is {state} {found.segment}, as of {_moment(found.standing.as_of)}"
    yield from (f"  {_stay(stay)}" for stay in found.stays)
    yield from _standing(found.standing)
    yield ""
    for clause in found.clauses:
        yield from _clause(clause, "  ")
    if not found.agrees:
        yield ""
        yield "  the clauses say otherwise now"


def _standing(found: Standing) -> Iterator[str]:
    """Why members and clauses need not go together."""
    if found.kept:
        yield f"  kept since {_moment(found.as_of)}: {found.kept}"
    if found.is_edited:
        yield "  its members are by the definition of then, the clauses are by that of now"


def _card(found: Card) -> Iterator[str]:
    yield f"{found.contact}, as of {_moment(found.as_of)}"
    if found.stages:
        yield ""
        yield "Stages"
        yield from (f"  {stay.name:<32}{_stay(stay)}" for stay in found.stages)
    yield ""
    yield "Segments" if found.segments else "Segments  none so far"
    for stay in found.segments:
        kept = "" if stay.until else found.kept.get(stay.name, "")
        yield f"  {stay.name:<32}{_stay(stay)}{', kept: ' if kept else ''}{kept}"
    if found.story:
        yield from _messages(found.story)
    if found.near:
        yield ""
        yield "Nearly in: one clause keeps her out"
        for verdict in found.near:
            failing = next(clause for clause in verdict.clauses if clause.verdict is not True)
            yield f"  {verdict.segment}"
            yield from _clause(failing, "    ")


def _story(found: Story) -> Iterator[str]:
    yield f"{_called(found)} and {found.message}"
    latest = {(e.message, e.channel, e.run): e for e in found.exposures}
    for decision in found.decisions:
        exposure = latest.pop((decision.message, decision.channel, decision.run), None)
        yield ""
        yield from _exposure(exposure) if exposure else _decision(decision)
    for exposure in latest.values():
        yield ""
        yield from _exposure(exposure)
    if not found.decisions and not found.exposures:
        yield ""
        kept = "holds of earlier runs are kept as counts only (segments.decision_counts)"
        held = f"{kept}, so that it is not known whether she was held or no candidate"
        now = "not a candidate in the latest run, as of which she is in none of its segments"
        yield f"  never sent up to then; {held}" if found.is_past else f"  never sent; {now}"


def _called(found: Story) -> str:
    """`jo@example.com (c_48121, account a_310 "Nordwind", role admin)`."""
    who = dict(found.who)
    account, name, role = (who.pop(key, "") for key in ("account_id", "account_name", "role"))
    names = [*dict.fromkeys([found.contact, *who.values()])]
    told = names[:-1]
    told += [f'account {account} "{name}"' if name else f"account {account}"] if account else []
    told += [f"role {role}"] if role else []
    return f"{names[-1]} ({', '.join(told)})" if told else names[-1]


def _decision(found: Decision) -> Iterator[str]:
    """Why somebody was held, and what would have to change."""
    yield f"{_moment(found.as_of)}, run {found.run:04}: HELD {found.message} by {found.channel}"
    before = " (priority {} over {})".format(*found.priorities) if found.priorities else ""
    yield f"  because   {found.because}{before}"
    for since, what in found.refusals:
        yield f"            {what}{f', since {_moment(since)}' if since else ''}"
    if found.reason == "no_consent" and not found.refusals:
        yield "            she has said nothing of it"
    if found.had:
        yield f"            had {', '.join(f'{name} on {day}' for name, day in found.had.items())}"
    yield f"  until     {found.needs}"
    yield f"  in        {found.segment} since {_moment(found.entered_at)}"


def _exposure(found: Exposure) -> Iterator[str]:
    """What an exposure stood on, as it was then, and what came of it."""
    yield f"{_moment(found.as_of)}, run {found.run:04}: {_done(found)}"
    yield f"  because   is in {found.segment} since {_moment(found.entered_at)}"
    known = [f"{name} {value}" for name, value in found.evidence.items() if value is not None]
    if known:
        yield f"  as then   {', '.join(known)}"
    if found.rules:
        edited = _EDITED if found.rules.is_edited else ""
        for place, condition in enumerate(found.rules.conditions):
            yield f"  {'' if place else 'asked':<10}{condition}{edited}"
            edited = ""
    yield f"  allowed   {_allowed(found)}"
    if found.used:
        is_other = any(u.count >= u.cap for u in found.used)
        caps = ", ".join(f"{u.count} of {u.cap} {u.window}" for u in found.used)
        yield f"  caps      {'other ones then' if is_other else 'not reached'}: {caps} before it"
    if found.beat:
        lost = [f"{m} (priority {found.priority} over {n})" for m, n in found.beat.items()]
        yield f"  beat      {', '.join(lost)}"
    yield from _course(found)


def _course(found: Exposure) -> Iterator[str]:
    """Where a message went, when it was over, and what has kept such a one back since."""
    for audience in found.handovers:
        told = f", in {audience.audience}"
        told += " where none of her other messages comes first" if audience.is_next else ""
        if audience.state == "held":
            told = f" not yet: {audience.audience} was held, {audience.reason}"
        yield f"  to        {audience.destination}{told}"
    if found.action != "send":
        yield f"  held out  would have got it now: {COUNTED[str(found.reason)]}"
        yield f"  until     {NEEDS[str(found.reason)]}"
    elif found.send_after:
        yield f"  sent      not before {_moment(found.send_after)}"
    if found.ended_at:
        why = str(found.ended_because)
        yield f"  over      {_moment(found.ended_at)}: {_ENDED.get(why, COUNTED.get(why))}"
    for later in found.later:
        run = f": held from run {later.run:04} on" if later.run else ""
        others = f", all {later.contacts} contacts with this address" if later.contacts > 1 else ""
        yield f"  since     {_moment(later.since)} {later.what}{run}{others}"


def _allowed(found: Exposure) -> str:
    if found.is_contract:
        return "it is owed by contract, and asks for no consent"
    shared = f"no refusal by anybody with this address before {found.as_of:%Y-%m-%d}"
    return f"{found.consent}; {shared}" if found.consent else f"it asks for no consent; {shared}"


def _done(found: Exposure) -> str:
    done = "SENT" if found.action == "send" else "HELD OUT"
    variant = f", variant {found.variant}" if found.variant else ""
    return f"{done} {found.message} by {found.channel}{variant}"


def _messages(found: Story) -> Iterator[str]:
    """A contact's messages in a few lines: what is live, what was, and what she did not get."""
    live = [e for e in found.exposures if e.is_live]
    yield ""
    yield "Messages" if found.exposures or found.decisions else "Messages  none so far"
    for exposure in live:
        yield f"  {exposure.message:<32}live by {exposure.channel} since {_moment(exposure.as_of)}"
    for exposure in [e for e in found.exposures if not e.is_live][:_SHOWN]:
        done = "sent" if exposure.action == "send" else "held out"
        yield f"  {exposure.message:<32}{done} by {exposure.channel}, {_moment(exposure.as_of)}"
    sent = {e.message for e in live}
    held = {d.message: d for d in found.decisions if d.reason and d.message not in sent}
    for decision in list(held.values()):
        yield f"  {decision.message:<32}held: {decision.because}"


def _stay(stay: Stay) -> str:
    until = f" until {_moment(stay.until)}" if stay.until else ""
    return f"since {_moment(stay.since)}" if not until else f"from {_moment(stay.since)}{until}"


def _clause(clause: Judged, indent: str) -> Iterator[str]:
    """A clause with its mark, what it found, and what it is made of."""
    mark, said = _MARKS[clause.verdict], _said(clause)
    text = {"or": "any of:", "and": "all of:"}.get(clause.kind, clause.text)
    yield f"{indent}{mark} {text:<44}{'  ' if said else ''}{said}".rstrip()
    for part in clause.parts:
        yield from _clause(part, f"{indent}    ")
    for branch in clause.behind:
        yield from _branch(branch, f"{indent}    ")


def _said(clause: Judged) -> str:
    """`active_days_28 is 3, needs at least 8`."""
    if clause.why:
        return f"not taken apart: {clause.why}"
    if clause.kind == "row":
        return "" if clause.verdict else "none"
    values = [f"{name} is {'null' if v is None else v}" for name, v in clause.values.items()]
    needs = [f"needs {clause.needs}"] if clause.needs else []
    unknown = ["so that nobody can tell"] if clause.verdict is None and not clause.parts else []
    return ", ".join([*values, *unknown, *needs]) if not clause.parts else ""


def _branch(branch: Branch, indent: str) -> Iterator[str]:
    where = f" (in {branch.model})" if branch.model else ""
    yield f"{indent}{branch.result} {_PLACES[branch.place]}{where}"
    yield from _clause(branch.condition, f"{indent}  ")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


# ── a segment ─────────────────────────────────────────────────────────────────────────────────


def _profile(found: Profile) -> Iterator[str]:
    share = f", {found.members / found.everyone:.1%} of everyone" if found.everyone else ""
    if found.persona:
        yield f"{found.persona}: {found.segment}"
    else:
        yield found.segment
    yield from (f"  {line}" for line in found.description.strip().splitlines())
    yield f"  {found.members:,} members{share}, as of {_moment(found.standing.as_of)}"
    yield from _standing(found.standing)
    if not found.persona:
        yield from _funnel(found)
        yield from _overlaps(found)
    yield from _traits(found)


def _funnel(found: Profile) -> Iterator[str]:
    yield ""
    yield f"{'pass':>10}{'keeps out':>12}{'without it':>12}  clause"
    for count in found.clauses:
        why = f" (not taken apart: {count.why})" if count.why else ""
        yield f"{count.passes:>10,}{count.keeps_out:>12,}{count.without:>12,}  {count.sql}{why}"


def _overlaps(found: Profile) -> Iterator[str]:
    if found.overlaps:
        yield ""
        yield f"{'Also in':<48}{'both':>10}{'of these':>12}{'of those':>12}{'jaccard':>10}"
    for other in found.overlaps:
        yield (
            f"  {other.segment:<46}{other.both:>10,}{other.of_this:>12.0%}{other.of_other:>12.0%}"
            f"{other.jaccard:>10.2f}"
        )


def _traits(found: Profile) -> Iterator[str]:
    values = [
        (
            f"{v.column} {'is null' if v.value is None else v.value}",
            f"{v.members:.0%}",
            f"{v.everyone:.0%}",
        )
        for v in found.values
    ]
    medians = [(m.column, _number(m.members), _number(m.everyone)) for m in found.medians]
    for title, rows in (("More or less often than everyone", values), ("Medians", medians)):
        if rows:
            yield f"\n{title:<48}{'members':>10}{'everyone':>12}"
        yield from (f"  {name:<46}{inside:>10}{outside:>12}" for name, inside, outside in rows)


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:,.10g}"


def backtest_lines(found: list[Backtest]) -> Iterator[str]:
    """Definitions side by side: a line per moment, then how long contacts stay, then notes."""
    names, rows = ["as of"], [[str(point.as_of)] for point in found[0].points]
    for number, one in enumerate(found, 1):
        behind = f" {number}" if len(found) > 1 else ""
        names += [f"{name}{behind}" for name in ("members", "entered", "left", "back")]
        for row, point in zip(rows, one.points, strict=True):
            counts = (point.members, point.entered, point.left, point.back)
            row += ["\N{EN DASH}" if count is None else f"{count:,}" for count in counts]
    yield from table(names, [tuple(row) for row in rows])
    for number, one in enumerate(found, 1):
        yield ""
        yield f"{number}  {one.definition}" if len(found) > 1 else one.definition
        yield f"   {one.stays:,} stays of {one.contacts:,} contacts, {one.flapping:,} came back"
        if one.median_days is not None:
            yield f"   {one.ended:,} stays began and ended: {one.median_days} days in the median"
        yield from (f"   {note}" for note in one.notes)
