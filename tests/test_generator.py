"""The demo company: the same bytes every time, at any size, and the days after it."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

SEEDS = Path(__file__).parent.parent / "seeds"


def generate(out: Path, *options: str) -> Path:
    """Run the generator as people do."""
    command = [sys.executable, str(SEEDS / "generate.py"), "--out", str(out), *options]
    subprocess.run(command, check=True)
    return out


def digests(folder: Path) -> dict[str, str]:
    """What is in a folder of tables, by file."""
    files = [path for path in sorted(folder.rglob("raw_*")) if path.is_file()]
    files += sorted(folder.rglob("20*.parquet"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def query(sql: str) -> list[tuple[Any, ...]]:
    """What a query gives, in a database of its own."""
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("small"), "--contacts", "500", "--format", "parquet")


def test_the_committed_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    written = digests(generate(tmp_path))
    committed = {name: digest for name, digest in digests(SEEDS).items() if name.endswith(".csv")}
    assert written == committed


def test_the_committed_files_stay_small_and_plain() -> None:
    texts = [path.read_bytes() for path in SEEDS.glob("*.csv")]
    assert sum(map(len, texts)) < 5_000_000
    assert all(b"\r" not in text and text.endswith(b"\n") for text in texts)


def test_the_same_seed_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    options = ["--contacts", "500", "--format", "parquet", "--memory", "1GB", "--threads", "1"]
    again = generate(tmp_path, *options)
    assert digests(again) == digests(small)


def test_another_seed_gives_another_company(tmp_path: Path) -> None:
    other = digests(generate(tmp_path, "--seed", "2"))
    same = {name for name, digest in other.items() if digests(SEEDS)[name] == digest}
    assert same == {
        f"raw_{table}.csv" for table in ("features", "plan_features", "plans", "products")
    }


def test_another_size_is_the_same_company(small: Path) -> None:
    columns = "id, email, created_at"
    everyone = query(f"select {columns} from read_csv('{SEEDS / 'raw_contacts.csv'}')")
    few = query(f"select {columns} from read_parquet('{small / 'raw_contacts.parquet'}')")
    assert len({row[0] for row in few}) == 500
    # all but the blank addresses, which a CSV file cannot tell from missing ones
    assert len(set(few) - set(everyone)) < 20


def test_more_events_for_each_contact(tmp_path: Path) -> None:
    busy = generate(tmp_path, "--events-per-contact", "50")
    few, many = ((folder / "raw_events.csv").read_bytes().count(b"\n") for folder in (SEEDS, busy))
    assert 2.5 * few < many < 3.5 * few
    changed = {name for name, digest in digests(busy).items() if digests(SEEDS)[name] != digest}
    assert changed == {"raw_events.csv"}


def test_events_come_by_the_month_in_which_they_arrived(small: Path) -> None:
    months = sorted(path.stem for path in (small / "raw_events").glob("*.parquet"))
    assert (months[0], months[-1], len(months)) == ("2024-01", "2026-06", 30)
    assert len(list((small / "raw_message_events").glob("*.parquet"))) == 4
    june = query(
        f"""
        select strftime(min(received_at), '%Y-%m'), strftime(max(received_at), '%Y-%m'),
            list(occurred_at) = list_sort(list(occurred_at))
        from read_parquet('{small / "raw_events" / "2026-06.parquet"}')
        """
    )
    assert june == [("2026-06", "2026-06", True)]


def test_one_day_more_leaves_the_rest_alone(small: Path, tmp_path: Path) -> None:
    company = shutil.copytree(small, tmp_path / "company")
    before = digests(company)
    generate(company, "--format", "parquet", "--days-more", "1")
    after = digests(company)
    added = {"raw_events/2026-07-01.parquet", "raw_message_events/2026-07-01.parquet"}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == added
    events = query(
        f"""
        select count(*) > 10, min(received_at) >= timestamp '2026-07-01',
            max(received_at) < timestamp '2026-07-02'
        from read_parquet('{company / "raw_events" / "2026-07-01.parquet"}')
        """
    )
    assert events == [(True, True, True)]


def test_more_days_need_a_company_to_add_them_to(tmp_path: Path) -> None:
    command = [sys.executable, str(SEEDS / "generate.py"), "--out", str(tmp_path)]
    done = subprocess.run(
        [*command, "--format", "parquet", "--days-more", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--days-more adds to Parquet files" in done.stderr
