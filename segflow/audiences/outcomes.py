"""Exposures and what their goals are reached by in; what messages did, `segments.outcomes`, out.

Contacts are compared as they were drawn, whatever became of their messages (intention to treat),
from the first time in a month, or at all, that a message was theirs. Who reached the goal within
its window after that has converted; a window that is still open counts for neither side.

The interval of the difference is Newcombe's hybrid score interval: two Wilson intervals put
together, which holds for few contacts and rare events (R. G. Newcombe, Interval estimation for the
difference between independent proportions, Statistics in Medicine 17, 1998, method 10). It takes
contacts as independent. Where whole accounts are held out (`unit: account`), colleagues are not,
and the intervals of goals are too narrow, the more so the larger accounts are.
"""

from collections.abc import Mapping
from datetime import datetime

from segflow.compile.graph import Graph, reference
from segflow.compile.lineage import Stale
from segflow.compile.relations import interval, literal, timestamp
from segflow.engines.base import Session
from segflow.project.nodes import Goal

# The 97.5 % point of the normal distribution; below so many contacts in one of the groups, or
# conversions in both together, nothing is said.
_Z = 1.959964
_CONTACTS, _CONVERSIONS = 100, 10


def write_outcomes(
    session: Session,
    graph: Graph,
    as_of: datetime,
    stale: Mapping[str, Stale],
    merges: str | None,
) -> None:
    """A table with one row per goal, message and variant, in total and by month of first exposure.

    Goals: who is in the control group against all others. Messages and variants: who was held out
    of this message against who was sent it. Goals without a success event have no rows; one whose
    success is not up to date keeps those it has, for nobody is to seem not to have converted.

    Args:
        merges: a subquery that says where merged ids lead.
    """
    goals, kept = {}, []
    for goal in graph.project.goals:
        called = goal.success and reference(goal.success.model)
        if called and graph.target(called) in stale:
            kept.append(goal.name)
        elif called and goal.success:
            within = f"({literal(goal.name)}, {interval(goal.success.within)})"
            goals[within] = _reached(session, goal, str(graph.relations[graph.target(called)]))
    outcomes = _outcomes(goals, timestamp(as_of), merges)
    if kept and session.relation_type("segments", "outcomes"):
        names = ", ".join(map(literal, kept))
        outcomes += f" union all by name from segments.outcomes where goal in ({names})"
    order = "goal, level, message, variant, month"
    session.execute(
        f"create or replace table segments.outcomes as from ({outcomes}) order by {order}"
    )
    session.execute(
        "comment on table segments.outcomes is 'Whether messages did what they were for. One row"
        " per goal, message and variant (level), in total (month is null) and by month.'"
    )


def _reached(session: Session, goal: Goal, table: str) -> str:
    columns = {name.lower() for name, _ in session.columns(f"select * from {table}")}
    value = "value" if "value" in columns else "null"
    return (
        f"select {literal(goal.name)} as goal, contact_id, happened_at,"
        f" try_cast({value} as decimal(18, 2)) as value from {table}"
    )


def _outcomes(goals: Mapping[str, str], now: str, merges: str | None) -> str:
    joined, who = "", "past.contact_id"
    if merges:
        joined = f"left join {merges} as merges on past.contact_id = merges.merged_contact_id"
        who = "coalesce(merges.contact_id, past.contact_id)"
    return _SQL.format(
        goals=", ".join(goals) or "(null::varchar, null::interval)",
        reached=" union all ".join(goals.values()) or _NOTHING,
        who=who,
        joined=joined,
        now=now,
        places=_PLACES,
        treated=_wilson("treated_rate", "counted.treated"),
        held_out=_wilson("held_out_rate", "counted.held_out"),
        contacts=_CONTACTS,
        conversions=_CONVERSIONS,
    )


