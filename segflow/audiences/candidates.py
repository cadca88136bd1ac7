"""Memberships and messages in; every candidate with what holds her by herself, or a payload, out.

A candidate is a contact in a message's segment, once per channel of the message. Each message asks
its policies of all its candidates on a channel in one statement, which fills CANDIDATES.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from segflow.audiences.exposures import LIVE, PAST
from segflow.audiences.history import listed
from segflow.audiences.permission import ADDRESS, HELD, OWED, permission_sql, suppressing
from segflow.audiences.policies import POLICIES, Question
from segflow.build.materializations import members_table
from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.lineage import Stale, roots_of
from segflow.compile.outlines import ROWS
from segflow.compile.relations import interval, literal, quoted
from segflow.engines.base import SCRATCH, Session
from segflow.errors import StepError
from segflow.project.nodes import Channel, FrequencyCap, Message, Purpose

CANDIDATES = f"{SCRATCH}.candidates"
_ZONES, _OWN = f"{SCRATCH}.zones", f"{SCRATCH}.own_past"

# Tables by alias, each with the names of its columns in lower case.
_Tables = Mapping[str, tuple[str, set[str]]]


class Candidates:
    """The candidates of all messages of a project at one moment.

    `evaluated` are the segments whose rows this run has put aside; the views of the others are
    asked. `stale` are the columns that are not up to date, by node. `moment` is SQL. `behind` are
    the failed nodes that what a message says on a channel stands on.
    """

    def __init__(
        self,
        session: Session,
        graph: Graph,
        moment: str,
        evaluated: Iterable[str],
        stale: Mapping[str, Stale],
    ):
        self.session, self.graph, self.moment = session, graph, moment
        self.stale, self._evaluated = stale, set(evaluated)
        self.channels = {channel.name: channel for channel in graph.project.channels}
        self.purposes = {purpose.name: purpose for purpose in graph.project.purposes}
        self.contacts = str(graph.relations[str(graph.find(CONTACTS))])
        self.columns = self.columns_of(self.contacts)
        self.zone = literal(str(graph.project.vars.get("time_zone", "UTC")))
        self.today: date = session.rows(f"select cast({self.local(moment)} as date)")[0][0]
        self.behind = {
            (message.name, name): self._behind(message, self.channels[name])
            for message in graph.project.messages
            for name in message.channels
        }
        self._made: dict[object, str] = {}
        named = [c.lower() for m in graph.project.messages for c in _asked(m)]
        wanted = dict.fromkeys(("contact_id", "account_id", "time_zone", *named))
        self._asked_of_contacts = ", ".join(quoted(c) for c in wanted if c in self.columns)
        self.failed: dict[str, str] = {}

    def columns_of(self, table: str) -> dict[str, str]:
        """Types by the names of columns in lower case."""
        found = self.session.columns(f"select * from {table}")
        return {name.lower(): kind for name, kind in found}

    def local(self, time: str) -> str:
        """A UTC time by the project's clock."""
        return f"timezone({self.zone}, timezone('UTC', {time}))"

    def standing(self, node: str | None) -> str | None:
        """The table or view of a node, None where there is none or it was never built."""
        relation = self.graph.relations.get(str(node))
        if relation is None or not self.session.relation_type(relation.schema, relation.identifier):
            return None
        return str(relation)

    def rows_of(self, segments: Iterable[str]) -> dict[str, str]:
        """The tables or views of the rows of segments as of now, of those that were ever built."""
        found = {
            name: members_table(name)
            if name in self._evaluated
            else self.standing(self.graph.segments[name].id)
            for name in segments
        }
        return {name: table for name, table in found.items() if table}

    @property
    def _zone_of(self) -> str:
        return "people.time_zone" if "time_zone" in self.columns else "null"

    def ask(self, messages: Iterable[Message]) -> None:
        """Fill CANDIDATES; PAST and LIVE say what came before.

        A message that fails is held back from all its candidates, and `failed` says why.
        """
        self.session.execute(
            f"create or replace table {CANDIDATES} (message varchar, channel varchar,"
            f" place integer, contact_id {self.columns['contact_id']}, address varchar,"
            " account_id varchar, segment varchar, entered_at timestamp, variant varchar,"
            " send_after timestamp, local_date date, best double, payload map(varchar, varchar),"
            " reason varchar, detail varchar)"
        )
        messages = list(messages)
        times = "count(distinct as_of)" if any(m.max_per_contact for m in messages) else "null"
        asked = [m.name for m in messages if m.cooldown or m.max_per_contact]
        # In order, so that each message reads no more than its own.
        self.session.execute(
            f"create or replace table {_OWN} as select message, contact_id, max(as_of) as last_at,"
            f" {times} as times from {PAST} where message in ({listed(asked)}) group by all"
            " order by message"
        )
        self._read_clocks()
        for message in messages:
            for place, name in enumerate(message.channels):
                try:
                    self._ask(message, self.channels[name], place)
                except StepError as error:
                    # Of what fails, nothing new is sent; the other messages go on.
                    self.failed[message.name] = str(error)
                    self.behind[message.name, name] = frozenset({message.id})
                    self._ask(message, self.channels[name], place)

    def _read_clocks(self) -> None:
        """What time it is where contacts are; where that is not known, where the project is."""
        has_zones = "time_zone" in self.columns
        zone = "time_zone" if has_zones else "null::varchar"
        names = f"(select distinct {zone} as zone from {self.contacts})"
        self.session.execute(
            f"create or replace table {_ZONES} as select zone, known, timezone(known,"
            f" timezone('UTC', {self.moment})) as local_now from (select zone,"
            f" coalesce(name, {self.zone}) as known from {names}"
            " left join pg_timezone_names() on zone = name)"
        )

    def _ask(self, message: Message, channel: Channel, place: int) -> None:
        """Ask all policies of a message's candidates on one channel, in one statement."""
        purpose = self.purposes[message.purpose]
        behind = self.behind[message.name, channel.name]
        # What waits asks for nothing that may not be there.
        people = self._people_of(message, channel, OWED if behind else purpose)
        tables = {} if behind else self._evidence(message)
        texts = {} if behind else self._payload(message, tables)
        caps = tuple(n for n, c in enumerate(channel.frequency_cap) if _counts(c, message))
        missing = [f"case when {text} is null then {literal(k)} end" for k, text in texts.items()]
        asked = Question(
            message,
            channel,
            purpose,
            self.moment,
            self.today,
            tuple(sorted(self.graph.nodes[root].name for root in behind)),
            f"concat_ws(', ', {', '.join(missing)})" if missing else "''",
            () if purpose.is_contract else caps,
        )
        held = {p.reason: sql for p in POLICIES if p.holds and (sql := p.holds(asked))}
        by = {reason: f"held_{number}" for number, reason in enumerate(held)}
        details = "".join(f", {sql} as {by[reason]}" for reason, sql in held.items())
        reasons = " ".join(f"when {c} is not null then {literal(r)}" for r, c in by.items())
        detail = f"coalesce({', '.join(by.values())})"
        best = message.limit.best_by if message.limit and not behind else None
        # Few clocks, many contacts: what time it is elsewhere is slow to ask.
        clocks = (
            "select zone, send_at, case when send_at > local_now"
            " then timezone('UTC', timezone(known, send_at)) end as send_after"
            f" from (select *, {_send_at(message, channel, purpose)} as send_at from {_ZONES})"
        )
        rank = self._value(message, best, tables) if best else "null"
        keys, values = ", ".join(map(literal, texts)), ", ".join(texts.values())
        account = "cast(people.account_id as varchar)" if "account_id" in self.columns else "null"
        evidence = "".join(
            f" left join {table} as {alias} on members.contact_id = {alias}.contact_id"
            for alias, (table, _) in tables.items()
        )
        self.session.execute(
            f"insert into {CANDIDATES} with asked as (select members.contact_id,"
            f" people.{ADDRESS} as address, {account} as account_id, members.segment,"
            f" members.entered_at, {variant_of(message)} as variant,"
            " clocks.send_at, clocks.send_after,"
            f" try_cast({rank} as double) as best,"
            f" map([{keys}]::varchar[], [{values}]::varchar[]) as payload{details}"
            f" from ({self._members(message)}) as members"
            f" left join {people} as people on members.contact_id = people.contact_id"
            f" left join ({clocks}) as clocks on {self._zone_of} is not distinct from clocks.zone"
            f"{self._joins(asked)}{evidence})"
            f" select {literal(message.name)}, {literal(channel.name)}, {place}, contact_id,"
            " address, account_id, segment, entered_at, variant,"
            " send_after, cast(send_at as date), best,"
            f" case when {detail} is null then payload end,"
            f" case {reasons} end, {detail} from asked"
        )

    def _members(self, message: Message) -> str:
        """The contacts of a message's segments, each by the first that she is in."""
        names = listed(message.segments)
        if len(message.segments) == 1:
            return (
                "select contact_id, segment, entered_at from segments.memberships"
                f" where segment = {names}"
            )
        return (
            f"select contact_id, arg_min(segment, list_position([{names}], segment)) as segment,"
            " min(entered_at) as entered_at from segments.memberships"
            f" where segment in ({names}) group by contact_id"
        )

    def _people_of(self, message: Message, channel: Channel, purpose: Purpose) -> str:
        """A table of all contacts: whether and where we may write to them, and what is asked."""
        key = (channel.name, purpose.name, *suppressing(channel, purpose, message.goal))
        if key not in self._made:
            table = f'{SCRATCH}."people {len(self._made)}"'
            self.session.execute(
                f"create or replace table {table} as select {self._asked_of_contacts},"
                f" {ADDRESS}, {HELD} from"
                f" ({permission_sql(self.graph, channel, purpose, message.goal)})"
            )
            self._made[key] = table
        return self._made[key]

    def _joins(self, asked: Question) -> str:
        """What the policies of a message look at, beside its members, people and evidence."""
        message, channel = asked.message, asked.channel
        mine = f"message = {literal(message.name)}"
        found = {
            "live": f"(select contact_id, as_of from {LIVE} where {mine}"
            f" and channel = {literal(channel.name)})"
        }
        if message.exclude:
            found["excluded"] = (
                "(select contact_id, min(segment) as segment from segments.memberships"
                f" where segment in ({listed(message.exclude)}) group by contact_id)"
            )
        if message.cooldown or message.max_per_contact:
            found["own"] = f"(select * from {_OWN} where {mine})"
        last = f"(select contact_id, max(as_of) as last_at from {PAST} where"
        if message.goal_cooldown:
            found["same_goal"] = f"{last} goal = {literal(message.goal)} group by contact_id)"
        if message.after:
            found["earlier"] = (
                f"{last} message = {literal(message.after.message)} and as_of <="
                f" {self.moment} - {interval(message.after.at_least)} group by contact_id)"
            )
        joins = "".join(
            f" left join {table} as {alias} on members.contact_id = {alias}.contact_id"
            for alias, table in found.items()
        )
        if asked.caps:
            capped = self._capped(message, channel, asked.purpose)
            joins += f" left join {capped} as capped on people.{ADDRESS} = capped.address"
        return joins

    def _capped(self, message: Message, channel: Channel, purpose: Purpose) -> str:
        """A table of the addresses that have reached caps of a channel, with the caps' numbers.

        A window ends on the day when a message would go out; what is put off to a later day counts.
        """
        key = ("caps", channel.name)
        if key not in self._made:
            table = f'{SCRATCH}."caps {len(self._made)}"'
            caps, people = channel.frequency_cap, self._people_of(message, channel, purpose)
            counts = "".join(
                f", count(*) filter (where past.local_date > addresses.day - {cap.days}"
                + (f" and past.goal = {literal(cap.goal)}" if cap.goal else "")
                + (f" and list_contains(past.tags, {literal(cap.tag)})" if cap.tag else "")
                + f") >= {cap.count} as cap_{number}"
                for number, cap in enumerate(caps)
            )
            any_of = " or ".join(f"cap_{n}" for n in range(len(caps)))
            reached = ", ".join(f"case when cap_{n} then {n} end" for n in range(len(caps)))
            self.session.execute(
                f"create or replace table {table} as with addresses as (select"
                f" {ADDRESS} as address, min(cast({_loud('local_now', channel)} as date)) as day"
                f" from {people} as people join {_ZONES} as zones"
                f" on {self._zone_of} is not distinct from zones.zone"
                f" where {ADDRESS} is not null group by address),"
                f" recent as (select people.{ADDRESS} as address, past.* from {PAST} as past"
                f" join {people} as people on past.contact_id = people.contact_id"
                f" where past.channel = {literal(channel.name)} and not past.is_contract),"
                f" counted as (select address{counts} from recent as past join addresses"
                " using (address) group by address)"
                f" select address, [{reached}] as caps from counted where {any_of}"
            )
            self._made[key] = table
        return self._made[key]

    def _behind(self, message: Message, channel: Channel) -> frozenset[str]:
        """The failed nodes that what a message says on a channel stands on."""
        graph, stale, purpose = self.graph, self.stale, self.purposes[message.purpose]
        contacts = str(graph.find(CONTACTS))
        names = (*message.segments, *message.exclude, *suppressing(channel, purpose, message.goal))
        read = [graph.segments[name].id for name in names]
        read += [] if purpose.is_contract else [str(graph.find(CONSENTS))]
        roots = roots_of(*(stale[node] for node in read if node in stale))
        if contacts in stale:
            asked = {column.lower() for column in _asked(message)} & self.columns.keys()
            asked |= {"contact_id", channel.address.lower(), (channel.reachable or ROWS).lower()}
            found = (roots_of(stale[contacts], column=column) for column in (ROWS, *asked))
            roots = roots.union(*found)
        return roots

    # ── what a message says ───────────────────────────────────────────────────────────────────

    def _evidence(self, message: Message) -> _Tables:
        """The tables of the evidence that a message asks for."""
        asked = {column.lower() for column in _asked(message)} - {"contact_id"}
        tables = self.rows_of(message.segments)
        found = {name: (table, set(self.columns_of(table))) for name, table in tables.items()}
        return {quoted(f"evidence of {n}"): (t, c) for n, (t, c) in found.items() if asked & c}

    def _value(self, message: Message, column: str, tables: _Tables) -> str:
        """A column of the evidence, else of contacts; who a contact is, is never evidence."""
        name = column.lower()
        found = [f"{a}.{quoted(column)}" for a, (_, names) in tables.items() if name in names]
        own = {"contact_id", *(channel.address.lower() for channel in self.channels.values())}
        if name in self.columns and (not found or name in own):
            return f"people.{quoted(column)}"
        if not found and len(self.rows_of(message.segments)) < len(message.segments):
            return "null"
        if not found:
            raise StepError(f"neither its segments nor `{CONTACTS}` have a column `{column}`")
        return f"coalesce({', '.join(found)})"

    def _payload(self, message: Message, tables: _Tables) -> dict[str, str]:
        """SQL of each text of a message's payload, null where a value is missing."""
        # Only payloads are read with Jinja where every template is in the cache.
        from segflow.compile.payloads import VARIANT, to_sql

        def value_of(column: str) -> str:
            is_variant = column == VARIANT and message.variants
            return variant_of(message) if is_variant else self._value(message, column, tables)

        return {key: to_sql(text, value_of) for key, text in message.payload.items()}


