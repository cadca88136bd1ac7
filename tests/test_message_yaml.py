"""What a project may say of messages, and where it is told that it may not."""

import json
from typing import Any

import pytest

from tests.conftest import MakeProject
from tests.outreach import MESSAGES_YML, decided, members, message, messages, outreach

CHANNEL = MESSAGES_YML.replace("reachable: is_reachable}", "reachable: is_reachable, %s}")


@pytest.mark.parametrize(
    ("said", "error", "hint"),
    [
        ({"segment": "cart"}, "unknown segment `cart`", "did you mean `carts`?"),
        ({"segment": "contacts"}, "`contacts` is not a segment", "materialized"),
        ({"exclude": ["tickets"]}, "unknown segment `tickets`", "did you mean `ticket`?"),
        ({"channels": ["mail"]}, "unknown channel `mail`", "did you mean `email`?"),
        ({"channels": []}, "at least one segment and one channel", ""),
        ({"goal": "convince"}, "unknown goal `convince`", "did you mean `convert`?"),
        ({"purpose": "marketting"}, "unknown purpose `marketting`", "did you mean `marketing`?"),
        ({"priority": 101}, "`priority` is from 0 to 100", ""),
        ({"cooldown": "3 days"}, "`cooldown` is written as in 30m, 12h or 7d", ""),
        ({"cooldown": "3651d"}, "`cooldown` is at most 3650d, not `3651d`", ""),
        ({"cooldown": "999999999d"}, "`cooldown` is at most 3650d", ""),
        ({"goal_cooldown": "87601h"}, "`goal_cooldown` is at most 3650d", ""),
        ({"lasts": "5256001m"}, "`lasts` is at most 3650d", ""),
        ({"after": {"message": "x", "at_least": "9999d"}}, "`at_least` is at most 3650d", ""),
        ({"cooldown": "0d"}, "`cooldown` is written as in 30m, 12h or 7d", ""),
        ({"send_at": "25:00"}, "`send_at` is a time of day", ""),
        ({"holdout": "ten"}, "`holdout` is written as in 10%", ""),
        ({"holdout": "101%"}, "`holdout` is written as in 10%", ""),
        ({"holdout": "100%"}, "holds everybody out", ""),
        ({"holdout": "10%", "purpose": "service"}, "nobody can be held out of it", "drop"),
        ({"limit": {"per_day": 0}}, "each at least 1", ""),
        ({"limit": {"best_by": "cart_total"}}, "each at least 1", ""),
        ({"limit": {"per_day": 1, "best_by": "total"}}, "have a column `total`", "cart_total"),
        ({"max_per_contact": 0}, "`max_per_contact` is at least 1", ""),
        ({"after": {"message": "hallo", "at_least": "1d"}}, "unknown message `hallo`", ""),
        (
            {"after": {"message": "hello", "at_least": "1d"}},
            "`hello` waits for itself",
            "drop `after`",
        ),
        ({"active": {"from": "2026-07-02", "until": "2026-07-01"}}, "is after `until`", ""),
        ({"max_per_account": 0}, "`max_per_account` is at least 1", ""),
        (
            {"variants": [{"name": "a", "weight": 100}, {"name": "b", "weight": 0}]},
            "at least 1",
            "",
        ),
        ({"variants": [{"name": "a", "weight": 60}]}, "add up to 100, not 60", ""),
        ({"variants": [{"name": "a", "weight": 50}] * 2}, "two variants have one name", ""),
        ({"payload": {"": "x"}}, "in `payload`, a value has no key", ""),
        ({"payload": {"x": "{{ first_nam }}"}}, "have a column `first_nam`", "`first_name`"),
        ({"payload": {"x": "{{ variant }}"}}, "have a column `variant`", ""),
        ({"payload": {"x": "{{ first_name"}}, "is broken", ""),
        ({"payload": {"x": "{% if a %}x{% endif %}"}}, "no place for a statement", "column"),
        ({"payload": {"x": "{{ first_name | capitalize }}"}}, "filter `capitalize`", "default"),
        ({"payload": {"x": "{{ 1 + 1 }}"}}, "no place for an expression", ""),
        ({"chanels": ["email"]}, "chanels", ""),
        ({"channels": ["email", "email"]}, "`email` is named twice", ""),
        ({"segment": ["carts", "carts"]}, "`carts` is named twice", ""),
        ({"name": "call them!"}, "is no name", ""),
    ],
)
def test_what_is_wrong_with_a_message_is_told_at_its_line(
    project: MakeProject, said: dict[str, Any], error: str, hint: str
) -> None:
    made = outreach(project, message(**said), carts=["ann"])
    outcome = made.segflow("run")
    assert outcome.code == 2
    assert error in outcome.err and hint in outcome.err
    assert "models/messages.yml:" in outcome.err
    assert not made.database.exists()


