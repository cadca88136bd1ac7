"""The static pages: every link leads somewhere, nothing hostile gets through, nobody is named."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from segflow.errors import WorkspaceError
from segflow.site.charts import chart
from segflow.site.pages import publish
from tests.conftest import SEGFLOW_YML, MakeProject, Project
from tests.outreach import FILES, MESSAGES_YML, members, message, messages, outreach

ROOT = Path(__file__).parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


@dataclass
class Page(HTMLParser):
    """What a browser would find on a page."""

    path: Path
    tags: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.tags.append(tag)
        self.links += [str(said["href"])] if tag == "a" else []
        self.loads += [
            str(said[name]) for name in ("src", "href", "srcset") if name in said and tag != "a"
        ]
        self.ids += [str(said["id"])] if "id" in said else []
        if tag in ("figure", "svg") and "aria-label" not in said and "aria-hidden" not in said:
            self.unnamed.append(tag)
        if tag == "th" and "scope" not in said:
            self.unnamed.append(tag)
        assert not any(name.startswith("on") for name in said)

    def handle_data(self, data: str) -> None:
        self.text += data


def site_of(made: Project) -> Path:
    """`segflow docs`, which must end well; the folder of the site."""
    outcome = made.segflow("docs")
    assert outcome.code == 0, outcome.out + outcome.err
    return made.root / "target" / "docs"


def pages_of(folder: Path) -> dict[str, Page]:
    found = sorted(folder.rglob("*.html"))
    return {path.relative_to(folder).as_posix(): Page(path) for path in found}


@pytest.fixture(scope="module")
def acme(starter: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The starter as it was run, with its site, in a folder that may be written to."""
    root = tmp_path_factory.mktemp("site") / "acme"
    shutil.copytree(starter.root, root)
    made = Project(root)
    site_of(made)
    return made


@pytest.fixture(scope="module")
def site(acme: Project) -> Path:
    return acme.root / "target" / "docs"


def test_every_node_has_a_page(acme: Project, site: Path) -> None:
    for kind in ("segment", "persona", "message", "audience"):
        listed = acme.segflow("ls", "--resource-type", kind, "--output", "json").json
        names = {node["name"] for node in listed["results"]["nodes"]}
        if kind == "persona":
            names = set(
                re.findall(r"- name: (\w+)", (acme.root / "models/personas.yml").read_text())
            )
        assert len(names) > 10
        assert {path.stem for path in (site / f"{kind}s").iterdir()} == names


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = pages_of(site)
    for name, page in pages.items():
        assert [urlsplit(link).path.rpartition("/")[2] for link in page.loads] == ["style.css"]
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            assert not parts.scheme and not parts.netloc, link
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            assert target.is_file(), f"{name}: {link}"
            if parts.fragment:
                assert parts.fragment in pages[target.relative_to(site.resolve()).as_posix()].ids, (
                    link
                )
    linked = {unquote(link) for link in pages["index.html"].links}
    assert pages.keys() - {"index.html"} <= linked
    assert "url(" not in (site / "style.css").read_text()


def test_a_page_is_for_everyone_s_eyes_and_ears(site: Path) -> None:
    for page in pages_of(site).values():
        assert page.unnamed == []
        assert (page.tags.count("h1"), page.tags.count("main")) == (1, 1)
        assert not {"script", "iframe", "form"}.intersection(page.tags)
        levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert '<meta name="viewport"' in page.path.read_text()


def test_no_page_names_a_contact(acme: Project, site: Path) -> None:
    rows = acme.rows("select contact_id, email, account_id from lifecycle.contacts")
    rows += acme.rows("select id, email, account_id from seeds.raw_contacts")
    named = {str(value).lower() for row in rows for value in row if value is not None}
    assert len(named) > 3000
    for name, page in pages_of(site).items():
        words = {word.strip(".").lower() for word in re.findall(r"[\w.+@-]+", page.text)}
        assert not words & named, name


