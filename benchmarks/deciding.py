"""Part f: which of a million contacts gets which of forty messages, after ninety days of them."""

import json
import shutil
import sys
from pathlib import Path

from benchmarks.compiling import SEGFLOW
from benchmarks.measure import Command, cpu, in_turn, timed, wall
from benchmarks.results import Section, against, costs

_BUDGET = 3
_MESSAGES = 40
_AS_OF = "2026-07-01"
_CHANNELS = (["email"], ["in_app", "email"], ["customer_service"])
_YML = """\
name: deciding
models:
  deciding:
    +schema: lifecycle
    +materialized: table
    segments: {+schema: segments, +materialized: segment}
"""
_CONTACTS = """\
select 'contact_' || lpad(range::varchar, 8, '0') as contact_id,
    'account_' || range // 4 as account_id, 'c' || range || '@example.com' as email,
    'Name ' || range % 1000 as first_name,
    ['Europe/Berlin', 'America/New_York', 'Asia/Tokyo', 'UTC'][1 + range % 4] as time_zone,
    range % 40 <> 0 as is_email_reachable,
    {numbers}
from range({contacts})"""
_CONSENTS = """\
select contact_id, 'email' as channel, 'marketing' as purpose, number_01 < 700 as is_granted,
    timestamp '2026-01-01' as recorded_at, 'form' as source
from {contacts}"""
# Five messages for each contact in ninety days, of which most are over.
_EXPOSURES = """\
insert into db.segflow.exposures
select md5(contact_id || n) as decision_id, 1 as run,
    timestamp '{as_of}' - to_hours(24 * (1 + (hash(contact_id, n) % 90)::bigint)) as as_of,
    contact_id, account_id, 'message_' || lpad((hash(n, contact_id) % {messages})::varchar, 2, '0'),
    'convert', ['email', 'in_app', 'customer_service'][1 + (hash(contact_id, n) % 3)::bigint],
    null, 'send', null, 50, []::varchar[], false, contact_id, false, null,
    cast(as_of as date), as_of + interval '7 days', 'segment_00', as_of,
    map {{'number': '1'}}, map {{'template': 't'}}, 'marketing', null, 'f', null
from db.lifecycle.contacts, range({each}) as times (n)"""


def _select(number: int) -> str:
    """About one contact in twenty-seven: three conditions on numbers, and their evidence."""
    a, b = 1 + number % 8, 1 + number // 8 % 8
    low = number * 17 % 700
    return (
        f"select contact_id, number_{a:02} as score, number_{b:02} as rank from {{contacts}}"
        f" where number_{a:02} >= {low} and number_{a:02} < {low + 125}"
        f" and number_{1 + (a + 3) % 8:02} < 300"
    )


