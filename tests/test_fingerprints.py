"""A fingerprint ignores comments and formatting, and changes with anything a node is made from."""

import json
import re
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import SEGFLOW_YML, MakeProject, Project

FILES = {
    "seeds/people.csv": "contact_id,score\na,1\nb,2\n",
    "macros/high.sql": "{% macro high(column) %}{{ column }} >= {{ var('least', 2) }}{% endmacro %}",
    "models/scores.sql": "select contact_id, score + 1 as score from {{ ref('people') }} where score > 0",
    "models/added.sql": (
        "{{ config(materialized='incremental') }} select contact_id, score from {{ ref('scores') }}"
        "{% if is_incremental() %} where score > 7 {% endif %}"
    ),
    "models/contacts.sql": "select contact_id, max(score) as score from {{ ref('added') }} group by contact_id",
    "models/segments/best.sql": (
        "select contact_id, score, 'x  --y' as said from {{ ref('contacts') }} where {{ high('score') }}"
        " and score < {{ as_of() }}::date - date '2020-01-01'"
    ),
    "models/aside.sql": "select 1 as one",
}


def fingerprints(made: Project, *arguments: str) -> dict[str, str]:
    outcome = made.segflow("compile", *arguments)
    assert outcome.code == 0, outcome.err
    nodes = json.loads((made.root / "target/manifest.json").read_text())["nodes"]
    return {node["name"]: node["fingerprint"] for node in nodes.values() if "fingerprint" in node}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


DOWN = ("people", "scores", "added", "contacts", "best")


def test_whatever_a_segment_is_made_from_changes_it(project: MakeProject) -> None:
    made = project(FILES)
    first = fingerprints(made)
    assert fingerprints(made) == first and len(set(first.values())) == len(first) == 6
    assert changed(first, fingerprints(made, "--vars", "{least: 3}")) == {"best"}
    for name, old, new in (
        ("seeds/people.csv", "b,2", "b,3"),
        ("macros/high.sql", ">=", ">"),
        ("models/scores.sql", "> 0", "> 1"),
        ("models/added.sql", "> 7", "> 8"),
        ("models/contacts.sql", "max", "min"),
        ("models/segments/best.sql", "x  --y", "x --y"),
        ("models/segments/best.sql", "2020-01-01", "2020-01-02"),
    ):
        made.write({name: FILES[name].replace(old, new)})
        start = Path(name).stem
        below = {"best"} if start == "high" else set(DOWN[DOWN.index(start) :])
        assert changed(first, fingerprints(made)) == below, name
        made.write({name: FILES[name]})
    assert fingerprints(made) == first


def test_needless_brackets_do_not(project: MakeProject) -> None:
    made = project(FILES)
    first = fingerprints(made)
    scores = FILES["models/scores.sql"]
    for text in ("(score) > 0", "(score > 0)", "((score) > (0))"):
        made.write({"models/scores.sql": scores.replace("score > 0", text)})
        assert fingerprints(made) == first, text
    made.write({"models/scores.sql": scores.replace("score + 1", "3 * score + 1")})
    bare = fingerprints(made)
    made.write({"models/scores.sql": scores.replace("score + 1", "3 * (score + 1)")})
    assert "scores" in changed(bare, fingerprints(made))


SPACES = st.sampled_from([" ", "\n", "\t  ", " -- as told\n", " /* so */ ", " {# why #} ", "  "])


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_comments_spaces_and_case_do_not(tmp_path: Path, data: st.DataObject) -> None:
    made = Project(tmp_path / "project")
    made.write({"segflow.yml": SEGFLOW_YML, **FILES})
    first = fingerprints(made)
    written = {}
    for name in (n for n in FILES if n.startswith("models/")):
        parts = re.split(r"('[^']*'|\{\{.*?\}\}|\{%.*?%\}|group by| )", FILES[name])
        loud = data.draw(st.booleans())
        words = [
            data.draw(SPACES) if part == " " else part.upper() if loud and part.islower()
            and part in ("select", "as", "from", "where", "and", "group by") else part
            for part in parts
        ]  # fmt: skip
        written[name] = "".join(words) + data.draw(SPACES)
    made.write(written)
    assert fingerprints(made) == first
    literal = data.draw(st.sampled_from(["> 0", "score + 1"]))
    number = data.draw(st.integers(2, 10**6))
    text = FILES["models/scores.sql"].replace(literal, f"{literal[:-1]}{number}")
    made.write({"models/scores.sql": text})
    assert changed(first, fingerprints(made)) == {"scores", "added", "contacts", "best"}
