"""A `Graph` and its columns in; an error out where YAML speaks of a column that is not there."""

from collections.abc import Iterable, Iterator, Mapping

from segflow.compile.graph import CONTACTS, Graph
from segflow.compile.library import find_line
from segflow.compile.outlines import Columns, lowered
from segflow.compile.parsing import ParsedModel
from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import place
from segflow.project.nodes import Node

Known = Mapping[str, Columns | None]

# Tables and views that segflow itself keeps in the schema `segments`.
BUILT_IN_TABLES = {
    "memberships",
    "closed_stays",
    "evaluations",
    "membership_history",
    "membership_events",
    "sizes",
    "reach",
    "status",
    "user_types",
    "clauses",
    "decisions",
    "decision_counts",
    "next_message",
    "message_matrix",
    "outcomes",
}
# What `segments.user_types` has, for an audience that gives the user type of every contact.
_USER_TYPE = ("contact_id", "stage", "persona", "segments")


def check_columns(graph: Graph, known: Known) -> Iterator[str]:
    """Compare every column that YAML names with those that are there; warn of descriptions only.

    Args:
        known: columns of models and seeds by id, None where they cannot be known.

    Raises:
        ProjectError: one is missing that something reads.
    """
    for segment in graph.segments.values():
        _check_segment(segment, known.get(segment.id))
    described: list[nodes.Model | nodes.Seed] = [m.model for m in graph.models.values()]
    for node in [*described, *graph.project.seeds]:
        yield from _undescribed(graph, node, known)
    for test in graph.project.data_tests:
        if test.attached and test.column and not _may_have_more(graph, test.attached):
            _check(graph, test.attached, [("", test.column)], test, known)
    for audience in graph.project.audiences:
        _check_audience(graph, audience, known)
    contacts = graph.find(CONTACTS)
    for channel in graph.project.channels:
        wanted = [(".address", channel.address)]
        wanted += [(".reachable", channel.reachable)] if channel.reachable else []
        _check(graph, contacts, wanted, channel, known)


def _may_have_more(graph: Graph, node: str) -> bool:
    """Whether a table may have columns that its SELECT no longer has."""
    model = graph.models.get(node)
    return model is not None and model.config.materialized == "incremental"


def _undescribed(graph: Graph, node: nodes.Model | nodes.Seed, known: Known) -> Iterator[str]:
    """A warning for every column that is described and not there; a contract has its own say."""
    model = graph.models.get(node.id)
    if _may_have_more(graph, node.id) or (model and model.config.contract.enforced):
        return
    for index, column in enumerate(node.columns):
        wanted = [(f".columns[{index}].name", column.name)]
        try:
            _check(graph, node.id, wanted, node, known)
        except ProjectError as error:
            hint = f" ({error.hint})" if error.hint else ""
            yield f"{error.location}: {error.message}, which is described here{hint}"


def _check(
    graph: Graph,
    table: str | None,
    wanted: Iterable[tuple[str, str]],
    node: Node,
    known: Known,
) -> None:
    """Whether a table has columns that `node` asks for, each with its place in the node's YAML."""
    columns = known.get(table) if table else None
    for key, column in wanted:
        if table and columns is not None and lowered(column) not in columns:
            where = node.origin.location(key) if node.origin else place(node)
            hint = did_you_mean(lowered(column), columns)
            message = f"`{graph.nodes[table].name}` has no column `{column}`"
            raise ProjectError(message, where, hint)


def _check_segment(segment: ParsedModel, columns: Columns | None) -> None:
    model = segment.model
    if segment.relation.identifier.lower() in BUILT_IN_TABLES:
        raise ProjectError(
            f"`segments.{model.name}` is a table of segflow's own; a segment cannot have its name",
            Location(model.file),
            "name it for who is in it",
        )
    if columns is not None and "contact_id" not in columns:
        raise ProjectError(
            f"the segment `{model.name}` has no column `contact_id`",
            Location(model.file, find_line(model.text, r"^\s*select\b") or 1),
            did_you_mean("contact_id", columns) or "a segment has one row per contact_id",
        )


def _check_audience(graph: Graph, audience: nodes.Audience, known: Known) -> None:
    tables = [known.get(str(graph.find(CONTACTS)))]
    tables += [known.get(graph.segments[name].id) for name in audience.segments]
    if None in tables:
        return
    columns = {name for table in tables for name in table or ()}
    columns |= set(_USER_TYPE if audience.user_types else ())
    for key, column in [("key", audience.key), *((f"fields.{n}", c) for n, c in audience.fields)]:
        if lowered(column) not in columns:
            raise ProjectError(
                f"the audience `{audience.name}` asks for `{column}`, which neither its segments"
                " nor its contacts have",
                audience.origin.location(f".{key}") if audience.origin else place(audience),
                did_you_mean(lowered(column), columns),
            )
