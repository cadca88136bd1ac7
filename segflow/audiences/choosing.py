"""Candidates whom nothing holds in; who of them gets which message out, at most one per slot.

Messages choose in turn, what is owed by contract first, then by priority and name. A message that
is live keeps its place; only what is owed by contract takes it from one that is not.
"""

from segflow.audiences import exposures
from segflow.audiences.candidates import CANDIDATES, Candidates
from segflow.audiences.exposures import LIVE, PAST
from segflow.audiences.people import NUMBER, PEOPLE
from segflow.audiences.policies import since
from segflow.compile.relations import interval, literal
from segflow.engines.base import SCRATCH
from segflow.project.nodes import Limit, Message

# Which question's message each slot has, and whose it is: `live` is its number where it was there
# before, which those are not that were displaced. By a message's turn: who is over its limit, and
# who has it live on one of its channels where that is enough.
SLOTS, DISPLACED = f"{SCRATCH}.slots", f"{SCRATCH}.displaced"
LIMITED, KEPT = f"{SCRATCH}.limited", f"{SCRATCH}.kept"
_FREE, _CHOSEN = f"{SCRATCH}.free", f"{SCRATCH}.chosen"

# Which of several colleagues gets a message that an account gets few of.
_BY_ROLE = "list_position(['owner', 'admin', 'billing', 'member'], role)"
_AS_DRAWN = "md5(cast(contact_id as varchar))"


def choose(candidates: Candidates) -> None:
    """Fill SLOTS and LIMITED."""
    session = candidates.session
    _keep_live(candidates)
    # Of contacts who share an address one goes first, as drawn.
    session.execute(
        f"create or replace table {_FREE} as with free as (select question, who, slot, best,"
        f" contact_id from {CANDIDATES} join segments.messages using (question)"
        f" anti join {KEPT} using (turn, who) where reason is null),"
        " shared as (select question, slot from free group by all having count(*) > 1),"
        " later as (select question, who from free semi join shared using (question, slot)"
        f" qualify row_number() over (partition by question, slot order by {_AS_DRAWN}) > 1)"
        " select question, who, slot, best from free anti join later using (question, who)"
    )
    session.execute(f"create or replace table {LIMITED} (turn integer, who bigint, detail varchar)")
    for turn, message in enumerate(candidates.messages):
        _choose(candidates, turn, message)
    session.execute(
        f"create or replace table {DISPLACED} as select live from {LIVE} anti join {SLOTS}"
        " using (live)"
    )
    exposures.end(session, f"select live, 'displaced' as reason from {DISPLACED}")


def _keep_live(candidates: Candidates) -> None:
    """What is live keeps its place, unless its candidate is none any more or may not have it."""
    asked = f"select live, reason from {CANDIDATES} where live is not null"
    exposures.end(
        candidates.session,
        f"select live, coalesce(asked.reason, 'left') as reason from {LIVE} left join ({asked})"
        " as asked using (live)"
        " where coalesce(asked.reason, 'left') not in ('already_live', 'held_back')",
    )
    candidates.session.execute(
        f"create or replace table {SLOTS} as with kept as (select slot, who, live.* exclude (goal)"
        f" from {LIVE} as live join {CANDIDATES} as candidates using (live)),"
        " shared as (select slot from kept group by slot having count(*) > 1), later as (select"
        " live from kept semi join shared using (slot) qualify row_number() over (partition by"
        " slot order by is_contract desc, as_of, message, contact_id) > 1)"
        " select slot, question, who, live from kept anti join later using (live)"
    )
    firsts = [m for m in candidates.messages if len(m.channels) > 1 and not m.on_all_channels]
    places = [str(candidates.numbers[m.name, name]) for m in firsts for name in m.channels]
    candidates.session.execute(
        f"create or replace table {KEPT} as select turn, who, arg_min(slot, live) as slot,"
        f" min(live) as live, arg_min({since('live')}, live) as since from {SLOTS}"
        f" join (select live, as_of, action from {LIVE}) as live using (live)"
        " join segments.messages using (question)"
        f" where question in ({', '.join(places) or 'null'}) group by all"
    )


