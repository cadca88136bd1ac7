"""Which contact gets which message: each policy, the order of them, and what is live."""

import re
from datetime import date, datetime
from typing import Any

import pytest

from tests.conftest import MakeProject
from tests.outreach import AGREED, FILES, decided, members, message, messages, outreach

DAY = "2026-07-{:02} 02:00:00".format


def test_a_candidate_is_sent_the_message_and_who_is_none_costs_no_row(project: MakeProject) -> None:
    made = outreach(project, message(), carts=["ann"], trials=["ben"])
    # what its segment could mail to is told of a segment that only a message mails
    assert re.search(r"\bcarts +1 +1 +\+1\b", made.run().out)
    assert decided(made) == {("ann", "hello", "email"): "send"}
    assert made.rows("select contact_id, channel, message, goal from segments.next_message") == [
        ("ann", "email", "hello", "convert")
    ]
    because = made.rows("select because, reason, lost_to from segments.decisions")
    assert because == [("is in carts since 2026-07-01", None, None)]
    assert made.rows("select action, contacts from segments.decision_counts") == [("send", 1)]


CASES = {
    "inactive_before": (message(active={"from": date(2026, 7, 2)}), {}, "inactive"),
    "active_from_that_day_on": (message(active={"from": date(2026, 7, 1)}), {}, "send"),
    "active_until_the_end_of_the_day": (message(active={"until": date(2026, 7, 1)}), {}, "send"),
    "inactive_after": (message(active={"until": date(2026, 6, 30)}), {}, "inactive"),
    "excluded": (message(exclude=["ticket"]), {"ticket": ["ann"]}, "excluded"),
    "another_is_excluded": (message(exclude=["ticket"]), {"ticket": ["ben"]}, "send"),
    "no_payload": (message(payload={"total": "{{ cart_total }}"}), {}, "no_payload"),
    "payload": (message(payload={"name": "{{ first_name }}"}), {}, "send"),
    "payload_of_a_number": (
        message(payload={"n": "{{ cart_total | round(1) | upper }}"}),
        {"carts": ["ann:5"]},
        "send",
    ),
    "payload_of_no_number": (message(payload={"n": "{{ first_name | round }}"}), {}, "no_payload"),
    "payload_by_default": (
        message(payload={"total": "{{ cart_total | default('some') }}"}),
        {},
        "send",
    ),
    "after_what_never_was": (
        message(after={"message": "other", "at_least": "20h"}),
        {},
        "after",
    ),
    "held_out_of_everything": (message(holdout="99.99%"), {}, "holdout"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_policy(project: MakeProject, case: str) -> None:
    said, segments, expected = CASES[case]
    made = outreach(
        project, said, message("other", segment="trials"), **{"carts": ["ann"]} | segments
    )
    made.run()
    assert decided(made)["ann", "hello", "email"] == expected


CHANNELS = """
channels:
  - name: email
    address: email
    reachable: is_reachable
    suppress: [gate]
    suppress_for: {ticket: [upsell]}
  - {name: in_app, address: contact_id, consent: none}
purposes:
  - {name: marketing}
  - {name: service, basis: contract}
  - {name: tips, basis: opt_out}
"""


@pytest.mark.parametrize(
    ("said", "people", "agreed", "segments", "expected"),
    [
        ({}, ",,true", "ann,email,marketing,true", {}, "no_address"),
        ({}, "a@x,,false", "ann,email,marketing,true", {}, "unreachable"),
        ({}, "a@x,,", "ann,email,marketing,true", {}, "unreachable"),
        ({}, "a@x,,true", "ann,email,marketing,true", {"gate": ["ann"]}, "suppressed"),
        ({}, "a@x,,true", "ann,email,marketing,true", {"ticket": ["ann"]}, "send"),
        ({"goal": "upsell"}, "a@x,,true", "ann,email,marketing,true", {"ticket": ["ann"]}, "suppressed"),
        ({}, "a@x,,true", "", {}, "no_consent"),
        ({}, "a@x,,true", "ann,email,marketing,false", {}, "no_consent"),
        ({"purpose": "tips"}, "a@x,,true", "", {}, "send"),
        ({"purpose": "tips"}, "a@x,,true", "ann,email,tips,false", {}, "no_consent"),
        ({"purpose": "tips"}, "a@x,,true", "ann,email,profiling,false", {}, "no_consent"),
        ({"purpose": "service"}, "a@x,,true", "ann,email,profiling,false", {"gate": ["ann"]}, "send"),
        ({"purpose": "service"}, "a@x,,false", "", {}, "unreachable"),
        ({"channels": ["in_app"]}, ",,false", "", {}, "send"),
        ({"channels": ["in_app"]}, ",,false", "ann,email,profiling,false", {}, "no_consent"),
    ],
)  # fmt: skip
def test_whom_we_may_write_to(
    project: MakeProject,
    said: dict[str, str],
    people: str,
    agreed: str,
    segments: dict[str, list[str]],
    expected: str,
) -> None:
    made = outreach(project, message(**said), carts=["ann"], **segments)
    made.write(
        {
            "models/channels.yml": CHANNELS,
            "seeds/people.csv": "contact_id,email,first_name,is_reachable\nann," + people + "\n",
            "seeds/agreed.csv": "contact_id,channel,purpose,is_granted\n" + agreed + "\n",
            "seeds/types.yml": FILES["seeds/types.yml"]
            .replace(
                "account_id: VARCHAR, first_name: VARCHAR, time_zone: VARCHAR, role: VARCHAR,",
                "first_name: VARCHAR,",
            )
            .replace("     account_id: VARCHAR,", ""),
        }
    )
    made.run()
    assert list(decided(made).values()) == [expected]


def test_a_cooldown_counts_from_the_last_one_and_live_comes_before_it(project: MakeProject) -> None:
    made = outreach(project, message(cooldown="3d"), carts=["ann"])
    found = []
    for day in (1, 2, 3, 4, 5):
        made.run("--as-of", DAY(day))
        found.append(decided(made)["ann", "hello", "email"])
    assert found == ["send", "cooldown", "cooldown", "send", "cooldown"]
    assert made.rows("select count(*) from segflow.exposures") == [(2,)]
    assert made.rows("select because from segments.decisions limit 1") == [
        ("waits 3d after it on 2026-07-04",)
    ]


def test_a_live_message_keeps_its_place_until_it_has_lasted(project: MakeProject) -> None:
    low = message("low", channels=["in_app"], lasts="3d", priority=1)
    high = message("high", segment="trials", channels=["in_app"], priority=99)
    made = outreach(project, low, high, carts=["ann"])
    made.run()
    made.write(members(carts=["ann"], trials=["ann"]))
    made.run("--as-of", DAY(2))
    assert decided(made) == {
        ("ann", "low", "in_app"): "already_live",
        ("ann", "high", "in_app"): "lost",
    }
    assert made.rows("select lost_to from segments.decisions where message = 'high'") == [("low",)]
    assert made.rows("select message from segments.next_message") == [("low",)]
    made.run("--as-of", DAY(4))
    assert made.rows("select message from segments.next_message") == [("high",)]


@pytest.mark.parametrize("how", ["left", "excluded", "success", "removed"])
def test_what_is_live_goes_when_there_is_no_more_reason_for_it(
    project: MakeProject, how: str
) -> None:
    banner = message(channels=["in_app"], exclude=["ticket"])
    made = outreach(project, banner, carts=["ann", "ben"])
    made.write(
        {
            "models/goals.yml": "goals:\n  - {name: convert, success: {model: ref('purchases'), within: 7d}}\n"
        }
    )
    made.run()
    assert made.rows("select count(*) from segments.next_message") == [(2,)]
    if how == "left":
        made.write(members(carts=["ben"]))
    elif how == "excluded":
        made.write(members(carts=["ann", "ben"], ticket=["ann"]))
    elif how == "success":
        made.write({"seeds/bought.csv": "contact_id,happened_at\nann,2026-07-01 12:00:00\n"})
        made.write(messages(banner | {"max_per_contact": 1}))
    else:
        made.write(messages(banner | {"segment": "trials"}))
    made.run("--as-of", DAY(2))
    live = [("ben",)] if how != "removed" else []
    assert made.rows("select contact_id from segments.next_message") == live
    ends = made.rows("select distinct reason from segflow.exposure_ends")
    assert ends == [("left" if how == "removed" else how,)]


def test_owed_by_contract_goes_past_caps_and_takes_the_place_of_what_is_live(
    project: MakeProject,
) -> None:
    offer = message("offer", channels=["in_app"], priority=100)
    due = message("due", segment="trials", channels=["in_app"], priority=1, purpose="service")
    made = outreach(project, offer, due, carts=["ann"])
    made.run()
    made.write(members(carts=["ann"], trials=["ann"]))
    made.run("--as-of", DAY(2))
    assert made.rows("select message from segments.next_message") == [("due",)]
    assert made.rows("select reason from segflow.exposure_ends") == [("displaced",)]
    lost = "select reason, lost_to from segments.decisions where message = 'offer'"
    assert made.rows(lost) == [("lost", "due")]
    made.run("--as-of", DAY(3))
    assert decided(made)["ann", "offer", "in_app"] == "lost"


def test_caps_count_local_days_by_address_and_not_what_is_owed(project: MakeProject) -> None:
    capped = CHANNELS.replace("suppress: [gate]", "frequency_cap: [{count: 1, per: 2d}]")
    made = outreach(
        project,
        message("one", segment="trials"),
        message("two"),
        message("owed", segment="gate", purpose="service"),
        trials=["ann"],
        carts=["ben", "cy"],
        gate=["cy"],
    )
    made.write({"models/channels.yml": capped})
    made.run("--as-of", DAY(1))
    assert decided(made)["cy", "two", "email"] == "lost"
    made.write(members(carts=["ann", "cy"]))
    made.run("--as-of", DAY(2))
    assert decided(made) == {
        ("ann", "two", "email"): "frequency_cap",
        ("cy", "two", "email"): "send",
    }
    made.run("--as-of", DAY(3))
    assert decided(made)["ann", "two", "email"] == "send"


def test_the_first_channel_that_reaches_a_contact(project: MakeProject) -> None:
    both = message(channels=["email", "in_app"])
    made = outreach(project, both, carts=["ann", "ben"])
    made.write(
        {"seeds/agreed.csv": "contact_id,channel,purpose,is_granted\nann,email,marketing,true\n"}
    )
    made.run()
    assert decided(made) == {
        ("ann", "hello", "email"): "send",
        ("ann", "hello", "in_app"): "preferred_channel",
        ("ben", "hello", "email"): "no_consent",
        ("ben", "hello", "in_app"): "send",
    }
    made.write(messages(both | {"deliver": "all"}))
    made.run()
    assert decided(made)["ann", "hello", "in_app"] == "send"


@pytest.mark.parametrize("group", ["holdout", "control_group", "send"])
def test_what_goes_by_one_channel_does_not_go_by_the_next(project: MakeProject, group: str) -> None:
    held = {"holdout": "99.99%"} if group == "holdout" else {}
    made = outreach(project, message(channels=["email", "in_app"], **held), carts=["ann", "ben"])
    if group == "control_group":
        made.write({"models/holdout.yml": "holdout: {percent: 50, salt: a}\n"})
    made.run()
    both = {one for one in ("ann", "ben") if decided(made)[one, "hello", "email"] == group}
    assert both
    assert all(decided(made)[one, "hello", "in_app"] == "preferred_channel" for one in both)
    made.run("--as-of", "2026-07-01 08:00:00")
    for one in both:
        assert decided(made)[one, "hello", "email"] == "already_live"
        assert decided(made)[one, "hello", "in_app"] == "already_live"
    rows = made.rows("select contact_id, channel from segments.next_message")
    assert {row for row in rows if row[0] in both} == {
        (one, "email") for one in both if group == "send"
    }


def test_limits(project: MakeProject) -> None:
    best = message(limit={"per_day": 1, "total": 2, "best_by": "cart_total"})
    made = outreach(project, best, carts=["ann:10", "ben:30", "cy:20"])
    who = []
    for day in (1, 2, 3):
        made.run("--as-of", DAY(day))
        who += made.rows("select contact_id from segments.decisions where action = 'send'")
    assert who == [("ben",), ("ben",)]
    made.write(messages(best | {"max_per_contact": 1, "limit": {"total": 3, "per_run": 1}}))
    made.run("--as-of", DAY(4))
    assert made.rows("select because from segments.decisions where contact_id = 'ben'") == [
        ("is over the limit: 1 for each contact",)
    ]


def test_one_of_several_colleagues(project: MakeProject) -> None:
    seats = message(max_per_account=1, cooldown="30d")
    made = outreach(project, seats, carts=["ben", "ann", "cy"])
    made.run()
    assert decided(made) == {
        ("ann", "hello", "email"): "send",
        ("ben", "hello", "email"): "limit",
        ("cy", "hello", "email"): "send",
    }
    told = made.rows("select because from segments.decisions where contact_id = 'ben'")
    assert told == [("is over the limit: a colleague got it",)]
    made.write(members(carts=["ben"]))
    made.run("--as-of", DAY(9))
    assert decided(made) == {("ben", "hello", "email"): "limit"}


def test_after_another_message_in_the_same_stay(project: MakeProject) -> None:
    first = message("first", channels=["in_app"], priority=90)
    second = message("second", priority=95, after={"message": "first", "at_least": "20h"})
    made = outreach(project, first, second, carts=["ann"])
    found = []
    for time in ("2026-07-01 02:00:00", "2026-07-01 21:59:59", "2026-07-01 22:00:00"):
        made.run("--as-of", time)
        found.append(decided(made)["ann", "second", "email"])
    assert found == ["after", "after", "send"]
    made.write(members(trials=["ann"]))
    made.run("--as-of", DAY(20))
    made.write(members(carts=["ann"]))
    made.run("--as-of", DAY(21))
    assert decided(made)["ann", "second", "email"] == "after"


def test_the_clock_of_the_contact(project: MakeProject) -> None:
    quiet = CHANNELS.replace("suppress: [gate]", 'quiet_hours: {from: "21:00", until: "08:00"}')
    made = outreach(project, message(), message("ten", segment="trials", send_at="10:00"),
                    carts=["ann", "ben", "cy"], trials=["ann"])  # fmt: skip
    made.write({"models/channels.yml": quiet})
    made.run("--as-of", "2026-07-01 05:00:00")
    rows = made.rows(
        "select contact_id, send_after from segments.decisions where message = 'hello'"
    )
    assert dict(rows) == {
        "ann": datetime(2026, 7, 1, 6),  # 07:00 in Berlin
        "ben": datetime(2026, 7, 1, 12),  # 01:00 in New York
        "cy": None,  # 14:00 in Tokyo
    }
    at_ten = made.rows("select send_after from segments.decisions where message = 'ten'")
    assert at_ten == [(datetime(2026, 7, 1, 8),)]


def test_held_out_contacts_keep_the_slot_and_count(project: MakeProject) -> None:
    made = outreach(
        project, message(cooldown="2d"), message("other", priority=1), carts=["ann", "ben", "cy"]
    )
    made.write({"models/holdout.yml": "holdout: {percent: 50, salt: s, unit: account}\n"})
    made.run()
    found = decided(made)
    held = {one for (one, m, _), what in found.items() if what == "control_group"}
    assert len({found["ann", "hello", "email"], found["ben", "hello", "email"]}) == 1
    assert all(found[one, "other", "email"] == "lost" for one in ("ann", "ben", "cy"))
    assert {r[0] for r in made.rows("select contact_id from segments.next_message")}.isdisjoint(
        held
    )
    made.write({"models/holdout.yml": "holdout: {percent: 0, salt: t, unit: account}\n"})
    made.run("--as-of", DAY(2))
    again = {one for (one, m, _), what in decided(made).items() if what == "control_group"}
    assert again == held  # who was assigned once stays where she is
    assert all(decided(made)[one, "hello", "email"] == "cooldown" for one in ("ann", "ben", "cy"))


def test_a_rerun_decides_the_same_and_counts_once(project: MakeProject) -> None:
    made = outreach(project, message(cooldown="3d", holdout="50%"), carts=["ann", "ben", "cy"])
    made.run()
    columns = "decision_id, contact_id, action, reason, because"
    first = made.rows(f"select {columns} from segments.decisions order by all")
    made.run()
    assert made.rows(f"select {columns} from segments.decisions order by all") == first
    assert made.rows("select count(*), count(distinct decision_id) from segflow.exposures") == [
        (3, 3)
    ]
    refused = made.segflow("run", "--as-of", "2026-06-30 02:00:00")
    assert refused.code == 2


def test_a_rerun_after_an_edit_forgets_nothing_that_was_handed_over(project: MakeProject) -> None:
    low, high = message("low", priority=1), message("high", segment="trials", priority=9)
    made = outreach(project, low, carts=["ann"], trials=["ann"])
    made.write(
        {
            "models/channels.yml": CHANNELS.replace(
                "suppress: [gate]", "frequency_cap: [{count: 2, per: 7d}]"
            )
        }
    )
    made.run()
    made.write(messages(low, high))
    made.run()
    record = "select message, run, ends.reason from segflow.exposures left join segflow.exposure_ends as ends using (decision_id) order by 1"
    assert made.rows(record) == [("high", 2, None), ("low", 1, "decided_anew")]
    assert made.rows("select message from segments.next_message") == [("high",)]
    made.run()
    assert made.rows(record) == [("high", 2, None), ("low", 1, "decided_anew")]
    made.run("--as-of", DAY(3))
    assert set(decided(made).values()) == {"frequency_cap"}


def test_who_went_through_a_draw_stays_where_it_put_her(project: MakeProject) -> None:
    everybody = ["ann", "ben", "cy"]
    made = outreach(project, message(holdout="1%"), carts=everybody)
    made.run()
    made.write(messages(message(holdout="99.99%")))
    made.run("--as-of", DAY(4))
    assert set(decided(made).values()) == {"send"}


def test_it_is_said_what_holds_a_contact_and_whose_it_is(project: MakeProject) -> None:
    made = outreach(project, message(), carts=["ann", "ben", "cy"], gate=["cy"])
    shared = FILES["seeds/people.csv"].replace("ben@x.example", "ann@x.example")
    refused = AGREED.replace("ann,email,marketing,true", "ann,email,profiling,false")
    made.write(
        {"seeds/people.csv": shared, "seeds/agreed.csv": refused, "models/channels.yml": CHANNELS}
    )
    made.run()
    assert dict(made.rows("select contact_id, because from segments.decisions")) == {
        "ann": "has refused profiling",
        "ben": "has refused profiling (another contact with this address)",
        "cy": "is in gate, and gets none",
    }


def test_an_audience_holds_the_live_messages(project: MakeProject) -> None:
    hello = message(
        payload={"template": "hello-{{ variant }}", "subject": "{{ first_name | default('Hi') }}!"},
        variants=[{"name": "a", "weight": 100}],
    )
    made = outreach(project, hello, carts=["ann", "cy"])
    made.write({"models/audiences.yml": """
audiences:
  - {name: mails, messages: all, channel: email, destination: files, key: email,
     fields: {MESSAGE: message, TEMPLATE: payload.template, SUBJECT: payload.subject}}
  - {name: desk, user_types: all, channel: in_app, purpose: service, destination: files,
     key: contact_id, fields: {next: next_message}}
"""})  # fmt: skip
    made.run()
    assert made.rows("from audiences.mails") == [
        ("ann@x.example", "hello", "hello-a", "Ann!"),
        ("cy@x.example", "hello", "hello-a", "Hi!"),
    ]
    assert made.rows("from audiences.desk") == [("ann", "hello"), ("ben", None), ("cy", "hello")]


def test_a_merge_keeps_the_stricter_draw(project: MakeProject) -> None:
    made = outreach(project, message(), carts=["ann", "ben", "cy"])
    made.write({"models/holdout.yml": "holdout: {percent: 50, salt: s}\n"})
    made.run()
    out = {one for (one, _, _), why in decided(made).items() if why == "control_group"}
    sent = {"ann", "ben", "cy"} - out
    assert out and sent
    lost, kept = min(out), min(sent)
    merged = f"select '{lost}' as merged_contact_id, '{kept}' as contact_id"
    made.write({"models/merged_contacts.sql": merged, **members(carts=[kept])})
    made.run("--as-of", DAY(5))
    assert decided(made) == {(kept, "hello", "email"): "control_group"}


SUCCESS = "goals:\n  - {name: convert, success: {model: ref('purchases'), within: 7d}}\n"


def test_a_goal_that_is_reached_ends_no_message_that_is_owed(project: MakeProject) -> None:
    due = message("due", channels=["in_app"], purpose="service")
    made = outreach(project, due, carts=["ann"])
    bought = "contact_id,happened_at\nann,2026-07-01 12:00:00\n"
    made.write({"models/goals.yml": SUCCESS, "seeds/bought.csv": bought})
    made.run()
    made.run("--as-of", DAY(2))
    assert made.rows("select message from segments.next_message") == [("due",)]


@pytest.mark.parametrize("broken", ["consents", "trials", "purchases", "contacts"])
def test_a_first_run_in_which_something_fails_holds_back_what_reads_it(
    project: MakeProject, broken: str
) -> None:
    owed = message("owed", purpose="service", channels=["in_app"], priority=1)
    tried = message("tried", segment="trials", payload={"total": "{{ cart_total }}"})
    made = outreach(project, owed, tried, carts=["ann"], trials=["ben:3"])
    test = f"select 1 from (select count(*) from {{{{ ref('{broken}') }}}})"
    made.write({"models/goals.yml": SUCCESS, "tests/broken.sql": test})
    outcome = made.segflow("run")
    assert outcome.code == 1, outcome.out + outcome.err
    if broken != "contacts":
        assert decided(made)["ann", "owed", "in_app"] == "send"
    (made.root / "tests" / "broken.sql").unlink()
    assert made.segflow("retry").code == 0
    assert decided(made)["ben", "tried", "email"] == "send"


def test_what_was_sent_stays_where_a_rerun_cannot_decide(project: MakeProject) -> None:
    made = outreach(project, message(channels=["in_app"]), carts=["ann"])
    made.run()
    made.write({"tests/broken.sql": "select 1 from {{ ref('carts') }}"})
    assert made.segflow("run").code == 1
    assert decided(made) == {("ann", "hello", "in_app"): "held_back"}
    assert made.rows("select contact_id from segments.next_message") == [("ann",)]


def test_a_message_that_fails_stops_no_other(project: MakeProject) -> None:
    said: dict[str, Any] = {"segment": ["carts", "gate"], "payload": {"n": "{{ cart_total }}"}}
    wrong = message("wrong", channels=["in_app"], **said)
    made = outreach(project, wrong, message(), carts=["ann"])
    mixed = "select contact_id, [total] as cart_total from {{ ref('members') }} where total = 9"
    made.write({"models/segments/gate.sql": mixed})
    outcome = made.segflow("run")
    assert outcome.code == 1
    assert "wrong: " in outcome.out and "COALESCE" in outcome.out
    assert decided(made) == {
        ("ann", "hello", "email"): "send",
        ("ann", "wrong", "in_app"): "held_back",
    }
    made.write(messages(wrong | {"payload": {}}, message()))
    assert made.segflow("retry").code == 0
    assert decided(made)["ann", "wrong", "in_app"] == "send"


def test_what_waits_for_its_audience_is_told_beside_what_was_sent(project: MakeProject) -> None:
    said = (message(), message("ask", segment="trials"), message("shown", channels=["in_app"]))
    made = outreach(project, *said, carts=["ann", "ben"], trials=["cy"])
    guarded = "destination: files, fields: {M: message}, guards: {max_entered: 0}}"
    made.write(
        {
            "models/audiences.yml": f"""
audiences:
  - {{name: mails, channel: email, key: email, messages: all, {guarded}
  - {{name: asked, channel: email, key: email, messages: [ask], {guarded}
  - {{name: empty, channel: customer_service, key: contact_id, messages: all, {guarded}
  - {{name: banners, channel: in_app, key: contact_id, messages: all, destination: files,
     fields: {{M: message}}}}
""",
            "models/desk.yml": "channels: [{name: customer_service, address: contact_id}]",
        }
    )
    told = made.segflow("run")
    assert told.code == 1
    assert told.out.partition("5 sent · 0 held out · 0 held\n")[2].startswith(
        "  3 of those sent wait: mails is kept as it was\n"
        "  1 of those sent wait: asked is kept as it was\n\n"
    )
    assert " wait: " not in made.segflow("retry", "--approve", "mails=3", "asked=1").out
