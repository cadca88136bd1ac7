"""A small project that writes to people: who is in which segment is a seed, so tests can say it."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tests.conftest import SEGFLOW_YML, MakeProject, Project

PEOPLE = (
    "contact_id,account_id,email,first_name,time_zone,role,is_reachable\n"
    "ann,acme,ann@x.example,Ann,Europe/Berlin,owner,true\n"
    "ben,acme,ben@x.example,Ben,America/New_York,member,true\n"
    "cy,cyco,cy@x.example,,Asia/Tokyo,owner,true\n"
)
AGREED = (
    "contact_id,channel,purpose,is_granted\n"
    "ann,email,marketing,true\nben,email,marketing,true\ncy,email,marketing,true\n"
)
SEGMENTS = ("carts", "trials", "gate", "ticket")
MESSAGES_YML = """
channels:
  - {name: email, address: email, reachable: is_reachable}
  - {name: in_app, address: contact_id, consent: none}
"""
FILES = {
    "seeds/people.csv": PEOPLE,
    "seeds/agreed.csv": AGREED,
    "seeds/bought.csv": "contact_id,happened_at\n",
    "seeds/types.yml": """
seeds:
  - {name: people, config: {column_types: {contact_id: VARCHAR, email: VARCHAR,
     account_id: VARCHAR, first_name: VARCHAR, time_zone: VARCHAR, role: VARCHAR,
     is_reachable: BOOLEAN}}}
  - {name: agreed, config: {column_types: {contact_id: VARCHAR, channel: VARCHAR,
     purpose: VARCHAR, is_granted: BOOLEAN}}}
  - {name: members, config: {column_types: {segment: VARCHAR, contact_id: VARCHAR, total: INTEGER}}}
  - {name: bought, config: {column_types: {contact_id: VARCHAR, happened_at: TIMESTAMP}}}
""",
    "models/contacts.sql": "select * from {{ ref('people') }}",
    "models/consents.sql": "select * from {{ ref('agreed') }}",
    "models/purchases.sql": "select * from {{ ref('bought') }}",
    "models/channels.yml": MESSAGES_YML,
    **{
        f"models/segments/{name}.sql": (
            "select contact_id, total as cart_total from {{ ref('members') }}"
            f" where segment = '{name}'"
        )
        for name in SEGMENTS
    },
}


def members(**segments: Iterable[str]) -> dict[str, str]:
    """The seed that puts contacts into segments; `ann:50` has a cart of 50."""
    rows = [
        f"{segment},{one.partition(':')[0]},{one.partition(':')[2]}\n"
        for segment, ids in segments.items()
        for one in ids
    ]
    return {"seeds/members.csv": "segment,contact_id,total\n" + "".join(rows)}


def message(name: str = "hello", **said: Any) -> dict[str, Any]:
    return {
        "name": name,
        "goal": "convert",
        "segment": "carts",
        "channels": ["email"],
        "priority": 50,
    } | said


def messages(*said: Mapping[str, Any]) -> dict[str, str]:
    return {"models/messages.yml": yaml.safe_dump({"messages": list(said)}, sort_keys=False)}


def outreach(project: MakeProject, *said: Mapping[str, Any], **segments: Iterable[str]) -> Project:
    return project({**FILES, **messages(*said), **members(**segments)}, SEGFLOW_YML)


def decided(made: Project) -> dict[tuple[str, str, str], str]:
    """`send` or the reason, by contact, message and channel."""
    rows = made.rows(
        "select contact_id, message, channel, coalesce(reason, action) from segments.decisions"
    )
    return {(row[0], row[1], row[2]): row[3] for row in rows}
