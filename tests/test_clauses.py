"""A segment taken apart says the same as the segment itself, of every contact."""

from datetime import datetime

import pytest

from segflow.compile.definitions import Clause, Definition, Definitions
from segflow.compile.relations import at
from segflow.pipeline import compile_project
from segflow.project.config import Environment
from segflow.report import Options
from tests.conftest import SEGFLOW_YML, Project

AS_OF = datetime(2026, 7, 1, 2)


def definitions(project: Project) -> dict[str, Definition]:
    compiled = compile_project(Options("explain", AS_OF, project.root), Environment())
    definitions = Definitions(compiled.graph, compiled.compilation)
    return {name: definitions.of(name) for name in compiled.graph.segments}


def differing(project: Project, name: str, definition: Definition) -> int:
    """Contacts of whom the clauses together say something else than the membership."""
    conditions = " and ".join(["true", *(f"({clause.sql})" for clause in definition.clauses)])
    judged = f"select {definition.key} from {definition.source} where {conditions}"
    members = f"select contact_id from segments.memberships where segment = '{name}'"
    return len(
        project.rows(
            at(f"(({judged}) except ({members})) union all (({members}) except ({judged}))", AS_OF)
        )
    )


def test_the_clauses_of_every_segment_of_the_starter_give_its_members(starter: Project) -> None:
    found = definitions(starter)
    assert len(found) == 33
    assert [name for name, definition in found.items() if not definition.is_judged] == []
    assert {n: d for n in found if (d := differing(starter, n, found[n]))} == {}


