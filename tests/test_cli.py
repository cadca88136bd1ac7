"""What a user types: exit codes, JSON, plain lines, and the commands that build nothing."""

import os
import pty
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import duckdb
import msgspec
import pytest
from click.testing import CliRunner

from segflow import __version__
from segflow.cli.commands import cli
from segflow.cli.main import join_lists
from tests.conftest import MakeProject, Project

FILES = {
    "seeds/raw.csv": "contact_id,email,stage\na,a@x.example,trial\nb,,trial\nc,c@x.example,active",
    "models/contacts.sql": "select *, email is not null as has_email from {{ ref('raw') }}",
    "models/consents.sql": (
        "select contact_id, 'email' as channel, 'marketing' as purpose, true as is_granted"
        " from {{ ref('contacts') }}"
    ),
    "models/segments/in_trial.sql": (
        "select contact_id, stage from {{ ref('contacts') }} where stage = '{{ var('stage') }}'"
    ),
    "models/all.yml": """
        purposes: [{name: marketing}]
        channels: [{name: email, address: email, reachable: has_email}]
        audiences:
          - {name: trial_mails, segments: [in_trial], channel: email, destination: files,
             key: email, fields: {EMAIL: email, STAGE: stage}}
        """,
}
VARS = ("--vars", "{stage: trial}")
SEGFLOW = Path(sys.executable).with_name("segflow")


@pytest.fixture
def made(project: MakeProject) -> Project:
    return project(FILES)


def test_json_has_one_shape_for_every_command(made: Project) -> None:
    for words in (
        ("run", *VARS),
        ("build", *VARS),
        ("deliver", *VARS),
        ("test", *VARS),
        ("compile", *VARS),
        ("ls", *VARS),
        ("show", *VARS, "--select", "contacts"),
        ("debug", *VARS),
        ("retry", *VARS),
        ("seed", *VARS),
        ("clean",),
    ):
        outcome = made.segflow(*words, "--output", "json")
        assert outcome.code == 0, (words, outcome)
        keys = ["command", "version", "as_of", "run", "ok", "results", "errors"]
        assert list(outcome.json) == keys
        assert outcome.json["command"] == words[0]
        assert outcome.json["ok"] is True and outcome.json["errors"] == []


def test_json_of_an_error_is_one_document_too(made: Project) -> None:
    outcome = made.segflow("run", "--output", "json")
    assert outcome.code == 2
    assert outcome.json["ok"] is False
    assert "unknown var `stage`" in outcome.json["errors"][0]


def test_the_summary_says_who_entered_and_who_cannot_be_written_to(made: Project) -> None:
    out = made.run(*VARS).out
    assert "in_trial                               2          1        +2        0" in out
    assert "trial_mails                            1   exports/files/trial_mails.csv" in out
    assert "of 2 members: 1 no address" in out
    assert "stage      trial 2 · active 1" in out
    assert out.rstrip().endswith("All delivered.")


def test_no_address_and_no_id_is_ever_printed(made: Project) -> None:
    made.write({"models/segments/twice.sql": "select 'x@y.example' as contact_id from range(2)"})
    outcome = made.segflow("run", *VARS)
    assert "a@x.example" not in outcome.out + outcome.err


def test_plain_lines_name_every_node_and_quiet_prints_nothing(made: Project) -> None:
    out = made.run(*VARS).out
    assert all(name in out for name in ("seeds.raw", "lifecycle.contacts", "segments.in_trial"))
    assert "\x1b" not in out
    assert made.run(*VARS, "--quiet").out == ""


def test_a_failure_ends_in_1_and_in_the_command_to_type_next(made: Project) -> None:
    made.run(*VARS)
    made.write(
        {"models/contacts.sql": "select *, cast(email as int) as has_email from {{ ref('raw') }}"}
    )
    outcome = made.segflow("run", *VARS)
    assert outcome.code == 1
    assert "target/compiled/demo/models/contacts.sql:1: Conversion Error" in outcome.out
    last = outcome.out.rstrip().splitlines()[-1]
    assert last.endswith("segflow retry")
    assert "HELD  reads contacts" in outcome.out
    made.write({"models/contacts.sql": FILES["models/contacts.sql"]})
    retried = made.segflow("retry", *VARS)
    assert retried.code == 0, retried.out
    assert "seeds.raw" not in retried.out and "lifecycle.contacts" in retried.out


