"""A contact, and a message perhaps, in; what was sent or held, and why, as it was kept, out.

What was sent, or held out, is kept for good, with what it stood on. What was held is kept of the
latest run; of earlier runs there are only counts (`segments.decision_counts`).
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime

from segflow.audiences.history import listed
from segflow.audiences.policies import NEEDS
from segflow.compile.definitions import Definitions
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.relations import literal, quoted, timestamp
from segflow.engines.base import Session
from segflow.errors import ProjectError, WorkspaceError, did_you_mean
from segflow.questions.grounds import Grounds, Handover, Later, Rules, Used, ids_of

# A model with a row per account, which may say what an account is called.
_ACCOUNTS, _ACCOUNT_NAME = "accounts", "account_name"
# A digest goes out every week for years: that many of the latest are told in full.
_IN_FULL = 5


@dataclass(frozen=True)
class Exposure:
    """A message that was sent to a contact, or held out, with what was kept of it.

    `evidence` is the segment's, `consent` the statement that it relied on, `beat` has the messages
    that it came before, with their priorities; `ended_because` says why it was over before its
    time. What follows is asked for one message only: `rules` of the segment, what of each cap
    was `used`, the audiences that it went to, and what keeps it back since.
    """

    message: str
    channel: str
    variant: str | None
    action: str
    reason: str | None
    run: int
    as_of: datetime
    send_after: datetime | None
    local_date: date
    goal: str
    tags: list[str]
    priority: int
    is_contract: bool
    segment: str
    entered_at: datetime
    consent: str | None
    ended_at: datetime | None
    ended_because: str | None
    is_live: bool
    evidence: dict[str, str | None]
    beat: dict[str, int]
    rules: Rules | None = None
    used: tuple[Used, ...] = ()
    handovers: tuple[Handover, ...] = ()
    later: tuple[Later, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What the latest run decided on one channel; `needs` is what would have to change.

    `priorities` are those of the message that it lost to, and its own. `refusals` keep her from
    agreeing, `had` counts for a cap; both are asked for one message only.
    """

    message: str
    channel: str
    action: str
    reason: str | None
    because: str
    run: int
    as_of: datetime
    segment: str
    entered_at: datetime
    priorities: list[int] | None
    needs: str | None
    refusals: tuple[tuple[datetime | None, str], ...] = ()
    had: dict[str, date] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """All that is known of a contact and her messages, or one of them, the latest first.

    `who` is how she is called, by column; `is_past` where it was asked how it stood earlier;
    `merged` is the id that was asked for, where that is now this contact.
    """

    contact: str
    message: str | None
    decisions: tuple[Decision, ...]
    exposures: tuple[Exposure, ...]
    is_past: bool
    who: dict[str, str] = field(default_factory=dict)
    merged: str | None = None


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
        ProjectError: there is no such message, now or before; no such run; nothing by then.
        WorkspaceError: no message was decided on yet.
    """
    if session.relation_type("segments", "decisions") is None:
        raise WorkspaceError("no message was decided on yet", hint="segflow run")
    known = {m.name for m in graph.project.messages}
    known |= {row[0] for row in session.rows("select distinct message from segflow.exposures")}
    if message is not None and message not in known:
        hint = did_you_mean(message, known) or "segflow ls --resource-type message"
        raise ProjectError(f"unknown message `{message}`", hint=hint)
    is_past = _is_past(session, until, run)
    hers = f"cast(contact_id as varchar) in ({listed(ids_of(session, graph, [contact]))})"
    if message is not None:
        hers += f" and message = {literal(message)}"
    hers += f" and as_of <= {timestamp(until)}" if until else ""
    hers += f" and run <= {run}" if run is not None else ""
    found = (_decisions(session, contact, hers), _exposures(session, hers))
    return Story(contact, message, *found, is_past)


def _is_past(session: Session, until: datetime | None, run: int | None) -> bool:
    """Whether later runs are left out; raises ProjectError where there was no such run."""
    runs: dict[int, datetime] = dict(
        session.rows("select run, as_of from segflow.runs order by run")
    )
    if run is not None and run not in runs:
        raise ProjectError(f"there is no run {run}", hint=f"the latest is run {max(runs)}")
    first = min(runs.values())
    if until is not None and until < first:
        raise ProjectError(f"nothing was decided by then: the first run was as of {first}")
    latest = max(runs)
    return (run is not None and run < latest) or (until is not None and until < runs[latest])


def in_full(
    session: Session, graph: Graph, definitions: Definitions, story: Story, named: list[str]
) -> Story:
    """The story with all that its latest decisions stood on, and what has changed since.

    Args:
        named: the columns of contacts that say who one is.
    """
    grounds = Grounds(session, graph, story.contact)

    def of_decision(found: Decision) -> Decision:
        place = (found.message, found.channel)
        refusals = grounds.refusals(*place) if found.reason == "no_consent" else ()
        is_capped = found.reason == "frequency_cap"
        had = grounds.latest(found.channel, found.as_of) if is_capped else {}
        return replace(found, refusals=refusals, had=had)

    def of_exposure(found: Exposure) -> Exposure:
        place, day = (found.message, found.channel), found.local_date
        evidence = (found.segment, found.as_of, found.evidence)
        capped = (found.channel, found.goal, found.tags, day, found.as_of)
        return replace(
            found,
            consent=found.consent if grounds.needs_consent(found.channel) else None,
            rules=grounds.rules(definitions, *evidence),
            used=() if found.is_contract else grounds.used(*capped),
            handovers=grounds.handovers(*place, found.run) if found.action == "send" else (),
            later=grounds.later(*place, found.as_of),
        )

    return replace(
        story,
        who=_who(session, graph, story.contact, named),
        decisions=tuple(map(of_decision, story.decisions)),
        exposures=(*map(of_exposure, story.exposures[:_IN_FULL]), *story.exposures[_IN_FULL:]),
    )


def _who(session: Session, graph: Graph, contact: str, named: list[str]) -> dict[str, str]:
    """What a contact is called, and where she belongs: of what the project knows of that."""
    contacts = graph.relations[str(graph.find(CONTACTS))]
    columns = {name.lower() for name, _ in session.columns(f"select * from {contacts}")}
    asked = [*named, *(c for c in ("account_id", "role") if c in columns)]
    values = ", ".join(f"cast(contacts.{quoted(c)} as varchar)" for c in asked)
    account, join = "null", ""
    accounts = graph.relations.get(str(graph.find(_ACCOUNTS)))
    if accounts and "account_id" in columns:
        theirs = {name.lower() for name, _ in session.columns(f"select * from {accounts}")}
        if {"account_id", _ACCOUNT_NAME} <= theirs:
            join = f" left join {accounts} as accounts using (account_id)"
            account = f"accounts.{_ACCOUNT_NAME}"
    rows = session.rows(
        f"select {values}, {account} from {contacts} as contacts{join}"
        f" where cast(contacts.contact_id as varchar) = {literal(contact)}"
    )
    return {c: v for c, v in zip((*asked, _ACCOUNT_NAME), rows[0], strict=True) if v}


def _decisions(session: Session, contact: str, hers: str) -> tuple[Decision, ...]:
    rows = session.rows(
        "select message, channel, action, reason, because, run, as_of, segment, entered_at,"
        " case when beat[message] is not null then [priority, beat[message]] end from"
        f" (select decisions.*, segment, entered_at from segments.decisions as decisions"
        " join segments.messages using (message, channel)"
        " join segments.decided using (question, contact_id)"
        f" where cast(contact_id as varchar) = {literal(contact)}) as decided"
        " left join (select message as lost_to, channel, run, priority, beat"
        f" from segflow.exposures where cast(contact_id as varchar) = {literal(contact)})"
        f" as winners using (lost_to, channel, run) where {hers}"
        " order by action desc, message, channel"
    )
    return tuple(Decision(*(*row, NEEDS.get(row[3]))) for row in rows)


def _exposures(session: Session, hers: str) -> tuple[Exposure, ...]:
    rows = session.rows(
        "select message, channel, variant, action, sent.reason, run, as_of, send_after, local_date,"
        " goal, tags, priority, is_contract, segment, entered_at, consent, ended_at, ends.reason,"
        " decision_id in (select decision_id from segments.next_message),"
        " coalesce(evidence, map([]::varchar[], []::varchar[])),"
        " coalesce(beat, map([]::varchar[], []::integer[]))"
        " from segflow.exposures as sent left join segflow.exposure_ends as ends"
        f" using (decision_id) where {hers} order by as_of desc, message, channel"
    )

    return tuple(Exposure(*row) for row in rows)
