"""A compiled segment in, its `Definition` out. Kept apart from the parser: it is slow to import."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from segflow.compile.compiler import Compilation, fingerprint, known_columns
from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.names import digest
from segflow.compile.outlines import Columns

if TYPE_CHECKING:
    from segflow.compile.clauses import Folder

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
    """One `when … then …` of a CASE; the last may be `else`, whose condition has that kind."""

    result: str
    condition: "Clause"


class Clause(Struct, frozen=True):
    """One condition, true, false or null of a row.

    `kind`: `and` and `or` have `parts`; a `test` compares its first operand by `operator` with the
    others; a `row` asks whether a joined table has a row; a `whole` cannot be taken apart,
    and `why` says why. `reads` are the columns asked; `arms` those of a CASE that is compared;
    `picked` is the `schema.table.column` whose values `in (select …)` goes by; `tables` are those,
    as `schema.name`, in which a row is asked for.
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
    picked: str = ""
    tables: tuple[str, ...] = ()

    def walk(self) -> "Iterator[Clause]":
        """This clause and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


class Definition(Struct, frozen=True):
    """Clauses over the rows of `source`, what stands after FROM; `key` is the contact's id there.

    The rows are contacts with every table that the segment joins, joined loosely: whoever lacks a
    row in one is still there, and that she has one is a clause of its own. Members are those with
    a row of which all clauses are true.
    """

    source: str
    key: str
    clauses: tuple[Clause, ...]

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


class Definitions:
    """What the segments of a compiled project come down to, the clock still a placeholder."""

    def __init__(self, graph: Graph, compilation: Compilation):
        self._graph, self._compilation, self._cache = graph, compilation, graph.project.cache
        self._sqls = {node: compiled.sql for node, compiled in compilation.models.items()}
        self._columns = known_columns(graph, compilation)

    def of(self, segment: str) -> Definition:
        """The definition of a segment, by its name."""
        node = self._graph.segments[segment].id

        def make() -> Definition:
            # Only a segment that changed since the last command needs the parser.
            from segflow.compile import clauses

            return clauses.taken_apart(self._folder, node)

        return self._cache.get(["definition", *self._parts(node)], Definition, make)

    def fingerprint(self, segment: str) -> str:
        """What changes with the definition of a segment, or with what it reads."""
        return fingerprint(self._graph, self._compilation, self._graph.segments[segment].id)

    def behind(self, column: str) -> Derivation:
        """Where a column of contacts comes from; without arms where that is no CASE to be found."""
        node = str(self._graph.find(CONTACTS))

        def make() -> Derivation:
            from segflow.compile import derivations

            return derivations.derived(self._folder, node, column)

        return self._graph.project.cache.get(
            ["behind", column, *self._parts(node)], Derivation, make
        )

    def _parts(self, node: str) -> list[Any]:
        """All that what is known of a node follows from."""
        ancestors = sorted(self._graph.ancestors(node))
        read = [(n, self._sqls.get(n), self._columns.get(n)) for n in ancestors]
        return [node, self._sqls[node], read]

    @cached_property
    def _folder(self) -> "Folder":
        from segflow.compile.clauses import Folder

        return Folder(self._graph, self._sqls, self._columns)