def _write(folder: Path, contacts: int) -> None:
    """The project, and what plain duckdb does instead: the same memberships, as many rows."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "models" / "segments").mkdir(parents=True)
    numbers = ", ".join(f"(hash(range, {n}) % 1000)::integer as number_{n:02}" for n in range(1, 9))
    models = {
        "segflow.yml": _YML,
        "models/contacts.sql": _CONTACTS.format(numbers=numbers, contacts=contacts),
        "models/consents.sql": _CONSENTS.format(contacts="{{ ref('contacts') }}"),
        "models/channels.yml": json.dumps(_SAID),
    }
    script, rows = [], []
    for number in range(_MESSAGES):
        name = f"segment_{number:02}"
        sql = _select(number)
        models[f"models/segments/{name}.sql"] = sql.format(contacts="{{ ref('contacts') }}")
        script.append(
            f"create or replace table main.{name} as"
            f" select contact_id from ({sql.format(contacts='lifecycle.contacts')})"
        )
        rows += [
            f"select md5(contact_id || '{name}{channel}') as decision_id, 1 as run,"
            f" timestamp '{_AS_OF}' as as_of, contact_id, '{name}' as message, 'convert' as goal,"
            f" '{channel}' as channel, 'hold' as action, 'lost' as reason, null::varchar as lost_to"
            f" from main.{name}"
            for channel in _CHANNELS[number % 3]
        ]
    script.append(f"create or replace table main.decisions as {' union all '.join(rows)}")
    events = [*(["execute", 0, sql] for sql in script), ["publish"]]
    models["statements.json"] = "".join(json.dumps(event) + "\n" for event in events)
    for path, text in models.items():
        (folder / path).write_text(text, "utf-8")


_SAID = {
    "channels": [
        {
            "name": "email",
            "address": "email",
            "reachable": "is_email_reachable",
            "frequency_cap": [{"count": 1, "per": "1d"}, {"count": 3, "per": "7d"}],
            "quiet_hours": {"from": "21:00", "until": "08:00"},
        },
        {"name": "in_app", "address": "contact_id", "consent": "none"},
        {"name": "customer_service", "address": "contact_id", "consent": "none"},
    ],
    "holdout": {"percent": 5, "salt": "benchmark", "unit": "account"},
    "messages": [
        {
            "name": f"message_{number:02}",
            "goal": "convert",
            "segment": f"segment_{number:02}",
            "channels": _CHANNELS[number % 3],
            "priority": number,
            "cooldown": "7d",
            "payload": {"template": "t", "subject": "{{ first_name }}, {{ score }}"},
        }
        for number in range(_MESSAGES)
    ],
}


def measure(data: Path, small: bool, with_dbt: bool) -> Section:
    """Decide on all candidates once; dbt has nothing to compare."""
    contacts = 10_000 if small else 1_000_000
    folder = data / "deciding"
    _write(folder, contacts)
    build = (SEGFLOW, "build", "--quiet", "--as-of")
    timed(Command("first", (*build, "2026-06-30"), folder))
    warehouse = folder / "warehouse"
    past = _EXPOSURES.format(as_of=_AS_OF, messages=_MESSAGES, each=5)
    attach = f"attach '{warehouse / 'segflow.duckdb'}' as db (storage_version 'v1.4.0')"
    fill = f"import duckdb; c = duckdb.connect(); c.execute({attach!r}); c.execute({past!r})"
    timed(Command("past", (sys.executable, "-c", fill), folder))
    shutil.copyfile(warehouse / "segflow.duckdb", folder / "before.duckdb")

    def start(name: str) -> None:
        shutil.copyfile(folder / "before.duckdb", warehouse / f"{name}.duckdb")

    segments = (*build, _AS_OF, "--select", "resource_type:segment")
    plain = (sys.executable, str(Path(__file__).with_name("plain.py")))
    commands = [
        Command("segments", segments, folder, lambda: start("segflow")),
        Command("and messages", (*segments, "resource_type:message"), folder, lambda: start("segflow")),
        Command("plain", (*plain, str(warehouse / "plain.duckdb"), "statements.json"), folder,
                lambda: start("plain")),
    ]  # fmt: skip
    samples = in_turn(commands, 1 if small else 3)
    ours = cpu(samples["and messages"]) - cpu(samples["segments"])
    longer = wall(samples["and messages"]) - wall(samples["segments"])
    ratio, slower = ours / cpu(samples["plain"]), longer / wall(samples["plain"])
    rows = [(name, *costs(samples[name]), "-", "-", "-") for name in samples]
    budget = against(ratio, _BUDGET, f"≤ {_BUDGET}")
    rows.append(
        ("decisions / plain", f"{ours:.2f}", f"{longer:.2f}", "-", f"{ratio:.2f}", f"{slower:.2f}", budget)
    )  # fmt: skip
    shutil.rmtree(folder)
    return Section(
        "f",
        f"{_MESSAGES} messages on 3 channels for {contacts:,} contacts",
        "`segflow build` of 40 segments alone, and with the decisions on all candidates of their"
        " messages, after ninety days of five messages for each contact: the difference is what"
        " deciding costs. Plain duckdb writes the memberships of the same segments, and as many"
        " rows as there are candidates.",
        ("what", "CPU", "wall", "memory", "ratio, CPU", "… wall", "budget"),
        tuple(rows),
        (),
    )
