"""A `Graph` and its columns in; an error out where YAML speaks of a column that is not there."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from segflow.compile.graph import CONSENTS, CONTACTS, Graph, reference
from segflow.compile.library import find_line
from segflow.compile.outlines import Columns, lowered
from segflow.compile.parsing import ParsedModel
from segflow.compile.relations import TYPES
from segflow.errors import Location, ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import place
from segflow.project.nodes import Node
from segflow.project.properties import ExpectProperties, GivenProperties, Guards

Known = Mapping[str, Columns | None]

# Tables and views that segflow itself keeps in the schema `segments`.
BUILT_IN_TABLES = {
    *("memberships", "closed_stays", "evaluations", "membership_history", "membership_events"),
    *("sizes", "reach", "status", "user_types", "clauses", "decided", "decisions"),
    *("decision_counts", "next_message", "message_matrix", "outcomes", "messages"),
}
# What a statement of consent says.
_STATEMENT = ("contact_id", "channel", "purpose", "is_granted")
# What a payload may name beside columns.
VARIANT = "variant"
# What `segments.user_types` has, for an audience that gives the user type of every contact.
_USER_TYPE = ("contact_id", "stage", "persona", "segments", "next_message")
# What `segments.next_message` has, for an audience that gives the live messages of a channel.
_MESSAGE = ("message", "goal", "variant", "priority", "since", "send_after", "lasts_until")


def check_columns(graph: Graph, known: Known) -> Iterator[str]:
    """Compare every column that YAML names with those that are there; warn of descriptions only.

    Args:
        known: columns of models and seeds by id, None where they cannot be known.

    Raises:
        ProjectError: one is missing that something reads.
    """
    _check_contacts(graph, known)
    for seed in graph.project.seeds:
        _check_types(seed)
    described: list[nodes.Model | nodes.Seed] = [m.model for m in graph.models.values()]
    for node in [*described, *graph.project.seeds]:
        yield from _undescribed(graph, node, known)
    for test in graph.project.data_tests:
        if test.attached and test.column and not _may_have_more(graph, test.attached):
            _check(graph, test.attached, [("", test.column)], test, known)
    for unit_test in graph.project.unit_tests:
        if unit_test.id in graph.nodes:
            _check_unit_test(graph, unit_test, known)
    for audience in graph.project.audiences:
        _check_audience(graph, audience, known)
    contacts, consents = graph.find(CONTACTS), graph.find(CONSENTS)
    if consents:
        _check(graph, consents, [("", c) for c in _STATEMENT], graph.nodes[consents], known)
    for channel in graph.project.channels:
        wanted = [(".address", channel.address)]
        wanted += [(".reachable", channel.reachable)] if channel.reachable else []
        _check(graph, contacts, wanted, channel, known)
        _check_is_reachable(graph, channel)
    for goal in graph.project.goals:
        called = reference(goal.success.model) if goal.success else None
        if called:
            wanted = [(".success.model", name) for name in ("contact_id", "happened_at")]
            _check(graph, graph.target(called), wanted, goal, known)
    for message in graph.project.messages:
        wanted = [(".max_per_account", "account_id")] if message.max_per_account else []
        _check(graph, contacts, wanted, message, known)
        _check_message(graph, message, known)


def _check_is_reachable(graph: Graph, channel: nodes.Channel) -> None:
    """Whether what says that contacts are reachable is a boolean, where YAML says what it is."""
    columns = getattr(graph.nodes.get(str(graph.find(CONTACTS))), "columns", ())
    types = {lowered(column.name): column.data_type for column in columns}
    said = types.get(lowered(channel.reachable or ""))
    if said and not said.lower().startswith("bool"):
        raise ProjectError(
            f"`reachable` is true or false, and `{channel.reachable}` is {said}",
            place(channel, ".reachable"),
            f"add a column to `{CONTACTS}` that says whether this channel reaches one",
        )


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
            hint = did_you_mean(lowered(column), columns)
            message = f"`{graph.nodes[table].name}` has no column `{column}`"
            raise ProjectError(message, place(node, key), hint)


def check_segment(segment: ParsedModel, columns: Columns | None) -> None:
    """Raises ProjectError where it is not one row per contact, or has a name that is taken."""
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
    _check_guards(segment.config.guards, segment.said_at("guards.max_left"))


def _check_guards(guards: Guards, at: Location) -> None:
    share = str(guards.max_left)
    if share.endswith("%") and float(share[:-1]) > 100:
        message = f"`max_left` {share} never holds anything back: more than everybody cannot leave"
        raise ProjectError(message, at, "a share of members up to 100%, or a count")


def _check_contacts(graph: Graph, known: Known) -> None:
    """Memberships are of contacts, so segments need a table of them."""
    contacts = graph.find(CONTACTS)
    first = next(iter(graph.segments.values()), None)
    if first and contacts is None:
        raise ProjectError(
            f"the segment `{first.model.name}` needs a model `{CONTACTS}`, and there is none",
            Location(first.model.file, 1),
            f"add models/{CONTACTS}.sql: one row per contact, with a column `contact_id`",
        )
    columns = known.get(contacts) if first and contacts else None
    if contacts and columns is not None and "contact_id" not in columns:
        node = graph.nodes[contacts]
        raise ProjectError(
            f"the {node.kind} `{CONTACTS}` has no column `contact_id`, which segments need",
            Location(place(node).path, 1),
            did_you_mean("contact_id", columns) or f"`{CONTACTS}` has one row per contact_id",
        )


def _check_unit_test(graph: Graph, test: nodes.UnitTest, known: Known) -> None:
    """The columns of the rows that a test gives and expects, where its tables' are known."""
    model = graph.parents[test.id][0]
    _check(graph, model, _named_in(".expect.rows", test.expect), test, known)
    for index, given in enumerate(test.given):
        called = reference(given.input)
        table = graph.target(called) if called else model
        if not _may_have_more(graph, table):
            _check(graph, table, _named_in(f".given[{index}].rows", given), test, known)