def _choose(candidates: Candidates, turn: int, message: Message) -> None:
    """Give a message to whom it finds free, within its limits."""
    session, purposes = candidates.session, candidates.purposes
    is_contract = purposes[message.purpose].is_contract
    questions = ", ".join(str(candidates.numbers[message.name, c]) for c in message.channels)
    owed = ", ".join(
        str(candidates.numbers[m.name, channel])
        for m in candidates.messages
        if purposes[m.purpose].is_contract
        for channel in m.channels
    )
    taken = f"{SLOTS} where question in ({owed})" if is_contract else SLOTS
    first = " qualify row_number() over (partition by who order by question) = 1"
    session.execute(
        f"create or replace table {_CHOSEN} as select * from {_FREE}"
        f" anti join (select slot from {taken}) using (slot) where question in ({questions})"
        f"{'' if message.on_all_channels or len(message.channels) == 1 else first}"
    )
    if message.max_per_account and "account_id" in candidates.columns:
        _leave_out(candidates, turn, _colleagues(candidates, message), "a colleague got it")
    if message.limit:
        _leave_out(candidates, turn, _queue(candidates, message, message.limit), _told(message))
    if is_contract:
        session.execute(f"delete from {SLOTS} where slot in (select slot from {_CHOSEN})")
    session.execute(f"insert into {SLOTS} select slot, question, who, null from {_CHOSEN}")


def _leave_out(candidates: Candidates, turn: int, over: str, why: str) -> None:
    """Take those back whom a query names."""
    session = candidates.session
    session.execute(
        f"insert into {LIMITED} select distinct {turn}, who, {literal(why)} from ({over})"
    )
    session.execute(
        f"delete from {_CHOSEN} where who in (select who from {LIMITED} where turn = {turn})"
    )


def _colleagues(candidates: Candidates, message: Message) -> str:
    """Who of an account stands back: by role, then activity, then as drawn.

    Who has had the message within its cooldown counts; where it has none, while it is live.
    """
    order = [_BY_ROLE] if "role" in candidates.columns else []
    order += ["active_days_28 desc"] if "active_days_28" in candidates.columns else []
    recent = f"lasts_until > {candidates.moment}"
    if message.cooldown:
        recent = f"as_of > {candidates.moment} - {interval(message.cooldown)}"
    return (
        "select who from (select who, dense_rank() over (partition by people.account_id"
        f" order by {', '.join((*order, _AS_DRAWN))}) + coalesce(had.contacts, 0) as place"
        f" from {_CHOSEN} as chosen join {PEOPLE} as people on chosen.who = {NUMBER}"
        " left join (select account_id, count(distinct contact_id) as contacts"
        f" from {PAST} where message = {literal(message.name)} and {recent}"
        " group by account_id) as had on cast(people.account_id as varchar) = had.account_id"
        f" where people.account_id is not null) where place > {message.max_per_account}"
    )


def _queue(candidates: Candidates, message: Message, limit: Limit) -> str:
    """Who comes after the last one that a limit allows."""
    day = f"cast({candidates.people.local('as_of')} as date) = date '{candidates.today}'"
    today, ever = candidates.session.rows(
        f"select count(distinct (contact_id, as_of)) filter (where {day}),"
        " count(distinct (contact_id, as_of))"
        f" from {PAST} where message = {literal(message.name)}"
    )[0]
    had = ((limit.per_run, 0), (limit.per_day, today), (limit.total, ever))
    room = max(0, min(most - before for most, before in had if most is not None))
    return (
        f"select who from (select who, dense_rank() over (order by best desc nulls last,"
        f" {_AS_DRAWN}) as place from {_CHOSEN} join {PEOPLE} as people on who = {NUMBER})"
        f" where place > {room}"
    )


def _told(message: Message) -> str:
    limit = message.limit or Limit(per_run=1)
    counts = ((limit.per_run, "a run"), (limit.per_day, "a day"), (limit.total, "in total"))
    return ", ".join(f"{count} {per}" for count, per in counts if count)