def test_the_pages_say_what_the_database_says(acme: Project, site: Path) -> None:
    pages = pages_of(site)
    ((members, entered),) = acme.rows(
        "select members, entered from segments.sizes where segment = 'trials_ending'"
    )
    assert f"Members{members}" in pages["segments/trials_ending.html"].text
    assert f"+{entered}" in pages["segments/trials_ending.html"].text
    ((live,),) = acme.rows(
        "select count(*) from segments.next_message where message = 'first_month'"
    )
    assert f"Live now{live}" in pages["messages/first_month.html"].text
    ((sent, out),) = acme.rows(
        "select count(*) filter (action = 'send'), count(*) filter (reason in ('control_group', 'holdout'))"
        " from segments.decisions where message = 'first_month'"
    )
    assert f"Sent{sent}" in pages["messages/first_month.html"].text
    assert f"Held out{out}" in pages["messages/first_month.html"].text
    ((count,),) = acme.rows("select count(*) from audiences.trial_mails")
    assert f"Rows{count}" in pages["audiences/trial_mails.html"].text
    ((nancys,),) = acme.rows(
        "select count(*) from segments.user_types where persona = 'new_trial_nancy'"
    )
    assert f"Contacts{nancys}" in pages["personas/new_trial_nancy.html"].text
    cells = acme.rows(
        "select count(distinct contact_id) from segments.next_message"
        " join segments.user_types using (contact_id) where stage = 'new' and goal = 'inform'"
    )
    row = re.search(r">Inform</a></th>(.*?)</tr>", (site / "index.html").read_text(), re.DOTALL)
    assert row and f">{cells[0][0]}<small>" in row[1]


def test_the_same_database_gives_the_same_bytes(acme: Project, site: Path) -> None:
    def digests() -> dict[str, str]:
        return {
            path.relative_to(site).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in site.rglob("*")
            if path.is_file()
        }

    before = digests()
    again = "from segflow.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", again, "docs", "--project-dir", str(acme.root)],
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(before) - 1} pages: ")
    assert digests() == before


HOSTILE = """</title><script>alert("1")</script> & 'x' <img src=y onerror=z>"""


def test_whatever_a_project_says_is_text(project: MakeProject) -> None:
    quoted = HOSTILE.replace("'", "''")
    said: dict[str, Any] = {"description": HOSTILE, "meta": {"owner": HOSTILE}}
    made = outreach(
        project, message(**said, payload={HOSTILE: HOSTILE, "template": "a"}), carts=["ann", "ben"]
    )
    made.write(
        {
            "segflow.yml": SEGFLOW_YML + f"description: '{quoted}'\n",
            "models/segments/carts.yml": f"models: [{{name: carts, description: '{quoted}',"
            f" config: {{tags: ['{quoted}'], meta: {{owner: '{quoted}', slice: '{quoted}'}}}}}}]",
            "models/personas.yml": f"personas: [{{name: \"a/..'b<\", label: '{quoted}', segment: carts,"
            f" description: '{quoted}'}}]",
            "models/audiences.yml": f"audiences: [{{name: mails, description: '{quoted}', messages: all,"
            " channel: email, destination: files, key: email, fields: {E: email}}]",
        }
    )
    made.run("--quiet")
    folder = site_of(made)
    pages = pages_of(folder)
    assert len(pages) == 1 + 4 + 3  # start; four segments; a persona, a message and an audience
    for page in pages.values():
        assert not {"script", "img"}.intersection(page.tags)
    for name in (
        "index.html",
        "segments/carts.html",
        "messages/hello.html",
        "audiences/mails.html",
    ):
        assert HOSTILE in pages[name].text, name
    assert {path.parent for path in folder.rglob("*.html")} <= {
        folder,
        *(folder / f"{kind}s" for kind in ("segment", "persona", "message", "audience")),
    }
    for page in pages.values():
        assert all(
            (page.path.parent / urlsplit(link).path).is_file()
            for link in page.links
            if urlsplit(link).path
        )


def test_of_a_few_contacts_nothing_is_told_that_points_at_one(project: MakeProject) -> None:
    made = outreach(project, message(), carts=["ann", "ben"])
    made.run("--quiet")
    for page in pages_of(site_of(made)).values():
        assert not re.search(r"\b(ann|ben|cy)\b|@x\.example|acme|cyco", page.text, re.IGNORECASE)


def test_a_profile_tells_of_kinds_of_contacts_and_of_none_by_herself(project: MakeProject) -> None:
    people = [
        f"p{n},org{n},p{n}@x.example,Name{n},UTC,{'owner' if n < 15 else 'member'},true"
        for n in range(30)
    ]
    header = "contact_id,account_id,email,first_name,time_zone,role,is_reachable"
    made = outreach(project, message(), carts=[f"p{n}" for n in range(14)])
    made.write({"seeds/people.csv": "\n".join([header, *people]) + "\n"})
    made.run("--quiet")
    page = pages_of(site_of(made))["segments/carts.html"].text
    assert re.search(r"Role\s*owner\s*100%\s*50%", page)
    assert not re.search(r"Name\d|org\d|\bp\d|@x\.example", page)


