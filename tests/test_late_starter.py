"""The starter on a bad day: what one late or broken load holds back, and what `retry` makes good."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import Outcome, Project
from tests.line import states

THEN = "2026-07-03 02:00:00"

# Segments, audiences and messages that read columns of each staging model.
READ = {
    "stg_surveys": (
        {"surveys_due", "promoters", "detractors"},
        {"calls_to_make"},
        {"nps_survey", "please_review", "call_detractor"},
    ),
    # who is matched with a new product may have browsed it in a cart
    "stg_carts": (
        {
            "carts_abandoned",
            "carts_abandoned_after_discount",
            "larger_carts_abandoned",
            "new_product_candidates",
        },
        {"cart_reminders"},
        {"cart_reminder", "cart_discount", "new_product"},
    ),
}

# Segments that ask nothing of what people do in the product: no stage, no use, no visit.
EVENTLESS = {
    "carts_abandoned",
    "carts_abandoned_after_discount",
    "detractors",
    "larger_carts_abandoned",
    "near_seat_limit",
    "past_due_customers",
    "promoters",
    "renewals_due",
    "renewals_due_soon",
    "with_open_ticket",
}


@pytest.fixture
def copied(starter: Project, tmp_path: Path) -> Project:
    """The starter after a good run, to be written to."""
    shutil.copytree(starter.root, tmp_path / "acme")
    return Project(tmp_path / "acme")


def held(outcome: Outcome) -> tuple[set[str], set[str], set[str]]:
    """Segments, audiences and messages that were held back; nothing else may be."""
    found = {"segment": set[str](), "audience": set[str](), "message": set[str]()}
    for node in outcome.json["results"]["nodes"]:
        if node["status"] == "held":
            found[node["kind"]].add(node["name"])
    return found["segment"], found["audience"], found["message"]


def make_late(made: Project, entity: str) -> None:
    """Read an entity from a file whose last row is too old."""
    model = f"models/staging/stg_{entity}.sql"
    text = (made.root / model).read_text()
    made.write(
        {
            model: text.replace(f"ref('raw_{entity}')", f"source('files', '{entity}')"),
            "models/staging/_files__sources.yml": f"""
sources:
  - name: files
    tables:
      - name: {entity}
        config:
          external_location: seeds/raw_{entity}.csv
          loaded_at_field: {"asked_at" if entity == "surveys" else "updated_at"}
          freshness: {{error_after: {{count: 1, period: day}}}}
