"""What every registered engine must do, in the words of `segflow.engines.base`."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from segflow.engines.base import SCRATCH, Engine, EngineError, Session

ENGINES = {entry.name: entry for entry in entry_points(group="segflow.engines")}
MakeEngine = Callable[[], Engine]


@pytest.fixture(params=sorted(ENGINES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeEngine:
    """Engines on one database, as one process after the other would open it."""
    plug_in: type[Engine] = ENGINES[request.param].load()
    return lambda: plug_in(plug_in.Settings(), tmp_path, 2)


@pytest.fixture
def engine(make: MakeEngine) -> Iterator[Engine]:
    """An engine with a run that is open."""
    made = make()
    made.open_run()
    yield made
    made.discard_run()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with engine.session() as session:
        session.execute("create schema s")
        yield session


def build(engine: Engine, *statements: str) -> None:
    with engine.session() as session:
        for statement in statements:
            session.execute(statement)


def read(engine: Engine, sql: str) -> list[tuple[object, ...]]:
    with engine.session() as session:
        return session.rows(sql)


# ── runs ──────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_there_before_it_is_published(make: MakeEngine, tmp_path: Path) -> None:
    engine, reader = make(), make()
    assert not engine.exists() and engine.location.is_relative_to(tmp_path)
    engine.open_run()
    build(engine, "create schema s", "create table s.t as select 1 as n")
    assert read(engine, "select n from s.t") == [(1,)]
    assert not reader.exists()
    engine.commit_run()
    assert reader.exists()
    assert read(reader, "select n from s.t") == read(engine, "select n from s.t") == [(1,)]
    engine.discard_run()
    reader.discard_run()


def test_a_run_starts_from_what_is_published_and_replaces_it_whole(make: MakeEngine) -> None:
    engine = make()
    engine.open_run()
    build(
        engine,
        "create schema s",
        "create table s.a as select 1 as n",
        "create table s.b as select 1 as n",
    )
    engine.commit_run()
    engine.open_run()
    build(engine, "create or replace table s.a as select n + 1 as n from s.b")
    published = make()
    assert read(published, "select n from s.a") == [(1,)]
    published.discard_run()
    engine.commit_run()
    assert read(engine, "from s.a union all from s.b") == [(2,), (1,)]
    engine.discard_run()
    assert read(published, "select n from s.a") == [(2,)]
    published.discard_run()


def test_what_is_discarded_leaves_nothing(make: MakeEngine) -> None:
    engine = make()
    engine.open_run()
    build(engine, "create schema s", "create table s.t as select 1 as n")
    engine.commit_run()
    before = sorted(engine.location.parent.iterdir())
    engine.open_run()
    build(engine, "create or replace table s.t as select 2 as n")
    engine.discard_run()
    engine.discard_run()
    assert sorted(engine.location.parent.iterdir()) == before
    engine.open_run()
    build(engine, "drop table s.t")
    engine.open_run()
    assert read(engine, "select n from s.t") == [(1,)]
    engine.discard_run()


def test_what_is_published_is_only_read(make: MakeEngine) -> None:
    engine = make()
    engine.open_run()
    build(engine, "create schema s", "create table s.t as select 1 as n")
    engine.commit_run()
    with pytest.raises(EngineError):
        build(engine, "create or replace table s.t as select 2 as n")
    assert read(engine, "select n from s.t") == [(1,)]
    engine.discard_run()


def test_scratch_is_shared_while_a_run_lasts_and_never_published(make: MakeEngine) -> None:
    engine = make()
    engine.open_run()
    build(engine, f"create table {SCRATCH}.aside as select 1 as n")
    assert read(engine, f"select n from {SCRATCH}.aside") == [(1,)]
    engine.commit_run()
    with pytest.raises(EngineError):
        read(engine, f"select n from {SCRATCH}.aside")
    engine.discard_run()


# ── questions ─────────────────────────────────────────────────────────────────────────────────


def test_rows_and_columns(session: Session) -> None:
    sql = "select 1 as n, 'x' as \"Said so\", null::decimal(9, 2) as amount"
    assert session.rows(sql) == [(1, "x", None)]
    assert session.query(sql) == (["n", "Said so", "amount"], [(1, "x", None)])
    assert session.query("select 1 as n limit 0") == (["n"], [])
    assert session.columns(sql) == [
        ("n", "INTEGER"),
        ("Said so", "VARCHAR"),
        ("amount", "DECIMAL(9,2)"),
    ]
    assert session.columns("select error('not run') as n")[0][0] == "n"


def test_relations(session: Session) -> None:
    session.execute('create table s."A Table" as select 1 as n')
    session.execute('create view s.a_view as select * from s."A Table"')
    assert session.relation_type("s", "A Table") == "table"
    assert session.relation_type("S", "a table") == "table"
    assert session.relation_type("s", "a_view") == "view"
    assert session.relation_type("s", "nothing") is None
    assert session.relation_type("nowhere", "a_view") is None
    assert session.relations() == {("s", "a table"): "table", ("s", "a_view"): "view"}


def test_errors_are_in_one_line_and_leave_the_session_usable(session: Session) -> None:
    for statement in ("select nothing from nowhere", "select 'x'::integer", "selec 1"):
        with pytest.raises(EngineError) as raised:
            session.rows(statement)
        assert raised.value.message and "\n" not in raised.value.message
        assert "LINE" not in raised.value.message
    assert session.rows("select 1") == [(1,)]


# ── files ─────────────────────────────────────────────────────────────────────────────────────


def test_csv_is_loaded_with_the_types_that_are_given(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "it's.csv"
    path.write_text('id;at;said\n007;2026-01-01;"a;b"\n#8;;\n', "utf-8")
    for _ in range(2):
        session.load_csv("s.loaded", path, {"id": "VARCHAR"}, ";")
    assert session.columns("from s.loaded") == [
        ("id", "VARCHAR"),
        ("at", "DATE"),
        ("said", "VARCHAR"),
    ]
    assert session.rows("select id, said from s.loaded") == [("007", "a;b"), ("#8", None)]
    with pytest.raises(EngineError):
        session.load_csv("s.loaded", path, {"said": "INTEGER"}, ";")
    assert session.rows("select count(*) from s.loaded") == [(2,)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_exports_keep_the_order_of_the_query(session: Session, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"out's.{form}"
    session.execute("create table s.t as select range as n from range(5000)")
    assert session.export("select n, 'x' as c from s.t order by n desc", path, form) == 5000
    if form == "csv":
        assert path.read_text().splitlines()[:2] == ["n,c", "4999,x"]
    if form == "jsonl":
        assert json.loads(path.read_text().splitlines()[0]) == {"n": 4999, "c": "x"}
    if form == "parquet":
        assert session.rows(
            f"select n from '{str(path).replace(chr(39), chr(39) * 2)}' limit 1"
        ) == [(4999,)]
    assert session.export("select 1 as n limit 0", path, form) == 0
    with pytest.raises(EngineError):
        session.export("select 1 as n", tmp_path / "no" / "folder", form)


# ── transactions, threads, interrupts ─────────────────────────────────────────────────────────


def test_a_transaction_happens_as_a_whole_or_not_at_all(engine: Engine, session: Session) -> None:
    session.execute("create table s.t as select 1 as n")
    with session.transaction():
        session.execute("create or replace table s.t as select 2 as n")
        assert read(engine, "from s.t") == [(1,)]
    assert read(engine, "from s.t") == [(2,)]
    with pytest.raises(KeyError), session.transaction():
        session.execute("drop table s.t")
        session.execute("create view s.t as select 3 as n")
        raise KeyError
    with pytest.raises(EngineError), session.transaction():
        session.execute("create or replace table s.t as select 4 as n")
        session.execute("create or replace table s.t as select error('no') as n")
    assert session.rows("from s.t") == read(engine, "from s.t") == [(2,)]


def test_sessions_work_side_by_side(engine: Engine, session: Session) -> None:
    def make_table(number: int) -> None:
        with engine.session() as own, own.transaction():
            own.execute(f"create or replace table s.t{number} as select {number} as n")
            own.execute(f"comment on table s.t{number} is 'made'")
            assert own.rows(f"from s.t{number}") == [(number,)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make_table, range(40)))
    assert len(session.relations()) == 40


def test_a_run_is_abandoned_under_its_own_statements(engine: Engine) -> None:
    with engine.session() as session:
        session.execute("create schema s")
        assert engine.abandon_run() is True
        assert engine.abandon_run() is False
    assert list(engine.location.parent.iterdir()) == []
