"""Memberships and messages in; every candidate with what holds her by herself out.

A candidate is a contact in a message's segment, once per channel of the message. Each message asks
its policies of all its candidates on a channel in one SELECT, which fills CANDIDATES.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from segflow.audiences.exposures import LIVE, PAST
from segflow.audiences.history import listed
from segflow.audiences.people import CLOCK, CLOCKS, People, of_contact
from segflow.audiences.permission import OWED, suppressing
from segflow.audiences.policies import POLICIES, Question, counts
from segflow.build.materializations import members_table
from segflow.compile.checks import VARIANT
from segflow.compile.graph import CONSENTS, CONTACTS, Graph
from segflow.compile.lineage import Stale, roots_of
from segflow.compile.outlines import ROWS
from segflow.compile.relations import interval, literal, quoted
from segflow.engines.base import SCRATCH, Session
from segflow.errors import StepError
from segflow.project.nodes import Channel, Message, Purpose

# One row per contact and question: a message on a channel, by its number.
CANDIDATES = f"{SCRATCH}.candidates"
_OWN = f"{SCRATCH}.own_past"
# So many SELECTs fill a table at once, which DuckDB does in parallel.
_BATCH = 10

# Tables by alias, each with the names of its columns in lower case.
Tables = Mapping[str, tuple[str, set[str]]]


class Candidates:
    """The candidates of all messages of a project at one moment.

    `messages` are in the order of their turns; `numbers` are those of the questions, by message and
    channel, in that order. `evaluated` are the segments whose rows this run has put aside; the
    views of the others are asked. `stale` are the columns that are not up to date, by node.
    `moment` is SQL. `behind` are the failed nodes that what a message says on a channel stands on.
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
        self.messages = sorted(graph.project.messages, key=self._turn)
        places = [(m.name, channel) for m in self.messages for channel in m.channels]
        self.numbers = {place: number for number, place in enumerate(places)}
        asked = [column for message in self.messages for column in _asked(message)]
        read = {name for message in self.messages for name in message.segments}
        self.people = People(session, graph, moment, asked, read)
        self.columns = self.people.columns
        self.today: date = session.rows(f"select cast({self.people.local(moment)} as date)")[0][0]
        self.behind = {
            (message.name, name): self._behind(message, self.channels[name])
            for message in self.messages
            for name in message.channels
        }
        self.failed: dict[str, str] = {}
        self._columns: dict[str, list[str]] = {}

    def _turn(self, message: Message) -> tuple[bool, int, str]:
        return not self.purposes[message.purpose].is_contract, -message.priority, message.name

    def columns_of(self, table: str) -> list[str]:
        """The names of a table's columns in lower case."""
        if table not in self._columns:
            found = self.session.columns(f"select * from {table}")
            self._columns[table] = [name.lower() for name, _ in found]
        return self._columns[table]

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

    def ask(self) -> None:
        """Fill CANDIDATES; PAST and LIVE say what came before.

        A message that fails is held back from all its candidates, and `failed` says why.
        """
        contact = self.columns["contact_id"]
        self.session.execute(
            f"create or replace table {CANDIDATES} (question integer, who bigint, slot bigint,"
            f" contact_id {contact}, segment varchar, entered_at timestamp, variant varchar,"
            " send_after timestamp, local_date date, best double, live bigint, reason varchar,"
            " detail varchar)"
        )
        self._read_own_past()
        asked = [(m, self.channels[name]) for m in self.messages for name in m.channels]
        for start in range(0, len(asked), _BATCH):
            batch = asked[start : start + _BATCH]
            try:
                self._fill(*batch)
            except StepError:
                for message, channel in batch:
                    self._ask_alone(message, channel)

    def _fill(self, *asked: tuple[Message, Channel]) -> None:
        answers = " union all ".join(f"({self._answers(*question)})" for question in asked)
        self.session.execute(f"insert into {CANDIDATES} {answers}")

    def _ask_alone(self, message: Message, channel: Channel) -> None:
        """Of what fails, nothing new is sent; the other messages go on."""
        try:
            self._fill((message, channel))
        except StepError as error:
            self.failed[message.name] = str(error)
            self.behind[message.name, channel.name] = frozenset({message.id})
            self._fill((message, channel))

    def _read_own_past(self) -> None:
        """When contacts last had messages that rest, and how often those that are counted."""
        counted = [m.name for m in self.messages if m.max_per_contact]
        since = {
            m.name: f"{self.moment} - {interval(m.cooldown)}" for m in self.messages if m.cooldown
        } | dict.fromkeys(counted, "timestamp '-infinity'")
        rests = "".join(f", ({literal(name)}, {moment})" for name, moment in since.items())
        times = "count(distinct as_of)" if counted else "null"
        # In order, so that each message reads no more than its own.
        self.session.execute(
            f"create or replace table {_OWN} as select message, contact_id, max(as_of) as last_at,"
            f" {times} as times from {PAST} join (values (null, null::timestamp){rests}) as rests"
            " (message, since) using (message) where as_of > since group by all order by message"
        )

    def _answers(self, message: Message, channel: Channel) -> str:
        """A SELECT of a message's candidates on one channel, with what holds each."""
        purpose = self.purposes[message.purpose]
        behind = self.behind[message.name, channel.name]
        # What waits asks for nothing that may not be there.
        members = self.people.members(channel, OWED if behind else purpose, message.goal)
        tables = {} if behind else self.evidence(message)
        texts = {} if behind else self.payload(message, tables)
        caps = tuple(
            n
            for n, cap in enumerate(channel.frequency_cap)
            if counts(cap, message.goal, message.tags)
        )
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
        held = [(p.reason, *found) for p in POLICIES if p.holds and (found := p.holds(asked))]
        # Who is held for one reason is not asked about the next.
        reason = " ".join(f"when {when} then {literal(name)}" for name, when, _ in held)
        detail = " ".join(f"when {when} then {sql}" for _, when, sql in held)
        best = message.limit.best_by if message.limit and not behind else None
        rank = self._value(message, best, tables) if best else "null"
        clocks = (
            f"select {CLOCK}, cast(send_at as date) as local_date, case when send_at > local_now"
            " then timezone('UTC', timezone(known, send_at)) end as send_after"
            f" from (select *, {_send_at(message, channel, purpose)} as send_at from {CLOCKS})"
        )
        return (
            f"select {self.numbers[message.name, channel.name]}, members.who,"
            f" {self.people.slot('members.spot', channel)}, members.contact_id, members.segment,"
            f" members.entered_at, {variant_of(message)}, clocks.send_after, clocks.local_date,"
            f" try_cast({rank} as double), live.live, case {reason} end, case {detail} end"
            f" from ({self.first(message, members)}) as members"
            f" left join ({clocks}) as clocks using ({CLOCK}){self._joins(asked)}{joins_of(tables)}"
        )

    def first(self, message: Message, members: str) -> str:
        """The members of a message's segments, each by the first of them that she is in."""
        places = [str(self.people.numbers[name]) for name in message.segments]
        if len(places) == 1:
            return f"select * from {members} where number = {places[0]}"
        names = ", ".join(places)
        return (
            "select * replace (min(entered_at) over (partition by contact_id) as entered_at)"
            f" from {members} where number in ({names}) qualify row_number() over"
            f" (partition by contact_id order by list_position([{names}], number)) = 1"
        )

    def _joins(self, asked: Question) -> str:
        """What the policies of a message look at, beside its members, people and evidence."""
        message, channel = asked.message, asked.channel
        mine = f"message = {literal(message.name)}"
        found = {
            "live": "(select contact_id, min(live) as live, arg_min(as_of, live) as as_of,"
            f" arg_min(action, live) as action from {LIVE} where question ="
            f" {self.numbers[message.name, channel.name]} group by contact_id)"
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
            capped = self.people.capped(channel, _loud("local_now", channel))
            joins += f" left join {capped} as capped on members.spot = capped.spot"
        return joins

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

    def evidence(self, message: Message) -> Tables:
        """The tables of the evidence that a message asks for."""
        asked = {column.lower() for column in _asked(message)} - {"contact_id"}
        tables = self.rows_of(message.segments)
        found = {name: (table, set(self.columns_of(table))) for name, table in tables.items()}
        return {quoted(f"evidence of {n}"): (t, c) for n, (t, c) in found.items() if asked & c}

    def _value(self, message: Message, column: str, tables: Tables) -> str:
        """A column of the evidence, else of contacts; who a contact is, is never evidence."""
        name = column.lower()
        found = [f"{a}.{quoted(column)}" for a, (_, names) in tables.items() if name in names]
        own = {"contact_id", *(channel.address.lower() for channel in self.channels.values())}
        if name in self.columns and (not found or name in own):
            return f"members.{of_contact(column)}"
        if not found and len(self.rows_of(message.segments)) < len(message.segments):
            return "null"
        if not found:
            raise StepError(f"neither its segments nor `{CONTACTS}` have a column `{column}`")
        return f"coalesce({', '.join(found)})"

    def payload(self, message: Message, tables: Tables) -> dict[str, str]:
        """SQL of each text of a message's payload, null where a value is missing."""
        # Only payloads are read with Jinja where every template is in the cache.
        from segflow.compile.payloads import to_sql

        def value_of(column: str) -> str:
            is_variant = column == VARIANT and message.variants
            return variant_of(message) if is_variant else self._value(message, column, tables)

        return {key: to_sql(text, value_of) for key, text in message.payload.items()}


def joins_of(tables: Tables) -> str:
    """The joins that bring the evidence of `members`."""
    return "".join(
        f" left join {table} as {alias} on members.contact_id = {alias}.contact_id"
        for alias, (table, _) in tables.items()
    )


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
    if quiet is None:
        return at
    start, until, time = f"time '{quiet.start}'", f"time '{quiet.until}'", f"cast({at} as time)"
    morning = f"cast({at} as date) + {until}"
    if quiet.start < quiet.until:
        return f"case when {time} >= {start} and {time} < {until} then {morning} else {at} end"
    return (
        f"case when {time} >= {start} then {morning} + interval 1 day"
        f" when {time} < {until} then {morning} else {at} end"
    )