def draw(salt: str, unit: str) -> str:
    """A number from 0 to 9,999, always the same for one salt and unit; all three are SQL."""
    return f"cast(md5_number_lower({salt} || '|' || {unit}) % 10000 as integer)"


def variant_of(message: Message) -> str:
    """The variant that a contact of `members` always gets."""
    share, whens = 0, ""
    for variant in message.variants:
        share += variant.weight
        drawn = draw(literal(f"variant of {message.name}"), "members.contact_id")
        whens += f" when {drawn} < {share * 100} then {literal(variant.name)}"
    return f"case{whens} end" if whens else "null::varchar"


def _counts(cap: FrequencyCap, message: Message) -> bool:
    """Whether a cap is one on such messages."""
    if cap.goal:
        return cap.goal == message.goal
    return cap.tag in message.tags if cap.tag else True


def _asked(message: Message) -> list[str]:
    """The columns that a message names."""
    from segflow.compile.payloads import columns_of

    found = [column for text in message.payload.values() for column in columns_of(text)]
    return [*found, *([message.limit.best_by] if message.limit and message.limit.best_by else [])]


def _send_at(message: Message, channel: Channel, purpose: Purpose) -> str:
    """When a message goes out by the contact's clock, not before the contact's now."""
    now = at = "local_now"
    if message.send_at:
        time = f"time '{message.send_at}'"
        days = f"case when cast({now} as time) > {time} then 1 else 0 end"
        at = f"(cast({now} as date) + {days} + {time})"
    return at if purpose.is_contract else _loud(at, channel)


def _loud(at: str, channel: Channel) -> str:
    """A local time, put off to the end of the channel's quiet hours where it falls in them."""
    quiet = channel.quiet_hours
    if quiet is None or quiet.start == quiet.until:
        return at
    start, until, time = f"time '{quiet.start}'", f"time '{quiet.until}'", f"cast({at} as time)"
    morning = f"cast({at} as date) + {until}"
    if quiet.start < quiet.until:
        return f"case when {time} >= {start} and {time} < {until} then {morning} else {at} end"
    return (
        f"case when {time} >= {start} then {morning} + interval 1 day"
        f" when {time} < {until} then {morning} else {at} end"
    )
