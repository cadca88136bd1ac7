"""The starter's unit tests, put to the test: a segment with a clause bent must fail one of them."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from segflow.build.unit_tests import unit_test_result
from segflow.build.workspace import open_engine, published
from segflow.compile.compiler import compile_graph
from segflow.compile.connecting import build_graph
from segflow.compile.graph import Graph
from segflow.compile.relations import Relation
from segflow.engines.base import Column, Session
from segflow.project.load import load
from tests.conftest import AS_OF, Project

# What is written on the left becomes what is on the right, one place at a time.
_SWAPS = {
    " >= ": (" > ",),
    " > ": (" >= ",),
    " <= ": (" < ",),
    " < ": (" <= ",),
    " = ": (" != ",),
    " != ": (" = ",),
    " is null": (" is not null",),
    " is not null": (" is null",),
    " not ": (" ",),
    "    and ": ("    or ",),
    "    or ": ("    and ",),
    " desc": (" asc",),
    "within_last(": ("longer_ago(", "within_next("),
    "within_next(": ("within_last(",),
    "longer_ago(": ("within_last(",),
    "for_at_least(": ("within_last(", "longer_ago("),
}
# A clause on a line of its own, as `    and stage = 'trial'`.
_CLAUSE = re.compile(r"\n    and [^\n(]*(\([^\n]*\))?[^\n(]*(?=\n)")
# The last of several values, as in `in ('owner', 'admin')`.
_LAST_VALUE = re.compile(r", '[^']*'\)")
_NUMBER = re.compile(r"var\('\w+'\)")

_NOW = datetime.fromisoformat(AS_OF)

# Mutants that mean the same as the original, each with the reason.
EQUIVALENT: dict[tuple[str, str], str] = {}


def mutants(text: str) -> Iterator[tuple[str, str]]:
    """Every mutant of a segment's conditions with a line that tells it apart."""
    match = re.search(r"\n(where|qualify)\b", text)
    start = match.start() if match else len(text)
    head, body = text[:start], text[start:]
    for old, news in _SWAPS.items():
        for match in re.finditer(re.escape(old), body):
            for new in news:
                yield _mutant(head, body, match, new)
    for match in _CLAUSE.finditer(body):
        yield _mutant(head, body, match, "")
    for match in _LAST_VALUE.finditer(body):
        yield _mutant(head, body, match, ")")
    for match in _NUMBER.finditer(body):
        yield _mutant(head, body, match, f"({match[0]} + 1)")


def _mutant(head: str, body: str, match: re.Match[str], new: str) -> tuple[str, str]:
    line = body.count("\n", 0, match.start() + 1)
    text = head + body[: match.start()] + new + body[match.end() :]
    return f"line {line} of where: `{match[0].strip()}` → `{new.strip()}`", text


def survivors(graph: Graph, session: Session, name: str) -> tuple[int, list[str]]:
    """How many mutants of a segment there are, and those that its unit tests let pass."""
    segment = graph.segments[name]
    tests = [t for t in graph.project.unit_tests if t.model == name]
    count, alive = 0, []

    def describe(relation: Relation) -> list[Column]:
        return session.columns(f"select * from {relation}")

    for count, (label, text) in enumerate(mutants(segment.model.text), 1):
        fields = {f: getattr(segment.model, f) for f in segment.model.__struct_fields__}
        file = Path(f"{segment.model.file}#{count}")
        mutant = type(segment.model)(**{**fields, "text": text, "file": file})
        graph.models[segment.id] = replace(segment, model=mutant)
        results = [unit_test_result(session, graph, test, _NOW, describe) for test in tests]
        graph.models[segment.id] = segment
        if all(result.status == "pass" for result in results):
            alive.append(label)
    return count, alive


def test_no_bent_clause_of_a_segment_survives_its_unit_tests(starter: Project) -> None:
    project = load(starter.root)
    graph = build_graph(project)
    compile_graph(graph)
    total, alive = 0, []
    with published(open_engine(project)) as session:
        for name in graph.segments:
            count, labels = survivors(graph, session, name)
            total += count
            alive += [f"{name}, {label}" for label in labels if (name, label) not in EQUIVALENT]
    print(f"{total} mutants, {len(alive)} survive")  # noqa: T201 - shown with -s
    assert total >= 60
    if alive:
        pytest.fail("\n".join(alive))


@pytest.mark.parametrize("now", ["2020-01-01 00:00:00", "2040-01-01 12:00:00"])
def test_the_starters_unit_tests_hold_at_any_moment(starter: Project, now: str) -> None:
    project = load(starter.root)
    graph = build_graph(project)
    compile_graph(graph)
    moment = datetime.fromisoformat(now)
    with published(open_engine(project)) as session:

        def describe(relation: Relation) -> list[Column]:
            return session.columns(f"select * from {relation}")

        results = [
            unit_test_result(session, graph, test, moment, describe) for test in project.unit_tests
        ]
    assert len(results) > 100
    assert [result.message for result in results if result.status != "pass"] == []
