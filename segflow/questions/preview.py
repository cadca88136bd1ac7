"""A state before and a run on a copy in; who would move, and what made them move, out.

What a state holds is put aside in Parquet files, one of members and one per audience, so that it
outlives the copy it was read from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segflow.audiences.audiences import SCHEMA, key_and_columns, relation_of
from segflow.build.materializations import members_table
from segflow.compile.relations import literal, quoted
from segflow.engines.base import Session
from segflow.project.nodes import Audience
from segflow.questions.profile import Traits

# Of fewer contacts than this a share says little, and may say who they are.
CROWD = 10
CAUSES = ("data", "time", "definition")
_LIVE = "cast(contact_id as varchar) as contact_id, channel, message"


@dataclass(frozen=True)
class Moved:
    """Contacts that enter and that leave."""

    entered: int = 0
    left: int = 0


@dataclass(frozen=True)
class SegmentPreview:
    """How a segment would change.

    `causes` add up to entered and left: each contact counts once, where it last changed its side;
    all of them are `unknown` where the definition of before could not be evaluated. `because` names
    what changed in the definition, or why that is; `held` says why the segment stays as it was;
    `examples` are the evidence for some contacts that enter, without what says who they are.
    """

    segment: str
    before: int
    after: int
    entered: int
    left: int
    causes: dict[str, Moved]
    because: tuple[str, ...] = ()
    guard: str | None = None
    held: str | None = None
    examples: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.segment

    @property
    def moves(self) -> bool:
        return bool(self.entered or self.left)


@dataclass(frozen=True)
class AudiencePreview:
    """What a destination would have to add, change and remove."""

    audience: str
    destination: str
    before: int
    adds: int
    changes: int
    removes: int
    guard: str | None = None
    held: str | None = None

    @property
    def name(self) -> str:
        return self.audience

    @property
    def after(self) -> int:
        return self.before + self.adds - self.removes

    @property
    def moves(self) -> bool:
        return bool(self.adds or self.changes or self.removes)


@dataclass(frozen=True)
class MessagePreview:
    """How many contacts have a message live on a channel.

    `gained` did not have it; of them `had_nothing` had no other on the channel, and `instead_of`
    counts the messages that the rest had. `lost` have it no more, `to` counts what they have now.
    """

    message: str
    channel: str
    before: int
    after: int
    gained: int
    had_nothing: int
    instead_of: dict[str, int]
    lost: int
    to: dict[str, int]

    @property
    def moves(self) -> bool:
        return bool(self.gained or self.lost)


@dataclass(frozen=True)
class Reached:
    """Contacts that have a message live where they had none, another one, or none any more."""

    more: int = 0
    other: int = 0
    fewer: int = 0


@dataclass(frozen=True)
class Crowd:
    """Those who `enter` or `leave` a segment, and what sets them apart from everyone."""

    segment: str
    way: str
    contacts: int
    traits: Traits


def most_moved(segments: Iterable[SegmentPreview]) -> list[SegmentPreview]:
    """Those that move, by how many; what an edit does comes before what data and clock do."""

    def weight(segment: SegmentPreview) -> tuple[int, int]:
        edited = segment.causes["definition"]
        return edited.entered + edited.left, segment.entered + segment.left

    return sorted((s for s in segments if s.moves), key=weight, reverse=True)


def keep_members(session: Session, query: str, renamed: Mapping[str, str], folder: Path) -> None:
    """Put `query` (segment, contact_id) aside, former names of segments as those of now.

    What lies in the folder already stays beside it.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    cases = "".join(f" when {literal(old)} then {literal(new)}" for old, new in renamed.items())
    name = f"case segment{cases} else segment end" if renamed else "segment"
    session.export(f"select {name} as segment, contact_id from ({query})", path, "parquet")


def published_members(session: Session) -> str:
    """A SELECT of the memberships that stand."""
    if session.relation_type("segments", "memberships") is None:
        return "select '' as segment, '' as contact_id limit 0"
    return "select segment, cast(contact_id as varchar) as contact_id from segments.memberships"