# The lines of a message: what stands on line 8 is what is wrong with it.
LONG = """
messages:
  - name: hello
    goal: convert
    segment: carts
    channels: [email]
    priority: 50
    %s
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cooldown: 3 days", "the message `hello`: `cooldown` is written as in 30m, 12h or 7d,"),
        ("holdout: 101%", "the message `hello`: `holdout` is written as in 10%, from 0% to 100%,"),
        ("holdout: 10", "`holdout` takes a text, not a whole number\n  hint: put it in quotes,"),
        ("send_at: 21:00", "`send_at` takes a text, not a whole number\n  hint: put it in quotes,"),
        ("send_at: nine", 'the message `hello`: `send_at` is a time of day as in "21:00", not'),
        ("variants: [{name: a, weight: 60}]", "the message `hello`: the weights of `variants`"),
        ("max_per_contact: 0", "the message `hello`: `max_per_contact` is at least 1"),
        ("active: {from: tomorrow}", "`from` takes a day, as in 2026-07-31, not `tomorrow`"),
        ("after: {message: x, at_least: soon}", "the message `hello`: `at_least` is written as"),
        ("limit: {per_day: 0}", "the message `hello`: a limit has `per_run`, `per_day` or"),
        ('payload: {"": x}', "the message `hello`: in `payload`, a value has no key"),
    ],
)
def test_what_is_wrong_is_told_at_its_key(project: MakeProject, line: str, said: str) -> None:
    made = outreach(project, message(), carts=["ann"])
    made.write({"models/messages.yml": LONG % line})
    outcome = made.segflow("compile")
    assert outcome.code == 2
    assert f"models/messages.yml:8: {said}" in outcome.err


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("frequency_cap: [{count: 0, per: 7d}]", "at least 1"),
        ("frequency_cap: [{count: 1, per: week}]", "a number of days as in 7d"),
        ("frequency_cap: [{count: 1, per: 12h}]", "a number of days as in 7d"),
        ("frequency_cap: [{count: 1, per: 9999d}]", "`per` is at most 3650d"),
        ("frequency_cap: [{count: 1, per: 1d, goal: nothing}]", "unknown goal `nothing`"),
        ("frequency_cap: [{count: 1, per: 1d, goal: convert, tag: x}]", "write two"),
        ("frequency_cap: [{count: 1, per: 1d, tag: nice}]", "no message has the tag `nice`"),
        ("suppress_for: {tickets: [upsell]}", "unknown segment `tickets`"),
        ("suppress_for: {ticket: [upsel]}", "unknown goal `upsel`"),
        ('quiet_hours: {from: "21", until: "08:00"}', "a time of day"),
        ('quiet_hours: {from: "21:00", until: "21:00"}', "have no length"),
        ("suppress: [gates]", "unknown segment `gates`"),
        ("lasts: long", "`lasts` is written as in"),
    ],
)
def test_what_is_wrong_with_a_channel_is_told_at_its_line(
    project: MakeProject, said: str, error: str
) -> None:
    made = outreach(project, message(), carts=["ann"])
    made.write({"models/channels.yml": CHANNEL % said})
    outcome = made.segflow("compile")
    assert outcome.code == 2
    assert error in outcome.err
    assert "models/channels.yml:" in outcome.err


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("holdout: {percent: 60, salt: x}", "from 0 to 50"),
        ("holdout: {percent: 5}", "salt"),
        ("goals: [{name: convert, success: {model: purchases, within: 7d}}]", "write ref("),
        ("goals: [{name: convert, success: {model: ref('people'), within: 7d}}]",
         "`people` has no column `happened_at`"),
        ("goals: [{name: convert, success: {model: ref('buys'), within: 7d}}]", "unknown model"),
        ("goals: [{name: convert, success: {model: ref('purchases'), within: soon}}]", "as in"),
        ("audiences: [{name: m, messages: all, segments: [carts], channel: email,"
         " destination: files, key: email, fields: {}}]", "one of `segments`"),
        ("audiences: [{name: m, messages: [bye], channel: email, destination: files, key: email,"
         " fields: {}}]", "unknown message `bye`"),
        ("audiences: [{name: m, messages: [hello], channel: in_app, destination: files,"
         " key: email, fields: {}}]", "the message `hello` goes by email, not by in_app"),
        ("goals: [{name: convert, success: {model: ref('purchases'), within: 9999d}}]", "3650d"),
        ("audiences: [{name: m, messages: all, channel: email, destination: files, key: email,"
         " fields: {a: payload.nothing}}]", "neither its messages nor its contacts have"),
    ],
)  # fmt: skip
def test_what_is_wrong_around_messages_is_told_at_its_line(
    project: MakeProject, text: str, error: str
) -> None:
    made = outreach(project, message(payload={"template": "t"}), carts=["ann"])
    made.write({"models/more.yml": text})
    outcome = made.segflow("compile")
    assert outcome.code == 2
    assert error in outcome.err
    assert "models/more.yml:" in outcome.err


NO_ACCOUNT = "select * exclude (account_id) from {{ ref('people') }}"
TYPED = "models: [{name: contacts, columns: [{name: first_name, data_type: varchar}]}]"


@pytest.mark.parametrize(
    ("files", "errors"),
    [
        (messages(message("a"), message("a")), ["messages.yml:", "two messages are named `a`"]),
        (messages(message("a", after={"message": "b", "at_least": "1d"}),
                  message("b", after={"message": "c", "at_least": "1d"}),
                  message("c", after={"message": "a", "at_least": "1d"})),
         ["messages.yml:9", "a after b after c after a"]),
        ({"models/channels.yml": MESSAGES_YML.replace("address: email", "address: mail")},
         ["channels.yml:3", "no column `mail`", "did you mean `email`?"]),
        ({"models/channels.yml": MESSAGES_YML.replace("reachable: is_", "reachable: ")},
         ["channels.yml:3", "no column `reachable`", "did you mean `is_reachable`?"]),
        ({"models/channels.yml": MESSAGES_YML.replace("reachable: is_reachable", "reachable: first_name"),
          "models/contacts.yml": TYPED},
         ["channels.yml:3", "`first_name` is varchar", "add a column"]),
        ({"models/contacts.sql": NO_ACCOUNT, **messages(message(max_per_account=1))},
         ["messages.yml:", "`contacts` has no column `account_id`"]),
        ({"models/consents.sql": "select contact_id, channel, purpose from {{ ref('agreed') }}",
          "models/consents.yml": "models:\n  - name: consents\n"},
         ["consents.yml:2", "`consents` has no column `is_granted`"]),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_at_its_line(
    project: MakeProject, files: dict[str, str], errors: list[str]
) -> None:
    made = outreach(project, message(), carts=["ann"])
    made.write(files)
    outcome = made.segflow("compile")
    assert outcome.code == 2
    for error in errors:
        assert error in outcome.err


def test_messages_are_nodes(project: MakeProject) -> None:
    made = outreach(
        project, message(tags=["nice"]), message("other", segment="trials"), carts=["ann"]
    )
    made.write({"models/audiences.yml": (
        "audiences: [{name: mails, messages: all, channel: email, destination: files, key: email,"
        " fields: {m: message}}]"
    )})  # fmt: skip
    listed = made.segflow("ls", "--select", "members+", "--resource-type", "message").out.split()
    assert [name.rpartition(":")[2] for name in listed] == ["hello", "other"]
    assert "mails" in made.segflow("ls", "--select", "message:hello+").out
    assert "hello" in made.segflow("ls", "--select", "tag:nice").out
    made.run()
    manifest = json.loads((made.root / "target" / "manifest.json").read_text())
    exposure = manifest["exposures"]["message.demo.hello"]
    assert exposure["type"] == "message" and exposure["goal"] == "convert"
    assert "model.demo.carts" in exposure["depends_on"]["nodes"]


def test_a_run_that_chose_a_segment_weighs_all_messages(project: MakeProject) -> None:
    made = outreach(
        project,
        message("low", priority=1),
        message("high", segment="trials", priority=9),
        carts=["ann"],
        trials=["ben"],
    )
    made.run()
    made.write(members(carts=["ann", "ben"], trials=["ben"]))
    made.run("--select", "members+1", "message:low", "--as-of", "2026-07-03 02:00:00")
    assert decided(made)["ben", "low", "email"] == "lost"


def test_user_types_and_a_project_without_messages(project: MakeProject) -> None:
    made = outreach(project, carts=["ann"])
    made.write(messages())
    made.run()
    assert made.rows("select next_message from segments.user_types") == [(None,)] * 3
