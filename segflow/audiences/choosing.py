"""Candidates whom nothing holds in; who of them gets which message out, at most one per address.

Messages choose in turn, what is owed by contract first, then by priority and name. A message that
is live keeps its place; only what is owed by contract takes it from one that is not.
"""

from collections.abc import Iterable

from segflow.audiences import exposures
from segflow.audiences.candidates import CANDIDATES, Candidates
from segflow.audiences.exposures import LIVE, PAST
from segflow.compile.relations import interval, literal, quoted
from segflow.engines.base import SCRATCH
from segflow.project.nodes import Limit, Message

# Which message each address has on each channel; who was chosen; who is over a message's limit.
SLOTS, WINNERS, LIMITED = f"{SCRATCH}.slots", f"{SCRATCH}.winners", f"{SCRATCH}.limited"
_CHOSEN = f"{SCRATCH}.chosen"

# Which of several colleagues gets a message that an account gets few of.
_BY_ROLE = "list_position(['owner', 'admin', 'billing', 'member'], contacts.role)"
_AS_DRAWN = "md5(cast(contact_id as varchar))"


def choose(candidates: Candidates, messages: Iterable[Message]) -> None:
    """Fill SLOTS, WINNERS and LIMITED; `messages` are in the order of their turns."""
    session, contact = candidates.session, candidates.columns["contact_id"]
    _keep_live(candidates)
    session.execute(
        f"create or replace table {WINNERS} (message varchar, channel varchar,"
        f" contact_id {contact}, evidence map(varchar, varchar))"
    )
    session.execute(
        f"create or replace table {LIMITED} (message varchar, contact_id {contact}, detail varchar)"
    )
    for message in messages:
        _choose(candidates, message)
    lost = f"select decision_id from {LIVE} anti join {SLOTS} using (decision_id)"
    exposures.end(session, "displaced", lost)


def _keep_live(candidates: Candidates) -> None:
    """What is live keeps its place, unless its candidate is none any more or may not have it."""
    both = (
        f"{LIVE} as live left join {CANDIDATES} as candidates using (message, channel, contact_id)"
    )
    exposures.end(
        candidates.session,
        None,
        f"select live.decision_id, coalesce(candidates.reason, 'left') as reason from {both}"
        " where coalesce(candidates.reason, 'left') not in ('already_live', 'held_back')",
    )
    candidates.session.execute(
        f"create or replace table {SLOTS} as select live.channel,"
        " coalesce(candidates.address, cast(live.contact_id as varchar)) as address,"
        f" live.message, live.contact_id, live.is_contract, live.decision_id from {both}"
        " qualify row_number() over (partition by live.channel, address"
        " order by live.is_contract desc, live.as_of, live.message, live.contact_id) = 1"
    )


def _choose(candidates: Candidates, message: Message) -> None:
    """Give a message to whom it finds free, within its limits."""
    session, name = candidates.session, literal(message.name)
    is_contract = candidates.purposes[message.purpose].is_contract
    first = " qualify row_number() over (partition by contact_id order by place) = 1"
    session.execute(
        f"create or replace table {_CHOSEN} as with free as (select candidates.* from {CANDIDATES}"
        f" as candidates left join {SLOTS} as slots using (channel, address)"
        f" where candidates.message = {name} and candidates.reason is null"
        f" and (slots.message is null{' or not slots.is_contract' if is_contract else ''})"
        " qualify row_number() over (partition by channel, address"
        " order by md5(cast(candidates.contact_id as varchar))) = 1)"
        f" from free{'' if message.on_all_channels else first}"
    )
    if message.max_per_account and "account_id" in candidates.columns:
        _leave_out(candidates, message, _colleagues(candidates, message), "a colleague got it")
    if message.limit:
        _leave_out(candidates, message, _queue(candidates, message, message.limit), _told(message))
    session.execute(f"insert into {WINNERS} {_with_evidence(candidates, message)}")
    session.execute(
        f"delete from {SLOTS} as slots using {_CHOSEN} as chosen"
        " where slots.channel = chosen.channel and slots.address = chosen.address"
    )
    session.execute(
        f"insert into {SLOTS} select channel, address, message, contact_id, {is_contract}, null"
        f" from {_CHOSEN}"
    )


