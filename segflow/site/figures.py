"""The published database in; the numbers on the pages out, each read once for all of them.

What was never built has no rows here, and the pages leave it out.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from segflow import journal
from segflow.audiences.audiences import relation_of
from segflow.compile.compiler import Compilation
from segflow.compile.definitions import Definitions
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.relations import Relation, timestamp
from segflow.engines.base import EngineError, Session
from segflow.errors import WorkspaceError
from segflow.questions.explain import identifiers
from segflow.questions.profile import Profile, explain_segment

# Fewer contacts than this are not described: a share of them would point at one.
FEW = 10
# How far back the charts and the moves between stages go.
DAYS, MOVED_DAYS = 180, 28

Record = dict[str, Any]
Groups = dict[str, list[Record]]


@dataclass(frozen=True)
class Figures:
    """Rows by the name of what they are about, the moments in UTC.

    `sizes` and `reach` are by segment; `reasons` (of the latest run), `decided` (by day), `live`
    and `loses_to` by message, `wins_over` by the one that was sent instead. `cells` say by goal
    how many of a stage are eligible and how many have a message; `flows` who moved.
    """

    run: journal.Run | None
    statuses: dict[str, journal.Status]
    profiles: dict[str, Profile]
    everyone: int
    sizes: Groups
    reach: Groups
    personas: Groups
    stages: list[Record]
    flows: list[Record]
    cells: Groups
    reasons: Groups
    decided: Groups
    live: Groups
    live_contacts: int
    loses_to: Groups
    wins_over: Groups
    rows: dict[str, int]


class Reader:
    """Asks a session, of what there is."""

    def __init__(self, session: Session, graph: Graph):
        self._session, self._graph = session, graph
        self._known = session.relations()

    def rows(self, table: str, sql: str) -> list[Record]:
        """Rows by the names of their columns; none where there is no such table."""
        schema, _, name = table.lower().partition(".")
        if (schema, name) not in self._known:
            return []
        names, rows = self._session.query(sql)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def by(self, key: str, table: str, sql: str) -> Groups:
        found: Groups = defaultdict(list)
        for row in self.rows(table, sql):
            found[row[key]].append(row)
        return found

    def count(self, table: Relation, what: str = "*") -> int:
        sql = f"select count({what}) as contacts from {table}"
        rows = self.rows(f"{table.schema}.{table.identifier}", sql)
        return int(rows[0]["contacts"]) if rows else 0

    def of_model(self, name: str, sql: str) -> list[Record]:
        """Rows of a model or seed that the starter has; another project may mean another thing."""
        relation = self._graph.relations.get(self._graph.find(name) or "")
        with suppress(EngineError):
            table = f"{relation.schema}.{relation.identifier}" if relation else ""
            return self.rows(table, sql.format(table=relation))
        return []


def read(session: Session, graph: Graph, compilation: Compilation) -> Figures:
    """All figures of what was last published."""
    ask, run = Reader(session, graph), journal.last_run(session)
    lost = "select message, lost_to, count(*) as contacts from segments.decisions"
    lost += " where lost_to is not null group by all order by contacts desc, message, lost_to"
    return Figures(
        run,
        journal.statuses(session),
        _profiles(session, graph, compilation),
        ask.count(Relation("segments", "user_types")),
        ask.by("segment", "segments.sizes", _SIZES),
        ask.by("segment", "segments.reach", "from segments.reach order by segment, channel"),
        ask.by("persona", "segments.user_types", _PERSONAS),
        _stages(ask),
        _flows(ask, run),
        ask.by("goal", "segments.message_matrix", _CELLS),
        ask.by("message", "segments.decision_counts", _REASONS),
        ask.by("message", "segments.decision_counts", _DECIDED),
        ask.by("message", "segments.next_message", _LIVE),
        ask.count(Relation("segments", "next_message"), "distinct contact_id"),
        ask.by("message", "segments.decisions", lost),
        ask.by("lost_to", "segments.decisions", lost),
        {a.name: ask.count(relation_of(a)) for a in graph.project.audiences},
    )


_SIZES = f"""
select segment, as_of_date as day, members, entered, "left" as gone
from segments.sizes
where is_last_of_day and as_of_date > (select max(as_of_date) from segments.sizes) - {DAYS}
order by segment, day
"""
_PERSONAS = """
select persona, stage, count(*) as contacts
from segments.user_types where persona is not null
group by all order by persona, contacts desc, stage
"""
_CELLS = """
select goal, user_type as stage, eligible, live from segments.message_matrix
where dimension = 'stage' and eligible > 0 order by goal, stage
"""
_REASONS = """
with counts as (
select message, channel, coalesce(reason, 'sent') as reason, sum(contacts)::bigint as contacts
from segments.decision_counts
where as_of = (select max(as_of) from segments.decision_counts)
group by all)
from counts order by message, reason = 'sent' desc,
sum(contacts) over (partition by message, reason) desc, reason, channel
"""
_DECIDED = f"""
with counts as (
select message, as_of_date as day, reason, sum(contacts)::bigint as contacts,
reason in ('control_group', 'holdout') as is_out
from segments.decision_counts
where as_of_date > (select max(as_of_date) from segments.decision_counts) - {DAYS}
group by all)
select message, day, sum(contacts)::bigint as candidates,
coalesce(sum(contacts) filter (reason is null), 0)::bigint as sent,
coalesce(sum(contacts) filter (is_out), 0)::bigint as held_out,
coalesce(sum(contacts) filter (not is_out), 0)::bigint as held,
arg_max(reason, (contacts, reason)) filter (not is_out) as mostly
from counts group by all order by message, day
"""
_LIVE = """
select message, channel, count(*) as contacts from segments.next_message
group by all order by message, channel
"""
_STAGES = """
select stage, count(*) as contacts from segments.user_types where stage is not null
group by stage order by contacts desc, stage
"""


def _stages(ask: Reader) -> list[Record]:
    """Contacts by stage, in the order and the groups of the seed `stages` where there is one."""
    ordered = "select stage, stage_group from {table} where stage is not null order by position"
    groups = {row["stage"]: row["stage_group"] for row in ask.of_model("stages", ordered)}
    found = {row["stage"]: row["contacts"] for row in ask.rows("segments.user_types", _STAGES)}
    return [
        {"stage": stage, "contacts": found.get(stage, 0), "group": groups.get(stage) or ""}
        for stage in (dict.fromkeys((*groups, *found)) if found else ())
    ]


def _flows(ask: Reader, run: journal.Run | None) -> list[Record]:
    """Moves from stage to stage; who is new comes from null."""
    if run is None:
        return []
    since = timestamp(run.as_of - timedelta(days=MOVED_DAYS))
    return ask.of_model(
        "stage_history",
        "select was, stage, count(*) as contacts from (select stage, started_at, lag(stage)"
        " over (partition by contact_id order by started_at) as was from {table})"
        f" where started_at > {since} group by all order by contacts desc, was, stage",
    )


def _profiles(session: Session, graph: Graph, compilation: Compilation) -> dict[str, Profile]:
    """Who is in each segment, as far as it was evaluated and can be asked; nobody by herself."""
    if graph.find(CONTACTS) is None:
        return {}
    found, definitions = {}, Definitions(graph, compilation)
    hidden = {*identifiers(graph), *(c.address.lower() for c in graph.project.channels)}
    for name in graph.segments:
        # What was edited since the run may ask for what is not there yet.
        with suppress(EngineError, WorkspaceError):
            profile = explain_segment(session, graph, definitions, name)
            shown = profile if profile.members >= FEW else replace(profile, values=(), medians=())
            values = (v for v in shown.values if round(v.everyone * profile.everyone) >= FEW)
            numbers = (m for m in shown.medians if not m.column.lower().endswith("_id"))
            found[name] = replace(
                profile,
                values=tuple(v for v in values if v.column.lower() not in hidden),
                medians=tuple(m for m in numbers if m.column.lower() not in hidden),
            )
    return found
