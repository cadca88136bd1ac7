"""Files that audiences become: what is in them, how they are written, what stands beside them."""

import csv
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

from segflow.destinations.file import File, FileSettings
from tests.conftest import SEGFLOW_YML, MakeProject, Project
from tests.line import LATER, LINE, NEXT_DAY, file, line, manifest

ODD = [
    "=1+1",
    "+49 30 1234",
    "-5",
    "@cmd",
    "\tx",
    "\rx",
    "\nx",
    'it\'s, "quoted"; so',
    "two\nlines",
    "two\r\nlines",
    "Ünïcode 🎈",
    " =harmless",
    "\uff1d1+1",
    ";=1",
    "plain",
    "",
    None,
]
AUDIENCE = """
purposes: [{name: marketing}]
channels: [{name: desk, address: contact_id, consent: none}]
audiences:
  - {name: all, segments: [everybody], channel: desk, destination: files, key: contact_id,
     fields: {odd: odd, amount: amount, moment: seen_at, tags: tags, numbers: numbers, is_it: is_it, pair: pair}}
"""


def odd_project(project: MakeProject, form: str) -> Project:
    texts = ", ".join(f"(chr({ord('z') - n}), {quoted(text)})" for n, text in enumerate(ODD))
    return project(
        {
            "models/contacts.sql": f"""
select contact_id, odd, -1.50::decimal(9, 2) as amount, timestamp '2026-06-30 12:00:00' as seen_at,
    ['=1', 'b;c', null] as tags, [-1, 2] as numbers, true as is_it, {{'k': 'v'}} as pair
from (values {texts}) as t (contact_id, odd)""",
            "models/segments/everybody.sql": "select contact_id from {{ ref('contacts') }}",
            "models/audiences.yml": AUDIENCE,
        },
        SEGFLOW_YML.replace("format: csv", f"format: {form}"),
    )


def quoted(text: str | None) -> str:
    if text is None:
        return "null"
    return "'" + text.replace("'", "''").replace("\r", "' || chr(13) || '") + "'"