def _wilson(rate: str, count: str) -> str:
    """The ends of Wilson's interval of a rate, as a list of two."""
    middle = f"{rate} + {_Z**2} / (2 * {count})"
    spread = f"{_Z} * sqrt({rate} * (1 - {rate}) / {count} + {_Z**2} / (4 * {count} * {count}))"
    whole = f"(1 + {_Z**2} / {count})"
    return f"[({middle} - {spread}) / {whole}, ({middle} + {spread}) / {whole}]"


_NOTHING = (
    "select null::varchar as goal, null::varchar as contact_id, null::timestamp as happened_at,"
    " null::decimal(18, 2) as value limit 0"
)
# A variant is drawn once and for all: by variant are its message's contacts, taken apart.
_PLACES = (
    "group by grouping sets ((goal, message, month), (goal, message, variant, month))"
    " having grouping(variant) = 1 or variant is not null"
)
_SQL = """
with goals (goal, within) as (values {goals}),
reached as ({reached}),
exposed as (
    select {who} as contact_id, past.* exclude (contact_id),
        greatest(as_of, coalesce(send_after, as_of)) as starts_at,
        cast(date_trunc('month', as_of) as date) as month
    from segflow.exposures as past {joined}
    where not is_contract and goal in (select goal from goals)
),
contacts as (
    -- Numbers group and join in a fraction of the time of ids.
    select contact_id, row_number() over () as who
    from (select distinct contact_id from exposed)
),
numbered as (select * from exposed join contacts using (contact_id)),
firsts as (
    -- The smallest of these tells whether the first was treated, and of two at once who was not.
    select goal, null::varchar as message, month, who, min(starts_at) as starts_at,
        null::varchar as variant, min(2 * epoch_us(as_of) + (not is_control)::integer) as first
    from numbered group by grouping sets ((goal, who), (goal, who, month))
    union all
    select goal, message, month, who, min(starts_at), arg_min(variant, as_of),
        min(2 * epoch_us(as_of) + (action = 'send')::integer)
    from numbered where reason is distinct from 'control_group'
    group by grouping sets ((goal, message, who), (goal, message, who, month))
),
followed as (
    select firsts.*, first % 2 = 1 as is_treated, goals.within,
        starts_at + goals.within <= {now} as is_over
    from firsts join goals using (goal)
),
counted as (
    select row(goal, message, variant, month) as place, goal, message, variant, month,
        count(*) filter (is_over and is_treated) as treated,
        count(*) filter (is_over and not is_treated) as held_out,
        count(*) filter (not is_over) as still_open
    from followed {places}
),
converted as (
    select row(goal, message, variant, month) as place,
        count(distinct who) filter (is_treated) as treated,
        count(distinct who) filter (not is_treated) as held_out,
        sum(value) filter (is_treated) as treated_value,
        sum(value) filter (not is_treated) as held_out_value
    from followed join (from reached join contacts using (contact_id)) using (goal, who)
    where is_over and happened_at > starts_at and happened_at <= starts_at + within {places}
),
rated as (
    select counted.*, coalesce(converted.treated, 0) as treated_conversions,
        coalesce(converted.held_out, 0) as held_out_conversions, treated_value, held_out_value,
        treated_conversions / nullif(counted.treated, 0) as treated_rate,
        held_out_conversions / nullif(counted.held_out, 0) as held_out_rate,
        treated_rate - held_out_rate as lift, {treated} as one, {held_out} as other
    from counted left join converted using (place)
),
judged as (
    select *, lift - sqrt((treated_rate - one[1]) ** 2 + (other[2] - held_out_rate) ** 2) as low,
        lift + sqrt((one[2] - treated_rate) ** 2 + (held_out_rate - other[1]) ** 2) as high
    from rated
)
select case when message is null then 'goal' when variant is null then 'message' else 'variant' end
    as level, * exclude (place, one, other, lift, low, high), round(lift, 6) as lift,
    round(low, 6) as lift_low, round(high, 6) as lift_high, case
        when least(treated, held_out) < {contacts}
            or treated_conversions + held_out_conversions < {conversions} then 'too few to tell'
        when low > 0 then 'more' when high < 0 then 'fewer' else 'no difference seen'
    end as verdict
from judged
"""
