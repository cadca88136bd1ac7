"""A segment's SELECT in; its contacts put aside for membership out, each once, each with an id."""

from segflow.compile.relations import literal
from segflow.engines.base import SCRATCH, Session
from segflow.errors import StepError


def members_table(segment: str) -> str:
    """Where the rows of a segment lie while a run lasts: contact_id and its evidence."""
    return f'{SCRATCH}."members of {segment}"'


def evaluate(session: Session, segment: str, sql: str) -> int:
    """Put the rows of a segment aside, evidence included, and count them.

    Raises:
        StepError: a contact_id comes twice or is null, or a column of the evidence fails.
    """
    table = members_table(segment)
    session.execute(f"create or replace table {table} as\n{sql}")
    rows, ids, named = session.rows(
        f"select count(*), count(distinct contact_id), count(contact_id) from {table}"
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
    return int(rows)
