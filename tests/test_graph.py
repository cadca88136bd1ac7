"""Every node knows what it reads, by whatever way its file says so."""

import duckdb
import pytest

from segflow.compile.compiler import Compilation, compile_graph, known_columns
from segflow.compile.connecting import build_graph
from segflow.compile.graph import Graph, Reference, reference
from segflow.compile.relations import TYPES, Relation, quoted
from segflow.project.load import load
from tests.conftest import SEGFLOW_YML, MakeProject, Project

FILES = {
    "seeds/raw.csv": "contact_id,email,stage\na,b,trial\n",
    "seeds/kinds.csv": "kind\ntrial\n",
    "models/sources.yml": "sources: [{name: crm, tables: [{name: people}]}]",
    "models/contacts.sql": "select contact_id, email, stage from {{ ref('raw') }}",
    "models/light.sql": "{{ config(materialized='ephemeral') }}\n"
    "select contact_id as person from {{ ref('demo', 'contacts') }};\n",
    "models/lighter.sql": "{{ config(materialized='ephemeral') }}\n"
    "select * from {{ ref('light') }} as light",
    "models/by_macro.sql": "select * from {{ people('contacts') }} cross join {{ ref('lighter') }}"
    " as lighter",
    "models/if_incremental.sql": "{{ config(materialized='incremental') }}"
    "select 1 as x {% if is_incremental() %} from {{ this }} {% endif %}",
    "macros/people.sql": "{% macro people(name) %}{{ ref(name) }}{% endmacro %}",
    "macros/tests.sql": """\
{% test above(model, column_name, than, of) %}
select * from {{ model }} where {{ column_name }} <= {{ than }}
    and exists (select 1 from {{ of }})
{% endtest %}
""",
    "models/contacts.yml": """\
models:
  - name: contacts
    columns:
      - name: contact_id
        data_tests:
          - relationships:
              {name: points_at_raw, arguments: {to: ref('raw'), field: contact_id}}
          - above:
              than: "{{ var('limit', 5) }}"
              of: source('crm', 'people')
              config: {where: "email != '{{ target.name }}'", severity: warn, tags: [slow]}
              name: is_above
unit_tests:
  - name: keeps
    model: in_trial
    given: [{input: "ref('contacts')", rows: [{contact_id: a}]}]
    expect: {rows: []}
""",
    "tests/singular.sql": "{{ config(severity='warn', tags=['x'], error_if='> 3') }}\n"
    "select * from {{ ref('contacts') }} where stage not in (select kind from {{ ref('kinds') }})",
    "tests/off.sql": "{{ config(enabled=false) }}select nonsense",
    "models/segments/in_trial.sql": "select contact_id from {{ ref('contacts') }}"
    " where stage = 'trial'",
    "models/tools.yml": """\
channels: [{name: email, address: email, suppress: [in_trial]}]
purposes: [{name: marketing}]
goals: [{name: surprise}]
personas: [{name: nancy, segment: in_trial}]
audiences:
  - {name: trials, goal: surprise, segments: [in_trial], channel: email, destination: files,
     key: contact_id, fields: {id: contact_id}}
""",
}


@pytest.fixture
def graph(project: MakeProject) -> Graph:
    return build_graph(load(project(FILES).root))


def compiled(made: Project) -> tuple[Graph, Compilation]:
    graph = build_graph(load(made.root))
    return graph, compile_graph(graph)


@pytest.mark.parametrize(
    ("node", "reads"),
    [
        ("seed.demo.raw", ""),
        ("model.demo.contacts", "seed.demo.raw"),
        ("model.demo.light", "model.demo.contacts"),
        ("model.demo.by_macro", "model.demo.contacts model.demo.lighter"),
        ("model.demo.if_incremental", ""),
        ("model.demo.in_trial", "model.demo.contacts"),
        ("test.demo.points_at_raw", "model.demo.contacts seed.demo.raw"),
        ("test.demo.is_above", "model.demo.contacts source.demo.crm.people"),
        ("test.demo.singular", "model.demo.contacts seed.demo.kinds"),
        ("unit_test.demo.keeps", "model.demo.in_trial"),
        ("persona.demo.nancy", "model.demo.in_trial"),
        ("channel.demo.email", "model.demo.contacts model.demo.in_trial"),
        (
            "audience.demo.trials",
            "channel.demo.email model.demo.contacts model.demo.in_trial purpose.demo.marketing",
        ),
        ("destination.demo.files", "audience.demo.trials"),
    ],
)
def test_what_a_node_reads(node: str, reads: str, graph: Graph) -> None:
    assert " ".join(sorted(graph.parents[node])) == reads


def test_the_order_has_every_node_after_what_it_reads(graph: Graph) -> None:
    place = {node: index for index, node in enumerate(graph.order)}
    assert place.keys() == graph.nodes.keys()
    for node, parents in graph.parents.items():
        assert all(place[parent] < place[node] for parent in parents)
        assert all(node in graph.children[parent] for parent in parents)
        assert graph.ancestors(node) >= set(parents)
    assert graph.order == build_graph(load(graph.project.root)).order