def test_csv_is_harmless_and_reads_back(project: MakeProject) -> None:
    made = odd_project(project, "csv")
    made.run()
    with (made.root / "exports/files/all.csv").open(encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["contact_id", "odd", "amount", "moment", "tags", "numbers", "is_it", "pair"]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    found = {row[0]: row[1] for row in rows}
    for number, text in enumerate(ODD):
        cell = found[chr(ord("z") - number)]
        runs = bool(text) and text is not None and text.lstrip(";")[0] in "=+-@\uff1d\t\r\n"
        assert cell == ("'" if runs else "") + (text or ""), text
    assert rows[0][2:] == ["-1.50", "2026-06-30 12:00:00", "'=1;b;c", "-1;2", "true", "{'k': v}"]


def test_jsonl_and_parquet_keep_values_as_they_are(project: MakeProject) -> None:
    made = odd_project(project, "jsonl")
    made.run()
    lines = (made.root / "exports/files/all.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(text) for text in lines]
    assert [row["contact_id"] for row in rows] == sorted(row["contact_id"] for row in rows)
    assert [row["odd"] for row in reversed(rows)] == ODD
    assert list(rows[0])[1:] == ["odd", "amount", "moment", "tags", "numbers", "is_it", "pair"]
    assert rows[0]["tags"] == ["=1", "b;c", None] and rows[0]["pair"] == {"k": "v"}
    made.write({"segflow.yml": SEGFLOW_YML.replace("format: csv", "format: parquet")})
    made.run()
    path = made.root / "exports/files/all.parquet"
    query = f"select odd, amount, tags from '{path}' order by contact_id desc"
    found = duckdb.connect().execute(query).fetchall()
    assert [row[0] for row in found] == ODD
    assert str(found[0][1]) == "-1.50" and found[0][2] == ["=1", "b;c", None]
    # the file in the former format is gone
    assert sorted(path.name for path in path.parent.iterdir()) == ["all.parquet", "manifest.json"]


def test_an_empty_audience_is_a_file_without_rows(project: MakeProject) -> None:
    for form in ("csv", "jsonl", "parquet"):
        made = odd_project(project, form)
        made.write(
            {
                "models/segments/everybody.sql": "select contact_id from {{ ref('contacts') }}"
                " where contact_id = 'nobody'"
            }
        )
        made.run()
        assert (made.root / f"exports/files/all.{form}").exists()
        assert manifest(made)["all"]["rows"] == 0
    assert list(manifest(made)) == ["all"]


def test_the_manifest_says_what_is_there(project: MakeProject) -> None:
    made = line(project)
    made.run()
    for name, entry in manifest(made).items():
        path = made.root / "exports/files" / entry["file"]
        assert entry == {
            "file": f"{name}.csv",
            "rows": len(path.read_text().splitlines()) - 1,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "as_of": "2026-07-01T02:00:00",
            "run": 1,
            "state": "fresh",
        }
    made.segflow("run", "--as-of", LATER)
    assert manifest(made)["trial_mail"]["run"] == 2
    assert manifest(made)["active_calls"]["run"] == 1
    assert manifest(made)["active_calls"]["state"] == "kept"


def test_files_of_audiences_that_are_gone_or_renamed(project: MakeProject) -> None:
    made = line(project)
    made.run()
    mine = made.root / "exports/files/notes.txt"
    mine.write_text("mine")
    made.write(
        {
            "models/audiences.yml": LINE["models/audiences.yml"]
            .replace("name: trial_mail", "name: trial_letters")
            .replace(
                "segments: [lately_active], channel: desk, destination: files",
                "segments: [lately_active], channel: desk, destination: elsewhere",
            ),
            "segflow.yml": SEGFLOW_YML.replace(
                "destinations:\n", "destinations:\n  - {name: elsewhere, type: file}\n"
            ),
        }
    )
    made.run("--select", "active_calls")
    assert {"trial_mail", "active_calls"} <= manifest(made).keys()
    made.run()
    folder = made.root / "exports/files"
    assert sorted(path.name for path in folder.iterdir()) == [
        "everyone.csv",
        "manifest.json",
        "notes.txt",
        "trial_letters.csv",
    ]
    assert set(manifest(made)) == {"everyone", "trial_letters"}
    assert set(manifest(made, "elsewhere")) == {"active_calls"}


def test_what_cannot_be_written_fails_alone(project: MakeProject) -> None:
    made = line(
        project,
        SEGFLOW_YML.replace("destinations:\n", "destinations:\n  - {name: blocked, type: file}\n"),
    )
    made.write(
        {
            "models/audiences.yml": LINE["models/audiences.yml"].replace(
                "channel: email, destination: files", "channel: email, destination: blocked"
            ),
            "exports/blocked": "a file where a folder should be",
        }
    )
    outcome = made.segflow("run", "--output", "json")
    states = {d["audience"]: d["state"] for d in outcome.json["results"]["deliveries"]}
    assert outcome.code == 1
    assert states == {"trial_mail": "error", "active_calls": "ok", "everyone": "ok"}
    assert "exports/blocked/trial_mail.csv" in outcome.json["errors"][0]
    (made.root / "exports/blocked").unlink()
    assert made.segflow("deliver").code == 0
    assert manifest(made, "blocked")["trial_mail"]["run"] == 1


# ── the same bytes ────────────────────────────────────────────────────────────────────────────

MANY = {
    "models/contacts.sql": "select md5(range::varchar) as contact_id, range % 7 as n,"
    " ['x', range::varchar] as tags from range(125000)",
    "models/segments/everybody.sql": "select contact_id, n from {{ ref('contacts') }}",
    "models/audiences.yml": """
purposes: [{name: marketing}]
channels: [{name: desk, address: contact_id, consent: none}]
audiences:
  - {name: as_csv, segments: [everybody], channel: desk, destination: csv, key: contact_id, fields: {n: n, tags: tags}}
  - {name: as_jsonl, segments: [everybody], channel: desk, destination: jsonl, key: contact_id, fields: {n: n, tags: tags}}
  - {name: as_parquet, segments: [everybody], channel: desk, destination: parquet, key: contact_id, fields: {n: n, tags: tags}}
""",
}
FORMATS = ("csv", "jsonl", "parquet")


def test_the_same_moment_gives_the_same_bytes(tmp_path: Path) -> None:
    destinations = "".join(f"  - {{name: {f}, type: file, format: {f}}}\n" for f in FORMATS)
    yml = SEGFLOW_YML.replace("  - {name: files, type: file, format: csv}\n", destinations)
    # more rows than one row group of Parquet holds
    found = []
    for threads in ("1", "7"):
        made = Project(tmp_path / threads)
        made.write({"segflow.yml": yml, **MANY})
        if threads == "7":  # another history up to this moment
            made.run("--as-of", "2026-06-30", "--select", "contacts", "everybody")
        made.run("--threads", threads)
        found.append({f: (made.root / f"exports/{f}/as_{f}.{f}").read_bytes() for f in FORMATS})
    assert found[0] == found[1]


# ── written whole or not at all ───────────────────────────────────────────────────────────────

KILLED = """
import os, signal
from pathlib import Path
from segflow.destinations.file import File, FileSettings

def half(path):
    path.write_text("half of")
    os.kill(os.getpid(), signal.SIGKILL)

File(FileSettings(), Path({folder!r}), frozenset()).write("all", half, {{}})
"""


def test_a_kill_in_between_leaves_the_old_file(tmp_path: Path) -> None:
    def write(text: str) -> Any:
        destination = File(FileSettings(), tmp_path, frozenset({"all"}))
        return destination.write("all", lambda path: path.write_text(text), {"run": 1})

    path, rows = write("whole")
    assert (path.read_text(), rows) == ("whole", 5)
    about = (tmp_path / "manifest.json").read_text()
    done = subprocess.run([sys.executable, "-c", KILLED.format(folder=str(tmp_path))], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "whole" and (tmp_path / "manifest.json").read_text() == about
    write("again")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["all.csv", "manifest.json"]


def test_a_manifest_that_is_broken_is_written_anew(project: MakeProject) -> None:
    made = line(project)
    made.write({"exports/files/manifest.json": "{"})
    made.run()
    assert len(manifest(made)) == 3
    made.run("--as-of", NEXT_DAY)
    assert file(made, "everyone").startswith("contact_id,")
