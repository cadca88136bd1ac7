"""A channel, a purpose and a goal in, SQL that says whom we can and may write to out.

The rules hold for whatever is sent, whatever its author wrote; the first that applies is the
reason: `no_address`, `unreachable`, `suppressed` (in one of the segments that the channel does not
write to), `no_consent`. Each is NULL-safe: what is not known to be true is not allowed. What one
contact's address refuses, all contacts with that address refuse. Who refuses `profiling` gets only
what is owed by contract, and that goes to every address that is good.
"""

from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.relations import literal, quoted
from segflow.project.nodes import Channel, Purpose

# What `permission_sql` adds to the columns of contacts; names that no table has by chance.
ADDRESS, HELD, OF_WHAT = '"its address"', '"held because"', '"because of"'
PROFILING = "profiling"
# Asks nothing but whether an address is good: for what was decided, or cannot be yet.
OWED = Purpose(name="", basis="contract")


def permission_sql(
    graph: Graph,
    channel: Channel,
    purpose: Purpose,
    goal: str | None = None,
    contacts: str | None = None,
) -> str:
    """A SELECT of all contacts, with ADDRESS, and HELD: null where a message may go out.

    OF_WHAT names the segment that suppresses, or the purpose that is refused: by the contact, else
    by another with the same address. `contacts` is a table to take them from that has at least what
    the channel asks for.
    """
    contacts = contacts or str(graph.relations[str(graph.find(CONTACTS))])
    refused = "is not true" if channel.needs_consent and purpose.basis == "consent" else "is false"
    another = "' (another contact with this address)'"
    return (
        f"with people as ({_people(graph, channel, purpose, goal, contacts)}),"
        f' refusals as (select {ADDRESS}, bool_or("is reachable" is false) as unreachable,'
        ' min("in segment") as segment, min("refuses") as purpose from people'
        ' where "is reachable" is false or "in segment" is not null or "refuses" is not null'
        f" group by {ADDRESS})"
        ' select people.* exclude ("is reachable", "in segment", "is granted", "refuses"), case'
        f" when people.{ADDRESS} is null then 'no_address'"
        " when people.\"is reachable\" is not true or refusals.unreachable then 'unreachable'"
        ' when people."in segment" is not null or refusals.segment is not null'
        " then 'suppressed'"
        f' when people."is granted" {refused} or refusals.purpose is not null'
        f" then 'no_consent' end as {HELD}, case {HELD}"
        f" when 'suppressed' then coalesce(people.\"in segment\", refusals.segment || {another})"
        f" when 'no_consent' then coalesce(people.\"refuses\", refusals.purpose || {another})"
        f" end as {OF_WHAT} from people left join refusals"
        f" on people.{ADDRESS} = refusals.{ADDRESS}"
    )


def address_sql(channel: Channel) -> str:
    """The address of one of `contacts` on a channel, in one spelling; null where there is none."""
    address = f"trim(cast(contacts.{quoted(channel.address)} as varchar))"
    if channel.address.lower() != "contact_id":
        address = f"lower({address})"
    return f"nullif({address}, '')"


def suppressing(channel: Channel, purpose: Purpose, goal: str | None) -> list[str]:
    """The segments that a channel does not write to for a goal."""
    if purpose.is_contract:
        return []
    return [*channel.suppress, *(s for s, goals in channel.suppress_for.items() if goal in goals)]


def _people(
    graph: Graph, channel: Channel, purpose: Purpose, goal: str | None, contacts: str
) -> str:
    """Contacts, each with its address and what is known of it by itself; null is not known."""
    reachable = "true"
    if channel.reachable:
        reachable = f"try_cast(contacts.{quoted(channel.reachable)} as boolean)"
    segment, granted, refuses, joins = "null::varchar", "true", "null::varchar", ""
    segments = suppressing(channel, purpose, goal)
    if segments:
        names = ", ".join(map(literal, segments))
        segment = "suppressed.segment"
        joins += (
            " left join (select contact_id, min(segment) as segment from segments.memberships"
            f" where segment in ({names}) group by contact_id) as suppressed"
            " on contacts.contact_id = suppressed.contact_id"
        )
    if not purpose.is_contract:
        granted, refuses = "statements.is_granted", "statements.refuses"
        joins += f" left join ({_statements(graph, channel, purpose)}) as statements"
        joins += " on contacts.contact_id = statements.contact_id"
    return (
        f'select contacts.*, {address_sql(channel)} as {ADDRESS}, {reachable} as "is reachable",'
        f' {segment} as "in segment", {granted} as "is granted", {refuses} as "refuses"'
        f" from {contacts} as contacts{joins}"
    )


def _statements(graph: Graph, channel: Channel, purpose: Purpose) -> str:
    """One row per contact that said yes or no; a project without consents has nobody who agreed."""
    consents = graph.relations.get(str(graph.find(CONSENTS)))
    if consents is None:
        return "select null as contact_id, null as is_granted, null::varchar as refuses limit 0"
    profiling = f"purpose = {literal(PROFILING)}"
    asked = "false"
    if channel.needs_consent:
        asked = f"channel = {literal(channel.name)} and purpose = {literal(purpose.name)}"
    return (
        f"select contact_id, bool_and(is_granted is true) filter (where {asked}) as said,"
        f" case when bool_or({profiling} and is_granted is not true) then {literal(PROFILING)}"
        f" when not said then {literal(purpose.name)} end as refuses,"
        " case when refuses is null then said else false end as is_granted"
        f" from {consents} where {profiling} or ({asked}) group by contact_id"
    )
