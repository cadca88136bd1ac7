"""The latest decisions in; goals by user types, their messages, and what is not covered, out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from segflow.audiences.history import listed
from segflow.audiences.matrix import NONE, goals_of
from segflow.compile.definitions import Definitions
from segflow.compile.graph import Graph
from segflow.compile.reasoning import Reasoner
from segflow.compile.relations import literal
from segflow.engines.base import Session
from segflow.errors import WorkspaceError
from segflow.project.nodes import Message

# Contacts who are eligible for more goals than this are counted.
MANY = 3

# The table that says in which order stages come, where a project has one.
_STAGES = "stages"
# Reasons that hold candidates back until something about them, or the message, changes.
_LASTING = {
    *("inactive", "excluded", "unknown_contact", "no_address", "unreachable", "suppressed"),
    *("no_consent", "no_payload"),
}


@dataclass(frozen=True)
class Cell:
    """A goal's candidates of one user type: how many, and how many of them have a message now."""

    goal: str
    user_type: str
    eligible: int
    live: int
    by_channel: dict[str, int]


@dataclass(frozen=True)
class Offer:
    """A message, as its project says it, and its candidates in the latest run."""

    goal: str
    message: str
    segments: tuple[str, ...]
    channels: tuple[str, ...]
    priority: int
    purpose: str
    is_contract: bool
    eligible: int
    live: int


FINDINGS = {
    "user_type": "no message for",
    "channel": "no message by",
    "nobody": "nobody gets",
    "loses": "always loses",
    "success": "no success event",
}


@dataclass(frozen=True)
class Finding:
    """Something that is not covered: `kind` is a key of FINDINGS, `name` what it is about."""

    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True)
class Matrix:
    """Goals by stage or persona; `user_types` has how many contacts each has, in order.

    `without` contacts are eligible for no goal, `many` of them for more than MANY.
    """

    as_of: datetime
    by: str
    user_types: dict[str, int]
    cells: tuple[Cell, ...]
    messages: tuple[Offer, ...]
    findings: tuple[Finding, ...]
    without: int
    many: int


def message_matrix(session: Session, graph: Graph, definitions: Definitions, by: str) -> Matrix:
    """What the latest run decided, by `stage` or `persona`.

    Raises:
        WorkspaceError: no message was decided on yet.
    """
    if session.relation_type("segments", "message_matrix") is None:
        raise WorkspaceError("no message was decided on yet", hint="segflow run")
    goals = goals_of(graph)
    rows = session.rows(
        "select goal, user_type, contacts, eligible, live, live_by_channel"
        f" from segments.message_matrix where dimension = {literal(by)}"
    )
    sizes = {row[1]: row[2] for row in rows}
    types = _in_order(session, graph, by, sizes)
    by_place = {(row[0], row[1]): Cell(*row[:2], *row[3:]) for row in rows}
    cells = [by_place[goal, name] for goal in goals for name in types if (goal, name) in by_place]
    covered = {cell.user_type for cell in cells if cell.eligible}
    covered |= {gap.name for gap in graph.project.gaps if gap.channel is None}
    findings = (
        *(Finding("user_type", n, f"{sizes[n]:,} contacts") for n in types if n not in covered),
        *_uncovered(graph, goals),
        *_unheard(session, graph, definitions),
        *_without_success(graph, goals),
    )
    without, many = session.rows(
        f"select count(*) filter (where goals = 0), count(*) filter (where goals > {MANY})"
        " from (select contact_id, count(distinct goal) as goals"
        " from segments.user_types left join segments.decisions using (contact_id) group by all)"
    )[0]
    return Matrix(
        session.rows("select max(as_of) from segments.evaluations")[0][0],
        by,
        {name: sizes[name] for name in types},
        tuple(cells),
        tuple(_offers(session, graph, goals)),
        tuple(sorted(findings, key=lambda finding: [*FINDINGS].index(finding.kind))),
        without,
        many,
    )


