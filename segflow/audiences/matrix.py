"""Decisions and user types in; `segments.message_matrix`, goals by stage and by persona, out."""

from segflow.compile.graph import Graph
from segflow.compile.relations import literal
from segflow.engines.base import Session

# The user type of whoever has no stage, or is no persona.
NONE = "none"


def goals_of(graph: Graph) -> list[str]:
    """The goals that a project speaks of: its own, then those of its messages."""
    project = graph.project
    found = [*(goal.name for goal in project.goals), *(m.goal for m in project.messages)]
    return list(dict.fromkeys(found))


def write_matrix(session: Session, graph: Graph) -> None:
    """A view with one row per dimension (stage, persona), user type and goal.

    `eligible` contacts are candidates of any message of the goal in the latest run, `live` ones
    have one now. Who has one on each of two channels counts in `live_by_channel` for each.
    """
    goals = ", ".join(f"({literal(goal)})" for goal in goals_of(graph)) or "(null::varchar)"
    each = " union all ".join(
        f"select contact_id, '{dimension}' as dimension,"
        f" coalesce({dimension}, '{NONE}') as user_type from segments.user_types"
        for dimension in ("stage", "persona")
    )
    session.execute(
        f"create or replace view segments.message_matrix as with types as ({each}),"
        f" goals (goal) as (values {goals}), sizes as (select dimension, user_type,"
        " count(*) as contacts from types group by all), candidates as (select types.dimension,"
        " types.user_type, decided.goal, decided.channel, decided.contact_id,"
        " sent.contact_id is not null as is_live from segments.decisions as decided"
        " join types on decided.contact_id = types.contact_id left join segments.next_message"
        " as sent on decided.contact_id = sent.contact_id and decided.channel = sent.channel"
        " and decided.message = sent.message),"
        " counted as (select dimension, user_type, goal, count(distinct contact_id) as eligible,"
        " count(distinct contact_id) filter (where is_live) as live from candidates group by all),"
        " sent as (select dimension, user_type, goal, channel, count(*) as contacts"
        " from candidates where is_live group by all), by_channel as (select dimension, user_type,"
        " goal, map(list(channel order by channel), list(contacts order by channel))"
        " as live_by_channel from sent group by all)"
        " select sizes.dimension, sizes.user_type, goals.goal, sizes.contacts,"
        " coalesce(counted.eligible, 0) as eligible, coalesce(counted.live, 0) as live,"
        " coalesce(by_channel.live_by_channel, map([]::varchar[], []::bigint[]))"
        " as live_by_channel from sizes cross join goals"
        " left join counted using (dimension, user_type, goal)"
        " left join by_channel using (dimension, user_type, goal)"
        " where goals.goal is not null"
    )
    session.execute(
        "comment on view segments.message_matrix is 'Who can get and who has a message, by goal."
        " One row per dimension (stage or persona), user type and goal.'"
    )
