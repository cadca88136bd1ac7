"""One contact in; what her messages stood on then, and what has changed since, out.

It goes by what was kept: the evidence of an exposure, all exposures, statements of consent, stays
in segments. Definitions and caps are those of the project now.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache

from segflow.audiences.history import listed, merges_of
from segflow.audiences.permission import PROFILING, address_sql, suppressing
from segflow.audiences.policies import counts, used
from segflow.compile.definitions import Clause, Definitions, questions
from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.relations import at, literal, quoted, timestamp
from segflow.engines.base import EngineError, Session
from segflow.project.nodes import Audience, Channel, Message
from segflow.questions.judging import compared_columns, needs

# The field of user types that has a contact's live messages.
_NEXT = "next_message"
Evidence = dict[str, str | None]


@dataclass(frozen=True)
class Rules:
    """What had to be so for a segment; `is_edited` where these are of now, and others were then."""

    conditions: tuple[str, ...]
    is_edited: bool


@dataclass(frozen=True)
class Used:
    """How many messages an address had had of those that a cap counts."""

    count: int
    cap: int
    window: str


@dataclass(frozen=True)
class Handover:
    """The audience that a message was put into, for a destination; `state` is that of its step.

    `is_next` where the audience has only the first of a contact's live messages.
    """

    audience: str
    destination: str
    state: str
    reason: str
    is_next: bool


@dataclass(frozen=True)
class Later:
    """What keeps such a message back since then, and from which run on; `contacts` share it."""

    since: datetime
    what: str
    run: int | None
    contacts: int


def ids_of(session: Session, graph: Graph, contacts: list[str]) -> list[str]:
    """The ids of contacts, and those that were merged into them."""
    merges = merges_of(session, graph)
    if merges is None:
        return contacts
    rows = session.rows(
        f"select cast(merged_contact_id as varchar) from {merges} as merges"
        f" where cast(contact_id as varchar) in ({listed(contacts)}) order by 1"
    )
    return [*contacts, *(row[0] for row in rows)]


class Grounds:
    """What is kept about the messages of one contact."""

    def __init__(self, session: Session, graph: Graph, contact: str):
        self._session, self._graph, self._contact = session, graph, contact
        self._channels = {channel.name: channel for channel in graph.project.channels}
        self._messages = {message.name: message for message in graph.project.messages}
        self._sharing = cache(self._sharing_address)

    def _sharing_address(self, channel: str) -> list[str]:
        """All contacts with her address, she among them."""
        if channel not in self._channels:
            return [self._contact]
        address = address_sql(self._channels[channel])
        contacts = self._graph.relations[str(self._graph.find(CONTACTS))]
        rows = self._session.rows(
            "with people as (select cast(contact_id as varchar) as contact_id,"
            f" {address} as address from {contacts} as contacts) select contact_id from people"
            " where address = (select address from people"
            f" where contact_id = {literal(self._contact)}) order by 1"
        )
        return [row[0] for row in rows] or [self._contact]

    # ── what a message stood on ───────────────────────────────────────────────────────────────

    def rules(
        self, definitions: Definitions, segment: str, as_of: datetime, evidence: Evidence
    ) -> Rules | None:
        """The conditions of a segment, judged on evidence that was kept as far as that tells."""
        if segment not in self._graph.segments:
            return None
        then = self._session.rows(
            "select fingerprint from segments.evaluations where"
            f" segment = {literal(segment)} and as_of <= {timestamp(as_of)}"
            " order by as_of desc limit 1"
        )
        definition, found = definitions.of(segment), []
        judge = _Judge(self._session, self._rows(segment, evidence), as_of)
        for clause in definition.clauses:
            told = judge.told(clause) or ([] if clause.kind == "row" else [clause.text])
            found += [line for line in told if line not in found]
        for column in compared_columns(definition) & evidence.keys():
            chosen, arms = f"{column} is {evidence[column]}", definitions.behind(column).arms
            taken = [a.condition.text for a in arms if a.result == f"'{evidence[column]}'"]
            if taken and chosen in found:
                found[found.index(chosen)] += f": {', or '.join(taken)}"
        is_edited = not then or then[0][0] != definitions.fingerprint(segment)
        return Rules(tuple(found), is_edited)

    def _rows(self, segment: str, evidence: Evidence) -> str:
        """The evidence as a row with the types that the segment's columns have."""
        relation = self._graph.relations[self._graph.segments[segment].id]
        values = [
            f"try_cast({'null' if evidence[name] is None else literal(str(evidence[name]))}"
            f" as {kind}) as {quoted(name)}"
            for name, kind in self._session.columns(f"select * from {relation}")
            if name in evidence
        ]
        return f"select {', '.join(values) or '1'}"

    def used(
        self, channel: str, goal: str, tags: list[str], day: date, as_of: datetime
    ) -> tuple[Used, ...]:
        """How much of the channel's caps was used up before a run, on the day of going out."""
        caps = self._channels[channel].frequency_cap if channel in self._channels else ()
        caps = tuple(cap for cap in caps if counts(cap, goal, tags))
        if not caps:
            return ()
        counted = ", ".join(used(cap, f"date '{day}'") for cap in caps)
        row = self._session.rows(f"select {counted} from ({self._had(channel, as_of)}) as past")[0]
        return tuple(Used(n, c.count, c.window) for n, c in zip(row, caps, strict=True))

    def _had(self, channel: str, as_of: datetime) -> str:
        """The exposures of her address before a moment that caps count."""
        ids = listed(ids_of(self._session, self._graph, self._sharing(channel)))
        return (
            f"select * from segflow.exposures where cast(contact_id as varchar) in ({ids})"
            f" and channel = {literal(channel)} and not is_contract and as_of < {timestamp(as_of)}"
        )

    def latest(self, channel: str, as_of: datetime) -> dict[str, date]:
        """The latest that caps count of her address before a moment, and their days."""
        had = self._had(channel, as_of)
        return dict(
            self._session.rows(
                "select if(action = 'send', '', 'held out of ') || message, max(local_date)"
                f" from ({had}) group by all order by 2 desc, 1 limit 5"
            )
        )

    def handovers(self, message: str, channel: str, run: int) -> tuple[Handover, ...]:
        """The audiences that hold a message, as the run that decided built them."""
        found = {
            audience.id: audience
            for audience in self._graph.project.audiences
            if audience.channel == channel and _hands_over(audience, message)
        }
        rows = self._session.rows(
            "select node, status, reason from segflow.steps"
            f" where run = {run} and node in ({listed(found)}) order by node"
        )
        return tuple(
            Handover(a.name, a.destination, status, reason, bool(a.user_types))
            for a, status, reason in ((found[node], *told) for node, *told in rows)
        )

    def needs_consent(self, channel: str) -> bool:
        return channel not in self._channels or self._channels[channel].needs_consent

    # ── what was said, and what came later ────────────────────────────────────────────────────

    def refusals(self, message: str, channel: str) -> tuple[tuple[datetime | None, str], ...]:
        """What anybody with her address refuses of what a message asks, and since when."""
        consents = self._graph.relations.get(str(self._graph.find(CONSENTS)))
        if consents is None or message not in self._messages or channel not in self._channels:
            return ()
        columns = {name.lower() for name, _ in self._session.columns(f"select * from {consents}")}
        when = "recorded_at" if "recorded_at" in columns else "null::timestamp"
        source = "', source ' || source" if "source" in columns else "''"
        asked = f"purpose = {literal(self._messages[message].purpose)}"
        if not self._channels[channel].needs_consent:
            asked = "false"
        rows = self._session.rows(
            f"select {when} as since, 'refuses ' || purpose || coalesce({source}, '') as what"
            f" from {consents} where is_granted is not true"
            f" and cast(contact_id as varchar) in ({listed(self._sharing(channel))})"
            f" and (purpose = {literal(PROFILING)} or (channel = {literal(channel)} and {asked}))"
            " group by all order by since, what"
        )
        return tuple((row[0], row[1]) for row in rows)

    def later(self, message: str, channel: str, as_of: datetime) -> tuple[Later, ...]:
        """What has kept such a message back since a moment: refusals, segments that get none."""
        if message not in self._messages or channel not in self._channels:
            return ()
        sharing = self._sharing(channel)
        said, where = self._messages[message], self._channels[channel]
        found = [
            Later(since, what, self._run_from(since), len(sharing))
            for since, what in self.refusals(message, channel)
            if since is not None and since > as_of
        ]
        found += self._entered(said, where, as_of)
        return tuple(sorted(found, key=lambda later: (later.since, later.what)))

    def _entered(self, message: Message, channel: Channel, as_of: datetime) -> list[Later]:
        """Stays, which last, in segments that a message leaves out or a channel does not serve."""
        purpose = next(p for p in self._graph.project.purposes if p.name == message.purpose)
        sharing = self._sharing(channel.name)
        suppressed = suppressing(channel, purpose, message.goal)
        rows = self._session.rows(
            "select segment, min(entered_at), min(entered_run),"
            f" segment in ({listed(suppressed)}) from segments.memberships"
            f" where entered_at > {timestamp(as_of)} and ((segment in ({listed(suppressed)})"
            f" and cast(contact_id as varchar) in ({listed(sharing)}))"
            f" or (segment in ({listed(message.exclude)})"
            f" and cast(contact_id as varchar) = {literal(self._contact)})) group by segment"
        )
        return [
            Later(since, f"in {segment}, which gets none", run, len(sharing) if is_shared else 1)
            for segment, since, run, is_shared in rows
        ]

    def _run_from(self, moment: datetime) -> int | None:
        """The first run that could know of a moment."""
        rows = self._session.rows(
            f"select min(run) from segflow.runs where as_of >= {timestamp(moment)}"
        )
        return rows[0][0] if rows else None


