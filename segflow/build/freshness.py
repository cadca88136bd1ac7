"""A source in, how old its newest row is out, measured against the run's own clock."""

from datetime import datetime, timedelta

from segflow.compile.relations import Relation, timestamp
from segflow.engines.base import Session
from segflow.errors import StepError
from segflow.project.nodes import Period, Source


def check_freshness(
    session: Session, source: Source, relation: Relation, as_of: datetime
) -> str | None:
    """A warning where the source is older than `warn_after`, else None.

    Raises:
        StepError: it is older than `error_after`, or has no row at all up to `as_of`.
    """
    freshness = source.freshness
    if freshness is None:
        return None
    if source.loaded_at_field is None:
        raise StepError(
            "it has freshness but no loaded_at_field",
            source.origin.location() if source.origin else None,
        )
    moment = f"cast({source.loaded_at_field} as timestamp)"
    where = f" and ({freshness.filter})" if freshness.filter else ""
    newest = session.rows(
        f"select max({moment}) from {relation} where {moment} <= {timestamp(as_of)}{where}"
    )[0][0]
    age = as_of - newest if newest else None
    said = f"last row {_hours(age)}" if age is not None else "no rows"
    if freshness.error_after and (age is None or age > _delta(freshness.error_after)):
        raise StepError(f"{said} (limit {_hours(_delta(freshness.error_after), '')})")
    if freshness.warn_after and (age is None or age > _delta(freshness.warn_after)):
        return f"{said} (warned after {_hours(_delta(freshness.warn_after), '')})"
    return None


def _delta(period: Period) -> timedelta:
    return timedelta(**{f"{period.period}s": period.count})


def _hours(age: timedelta, ago: str = " ago") -> str:
    hours = age.total_seconds() / 3600
    if hours < 1:
        return f"{age.total_seconds() / 60:.0f} min{ago}"
    return f"{hours:.0f} h{ago}" if hours < 72 else f"{hours / 24:.0f} d{ago}"
