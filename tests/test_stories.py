"""What is told of messages: whom a plan would give another one, and why a contact got hers."""

from typing import Any

from tests.conftest import MakeProject, Project
from tests.outreach import FILES, members, message, messages, outreach

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


def test_a_plan_names_what_changed_of_the_control_group(project: MakeProject) -> None:
    made = outreach(project, LOW, carts=["ann"])
    made.write({"models/holdout.yml": "holdout: {percent: 5, salt: spring}"})
    made.run()
    made.write({"models/holdout.yml": "holdout: {percent: 45, salt: spring}"})
    assert "holdout percent 5 → 45 · evaluated" in made.segflow("plan").out
    made.write({"models/holdout.yml": "holdout: {percent: 5, salt: fall, unit: account}"})
    assert "holdout salt spring → fall, unit contact → account ·" in made.segflow("plan").out
    (made.root / "models/holdout.yml").unlink()
    assert "holdout percent 5 → none, salt spring → none" in made.segflow("plan").out


def test_a_plan_says_what_is_owed_by_contract_from_now_on(project: MakeProject) -> None:
    due = message("due", purpose="service")
    made = outreach(project, LOW, HIGH, due, carts=["ann"])
    made.run()
    assert "contract" not in made.segflow("plan").out
    made.write(messages(LOW | {"purpose": "service"}, HIGH, due, message("new", purpose="service")))
    told = made.segflow("plan").out
    assert "message low: purpose marketing → service, new message: new ·" in told
    owed = "owed by contract: no consent, cap, quiet hours or control group applies"
    assert f"\nmessage low, message new now {owed}\n" in told
    made.write(messages(LOW, HIGH, due))
    made.write({"models/purposes.yml": "purposes: [{name: marketing, basis: contract}]"})
    told = made.segflow("plan", "--output", "markdown").out
    assert f"\n\nmessage `low`, message `high` now {owed}\n" in told


def test_a_plan_shows_the_values_of_lists_and_what_changed_inside_a_mapping(
    project: MakeProject,
) -> None:
    payload = {"code": "SPRING", "text": "x" * 200}
    made = outreach(project, LOW | {"payload": payload}, carts=["ann"])
    caps = "- {name: email, address: email, reachable: is_reachable,"
    text = (made.root / "models/channels.yml").read_text()
    line = "- {name: email, address: email, reachable: is_reachable}"
    capped = f"{caps} frequency_cap: [{{count: 3, per: 7d}}]}}"
    made.write({"models/channels.yml": text.replace(line, capped)})
    made.run()
    capped = f"{caps} frequency_cap: [{{count: 2, per: 7d}}, {{count: 9, per: 30d, goal: renew}}]}}"
    made.write({"models/channels.yml": text.replace(line, capped)})
    made.write(messages(LOW | {"payload": {"code": "FALL", "text": "y" * 200}}))
    told = made.segflow("plan").out
    assert (
        "channel email: frequency_cap count 3 per 7d → count 2 per 7d, count 9 per 30d goal renew"
    ) in told
    assert f"payload.code SPRING → FALL, payload.text {'x' * 79}… → {'y' * 79}… ·" in told


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
    assert "until     its place is free" in lost
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
    assert "it is not known whether she was held or no candidate" in then
    latest = made.segflow("explain", "ann", "--message", "low", "--run", "2").out
    assert "not a candidate in the latest run" in latest
    no_run = made.segflow("explain", "ann", "--message", "low", "--run", "99")
    assert no_run.code == 2
    assert "there is no run 99" in no_run.err and "hint: the latest is run 2" in no_run.err
    before = made.segflow("explain", "ann", "--message", "low", "--at", "2020-01-01")
    assert before.code == 2
    assert "nothing was decided by then: the first run was as of 2026-07-01" in before.err
    now = made.segflow("explain", "ann", "--message", "low").out
    assert "never sent; not a candidate in the latest run" in now


WITH_CAPS = """
channels:
  - name: email
    address: email
    reachable: is_reachable
    suppress_for: {gate: [convert]}
    frequency_cap: [{count: 1, per: 1d}, {count: 3, per: 7d}]
audiences:
  - {name: mails, messages: all, channel: email, destination: files, key: email, fields: {}}
"""
SAID = {
    "models/consents.sql": """
    select contact_id, channel, purpose, is_granted,
        timestamp '2026-02-03 10:00:00' as recorded_at, 'form' as source
    from {{ ref('agreed') }} where contact_id != 'ben'
    union all
    select 'ben', 'email', 'marketing', false, timestamp '2026-07-02 09:12:00', 'unsubscribed'
    where {{ as_of() }} > timestamp '2026-07-02 09:12:00'
    """
}


def told_of(made: Project, *arguments: str) -> list[str]:
    return [line.strip() for line in made.segflow("explain", *arguments).out.splitlines()]


