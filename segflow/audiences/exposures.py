"""What was sent or held out, and what of it is live.

`segflow.exposures` has one row per decision that was carried out: sent, or held out of what would
have been sent. Rows are only appended; a rerun of one `as_of` takes back those of its first try.
`segflow.exposure_ends` says when a message stopped being live before its time, and why. Caps,
cooldowns and holdouts go by these. Times are UTC, `local_date` is by the contact's clock.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from segflow.compile.graph import Graph, reference
from segflow.compile.relations import literal, timestamp
from segflow.engines.base import SCRATCH, Session
from segflow.errors import WorkspaceError

# What was carried out, by the ids that contacts have now, and that before this run: views for the
# session.
_CARRIED, PAST = "carried_exposures", "past_exposures"
# Of it what is live, by a number; what is carried out now, with the columns of exposures.
LIVE, NEW = f"{SCRATCH}.live", f"{SCRATCH}.new_exposures"
_ENDED = f"{SCRATCH}.ended"

_COLUMNS = """
    decision_id varchar, run integer, as_of timestamp, contact_id {type}, account_id varchar,
    message varchar, goal varchar, channel varchar, variant varchar, action varchar, reason varchar,
    priority integer, tags varchar[], is_contract boolean, unit_id varchar, is_control boolean,
    send_after timestamp, local_date date, lasts_until timestamp, segment varchar,
    entered_at timestamp, evidence map(varchar, varchar), payload map(varchar, varchar),
    consent varchar, beat map(varchar, integer), fingerprint varchar, git_commit varchar