def test_ephemeral_models_stand_inside_of_what_reads_them(project: MakeProject) -> None:
    made = project(FILES)
    graph, compilation = compiled(made)
    assert compilation.models["model.demo.by_macro"].sql == (
        "select * from lifecycle.contacts cross join (\n"
        "select * from (\nselect contact_id as person from lifecycle.contacts\n) as light\n"
        ") as lighter"
    )
    assert known_columns(graph, compilation)["model.demo.by_macro"] == (
        "contact_id",
        "email",
        "stage",
        "person",
    )
    assert "model.demo.light" in graph.ancestors("model.demo.by_macro")


def test_tests_say_more_of_themselves_in_their_file_and_in_yaml(project: MakeProject) -> None:
    graph, compilation = compiled(project(FILES))
    tests = {test.name: test for test in graph.project.data_tests}
    singular, above = tests["singular"], tests["is_above"]
    assert (singular.config.severity, singular.config.error_if) == ("warn", "> 3")
    assert singular.tags == ("x",)
    assert graph.nodes[singular.id] is singular
    assert (above.config.severity, above.tags) == ("warn", ("slow",))
    assert "off" not in tests
    assert compilation.tests[above.id].split() == [
        "select",
        "*",
        "from",
        "(select",
        "*",
        "from",
        "lifecycle.contacts",
        "where",
        "email",
        "!=",
        "'dev')",
        "where",
        "contact_id",
        "<=",
        "5",
        "and",
        "exists",
        "(select",
        "1",
        "from",
        "crm.people)",
    ]


def test_a_description_of_a_column_that_is_not_there_is_warned_of(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = (
        "models: [{name: strict, config: {contract: {enforced: true}}, columns: [{name: x}]}]"
    )
    made = project(
        {
            "models/one.sql": "select 1 as email",
            "models/one.yml": "models:\n  - name: one\n    columns:\n      - name: emial\n",
            "models/strict.sql": "select 1 as y",
            "models/strict.yml": contract,
        }
    )
    monkeypatch.chdir(made.root)
    _, compilation = compiled(made)
    assert compilation.warnings == [
        "models/one.yml:4: `one` has no column `emial`, which is described here"
        " (did you mean `email`?)"
    ]


def test_ties_are_warned_of_at_the_line_of_the_model(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project(
        {
            "models/one.sql": "select\n\n    {{ newest('x') }} as x\nfrom (values (1)) as t (x)",
            "macros/newest.sql": "{% macro newest(c) %}\nmode({{ c }})\n{% endmacro %}",
        },
        SEGFLOW_YML,
    )
    monkeypatch.chdir(made.root)
    _, compilation = compiled(made)
    assert compilation.warnings == [
        "macros/newest.sql:2: `mode` picks one of several rows in no fixed order"
        " (called from models/one.sql:3) (order by a unique column last)"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ref('a')", Reference("ref", None, "a")),
        (' ref( "p" , "a" ) ', Reference("ref", "p", "a")),
        ("{{ ref('a') }}", Reference("ref", None, "a")),
        ("source('s', 't')", Reference("source", "s", "t")),
        ("source('s')", None),
        ("reference('a')", None),
        ("ref('a') or 1", None),
        ("this", None),
        (3, None),
    ],
)
def test_a_reference_in_yaml(text: object, expected: Reference | None) -> None:
    assert reference(text) == expected


def test_names_are_quoted_where_duckdb_needs_it() -> None:
    with duckdb.connect() as connection:
        found = connection.execute("select keyword_name from duckdb_keywords()").fetchall()
        words = {word for (word,) in found} | {"user", "current_date", "Ä b", 'a"b', "1a"}
        for word in words:
            name = quoted(word)
            sql = f"select {name}, t.{name} from (select 42 as {name}) as t order by {name}"
            assert connection.execute(sql).fetchall() == [(42, 42)], word
    assert quoted("contact_id") == "contact_id"
    assert str(Relation("main", "order")) == 'main."order"'


def test_segments_need_a_table_of_contacts(project: MakeProject) -> None:
    made = project({"models/segments/everybody.sql": "select 'a' as contact_id"})
    outcome = made.segflow("run")
    assert outcome.code == 2
    assert "everybody.sql:1: the segment `everybody` needs a model `contacts`" in outcome.err
    assert "hint: add models/contacts.sql" in outcome.err


def test_a_type_of_ones_own_is_left_to_the_engine(project: MakeProject) -> None:
    seed = "seeds: [{name: raw, config: {column_types: {a: mood, b: 'decimal(9, 2)'}}}]"
    made = project({"seeds/raw.csv": "a,b\n1,2\n", "seeds/raw.yml": seed})
    assert made.segflow("compile").code == 0


def test_every_type_of_the_engine_is_known() -> None:
    rows = duckdb.execute("select distinct lower(type_name) from duckdb_types()").fetchall()
    assert {name.partition(" ")[0] for (name,) in rows} <= set(TYPES.split("|"))
