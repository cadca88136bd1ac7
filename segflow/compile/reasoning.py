"""Definitions in; what follows from them alone, whatever the data, out. Silence means unknown.

Everything that is compared with constants is split where any definition of the project does so:
null, each constant, and what lies between them. Within such a piece no test can tell two values
apart, so a condition is a set of pieces (a bit mask), and one implies another where it is a subset.
Anything else is true, false or null, and nothing more is known of it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise, product
from typing import NamedTuple

from segflow.compile.definitions import Clause, Definition

Key = tuple[str, str]
Case = dict[Key, int]

_TRUE, _FALSE = 1, 2
_INFINITY = float("inf")
# A definition with more alternatives than this stays unknown.
_CASES = 64
_POSITIVE = {
    **{">=": "<", ">": "<=", "!=": "=", "not in": "in", "not like": "like"},
    **{"not ilike": "ilike", "not between": "between", "not exists": "exists"},
    **{"is distinct from": "is not distinct from", "is false": "is true"},
}
_OPERATORS = {
    *("=", "!=", "<", "<=", ">", ">=", "in", "not in", "between", "not between"),
    *("is null", "is not null", "is true", "is false", "is distinct from", "is not distinct from"),
}
# Text that no other type could read as one of its own values, so that it equals only itself.
_WORD = re.compile(r"[A-Za-z]\w*")
_READ_OTHERWISE = {
    *("t", "f", "y", "n", "true", "false", "yes", "no", "on", "off"),
    *("inf", "infinity", "nan", "epoch", "now", "today", "yesterday", "tomorrow"),
}


@dataclass
class _Scale:
    """One value that is compared with constants of one kind, in order."""

    kinds: set[str] = field(default_factory=set)
    constants: list[str | float] = field(default_factory=list)

    @property
    def is_known(self) -> bool:
        """Whether its tests can be told apart by constants alone."""
        words = [c for c in self.constants if isinstance(c, str)]
        sure = all(_WORD.fullmatch(w) and w.lower() not in _READ_OTHERWISE for w in words)
        return len(self.kinds) <= 1 and sure

    @property
    def pieces(self) -> list[tuple[str | float, str | float] | None]:
        """Null, then each constant and the gaps around them, from `-inf` to `inf`."""
        if "text" in self.kinds:
            return [None, *((c, c) for c in self.constants), ("", "")]
        inner: list[tuple[str | float, str | float] | None] = [None]
        edges: list[float] = [-_INFINITY, *map(float, self.constants), _INFINITY]
        for low, high in pairwise(edges):
            inner += [(low, high)] + ([(high, high)] if high != _INFINITY else [])
        return inner


class _Form(NamedTuple):
    """A clause as pieces: a test has a key and the pieces for which it is true."""

    kind: str
    key: Key
    mask: int
    parts: tuple["_Form", ...]


class Reasoner:
    """All definitions of a project, and what is certain of them."""

    def __init__(self, definitions: Mapping[str, Definition]):
        self._definitions = definitions
        self._scales: dict[Key, _Scale] = {}
        for definition in definitions.values():
            for test in tests_of(definition):
                self._note(test, definition.source)
        for scale in self._scales.values():
            scale.constants = sorted(set(scale.constants), key=lambda c: (str(type(c)), c))
        self._forms = {
            name: [self._form(clause, definition.source) for clause in definition.clauses]
            for name, definition in definitions.items()
        }
        self._cases = {name: _cases_of_all(forms) for name, forms in self._forms.items()}

    def is_never(self, name: str) -> bool:
        """Whether a segment contradicts itself."""
        return self._cases[name] == []

    def is_contained(self, name: str, other: str) -> bool:
        """Whether all members of a segment are in another one; neither is without clauses."""
        cases, forms = self._cases[name], self._forms[other]
        if not cases or not forms or not all(_implies(cases[0], form) for form in forms):
            return False
        one, two = self._definitions[name], self._definitions[other]
        is_of_contacts = not two.is_joined and all(map(_is_of_contacts, forms))
        is_known = bool(self._cases[other]) and (one.source == two.source or is_of_contacts)
        return is_known and all(_implies(case, form) for case in cases for form in forms)

    def common(
        self, name: str, other: str, are_free: Callable[[Iterable[str]], bool]
    ) -> str | None:
        """Values of contacts' columns with which somebody is in both; None where unknown.

        Args:
            are_free: whether some columns can have any values together.
        """
        for one, two in product(self._cases[name] or [], self._cases[other] or []):
            case = _both(one, two)
            is_of_contacts = all(source == "" for source, _ in case or ())
            if case and is_of_contacts and are_free(column for _, column in case):
                said = [self._example(key, mask) for key, mask in sorted(case.items())]
                if None not in said:
                    return ", ".join(filter(None, said))
        return None

    def _note(self, test: Clause, source: str) -> None:
        """Remember the constants that a value is compared with."""
        constants = [operand.constant for operand in test.operands[1:] if operand.constant]
        if _is_plain(test):
            scale = self._scales.setdefault(_value_key(test, source), _Scale())
            constants += [("boolean", 1.0)] if test.operator in ("is true", "is false") else []
            scale.kinds |= {kind for kind, _ in constants}
            scale.constants += [value for _, value in constants]

    def _form(self, clause: Clause, source: str) -> _Form:
        parts = tuple(self._form(part, source) for part in clause.parts)
        if parts:
            return _Form(clause.kind, ("", ""), 0, parts)
        key = _value_key(clause, source) if _is_plain(clause) else ("", "")
        if key in self._scales and self._scales[key].is_known:
            holds = [_holds(clause, piece) for piece in self._scales[key].pieces]
            mask = sum(1 << index for index, is_so in enumerate(holds) if is_so)
            return _Form("test", key, mask, ())
        positive = _POSITIVE.get(clause.operator, clause.operator)
        is_whole = not clause.operands or "SELECT" in clause.sql
        what = (
            clause.sql.removeprefix("NOT ") if is_whole else str([o.sql for o in clause.operands])
        )
        mask = _FALSE if clause.operator in _POSITIVE else _TRUE
        return _Form("test", (source, f"{positive} {what}"), mask, ())

    def _example(self, key: Key, mask: int) -> str | None:
        """A value out of some piece; None where only null or something without a name would do."""
        scale = self._scales[key]
        for index, piece in enumerate(scale.pieces):
            if not mask >> index & 1 or piece is None or piece[0] == "":
                continue
            low, high = piece
            if isinstance(low, str) or isinstance(high, str) or low == high:
                return f"{key[1]} = {_shown(low, scale)}"
            if high - low > 1 and scale.kinds:
                return f"{key[1]} = {_shown(high - 1 if low == -_INFINITY else low + 1, scale)}"
        return None


def _is_plain(test: Clause) -> bool:
    """Whether a test compares a value with nothing but constants."""
    constants = [operand.constant for operand in test.operands[1:]]
    is_known = test.operator in _OPERATORS and None not in constants
    # In which order texts come depends on the collation.
    is_ordered = test.operator.removeprefix("not ") in ("<", "<=", ">", ">=", "between")
    is_word = any(constant and constant[0] == "text" for constant in constants)
    is_alone = bool(test.operands) and "SELECT" not in test.sql
    return is_known and is_alone and not (is_ordered and is_word)


def _is_of_contacts(form: _Form) -> bool:
    """Whether nothing but columns of contacts decides."""
    return all(map(_is_of_contacts, form.parts)) if form.parts else form.key[0] == ""


def _cases_of_all(forms: Iterable[_Form]) -> list[Case] | None:
    """Every way in which all are true, without impossible ones; None where there are too many."""
    cases: list[Case] = [{}]
    for form in forms:
        found = _cases_of(form)
        if found is None or len(cases) * len(found) > _CASES:
            return None
        cases = [both for a, b in product(cases, found) if (both := _both(a, b)) is not None]
    return cases


def _cases_of(form: _Form) -> list[Case] | None:
    if form.kind == "and":
        return _cases_of_all(form.parts)
    if form.kind != "or":
        return [{form.key: form.mask}] if form.mask else []
    found: list[Case] = []
    for part in form.parts:
        cases = _cases_of(part)
        if cases is None:
            return None
        found += cases
    return found


def _implies(case: Case, form: _Form) -> bool:
    """Whether a clause is true wherever `case` is."""
    if form.kind == "and":
        return all(_implies(case, part) for part in form.parts)
    if form.kind != "or":
        return form.key in case and not case[form.key] & ~form.mask
    united: Case = {}
    for part in form.parts:
        if not part.parts:
            united[part.key] = united.get(part.key, 0) | part.mask
    return any(_implies(case, part) for part in form.parts) or any(
        key in case and not case[key] & ~mask for key, mask in united.items()
    )


def _holds(test: Clause, piece: tuple[str | float, str | float] | None) -> bool:
    """Whether a test is true of all values of a piece, which it cannot tell apart."""
    operator = test.operator
    constants = [operand.constant[1] for operand in test.operands[1:] if operand.constant]
    if piece is None:
        return operator in ("is null", "is distinct from")
    if operator in ("is null", "is not null"):
        return operator == "is not null"
    low, high = piece
    if operator in ("is true", "is false"):
        return (low == high == 1.0) is (operator == "is true")
    is_one = low == high and low in constants
    if operator in ("=", "in", "is not distinct from"):
        return is_one
    if operator in ("!=", "not in", "is distinct from"):
        return not is_one
    return _is_within(operator, float(low), float(high), [float(c) for c in constants])


def _is_within(operator: str, low: float, high: float, constants: list[float]) -> bool:
    if "between" in operator:
        return (constants[0] <= low and high <= constants[1]) is (operator == "between")
    (edge,) = constants
    is_point = low == high
    if operator in ("<", ">="):
        is_below = high < edge or (not is_point and high == edge)
        return is_below is (operator == "<")
    return (high <= edge) is (operator == "<=")


def tests_of(definition: Definition) -> Iterator[Clause]:
    """The clauses of a definition that are not made of others."""
    found = [part for clause in definition.clauses for part in clause.walk()]
    return (part for part in found if not part.parts)


def _value_key(test: Clause, source: str) -> Key:
    """A column of contacts is the same in every definition, anything else only where it stands."""
    value = test.operands[0]
    return ("", value.column) if value.column else (source, value.sql)


def _both(one: Case, other: Case) -> Case | None:
    """Both cases at once, None where they contradict each other."""
    merged = {**one, **other}
    for key in one.keys() & other.keys():
        merged[key] = one[key] & other[key]
        if not merged[key]:
            return None
    return merged


def _shown(value: str | float, scale: _Scale) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    if "moment" in scale.kinds:
        apart = timedelta(seconds=abs(value))
        return f"as_of {'+' if value > 0 else '-'} {apart}" if value else "as_of"
    return str(bool(value)).lower() if "boolean" in scale.kinds else f"{value:g}"
