"""A compiled segment in, its `Definition` out. Kept apart from the parser: it is slow to import."""

from collections.abc import Iterator

from msgspec import Struct

from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.outlines import lowered

Constant = tuple[str, str | float]


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
    def is_judged(self) -> bool:
        """Whether every clause can be judged alone."""
        return not any(clause.why for clause in self.clauses)


def define(graph: Graph, compilation: Compilation, node: str) -> Definition:
    """The definition of a segment, the clock still a placeholder."""
    sqls = {name: compiled.sql for name, compiled in compilation.models.items()}
    columns = compilation.columns()
    columns |= {seed.id: tuple(map(lowered, seed.header)) for seed in graph.project.seeds}

    def make() -> Definition:
        # Only a segment that changed since the last command needs the parser.
        from segflow.compile import clauses

        return clauses.taken_apart(graph, sqls, columns, node)

    read = [(n, sqls.get(n), columns.get(n)) for n in sorted(graph.ancestors(node))]
    return graph.parser.keep(["definition", node, sqls[node], read], Definition, make)
