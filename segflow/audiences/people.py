"""Contacts and memberships in; members out, each with her clock, her slot and what holds her.

A slot is where one message at a time may stand: an address on a channel. Several contacts may have
an address: its spot is the number of the first of them. Numbers hold for one run: integers join in
a fraction of the time of texts.
"""

from collections.abc import Iterable

from segflow.audiences.exposures import PAST
from segflow.audiences.permission import HELD, OF_WHAT, address_sql, permission_sql
from segflow.audiences.policies import used
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.relations import literal, quoted
from segflow.engines.base import SCRATCH, Session
from segflow.project.nodes import Channel, Purpose

# Every contact, once: her number and clock, with the columns that messages ask for.
PEOPLE = f"{SCRATCH}.people"
NUMBER, CLOCK = '"its number"', '"its clock"'
# What time it is where contacts are; where that is not known, where the project is.
CLOCKS = f"{SCRATCH}.clocks"
_MEMBERS = f"{SCRATCH}.members"

_ALWAYS = ("contact_id", "account_id", "time_zone", "role", "active_days_28")


def of_contact(column: str) -> str:
    """What a column of contacts is called beside what is known of members."""
    return quoted(f"contact {column.lower()}")


class People:
    """The contacts of a project, and the members of some of its segments, at one moment in SQL.

    `asked` are the columns that messages ask for; `columns` the types of all by name in lower case;
    `numbers` those of the segments.
    """

    def __init__(
        self,
        session: Session,
        graph: Graph,
        moment: str,
        asked: Iterable[str],
        segments: Iterable[str],
    ):
        self.session, self.graph, self.moment = session, graph, moment
        self.contacts = str(graph.relations[str(graph.find(CONTACTS))])
        found = session.columns(f"select * from {self.contacts}")
        self.columns = {name.lower(): kind for name, kind in found}
        self.zone = literal(str(graph.project.vars.get("time_zone", "UTC")))
        channels = graph.project.channels
        self._places = {channel.name: place for place, channel in enumerate(channels)}
        self._asked = self._known(asked)
        self._made: dict[object, str] = {}
        addresses = [c for x in channels for c in (x.address, x.reachable) if c]
        self._number(self._known((*_ALWAYS, *self._asked, *addresses)))
        self._read_members(segments)

    def local(self, time: str) -> str:
        """A UTC time by the project's clock."""
        return f"timezone({self.zone}, timezone('UTC', {time}))"

    def members(self, channel: Channel, purpose: Purpose, goal: str) -> str:
        """A table with one row per segment and member.

        Beside `segment`, its `number`, `contact_id` and `entered_at` there are `who`, her number,
        which is null where she is no contact any more, her `spot` on the channel, HELD, OF_WHAT,
        CLOCK, and what messages ask of her, named by `of_contact`.
        """
        key = permission_sql(self.graph, channel, purpose, goal, PEOPLE)
        if key not in self._made:
            table = f'{SCRATCH}."members {len(self._made)}"'
            spot, shared = self._spot(channel, "who")
            asked = "".join(f", people.{quoted(c)} as {of_contact(c)}" for c in self._asked)
            self.session.execute(
                f"create or replace table {table} as select members.*, {spot} as spot,"
                f" people.{HELD}, people.{OF_WHAT}, people.{CLOCK}{asked}"
                f" from {_MEMBERS} as members"
                f" left join ({key}) as people on members.who = people.{NUMBER}{shared}"
            )
            self._made[key] = table
        return self._made[key]

    def slot(self, spot: str, channel: Channel) -> str:
        """The slot of a spot on a channel, both SQL."""
        return f"{spot} * {len(self._places)} + {self._places[channel.name]}"

    def capped(self, channel: Channel, loud: str) -> str:
        """A table of the spots that have reached caps of a channel, with the caps' numbers.

        A window ends on the day when a message would go out; what is put off to a later day counts.

        Args:
            loud: when that would be by the contact's clock, as SQL over CLOCKS.
        """
        key = ("caps", channel.name)
        if key not in self._made:
            table, caps = f'{SCRATCH}."caps {len(self._made)}"', channel.frequency_cap
            counts = "".join(
                f", {used(cap, 'spots.day')} >= {cap.count} as cap_{number}"
                for number, cap in enumerate(caps)
            )
            any_of = " or ".join(f"cap_{n}" for n in range(len(caps)))
            reached = ", ".join(f"case when cap_{n} then {n} end" for n in range(len(caps)))
            # No contact's day is more than one away from another's.
            longest = max(cap.days for cap in caps) + 2
            spot, shared = self._spot(channel, NUMBER)
            self.session.execute(
                f"create or replace table {table} as with recent as (select {spot} as spot,"
                f" past.local_date, past.goal, past.tags from {PAST} as past"
                f" join {PEOPLE} as people on past.contact_id = people.contact_id{shared}"
                f" where past.channel = {literal(channel.name)} and not past.is_contract"
                f" and past.local_date > cast({self.moment} as date) - {longest}),"
                f" spots as (select {spot} as spot, min(cast({loud} as date)) as day from {PEOPLE}"
                f" join {CLOCKS} using ({CLOCK}){shared} where spot in (select spot from recent)"
                " group by all), counted as (select spot"
                f"{counts} from recent as past join spots using (spot) group by spot)"
                f" select spot, [{reached}] as caps from counted where {any_of}"
            )
            self._made[key] = table
        return self._made[key]

    def _spot(self, channel: Channel, who: str) -> tuple[str, str]:
        """The number of the first who has a contact's address, as SQL, and the join for it."""
        if channel.address.lower() == "contact_id":
            return who, ""
        table = f'{SCRATCH}."shared {self._places[channel.name]}"'
        if table not in self._made:
            address = address_sql(channel)
            self.session.execute(
                f"create or replace table {table} as with found as (select {NUMBER} as number,"
                f" {address} as address from {PEOPLE} as contacts where {address} is not null),"
                " shared as (select address, min(number) as first from found group by address"
                " having count(*) > 1) select number, first from found join shared using (address)"
            )
            self._made[table] = table
        join = f" left join {table} as shared on {who} = shared.number"
        return f"coalesce(shared.first, {who})", join

    def _read_members(self, segments: Iterable[str]) -> None:
        # By number, a message reads no more than its own members, who lie together.
        self.numbers = {name: number for number, name in enumerate(sorted(segments))}
        known = "".join(f", ({literal(name)}, {number})" for name, number in self.numbers.items())
        self.session.execute(
            f"create or replace table {_MEMBERS} as select number, segment, {NUMBER} as who,"
            " members.contact_id, entered_at from segments.memberships as members"
            f" join (values (null, null){known}) as known (segment, number) using (segment)"
            f" left join {PEOPLE} as people on members.contact_id = people.contact_id"
        )

    def _number(self, columns: list[str]) -> None:
        # Few clocks, many contacts: what time it is elsewhere is slow to ask.
        zone = "time_zone" if "time_zone" in self.columns else "null::varchar"
        self.session.execute(
            f"create or replace table {CLOCKS} as select row_number() over () as {CLOCK}, zone,"
            f" coalesce(name, {self.zone}) as known,"
            f" timezone(known, timezone('UTC', {self.moment})) as local_now"
            f" from (select distinct {zone} as zone from {self.contacts})"
            " left join pg_timezone_names() on zone = name"
        )
        self.session.execute(
            f"create or replace table {PEOPLE} as select row_number() over () as {NUMBER},"
            f" {CLOCK}, {', '.join(map(quoted, columns))} from {self.contacts}"
            f" join {CLOCKS} on {zone} is not distinct from zone"
        )

    def _known(self, names: Iterable[str]) -> list[str]:
        lowered = dict.fromkeys(name.lower() for name in names)
        return [name for name in lowered if name in self.columns]
