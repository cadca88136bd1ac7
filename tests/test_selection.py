"""`--select` and `--exclude`: what each method finds, and the laws that hold for any words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segflow.compile.connecting import build_graph
from segflow.compile.graph import Graph
from segflow.compile.selection import select, select_with_tests
from segflow.errors import ProjectError
from segflow.project.load import load
from tests.conftest import Project

FILES = {
    "segflow.yml": """\
name: demo
packages: [{local: lib}]
models:
  lib: {+schema: lib}
  demo:
    staging: {+tags: [nightly], +materialized: view, +schema: staging}
    marts: {+materialized: table, +schema: marts}
    segments: {+materialized: segment, +schema: segments, +tags: hourly}
seeds: {+schema: seeds}
destinations:
  - {name: crm_files, type: file}
  - {name: ads_files, type: file}
targets: {dev: {}}
""",
    "seeds/raw_people.csv": "contact_id,email\na,b\n",
    "seeds/raw_carts.csv": "contact_id,total\na,1\n",
    "models/sources.yml": """\
sources:
  - {name: shop, tables: [{name: orders, tags: [late]}, {name: items}]}
  - {name: web, tables: [{name: visits}]}
""",
    "models/staging/stg_people.sql": "select * from {{ ref('raw_people') }}",
    "models/staging/stg_carts.sql": "select * from {{ ref('raw_carts') }}",
    "models/staging/stg_orders.sql": "select 1 as contact_id from {{ source('shop', 'orders') }}",
    "models/marts/contacts.sql": "select contact_id, email from {{ ref('stg_people') }}",
    "models/marts/spending.sql": """\
{{ config(materialized='incremental', meta={'owner': 'ann'}) }}
select contact_id, total from {{ ref('stg_carts') }} cross join {{ ref('stg_orders') }} as orders
cross join {{ source('web', 'visits') }} as visits
""",
    "models/segments/has_cart.sql": """\
select contacts.contact_id
from {{ ref('contacts') }} as contacts
semi join {{ ref('spending') }} as spending using (contact_id)
""",
    "models/segments/everybody.sql": "select contact_id from {{ ref('contacts') }}",
    "models/marts/contacts.yml": """\
models:
  - name: contacts
    columns:
      - {name: contact_id, data_tests: [unique, {not_null: {config: {tags: [fast]}}}]}
unit_tests:
  - {name: keeps_all, model: everybody, given: [{input: ref('contacts')}], expect: {rows: []}}
""",
    "models/tools.yml": """\
channels: [{name: email, address: email}]
purposes: [{name: marketing}]
personas: [{name: nancy, segment: has_cart}]
audiences:
  - {name: carts, segments: [has_cart], channel: email, destination: crm_files, key: contact_id,
     fields: {id: contact_id}}
  - {name: all_people, segments: [everybody], channel: email, destination: ads_files,
     key: contact_id, fields: {id: contact_id}}