def test_the_page_of_what_is_gone_goes_and_what_is_new_comes(project: MakeProject) -> None:
    made = outreach(project, message(), message("other"), carts=["ann", "ben"])
    made.run("--quiet")
    folder = site_of(made)
    assert {"messages/hello.html", "messages/other.html", "segments/gate.html"} <= pages_of(
        folder
    ).keys()
    (made.root / "models/segments/gate.sql").unlink()
    made.write(
        {
            **messages(message()),
            # neither was built yet, and one asks for a column that the database does not have
            "models/segments/fresh.sql": "select contact_id from {{ ref('contacts') }}",
            "models/segments/trials.sql": "select contact_id from {{ ref('contacts') }} where age > 3",
            "models/contacts.sql": "select *, 3 as age from {{ ref('people') }}",
            "models/segments/carts.sql": "select contact_id from {{ ref('contacts') }} where role = 'owner'",
        }
    )
    found = pages_of(site_of(made))
    assert not {"messages/other.html", "segments/gate.html"} & found.keys()
    assert "never built" in found["index.html"].text
    assert "It was edited since the members were counted" in found["segments/carts.html"].text
    assert "segments/fresh.html" in found
    assert sorted(path.name for path in folder.parent.glob("*docs*")) == ["docs"]


@pytest.mark.parametrize(
    "files",
    [
        {"models/numbers.sql": "select 1 as number"},
        {
            "models/contacts.sql": "select 'c1' as contact_id, 'new' as stage",
            "models/segments/all_new.sql": "select contact_id from {{ ref('contacts') }} where stage = 'new'",
        },
        {**FILES, **members(carts=["ann"]), "models/channels.yml": MESSAGES_YML},
    ],
    ids=["without contacts", "without channels", "without messages"],
)
def test_what_a_project_has_not_is_left_out(project: MakeProject, files: Mapping[str, str]) -> None:
    made = project(files)
    made.run("--quiet")
    pages = pages_of(site_of(made))
    assert not [name for name in pages if name.startswith(("messages/", "personas/"))]
    assert "Who gets which message" not in pages["index.html"].text
    segments = [name for name in files if name.startswith("models/segments/")]
    assert len(pages) == 1 + len(segments)


def test_before_the_first_run_there_is_nothing_to_show(project: MakeProject) -> None:
    made = project({"models/numbers.sql": "select 1 as number"})
    outcome = made.segflow("docs")
    assert outcome.code == 2
    assert "hint: segflow run" in outcome.err
    assert not (made.root / "target" / "docs").exists()


def test_a_site_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    publish(folder, {"index.html": "before"})
    with pytest.raises(WorkspaceError, match="cannot write to"):
        publish(folder, {"index.html": "after", "index.html/below.html": ""})
    assert (folder / "index.html").read_text() == "before"
    publish(folder, {"index.html": "after"})
    assert (folder / "index.html").read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_a_chart_begins_at_zero_and_keeps_time() -> None:
    from datetime import date

    drawn = chart([date(2026, 7, 1), date(2026, 7, 2), date(2026, 7, 11)], [5, 0, 12])
    assert drawn is not None
    assert drawn.top == 20
    assert drawn.line == "M0.0 75.0L10.0 100.0L100.0 40.0"
    assert [bar[3] for bar in drawn.bars] == [25.0, 0.0, 60.0]
    assert chart([date(2026, 7, 1)], [5]) is None
    nobody = chart([date(2026, 7, 1), date(2026, 7, 2)], [0, 0])
    assert nobody is not None and nobody.top == 2


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to look with")
def test_no_page_is_wider_than_a_phone(site: Path, tmp_path: Path) -> None:
    names = [
        "index",
        "segments/at_risk_customers",
        "segments/carts_abandoned",
        "messages/cart_discount",
    ]
    names += ["personas/cart_carla", "audiences/email_messages"]
    shutil.copytree(site, tmp_path / "docs")
    frames = ""
    for name in names:
        page = tmp_path / "docs" / f"{name}.html"
        width = f"<script>parent.postMessage('{name} ' + document.documentElement.scrollWidth, '*')</script>"
        page.write_text(page.read_text("utf-8") + width, "utf-8")
        frames += (
            f'<iframe width="390" height="800" style="border:0" src="docs/{name}.html"></iframe>'
        )
    listen = "<script>onmessage = e => document.body.append(`[${e.data}]`)</script>"
    (tmp_path / "frames.html").write_text(f"<body>{listen}{frames}</body>")
    shown = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path}/chromium",
            "--virtual-time-budget=5000", "--dump-dom", f"file://{tmp_path}/frames.html",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    widths = dict(re.findall(r"\[(\S+) (\d+)\]", shown.stdout))
    assert widths == dict.fromkeys(names, "390")
