"""Whatever is wrong ends in one message with file, line and mend; nothing is started or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import AS_OF, MakeProject, Project

SEGFLOW_YML = f"""\
name: demo
vars: {{trial_days: 14}}
seeds: {{demo: {{+schema: seeds}}}}
models:
  demo:
    +schema: lifecycle
    +materialized: table
    segments: {{+schema: segments, +materialized: segment}}
destinations:
  - {{name: files, type: file, format: csv}}
targets:
  dev: {{path: warehouse/demo.duckdb, as_of: {AS_OF}}}
"""

FILES = {
    "segflow.yml": SEGFLOW_YML,
    "seeds/raw.csv": "contact_id,email,stage\na,a@x.example,trial\nb,,trial\n",
    "models/contacts.sql": """\
select
    contact_id,
    email,
    stage

from {{ ref('raw') }}
""",
    "models/contacts.yml": """\
models:
  - name: contacts
    description: "Everybody. One row per contact."
    config: {tags: [daily]}
    columns:
      - name: contact_id
        data_tests: [unique, not_null]
      - name: stage
        data_tests:
          - accepted_values:
              arguments: {values: [trial, active]}
""",
    "models/sources.yml": """\
sources:
  - name: crm
    tables:
      - {name: people}
""",
    "models/segments/in_trial.sql": """\
select contact_id
from {{ ref('contacts') }}
where stage = 'trial'
""",
    "models/segments/in_trial.yml": """\
unit_tests:
  - name: only_trials
    model: in_trial
    given:
      - input: ref('contacts')
        rows:
          - {contact_id: a, stage: trial}
    expect:
      rows:
        - {contact_id: a}
""",
    "models/tools.yml": """\
channels:
  - {name: email, address: email}
purposes:
  - {name: marketing}
personas:
  - {name: nancy, segment: in_trial}
audiences:
  - name: trials
    goal: convert
    segments: [in_trial]
    channel: email
    purpose: marketing
    destination: files
    key: contact_id
    fields:
      id: contact_id
      mail: email
