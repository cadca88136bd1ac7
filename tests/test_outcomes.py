"""Whether messages did what they were for: who is compared with whom, and how sure that is."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import pytest

from segflow.audiences.outcomes import write_outcomes
from segflow.build.workspace import open_engine, private_copy
from segflow.compile.graph import Graph
from segflow.engines.base import Session
from segflow.pipeline import compile_project
from segflow.project.config import Environment
from segflow.report import Options
from tests.conftest import MakeProject, Project
from tests.outreach import FILES, MESSAGES_YML, decided, members, message, outreach

GOALS = "goals: [{name: convert, success: {model: ref('purchases'), within: 7d}}]\n"
DAY = "2026-07-{:02} 02:00:00".format
COUNTS = "treated, held_out, still_open, treated_conversions, held_out_conversions"


def people(count: int) -> dict[str, str]:
    """So many contacts `c0`, `c1`, …, who all agreed to mail, two to an account."""
    ids = range(count)
    return {
        "seeds/people.csv": FILES["seeds/people.csv"].partition("\n")[0]
        + "\n"
        + "".join(f"c{i},a{i // 2},c{i}@x.example,C,,member,true\n" for i in ids),
        "seeds/agreed.csv": "contact_id,channel,purpose,is_granted\n"
        + "".join(f"c{i},email,marketing,true\n" for i in ids),
        **members(carts=[f"c{i}" for i in ids]),
    }


def bought(*rows: tuple[str, str, str]) -> dict[str, str]:
    """The seed of who bought when, for how much."""
    lines = "".join(f"{who},{when},{value}\n" for who, when, value in rows)
    return {
        "seeds/bought.csv": "contact_id,happened_at,value\n" + lines,
        "seeds/types.yml": FILES["seeds/types.yml"].replace(
            "happened_at: TIMESTAMP", "happened_at: TIMESTAMP, value: DOUBLE"
        ),
    }


def total(made: Project, columns: str, level: str) -> tuple[Any, ...]:
    rows = made.rows(
        f"select {columns} from segments.outcomes where level = '{level}' and month is null"
    )
    assert len(rows) == 1
    return rows[0]


def test_conversions_within_the_window_of_the_first_exposure(project: MakeProject) -> None:
    made = outreach(
        project, message(holdout="50%", cooldown="3d"), message("other", segment="trials")
    )
    made.write({**people(40), "models/goals.yml": GOALS, **bought()})
    made.run()
    found = {who: what for (who, _, _), what in decided(made).items()}
    sent = sorted(who for who, what in found.items() if what == "send")
    held = sorted(who for who, what in found.items() if what == "holdout")
    assert len(sent) + len(held) == 40 and min(len(sent), len(held)) > 10
    assert total(made, COUNTS, "message") == (0, 0, 40, 0, 0)
    made.write(
        bought(
            (sent[0], "2026-07-01 02:00:00", "10"),  # not after it
            (sent[1], "2026-07-01 02:00:01", "20.5"),
            (sent[1], "2026-07-02 02:00:00", "1"),
            (sent[2], "2026-07-08 02:00:00", "30"),  # the last moment
            (sent[3], "2026-07-08 02:00:01", "40"),  # too late for July 1, in time for July 4
            (held[0], "2026-07-03 02:00:00", "50"),
        )
    )
    made.run("--as-of", DAY(4))
    made.run("--as-of", "2026-07-08 01:59:59")
    assert total(made, COUNTS, "message") == (0, 0, 40, 0, 0)
    made.run("--as-of", DAY(9), "--select", "message:hello")
    assert total(made, COUNTS, "message") == (0, 0, 40, 0, 0)
    made.run("--as-of", DAY(9))
    assert total(made, COUNTS, "message") == (len(sent), len(held), 0, 2, 1)
    assert total(made, "treated_value, held_out_value", "message") == (pytest.approx(51.5), 50)
    assert total(made, "verdict", "message") == ("too few to tell",)
    assert total(made, COUNTS, "goal") == (40, 0, 0, 3, 0)
    made.run("--as-of", "2026-08-02 02:00:00")
    months = made.rows(
        "select month, treated, still_open from segments.outcomes where level = 'message'"
    )
    july, august, in_total = date(2026, 7, 1), date(2026, 8, 1), None
    assert {m: (n, still_open) for m, n, still_open in months} == {
        july: (len(sent), 0),
        august: (0, 40),
        in_total: (len(sent), 0),
    }


def test_the_control_group_is_compared_by_goal_and_a_holdout_by_message(
    project: MakeProject,
) -> None:
    halves = [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}]
    made = outreach(project, message(holdout="30%", variants=halves))
    made.write(
        {
            **people(100),
            "models/goals.yml": GOALS,
            "models/holdout.yml": "holdout: {percent: 30, salt: s, unit: account}\n",
        }
    )
    made.run()
    counts: dict[str, int] = {}
    for what in decided(made).values():
        counts[what] = counts.get(what, 0) + 1
    made.run("--as-of", DAY(20))
    control = counts["control_group"]
    assert total(made, "treated, held_out", "goal") == (100 - control, control)
    assert total(made, "treated, held_out", "message") == (counts["send"], counts["holdout"])
    by_variant = made.rows(
        "select variant, treated, held_out from segments.outcomes"
        " where level = 'variant' and month is null"
    )
    assert [row[0] for row in by_variant] == ["a", "b"]
    assert sum(row[1] for row in by_variant) == counts["send"]
    assert sum(row[2] for row in by_variant) == counts["holdout"]
    text = made.segflow("matrix", "--outcomes").out
    assert f"convert{100 - control:>32}{control:>10}" in text


def test_what_is_owed_is_no_experiment_and_what_is_late_stands_still(project: MakeProject) -> None:
    due = message("due", segment="trials", purpose="service")
    made = outreach(project, message(), due, carts=["ann"], trials=["ben"])
    made.write(
        {
            "models/goals.yml": GOALS,
            "models/channels.yml": MESSAGES_YML + "purposes: [{name: service, basis: contract}]\n",
        }
    )
    made.run()
    made.run("--as-of", DAY(2))
    assert total(made, "message, still_open", "message") == ("hello", 1)
    before = made.rows("from segments.outcomes")
    made.write({"models/purchases.sql": "select *, error('late') as e from {{ ref('people') }}"})
    made.segflow("run", "--as-of", DAY(20))
    assert made.rows("from segments.outcomes") == before


# ── a simulation ──────────────────────────────────────────────────────────────────────────────

SEEDS, CONTACTS = 100, 1000


@contextmanager
def session_on(made: Project) -> Iterator[tuple[Session, Graph]]:
    """A private copy of what a project has published, which is thrown away."""
    compiled = compile_project(Options("run", datetime(2026, 7, 1), made.root), Environment({}))
    engine = open_engine(compiled.project)
    with private_copy(engine), engine.session() as session:
        yield session, compiled.graph


def simulated(
    made: Project, treated: float, held_out: float, contacts: int
) -> list[tuple[float, float, float, str]]:
    """Lift, its interval and the verdict of as many messages as there are seeds.

    Each message has contacts of its own, a fifth held out; who converts is drawn by md5.
    """
    draw = "(md5_number_lower('{}' || m || '-' || i) % 1000000) / 1e6"
    with session_on(made) as (session, graph):
        session.execute("delete from segflow.exposures")
        session.execute(
            "create or replace table memory.main.drawn as select m, 'c' || m || '-' || i as who,"
            f" {draw.format('arm')} < 0.2 as is_held_out, {draw.format('outcome')} as luck"
            f" from range({SEEDS}) as seeds (m), range({contacts}) as contacts (i)"
        )
        session.execute(
            "insert into segflow.exposures by name select who || '' as decision_id,"
            " timestamp '2026-06-01' as as_of, who as contact_id, 'm' || m as message,"
            " 'convert' as goal, 'email' as channel, if(is_held_out, 'hold', 'send') as action,"
            " if(is_held_out, 'holdout', null) as reason, false as is_contract,"
            " false as is_control, who as unit_id from memory.main.drawn"
        )
        session.execute(
            "create or replace table lifecycle.purchases as select who as contact_id,"
            " timestamp '2026-06-02' as happened_at from memory.main.drawn"
            f" where luck < if(is_held_out, {held_out}, {treated})"
        )
        write_outcomes(session, graph, datetime(2026, 7, 1), {}, None)
        rows = session.rows(
            "select lift, lift_low, lift_high, verdict from segments.outcomes"
            " where level = 'message' and month is null"
        )
    assert len(rows) == SEEDS
    return [(row[0], row[1], row[2], row[3]) for row in rows]


@pytest.fixture
def written(project: MakeProject) -> Project:
    made = outreach(project, message(), carts=["ann"])
    made.write({"models/goals.yml": GOALS})
    made.run()
    return made


@pytest.mark.parametrize(("treated", "held_out"), [(0.25, 0.10), (0.15, 0.15), (0.05, 0.12)])
def test_intervals_cover_the_true_effect(written: Project, treated: float, held_out: float) -> None:
    found = simulated(written, treated, held_out, CONTACTS)
    truth = treated - held_out
    covered = sum(low <= truth <= high for _, low, high, _ in found)
    assert 88 <= covered <= 99
    mean = sum(lift for lift, *_ in found) / SEEDS
    assert mean == pytest.approx(truth, abs=0.01)
    verdicts = [verdict for *_, verdict in found]
    expected = "no difference seen" if truth == 0 else "more" if truth > 0 else "fewer"
    assert verdicts.count(expected) >= 85
    if truth == 0:
        assert verdicts.count("more") <= 8 and verdicts.count("fewer") <= 8


def test_few_contacts_tell_nothing(written: Project) -> None:
    verdicts = {verdict for *_, verdict in simulated(written, 0.5, 0.1, 200)}
    assert verdicts == {"too few to tell"}
    # Many contacts, yet next to nobody converted.
    verdicts = {verdict for *_, verdict in simulated(written, 0.002, 0.002, CONTACTS)}
    assert verdicts == {"too few to tell"}


def exposed(session: Session, rows: str) -> None:
    """Replace what was sent and held out by rows of contact_id, as_of, send_after and is_sent."""
    session.execute("delete from segflow.exposures")
    session.execute(
        "insert into segflow.exposures by name select contact_id, as_of, send_after,"
        " 'm' as message, 'convert' as goal, if(is_sent, 'send', 'hold') as action,"
        " if(is_sent, null, 'holdout') as reason, false as is_contract, false as is_control"
        f" from ({rows}) as given (contact_id, as_of, send_after, is_sent)"
    )


def found(session: Session, columns: str) -> tuple[Any, ...]:
    return session.rows(
        f"select {columns} from segments.outcomes where level = 'message' and month is null"
    )[0]


def test_the_interval_is_newcombes(written: Project) -> None:
    """His example 56 of 70 against 48 of 80: 0.2, from 0.0524 to 0.3339."""
    with session_on(written) as (session, graph):
        exposed(
            session,
            "select 'c' || i, timestamp '2026-06-01', null, i < 70 from range(150) as people (i)",
        )
        session.execute(
            "create or replace table lifecycle.purchases as select 'c' || i as contact_id,"
            " timestamp '2026-06-02' as happened_at from range(150) as contacts (i)"
            " where i < 56 or i between 70 and 117"
        )
        write_outcomes(session, graph, datetime(2026, 7, 1), {}, None)
        lift, low, high = found(session, "lift, lift_low, lift_high")
    assert lift == pytest.approx(0.2)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_a_window_opens_when_the_message_goes_out_and_ids_are_those_of_now(
    written: Project,
) -> None:
    purchases = (
        "create or replace table lifecycle.purchases as select 'ann' as contact_id,"
        " timestamp '2026-06-01 {}' as happened_at"
    )
    with session_on(written) as (session, graph):
        exposed(
            session,
            "values ('old', timestamp '2026-06-01', timestamp '2026-06-01 08:00:00', true),"
            " ('ann', timestamp '2026-06-03', null, false)",
        )
        merges = "(select 'old' as merged_contact_id, 'ann' as contact_id)"
        for time, converted in (("07:59:59", 0), ("08:00:01", 1)):
            session.execute(purchases.format(time))
            write_outcomes(session, graph, datetime(2026, 7, 1), {}, merges)
            assert found(session, "treated, held_out, treated_conversions") == (1, 0, converted)
