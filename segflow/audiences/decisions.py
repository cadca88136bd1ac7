"""Memberships and messages in; for every candidate one decision with one reason out.

`segments.decisions` has the latest run's decisions, `segments.decision_counts` how many every run
made, `segments.next_message` what is live. What was sent or held out goes to `segflow.exposures`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from segflow.audiences import exposures
from segflow.audiences.candidates import CANDIDATES, Candidates, draw
from segflow.audiences.choosing import LIMITED, SLOTS, WINNERS, choose
from segflow.audiences.exposures import PAST
from segflow.audiences.history import listed
from segflow.audiences.membership import Evaluation
from segflow.audiences.policies import POLICIES
from segflow.compile.graph import CONSENTS, Graph
from segflow.compile.lineage import Stale
from segflow.compile.relations import interval, literal, timestamp
from segflow.engines.base import Session
from segflow.project.nodes import Holdout, Message

_NOBODY = Holdout(percent=0, salt="")
_HELD_OUT = ("control_group", "holdout")


@dataclass(frozen=True)
class Decided:
    """How many candidates were sent a message, held out and held, by reason.

    `behind` has the messages that no channel could decide on, and the ids of what failed; `failed`
    those that failed themselves, and why.
    """

    sent: int
    held_out: int
    held: dict[str, int]
    behind: dict[str, frozenset[str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def candidates(self) -> int:
        return self.sent + self.held_out + sum(self.held.values())


# The same whenever the same is decided for the same moment.
_ID = "md5(concat_ws('|', message, channel, contact_id, decided.as_of))"


def decide(
    session: Session,
    graph: Graph,
    evaluation: Evaluation,
    evaluated: Iterable[str],
    stale: Mapping[str, Stale],
    merges: str | None,
) -> Decided:
    """Decide on all messages of a project, and write down what was decided.

    Args:
        evaluated: the segments whose rows this run has put aside; the others' views are asked.
        stale: the columns that are not up to date, by node.
        merges: a subquery that says where merged ids lead.
    """
    candidates = Candidates(session, graph, timestamp(evaluation.as_of), evaluated, stale)
    exposures.prepare(session, candidates.columns["contact_id"])
    waiting = [place for place, roots in candidates.behind.items() if roots]
    exposures.take_up(session, graph, evaluation.as_of, merges, waiting)
    messages = _in_turn(candidates, graph.project.messages)
    candidates.ask(messages)
    choose(candidates, messages)
    with session.transaction():
        exposures.take_back(session, evaluation.as_of, waiting)
        _write(candidates, messages, evaluation)
        exposures.write_ends(session, evaluation.as_of)
        exposures.write_next(session, evaluation.as_of, [(m.name, m.priority) for m in messages])
    return _count(candidates, messages)


def _in_turn(candidates: Candidates, messages: Iterable[Message]) -> list[Message]:
    def turn(message: Message) -> tuple[bool, int, str]:
        is_contract = candidates.purposes[message.purpose].is_contract
        return not is_contract, -message.priority, message.name

    return sorted(messages, key=turn)


def _write(candidates: Candidates, messages: list[Message], evaluation: Evaluation) -> None:
    session = candidates.session
    session.execute(_decided(candidates, messages, evaluation))
    session.execute(
        "create table if not exists segments.decision_counts (run integer, as_of timestamp,"
        " as_of_date date, message varchar, channel varchar, action varchar, reason varchar,"
        " contacts bigint)"
    )
    session.execute(
        "create or replace table segments.decision_counts as select * from"
        f" segments.decision_counts where as_of < {candidates.moment} union all"
        " select run, as_of, cast(as_of as date), message, channel, action, reason, count(*)"
        " from segments.decided group by all order by all"
    )
    session.execute(_VIEW)
    session.execute(
        "comment on view segments.decisions is 'What the latest run decided, and why. One row per"
        " message, channel and contact in one of the message''s segments.'"
    )
    session.execute(f"insert into segflow.exposures {_exposed(candidates, messages, evaluation)}")


def _decided(candidates: Candidates, messages: list[Message], evaluation: Evaluation) -> str:
    """Every candidate with its one reason; who is held out is drawn from those who were chosen."""
    holdout = candidates.graph.project.holdout or _NOBODY
    unit = "cast(contact_id as varchar)"
    if holdout.unit == "account" and "account_id" in candidates.columns:
        unit = f"coalesce(account_id, {unit})"
    told = ", ".join(
        f"({literal(m.name)}, {literal(m.goal)}, {m.on_all_channels}, {m.holdout},"
        f" {candidates.purposes[m.purpose].is_contract})"
        for m in messages
    )
    control = f"{draw(literal(holdout.salt), 'unit_id')} < {round(holdout.percent * 100)}"
    held_out = f"{draw('message', 'cast(contact_id as varchar)')} < holdout * 100"
    # Without messages there is one of no name: VALUES has at least one row.
    return (
        "create or replace table segments.decided as with"
        " messages (message, goal, on_all, holdout, is_contract) as"
        f" (values {told or '(null::varchar, null::varchar, false, 0, false)'}),"
        f" units as (select unit_id, bool_or(is_control) as was_control from {PAST}"
        " where not is_contract group by unit_id), contacts as (select contact_id,"
        f" bool_or(is_control) as is_out from {PAST} where not is_contract group by contact_id),"
        f" chosen as (select message, channel, contact_id, {unit} as unit_id from {WINNERS}"
        f" join {CANDIDATES} using (message, channel, contact_id)),"
        # Of two who were merged into one, or whose accounts were, the stricter draw stays.
        " drawn as (select chosen.*, not is_contract and (coalesce(is_out, false)"
        f" or coalesce(was_control, {control})) as is_control, {held_out} as is_held_out"
        " from chosen join messages using (message) left join units using (unit_id)"
        " left join contacts using (contact_id)),"
        f" elsewhere as (select message, contact_id, min(channel) as channel from {WINNERS}"
        " group by all), reasoned as (select candidates.*, messages.goal, holdout, unit_id,"
        " is_control, elsewhere.channel as won_on, limited.detail as over, slots.message as slot,"
        " slots.contact_id = candidates.contact_id as is_hers, slots.decision_id as live,"
        " case when candidates.reason is not null then candidates.reason"
        " when drawn.is_control then 'control_group' when drawn.is_held_out then 'holdout'"
        " when drawn.unit_id is not null then null"
        " when elsewhere.channel is not null and not on_all then 'preferred_channel'"
        " when limited.detail is not null then 'limit' else 'lost' end as because"
        f" from {CANDIDATES} as candidates join messages using (message)"
        " left join drawn using (message, channel, contact_id)"
        " left join elsewhere using (message, contact_id)"
        f" left join {LIMITED} as limited using (message, contact_id)"
        f" left join {SLOTS} as slots using (channel, address))"
        f" select {evaluation.run} as run,"
        f" {candidates.moment} as as_of, contact_id, message, goal, channel, variant,"
        " case when because is null then 'send' else 'hold' end as action, because as reason,"
        " case because when 'lost' then slot end as lost_to, send_after, segment, entered_at,"
        " case because when 'lost' then case when slot is null then"
        " 'another contact with this address goes first' when not is_hers then"
        " 'another contact with this address gets ' || slot when live is not null then"
        " slot || ' came before it, and keeps its place while it is live'"
        " else 'gets ' || slot || ' instead' end"
        " when 'holdout' then holdout || ' %' when 'preferred_channel' then won_on"
        " when 'limit' then coalesce(detail, over) else detail end as detail, unit_id, is_control"
        " from reasoned"
    )


def _exposed(candidates: Candidates, messages: list[Message], evaluation: Evaluation) -> str:
    """Who was chosen, sent or held out, with all that has to be known of it later."""
    told = ", ".join(
        f"({literal(m.name)}, {literal(channel)}, {m.priority}, {_list(m.tags)},"
        f" {candidates.purposes[m.purpose].is_contract}, {literal(m.purpose)},"
        f" {interval(m.lasts or candidates.channels[channel].lasts)},"
        f" {literal(_fingerprint(m, evaluation))})"
        for m in messages
        for channel in m.channels
    )
    said, statements = _statements(candidates)
    commit = literal(evaluation.git_commit) if evaluation.git_commit else "null"
    nothing = "(null, null, 0, []::varchar[], false, null, interval '0 days', null)"
    return (
        "with messages (message, channel, priority, tags, is_contract, purpose, lasts,"
        f" fingerprint) as (values {told or nothing})"
        f" select {_ID}, decided.run, decided.as_of, contact_id,"
        " candidates.account_id, message, decided.goal, channel, decided.variant, decided.action,"
        " decided.reason, messages.priority, messages.tags, messages.is_contract,"
        " decided.unit_id, decided.is_control, decided.send_after, candidates.local_date,"
        " coalesce(decided.send_after, decided.as_of) + messages.lasts, decided.segment,"
        f" decided.entered_at, winners.evidence, candidates.payload, {said},"
        f" messages.fingerprint, {commit} from {WINNERS} as winners"
        " join segments.decided as decided using (message, channel, contact_id)"
        f" join {CANDIDATES} as candidates using (message, channel, contact_id)"
        f" join messages using (message, channel){statements}"
        " order by message, channel, contact_id"
    )


def _statements(candidates: Candidates) -> tuple[str, str]:
    """What a contact said that a message relies on, as text, and the join that finds it."""
    node = candidates.graph.find(CONSENTS)
    table = candidates.standing(node)
    if table is None:
        return "null", ""
    known = [c for c in ("recorded_at", "source") if c in candidates.columns_of(table)]
    words = ", ".join(("said.purpose", *(f"said.{column}" for column in known)))
    newest = "".join(f", max({column}) as {column}" for column in known)
    return f"case when said.purpose is not null then concat_ws(', ', {words}) end", (
        f" left join (select contact_id, channel, purpose{newest} from {table} where is_granted"
        " group by all) as said on winners.contact_id = said.contact_id"
        " and winners.channel = said.channel and messages.purpose = said.purpose"
    )


def _fingerprint(message: Message, evaluation: Evaluation) -> str:
    """That of a message's definition: all that it says, and its segments'."""
    said = [getattr(message, name) for name in message.__struct_fields__ if name != "origin"]
    read = [evaluation.fingerprints.get(name) for name in (*message.segments, *message.exclude)]
    return hashlib.blake2b(repr((said, read)).encode(), digest_size=8).hexdigest()


def _list(names: Iterable[str]) -> str:
    names = list(names)
    return f"[{listed(names) if names else ''}]::varchar[]"


def _count(candidates: Candidates, messages: list[Message]) -> Decided:
    rows = candidates.session.rows(
        "select reason, count(*) from segments.decided group by all order by 2 desc, 1"
    )
    behind = {m.name: [candidates.behind[m.name, c] for c in m.channels] for m in messages}
    return Decided(
        sum(count for reason, count in rows if reason is None),
        sum(count for reason, count in rows if reason in _HELD_OUT),
        {reason: count for reason, count in rows if reason and reason not in _HELD_OUT},
        {name: found[0] for name, found in behind.items() if all(found)},
        candidates.failed,
    )


def _sentence() -> str:
    whens = " ".join(
        f"when {literal(p.reason)} then replace({literal(p.says)}, '{{detail}}',"
        " coalesce(detail, ''))"
        for p in POLICIES
    )
    return f"case reason {whens} else 'is in ' || segment || ' since ' || entered_at::date end"


_VIEW = (
    f"create or replace view segments.decisions as select {_ID} as decision_id, run, as_of,"
    " contact_id,"
    " message, goal, channel, variant, action, reason, lost_to, send_after,"
    f" {_sentence()} as because from segments.decided"
)
