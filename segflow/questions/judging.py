"""A definition and a contact in; every clause with its verdict, and what would change it, out."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from segflow.compile.definitions import Arm, Clause, Definition, Derivation, Operand, questions
from segflow.compile.relations import at, literal
from segflow.engines.base import EngineError, Session
from segflow.errors import WorkspaceError

Answers = Iterator[str | None]
Values = list[tuple[Operand, str | None, str]]

_WORDS = {
    **{">=": "at least", "<=": "at most", ">": "more than", "<": "less than"},
    **{"=": "", "!=": "anything but", "like": "like", "not like": "unlike"},
    **{"ilike": "like", "not ilike": "unlike", "between": "between", "not between": "outside of"},
    **{"in": "one of", "not in": "none of", "is not distinct from": ""},
    "is distinct from": "anything but",
}
_MOMENT_WORDS = {">=": "at or after", "<=": "at or before", ">": "after", "<": "before"}
_FIXED = {"is not null": "a value", "is null": "none", "is true": "true", "is false": "false"}


@dataclass(frozen=True)
class Judged:
    """A clause, and whether it is true of a contact; `verdict` null is neither true nor false.

    `values` are what it asked, `needs` says what would make it true. `behind` is the CASE that a
    column comes from: the branch that was taken, and those that were wanted.
    """

    text: str
    kind: str
    verdict: bool | None
    values: dict[str, str | None]
    needs: str = ""
    why: str = ""
    parts: tuple["Judged", ...] = ()
    behind: tuple["Branch", ...] = ()


@dataclass(frozen=True)
class Branch:
    """One branch of a CASE in `model`: it is `taken`, or comes `before` or `after` that one."""

    result: str
    model: str
    place: str
    condition: Judged


def judge(
    session: Session,
    definition: Definition,
    derivations: dict[str, Derivation],
    contact: str,
    as_of: datetime,
) -> tuple[Judged, ...]:
    """Every clause of the contact's row, of several rows that which fails the fewest of them.

    Args:
        derivations: of columns of contacts, by name.

    Raises:
        WorkspaceError: what was published does not have what the definition reads.
    """
    asked = ", ".join(questions(definition.clauses))
    sql = (
        f"select [{asked}] from {definition.source} where {is_contact(definition.key, contact)}"
        f" order by {failed(definition)}, 1 limit 1"
    )
    try:
        answers = iter(session.rows(at(sql, as_of))[0][0])
        behind = {
            column: _ask(session, derivation, contact, as_of)
            for column, derivation in derivations.items()
            if derivation.arms
        }
    except EngineError as error:
        raise WorkspaceError(
            f"the definition does not fit what was published: {error.message}", hint="segflow run"
        ) from None
    return tuple(_judged(clause, answers, behind) for clause in definition.clauses)


def is_contact(key: str, contact: str) -> str:
    return f"cast({key} as varchar) = {literal(contact)}"


def failed(definition: Definition) -> str:
    """SQL for how many clauses are not true of a row."""
    return " + ".join(["0", *(f"(({c.sql}) is not true)::integer" for c in definition.clauses)])


def compared_columns(definition: Definition) -> set[str]:
    """Columns of contacts that are compared with values the definition states."""
    tests = [part for clause in definition.clauses for part in clause.walk()]
    return {t.operands[0].column for t in tests if _is_choice(t) and t.operands[0].column}


def _is_choice(test: Clause) -> bool:
    return test.operator in ("=", "!=", "in", "not in") and len(test.operands) > 1


def _ask(
    session: Session, derivation: Derivation, contact: str, as_of: datetime
) -> tuple[Branch, ...]:
    """The branches of a CASE, judged on what the contact's value was made of."""
    sql = f"select answers from ({derivation.sql}) where {is_contact('contact_id', contact)}"
    rows = session.rows(at(sql, as_of))
    if not rows or rows[0][0] is None:
        return ()
    return _branches(derivation.arms, iter(rows[0][0]), derivation.model)


def _branches(arms: tuple[Arm, ...], answers: Answers, model: str) -> tuple[Branch, ...]:
    conditions = [_judged(arm.condition, answers, {}) for arm in arms]
    taken = next((i for i, c in enumerate(conditions) if c.verdict), len(arms))
    return tuple(
        Branch(arm.result, model, "before" if i < taken else "after" if i > taken else "taken", c)
        for i, (arm, c) in enumerate(zip(arms, conditions, strict=True))
    )


def _judged(clause: Clause, answers: Answers, behind: dict[str, tuple[Branch, ...]]) -> Judged:
    """A clause with its answers, which come in the order of `questions`."""
    said = next(answers)
    verdict = None if said is None else said == "true"
    values: Values = [
        (operand, next(answers), next(answers) or "")
        for operand in (*clause.operands, *clause.reads)
    ]
    parts = tuple(_judged(part, answers, behind) for part in clause.parts)
    branches = _branches(clause.arms, answers, "")
    if _is_choice(clause) and clause.operands[0].column:
        branches = behind.get(clause.operands[0].column, ())
    wanted = {operand.text for operand in clause.operands[1:]} if not verdict else set()
    return Judged(
        clause.text,
        clause.kind,
        verdict,
        {o.text: value for o, value, _ in [*values[:1], *values[len(clause.operands) :]]},
        "" if verdict or clause.kind != "test" else needs(clause, values),
        clause.why,
        parts,
        tuple(b for b in branches if b.place == "taken" or b.result in wanted),
    )


def needs(clause: Clause, values: Values) -> str:
    """What the first operand would have to be, in words."""
    operator = clause.operator
    if operator not in _WORDS:
        return _FIXED.get(operator, "")
    others = values[1 : len(clause.operands)]
    if not others:
        return ""
    is_moment = values[0][2].startswith(("TIMESTAMP", "DATE"))
    word = _MOMENT_WORDS.get(operator) if is_moment else None
    joined = " and " if "between" in operator else ", "
    return f"{word or _WORDS[operator]} {joined.join(map(_said, others))}".strip()


def _said(value: tuple[Operand, str | None, str]) -> str:
    """A value, with what it is computed from where the definition does not state it."""
    operand, text, _ = value
    shown = "null" if text is None else text
    return shown if operand.constant or shown == operand.text else f"{shown} ({operand.text})"