def _hands_over(audience: Audience, message: str) -> bool:
    """Whether an audience tells its tool of a message."""
    tells_next = bool(audience.user_types) and _NEXT in (column for _, column in audience.fields)
    return tells_next or audience.messages == "all" or message in audience.messages


class _Judge:
    """Judges conditions on one row of evidence."""

    def __init__(self, session: Session, row: str, as_of: datetime):
        self._session, self._row, self._as_of = session, row, as_of

    def told(self, clause: Clause) -> list[str]:
        """In words, what of a condition was so; nothing where the evidence does not tell."""
        if clause.kind == "test":
            return self._test(clause)
        parts = [self.told(part) for part in clause.parts]
        if clause.kind == "and" and not all(parts):
            return []
        return [" and ".join(part) for part in parts if part]

    def _test(self, clause: Clause) -> list[str]:
        values = (*clause.operands, *clause.reads)
        tables = dict.fromkeys(value.sql.partition(".")[0] for value in clause.reads)
        rows = ", ".join(f"evidence as {table}" for table in tables) or "evidence"
        asked = ", ".join(questions((clause,)))
        # What asks for more than the evidence does not bind.
        with suppress(EngineError):
            query = f"with evidence as ({self._row}) select [{asked}] from {rows}"
            verdict, *found = self._session.rows(at(query, self._as_of))[0][0]
            answers = list(zip(values, found[::2], found[1::2], strict=True))
            if verdict == "true" and len(clause.operands) > 1:
                first, wanted = answers[0], needs(clause, answers)
                more = f" ({wanted})" if wanted not in ("", first[1]) else ""
                return [f"{first[0].text} is {first[1]}{more}"]
            return [clause.text] if verdict == "true" else []
        return []
