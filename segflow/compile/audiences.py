"""Personas, goals, purposes, channels, messages, audiences and destinations in, what each of them
reads in the graph out."""

from collections.abc import Iterable, Iterator

from segflow.compile.graph import CONSENTS, CONTACTS, Graph, reference
from segflow.errors import ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import place
from segflow.project.nodes import GOALS, Node

# What a node names: a kind, a name of that kind, and the key of YAML that says so.
Named = tuple[str, str, str]
# Kinds of which a node not only names some, but reads them.
_READS = {
    "persona": ("segment",),
    "channel": ("segment",),
    "message": ("goal", "purpose", "segment", "channel"),
    "audience": ("segment", "message", "channel", "purpose"),
}


def connect_audiences(graph: Graph) -> None:
    """Add these nodes, and what each one reads.

    Raises:
        ProjectError: one of them names what there is not, or asks for what cannot be.
    """
    project = graph.project
    graph.add([*project.goals, *project.purposes, *project.destinations, *project.personas])
    graph.add([*project.channels, *project.messages, *project.audiences])
    known = {
        "goal": {**dict.fromkeys(GOALS, ""), **_ids(project.goals)},
        "purpose": _ids(project.purposes),
        "channel": _ids(project.channels),
        "destination": _ids(project.destinations),
        "segment": {name: segment.id for name, segment in graph.segments.items()},
        "tag": dict.fromkeys((tag for message in project.messages for tag in message.tags), ""),
    }
    reading = [*project.personas, *project.goals, *project.channels, *project.gaps]
    for node in (*reading, *project.messages, *project.audiences):
        found = [*_read(graph, node)]
        for kind, name, key in _named(node):
            ids = _messages(graph, node) if kind == "message" else known[kind]
            if name not in ids:
                raise _unknown(graph, kind, name, ids, node, key)
            if kind in _READS.get(node.kind, ()):
                found.append(ids[name])
        _check(graph, node)
        if not isinstance(node, nodes.Gap):
            graph.parents[node.id] = tuple(dict.fromkeys(filter(None, found)))
    _check_order(project.messages)
    for audience in project.audiences:
        destination = known["destination"][audience.destination]
        graph.parents[destination] = (*graph.parents[destination], audience.id)


def _ids(group: Iterable[Node]) -> dict[str, str]:
    return {node.name: node.id for node in group}


def _read(graph: Graph, node: Node) -> Iterator[str]:
    """The ids of models that a node reads without naming them, or by `ref`."""
    contacts, consents = graph.find(CONTACTS), graph.find(CONSENTS)
    if isinstance(node, nodes.Goal) and node.success:
        yield _success(graph, node, node.success.model)
    if isinstance(node, nodes.Channel) and contacts:
        yield contacts
    if isinstance(node, nodes.Message | nodes.Audience):
        if contacts is None:
            raise ProjectError(
                f"the {node.kind} `{node.name}` needs a model `{CONTACTS}`, and there is none",
                place(node),
            )
        yield contacts
        yield from [consents] if consents else []
    if isinstance(node, nodes.Audience) and node.user_types:
        yield from (parsed.id for parsed in graph.segments.values())
        yield from (persona.id for persona in graph.project.personas)
    if isinstance(node, nodes.Audience) and node.messages == "all":
        yield from _messages(graph, node).values()


def _messages(graph: Graph, node: Node) -> dict[str, str]:
    """The messages that a node can name: others than itself, those of an audience's channel."""
    channel = node.channel if isinstance(node, nodes.Audience) else None
    others = (m for m in graph.project.messages if m is not node)
    return _ids(m for m in others if channel is None or channel in m.channels)


def _success(graph: Graph, goal: nodes.Goal, model: str) -> str:
    at = place(goal, ".success.model")
    called = reference(model)
    if called is None:
        raise ProjectError(f"`{model}` is no model: write ref('…')", at)
    try:
        return graph.target(called)
    except ProjectError as error:
        error.location = at
        raise