def _in_order(session: Session, graph: Graph, by: str, found: Iterable[str]) -> list[str]:
    """Personas as in YAML, stages as in the project's table of them, then the rest; NONE last."""
    order = [persona.name for persona in graph.project.personas]
    if by == "stage":
        relation = graph.relations.get(str(graph.find(_STAGES)))
        columns = session.columns(f"select * from {relation}") if relation else []
        has_order = {"stage", "position"} <= {name.lower() for name, _ in columns}
        rows = session.rows(f"select stage from {relation} order by position") if has_order else []
        order = [row[0] for row in rows]
    places = {name: place for place, name in enumerate(order)} | {NONE: len(order) + 1}
    return sorted(found, key=lambda name: (places.get(name, len(order)), name))


def _offers(session: Session, graph: Graph, goals: list[str]) -> Iterator[Offer]:
    counts = {
        name: (eligible, live)
        for name, eligible, live in session.rows(
            "select decided.message, count(distinct decided.contact_id),"
            " count(distinct sent.contact_id) from segments.decisions as decided"
            " left join segments.next_message as sent on decided.contact_id = sent.contact_id"
            " and decided.channel = sent.channel and decided.message = sent.message group by all"
        )
    }
    contracts = {purpose.name for purpose in graph.project.purposes if purpose.is_contract}
    for m in sorted(
        graph.project.messages, key=lambda m: (goals.index(m.goal), -m.priority, m.name)
    ):
        is_contract, count = m.purpose in contracts, counts.get(m.name, (0, 0))
        said = (m.goal, m.name, m.segments, m.channels, m.priority, m.purpose, is_contract)
        yield Offer(*said, *count)


# ── what is not covered ───────────────────────────────────────────────────────────────────────


def _uncovered(graph: Graph, goals: list[str]) -> Iterator[Finding]:
    """Goals without a message on a channel, but for those that are meant."""
    filled = {(m.goal, channel) for m in graph.project.messages for channel in m.channels}
    filled |= {(gap.name, gap.channel) for gap in graph.project.gaps if gap.channel}
    for channel in graph.project.channels:
        missing = [goal for goal in goals if (goal, channel.name) not in filled]
        if missing:
            yield Finding("channel", channel.name, ", ".join(missing))


def _unheard(session: Session, graph: Graph, definitions: Definitions) -> Iterator[Finding]:
    """Messages that nobody can get, or that always lose, as far as the latest run tells."""
    rows = session.rows(
        "select message, reason, lost_to, count(*) from segments.decisions"
        " group by all order by count(*) desc, reason, lost_to"
    )
    for message in graph.project.messages:
        held = [row[1:] for row in rows if row[0] == message.name]
        reasons = [reason for reason, _, _ in held]
        if not held:
            yield Finding("nobody", message.name, _why_nobody(session, message, definitions))
        elif "lost" in reasons and set(reasons) <= {"lost", *_LASTING}:
            lost = (f"{count:,} to {winner}" for reason, winner, count in held if reason == "lost")
            yield Finding("loses", message.name, ", ".join(lost))
        elif set(reasons) <= _LASTING:
            said = ", ".join(f"{count:,} {reason}" for reason, _, count in held)
            yield Finding("nobody", message.name, said.replace("_", " "))


def _why_nobody(session: Session, message: Message, definitions: Definitions) -> str:
    """Why a message has no candidates."""
    names = ", ".join(message.segments)
    reasoner = Reasoner({name: definitions.of(name) for name in message.segments})
    if all(map(reasoner.is_never, message.segments)):
        return f"{names} can never have members"
    now, ever = session.rows(
        "select count(*) filter (where left_at is null), count(*) from segments.membership_history"
        f" where segment in ({listed(message.segments)})"
    )[0]
    if now:
        return "not decided on yet"
    return f"nobody is in {names} now" if ever else f"nobody was ever in {names}"


def _without_success(graph: Graph, goals: list[str]) -> Iterator[Finding]:
    told = {goal.name for goal in graph.project.goals if goal.success}
    yield from (Finding("success", goal) for goal in goals if goal not in told)