def _leave_out(candidates: Candidates, message: Message, over: str, why: str) -> None:
    """Take those back whom a query names."""
    name = literal(message.name)
    candidates.session.execute(
        f"insert into {LIMITED} select distinct {name}, contact_id, {literal(why)} from ({over})"
    )
    candidates.session.execute(
        f"delete from {_CHOSEN} where contact_id in"
        f" (select contact_id from {LIMITED} where message = {name})"
    )


def _colleagues(candidates: Candidates, message: Message) -> str:
    """Who of an account stands back: by role, then activity, then as drawn.

    Who has had the message within its cooldown counts; where it has none, while it is live.
    """
    order = [_BY_ROLE] if "role" in candidates.columns else []
    order += ["contacts.active_days_28 desc"] if "active_days_28" in candidates.columns else []
    ranked = ", ".join((*order, f"md5(cast({_CHOSEN}.contact_id as varchar))"))
    recent = f"lasts_until > {candidates.moment}"
    if message.cooldown:
        recent = f"as_of > {candidates.moment} - {interval(message.cooldown)}"
    return (
        f"select contact_id from (select {_CHOSEN}.contact_id, dense_rank() over"
        f" (partition by {_CHOSEN}.account_id order by {ranked})"
        f" + coalesce(had.contacts, 0) as place from {_CHOSEN}"
        f" join {candidates.contacts} as contacts on {_CHOSEN}.contact_id = contacts.contact_id"
        " left join (select account_id, count(distinct contact_id) as contacts"
        f" from {PAST} where message = {literal(message.name)} and {recent}"
        f" group by account_id) as had on {_CHOSEN}.account_id = had.account_id"
        f" where {_CHOSEN}.account_id is not null) where place > {message.max_per_account}"
    )


def _queue(candidates: Candidates, message: Message, limit: Limit) -> str:
    """Who comes after the last one that a limit allows."""
    day = f"cast({candidates.local('as_of')} as date) = date '{candidates.today}'"
    today, ever = candidates.session.rows(
        f"select count(distinct (contact_id, as_of)) filter (where {day}),"
        " count(distinct (contact_id, as_of))"
        f" from {PAST} where message = {literal(message.name)}"
    )[0]
    had = ((limit.per_run, 0), (limit.per_day, today), (limit.total, ever))
    room = max(0, min(most - before for most, before in had if most is not None))
    return (
        "select contact_id from (select contact_id, dense_rank() over"
        f" (order by best desc nulls last, {_AS_DRAWN}) as place from {_CHOSEN})"
        f" where place > {room}"
    )


def _told(message: Message) -> str:
    limit = message.limit or Limit(per_run=1)
    counts = ((limit.per_run, "a run"), (limit.per_day, "a day"), (limit.total, "in total"))
    return ", ".join(f"{count} {per}" for count, per in counts if count)


def _with_evidence(candidates: Candidates, message: Message) -> str:
    """Who was chosen, with the evidence of the segment that she is in, as text by column."""
    parts, joins = [], ""
    for name, table in candidates.rows_of(message.segments).items():
        alias = quoted(f"evidence of {name}")
        columns = [column for column in candidates.columns_of(table) if column != "contact_id"]
        keys = ", ".join(map(literal, columns))
        values = ", ".join(f"cast({alias}.{quoted(column)} as varchar)" for column in columns)
        made = f"map([{keys}]::varchar[], [{values}]::varchar[])"
        parts.append(f"when chosen.segment = {literal(name)} then {made}")
        joins += f" left join {table} as {alias} on chosen.contact_id = {alias}.contact_id"
    evidence = f"case {' '.join(parts)} end" if parts else "null"
    return (
        "select chosen.message, chosen.channel, chosen.contact_id,"
        f" {evidence} from {_CHOSEN} as chosen{joins}"
    )
