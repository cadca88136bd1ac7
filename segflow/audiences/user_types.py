"""Memberships in; `segments.user_types` (stage, persona and segments of every contact) and
`segments.reach` (how many of a segment each channel can and may address) out."""

from segflow.audiences.history import listed
from segflow.audiences.permission import HELD, permission_sql
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.relations import literal
from segflow.engines.base import Session

# Reach is what marketing could address; a project may give that purpose another basis.
_MARKETING = "marketing"


def write_user_types(session: Session, graph: Graph) -> None:
    """A view with one row per contact: contact_id, stage, persona, segments, next_message.

    The persona is the first, in the order of the project's YAML, whose segment has the contact; the
    next message the first by priority of those that are live for her on any channel.
    """
    contacts = graph.relations[str(graph.find(CONTACTS))]
    columns = {name.lower() for name, _ in session.columns(f"select * from {contacts}")}
    stage = "contacts.stage" if "stage" in columns else "cast(null as varchar)"
    rows = [
        f"({literal(persona.name)}, {literal(persona.segment)}, {place})"
        for place, persona in enumerate(graph.project.personas)
    ]
    values = ", ".join(rows) or "(cast(null as varchar), cast(null as varchar), 0)"
    live = "select null as contact_id, null::varchar as message limit 0"
    if session.relation_type("segments", "next_message"):
        live = (
            "select contact_id, arg_max(message, (priority, message)) as message"
            " from segments.next_message group by contact_id"
        )
    session.execute(
        "create or replace view segments.user_types as"
        f" with personas (persona, segment, place) as (values {values}),"
        " held as (select contact_id, list(distinct segment order by segment) as segments,"
        " arg_min(persona, place) as persona"
        " from segments.memberships left join personas using (segment) group by contact_id)"
        f" select contacts.contact_id, {stage} as stage, held.persona,"
        " coalesce(held.segments, []) as segments, live.message as next_message"
        f" from {contacts} as contacts left join held on contacts.contact_id = held.contact_id"
        f" left join ({live}) as live on contacts.contact_id = live.contact_id"
    )
    session.execute(
        "comment on view segments.user_types is"
        " 'Stage, persona, segments and next message of every contact. One row per contact.'"
    )


def write_reach(session: Session, graph: Graph) -> dict[tuple[str, str], int]:
    """A table with one row per segment and channel: members, reachable, permitted for marketing.

    Returns:
        Permitted members by segment and channel.
    """
    marketing = next(p for p in graph.project.purposes if p.name == _MARKETING)
    # Channels that may write to the same contacts are counted once.
    channels: dict[str, list[str]] = {}
    for channel in graph.project.channels:
        permitted = permission_sql(graph, channel, marketing)
        channels.setdefault(permitted, []).append(channel.name)
    parts = [
        f"select segment, unnest([{listed(names)}]) as channel, members, reachable, permitted"
        " from (select segment, count(*) as members,"
        " count(*) filter (where contacts.contact_id is not null"
        f" and coalesce({HELD}, '') not in ('no_address', 'unreachable')) as reachable,"
        f" count(*) filter (where contacts.contact_id is not null and {HELD} is null) as permitted"
        f" from segments.memberships as members left join ({permitted}) as contacts"
        " on members.contact_id = contacts.contact_id group by segment)"
        for permitted, names in channels.items()
    ]
    nothing = (
        "select null::varchar as segment, null::varchar as channel, null::bigint as members,"
        " null::bigint as reachable, null::bigint as permitted limit 0"
    )
    union = " union all ".join(parts) or nothing
    session.execute(
        f"create or replace table segments.reach as from ({union}) order by segment, channel"
    )
    rows = session.rows("select segment, channel, permitted from segments.reach")
    return {(segment, channel): permitted for segment, channel, permitted in rows}


def count_stages(session: Session) -> dict[str, int]:
    """Contacts by stage, the largest first."""
    return dict(
        session.rows(
            "select stage, count(*) from segments.user_types where stage is not null"
            " group by stage order by count(*) desc, stage"
        )
    )
