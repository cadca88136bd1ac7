"""A channel and a purpose in, SQL that says of every contact whether we can and may write to it, out.

The rules, applied to every audience whatever its author wrote; the first that applies is the reason:
`no_address`, `unreachable`, `suppressed` (in one of the channel's suppress segments), `no_consent`.
Each is NULL-safe: what is not known to be true is not allowed.
"""

from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.relations import literal, quoted
from segflow.project.nodes import Channel, Purpose


def permission_sql(graph: Graph, channel: Channel, purpose: Purpose) -> str:
    """A SELECT with one row per contact: contact_id, address, and `held`, null where it may go out."""
    contacts = graph.relations[str(graph.find(CONTACTS))]
    address = f"nullif(trim(cast(contacts.{quoted(channel.address)} as varchar)), '')"
    rules = [f"when {address} is null then 'no_address'"]
    if channel.reachable:
        rules.append(f"when contacts.{quoted(channel.reachable)} is not true then 'unreachable'")
    joins = ""
    if channel.suppress:
        names = ", ".join(literal(name) for name in channel.suppress)
        joins += (
            " left join (select distinct contact_id from segments.memberships"
            f" where segment in ({names})) as suppressed"
            " on contacts.contact_id = suppressed.contact_id"
        )
        rules.append("when suppressed.contact_id is not null then 'suppressed'")
    if channel.needs_consent and purpose.basis != "contract":
        joins += f" left join ({_statements(graph, channel, purpose)}) as consents"
        joins += " on contacts.contact_id = consents.contact_id"
        refused = "is not true" if purpose.basis == "consent" else "is false"
        rules.append(f"when consents.is_granted {refused} then 'no_consent'")
    return (
        f"select contacts.contact_id, {address} as address, case {' '.join(rules)} end as held"
        f" from {contacts} as contacts{joins}"
    )


def _statements(graph: Graph, channel: Channel, purpose: Purpose) -> str:
    """One row per contact that said yes or no; a project without consents has nobody who agreed."""
    consents = graph.find(CONSENTS)
    if consents is None:
        return "select null as contact_id, false as is_granted limit 0"
    return (
        "select contact_id, bool_and(is_granted is true) as is_granted"
        f" from {graph.relations[consents]} where channel = {literal(channel.name)}"
        f" and purpose = {literal(purpose.name)} group by contact_id"
    )
