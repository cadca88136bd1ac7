"""Which goal has a message for whom: the counts add up, and what is not covered is named."""

import re
from typing import Any

import pytest

from tests.conftest import MakeProject, Project
from tests.outreach import FILES, MESSAGES_YML, members, message, messages, outreach

STAGES = {
    "seeds/people.csv": FILES["seeds/people.csv"]
    .replace("contact_id,", "contact_id,stage,", 1)
    .replace("ann,acme", "ann,trial,acme")
    .replace("ben,acme", "ben,customer,acme")
    .replace("cy,cyco", "cy,,cyco"),
    "seeds/types.yml": FILES["seeds/types.yml"].replace(
        "{contact_id: VARCHAR, email", "{contact_id: VARCHAR, stage: VARCHAR, email"
    ),
    "models/personas.yml": "personas: [{name: carla, segment: carts}, {name: tess, segment: trials}]",
}
SERVICE = MESSAGES_YML + "purposes: [{name: service, basis: contract}]\n"


def matrix(made: Project, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = made.segflow("matrix", "--output", "json", *arguments).json["results"]
    return found


def findings(made: Project) -> set[tuple[str, str, str]]:
    return {(f["kind"], f["name"], f["detail"]) for f in matrix(made)["findings"]}


def test_goals_by_stage_and_by_persona(project: MakeProject) -> None:
    made = outreach(
        project,
        message(channels=["email", "in_app"], deliver="all"),
        message("due", goal="renew", segment="trials", purpose="service", channels=["in_app"]),
        carts=["ann", "ben"],
        trials=["ann", "cy"],
    )
    made.write({**STAGES, "models/channels.yml": SERVICE})
    made.run()
    found = made.rows("from segments.message_matrix order by dimension desc, user_type, goal")
    assert found == [
        ("stage", "customer", "convert", 1, 1, 1, {"email": 1, "in_app": 1}),
        ("stage", "customer", "renew", 1, 0, 0, {}),
        ("stage", "none", "convert", 1, 0, 0, {}),
        ("stage", "none", "renew", 1, 1, 1, {"in_app": 1}),
        ("stage", "trial", "convert", 1, 1, 1, {"email": 1}),
        ("stage", "trial", "renew", 1, 1, 1, {"in_app": 1}),
        ("persona", "carla", "convert", 2, 2, 2, {"email": 2, "in_app": 1}),
        ("persona", "carla", "renew", 2, 1, 1, {"in_app": 1}),
        ("persona", "tess", "convert", 1, 0, 0, {}),
        ("persona", "tess", "renew", 1, 1, 1, {"in_app": 1}),
    ]
    assert matrix(made, "--by", "persona")["user_types"] == {"carla": 2, "tess": 1}
    text, table = made.segflow("matrix").out, made.segflow("matrix", "--output", "markdown").out
    assert re.search(r"due \* +trials +in_app +50 +2 +2\n", text)
    assert "* service, owed by contract" in text
    assert "service (owed by contract" in table
    assert "| **convert** | 1 → 1<br>email 1, in_app 1 | 1 → 1<br>email 1 | · |" in table


@pytest.mark.parametrize("by", ["stage", "persona"])
def test_the_matrix_of_the_starter_adds_up(starter: Project, by: str) -> None:
    found = matrix(starter, "--by", by)
    assert sum(found["user_types"].values()) == starter.rows("select count(*) from lifecycle.contacts")[0][0]  # fmt: skip
    assert next(iter(found["user_types"])) == {"stage": "subscriber", "persona": "payment_pete"}[by]
    for cell in found["cells"]:
        assert found["user_types"][cell["user_type"]] >= cell["eligible"] >= cell["live"]
        assert sum(cell["by_channel"].values()) >= cell["live"] >= max(cell["by_channel"].values(), default=0)  # fmt: skip
    live = {
        (goal, channel): sum(
            cell["by_channel"].get(channel, 0) for cell in found["cells"] if cell["goal"] == goal
        )
        for goal in {cell["goal"] for cell in found["cells"]}
        for channel in ("email", "in_app", "customer_service")
    }
    rows = starter.rows(
        "select goal, channel, count(*) from segments.next_message"
        " semi join segments.user_types using (contact_id) group by all"
    )
    assert {(g, c): n for (g, c), n in live.items() if n} == {(g, c): n for g, c, n in rows}
    eligible = starter.rows(
        "select goal, count(distinct contact_id) from segments.decisions"
        " semi join segments.user_types using (contact_id) group by all"
    )
    sums = {goal: 0 for goal, _ in eligible}
    for cell in found["cells"]:
        sums[cell["goal"]] += cell["eligible"]
    assert sums == dict(eligible)
    lines = starter.segflow("matrix", "--by", by).out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines == [line.rstrip() for line in lines]
    shown = "\n".join(lines)
    for goal in sums:
        counts = [re.findall(r"[\d,]+|·", rest) for rest in re.findall(rf"^{goal} +([\d,· ]+)$", shown, re.M)]  # fmt: skip
        numbers = [0 if n == "·" else int(n.replace(",", "")) for block in counts for n in block]
        assert numbers == [c["eligible"] for c in found["cells"] if c["goal"] == goal]


def test_what_is_not_covered(project: MakeProject) -> None:
    made = outreach(
        project,
        message("wins", priority=90),
        message("loses", segment="trials", priority=10),
        message("says_nothing", segment="trials", payload={"total": "{{ cart_total }}"}),
        message("left_out", goal="upsell", segment="ticket", exclude=["ticket"], channels=["in_app"]),
        message("never", goal="renew", segment="impossible"),
        message("empty", goal="renew", segment="gate"),
        carts=["ann"],
        trials=["ann"],
        ticket=["ann"],
    )  # fmt: skip
    made.write(
        {
            **STAGES,
            "models/segments/impossible.sql": "select contact_id from {{ ref('contacts') }}"
            " where stage = 'trial' and stage = 'customer'",
            "models/goals.yml": "goals: [{name: convert, success: {model: ref('purchases'), within: 7d}}]",
        }
    )
    made.run()
    assert findings(made) == {
        ("user_type", "customer", "1 contacts"),
        ("user_type", "none", "1 contacts"),
        ("channel", "email", "upsell"),
        ("channel", "in_app", "convert, renew"),
        ("nobody", "left_out", "1 excluded"),
        ("nobody", "never", "impossible can never have members"),
        ("nobody", "empty", "nobody was ever in gate"),
        ("nobody", "says_nothing", "1 no payload"),
        ("loses", "loses", "1 to wins"),
        ("success", "upsell", ""),
        ("success", "renew", ""),
    }
    found = matrix(made)
    assert (found["without"], found["many"]) == (2, 0)
    made.write(messages(*(message(f"m{n}", goal=g) for n, g in enumerate(("inform", "renew", "upsell", "convert")))))  # fmt: skip
    made.run("--as-of", "2026-07-02 02:00:00")
    assert matrix(made)["many"] == 1
    made.write(members(trials=["ben"]))
    made.run("--as-of", "2026-07-03 02:00:00")
    assert ("nobody", "m0", "nobody is in carts now") in findings(made)


def test_a_message_loses_where_others_of_its_candidates_cannot_get_it(project: MakeProject) -> None:
    wins = message("wins", segment="trials", channels=["in_app"], priority=90)
    loses = message("loses", channels=["email", "in_app"])
    made = outreach(project, wins, loses, carts=["ann", "ben"], trials=["ann", "ben"])
    made.write({"seeds/agreed.csv": "contact_id,channel,purpose,is_granted\n"})
    made.run()
    assert ("loses", "loses", "2 to wins") in findings(made)
    made.write(members(carts=["ann", "ben"], trials=["ann"]))
    made.run()
    assert not {f for f in findings(made) if f[0] == "loses"}


def test_what_is_meant_is_allowed(project: MakeProject) -> None:
    made = outreach(project, message(), message("up", goal="upsell"), carts=["ann"])
    made.run()
    assert ("channel", "in_app", "convert, upsell") in findings(made)
    made.write({"models/meant.yml": "allow_empty: [convert × in_app]\n"})
    assert ("channel", "in_app", "upsell") in findings(made)
    made.write({"models/meant.yml": "allow_empty:\n  - convert × in_app\n  - upsell x in_app\n"})
    assert not {f for f in findings(made) if f[0] == "channel"}


def test_a_user_type_that_is_meant_to_have_none(project: MakeProject) -> None:
    made = outreach(project, message(segment="trials"), carts=["ann"])
    personas = "personas: [{name: carla, segment: carts}]\n"
    made.write({"models/personas.yml": personas})
    made.run()

    def without() -> set[str]:
        found = matrix(made, "--by", "persona")["findings"]
        return {f["name"] for f in found if f["kind"] == "user_type"}

    assert "carla" in without()
    made.write({"models/personas.yml": f"{personas}allow_empty: [carla]\n"})
    assert without() == {"none"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("convrt × in_app", ["unknown goal `convrt`", "did you mean `convert`"]),
        ("convert x inapp", ["unknown channel `inapp`", "did you mean `in_app`"]),
        ("convert in_app", ["`convert in_app`", "as in content × in_app"]),
    ],
)
def test_what_is_allowed_must_be_there(
    project: MakeProject, said: str, expected: list[str]
) -> None:
    made = outreach(project, message(), carts=["ann"])
    made.write({"models/meant.yml": f"allow_empty:\n  - upsell × in_app\n  - {said}\n"})
    outcome = made.segflow("compile")
    assert outcome.code == 2
    for text in ["models/meant.yml:3", *expected]:
        assert text in outcome.err


def test_there_is_nothing_to_show_before_a_decision(project: MakeProject) -> None:
    made = project({**FILES, **members(carts=["ann"])})
    made.run()
    for arguments in ([], ["--outcomes"]):
        outcome = made.segflow("matrix", *arguments)
        assert outcome.code == 2
        assert "no message was decided on yet" in outcome.err
