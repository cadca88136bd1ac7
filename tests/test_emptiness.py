"""Of a segment without members it is said why, and nothing where that is not certain."""

import pytest

from tests.conftest import MakeProject

CONTACTS = """
select * from (values ('c1', 1, null::int, 'a'), ('c2', 2, null, 'b'))
as t (contact_id, points, score, kind)
"""
FILES = {
    "models/contacts.sql": CONTACTS,
    "models/surveys.sql": "select 'c1' as contact_id, 1 as mark where false",
    "models/carts.sql": "select 'c1' as contact_id, 1 as amount",
}


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("where points > 5", ": true of nobody: points > 5"),
        ("where score >= 9 and kind = 'a'", ": nobody has score"),
        ("where points > 1 and kind = 'a'", ""),
        ("where points is null", ": true of nobody: points is null"),
        ("inner join {{ ref('surveys') }} using (contact_id)", ": surveys has no rows"),
        ("left join {{ ref('surveys') }} using (contact_id) where kind = 'c'", ": true of nobody: kind = 'c'"),
        (
            "where exists (select 1 from {{ ref('surveys') }} as s where s.contact_id = contacts.contact_id)",
            ": surveys has no rows",
        ),
        (
            "where not exists (select 1 from {{ ref('surveys') }} as s where s.contact_id = contacts.contact_id)"
            " and score is null and points = 3",
            ": true of nobody: points = 3",
        ),
        ("where kind = 'x' group by all having count(*) > 1", ""),
    ],
)  # fmt: skip
def test_why_nobody_is_in(project: MakeProject, rest: str, said: str) -> None:
    segment = "select contacts.contact_id from {{ ref('contacts') }} as contacts " + rest
    made = project({**FILES, "models/segments/nobody.sql": segment})
    out = made.run().out
    assert f"Nobody    in nobody{said}\n" in out
    assert f"Nobody    in nobody{said}\n" in made.segflow("debug").out