def evaluated_members(segments: Iterable[str]) -> str:
    """A SELECT of the contacts that segments were evaluated to."""
    parts = [
        f"select {literal(name)} as segment, cast(contact_id as varchar) as contact_id"
        f" from {members_table(name)}"
        for name in segments
    ]
    return " union all ".join(parts) or "select '' as segment, '' as contact_id limit 0"


def keep_audiences(session: Session, names: Iterable[str], folder: Path) -> None:
    """Put the tables of audiences aside, as far as there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if session.relation_type(SCHEMA, name):
            session.export(f"select * from {SCHEMA}.{quoted(name)}", folder / name, "parquet")


def compare_segments(
    session: Session, before: Path, data: Path | None, time: Path | None, blind: Iterable[str]
) -> list[SegmentPreview]:
    """How each segment moves from the members put aside to the memberships that now stand.

    Args:
        before: the members of the state before.
        data: those of the old definitions at the old moment on the data of now; None where nothing
            but the data can have changed since, so that they are those of now.
        time: those of the old definitions at the moment of now; None where they are those of now.
        blind: segments that the old definitions could not be evaluated for: nobody knows why they
            move.
    """
    old = _parquet(before / "*")
    is_blind = f"segment in ({', '.join(map(literal, blind)) or 'null'})"
    states = [f"select * from {old}"]
    for path in (data, time):
        states.append(
            f"select * from {_parquet(path / '*')}" if path else published_members(session)
        )
    states.append(published_members(session))
    tagged = " union all ".join(f"select *, {n} as state from ({q})" for n, q in enumerate(states))
    sides = ", ".join(f"bool_or(state = {n}) as s{n}" for n in range(len(states)))
    moves = ", ".join(
        f"count(*) filter (where s3 and not s0 and cause = '{cause}'),"
        f" count(*) filter (where s0 and not s3 and cause = '{cause}')"
        for cause in (*CAUSES, "unknown")
    )
    rows = session.rows(
        f"with sides as (select segment, contact_id, {sides} from ({tagged}) group by all),"
        f" caused as (select *, case when {is_blind} then 'unknown' when s2 <> s3 then 'definition'"
        " when s1 <> s2 then 'time' else 'data' end as cause from sides)"
        f" select segment, count(*) filter (where s0), count(*) filter (where s3), {moves}"
        " from caused group by segment order by segment"
    )
    found = []
    for segment, members, after, *counts in rows:
        pairs = [Moved(*pair) for pair in zip(counts[::2], counts[1::2], strict=True)]
        causes = dict(zip(CAUSES, pairs, strict=False))
        if pairs[-1] != Moved():
            causes["unknown"] = pairs[-1]
        entered = sum(moved.entered for moved in causes.values())
        left = sum(moved.left for moved in causes.values())
        found.append(SegmentPreview(segment, members, after, entered, left, causes))
    return found


def examples(
    session: Session, segment: str, before: Path, private: set[str], count: int = 3
) -> tuple[str, ...]:
    """The evidence for some contacts that enter, less the `private` columns; just evaluated."""
    table = members_table(segment)
    names = [n for n, _ in session.columns(f"select * from {table}") if n.lower() not in private]
    if not names:
        return ()
    who = "cast(contact_id as varchar)"
    listed = ", ".join(f"nullif(cast({quoted(name)} as varchar), {who})" for name in names)
    rows = session.rows(
        f"select distinct {listed} from {table} where {who} not in"
        f" (select contact_id from {_parquet(before / '*')} where segment = {literal(segment)})"
        f" order by all limit {count}"
    )
    shown = (
        ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True) if value)
        for row in rows
    )
    return tuple(filter(None, shown))


def movers(session: Session, contacts: str, segment: str, way: str, before: Path) -> str:
    """A SELECT of those who enter a segment or leave it, since the members put aside."""
    states = [published_members(session), f"select * from {_parquet(before / '*')}"]
    here, there = (
        f"select contact_id from ({state}) where segment = {literal(segment)}"
        for state in (states if way == "enter" else reversed(states))
    )
    who = "cast(contact_id as varchar)"
    return f"select contact_id from {contacts} where {who} in ({here} except {there})"


def keep_messages(session: Session, path: Path) -> None:
    """Put aside what is live."""
    if session.relation_type("segments", "next_message"):
        session.export(f"select {_LIVE} from segments.next_message", path, "parquet")


def compare_messages(session: Session, path: Path) -> list[MessagePreview]:
    """How the messages that are live differ from those put aside."""
    if not session.relation_type("segments", "next_message"):
        return []
    rows = session.rows(
        f"{_was_and_now(path)},"
        " both_ as (select channel, was.message as old, now.message as new, count(*) as contacts"
        " from was full join now using (contact_id, channel) group by all)"
        " select channel, old, new, contacts from both_ order by contacts desc, old, new"
    )
    names = dict.fromkeys((m, c) for c, old, new, _ in rows for m in (old, new) if m)
    found = []
    for message, channel in sorted(names):
        here = [(old, new, n) for c, old, new, n in rows if c == channel]
        gained = {old: n for old, new, n in here if new == message and old != message}
        lost = {new: n for old, new, n in here if old == message and new != message}
        kept = sum(n for old, new, n in here if old == new == message)
        found.append(
            MessagePreview(
                message,
                channel,
                kept + sum(lost.values()),
                kept + sum(gained.values()),
                sum(gained.values()),
                gained.get(None, 0),
                {old: n for old, n in gained.items() if old},
                sum(lost.values()),
                {new: n for new, n in lost.items() if new},
            )
        )
    return found


def count_reached(session: Session, path: Path) -> Reached:
    """How many contacts have other messages live than those put aside; each counts once."""
    if not session.relation_type("segments", "next_message"):
        return Reached()
    counts = session.rows(
        f"{_was_and_now(path)}, contacts as (select bool_or(was.message is not null) as had,"
        " bool_or(now.message is not null) as has,"
        " bool_or(now.message is distinct from was.message and now.message is not null) as gains"
        " from was full join now using (contact_id, channel) group by contact_id)"
        " select count(*) filter (where not had), count(*) filter (where had and gains),"
        " count(*) filter (where not has) from contacts"
    )
    return Reached(*counts[0])


def compare_audience(session: Session, audience: Audience, folder: Path) -> AudiencePreview:
    """What the audience's table has that the one put aside has not, by its key."""
    key, _ = key_and_columns(audience)
    path, relation = folder / audience.name, relation_of(audience)
    there = session.relation_type(SCHEMA, audience.name)
    new = f"select * from {relation}" if there else f"select null as {quoted(key)} limit 0"
    old = f"select * from {_parquet(path)}" if path.exists() else f"{new} limit 0"
    columns = [{name for name, _ in session.columns(query)} for query in (old, new)]
    if key not in columns[0]:
        old, columns[0] = f"select null as {quoted(key)} limit 0", set()
    differs = "true"
    if columns[0] == columns[1]:
        differs = " or ".join(
            f"was.{quoted(name)} is distinct from now.{quoted(name)}" for name in sorted(columns[0])
        )
    counts = session.rows(
        f"with was as ({old}), now as ({new})"
        " select (select count(*) from was), (select count(*) from now anti join was"
        f" using ({quoted(key)})), (select count(*) from was join now on was.{quoted(key)} ="
        f" now.{quoted(key)} where {differs}), (select count(*) from was anti join now"
        f" using ({quoted(key)}))"
    )[0]
    return AudiencePreview(audience.name, audience.destination, *counts)


def _was_and_now(path: Path) -> str:
    nothing = f"select {_LIVE} from segments.next_message limit 0"
    was = f"from {_parquet(path)}" if path.exists() else nothing
    return f"with was as ({was}), now as (select {_LIVE} from segments.next_message)"


def _parquet(path: Path) -> str:
    return f"read_parquet({literal(str(path))})"
