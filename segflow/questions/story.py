"""A contact and a message in; what was decided and why out, from what each decision kept.

What was sent or held out is kept for good, with its evidence as it was then. Why somebody was held
is kept of the latest run; of earlier runs there are only counts (`segments.decision_counts`).
"""

from dataclasses import dataclass
from datetime import datetime

from segflow.compile.graph import Graph
from segflow.compile.relations import literal, timestamp
from segflow.engines.base import Session
from segflow.errors import ProjectError, WorkspaceError, did_you_mean


@dataclass(frozen=True)
class Exposure:
    """A message that was sent to a contact, or held out. `because` is the evidence as it was.

    `consent` is the statement that it relied on; `ended_because` why it was over before its time.
    """

    message: str
    channel: str
    variant: str | None
    action: str
    reason: str | None
    run: int
    as_of: datetime
    send_after: datetime | None
    segment: str
    entered_at: datetime
    consent: str | None
    ended_at: datetime | None
    ended_because: str | None
    is_live: bool
    because: dict[str, str | None]


@dataclass(frozen=True)
class Decision:
    """What the latest run decided on one channel. `beat` are the messages that lost to this one."""

    message: str
    channel: str
    action: str
    reason: str | None
    because: str
    run: int
    as_of: datetime
    beat: list[str]


@dataclass(frozen=True)
class Story:
    """All that is known of a contact and her messages, or one of them, the latest first.

    `is_past` where it was asked how it stood earlier.
    """

    contact: str
    message: str | None
    decisions: tuple[Decision, ...]
    exposures: tuple[Exposure, ...]
    is_past: bool


def tell(
    session: Session,
    graph: Graph,
    contact: str,
    message: str | None,
    until: datetime | None = None,
    run: int | None = None,
) -> Story:
    """The story of a contact and a message, as it stood at a moment or after a run.

    Raises:
        ProjectError: there is no such message, now or before.
        WorkspaceError: no message was decided on yet.
    """
    if session.relation_type("segments", "decisions") is None:
        raise WorkspaceError("no message was decided on yet", hint="segflow run")
    known = {m.name for m in graph.project.messages}
    known |= {row[0] for row in session.rows("select distinct message from segflow.exposures")}
    if message is not None and message not in known:
        hint = did_you_mean(message, known) or "segflow ls --resource-type message"
        raise ProjectError(f"unknown message `{message}`", hint=hint)
    hers = f"cast(contact_id as varchar) = {literal(contact)}"
    if message is not None:
        hers += f" and message = {literal(message)}"
    hers += f" and as_of <= {timestamp(until)}" if until else ""
    hers += f" and run <= {run}" if run is not None else ""
    is_past = until is not None or run is not None
    decisions = _decisions(session, contact, hers)
    return Story(contact, message, decisions, _exposures(session, hers), is_past)


def _decisions(session: Session, contact: str, hers: str) -> tuple[Decision, ...]:
    rows = session.rows(
        "with beaten as (select lost_to, channel, list(distinct message order by message) as names"
        f" from segments.decisions where cast(contact_id as varchar) = {literal(contact)}"
        " and lost_to is not null group by all)"
        " select message, decisions.channel, action, reason, because, run, as_of,"
        " coalesce(names, [])"
        " from segments.decisions as decisions left join beaten on beaten.lost_to = message"
        f" and beaten.channel = decisions.channel where {hers}"
        " order by action desc, message, channel"
    )
    return tuple(Decision(*row) for row in rows)


def _exposures(session: Session, hers: str) -> tuple[Exposure, ...]:
    rows = session.rows(
        "select message, channel, variant, action, sent.reason, run, as_of, send_after, segment,"
        " entered_at, consent, ended_at, ends.reason, decision_id in"
        " (select decision_id from segments.next_message),"
        " coalesce(evidence, map([]::varchar[], []::varchar[]))"
        " from segflow.exposures as sent left join segflow.exposure_ends as ends"
        f" using (decision_id) where {hers} order by as_of desc, message, channel"
    )

    return tuple(Exposure(*row) for row in rows)