CONTACTS = """
select * from (values
    ('1', 'trial', 5, true, 'DE', timestamp '2026-07-02'),
    ('2', 'trial', null, false, null, null),
    ('3', 'active', 12, null, 'FR', timestamp '2026-06-01'),
    ('4', 'active', 0, true, null, timestamp '2026-06-30'),
    ('5', null, 8, false, 'DE', null),
    ('6', 'churned', null, null, 'FR', timestamp '2026-07-05')
) as t (contact_id, stage, days, is_vip, country, ends_at)
"""
CARTS = """
select * from (values
    ('1', 'a', 10), ('1', 'b', 90), ('3', 'c', 40), ('4', 'd', null), (null, 'e', 99)
) as t (contact_id, cart_id, amount)
"""
# Definitions that can be taken apart, each with the texts of its clauses.
APART = {
    "conditions": (
        "select contact_id from {{ ref('contacts') }} where (days >= 8 or is_vip) and not stage = 'churned'",
        ["days >= 8 or is_vip", "not stage = 'churned'"],
    ),
    "negated": (
        "select contact_id from {{ ref('contacts') }} where not (days between 1 and 8 or country like 'D%')",
        ["not (days between 1 and 8 or country like 'D%')"],
    ),
    "through_ctes": (
        "with contacts as (select * from {{ ref('contacts') }}), trials as (select contact_id as id, days + 1 as more"
        " from contacts where stage = 'trial' or is_vip), many as (select id as contact_id, more from trials where more > 2)"
        " select contact_id from many where more < 20",
        ["stage = 'trial' or is_vip", "(days + 1) > 2", "(days + 1) < 20"],
    ),
    "joined": (
        "select carts.contact_id, carts.cart_id from {{ ref('contacts') }} as contacts inner join {{ ref('carts') }} as carts"
        " on contacts.contact_id = carts.contact_id where carts.amount > 20 and contacts.days > 4"
        " qualify row_number() over (partition by carts.contact_id order by carts.amount) = 1",
        ["a row in carts", "carts.amount > 20", "days > 4"],
    ),
    "from_elsewhere": (
        "select contact_id from {{ ref('carts') }} where amount < 95 group by contact_id",
        ["a row in carts", "carts.amount < 95"],
    ),
    "semi_joined": (
        "select contact_id from {{ ref('contacts') }} semi join {{ ref('carts') }} using (contact_id) where days > 1",
        ["in carts", "days > 1"],
    ),
    "anti_joined": (
        "select a.contact_id from {{ ref('contacts') }} as a anti join {{ ref('carts') }} as b on a.contact_id = b.contact_id",
        ["not in carts"],
    ),
    "left_joined": (
        "select contacts.contact_id from {{ ref('contacts') }} as contacts left join {{ ref('carts') }} as carts"
        " using (contact_id) where carts.cart_id is null or carts.amount is null",
        ["carts.cart_id is null or carts.amount is null"],
    ),
    "with_a_case": (
        "with staged as (select contact_id, case when is_vip then 'vip' when days > 10 then 'heavy' else 'other' end as kind"
        " from {{ ref('contacts') }}) select contact_id from staged where kind != 'other'",
        ["case when is_vip then 'vip' when days > 10 then 'heavy' else 'other' end != 'other'"],
    ),
    "of_a_segment": (
        "select contact_id from {{ ref('conditions') }} where contact_id not in (select contact_id from {{ ref('negated') }})",
        [
            "days >= 8 or is_vip",
            "not stage = 'churned'",
            "contact_id not in (select negated.contact_id as contact_id from segments.negated as negated)",
        ],
    ),
    "of_a_table": (
        "select contact_id from {{ ref('germans') }} where days > 5",
        ["country = 'DE'", "days > 5"],
    ),
    "everybody": ("select contact_id from {{ ref('contacts') }}", []),
    "in_capitals": (
        "WITH All_of_them AS (SELECT * FROM {{ ref('contacts') }}) SELECT Contact_ID FROM all_OF_them WHERE Stage = 'Trial' or DAYS > 7",
        ["stage = 'Trial' or days > 7"],
    ),
    "counted": (
        "with counts as (select contact_id, count(*) as n from {{ ref('carts') }} group by contact_id)"
        " select contacts.contact_id from {{ ref('contacts') }} as contacts inner join counts"
        " on contacts.contact_id = counts.contact_id where counts.n > 1",
        ["a row in counts", "counts.n > 1"],
    ),
    "shadowed": (
        "with contacts as (select * from {{ ref('contacts') }}), vips as (select contact_id, country from contacts where is_vip)"
        " select contact_id from vips where exists (select 1 from contacts where contacts.country is null)",
        [
            "is_vip",
            'exists(select 1 as "1" from lifecycle.contacts as contacts where country is null)',
        ],
    ),
    "captured": (
        "with contacts as (select * from {{ ref('contacts') }}), vips as (select contact_id as id, country from contacts where is_vip)"
        " select id as contact_id from vips where exists (select 1 from contacts where contacts.country = vips.country and contacts.contact_id = vips.id)",
        [
            "a row in vips",
            'exists(select 1 as "1" from lifecycle.contacts as contacts where contacts.country = vips.country and contacts.contact_id = vips.id)',
        ],
    ),
}
# Definitions that are one clause, and why.
WHOLE = {
    "listed": ("with Listed as (select * from {{ ref('contacts') }}) select contact_id, unnest(case when is_vip then [1] end) as n from listed", "a list decides how many rows it has"),
    "renamed": ("with ids (contact_id) as (select contact_id from {{ ref('contacts') }}) select contact_id from ids", "a CTE is read in a way that cannot be followed"),
    "united": ("select contact_id from {{ ref('contacts') }} where days > 5 union select contact_id from {{ ref('contacts') }} where is_vip", "it is a set operation"),
    "ranked": ("select contact_id from {{ ref('contacts') }} qualify row_number() over (partition by stage order by contact_id) = 1", "a window function picks its rows"),
    "having": ("select contact_id from {{ ref('contacts') }} group by contact_id having count(*) = 1", "it asks about groups of rows"),
    "limited": ("select contact_id from {{ ref('contacts') }} order by contact_id limit 2", "it has limit"),
    "from_the_right": ("select germans.contact_id from {{ ref('germans') }} as germans right join {{ ref('carts') }} as carts on germans.contact_id = carts.contact_id and carts.amount > 20 where germans.contact_id is not null", "it has a right join"),
    "made_up": ("select 'x' || contact_id as contact_id from {{ ref('contacts') }}", "its contact_id is not that of contacts"),
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("clauses"))
    segments = {name: sql for name, (sql, _) in [*APART.items(), *WHOLE.items()]}
    made.write(
        {
            "segflow.yml": SEGFLOW_YML,
            "models/contacts.sql": CONTACTS,
            "models/carts.sql": CARTS,
            "models/germans.sql": "select * from {{ ref('contacts') }} where country = 'DE'",
            **{f"models/segments/{name}.sql": sql for name, sql in segments.items()},
        }
    )
    made.run("--quiet")
    return made


def test_a_definition_comes_apart_into_what_it_asks(small: Project) -> None:
    found = definitions(small)
    for name, (_, texts) in APART.items():
        assert [clause.text for clause in found[name].clauses] == texts, name
        assert found[name].is_judged
        assert differing(small, name, found[name]) == 0, name
        sizes = small.rows(f"select members from segments.sizes where segment = '{name}'")
        assert 0 < sizes[0][0] < 6 + (not texts), name


def test_what_cannot_be_judged_alone_says_why(small: Project) -> None:
    found = definitions(small)
    for name, (_, why) in WHOLE.items():
        assert [clause.why for clause in found[name].clauses] == [why], name
        if name != "made_up":
            assert differing(small, name, found[name]) == 0, name


def test_negation_reaches_the_single_tests(small: Project) -> None:
    (clause,) = definitions(small)["negated"].clauses

    def shape(clause: Clause) -> object:
        return [clause.kind, *map(shape, clause.parts)] if clause.parts else clause.operator

    assert shape(clause) == ["and", "not between", "not like"]
    case = definitions(small)["with_a_case"].clauses[0]
    assert [(arm.result, arm.condition.text) for arm in case.arms] == [
        ("'vip'", "is_vip"),
        ("'heavy'", "days > 10"),
        ("'other'", "none of those before it"),
    ]