""",
        }
    )


def everything(made: Project) -> dict[str, list[tuple[object, ...]]]:
    """All tables that people and tools read; when and in which run each was built apart."""
    tables = made.rows(
        "select table_schema, table_name from information_schema.tables where table_schema in"
        " ('engagement', 'lifecycle', 'audiences', 'segments') and table_name not in"
        " ('status', 'evaluations', 'memberships', 'membership_history', 'membership_events',"
        " 'closed_stays', 'sizes',"
        # written by runs that decide on all messages
        " 'outcomes')"
    )
    names = [f'"{schema}"."{name}"' for schema, name in tables]
    names += ["(select segment, contact_id, entered_at from segments.memberships)"]
    of = "select columns(lambda name: name != 'run') from"
    return {name: made.rows(f"{of} {name} order by all") for name in names}


def test_a_broken_load_holds_back_just_what_reads_its_columns(
    copied: Project, tmp_path: Path
) -> None:
    model = "stg_surveys"
    undisturbed = Project(tmp_path / "undisturbed")
    shutil.copytree(copied.root, undisturbed.root)
    undisturbed.run("--as-of", THEN, "--quiet")
    broken = "tests/data/it_is_broken.sql"
    copied.write({broken: f"select * from {{{{ ref('{model}') }}}}"})
    before = copied.rows("from segments.memberships order by all")
    outcome = copied.segflow("run", "--as-of", THEN, "--output", "json")
    assert outcome.code == 1
    assert held(outcome) == READ[model]
    failed = [n["name"] for n in outcome.json["results"]["nodes"] if n["status"] == "error"]
    assert failed == [model]
    # they keep their members, and say why; `contacts` is built and says which columns do not count
    segments, _, _ = READ[model]
    after = copied.rows("from segments.memberships order by all")
    assert [s for s in before if s[0] in segments] == [s for s in after if s[0] in segments]
    for segment in segments:
        assert states(copied)[segment] == ("kept", 1, f"reads {model}")
    state, run, reason = states(copied)["contacts"]
    assert (state, run) == ("fresh", 2) and reason.endswith(f" from what was kept of {model}")
    # what is then retried is that, and what stands on it
    (copied.root / broken).unlink()
    retried = copied.segflow("retry", "--output", "json")
    assert retried.code == 0, retried.out
    names = {node["name"] for node in retried.json["results"]["nodes"]}
    assert names >= {model, "contact_engagement", "contacts", *segments}
    assert not {"stg_events", "stage_history", "trials_ending", "trial_mails"} & names
    assert everything(copied) == everything(undisturbed)
    assert {reason for _, _, reason in states(copied).values()} == {""}


@pytest.mark.parametrize("model", READ)
def test_a_late_load_does_so_too(copied: Project, model: str) -> None:
    make_late(copied, model.removeprefix("stg_"))
    outcome = copied.segflow("run", "--as-of", THEN, "--output", "json")
    assert held(outcome) == READ[model]
    source = f"files.{model.removeprefix('stg_')}"
    errors = [n["name"] for n in outcome.json["results"]["nodes"] if n["status"] == "error"]
    assert errors == [source]
    assert outcome.json["errors"][0].startswith(f"{source}: last row ")
    # and a run of a part knows it still
    some = copied.segflow(
        "run", "--select", "promoters", "carts_abandoned", "trials_ending", "--as-of", THEN,
        "--output", "json",
    )  # fmt: skip
    assert held(some)[0] == READ[model][0] & {"promoters", "carts_abandoned"}


def test_late_events_put_nobody_at_risk_and_hold_nobody_who_asks_nothing_of_them(
    copied: Project,
) -> None:
    copied.write({"tests/data/it_is_broken.sql": "select * from {{ ref('stg_events') }}"})
    members = "select segment, contact_id from segments.memberships order by all"
    at_risk = "select count(*) from lifecycle.contacts where stage = 'at_risk'"
    before, at_risk_before = copied.rows(members), copied.rows(at_risk)
    outcome = copied.segflow("run", "--as-of", THEN, "--output", "json")
    assert outcome.code == 1
    after = copied.rows(members)
    nodes = outcome.json["results"]["nodes"]
    segments = {n["name"] for n in nodes if (n["kind"], n["status"]) == ("segment", "held")}
    assert {name for name, _ in before} - segments == EVENTLESS
    assert [row for row in after if row[0] in segments] == [r for r in before if r[0] in segments]
    # carts grow old as ever
    assert [row for row in after if row[0] in EVENTLESS] != [r for r in before if r[0] in EVENTLESS]
    # seen from the last events that are known, more are silent by now
    assert copied.rows(at_risk) > at_risk_before


def test_contacts_without_rows_empty_no_list(copied: Project) -> None:
    folder = copied.root / "exports"
    lists = {p: p.read_bytes() for p in folder.rglob("*.*") if p.suffix in (".csv", ".jsonl")}
    assert len(lists) == 11
    contacts = copied.root / "seeds" / "raw_contacts.csv"
    lines = contacts.read_text("utf-8").splitlines(keepends=True)
    contacts.write_text(lines[0], "utf-8")
    for arguments in ((), ("--as-of", THEN)):
        outcome = copied.segflow("run", *arguments)
        assert outcome.code == 1
        assert {p: p.read_bytes() for p in lists} == lists
        assert outcome.out.count("HELD") == 11
        assert "raw_contacts: empty, had 2,031 rows\n" in outcome.out
        assert "  segflow retry --approve raw_contacts=2031\n" in outcome.out
    contacts.write_text("".join(lines[:60]), "utf-8")
    few = copied.segflow("run", "--as-of", THEN)
    assert (
        few.code == 1
        and "all of them stand on it           raw_contacts has 59 rows, had 2,031\n" in few.out
    )
    assert "approve each by its name" in few.out and "retry --approve" not in few.out
