"""One node and its SELECT in, a table or view out: how each materialization is made."""

from dataclasses import dataclass

from segflow.compile.relations import Relation, literal, quoted
from segflow.engines.base import SCRATCH, Column, Session
from segflow.errors import StepError, did_you_mean
from segflow.project.properties import ColumnProperties, ModelConfig


@dataclass(frozen=True)
class Build:
    """What a materialization works on: the final `sql`, and what stands there now (`before`)."""

    relation: Relation
    config: ModelConfig
    sql: str
    before: str | None
    full_refresh: bool = False

    @property
    def is_incremental(self) -> bool:
        """Whether new rows join those that are there."""
        wanted = self.config.materialized == "incremental" and self.before == "table"
        refresh = self.config.full_refresh
        return wanted and not (self.full_refresh if refresh is None else refresh)

    @property
    def kind(self) -> str:
        """What it becomes: `table` or `view`."""
        return "view" if self.config.materialized in ("view", "segment") else "table"


def materialize(session: Session, build: Build) -> None:
    """Make the relation of a model, in the transaction that is open.

    Raises:
        StepError: the engine refuses, or the columns changed where they must not.
    """
    if build.is_incremental:
        _merge_in(session, build)
    else:
        if build.before not in (None, build.kind):
            session.execute(f"drop {build.before} {build.relation}")
        session.execute(f"create or replace {build.kind} {build.relation} as\n{build.sql}")


def members_table(segment: str) -> str:
    """Where the rows of a segment lie while a run lasts: contact_id and its evidence."""
    return f'{SCRATCH}."members of {segment}"'


def evaluate(session: Session, segment: str, sql: str) -> tuple[int, str]:
    """Put the rows of a segment aside, evidence included.

    Returns:
        How many there are, and which type their contact_id has.

    Raises:
        StepError: a contact_id comes twice or is null, or a column of the evidence fails.
    """
    table = members_table(segment)
    session.execute(f"create or replace table {table} as\n{sql}")
    rows, ids, named, key = session.rows(
        "select count(*), count(distinct contact_id), count(contact_id),"
        f" typeof(any_value(contact_id)) from {table}"
    )[0]
    if named < rows:
        raise StepError(f"{rows - named:,} rows have no contact_id")
    if ids < rows:
        example = session.rows(
            f"select contact_id, count(*) from {table} group by all"
            " having count(*) > 1 order by all limit 1"
        )[0]
        raise StepError(
            f"{rows - ids:,} rows too many: a segment has one row per contact_id, and"
            f" {literal(str(example[0]))} comes {example[1]} times"
        )
    return rows, key


def check_contract(
    session: Session, declared: tuple[ColumnProperties, ...], found: list[Column]
) -> None:
    """Compare the columns of a SELECT with those that its contract names.

    Raises:
        StepError: one is missing, too many, or of another type.
    """
    typed = [column for column in declared if column.data_type]
    casts = ", ".join(f"cast(null as {column.data_type})" for column in typed)
    # As the engine spells them: `text` is `VARCHAR`.
    kinds = [kind for _, kind in session.columns(f"select {casts}")] if typed else []
    wanted = {column.name.lower(): kind for column, kind in zip(typed, kinds, strict=True)}
    have = {name.lower(): kind for name, kind in found}
    promised = {column.name.lower() for column in declared}
    problems = []
    for name in (column.name.lower() for column in declared):
        if name not in have:
            near = did_you_mean(name, have.keys() - promised)
            problems.append(f"`{name}` is missing" + (f" ({near})" if near else ""))
        elif have[name] != wanted.get(name, have[name]):
            problems.append(f"`{name}` is {have[name]}, not {wanted[name]}")
    problems += [f"`{name}` is not in the contract" for name in have if name not in promised]
    if problems:
        raise StepError(f"the contract is broken: {'; '.join(problems)}")


def comment(
    session: Session,
    relation: Relation,
    kind: str,
    description: str,
    columns: tuple[ColumnProperties, ...],
) -> None:
    """Write descriptions where BI tools show them; a column that is not there has none."""
    if description:
        session.execute(f"comment on {kind} {relation} is {literal(description)}")
    described = [column for column in columns if column.description]
    if described:
        there = {name.lower() for name, _ in session.columns(f"select * from {relation}")}
        for column in described:
            if column.name.lower() in there:
                text = literal(column.description.strip())
                session.execute(f"comment on column {relation}.{quoted(column.name)} is {text}")


def _merge_in(session: Session, build: Build) -> None:
    """Add the rows of the SELECT to the table that is there, by the model's strategy."""
    config = build.config
    keys = [config.unique_key] if isinstance(config.unique_key, str) else config.unique_key or []
    strategy = config.incremental_strategy or ("merge" if keys else "append")
    if strategy != "append" and not keys:
        raise StepError(
            f"the strategy `{strategy}` needs a unique_key", hint="config(unique_key='…')"
        )
    relation, new = build.relation, quoted(f"new__{build.relation.identifier}")
    session.execute(f"create or replace temp table {new} as\n{build.sql}")
    columns = _columns_to_write(session, build, new)
    names, listed = [quoted(key) for key in keys], ", ".join(columns)
    same = " and ".join(f"old.{key} = new.{key}" for key in names)
    if strategy == "merge":
        others = [f"{column} = new.{column}" for column in columns if column not in names]
        matched = f"when matched then update set {', '.join(others)} " if others else ""
        values = ", ".join(f"new.{column}" for column in columns)
        session.execute(
            f"merge into {relation} as old using {new} as new on ({same}) {matched}"
            f"when not matched then insert ({listed}) values ({values})"
        )
    else:
        if strategy == "delete+insert":
            fresh = f"(select distinct {', '.join(names)} from {new}) as new"
            session.execute(f"delete from {relation} as old using {fresh} where {same}")
        session.execute(f"insert into {relation} ({listed}) select {listed} from {new}")
    session.execute(f"drop table {new}")


def _columns_to_write(session: Session, build: Build, new: str) -> list[str]:
    """The columns to fill, after `on_schema_change` had its say."""
    config, relation = build.config, build.relation
    old = dict(session.columns(f"select * from {relation}"))
    fresh = dict(session.columns(f"select * from {new}"))
    added = [name for name in fresh if name not in old]
    gone = [name for name in old if name not in fresh]
    retyped = [name for name in fresh if name in old and fresh[name] != old[name]]
    if config.on_schema_change == "fail" and (added or gone or retyped):
        raise StepError(
            f"the columns changed: {', '.join(added + gone + retyped)}",
            hint="run once with --full-refresh, or set on_schema_change",
        )
    if config.on_schema_change in ("append_new_columns", "sync_all_columns"):
        for name in added:
            session.execute(f"alter table {relation} add column {quoted(name)} {fresh[name]}")
    if config.on_schema_change == "sync_all_columns":
        for name in gone:
            session.execute(f"alter table {relation} drop column {quoted(name)}")
        for name in retyped:
            session.execute(
                f"alter table {relation} alter column {quoted(name)} type {fresh[name]}"
            )
    if config.on_schema_change == "ignore":
        if gone:
            raise StepError(
                f"the SELECT no longer has {', '.join(gone)}, which the table has",
                hint="run once with --full-refresh, or set on_schema_change",
            )
        return [quoted(name) for name in fresh if name in old]
    return [quoted(name) for name in fresh]