""",
    "macros/has_email.sql": """\
{% macro has_email(column) %}
    {{ column }} is not null
{% endmacro %}
""",
    "tests/no_blank_stage.sql": "select * from {{ ref('contacts') }} where stage is null",
}


@dataclass(frozen=True)
class Bad:
    """What is changed in the good project, and the message that must come of it.

    `new` maps a path to its whole text, or to a pair: what to replace in the good one, by what.
    """

    name: str
    new: Mapping[str, str | tuple[str, str]]
    says: str
    hint: str | None = None
    command: tuple[str, ...] = ("compile",)


def make(project: MakeProject, new: Mapping[str, str | tuple[str, str]]) -> Project:
    files = dict(FILES)
    for path, change in new.items():
        if isinstance(change, str):
            files[path] = change
        else:
            assert change[0] in FILES[path], f"{path} does not hold {change[0]!r}"
            files[path] = FILES[path].replace(*change, 1)
    return project(files, files["segflow.yml"])


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a project, except what segflow keeps for itself in target/."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "target" not in path.relative_to(root).parts
    }


def check(made: Project, bad: Bad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    before = contents(made.root)
    outcome = made.segflow(*bad.command)
    lines = outcome.err.splitlines()
    assert lines == [f"error: {bad.says}", *([f"  hint: {bad.hint}"] if bad.hint else [])]
    assert outcome.code == 2
    assert outcome.out == ""
    assert contents(made.root) == before


def test_the_project_that_the_others_break_is_good(project: MakeProject) -> None:
    outcome = make(project, {}).segflow("compile")
    assert outcome.code == 0, outcome.err


CONTACTS, TOOLS = "models/contacts.sql", "models/tools.yml"
SEGMENT, YML = "models/segments/in_trial.sql", "models/contacts.yml"
REF = "{{ ref('raw') }}"

UNKNOWN = [
    Bad(
        "ref",
        {CONTACTS: (REF, "{{ ref('rwa') }}")},
        "models/contacts.sql:6: unknown model `rwa`",
        "did you mean `raw`?",
    ),
    Bad(
        "ref to a package",
        {CONTACTS: (REF, "{{ ref('dmeo', 'raw') }}")},
        "models/contacts.sql:6: unknown model `dmeo.raw`",
        "did you mean `raw`?",
    ),
    Bad(
        "ref in a macro",
        {
            "macros/people.sql": "{% macro people() %}\nselect *\nfrom {{ ref('rwa') }}\n{% endmacro %}",
            CONTACTS: "-- everybody\n{{ people() }}",
        },
        "macros/people.sql:3: unknown model `rwa` (called from models/contacts.sql:2)",
        "did you mean `raw`?",
    ),
    Bad(
        "source",
        {CONTACTS: (REF, "{{ source('crm', 'peple') }}")},
        "models/contacts.sql:6: unknown source `crm.peple`",
        "did you mean `crm.people`?",
    ),
    Bad(
        "macro",
        {CONTACTS: (REF, REF + "\nwhere {{ has_emial('email') }}")},
        "models/contacts.sql:7: unknown name `has_emial`",
        "did you mean `has_email`?",
    ),
    Bad(
        "macro of a package",
        {CONTACTS: (REF, REF + "\nwhere {{ demo.has_emial('email') }}")},
        "models/contacts.sql:7: unknown macro `demo.has_emial`",
        "did you mean `has_email`?",
    ),
    Bad(
        "var, in a call over several lines",
        {CONTACTS: (REF, REF + "\nwhere {{\n  1 +\n  var(\n  'trial_dasy')\n}} > 1")},
        "models/contacts.sql:10: unknown var `trial_dasy`",
        "did you mean `trial_days`?",
    ),
    Bad(
        "var without anything near",
        {CONTACTS: (REF, REF + " where {{ var('zzz') }}")},
        "models/contacts.sql:6: unknown var `zzz`",
        "add it to `vars` in segflow.yml: zzz: …",
    ),
    Bad(
        "config key in SQL",
        {
            CONTACTS: "{{ config(\n    materialized='view',\n    tag='x'\n) }}\nselect 1 as contact_id"
        },
        "models/contacts.sql:3: unknown config key `tag`",
        "did you mean `tags`?",
    ),
    Bad(
        "config value in SQL",
        {CONTACTS: "{{ config(materialized='tabel') }}\nselect 1 as contact_id"},
        "models/contacts.sql:1: `materialized` cannot be `tabel`",
        "did you mean `table`?",
    ),
    Bad(
        "config key in YAML",
        {YML: ("tags: [daily]", "tagz: [daily]")},
        "models/contacts.yml:4: unknown key `tagz`",
        "did you mean `tags`?",
    ),
    Bad(
        "config key in segflow.yml",
        {"segflow.yml": ("    +materialized: table", "    +materialised: table")},
        "segflow.yml:7: unknown config key `+materialised`",
        "did you mean `+materialized`?",
    ),
    Bad(
        "config value in segflow.yml",
        {"segflow.yml": ("    +materialized: table", "    +materialized: tables")},
        "segflow.yml:7: `materialized` cannot be `tables`",
        "did you mean `table`?",
    ),
    Bad(
        "config value of the wrong kind in segflow.yml",
        {"segflow.yml": ("    +materialized: table", "    +meta:\n      - table")},
        "segflow.yml:7: `meta` takes keys with values, not a list",
    ),
    Bad(
        "config key without its plus",
        {"segflow.yml": ("    +materialized: table", "    materialized: table")},
        "segflow.yml:7: `materialized` is neither a folder nor a config key",
        "write `+materialized`",
    ),
    Bad(
        "key of segflow.yml",
        {"segflow.yml": ("vars:", "varz:")},
        "segflow.yml:2: unknown key `varz`",
        "did you mean `vars`?",
    ),
    Bad(
        "key at the top of YAML",
        {YML: ("models:", "modles:")},
        "models/contacts.yml:1: unknown key `modles`",
        "did you mean `models`?",
    ),
    Bad(
        "key of a model",
        {YML: ("description:", "descripton:")},
        "models/contacts.yml:3: unknown key `descripton`",
        "did you mean `description`?",
    ),
    Bad(
        "key of a column",
        {YML: ("      - name: stage", "      - name: stage\n        tets: [unique]")},
        "models/contacts.yml:9: unknown key `tets`",
        "did you mean `tests`?",
    ),
    Bad(
        "key of an audience",
        {TOOLS: ("    segments:", "    segmnets:")},
        "models/tools.yml:10: unknown key `segmnets`",
        "did you mean `segments`?",
    ),
    Bad(
        "key of a unit test, deep down",
        {"models/segments/in_trial.yml": ("        rows:", "        formt: dict\n        rows:")},
        "models/segments/in_trial.yml:6: unknown key `formt`",
        "did you mean `format`?",
    ),
    Bad(
        "model in YAML",
        {YML: ("name: contacts", "name: contcts")},
        "models/contacts.yml:2: there is no model file for `contcts`",
        "did you mean `contacts`?",
    ),
    Bad(
        "generic test",
        {YML: ("[unique, not_null]", "[unique, notnull]")},
        "models/contacts.yml:7: unknown test `notnull`",
        "did you mean `not_null`?",
    ),
    Bad(
        "argument of a generic test",
        {YML: ("arguments: {values:", "arguments: {vals:")},
        "models/contacts.yml:11: the test `accepted_values` takes no argument `vals`",
        "did you mean `values`?",
    ),
    Bad(
        "argument of a generic test that is missing",
        {YML: ("arguments: {values: [trial, active]}", "arguments: {}")},
        "models/contacts.yml:10: the test `accepted_values` needs the argument `values`",
    ),
    Bad(
        "config of a generic test",
        {YML: ("arguments: {values", "config: {sevrity: warn}\n              arguments: {values")},
        "models/contacts.yml:11: unknown key `sevrity`",
        "did you mean `severity`?",
    ),
    Bad(
        "severity of a generic test",
        {YML: ("arguments: {values", "severity: wran\n              arguments: {values")},
        "models/contacts.yml:11: `severity` cannot be `wran`",
        "did you mean `warn`?",
    ),
    Bad(
        "model of a unit test",
        {"models/segments/in_trial.yml": ("model: in_trial", "model: in_trail")},
        "models/segments/in_trial.yml:3: unknown model `in_trail`",
        "did you mean `in_trial`?",
    ),
    Bad(
        "input of a unit test",
        {"models/segments/in_trial.yml": ("ref('contacts')", "ref('contact')")},
        "models/segments/in_trial.yml:5: unknown model `contact`",
        "did you mean `contacts`?",
    ),
    Bad(
        "target",
        {},
        "segflow.yml:11: unknown target `prod`",
        "targets: dev",
        ("compile", "--target", "prod"),
    ),
    Bad(
        "default target",
        {"segflow.yml": ("vars:", "target: dve\nvars:")},
        "segflow.yml:2: unknown target `dve`",
        "did you mean `dev`?",
    ),
    Bad(
        "engine",
        {"segflow.yml": ("dev: {path", "dev: {type: dukdb, path")},
        "segflow.yml:12: unknown engine `dukdb`",
        "did you mean `duckdb`?",
        ("run",),
    ),
    Bad(
        "target setting",
        {"segflow.yml": ("dev: {path", "dev: {memory_limt: 1GB, path")},
        "segflow.yml:12: unknown key `memory_limt`",
        "did you mean `memory_limit`?",
        ("run",),
    ),
    Bad(
        "destination type",
        {"segflow.yml": ("type: file,", "type: flie,")},
        "segflow.yml:10: unknown type `flie` of the destination `files`",
        "did you mean `file`?",
    ),
    Bad(
        "destination setting",
        {"segflow.yml": ("format: csv", "fromat: csv")},
        "segflow.yml:10: unknown key `fromat`",
        "did you mean `format`?",
    ),
    Bad(
        "selection",
        {},
        "`contcts` selects nothing",
        "did you mean `contacts`?",
        ("ls", "--select", "contcts+"),
    ),
    Bad(
        "method of a selection",
        {},
        "unknown method `tga` in `tga:daily`",
        "did you mean `tag`?",
        ("ls", "--select", "tga:daily"),
    ),
    Bad(
        "selection whose parts have nothing in common",
        {},
        "`tag:daily,segment:in_trial` selects nothing",
        "see what there is: segflow ls",
        ("ls", "--select", "tag:daily,segment:in_trial"),
    ),
]

AUDIENCES = [
    Bad(
        "segment",
        {TOOLS: ("segments: [in_trial]", "segments: [in_trail]")},
        "models/tools.yml:10: unknown segment `in_trail`",
        "did you mean `in_trial`?",
    ),
    Bad(
        "segment that is a plain model",
        {TOOLS: ("segments: [in_trial]", "segments:\n      - in_trial\n      - contacts")},
        "models/tools.yml:12: `contacts` is not a segment",
        "a segment is a model that is materialized as one: +materialized: segment",
    ),
    Bad(
        "segment that is excluded",
        {TOOLS: ("    channel:", "    exclude: [in_trail]\n    channel:")},
        "models/tools.yml:11: unknown segment `in_trail`",
        "did you mean `in_trial`?",
    ),
    Bad(
        "segment of a persona",
        {TOOLS: ("segment: in_trial", "segment: in_trail")},
        "models/tools.yml:6: unknown segment `in_trail`",
        "did you mean `in_trial`?",
    ),
    Bad(
        "segment that a channel suppresses",
        {TOOLS: ("address: email}", "address: email, suppress: [in_trail]}")},
        "models/tools.yml:2: unknown segment `in_trail`",
        "did you mean `in_trial`?",
    ),
    Bad(
        "destination",
        {TOOLS: ("destination: files", "destination: fils")},
        "models/tools.yml:13: unknown destination `fils`",
        "did you mean `files`?",
    ),
    Bad(
        "channel",
        {TOOLS: ("channel: email", "channel: emial")},
        "models/tools.yml:11: unknown channel `emial`",
        "did you mean `email`?",
    ),
    Bad(
        "purpose",
        {TOOLS: ("purpose: marketing", "purpose: servise")},
        "models/tools.yml:12: unknown purpose `servise`",
        "did you mean `service`?",
    ),
    Bad(
        "goal",
        {TOOLS: ("goal: convert", "goal: convret")},
        "models/tools.yml:9: unknown goal `convret`",
        "did you mean `convert`?",
    ),
    Bad(
        "field",
        {TOOLS: ("mail: email", "mail: {column: emial}")},
        "models/tools.yml:17: the audience `trials` asks for `emial`, which neither its segments"
        " nor its contacts have",
        "did you mean `email`?",
    ),
    Bad(
        "key",
        {TOOLS: ("key: contact_id", "key: contactid")},
        "models/tools.yml:14: the audience `trials` asks for `contactid`, which neither its"
        " segments nor its contacts have",
        "did you mean `contact_id`?",
    ),
    Bad(
        "address of a channel",
        {TOOLS: ("address: email", "address: emial")},
        "models/tools.yml:2: `contacts` has no column `emial`",
        "did you mean `email`?",
    ),
    Bad(
        "neither segments nor user types",
        {TOOLS: ("    segments: [in_trial]\n", "")},
        "models/tools.yml:8: the audience `trials` has either `segments` or `user_types: all`",
    ),
]

COLUMNS = [
    Bad(
        "in a model",
        {CONTACTS: ("    email", "    emial")},
        "models/contacts.sql:3: no table here has a column `emial`",
        "did you mean `email`?",
    ),
    Bad(
        "of one table",
        {SEGMENT: ("stage =", "contacts.stgae =")},
        "models/segments/in_trial.sql:3: `contacts` has no column `stgae`",
        "did you mean `stage`?",
    ),
    Bad(
        "of a table that is not there",
        {SEGMENT: ("stage =", "contact.stage =")},
        "models/segments/in_trial.sql:3: no table here is called `contact`",
        "did you mean `contacts`?",
    ),
    Bad(
        "in a macro of several lines",
        {
            "macros/checked.sql": "{% macro checked() %}\n  (\n    emial is not null\n  )\n{% endmacro %}",
            SEGMENT: ("where", "where {{ checked() }} and"),
        },
        "macros/checked.sql:3: no table here has a column `emial`"
        " (called from models/segments/in_trial.sql:3)",
        "did you mean `email`?",
    ),
    Bad(
        "that a macro was given",
        {SEGMENT: ("where", "where\n    {{ has_email(\n        'emial'\n    ) }}\n    and")},
        "macros/has_email.sql:2: no table here has a column `emial`"
        " (called from models/segments/in_trial.sql:4)",
        "did you mean `email`?",
    ),
    Bad(
        "in a singular test",
        {"tests/no_blank_stage.sql": ("where stage", "where\n    stgae")},
        "tests/no_blank_stage.sql:2: no table here has a column `stgae`",
        "did you mean `stage`?",
    ),
    Bad(
        "in a test in YAML",
        {YML: ("- name: stage", "- name: stgae")},
        "models/contacts.yml:10: `contacts` has no column `stgae`",
        "did you mean `stage`?",
    ),
    Bad(
        "in column_types",
        {
            "seeds/raw.yml": "seeds:\n  - name: raw\n    config:\n      column_types: {emial: text}\n"
        },
        "seeds/raw.yml:4: column_types names `emial`, which raw.csv does not have",
        "did you mean `email`?",
    ),
]


@pytest.mark.parametrize("bad", UNKNOWN, ids=lambda bad: bad.name)
def test_an_unknown(bad: Bad, project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    check(make(project, bad.new), bad, monkeypatch)


@pytest.mark.parametrize("bad", AUDIENCES, ids=lambda bad: bad.name)
def test_an_audience(bad: Bad, project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    check(make(project, bad.new), bad, monkeypatch)


@pytest.mark.parametrize("bad", COLUMNS, ids=lambda bad: bad.name)
def test_an_unknown_column(bad: Bad, project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    check(make(project, bad.new), bad, monkeypatch)
