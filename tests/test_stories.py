"""What is told of messages: whom a plan would give another one, and why a contact got hers."""

from typing import Any

from tests.conftest import MakeProject, Project
from tests.outreach import members, message, messages, outreach

LOW, HIGH = message("low", priority=10), message("high", priority=50)


def live(made: Project) -> set[tuple[str, str, str]]:
    rows = made.rows("select contact_id, channel, message from segments.next_message")
    return {(row[0], row[1], row[2]) for row in rows}


def planned(made: Project, *arguments: str) -> dict[str, Any]:
    results: dict[str, Any] = made.segflow("plan", "--output", "json", *arguments).json["results"]
    return {f"{m['message']} {m['channel']}": m for m in results["messages"]}


def test_a_plan_says_who_would_get_another_message_and_the_run_does_so(
    project: MakeProject,
) -> None:
    made = outreach(project, LOW, HIGH, carts=["ann", "ben"])
    made.run()
    assert live(made) == {("ann", "email", "high"), ("ben", "email", "high")}
    assert all(not m["gained"] and not m["lost"] for m in planned(made).values())
    made.write(messages(LOW | {"priority": 90}, HIGH))
    made.write(members(carts=["ann", "ben", "cy"]))
    found = planned(made)
    counts = {key: found["low email"][key] for key in ("before", "after", "gained", "had_nothing")}
    assert counts == {"before": 0, "after": 3, "gained": 3, "had_nothing": 1}
    assert found["low email"]["instead_of"] == {"high": 2}
    assert (found["high email"]["lost"], found["high email"]["to"]) == (2, {"low": 2})
    told = made.segflow("plan").out
    assert "message low: priority 10 → 90" in told
    assert "+3: 1 had nothing, 2 had high" in told
    assert live(made) == {("ann", "email", "high"), ("ben", "email", "high")}
    made.run()
    assert live(made) == {(one, "email", "low") for one in ("ann", "ben", "cy")}


def test_a_plan_names_messages_that_come_and_go(project: MakeProject) -> None:
    made = outreach(project, LOW, carts=["ann"])
    made.run()
    made.write(messages(message("new", segment="trials")))
    told = made.segflow("plan").out
    assert "new message: new" in told and "no more message low" in told
    assert "\N{MINUS SIGN}1" in told


def test_why_a_contact_got_a_message(project: MakeProject) -> None:
    made = outreach(project, LOW, HIGH, carts=["ann:50"])
    made.run()
    told = made.segflow("explain", "ann", "--message", "high").out
    assert "run 0001: SENT high by email" in told
    assert "is in carts since 2026-07-01" in told
    assert "beat      low (priority 50 over 10)" in told
    assert "cart_total 50" in told
    assert "allowed   marketing consent; no refusal by anybody with this address before" in told
    lost = made.segflow("explain", "ann", "--message", "low").out
    assert "HELD low by email" in lost and "high comes first (priority 50 over 10)" in lost
    assert "until     that place is free" in lost
    assert "high" in made.segflow("explain", "ann").out


def test_what_was_sent_is_kept_and_why_somebody_was_held_is_not(project: MakeProject) -> None:
    made = outreach(project, LOW, HIGH, carts=["ann"])
    made.run()
    made.write(members(trials=["ann"]))
    made.run("--as-of", "2026-07-05 02:00:00")
    sent = made.segflow("explain", "ann", "--message", "high", "--output", "json").json["results"]
    assert sent["decisions"] == []
    assert [(e["run"], e["action"], e["is_live"]) for e in sent["exposures"]] == [
        (1, "send", False)
    ]
    then = made.segflow("explain", "ann", "--message", "low", "--run", "1").out
    assert "never sent up to then" in then and "segments.decision_counts" in then
    now = made.segflow("explain", "ann", "--message", "low").out
    assert "never sent; not a candidate in the latest run" in now


def test_somebody_held_out_is_told_so(project: MakeProject) -> None:
    made = outreach(project, HIGH | {"holdout": "99.99%"}, carts=["ann"])
    made.run()
    told = made.segflow("explain", "ann", "--message", "high").out
    assert "HELD OUT high by email" in told


def test_what_cannot_be_explained(project: MakeProject) -> None:
    made = outreach(project, HIGH, carts=["ann"])
    assert made.segflow("explain", "ann", "--message", "high").code == 2
    made.run()
    for arguments in (
        ("ann", "--message", "hihg"),
        ("nobody", "--message", "high"),
        ("ann", "carts", "--message", "high"),
        ("ann", "--at", "2026-07-01"),
        ("ann", "--message", "high", "--at", "yesterday"),
    ):
        outcome = made.segflow("explain", *arguments)
        assert (outcome.code, outcome.out) == (2, "") and outcome.err.startswith("error: ")
