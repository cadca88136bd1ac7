"""The main line: seeds to files, in a project of a few lines."""

from tests.conftest import MakeProject

CONTACTS = {
    "seeds/raw.csv": "contact_id,email,stage\na,a@x.example,trial\nb,,trial\nc,c@x.example,active",
    "models/contacts.sql": "select * from {{ ref('raw') }}",
    "models/segments/in_trial.sql": (
        "select contact_id from {{ ref('contacts') }} where stage = 'trial'"
    ),
}


def test_a_run_publishes_tables_and_memberships(project: MakeProject) -> None:
    made = project(CONTACTS)
    made.run()
    assert made.rows("select contact_id from segments.memberships order by all") == [("a",), ("b",)]
    assert made.rows("select stage, segments from segments.user_types where contact_id = 'a'") == [
        ("trial", ["in_trial"])
    ]