def _named_in(at: str, said: GivenProperties | ExpectProperties) -> Iterator[tuple[str, str]]:
    """The columns that rows of a unit test name, each with its place."""
    if isinstance(said.rows, list):
        for index, row in enumerate(said.rows):
            yield from ((f"{at}[{index}].{name}", str(name)) for name in row)
    elif said.format == "csv":
        lines = str(said.rows or "").strip().splitlines()
        header = next(csv.reader(lines, skipinitialspace=True), [])
        yield from ((at, name.strip()) for name in header)


def _check_types(seed: nodes.Seed) -> None:
    """A word that DuckDB does not know may be a type of the user's own; nearly one is misspelt."""
    types = TYPES.split("|")
    for column, kind in seed.config.column_types.items():
        word = re.match(r"\s*(\w*)", kind.lower())
        near = did_you_mean(word[1], types) if word and word[1] not in types else None
        if near:
            where = place(seed, f".config.column_types.{column}")
            raise ProjectError(f"`{kind}` is no type", where, near)


def payload_columns(graph: Graph, audience: nodes.Audience) -> set[str]:
    """What an audience may ask of the payloads of its messages, as in `payload.template`."""
    messages = [graph.nodes[parent] for parent in graph.parents[audience.id]]
    found = [m.payload for m in messages if isinstance(m, nodes.Message)]
    return {f"payload.{key}".lower() for payload in found for key in payload}


def _check_message(graph: Graph, message: nodes.Message, known: Known) -> None:
    """The columns that payloads and `best_by` name, where all are known that there may be."""
    tables = [known.get(str(graph.find(CONTACTS)))]
    tables += [known.get(graph.segments[name].id) for name in message.segments]
    columns = {name for table in tables for name in table or ()}
    asked = [(f".payload.{key}", text) for key, text in message.payload.items()]
    if message.limit and message.limit.best_by:
        asked.append((".limit.best_by", f"{{{{ {message.limit.best_by} }}}}"))
    for key, text in asked:
        try:
            named = graph.project.cache.get(["payload", text], list[str], partial(_named_by, text))
        except ProjectError as error:
            error.location = place(message, key)
            raise
        for column in named:
            is_known = None in tables or column.lower() in columns
            if not is_known and not (column == VARIANT and message.variants):
                raise ProjectError(
                    f"neither its segments nor `{CONTACTS}` have a column `{column}`",
                    place(message, key),
                    did_you_mean(column, columns),
                )


def _named_by(template: str) -> list[str]:
    # Only payloads that are new are read with Jinja.
    from segflow.compile.payloads import columns_of

    return columns_of(template)


def _check_audience(graph: Graph, audience: nodes.Audience, known: Known) -> None:
    _check_guards(audience.guards, place(audience, ".guards.max_left"))
    tables = [known.get(str(graph.find(CONTACTS)))]
    tables += [known.get(graph.segments[name].id) for name in audience.segments]
    if None in tables:
        return
    columns = {name for table in tables for name in table or ()}
    columns |= set(_USER_TYPE if audience.user_types else ())
    if audience.messages:
        columns |= {*_MESSAGE, "decision_id", *payload_columns(graph, audience)}
    for key, column in [("key", audience.key), *((f"fields.{n}", c) for n, c in audience.fields)]:
        if lowered(column) not in columns:
            what = "messages" if audience.messages else "segments"
            raise ProjectError(
                f"the audience `{audience.name}` asks for `{column}`, which neither its {what}"
                " nor its contacts have",
                place(audience, f".{key}"),
                did_you_mean(lowered(column), columns),
            )
