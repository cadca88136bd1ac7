"""What holds of messages whatever a project says: random messages, people and many days."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segflow.audiences import membership
from segflow.audiences.decisions import decide
from segflow.audiences.membership import Evaluation
from segflow.compile.graph import Graph
from segflow.engines.base import Session
from segflow.engines.duckdb import DuckDB, DuckDBSettings
from segflow.pipeline import compile_project
from segflow.project.config import Environment
from segflow.project.nodes import FrequencyCap, Holdout, Message
from segflow.project.properties import NodeConfig
from segflow.report import Options
from tests.conftest import SEGFLOW_YML, Project
from tests.outreach import FILES, members, message, messages
from tests.test_audiences import fill

START = datetime(2026, 7, 1, 2)
CHANNELS = """
channels:
  - {name: email, address: email, reachable: is_reachable, suppress: [gate],
     suppress_for: {ticket: [upsell]}, quiet_hours: {from: "21:00", until: "08:00"}}
  - {name: in_app, address: contact_id, consent: none, lasts: 2d}
purposes:
  - {name: marketing}
  - {name: service, basis: contract}
  - {name: tips, basis: opt_out}
"""
PEOPLE = ["ann", "ben", "cy", "dee", "eve", "flo"]
SEGMENTS = ["carts", "trials", "gate", "ticket"]
# Two share an address, one has none, one has a dead one.
ADDRESSES = {"ann": "x@x", "ben": "X@x ", "cy": "cy@x", "dee": None, "eve": "eve@x", "flo": "flo@x"}
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", None, "nowhere"]


@dataclass
class World:
    """A project whose tables are filled by hand, on an engine of its own."""

    session: Session
    graph: Graph
    day: int = 0
    merges: str | None = None
    statements: list[tuple[Any, ...]] = field(default_factory=list)

    def begin(self, said: list[Message], caps: list[FrequencyCap], holdout: Holdout | None) -> None:
        self.day, self.merges = 0, None
        self.use(said)
        email = self.graph.project.channels[0]
        self.graph.project.channels[0] = msgspec.structs.replace(email, frequency_cap=tuple(caps))
        self.graph.project.holdout = holdout
        for table in ("exposures", "exposure_ends"):
            self.session.execute(f"drop table if exists segflow.{table}")
        self.session.execute("drop table if exists segments.decision_counts")

    def use(self, said: list[Message]) -> None:
        self.graph.project.messages[:] = said

    def decide(self, segments: dict[str, set[str]], at: datetime | None = None) -> None:
        rows = [
            (s, one, "2026-07-01 02:00:00") for s, ids in segments.items() for one in sorted(ids)
        ]
        fill(self.session, "segments.memberships",
             "segment varchar, contact_id varchar, entered_at timestamp", rows)  # fmt: skip
        moment = at or START + timedelta(days=self.day)
        fingerprints = dict.fromkeys(SEGMENTS, "f")
        evaluation = Evaluation(self.day + 1, moment, None, fingerprints)
        decide(self.session, self.graph, evaluation, [], {}, self.merges)

    def people(self, statements: list[Any], unreachable: set[str]) -> None:
        self.statements = statements
        fill(self.session, "lifecycle.contacts",
             "contact_id varchar, account_id varchar, email varchar, time_zone varchar,"
             " role varchar, is_reachable boolean",
             [(one, f"account {n // 2}", ADDRESSES[one], ZONES[n], "member", one not in unreachable)
              for n, one in enumerate(PEOPLE)])  # fmt: skip
        fill(self.session, "lifecycle.consents",
             "contact_id varchar, channel varchar, purpose varchar, is_granted boolean",
             statements)  # fmt: skip

    def chosen(self, name: str) -> set[str]:
        """Who gets a message, or is held out of it, in the latest run."""
        rows = self.session.rows(
            "select contact_id from segments.decisions where message = "
            f"'{name}' and (action = 'send' or reason in ('control_group', 'holdout'))"
        )
        return {row[0] for row in rows}

    def decided(self) -> list[Any]:
        return self.session.rows("select * exclude (run) from segments.decisions order by all")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = Project(tmp_path_factory.mktemp("laws"))
    made.write({**FILES, **messages(), **members(), "segflow.yml": SEGFLOW_YML,
                "models/channels.yml": CHANNELS})  # fmt: skip
    graph = compile_project(Options("test", START, made.root), Environment()).graph
    engine = DuckDB(DuckDBSettings(path="laws.duckdb"), made.root, 2)
    engine.open_run()
    with engine.session() as session:
        for schema in ("lifecycle", "segments", "segflow"):
            session.execute(f"create schema {schema}")
        for name in SEGMENTS:
            session.execute(
                f"create view segments.{name} as select 'ann' as contact_id, 1 as cart_total"
            )
        world = World(session, graph)
        world.people([], set())
        membership.prepare(session, "VARCHAR")
        yield world
    engine.discard_run()


def node(**said: Any) -> Message:
    found = msgspec.convert(message(**said), Message)
    config = NodeConfig(tags=found.said_tags)
    return msgspec.structs.replace(found, package="demo", path="m.yml", config=config)


def maybe(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


MESSAGE = st.fixed_dictionaries(
    {
        "segment": st.lists(st.sampled_from(SEGMENTS[:2]), min_size=1, max_size=2, unique=True),
        "exclude": st.lists(st.sampled_from(["ticket"]), max_size=1),
        "channels": st.sampled_from(
            [["email"], ["email"], ["in_app"], ["email", "in_app"], ["in_app", "email"]]
        ),
        "deliver": st.sampled_from(["first", "first", "all"]),
        "priority": st.integers(0, 3),
        "goal": st.sampled_from(["convert", "upsell"]),
        "purpose": st.sampled_from(["marketing", "marketing", "tips", "service"]),
        "cooldown": st.sampled_from([None, None, None, "1d", "2d"]),
        "goal_cooldown": st.sampled_from([None, None, None, "2d"]),
        "lasts": st.sampled_from(["6h", "12h", "1d", "3d"]),
        "send_at": maybe(["10:00"]),
        "max_per_contact": st.sampled_from([None, None, None, 2]),
        "tags": st.sampled_from([[], ["discount"]]),
    }
)
LIMITED = st.fixed_dictionaries(
    {"limit": maybe([{"per_run": 1}, {"per_day": 2}, {"total": 3}]), "max_per_account": maybe([1])}
)
CAPS = st.lists(
    st.builds(
        FrequencyCap,
        count=st.sampled_from([1, 1, 2]),
        per=st.sampled_from(["1d", "2d", "4d"]),
        tag=st.sampled_from([None, None, "discount"]),
    ),
    min_size=1,
    max_size=2,
)
GROUPS = st.fixed_dictionaries(
    {s: st.sets(st.sampled_from(PEOPLE), min_size=3) for s in SEGMENTS[:2]}
    | {s: st.sets(st.sampled_from(PEOPLE), max_size=2) for s in SEGMENTS[2:]}
)
# Everybody agreed to everything, but for what is refused, and who never said a word.
STATEMENTS = st.builds(
    lambda refused, silent: [
        (one, "email", purpose, (one, purpose) not in refused)
        for one in PEOPLE
        for purpose in ("marketing", "tips", "profiling")
        if one != silent
    ],
    st.sets(
        st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["marketing", "tips", "profiling"])),
        max_size=2,
    ),
    maybe(PEOPLE),
)
HOLDOUT = st.none() | st.builds(
    Holdout,
    percent=st.sampled_from([20.0, 50.0]),
    salt=st.sampled_from(["a", "b"]),
    unit=st.sampled_from(["contact", "account"]),
)


def several(
    values: list[dict[str, Any]], limits: list[dict[str, Any]] | None = None
) -> list[Message]:
    limits = limits or [{}] * len(values)
    return [
        node(name=f"m{n}", **{"holdout": "0%"} | said | limit)
        for n, (said, limit) in enumerate(zip(values, limits, strict=False))
    ]


LAWS = settings(
    max_examples=12,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def may_write(world: World, said: Message, channel: str, one: str, unreachable: set[str],
              segments: dict[str, set[str]]) -> bool:  # fmt: skip
    """What purpose, suppression and address allow, in plain Python."""

    def address(contact: str) -> str | None:
        if channel == "in_app":
            return contact
        return (ADDRESSES[contact] or "").strip().lower() or None

    if one in segments["ticket"] and said.exclude:
        return False
    if address(one) is None:
        return False
    same = [other for other in PEOPLE if address(other) == address(one)]
    if channel == "email" and any(other in unreachable for other in same):
        return False
    if said.purpose == "service":
        return True
    if channel == "email" and any(o in segments["gate"] for o in same):
        return False
    if channel == "email" and said.goal == "upsell" and any(o in segments["ticket"] for o in same):
        return False
    spoken = {(who, purpose): yes for who, _, purpose, yes in world.statements}
    if any(spoken.get((other, "profiling")) is False for other in same):
        return False
    if channel == "in_app":
        return True
    if any(spoken.get((other, said.purpose)) is False for other in same):
        return False
    return said.purpose == "tips" or spoken.get((one, said.purpose)) is True


@LAWS
@given(
    said=st.lists(MESSAGE, min_size=1, max_size=4),
    limits=st.lists(LIMITED, min_size=4, max_size=4),
    caps=CAPS,
    holdout=HOLDOUT,
    days=st.lists(st.tuples(GROUPS, st.integers(6, 20)), min_size=3, max_size=6),
    statements=STATEMENTS,
    unreachable=st.sets(st.sampled_from(PEOPLE), max_size=2),
)
def test_over_many_days(
    world: World,
    said: list[Any],
    limits: list[Any],
    caps: list[FrequencyCap],
    holdout: Holdout | None,
    days: list[tuple[dict[str, set[str]], int]],
    statements: list[Any],
    unreachable: set[str],
) -> None:
    sent = several(said, limits)
    world.begin(sent, caps, holdout)
    world.people(statements, unreachable)
    by_name, now = {m.name: m for m in sent}, START
    for segments, hours in days:
        now += timedelta(hours=hours)
        world.decide(segments, now)
        world.day += 1
        rows = world.session.rows(
            "select contact_id, message, channel, action, reason from segments.decisions"
        )
        candidates = Counter(
            (one, m.name, channel)
            for m in sent
            for channel in m.channels
            for one in set[str]().union(*(segments[s] for s in m.segments))
        )
        assert Counter(row[:3] for row in rows) == candidates
        assert all((action == "send") == (reason is None) for *_, action, reason in rows)
        for one, name, channel, action, reason in rows:
            if action == "send" or reason in ("control_group", "holdout", "already_live"):
                assert may_write(world, by_name[name], channel, one, unreachable, segments)
        control = {one for one, name, _, _, why in rows if why == "control_group"}
        for one in control:
            assert all(by_name[row[1]].purpose == "service" for row in rows
                       if row[0] == one and row[3] == "send")  # fmt: skip
        live = world.session.rows("select channel, contact_id from segments.next_message")
        assert len(live) == len(set(live))
        before = world.decided()
        world.decide(segments, now)
        assert world.decided() == before
    exposures = world.session.rows(
        "select contact_id, message, local_date, tags, is_contract, channel, as_of"
        " from segflow.exposures"
    )
    assert len(exposures) == len({(row[0], row[1], row[5], row[6]) for row in exposures})
    for cap in caps:
        for one in PEOPLE:
            counted = sorted(
                day
                for who, _, day, tags, is_contract, channel, _ in exposures
                if who == one and channel == "email" and not is_contract
                and (cap.tag is None or cap.tag in tags)
            )  # fmt: skip
            for start in counted:
                inside = [d for d in counted if 0 <= (d - start).days < cap.days]
                assert len(inside) <= cap.count
    for m in sent:
        times = Counter(one for one, at in {(r[0], r[6]) for r in exposures if r[1] == m.name})
        assert not times or max(times.values()) <= (m.max_per_contact or 99)
        if m.limit and m.limit.total:
            assert sum(times.values()) <= m.limit.total


@LAWS
@given(
    said=st.lists(MESSAGE, min_size=2, max_size=4),
    caps=CAPS,
    segments=GROUPS,
    statements=STATEMENTS,
    which=st.integers(0, 1),
)
def test_a_higher_priority_costs_a_message_no_contact(
    world: World,
    said: list[Any],
    caps: list[FrequencyCap],
    segments: dict[str, set[str]],
    statements: list[Any],
    which: int,
) -> None:
    found = []
    world.people(statements, set())
    for priority in (said[which]["priority"], 50):
        raised = [*said]
        raised[which] = said[which] | {"priority": priority}
        world.begin(several(raised), caps, None)
        world.decide(segments)
        found.append(world.chosen(f"m{which}"))
    assert found[0] <= found[1]


@LAWS
@given(said=st.lists(MESSAGE, min_size=1, max_size=4), segments=GROUPS, statements=STATEMENTS,
       which=st.integers(0, 0))  # fmt: skip
def test_an_exclusion_adds_nobody(
    world: World, said: list[Any], segments: dict[str, set[str]], statements: list[Any], which: int
) -> None:
    # Of two contacts with one address, the other one may get what the first is excluded from.
    alone = {name: ids - {"ben"} for name, ids in segments.items()}
    found = []
    world.people(statements, set())
    for exclude in ([], ["ticket"]):
        excluding = [said[0] | {"exclude": exclude}, *said[1:]]
        world.begin(several(excluding), [], None)
        world.decide(alone)
        found.append(world.chosen("m0"))
    assert found[1] <= found[0]


@LAWS
@given(said=st.lists(MESSAGE, min_size=2, max_size=4), limits=st.lists(LIMITED, min_size=4, max_size=4),
       caps=CAPS, segments=GROUPS, statements=STATEMENTS, seed=st.integers(0, 9))  # fmt: skip
def test_the_order_of_files_does_not_matter(
    world: World,
    said: list[Any],
    limits: list[Any],
    caps: list[FrequencyCap],
    segments: dict[str, set[str]],
    statements: list[Any],
    seed: int,
) -> None:
    world.people(statements, set())
    found = []
    for shuffled in (False, True):
        sent = several(said, limits)
        if shuffled:
            random.Random(seed).shuffle(sent)
        world.begin(sent, caps, None)
        world.decide(segments)
        found.append(world.decided())
    assert found[0] == found[1]


@LAWS
@given(
    said=st.lists(MESSAGE, min_size=1, max_size=3),
    caps=CAPS,
    holdout=HOLDOUT,
    first=GROUPS,
    statements=STATEMENTS,
)
def test_a_merge_keeps_the_stricter_of_both(
    world: World,
    said: list[Any],
    caps: list[FrequencyCap],
    holdout: Holdout | None,
    first: dict[str, set[str]],
    statements: list[Any],
) -> None:
    """Who was merged gets nothing that either of the two would not have got alone."""
    sent = several(said)
    results = {}
    for merged in (False, True):
        world.begin(sent, caps, holdout)
        world.people(statements, set())
        world.decide(first)
        world.day = 1
        second = {name: ids | {"cy"} if name in ("carts", "trials") else ids - {"cy"}
                  for name, ids in first.items()}  # fmt: skip
        if merged:
            world.merges = "(select 'eve' as merged_contact_id, 'cy' as contact_id)"
            second = {name: ids - {"eve"} for name, ids in second.items()}
        world.decide(second)
        results[merged] = {
            row[0]: row[1]
            for row in world.session.rows(
                "select message || channel, reason from segments.decisions"
                " where contact_id = 'cy' and reason in"
                " ('cooldown', 'frequency_cap', 'control_group', 'limit')"
            )
        }
    # What held cy alone still holds her, though perhaps by another reason before it.
    kept = world.session.rows(
        "select message || channel from segments.decisions where contact_id = 'cy'"
        " and action = 'send'"
    )
    strict = {key for key, reason in results[False].items() if reason != "control_group"}
    assert strict.isdisjoint({row[0] for row in kept})