"""


def prepare(session: Session, contact_id_type: str) -> None:
    """Make the tables where they are missing."""
    columns = _COLUMNS.format(type=contact_id_type)
    session.execute(f"create table if not exists segflow.exposures ({columns})")
    session.execute(
        "create table if not exists segflow.exposure_ends"
        " (decision_id varchar, ended_at timestamp, reason varchar)"
    )


def check_clock(session: Session, as_of: datetime) -> None:
    """Refuse to decide before what was decided; raises WorkspaceError."""
    if session.relation_type("segflow", "exposures") is None:
        return
    last = session.rows("select max(as_of) from segflow.exposures")[0][0]
    if last is not None and last > as_of:
        raise WorkspaceError(
            f"messages were decided as of {last}, and {as_of} is before that",
            hint="leave messages out of the selection, or look at the past in another target",
        )


def take_up(
    session: Session,
    graph: Graph,
    as_of: datetime,
    merges: str | None,
    waiting: Collection[tuple[str, str]],
) -> None:
    """See what stands, but for what an earlier run of this moment decided: PAST and LIVE.

    What is live has the number of its question in `segments.messages`, where it is still asked.

    Args:
        waiting: messages and channels that cannot be decided on now: what they had stays.
    """
    now = timestamp(as_of)
    joined, who = "", "past.contact_id"
    if merges:
        joined = f" left join {merges} as merges on past.contact_id = merges.merged_contact_id"
        who = "coalesce(merges.contact_id, past.contact_id)"
    session.execute(
        f"create or replace temp view {_CARRIED} as select past.* replace ({who} as contact_id)"
        f" from segflow.exposures as past{joined}"
    )
    session.execute(
        f"create or replace temp view {PAST} as from {_CARRIED}"
        f" where as_of < {now} or {_among(waiting)}"
    )
    session.execute(
        f"create or replace table {LIVE} as select row_number() over () as live, decision_id,"
        f" contact_id, message, channel, goal, action, is_contract, as_of, question from {PAST}"
        " left join (select message, channel, question from segments.messages) as asked"
        " using (message, channel)"
        f" anti join ({_ended(now)} and ended_at < {now}) using (decision_id)"
        f" where lasts_until > {now}"
    )
    session.execute(f"create or replace table {_ENDED} (decision_id varchar, reason varchar)")
    for goal in graph.project.goals:
        called = goal.success and reference(goal.success.model)
        reached = graph.relations[graph.target(called)] if called else None
        if reached and session.relation_type(reached.schema, reached.identifier):
            end(
                session,
                f"select live, 'success' as reason from {LIVE} as live join {reached}"
                " as reached on live.contact_id = reached.contact_id"
                f" and reached.happened_at > live.as_of and reached.happened_at <= {now}"
                f" where live.goal = {literal(goal.name)} and not live.is_contract group by live",
            )
    if merges:
        end(
            session,
            f"select live, 'merged' as reason from {LIVE} qualify row_number() over"
            " (partition by message, channel, contact_id order by as_of, decision_id) > 1",
        )


def _ended(now: str) -> str:
    """What ended before its time, of what would have lasted until a moment in SQL."""
    return (
        "from segflow.exposure_ends where ended_at >="
        f" (select min(as_of) from segflow.exposures where lasts_until > {now})"
    )


def end(session: Session, query: str) -> None:
    """What a query names is live no longer: `live`, its number, and the `reason`."""
    ended = f"{SCRATCH}.ending"
    session.execute(f"create or replace table {ended} as {query}")
    session.execute(
        f"insert into {_ENDED} select decision_id, reason from {LIVE} join {ended} using (live)"
    )
    session.execute(f"delete from {LIVE} where live in (select live from {ended})")


def carry_out(session: Session, as_of: datetime, waiting: Collection[tuple[str, str]]) -> None:
    """Append NEW, and what is live no longer.

    An earlier run of this moment may have handed over what this one does not decide again: that
    stays on record, is live no longer, and counts from the next moment on. What both decide is
    there once, as the later one says it and from the run that said it first.

    Args:
        waiting: messages and channels that could not be decided on now: what they had stays.
    """
    now, tried = timestamp(as_of), f"{SCRATCH}.tried"
    session.execute(
        f"create or replace table {tried} as select decision_id, run from segflow.exposures"
        f" where as_of = {now} and not {_among(waiting)}"
    )
    again = f"decision_id in (select decision_id from {NEW})"
    gone = {
        "exposures": f"as_of = {now} and not {_among(waiting)} and {again}",
        "exposure_ends": f"ended_at = {now}",
    }
    for table, condition in gone.items():
        if session.rows(f"select 1 from segflow.{table} where {condition} limit 1"):
            session.execute(
                f"create or replace table segflow.{table} as"
                f" select * from segflow.{table} where not ({condition})"
            )
    session.execute(
        f"insert into segflow.exposures select new.* replace (coalesce(tried.run, new.run) as run)"
        f" from {NEW} as new left join {tried} as tried using (decision_id)"
        " order by message, channel, contact_id"
    )
    session.execute(
        f"insert into segflow.exposure_ends select decision_id, {now}, min(reason) from"
        f" (from {_ENDED} union all select decision_id, 'decided_anew' from {tried}"
        f" where not {again}) group by decision_id order by decision_id"
    )


def _among(places: Collection[tuple[str, str]]) -> str:
    pairs = ", ".join(f"({literal(message)}, {literal(channel)})" for message, channel in places)
    return f"(message, channel) in ({pairs})" if pairs else "false"


def write_next(session: Session, as_of: datetime, priorities: Iterable[tuple[str, int]]) -> None:
    """The live message of each contact on each channel, at most one: `segments.next_message`."""
    known = ", ".join(f"({literal(name)}, {priority})" for name, priority in priorities)
    now = timestamp(as_of)
    session.execute(
        "create or replace table segments.next_message as"
        f" with priorities (message, priority) as (values {known or '(null, null)'})"
        " select contact_id, channel, sent.message, goal, variant,"
        " coalesce(priorities.priority, sent.priority) as priority, payload, as_of as since,"
        f" send_after, lasts_until, decision_id from {_CARRIED} as sent"
        f" anti join ({_ended(now)}) using (decision_id)"
        " left join priorities on sent.message = priorities.message"
        f" where action = 'send' and lasts_until > {now}"
    )
    session.execute(
        "comment on table segments.next_message is 'The message that is live for a contact."
        " One row per contact and channel, where there is one.'"
    )