def _named(node: Node) -> Iterator[Named]:
    """What a node names."""
    if isinstance(node, nodes.Persona):
        yield "segment", node.segment, ".segment"
    elif isinstance(node, nodes.Channel):
        yield from _listed("segment", node.suppress, ".suppress")
        for segment, goals in node.suppress_for.items():
            yield "segment", segment, f".suppress_for.{segment}"
            yield from _listed("goal", goals, f".suppress_for.{segment}")
        for index, cap in enumerate(node.frequency_cap):
            for kind, name in (("goal", cap.goal), ("tag", cap.tag)):
                if name:
                    yield kind, name, f".frequency_cap[{index}].{kind}"
    elif isinstance(node, nodes.Gap):
        # Which stages there are is known from the data only.
        if node.channel is not None:
            yield "goal", node.name, ""
            yield "channel", node.channel, ".channel"
    elif isinstance(node, nodes.Message):
        yield "goal", node.goal, ".goal"
        yield "purpose", node.purpose, ".purpose"
        yield from _listed("segment", node.segments, ".segment")
        yield from _listed("segment", node.exclude, ".exclude")
        yield from _listed("channel", node.channels, ".channels")
        if node.after:
            yield "message", node.after.message, ".after.message"
    elif isinstance(node, nodes.Audience):
        yield from [("goal", node.goal, ".goal")] if node.goal else []
        yield from _listed("segment", node.segments, ".segments")
        yield from _listed("segment", node.exclude, ".exclude")
        yield from _listed("message", () if node.messages == "all" else node.messages, ".messages")
        for kind in ("channel", "purpose", "destination"):
            yield kind, getattr(node, kind), f".{kind}"


def _listed(kind: str, names: Iterable[str], key: str) -> Iterator[Named]:
    return ((kind, name, f"{key}[{index}]") for index, name in enumerate(names))


def _check(graph: Graph, node: Node) -> None:
    """What one key of a node says against another."""
    if isinstance(node, nodes.Audience):
        holds = [node.segments, node.user_types, node.messages]
        if len([*filter(None, holds)]) != 1:
            raise ProjectError(
                f"the audience `{node.name}` has one of `segments`, `user_types: all`, `messages`",
                place(node),
            )
    if isinstance(node, nodes.Message) and node.holdout:
        basis = next(p for p in graph.project.purposes if p.name == node.purpose)
        if basis.is_contract:
            raise ProjectError(
                f"`{node.name}` is owed by contract, and nobody can be held out of it",
                place(node, ".holdout"),
                "drop `holdout`, or choose another purpose",
            )


def _check_order(messages: Iterable[nodes.Message]) -> None:
    """No message waits for another that waits for it."""
    before = {m.name: m.after.message for m in messages if m.after}
    for message in messages:
        chain = [message.name]
        while (name := before.get(chain[-1])) and name not in chain:
            chain.append(name)
        if name == message.name:
            told = " after ".join([*chain, name])
            raise ProjectError(
                f"these messages wait for each other: {told}",
                place(message, ".after.message"),
                "drop `after` from one of them",
            )


def _unknown(
    graph: Graph, kind: str, name: str, names: Iterable[str], node: Node, key: str
) -> ProjectError:
    where, known = place(node, key), sorted(names)
    if graph.is_disabled("model" if kind == "segment" else kind, name):
        return ProjectError(f"the {kind} `{name}` is disabled", where, "enable it, or name another")
    if kind == "segment" and graph.find(name):
        says = "a segment is a model that is materialized as one: +materialized: segment"
        return ProjectError(f"`{name}` is not a segment", where, says)
    hint = did_you_mean(name, known)
    if node.kind == "message" and name == node.name:
        hint = "name the message that comes before it, or drop `after`"
        return ProjectError(f"the message `{name}` waits for itself", where, hint)
    if isinstance(node, nodes.Audience) and kind == "message":
        theirs = [m.channels for m in graph.project.messages if m.name == name]
        if theirs:
            message = f"the message `{name}` goes by {', '.join(theirs[0])}, not by {node.channel}"
            hint = f"drop it, or give it the channel `{node.channel}`"
            return ProjectError(message, where, hint)
    if kind == "tag":
        message = f"no message has the tag `{name}`, so that this cap never counts"
        return ProjectError(message, where, hint)
    otherwise = f"there is: {', '.join(known[:12])}" if known else f"the project has no {kind} yet"
    return ProjectError(f"unknown {kind} `{name}`", where, hint or otherwise)
