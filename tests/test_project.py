"""What a project is read from: folders and their config, packages, sources in tables and in files."""

import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segflow.compile.relations import Relation
from segflow.engines.base import EngineError
from segflow.engines.duckdb import DuckDB, DuckDBSettings
from segflow.errors import ProjectError
from segflow.project.cache import Cache
from segflow.project.files import read_header
from segflow.project.load import load
from tests.conftest import AS_OF, MakeProject, Project

TARGETS = f"targets: {{dev: {{path: warehouse/demo.duckdb, as_of: {AS_OF}}}}}\n"


def relations(made: Project) -> dict[str, str]:
    """Where every model and seed will be, by name, as the manifest says."""
    assert made.segflow("compile").code == 0
    manifest = json.loads((made.root / "target" / "manifest.json").read_text())
    return {
        node["name"]: node["relation_name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] != "test"
    }


# ── folders ───────────────────────────────────────────────────────────────────────────────────


def test_the_deepest_folder_has_the_last_word_but_for_tags_and_meta(project: MakeProject) -> None:
    made = project(
        {
            "models/a/one.sql": "select 1 as x",
            "models/a/b/two.sql": "{{ config(tags=['own'], meta={'c': 4}) }}select 1 as x",
            "models/a/b/two.yml": "models: [{name: two, config: {tags: yaml}, meta: {b: 3}}]",
            "models/three.sql": "select 1 as x",
        },
        "name: demo\nmodels:\n  +schema: top\n  +tags: all\n  +meta: {a: 1}\n  demo:\n"
        "    a: {+schema: of_a, +tags: [a], b: {+meta: {a: 2, b: 2}, two: {+alias: second}}}\n"
        + TARGETS,
    )
    assert relations(made) == {"one": "of_a.one", "two": "of_a.second", "three": "top.three"}
    two = next(model for model in load(made.root).models if model.name == "two")
    assert two.config["tags"] == ["all", "a", "yaml"]
    listed = made.segflow("ls", "--select", "two", "--output", "json").json["results"]["nodes"]
    assert listed[0]["tags"] == ["all", "a", "yaml", "own"]
    assert (
        made.segflow("ls", "--select", "config.meta.a:2,config.meta.b:3,config.meta.c:4").code == 0
    )


def test_an_entry_that_is_misspelt_is_warned_of(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project(
        {"models/staging/one.sql": "select 1 as x"},
        "name: demo\nmodels:\n  demo:\n    stagin: {+schema: x}\n    later: {+schema: y}\n"
        + TARGETS,
    )
    monkeypatch.chdir(made.root)
    outcome = made.segflow("compile")
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert (
        "segflow.yml:4: `stagin` is no folder and no name of models (did you mean `staging`?)"
        in said
    )
    assert "later" not in said


def test_folder_config_may_come_from_vars_and_the_environment(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA", "from_env")
    made = project(
        {"models/one.sql": "select 1 as x", "models/two.sql": "select 1 as x"},
        "name: demo\nvars: {use_two: false}\nmodels:\n  demo:\n"
        "    +schema: \"{{ env_var('SCHEMA') }}\"\n"
        "    two: {+enabled: \"{{ var('use_two') }}\"}\n" + TARGETS,
    )
    assert relations(made) == {"one": "from_env.one"}
    assert "model:two" in made.segflow("ls", "--vars", "{use_two: true}").out.split()


def test_files_are_found_where_the_paths_say(project: MakeProject) -> None:
    made = project(
        {
            "sql/one.sql": "select 1 as x",
            "sql/.hidden.sql": "nonsense",
            "sql/notes.txt": "nonsense",
            "more/deep/er/two.sql": "select {{ two() }} as x",
            "csv/seed.csv": "\ufeffx;y\n1;2\n",
            "csv/seed.yml": "seeds: [{name: seed, config: {delimiter: ;}}]",
            "jinja/two.sql": "{% macro two() %}2{% endmacro %}",
            "checks/one_is_one.sql": "select * from {{ ref('one') }} where x != 1",
            "checks/generic/odd.sql": "{% test odd(model) %}select * from {{ model }}{% endtest %}",
            "models/never.sql": "nonsense",
        },
        "name: demo\nmodel-paths: [sql, more/]\nseed-paths: [csv]\nmacro-paths: [jinja]\n"
        "test-paths: [checks]\n" + TARGETS,
    )
    made.run()
    assert made.rows("select x, y from main.seed") == [(1, 2)]
    assert made.rows("select x from main.two") == [(2,)]


# ── packages ──────────────────────────────────────────────────────────────────────────────────

STARTER = {
    "starter/segflow.yml": """\
name: starter
vars: {days: 30, of_starter: yes}
models:
  starter:
    +schema: lifecycle
    +materialized: table
    staging: {+schema: staging}
    segments: {+materialized: segment, +schema: segments}
seeds: {starter: {+schema: seeds}}
destinations: [{name: files, type: file}]
targets: {dev: {}}
""",
    "starter/seeds/raw.csv": "contact_id,email\nseed,x\n",
    "starter/seeds/raw.yml": "seeds: [{name: raw, columns: [{name: email, data_tests: [unique]}]}]",
    "starter/models/staging/stg_people.sql": "select contact_id, email from {{ ref('raw') }}",
    "starter/models/staging/stg_people.yml": """\
models:
  - {name: stg_people, columns: [{name: contact_id, data_tests: [unique]}]}
unit_tests:
  - name: of_staging
    model: stg_people
    given: [{input: ref('raw'), rows: [{contact_id: a}]}]
    expect: {rows: [{contact_id: a}]}
""",
    "starter/models/contacts.sql": """\
select contact_id, email, {{ var('days') }} as days, '{{ greet() }}' as greeting
from {{ ref('stg_people') }}
""",
    "starter/models/segments/everybody.sql": "select contact_id from {{ ref('contacts') }}",
    "starter/models/tools.yml": """\
channels: [{name: email, address: email}]
purposes: [{name: marketing}]
audiences:
  - {name: all_people, segments: [everybody], channel: email, destination: files,
     key: contact_id, fields: {id: contact_id}}
""",
    "starter/macros/greet.sql": "{% macro greet() %}hello{% endmacro %}",
    "starter/tests/nobody.sql": "select 1 as x where false",
}
MINE = """\
name: mine
packages: [{local: ../starter}]
vars: {days: 7}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Project:
    """A project that builds on another one and puts its own staging in the place of its."""
    made = Project(tmp_path / "mine")
    Project(tmp_path).write(STARTER)
    made.write(
        {
            "segflow.yml": MINE
            + "models:\n  mine: {+schema: staging}\n  starter: {staging: {+enabled: false}}\n"
            + "seeds: {starter: {+enabled: false}}\n"
            + TARGETS,
            "models/stg_people.sql": "select 'mine' as contact_id, 'm@x.example' as email",
        }
    )
    return made


def listed(made: Project, kind: str) -> list[str]:
    """The ids of all nodes of one kind."""
    found = made.segflow("ls", "--resource-type", kind, "--output", "json")
    return sorted(str(node["unique_id"]) for node in found.json["results"].get("nodes", []))


def test_a_project_puts_its_own_models_in_the_place_of_a_package_s(mine: Project) -> None:
    mine.run()
    assert mine.rows("from lifecycle.contacts") == [("mine", "m@x.example", 7, "hello")]
    assert mine.rows("select segment, contact_id from segments.memberships") == [
        ("everybody", "mine")
    ]
    assert listed(mine, "model") == [
        "model.mine.stg_people",
        "model.starter.contacts",
        "model.starter.everybody",
    ]
    # What belongs to a disabled model or seed goes with it.
    assert listed(mine, "test") == ["test.starter.nobody"]


def test_vars_and_macros_of_the_project_win(mine: Project) -> None:
    mine.write({"macros/greet.sql": "{% macro greet() %}{{ starter.greet() }} again{% endmacro %}"})
    mine.run("--vars", "{days: 1}")
    assert mine.rows("select days, greeting from lifecycle.contacts") == [(1, "hello again")]


@pytest.mark.parametrize(
    ("kind", "entry", "gone"),
    [
        ("audiences", "{starter: {+enabled: false}}", "audience.starter.all_people"),
        ("audiences", "{starter: {all_people: {+enabled: false}}}", "audience.starter.all_people"),
        ("unit_tests", "{starter: {+enabled: false}}", "unit_test.starter.of_staging"),
        (
            "unit_tests",
            "{starter: {staging: {of_staging: {+enabled: false}}}}",
            "unit_test.starter.of_staging",
        ),
        ("data_tests", "{starter: {nobody: {+enabled: false}}}", "test.starter.nobody"),
        (
            "data_tests",
            "{starter: {staging: {+enabled: false}}}",
            "test.starter.unique_stg_people_contact_id",
        ),
        ("seeds", "{starter: {raw: {+enabled: false}}}", "seed.starter.raw"),
    ],
)
def test_each_kind_of_a_package_s_nodes_can_be_switched_off(
    kind: str, entry: str, gone: str, mine: Project
) -> None:
    mine.write({"segflow.yml": MINE + TARGETS})
    (mine.root / "models" / "stg_people.sql").unlink()
    kinds = ("audience", "unit_test", "test", "seed", "model")
    before = [node for each in kinds for node in listed(mine, each)]
    mine.write({"segflow.yml": MINE + f"{kind}: {entry}\n" + TARGETS})
    if kind == "seeds":
        mine.write({"seeds/raw.csv": "contact_id,email\na,b\n"})
    project = load(mine.root)
    after = [node for each in kinds for node in listed(mine, each)]
    assert gone in before
    assert gone not in after
    assert set(before) - set(after) <= {gone, "test.starter.unique_raw_email"}
    assert project.packages[0].name == "mine"


def test_tests_of_a_package_can_be_made_milder(mine: Project) -> None:
    mine.write(
        {
            "segflow.yml": MINE + "data_tests: {starter: {+severity: warn}}\n" + TARGETS,
            "../starter/tests/nobody.sql": "select 1 as x",
            "../starter/seeds/raw.csv": "contact_id,email\na,same\nb,same\n",
        }
    )
    (mine.root / "models" / "stg_people.sql").unlink()
    outcome = mine.segflow("run", "--output", "json")
    assert outcome.code == 0, outcome.out


def test_a_package_that_two_others_need_is_read_once(project: MakeProject) -> None:
    package = "name: {0}\npackages: [{{local: ../base}}]\n"
    made = project(
        {
            "one/segflow.yml": package.format("one"),
            "two/segflow.yml": package.format("two"),
            "base/segflow.yml": "name: base\n",
            "base/models/base.sql": "select 1 as x",
            "one/models/of_one.sql": "select * from {{ ref('base') }}",
            "two/models/of_two.sql": "select * from {{ ref('base', 'base') }}",
        },
        "name: demo\npackages: [{local: one}, {local: two}]\n" + TARGETS,
    )
    names = [package.name for package in load(made.root).packages]
    assert names == ["demo", "one", "base", "two"]
    assert listed(made, "model") == ["model.base.base", "model.one.of_one", "model.two.of_two"]


# ── sources ───────────────────────────────────────────────────────────────────────────────────


def write_files(root: Path) -> None:
    """The same two rows as CSV, Parquet and JSON, and as two CSV files."""
    (root / "data" / "many").mkdir(parents=True)
    rows = "(values (1, 'a'), (2, 'b')) as t (id, name)"
    with duckdb.connect() as connection:
        for name, options in (
            ("rows.csv", ""),
            ("rows.parquet", ""),
            ("rows.json", "(array true)"),
            ("it's here.csv", ""),
        ):
            target = str(root / "data" / name).replace("'", "''")
            connection.execute(f"copy (from {rows}) to '{target}' {options}")
        for key in (1, 2):
            part = root / "data" / "many" / f"{key}.csv"
            connection.execute(f"copy (from {rows} where id = {key}) to '{part}'")


@pytest.mark.parametrize(
    "location",
    [
        "data/rows.csv",
        "data/rows.parquet",
        "data/rows.json",
        "data/many/*.csv",
        "data/it''s here.csv",
        "data/{name}.csv",
        "data/{identifier}.parquet",
        "{root}/data/rows.csv",
        "data/{{ var(\"file\") }}.csv",
        "{{ env_var(\"FOLDER\") }}/rows.parquet",
        "{{ env_var(\"NOWHERE\", \"data\") }}/rows.csv",
        "read_csv(\"{root}/data/rows.csv\", header = true, columns = {\"id\": \"int\", \"name\": \"text\"})",
        "read_parquet([\"{root}/data/rows.parquet\"])",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "where",
    [
        "tables: [{{name: people, identifier: rows, config: {{external_location: {0}}}}}]",
        "tables: [{{name: people, identifier: rows, meta: {{external_location: {0}}}}}]",
        "config: {{external_location: {0}}}, tables: [{{name: people, identifier: rows}}]",
        "config: {{meta: {{external_location: {0}}}}}, tables: [{{name: people, identifier: rows}}]",
    ],
    ids=["table config", "table meta", "source config", "source config.meta"],
)  # fmt: skip
def test_a_source_in_files(
    location: str, where: str, project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    if '"' in location and not location.startswith(("data", "{{")):
        location = location.replace('"', "''")
    quoted = "'" + location + "'"
    made = project(
        {
            "models/sources.yml": "sources: [{name: raw, " + where.format(quoted) + "}]",
            "models/people.sql": "select id, name from {{ source('raw', 'people') }}",
        },
        "name: demo\nvars: {file: rows}\nmodels: {+materialized: table}\n" + TARGETS,
    )
    write_files(made.root)
    monkeypatch.setenv("FOLDER", str(made.root / "data"))
    made.run()
    assert made.rows("select * from main.people order by id") == [(1, "a"), (2, "b")]


def test_addresses_stay_as_they_are(project: MakeProject) -> None:
    made = project(
        {
            "models/sources.yml": "sources: [{name: lake, config: {external_location: "
            "'s3://bucket/{name}.parquet'}, tables: [{name: orders}, {name: items, "
            "config: {external_location: 'https://x.example/items.csv'}}]}]",
        },
        "name: demo\n" + TARGETS,
    )
    found = {source.name: source.external_location for source in load(made.root).sources}
    assert found == {
        "lake.orders": "'s3://bucket/orders.parquet'",
        "lake.items": "'https://x.example/items.csv'",
    }


def test_a_source_in_tables_and_its_layers(project: MakeProject) -> None:
    made = project(
        {
            "models/shop/sources.yml": """\
sources:
  - name: shop
    schema: raw_shop
    loaded_at_field: loaded_at
    tags: [shop]
    freshness: {error_after: {count: 1, period: day}}
    tables:
      - {name: orders, identifier: orders_v2, tags: [orders]}
      - {name: items, freshness: null, config: {loaded_at_field: seen_at, tags: items}}
      - {name: old, config: {enabled: false}}
      - {name: older}
  - name: plain
    tables: [{name: t}]
""",
            "models/one.sql": "from {{ source('shop', 'orders') }}, {{ source('plain', 't') }}",
        },
        "name: demo\nsources: {demo: {shop: {+tags: all, shop: {older: {+enabled: false}}}}}\n"
        + TARGETS,
    )
    assert made.segflow("compile").code == 0
    sql = (made.root / "target/compiled/demo/models/one.sql").read_text()
    assert sql == "from raw_shop.orders_v2, plain.t\n"
    found = {source.name: source for source in load(made.root).sources}
    assert list(found) == ["shop.orders", "shop.items", "plain.t"]
    orders, items = found["shop.orders"], found["shop.items"]
    assert (orders.loaded_at_field, orders.tags) == ("loaded_at", ("all", "shop", "orders"))
    assert orders.freshness is not None
    assert (items.loaded_at_field, items.tags) == ("seen_at", ("all", "shop", "items"))
    assert items.freshness is None


# ── seeds ─────────────────────────────────────────────────────────────────────────────────────

CELLS = st.text("ab1 ,\"\n'#;", max_size=4)


@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=3), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_seed_that_passes_is_loaded_whole(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("seed")
    path = folder / "seed.csv"
    quoted = [[f'"{c.replace(chr(34), chr(34) * 2)}"' for c in row] for row in rows]
    path.write_text("a,b\n" + "\n".join(",".join(row) for row in quoted) + "\n", "utf-8")
    try:
        header, _ = read_header(path, ",", Cache(folder / "cache"))
    except ProjectError:
        assert any(len(row) != 2 for row in rows)
        return
    assert header == ("a", "b")
    engine = DuckDB(DuckDBSettings(path="x.duckdb"), folder, 1)
    engine.open_run()
    try:
        with engine.session() as session:
            session.load_csv("main.seed", path, {"a": "text", "b": "text"}, ",")
            count = session.rows(f"select count(*) from {Relation('main', 'seed')}")[0][0]
            assert count == len(rows)
    except EngineError:
        pytest.fail(path.read_text())
    finally:
        engine.discard_run()


def test_a_seed_is_looked_through_once(tmp_path: Path) -> None:
    path = tmp_path / "seed.csv"
    path.write_text("a,b\n" + "1,2\n" * 200_000)
    read_header(path, ",", first := Cache(tmp_path / "cache"))
    first.save()
    assert read_header(path, ",", Cache(tmp_path / "cache"))[0] == ("a", "b")
    path.write_text(path.read_text() + "1\n")
    with pytest.raises(ProjectError, match="the row has 1 cell, the header 2") as error:
        read_header(path, ",", Cache(tmp_path / "cache"))
    assert error.value.location is not None
    assert error.value.location.line == 200_002
