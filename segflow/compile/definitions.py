"""A compiled segment in, its `Definition` out. Kept apart from the parser: it is slow to import."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from segflow.compile.compiler import Compilation
from segflow.compile.context import digest
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.outlines import Columns, lowered

Constant = tuple[str, str | float]
Sqls = Mapping[str, str]
Known = Mapping[str, Columns | None]


class Operand(Struct, frozen=True):
    """A value that a condition asks for: as a person writes it, and over the rows judged.

    `column` is its name where it is a column of contacts; `constant` is its kind (`number`,
    `text`, `boolean`, or `moment` in seconds after `as_of`) and value where the SQL states it.
    """

    text: str
    sql: str
    column: str | None = None
    constant: Constant | None = None


class Arm(Struct, frozen=True):
    """One `when … then …` of a CASE; the last may be `else`, whose condition is `true`."""

    result: str
    condition: "Clause"


class Clause(Struct, frozen=True):
    """One condition, true, false or null of a row.

    `kind`: `and` and `or` have `parts`; a `test` compares its first operand by `operator` with the
    others; a `row` asks whether a joined table has a row; a `whole` cannot be taken apart,
    and `why` says why. `reads` are the columns asked; `arms` those of a CASE that is compared.
    """

    kind: str
    text: str
    sql: str
    parts: tuple["Clause", ...] = ()
    operator: str = ""
    operands: tuple[Operand, ...] = ()
    reads: tuple[Operand, ...] = ()
    arms: tuple[Arm, ...] = ()
    why: str = ""

    def walk(self) -> "Iterator[Clause]":
        """This clause and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


class Definition(Struct, frozen=True):
    """Clauses over the rows of `source`, what stands after FROM; `key` is the contact's id there.

    The rows are contacts with every table that the segment joins, joined loosely: whoever lacks a
    row in one is still there, and that she has one is a clause of its own. Members are those with
    a row of which all clauses are true. `sql` is the whole SELECT.
    """

    sql: str
    source: str
    key: str
    clauses: tuple[Clause, ...]
    env: dict[str, str] = {}

    @property
    def is_joined(self) -> bool:
        """Whether a contact may have several rows."""
        return " JOIN " in self.source

    @property
    def fingerprint(self) -> str:
        return digest(f"{self.source} where {[clause.sql for clause in self.clauses]}")

    @property
    def is_judged(self) -> bool:
        """Whether every clause can be judged alone."""
        return not any(clause.why for clause in self.clauses)


class Derivation(Struct, frozen=True):
    """The CASE that a column of contacts comes from, perhaps models further down.

    `sql` gives `answers` to what its arms ask, one row per contact; null where another branch of a
    union made the row.
    """

    arms: tuple[Arm, ...] = ()
    sql: str = ""
    model: str = ""
    env: dict[str, str] = {}


def questions(clauses: Iterable[Clause]) -> Iterator[str]:
    """Expressions, each a text: whether a clause is true, then the values it asks, then its parts.

    Of every value there is its type, too. `answers` names their list.
    """
    for clause in clauses:
        yield f"cast(({clause.sql}) as varchar)"
        for operand in (*clause.operands, *clause.reads):
            yield f"cast({operand.sql} as varchar)"
            yield f"typeof({operand.sql})"
        yield from questions((*clause.parts, *(arm.condition for arm in clause.arms)))


def define(graph: Graph, compilation: Compilation, node: str) -> Definition:
    """The definition of a segment, the clock still a placeholder."""

    def make() -> Definition:
        # Only a segment that changed since the last command needs the parser.
        from segflow.compile import clauses

        return clauses.taken_apart(graph, *_known(graph, compilation), node)

    return graph.parser.keep(_parts("definition", graph, compilation, node), Definition, make)


def derive(graph: Graph, compilation: Compilation, column: str) -> Derivation:
    """Where a column of contacts comes from; without arms where that is no CASE to be found."""
    node = str(graph.find(CONTACTS))

    def make() -> Derivation:
        from segflow.compile import derivations

        return derivations.derived(graph, *_known(graph, compilation), node, column)

    parts = ["derivation", column, *_parts("of", graph, compilation, node)]
    return graph.parser.keep(parts, Derivation, make)


def _known(graph: Graph, compilation: Compilation) -> tuple[Sqls, Known]:
    """Compiled SQL of models, and the columns of models and seeds, by id."""
    columns = compilation.columns()
    columns |= {seed.id: tuple(map(lowered, seed.header)) for seed in graph.project.seeds}
    return {name: compiled.sql for name, compiled in compilation.models.items()}, columns


def _parts(what: str, graph: Graph, compilation: Compilation, node: str) -> list[Any]:
    """All that what is known of a node follows from."""
    sqls, columns = _known(graph, compilation)
    read = [(n, sqls.get(n), columns.get(n)) for n in sorted(graph.ancestors(node))]
    return [what, node, sqls[node], read]