""",
    "lib/segflow.yml": "name: lib\n",
    "lib/models/staging/lib_days.sql": "select 1 as day",
}


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    made = Project(tmp_path_factory.mktemp("selection"))
    made.write(FILES)
    return build_graph(load(made.root))


def names(graph: Graph, *words: str, exclude: tuple[str, ...] = ()) -> str:
    """The names of what is selected, in order."""
    found = select(graph, words, exclude)
    return " ".join(sorted(graph.nodes[node].name for node in found))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("contacts", "contacts"),
        ("demo.marts.contacts", "contacts"),
        ("marts.contacts", "contacts"),
        ("stg_*", "stg_carts stg_orders stg_people"),
        ("stg_[cp]*", "stg_carts stg_people"),
        ("demo.staging.*", "stg_carts stg_orders stg_people"),
        ("staging", "lib_days stg_carts stg_orders stg_people"),
        ("demo.staging", "stg_carts stg_orders stg_people"),
        ("tag:hourly", "everybody has_cart"),
        ("tag:night*", "stg_carts stg_orders stg_people"),
        ("tag:late", "shop.orders"),
        ("tag:fast", "not_null_contacts_contact_id"),
        ("path:models/segments", "everybody has_cart"),
        ("path:models/segments/", "everybody has_cart"),
        ("path:./models/marts/spending.sql", "spending"),
        ("path:models/*/stg_o*.sql", "stg_orders"),
        ("source:shop", "shop.items shop.orders"),
        ("source:shop.orders", "shop.orders"),
        ("source:demo.shop.orders", "shop.orders"),
        ("source:*.visits", "web.visits"),
        ("segment:has_cart", "has_cart"),
        ("segment:*", "everybody has_cart"),
        ("audience:carts", "carts"),
        ("destination:crm_files", "crm_files"),
        ("persona:nancy", "nancy"),
        ("channel:email", "email"),
        ("package:lib", "lib_days"),
        ("config.materialized:view", "lib_days stg_carts stg_orders stg_people"),
        ("config.materialized:segment", "everybody has_cart"),
        ("config.schema:marts", "contacts spending"),
        ("config.meta.owner:ann", "spending"),
        ("config.tags:hourly", "everybody has_cart"),
        ("config.severity:error", "not_null_contacts_contact_id unique_contacts_contact_id"),
        ("resource_type:seed", "raw_carts raw_people"),
        ("resource_type:segment", "everybody has_cart"),
        ("unit_test:keeps_all", "keeps_all"),
        ("test:unique*", "unique_contacts_contact_id"),
        ("+contacts", "contacts raw_people stg_people"),
        ("1+contacts", "contacts stg_people"),
        ("+carts", "carts contacts email has_cart marketing raw_carts raw_people shop.orders"
         " spending stg_carts stg_orders stg_people web.visits"),
        ("stg_carts+", "carts crm_files has_cart nancy spending stg_carts"),
        ("stg_carts+1", "spending stg_carts"),
        ("1+spending+1", "has_cart spending stg_carts stg_orders web.visits"),
        ("source:web+", "carts crm_files has_cart nancy spending web.visits"),
        ("+destination:ads_files,resource_type:segment", "everybody"),
        ("tag:hourly,config.materialized:segment,everybody", "everybody"),
        ("contacts spending", "contacts spending"),
        ("stg_carts+,segment:* contacts", "contacts has_cart"),
    ],
)  # fmt: skip
def test_what_words_mean(words: str, expected: str, graph: Graph) -> None:
    assert names(graph, words) == expected


@pytest.mark.parametrize(
    ("chosen", "excluded", "expected"),
    [
        ((), ("source:* tag:* package:lib",), None),
        (("+contacts",), ("raw_people",), "contacts stg_people"),
        (("tag:nightly",), ("stg_carts+",), "stg_orders stg_people"),
        (("staging",), ("package:lib", "stg_carts"), "stg_orders stg_people"),
    ],
)
def test_exclude_takes_away(
    chosen: tuple[str, ...], excluded: tuple[str, ...], expected: str | None, graph: Graph
) -> None:
    found = select(graph, chosen, excluded)
    whole = select(graph, chosen) if chosen else set(graph.nodes)
    assert found == whole - select(graph, excluded)
    if expected is not None:
        assert names(graph, *chosen, exclude=excluded) == expected


def test_what_is_excluded_need_not_be_there(graph: Graph) -> None:
    assert select(graph, ["contacts"], ["tag:slow", "package:none"]) == select(graph, ["contacts"])
    for misspelt, near in (("contcts", "did you mean `contacts`"), ("tga:x", "did you mean `tag`")):
        with pytest.raises(ProjectError) as error:
            select(graph, [], [misspelt])
        assert near in str(error.value)


@pytest.mark.parametrize(
    ("chosen", "excluded", "tests"),
    [
        ("contacts", (), {"unique_contacts_contact_id", "not_null_contacts_contact_id"}),
        ("contacts", ("test:unique*",), {"not_null_contacts_contact_id"}),
        ("contacts everybody", ("contacts",), {"keeps_all"}),
        ("test:unique*", (), {"unique_contacts_contact_id"}),
        ("stg_people", (), set()),
    ],
)
def test_tests_go_with_what_they_read(
    chosen: str, excluded: tuple[str, ...], tests: set[str], graph: Graph
) -> None:
    found = select_with_tests(graph, [chosen], excluded)
    kinds = ("test", "unit_test")
    assert {graph.nodes[n].name for n in found if graph.nodes[n].kind in kinds} == tests


@pytest.mark.parametrize("words", ["", " ", "+", "++", ",", "contacts,", "contacts contcts"])
def test_words_that_select_nothing(words: str, graph: Graph) -> None:
    with pytest.raises(ProjectError, match="selects nothing"):
        select(graph, [words])


# ── laws ──────────────────────────────────────────────────────────────────────────────────────

PLAIN = [
    *("contacts", "spending", "stg_*", "*_carts", "staging", "raw_people", "has_cart", "email"),
    *("tag:hourly", "tag:nightly", "path:models/marts", "source:shop", "source:web.visits"),
    *("segment:*", "audience:carts", "destination:crm_files", "config.materialized:view"),
    *("package:lib", "resource_type:seed", "persona:nancy", "unit_test:*", "test:unique*"),
]
UP = st.sampled_from(["", "+", "0+", "1+", "2+", "3+", "99+"])
DOWN = st.sampled_from(["", "+", "+0", "+1", "+2", "+3", "+99"])
WORDS = st.builds(lambda up, word, down: up + word + down, UP, st.sampled_from(PLAIN), DOWN)


def found_by(graph: Graph, *words: str) -> set[str]:
    try:
        return select(graph, words)
    except ProjectError:
        return set()


@given(words=st.lists(WORDS, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_words_apart_are_a_union(words: list[str], graph: Graph) -> None:
    union = set.union(*(select(graph, [word]) for word in words))
    assert select(graph, words) == select(graph, [" ".join(words)]) == union
    assert select(graph, [*reversed(words), words[0]]) == union


@given(words=st.lists(WORDS, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_words_with_a_comma_are_an_intersection(words: list[str], graph: Graph) -> None:
    common = set.intersection(*(select(graph, [word]) for word in words))
    assert found_by(graph, ",".join(words)) == common


@given(chosen=st.lists(WORDS, max_size=3), excluded=st.lists(WORDS, max_size=3))
@settings(max_examples=100, deadline=None)
def test_exclude_is_the_difference(chosen: list[str], excluded: list[str], graph: Graph) -> None:
    whole = select(graph, chosen) if chosen else set(graph.nodes)
    left = whole - (select(graph, excluded) if excluded else set())
    try:
        assert select(graph, chosen, excluded) == left
    except ProjectError:
        assert not left


@given(word=st.sampled_from(PLAIN), steps=st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_plus_walks_the_graph(word: str, steps: int, graph: Graph) -> None:
    start = select(graph, [word])
    up = set.union(start, *(graph.ancestors(node) for node in start))
    down = set.union(start, *(graph.descendants(node) for node in start))
    assert select(graph, [f"+{word}"]) == select(graph, [f"99+{word}"]) == up
    assert select(graph, [f"{word}+"]) == select(graph, [f"{word}+99"]) == down
    assert select(graph, [f"+{word}+"]) == up | down
    some, more = select(graph, [f"{steps}+{word}"]), select(graph, [f"{steps + 1}+{word}"])
    assert start <= some <= more <= up
    assert more == some | {parent for node in some for parent in graph.parents[node]}
    some, more = select(graph, [f"{word}+{steps}"]), select(graph, [f"{word}+{steps + 1}"])
    assert start <= some <= more <= down
    assert more == some | {child for node in some for child in graph.children[node]}


@given(word=st.sampled_from(PLAIN))
def test_no_steps_are_the_word_itself(word: str, graph: Graph) -> None:
    assert select(graph, [f"0+{word}+0"]) == select(graph, [word])
