"""Write the demo company's raw tables: the same company at any size, the same bytes every time.

    python seeds/generate.py                                  # the committed seeds/raw_*.csv
    python seeds/generate.py --contacts 200000 --events-per-contact 50 --format parquet --out DIR
    python seeds/generate.py --format parquet --out DIR --days-more 1     # one day on top of DIR

The company is described in SQL, in `generator/*.sql`: a chance is an integer hash of a seed, a key
and a name, so neither threads nor memory limits change it. Its data end with 30 June 2026. Parquet
events come in one file for each month in which they arrived, sorted by when they happened.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

OPENING = date(2024, 1, 1)
DATA_END = date(2026, 7, 1)
# What a contact has on average: 17 events, 13 of them the only one of a member's active day.
# Whoever asks for more events gets more of them on each active day.
EVENTS_AT_LEAST = 17
ACTIVE_DAYS = 13
TABLES = [
    "raw_accounts",
    "raw_carts",
    "raw_consents",
    "raw_contact_merges",
    "raw_contacts",
    "raw_features",
    "raw_order_items",
    "raw_orders",
    "raw_plan_features",
    "raw_plans",
    "raw_products",
    "raw_subscriptions",
    "raw_surveys",
    "raw_tickets",
]
# Since when each kind of event is recorded.
EVENT_TABLES = {"raw_events": OPENING, "raw_message_events": date(2026, 3, 1)}
FORMATS = {"csv": "format csv, header", "parquet": "format parquet, compression zstd"}


@dataclass(frozen=True)
class Company:
    """How large the company is, and which of all possible ones."""

    contacts: int = 2000
    events_per_contact: int = EVENTS_AT_LEAST
    seed: int = 1


@dataclass(frozen=True)
class Machine:
    """What DuckDB may use; none of it changes what is written."""

    memory: str = "4GB"
    threads: int = os.cpu_count() or 1


@contextmanager
def opened(company: Company, machine: Machine, out: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that holds the company's people, subscriptions and shop."""
    scratch = out / ".scratch"
    connection = duckdb.connect(
        config={
            "memory_limit": machine.memory,
            "threads": machine.threads,
            "temp_directory": str(scratch),
        }
    )
    connection.execute(f"set variable seed = {company.seed}")
    connection.execute(f"set variable contacts = {company.contacts}")
    for script in sorted((Path(__file__).parent / "generator").glob("*.sql")):
        connection.execute(script.read_text(encoding="utf-8"))
    with connection:
        yield connection
    shutil.rmtree(scratch, ignore_errors=True)


def copy(connection: duckdb.DuckDBPyConnection, rows: str, order: str, target: Path) -> None:
    """One query to one file, in a total order."""
    options = FORMATS[target.suffix[1:]]
    connection.execute(f"copy (select * from {rows} order by {order}) to '{target}' ({options})")


def write_tables(connection: duckdb.DuckDBPyConnection, out: Path, suffix: str) -> None:
    """Everything but events: one file for each table, c2 before c10."""
    for table in TABLES:
        key = connection.table(table).columns[0]
        copy(connection, table, f"length({key}), columns(*)", out / f"{table}.{suffix}")


def arrived(table: str, company: Company, first: date, end: date) -> str:
    """The call that gives the events that arrived from one day to another."""
    moments = f"timestamp '{first}', timestamp '{end}'"
    if table == "raw_message_events":
        return f"arrived_message_events({moments})"
    per_day = 1 + max(0, company.events_per_contact - EVENTS_AT_LEAST) / ACTIVE_DAYS
    return f"arrived_events({moments}, {per_day})"


def months() -> Iterator[tuple[date, date]]:
    """The months of the company, each with the first day of the next."""
    first = OPENING
    while first < DATA_END:
        end = (first + timedelta(days=31)).replace(day=1)
        yield first, end
        first = end


def write_events(
    connection: duckdb.DuckDBPyConnection,
    company: Company,
    out: Path,
    periods: list[tuple[date, date]],
) -> None:
    """Parquet files of events, each with what arrived in one period."""
    for table, recorded_since in EVENT_TABLES.items():
        (out / table).mkdir(exist_ok=True)
        for first, end in periods:
            if end <= recorded_since:
                continue
            whole_month = first.day == 1 and (end - first).days > 1
            name = first.strftime("%Y-%m" if whole_month else "%Y-%m-%d")
            rows = arrived(table, company, first, end)
            copy(connection, rows, "occurred_at, id", out / table / f"{name}.parquet")


def generate(company: Company, machine: Machine, out: Path, suffix: str) -> None:
    """The whole company, as CSV files or as Parquet files."""
    out.mkdir(parents=True, exist_ok=True)
    with opened(company, machine, out) as connection:
        write_tables(connection, out, suffix)
        if suffix == "csv":
            for table in EVENT_TABLES:
                rows = arrived(table, company, OPENING, DATA_END)
                copy(connection, rows, "occurred_at, id", out / f"{table}.csv")
        else:
            write_events(connection, company, out, list(months()))
            (out / "company.json").write_text(json.dumps(asdict(company)) + "\n", encoding="utf-8")


def add_days(machine: Machine, out: Path, days: int) -> None:
    """The events of further days, on top of Parquet files that are there."""
    company = Company(**json.loads((out / "company.json").read_text(encoding="utf-8")))
    starts = [DATA_END + timedelta(days=number) for number in range(days)]
    periods = [(start, start + timedelta(days=1)) for start in starts]
    with opened(company, machine, out) as connection:
        write_events(connection, company, out, periods)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Write the demo company's raw tables.")
    parser.add_argument("--contacts", type=int, default=Company.contacts)
    parser.add_argument("--events-per-contact", type=int, default=Company.events_per_contact)
    parser.add_argument("--seed", type=int, default=Company.seed)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
    parser.add_argument("--days-more", type=int, default=0, help="add days to Parquet files in OUT")
    parser.add_argument("--memory", default=Machine.memory, help="DuckDB's memory limit")
    parser.add_argument("--threads", type=int, default=Machine.threads)
    said = parser.parse_args()
    machine = Machine(said.memory, said.threads)
    if said.days_more:
        if said.format != "parquet" or not (said.out / "company.json").exists():
            parser.error("--days-more adds to Parquet files that an earlier run wrote to --out")
        add_days(machine, said.out, said.days_more)
        return
    company = Company(said.contacts, said.events_per_contact, said.seed)
    generate(company, machine, said.out, said.format)


if __name__ == "__main__":
    main()