def test_retry_builds_what_was_mended_below_what_failed(made: Project) -> None:
    read = "select contact_id, cast(age as int) as age from {{ ref('%s') }}"
    made.write(
        {
            "seeds/ages.csv": "contact_id,age\na,old\n",
            "models/stg_ages.sql": "select * from {{ ref('ages') }}",
            "models/adults.sql": read % "stg_ages",
            "models/other_ages.sql": "select * from {{ ref('ages') }}",
        }
    )
    assert made.segflow("run", *VARS).code == 1
    assert made.segflow("retry", *VARS).code == 1
    made.write(
        {"seeds/ages.csv": "contact_id,age\na,70\n", "seeds/raw.csv": FILES["seeds/raw.csv"]}
    )
    seeded = made.segflow("retry", *VARS)
    assert seeded.code == 0, seeded.out
    assert "seeds.ages" in seeded.out and "lifecycle.stg_ages" in seeded.out
    assert "seeds.raw" not in seeded.out and "other_ages" not in seeded.out
    assert made.rows("from lifecycle.adults") == [("a", 70)]
    made.write({"models/stg_ages.sql": "select contact_id, 'x' as age from {{ ref('ages') }}"})
    assert made.segflow("run", *VARS).code == 1
    made.write({"models/stg_ages.sql": "select contact_id, 7 as age from {{ ref('ages') }}"})
    made.run(*VARS, "--select", "other_ages")
    mended = made.segflow("retry", *VARS)
    assert mended.code == 0 and "seeds.ages" not in mended.out
    assert made.rows("from lifecycle.adults") == [("a", 7)]


def test_ls_follows_the_graph_to_the_tool(made: Project) -> None:
    out = made.segflow("ls", *VARS, "--select", "raw+").out.split()
    assert out[0] == "seed:raw"
    assert {"model:contacts", "segment:in_trial", "audience:trial_mails"} < set(out)
    assert out[-1] == "destination:files"
    assert made.segflow("ls", *VARS, "--resource-type", "segment").out.split() == [
        "segment:in_trial"
    ]


def test_show_reads_what_was_published(made: Project) -> None:
    made.run(*VARS)
    out = made.segflow("show", *VARS, "--select", "in_trial", "--limit", "1").out
    assert len(out.splitlines()) == 3
    query = "select count(*) as n from {{ ref('contacts') }}"
    assert made.segflow("show", *VARS, "--inline", query).out.split()[-1] == "3"


def test_what_only_the_engine_refuses_is_named_with_its_line(made: Project) -> None:
    for word, line, says in (("at", 3, "Parser Error"), ("frobnicate(1)", 2, "Catalog Error")):
        made.write({"models/odd.sql": f'select\n    {word}\nfrom (select 1 as "at")'})
        outcome = made.segflow("build", *VARS, "--select", "odd")
        assert outcome.code == 1
        assert f"target/compiled/demo/models/odd.sql:{line}: {says}" in outcome.out


def test_a_segment_without_contact_id_is_blamed_and_not_its_reader(made: Project) -> None:
    made.write(
        {
            "models/segments/in_trial.sql": "select email from {{ ref('contacts') }}"
            " where stage = '{{ var('stage') }}'",
            "models/segments/a_reader.sql": "select contact_id from {{ ref('in_trial') }}",
        }
    )
    outcome = made.segflow("compile", *VARS)
    assert outcome.code == 2
    assert "in_trial.sql:1: the segment `in_trial` has no column `contact_id`" in outcome.err


def test_a_var_that_no_file_asks_for(made: Project) -> None:
    yml = made.root / "segflow.yml"
    text = yml.read_text()
    assert "vars:" not in text
    yml.write_text(text + "vars: {limti: 3, limit: 4}\n")
    limit = "select 1 as n where 1 < {{ var('limit') }}"
    made.write({"models/limited.sql": limit})
    line = len(text.splitlines()) + 1
    warned = f"segflow.yml:{line}: no file asks for the var `limti` (did you mean `limit`?)"
    assert warned in made.segflow("compile", *VARS).out
    made.write({"macros/any.sql": "{% macro any(name) %}{{ var(name) }}{% endmacro %}"})
    assert "no file asks" not in made.segflow("compile", *VARS).out


def test_debug_names_what_is_empty_and_who_is_missing_for_it(made: Project) -> None:
    made.write({"models/stg_surveys.sql": "select 1 as contact_id where false"})
    segment = "select cast(contact_id as varchar) as contact_id from {{ ref('stg_surveys') }}"
    made.write({"models/segments/promoters.sql": segment})
    out = made.run(*VARS).out
    for text in (out, made.segflow("debug", *VARS).out):
        assert "Empty     stg_surveys\n" in text
        assert "Nobody    in promoters: stg_surveys has no rows\n" in text


def test_compile_writes_sql_manifest_and_no_database(made: Project) -> None:
    assert made.segflow("compile", *VARS).code == 0
    compiled = made.root / "target/compiled/demo/models/segments/in_trial.sql"
    assert "where stage = 'trial'" in compiled.read_text()
    manifest = msgspec.json.decode((made.root / "target/manifest.json").read_bytes())
    assert manifest["nodes"]["model.demo.in_trial"]["is_segment"] is True
    exposure = manifest["exposures"]["audience.demo.trial_mails"]
    assert "model.demo.in_trial" in exposure["depends_on"]["nodes"]
    assert manifest["child_map"]["audience.demo.trial_mails"] == ["destination.demo.files"]
    assert not made.database.exists()


