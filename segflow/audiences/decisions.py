"""Memberships and messages in; for every candidate one decision with one reason out.

`segments.decisions` has the latest run's decisions, `segments.decision_counts` how many every run
made, `segments.next_message` what is live. What was sent or held out goes to `segflow.exposures`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from segflow.audiences import exposures
from segflow.audiences.candidates import CANDIDATES, Candidates, draw, joins_of
from segflow.audiences.choosing import DISPLACED, KEPT, LIMITED, SLOTS, choose
from segflow.audiences.exposures import NEW, PAST
from segflow.audiences.history import listed
from segflow.audiences.membership import Evaluation
from segflow.audiences.people import NUMBER, PEOPLE
from segflow.audiences.policies import POLICIES
from segflow.compile.graph import CONSENTS, Graph
from segflow.compile.lineage import Stale
from segflow.compile.relations import interval, literal, quoted, timestamp
from segflow.engines.base import SCRATCH, Session
from segflow.project.nodes import Holdout, Message

_NOBODY = Holdout(percent=0, salt="")
_HELD_OUT = ("control_group", "holdout")

# Who was chosen, and is held out or not; what they are told.
_DRAWN, _TOLD = f"{SCRATCH}.drawn", f"{SCRATCH}.told"


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
    _list_questions(candidates, evaluation)
    exposures.take_up(session, graph, evaluation.as_of, merges, waiting)
    candidates.ask()
    choose(candidates)
    _draw(candidates)
    _tell(candidates)
    _write(candidates, evaluation)
    exposures.carry_out(session, evaluation.as_of, waiting)
    priorities = [(m.name, m.priority) for m in candidates.messages]
    exposures.write_next(session, evaluation.as_of, priorities)
    return _count(candidates)


def _list_questions(candidates: Candidates, evaluation: Evaluation) -> None:
    """A table with one row per message and channel: its number and what decisions go by."""
    rows = "".join(
        f", ({candidates.numbers[m.name, name]}, {turn}, {literal(m.name)}, {literal(name)},"
        f" {literal(m.goal)}, {m.on_all_channels}, {m.holdout},"
        f" {candidates.purposes[m.purpose].is_contract}, {m.priority}, {_list(m.tags)},"
        f" {literal(m.purpose)}, {interval(m.lasts or candidates.channels[name].lasts)},"
        f" {literal(_fingerprint(m, evaluation))})"
        for turn, m in enumerate(candidates.messages)
        for name in m.channels
    )
    # VALUES has at least one row: that of no question.
    nothing = "(null, null, '', '', '', false, 0, false, 0, []::varchar[], '', interval '0 d', '')"
    candidates.session.execute(
        f"create or replace table segments.messages as from (values {nothing}{rows}) as listed"
        " (question, turn, message, channel, goal, on_all, holdout, is_contract, priority, tags,"
        " purpose, lasts, fingerprint) where question is not null"
    )
    candidates.session.execute(
        "comment on table segments.messages is 'The messages that the latest run decided on, in the"
        " order of their turns. One row per message and channel.'"
    )


def _draw(candidates: Candidates) -> None:
    """Who is held out is drawn from those who were chosen, account by account where it is so."""
    holdout = candidates.graph.project.holdout or _NOBODY
    unit = "cast(contact_id as varchar)"
    account = "cast(account_id as varchar)" if "account_id" in candidates.columns else "null"
    if holdout.unit == "account":
        unit = f"coalesce({account}, {unit})"
    control = f"{draw(literal(holdout.salt), 'unit_id')} < {round(holdout.percent * 100)}"
    held_out = f"{draw('messages.message', 'cast(chosen.contact_id as varchar)')} < holdout * 100"
    before = f"from {PAST} where not is_contract"
    candidates.session.execute(
        f"create or replace table {_DRAWN} as with chosen as (select question, who, contact_id,"
        f" {account} as account_id, {unit} as unit_id from {SLOTS} join {PEOPLE} on who = {NUMBER}"
        " where live is null), units as (select unit_id, bool_or(is_control) as was_control"
        f" {before} and unit_id in (select unit_id from chosen) group by unit_id),"
        f" controls as (select distinct contact_id {before} and is_control),"
        # Who has been through the draw of a message stays where it put her.
        f" former as (select message, contact_id, bool_or(reason is not null) as was_held_out"
        f" {before} and message in (select message from segments.messages where holdout > 0)"
        " and reason is distinct from 'control_group' and contact_id in"
        " (select contact_id from chosen) group by all)"
        # Of two who were merged into one, or whose accounts were, the stricter draw stays.
        " select question, who, chosen.account_id, chosen.unit_id, not is_contract and"
        " (controls.contact_id is not null or coalesce(units.was_control,"
        f" {control})) as is_control, case when is_control then 'control_group'"
        f" when holdout > 0 and coalesce(was_held_out, {held_out}) then 'holdout' end as reason"
        " from chosen join segments.messages using (question) left join units using (unit_id)"
        " left join controls on chosen.contact_id = controls.contact_id"
        " left join former on chosen.contact_id = former.contact_id"
        " and messages.message = former.message"
    )


def _tell(candidates: Candidates) -> None:
    """The payload of whom was chosen, and the evidence of the segment that she is in, as text."""
    session, contact = candidates.session, candidates.columns["contact_id"]
    texts = "map(varchar, varchar)"
    session.execute(
        f"create or replace table {_TOLD} (question integer, who bigint, contact_id {contact},"
        f" variant varchar, send_after timestamp, local_date date, segment varchar,"
        f" entered_at timestamp, evidence {texts}, payload {texts})"
    )
    for message in candidates.messages:
        told = _told(candidates, message)
        if told:
            session.execute(f"insert into {_TOLD} {told}")


def _told(candidates: Candidates, message: Message) -> str | None:
    """A SELECT of what a message tells whom it has chosen; None where it waits on all channels."""
    asked = [name for name in message.channels if not candidates.behind[message.name, name]]
    if not asked:
        return None
    purpose, channel = candidates.purposes[message.purpose], candidates.channels[asked[0]]
    members = candidates.people.members(channel, purpose, message.goal)
    payload = _map(candidates.payload(message, candidates.evidence(message)))
    evidence, joins = _evidence(candidates, message)
    questions = ", ".join(str(candidates.numbers[message.name, name]) for name in asked)
    return (
        "select question, who, members.contact_id, variant, send_after, local_date, segment,"
        f" entered_at, {evidence}, {payload} from (select candidates.*,"
        " members.* exclude (who, contact_id, segment, entered_at)"
        f" from (from {CANDIDATES} where question in ({questions})) as candidates"
        f" join {_DRAWN} using (question, who)"
        f" join ({candidates.first(message, members)}) as members using (who)) as members{joins}"
    )


def _evidence(candidates: Candidates, message: Message) -> tuple[str, str]:
    """The evidence of the segment that one of `members` is in, and the joins that bring it."""
    tables = {
        quoted(f"evidence of {name}"): (name, table, candidates.columns_of(table))
        for name, table in candidates.rows_of(message.segments).items()
    }
    parts = " ".join(
        f"when segment = {literal(name)} then "
        + _map({c: f"cast({alias}.{quoted(c)} as varchar)" for c in columns if c != "contact_id"})
        for alias, (name, _, columns) in tables.items()
    )
    joins = joins_of(
        {alias: (table, set(columns)) for alias, (_, table, columns) in tables.items()}
    )
    return (f"case {parts} end" if parts else "null"), joins


def _map(texts: Mapping[str, str]) -> str:
    keys, values = ", ".join(map(literal, texts)), ", ".join(texts.values())
    return f"map([{keys}]::varchar[], [{values}]::varchar[])"


def _write(candidates: Candidates, evaluation: Evaluation) -> None:
    session = candidates.session
    session.execute(_decided(candidates, evaluation))
    session.execute(
        "create table if not exists segments.decision_counts (run integer, as_of timestamp,"
        " as_of_date date, message varchar, channel varchar, action varchar, reason varchar,"
        " contacts bigint)"
    )
    session.execute(_VIEW)
    session.execute(
        "create or replace table segments.decision_counts as select * from"
        f" segments.decision_counts where as_of < {candidates.moment} union all"
        " select run, as_of, cast(as_of as date), message, channel, action, reason, count(*)"
        " from segments.decisions group by all order by all"
    )
    session.execute(
        "comment on view segments.decisions is 'What the latest run decided, and why. One row per"
        " message, channel and contact in one of the message''s segments.'"
    )
    session.execute(f"create or replace table {NEW} as {_exposed(candidates, evaluation)}")


def _decided(candidates: Candidates, evaluation: Evaluation) -> str:
    """Every candidate with its one reason: what holds her by herself, else what she lost to."""
    was_live = "held.live = displaced.live and held.reason = 'already_live'"
    return (
        "create or replace table segments.decided as with"
        # Who got the message elsewhere, and what has the slot.
        f" elsewhere as (select turn, who, min(channel) as won_on from {_DRAWN}"
        " join segments.messages using (question) group by all),"
        f" slots as (select slots.*, message as has_slot from {SLOTS} as slots"
        " join segments.messages using (question)),"
        " weighed as (select candidates.*, holdout, won_on,"
        " limited.detail as over, kept.since, coalesce(now.has_slot, slots.has_slot) as has_slot,"
        " kept.who is not null or slots.who = candidates.who as is_hers,"
        " slots.live is not null as was_there, case when drawn.who is not null then drawn.reason"
        " when now.live = kept.live then 'already_live' when kept.who is not null then 'lost'"
        " when won_on is not null and not on_all then 'preferred_channel'"
        " when limited.detail is not null then 'limit' else 'lost' end as because"
        f" from (from {CANDIDATES} where reason is null union all from {CANDIDATES} as held"
        f" semi join {DISPLACED} as displaced on {was_live}) as candidates"
        " join segments.messages using (question)"
        f" left join {_DRAWN} as drawn using (question, who)"
        " left join elsewhere using (turn, who)"
        f" left join {LIMITED} as limited using (turn, who)"
        f" left join {KEPT} as kept using (turn, who) left join slots as now"
        " on kept.slot = now.slot"
        " left join slots on candidates.slot = slots.slot),"
        " reasoned as (select question, contact_id, variant, send_after, segment, entered_at,"
        f" reason, null as lost_to, detail from {CANDIDATES} as held anti join {DISPLACED}"
        f" as displaced on {was_live} where reason is not null union all"
        " select question, contact_id, variant, send_after, segment, entered_at, because,"
        " case because when 'lost' then has_slot end,"
        " case because when 'lost' then case when has_slot is null then"
        " 'another contact with this address goes first' when not is_hers then"
        " 'another contact with this address gets ' || has_slot when was_there then"
        " has_slot || ' came before it, and keeps its place while it is live'"
        " else has_slot || ' comes first' end"
        " when 'holdout' then holdout || ' %' when 'preferred_channel' then won_on"
        " when 'limit' then over when 'already_live' then since end from weighed)"
        f" select {evaluation.run} as run, {candidates.moment} as as_of, * from reasoned"
    )


def _exposed(candidates: Candidates, evaluation: Evaluation) -> str:
    """Who was chosen, sent or held out, with all that has to be known of it later."""
    said, statements = _statements(candidates)
    commit = literal(evaluation.git_commit) if evaluation.git_commit else "null"
    return (
        "with beaten as (select lost_to as message, channel, contact_id,"
        " map_from_entries(list_sort(list(row(messages.message, priority)))) as beat"
        " from segments.decided join segments.messages using (question)"
        " where lost_to is not null group by all)"
        f" select {_ID} as decision_id, {evaluation.run} as run, decided.as_of, contact_id,"
        " account_id, message, goal, channel, variant,"
        " case when reason is null then 'send' else 'hold' end as action, reason, priority, tags,"
        " is_contract, unit_id, is_control, send_after, local_date,"
        " coalesce(send_after, decided.as_of) + lasts as lasts_until, segment, entered_at,"
        f" evidence, payload, {said} as consent, beat, fingerprint, {commit} as git_commit"
        f" from (select {candidates.moment} as as_of, * from {_TOLD} join {_DRAWN}"
        f" using (question, who) join segments.messages using (question)) as decided"
        f" left join beaten using (message, channel, contact_id){statements}"
    )


def _statements(candidates: Candidates) -> tuple[str, str]:
    """What a contact said that a message relies on, as text, and the join that finds it."""
    node = candidates.graph.find(CONSENTS)
    table = candidates.standing(node)
    if table is None:
        return "null", ""
    words = {
        "recorded_at": "' of ' || cast(said.recorded_at as date)",
        "source": "', source ' || said.source",
    }
    known = sorted(words.keys() & set(candidates.columns_of(table)))
    told = "".join(f" || coalesce({words[column]}, '')" for column in known)
    newest = "".join(f", max({column}) as {column}" for column in known)
    return f"said.purpose || ' consent'{told}", (
        f" left join (select contact_id, channel, purpose{newest} from {table} where is_granted"
        " group by all) as said using (contact_id, channel, purpose)"
    )


def _fingerprint(message: Message, evaluation: Evaluation) -> str:
    """That of a message's definition: all that it says, and its segments'."""
    said = [getattr(message, name) for name in message.__struct_fields__ if name != "origin"]
    read = [evaluation.fingerprints.get(name) for name in (*message.segments, *message.exclude)]
    return hashlib.blake2b(repr((said, read)).encode(), digest_size=8).hexdigest()


def _list(names: Iterable[str]) -> str:
    names = list(names)
    return f"[{listed(names) if names else ''}]::varchar[]"


def _count(candidates: Candidates) -> Decided:
    rows = candidates.session.rows(
        "select reason, count(*) from segments.decided group by all order by 2 desc, 1"
    )
    behind = {
        m.name: [candidates.behind[m.name, c] for c in m.channels] for m in candidates.messages
    }
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
    " contact_id, message, goal, channel, variant,"
    " case when reason is null then 'send' else 'hold' end as action, reason, lost_to, send_after,"
    f" {_sentence()} as because from segments.decided join segments.messages using (question)"
)
