"""A small project with every part of the line: a late-able source, segments, consent, audiences."""

import json
from typing import Any

from tests.conftest import SEGFLOW_YML, MakeProject, Project

# Who is active is read from a file that must not be older than two days.
LINE = {
    "data/events.csv": "contact_id,seen_at\na,2026-06-30 20:00:00\nb,2026-06-30 21:00:00\n",
    "seeds/people.csv": (
        "contact_id,email,stage,is_reachable\n"
        "a,a@x.example,trial,true\nb,b@x.example,active,true\nc,c@x.example,trial,true\n"
        "d,,trial,true\ne,e@x.example,trial,false\n"
    ),
    "seeds/agreed.csv": (
        "contact_id,channel,purpose,is_granted\n"
        "a,email,marketing,true\nb,email,marketing,true\nc,email,marketing,false\n"
        "d,email,marketing,true\ne,email,marketing,true\n"
    ),
    "seeds/types.yml": """
seeds:
  - {name: people, config: {column_types: {contact_id: VARCHAR, email: VARCHAR}}}
  - {name: agreed, config: {column_types: {contact_id: VARCHAR}}}
""",
    "models/sources.yml": """
sources:
  - name: files
    tables:
      - name: events
        config:
          external_location: data/events.csv
          loaded_at_field: seen_at
          freshness: {error_after: {count: 2, period: day}}
""",
    "models/contacts.sql": "select * from {{ ref('people') }}",
    "models/consents.sql": "select * from {{ ref('agreed') }}",
    "models/activity.sql": (
        "select contact_id, max(seen_at) as last_seen_at from {{ source('files', 'events') }}"
        " where seen_at <= {{ as_of() }} group by contact_id"
    ),
    "models/segments/in_trial.sql": (
        "select contact_id, stage as because from {{ ref('contacts') }} where stage = 'trial'"
    ),
    "models/segments/lately_active.sql": (
        "select contact_id, last_seen_at from {{ ref('activity') }}"
        " where last_seen_at > {{ as_of() }} - interval 1 day"
    ),
    "models/segments/unreachable.sql": (
        "select contact_id from {{ ref('contacts') }} where not is_reachable"
    ),
    "models/audiences.yml": """
personas: [{name: nancy, segment: in_trial}]
channels:
  - {name: email, address: email, reachable: is_reachable, suppress: [unreachable]}
  - {name: desk, address: contact_id, consent: none}
purposes: [{name: service, basis: contract}, {name: marketing}]
audiences:
  - {name: trial_mail, segments: [in_trial], channel: email, destination: files, key: email,
     fields: {BECAUSE: because}}
  - {name: active_calls, segments: [lately_active], channel: desk, destination: files,
     key: contact_id, purpose: service, fields: {seen: last_seen_at, mail: email}}
  - {name: everyone, user_types: all, channel: desk, destination: files, key: contact_id,
     purpose: service, fields: {stage: stage, persona: persona, segments: segments}}
""",
}
NEXT_DAY = "2026-07-02 02:00:00"
LATER = "2026-07-04 02:00:00"


def line(project: MakeProject, segflow_yml: str = SEGFLOW_YML) -> Project:
    return project(LINE, segflow_yml)


def members(made: Project) -> dict[str, list[str]]:
    """The contacts of each segment, those of segments without any left out."""
    return dict(
        made.rows(
            "select segment, list(contact_id order by contact_id) from segments.memberships"
            " group by segment order by segment"
        )
    )


def manifest(made: Project, destination: str = "files") -> dict[str, dict[str, Any]]:
    path = made.root / "exports" / destination / "manifest.json"
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return found


def file(made: Project, audience: str) -> str:
    return (made.root / "exports" / "files" / f"{audience}.csv").read_text()


def states(made: Project) -> dict[str, tuple[str, int | None, str]]:
    """State, run and reason of every relation."""
    return {
        name.rpartition(".")[2]: (state, run, reason)
        for name, state, run, reason in made.rows(
            "select relation, state, run, reason from segments.status"
        )
    }