def test_run_results_hold_what_json_prints(made: Project) -> None:
    printed = made.segflow("run", *VARS, "--output", "json").json
    kept = msgspec.json.decode((made.root / "target/run_results.json").read_bytes())
    assert kept["results"]["segments"] == printed["results"]["segments"]
    assert (made.root / "target/segflow.log").read_text().count("success") >= 4


def test_clean_leaves_the_database(made: Project) -> None:
    made.run(*VARS)
    assert made.segflow("clean").code == 0
    assert not (made.root / "target").exists() and made.database.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--no-such-option"),
        ("no-such-command",),
        ("run", "--threads", "0"),
        ("run", "--as-of", "yesterday"),
        ("run", "--vars", "[1"),
    ],
)
def test_a_wrong_command_line_ends_in_2(made: Project, words: tuple[str, ...]) -> None:
    arguments = join_lists([*words, "--project-dir", str(made.root)])
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.return_value == 2 and result.exception is None
    assert not made.database.exists()


def test_lists_end_at_the_next_option() -> None:
    assert join_lists(["run", "--select", "a", "b", "--threads", "2", "-s", "c"]) == [
        *["run", "--select", "a b", "--threads", "2", "-s", "c"]
    ]


def test_secrets_reach_no_artifact_and_no_message(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_FOLDER", "hush-hush-folder")
    text = (made.root / "segflow.yml").read_text()
    path = "\"{{ env_var('SECRET_FOLDER') }}/demo.duckdb\""
    made.write({"segflow.yml": text.replace("warehouse/demo.duckdb", path)})
    made.run(*VARS)
    folder = made.root / "hush-hush-folder"
    assert (folder / "demo.duckdb").exists()
    (folder / "demo.duckdb").write_bytes(b"no database" * 1000)
    outcome = made.segflow("run", *VARS)
    assert outcome.code == 2 and "*****" in outcome.err
    with zipfile.ZipFile(made.root / "target" / "project.zip") as packed:
        written = b"".join(map(packed.read, packed.namelist()))
    for file in (made.root / "target").glob("*.*"):
        written += file.read_bytes() if file.suffix != ".zip" else b""
    assert "hush-hush" not in outcome.out + outcome.err + written.decode("latin-1")


def test_the_console_script_answers_and_passes_exit_codes_on(made: Project) -> None:
    version = subprocess.run([SEGFLOW, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"segflow {__version__}\n"
    nowhere = subprocess.run(
        [SEGFLOW, "run"], cwd=made.root.parent, capture_output=True, text=True, check=False
    )
    assert nowhere.returncode == 2
    assert "is not a segflow project" in nowhere.stderr and "Traceback" not in nowhere.stderr


def test_a_terminal_sees_a_bar_and_the_same_summary(made: Project) -> None:
    master, slave = pty.openpty()
    command = [str(SEGFLOW), "run", *VARS]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, cwd=made.root, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(master)
    assert process.wait() == 0
    text = seen.decode()
    assert "4/4" in text or "━" in text
    assert "All delivered." in text


def test_a_database_named_like_one_of_its_schemas_is_refused(made: Project) -> None:
    text = (made.root / "segflow.yml").read_text()
    made.write({"segflow.yml": text.replace("warehouse/demo.duckdb", "warehouse/lifecycle.duckdb")})
    outcome = made.segflow("run", *VARS)
    assert outcome.code == 2 and "name the file otherwise" in outcome.err
    assert not (made.root / "warehouse/lifecycle.duckdb").exists()


def test_a_reader_can_open_every_table_of_the_default_database(made: Project) -> None:
    text = (made.root / "segflow.yml").read_text()
    made.write({"segflow.yml": text.replace("warehouse/demo.duckdb", "warehouse/segflow.duckdb")})
    made.run(*VARS)
    with duckdb.connect(str(made.root / "warehouse/segflow.duckdb"), read_only=True) as reader:
        found = reader.execute(
            "select table_catalog, table_schema, table_name from information_schema.tables"
        ).fetchall()
        assert len(found) > 10
        for catalog, schema, name in found:
            own = schema == "segflow"
            reader.execute(f"from {catalog}.{schema}.{name}" if own else f"from {schema}.{name}")


def test_the_tests_of_what_is_chosen_are_listed(made: Project) -> None:
    columns = "columns: [{name: contact_id, data_tests: [unique]}]"
    made.write({"models/contacts.yml": f"models: [{{name: contacts, {columns}}}]"})
    words = ("ls", *VARS, "--resource-type", "test", "--select")
    assert made.segflow(*words, "contacts").out == "test:unique_contacts_contact_id\n"
    assert made.segflow(*words, "consents").out == ""


def test_init_makes_no_folder_but_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    result = CliRunner().invoke(cli, ["init", str(folder)], standalone_mode=False)
    assert result.return_value == 2
    assert result.stderr == f"error: there is no folder {folder.parent}\n  hint: make it first\n"
    assert not folder.parent.exists()
