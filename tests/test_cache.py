"""What is kept between commands is never stale, and never in the way."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segflow.compile.compiler import compile_graph
from segflow.compile.connecting import build_graph
from segflow.errors import ProjectError
from segflow.project.cache import Cache
from segflow.project.config import Environment
from segflow.project.load import load
from tests.conftest import MakeProject, Project

FILES = {
    "segflow.yml": """\
name: demo
vars: {days: 1, kinds: [a, b]}
packages: [{local: lib}]
models: {demo: {+schema: one, +materialized: table}}
targets: {dev: {}, other: {}}
""",
    "seeds/raw.csv": "id,kind\n1,a\n",
    "macros/first.sql": "{% macro limit_of(n) %}{{ n * var('days') }}{% endmacro %}",
    "models/top.sql": "select id, kind from {{ ref('raw') }} where id < {{ limit_of(9) }}",
    "models/mid.sql": "{{ config(materialized='ephemeral') }}select *, '{{ model.name }}' as m"
    " from {{ ref('top') }}",
    "models/low.sql": "select * from {{ ref('mid') }} where kind = '{{ env_var('KIND', 'none') }}'"
    "{% if env_var('KIND', '') == 'b' %} and id > {{ env_var('LEAST', '0') }}{% endif %}",
    "models/low.yml": "models: [{name: low, columns: [{name: id, data_tests: [unique, big]}]}]",
    "macros/tests.sql": "{% test big(model, column_name) %}select * from {{ model }}"
    " where {{ column_name }} > {{ limit_of(1) }}{{ env_var('LEAST', '') }}{% endtest %}",
    "tests/all.sql": "select * from {{ ref('low') }} where '{{ target.name }}' = 'x'",
    "lib/segflow.yml": "name: lib\nvars: {of_lib: 1}\n",
    "lib/macros/lib.sql": "{% macro of_lib() %}lib{% endmacro %}",
    "lib/models/theirs.sql": "select '{{ of_lib() }}' as x, '{{ lib.of_lib() }}' as y",
}

# Each replaces a text in a file by another, one way or back; some break the project for a while.
SWAPS = [
    ("segflow.yml", "days: 1", "days: 2"),
    ("segflow.yml", "[a, b]", "[c]"),
    ("segflow.yml", "+schema: one", "+schema: two"),
    ("segflow.yml", "+materialized: table", "+materialized: view"),
    ("segflow.yml", "name: demo", "name: demo2"),
    ("seeds/raw.csv", "id,kind", "id,sort"),
    ("seeds/raw.csv", "1,a", "1,a,b"),
    ("macros/first.sql", "n * var('days')", "n + var('days')"),
    ("macros/first.sql", "macro limit_of", "macro limit"),
    ("models/top.sql", "id, kind", "id, kind, id + 1 as next_id"),
    ("models/top.sql", "select id", "select now() as t, id"),
    ("models/top.sql", "{{ ref('raw') }}", "{{ ref('demo', 'raw') }}"),
    ("models/mid.sql", "'ephemeral'", "'view'"),
    ("models/mid.sql", "config(", "config(alias='middle', "),
    ("models/low.sql", "kind =", "knid ="),
    ("models/low.yml", "[unique, big]", "[unique, {big: {config: {where: id > 1}}}]"),
    ("models/low.yml", "data_tests: [unique, big]", "description: x"),
    ("macros/tests.sql", "limit_of(1)", "limit_of(2)"),
    ("tests/all.sql", "'x'", "'y'"),
    ("lib/macros/lib.sql", "lib{% end", "book{% end"),
    ("lib/segflow.yml", "of_lib: 1", "of_lib: 2"),
]


@dataclass
class World:
    """A project on disk, and what surrounds it."""

    root: Path
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    environment: dict[str, str] = field(default_factory=dict)
    target: str = "dev"
    variables: dict[str, Any] = field(default_factory=dict)

    def compiled(self, warm: bool) -> object:
        """All that compiling finds out, or what it complains of; cold, it leaves no trace."""
        file = self.root / "target" / "cache.msgpack"
        kept = file.read_bytes() if file.exists() else b""
        if not warm:
            file.unlink(missing_ok=True)
        try:
            project = load(self.root, self.target, self.variables, Environment(self.environment))
            graph = build_graph(project)
            made = compile_graph(graph)
        except ProjectError as error:
            return str(error)
        finally:
            if not warm and kept:
                file.write_bytes(kept)
        if warm:
            project.cache.save()
        facts = {node: model.facts for node, model in graph.models.items()}
        return made, facts, graph.relations, graph.parents, graph.order

    def change(self, step: tuple[str, Any]) -> None:
        kind, value = step
        if kind == "swap":
            path, one, other = value
            old, new = (other, one) if other in self.files[path] else (one, other)
            self.files[path] = self.files[path].replace(old, new)
        elif kind == "environment":
            name, found = value
            self.environment.pop(name, None)
            self.environment |= {name: found} if found is not None else {}
        elif kind == "add":
            self.files[value] = "{% macro of_lib() %}project{% endmacro %}"
        elif kind == "remove":
            self.files.pop(value, None)
        else:
            setattr(self, kind, value)

    def write(self) -> None:
        Project(self.root).write(self.files)
        for path in (self.root / "macros").glob("*.sql"):
            if f"macros/{path.name}" not in self.files:
                path.unlink()


STEPS = st.one_of(
    st.tuples(st.just("swap"), st.sampled_from(SWAPS)),
    st.tuples(
        st.just("environment"),
        st.tuples(st.sampled_from(["KIND", "LEAST"]), st.sampled_from([None, "", "a", "b", "3"])),
    ),
    st.tuples(st.just("target"), st.sampled_from(["dev", "other"])),
    st.tuples(st.just("variables"), st.sampled_from([{}, {"days": 5}, {"kinds": ["x"]}])),
    st.tuples(st.sampled_from(["add", "remove"]), st.just("macros/mine.sql")),
)


@given(steps=st.lists(STEPS, min_size=3, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_warm_cache_gives_what_a_cold_one_gives(
    steps: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World(tmp_path_factory.mktemp("cache"))
    world.write()
    assert not isinstance(world.compiled(warm=True), str)
    for step in steps:
        world.change(step)
        world.write()
        assert world.compiled(warm=True) == world.compiled(warm=False), step


@pytest.fixture
def demo(project: MakeProject) -> Project:
    return project(FILES, FILES["segflow.yml"])


def test_what_was_compiled_is_not_made_again(demo: Project) -> None:
    kept = demo.root / "target" / "cache.msgpack"
    assert demo.segflow("compile").code == 0
    before = kept.stat().st_mtime_ns
    assert demo.segflow("compile").code == 0
    assert kept.stat().st_mtime_ns == before

    def never() -> str:
        raise AssertionError("made again")

    cache = Cache(demo.root / "other.msgpack")
    cache.get(["a", 1], str, lambda: "value")
    cache.save()
    assert Cache(demo.root / "other.msgpack").get(["a", 1], str, never) == "value"


@pytest.mark.parametrize("position", [0, 8, 16, 17, 100, -1, -100])
def test_a_damaged_cache_is_no_cache(position: int, demo: Project) -> None:
    kept = demo.root / "target" / "cache.msgpack"
    expected = demo.segflow("compile", "--select", "low").out
    good = kept.read_bytes()
    raw = bytearray(good)
    raw[position] ^= 0xFF
    for damaged in (bytes(raw), good[:position], b"", b"\x00" * 50, good + b"x"):
        kept.write_bytes(damaged)
        assert demo.segflow("compile", "--select", "low").out == expected
        assert kept.read_bytes()[:16] == good[:16]


def test_what_is_not_started_leaves_the_cache_alone(demo: Project) -> None:
    kept, yml = demo.root / "target" / "cache.msgpack", demo.root / "segflow.yml"
    assert demo.segflow("compile").code == 0
    before, text = kept.read_bytes(), yml.read_text()
    unset = "targets: {dev: {path: \"{{ env_var('NOT_SET') }}\"}, other: {}}"
    yml.write_text(text.replace("targets: {dev: {}, other: {}}", unset))
    demo.write({"models/another.sql": "select 1 as n"})
    outcome = demo.segflow("run")
    assert (outcome.code, "NOT_SET" in outcome.err) == (2, True)
    assert kept.read_bytes() == before
    yml.write_text(text)
    assert demo.segflow("ls").code == 0
    assert kept.read_bytes() != before


def test_a_cache_that_cannot_be_written_is_left_out(demo: Project) -> None:
    (demo.root / "target" / "cache.msgpack").mkdir(parents=True)
    assert demo.segflow("compile").code == 0
    left = sorted(path.name for path in (demo.root / "target").iterdir())
    assert not [name for name in left if name.startswith("cache.msgpack.")]


def test_a_command_that_fails_keeps_nothing(demo: Project) -> None:
    demo.write({"models/bad.sql": "select nope from {{ ref('top') }}"})
    assert demo.segflow("compile").code == 2
    assert not (demo.root / "target").exists()