def test_what_a_message_stood_on_and_what_came_later(project: MakeProject) -> None:
    made = outreach(project, LOW, HIGH | {"exclude": ["ticket"]}, carts=["ann:50"])
    shared = FILES["seeds/people.csv"].replace("ben@x.example", "ann@x.example")
    made.write({"seeds/people.csv": shared, "models/channels.yml": WITH_CAPS, **SAID})
    made.write({
        "models/segments/carts.sql": "select members.contact_id, members.total, people.role"
        " from {{ ref('contacts') }} as people inner join {{ ref('members') }} as members"
        " on people.contact_id = members.contact_id and members.segment = 'carts'"
        " where people.role = 'owner' and (members.total >= 40 or members.total < 3)"
    })  # fmt: skip
    made.run()
    assert "asked     role is owner" in told_of(made, "ann", "--message", "high")
    made.write(members(carts=["ann:50"], ticket=["ann"], gate=["ben"]))
    made.run("--as-of", "2026-07-03 02:00:00")
    told = told_of(made, "ann", "--message", "high", "--run", "1")
    assert told[0] == "ann (account acme, role owner) and high"
    assert told[2] == "2026-07-01 02:00 UTC, run 0001: SENT high by email"
    assert "as then   total 50, role owner" in told
    edited = "  (as it is now: it, or what it reads, was edited since)"
    assert (
        f"asked     role is owner{edited}" in told and "members.total is 50 (at least 40)" in told
    )
    assert (
        "allowed   marketing consent of 2026-02-03, source form;"
        " no refusal by anybody with this address before 2026-07-01"
    ) in told
    assert "caps      not reached: 0 of 1 in 1d, 0 of 3 in 7d before it" in told
    assert "to        files, in mails" in told
    share = "held from run 0002 on, all 2 contacts with this address"
    assert told[-3:] == [
        f"since     2026-07-02 09:12 UTC refuses marketing, source unsubscribed: {share}",
        f"since     2026-07-03 02:00 UTC in gate, which gets none: {share}",
        "since     2026-07-03 02:00 UTC in ticket, which gets none: held from run 0002 on",
    ]


def test_a_message_whose_audience_was_held_went_nowhere_yet(project: MakeProject) -> None:
    made = outreach(project, HIGH, carts=["ann", "ben"])
    guarded = WITH_CAPS.replace("fields: {}", "fields: {}, guards: {max_size: 1}")
    made.write({"models/channels.yml": guarded})
    assert made.segflow("run").code == 1
    told = told_of(made, "ann", "--message", "high")
    assert any(line.startswith("to        files not yet: mails was held, ") for line in told)


NEXT_MESSAGE = """
audiences:
  - {name: everybody, user_types: all, channel: in_app, destination: files, key: contact_id,
     fields: {next: next_message}}
"""


def test_a_channel_that_asks_for_no_consent_and_user_types_that_carry_the_message(
    project: MakeProject,
) -> None:
    agreed = FILES["seeds/agreed.csv"] + "ann,in_app,marketing,true\n"
    made = outreach(project, HIGH | {"channels": ["in_app"]}, carts=["ann"])
    made.write({"models/everybody.yml": NEXT_MESSAGE, "seeds/agreed.csv": agreed})
    made.run()
    told = told_of(made, "ann", "--message", "high")
    assert "to        files, in everybody where none of her other messages comes first" in told
    assert any(line.startswith("allowed   it asks for no consent; no refusal") for line in told)


def test_what_would_have_to_change(project: MakeProject) -> None:
    made = outreach(project, HIGH, carts=["ann"], trials=["ann", "ben"])
    made.write({"models/channels.yml": WITH_CAPS.replace("{gate: [convert]}", "{}"), **SAID})
    made.run()
    made.write(messages(HIGH, message("more", segment="trials")))
    made.write(members(trials=["ann", "ben"]))
    made.run("--as-of", "2026-07-01 20:00:00")
    capped = told_of(made, "ann", "--message", "more")
    assert "because   its address is at the cap of 1 in 1d, with what it was held out of" in capped
    assert "had high on 2026-07-01" in capped
    assert "until     some of these are longer ago" in capped
    made.run("--as-of", "2026-07-03 02:00:00")
    refused = told_of(made, "ben", "--message", "more")
    assert "refuses marketing, source unsubscribed, since 2026-07-02 09:12 UTC" in refused
    assert "until     she agrees, refuses nothing, and nor does anybody with her address" in refused


def test_a_contact_that_was_merged_keeps_her_story(project: MakeProject) -> None:
    made = outreach(project, HIGH, carts=["ben"])
    made.run()
    merged = "select 'ben' as merged_contact_id, 'ann' as contact_id"
    gone = "select * from {{ ref('people') }} where contact_id != 'ben'"
    made.write({"models/merged_contacts.sql": merged, **members(carts=["ann"])})
    made.write({"models/contacts.sql": gone})
    made.run("--as-of", "2026-07-05 02:00:00")
    for arguments in (("ben",), ("ben", "carts"), ("ben", "--message", "high")):
        told = made.segflow("explain", *arguments).out.splitlines()
        assert told[:2] == ["ben was merged into ann", ""] and told[2].startswith("ann")
    told = told_of(made, "ann", "--message", "high", "--run", "1")
    assert told[2] == "2026-07-01 02:00 UTC, run 0001: SENT high by email"


def test_a_message_is_no_contact(project: MakeProject) -> None:
    made = outreach(project, HIGH, carts=["ann"])
    made.run()
    outcome = made.segflow("explain", "high")
    assert outcome.code == 2
    assert "`high` is a message, and no contact" in outcome.err
    assert "hint: segflow explain CONTACT --message high" in outcome.err


def test_somebody_held_out_is_told_so(project: MakeProject) -> None:
    made = outreach(project, HIGH | {"holdout": "99.99%"}, carts=["ann"])
    made.run()
    told = made.segflow("explain", "ann", "--message", "high").out
    assert "HELD OUT high by email" in told
    assert "held out  would have got it now: held out of the message" in told


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
