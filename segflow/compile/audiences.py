"""Personas, goals, purposes, channels, messages, audiences and destinations in, what each of them
reads in the graph out."""

from collections.abc import Iterable

from segflow.compile.graph import CONSENTS, CONTACTS, Graph, reference
from segflow.errors import ProjectError, did_you_mean
from segflow.project import nodes
from segflow.project.load import place
from segflow.project.nodes import GOALS, Node


def connect_audiences(graph: Graph) -> None:
    """Add these nodes, and what each one reads.

    Raises:
        ProjectError: one of them names what there is not, or asks for what cannot be.
    """
    project = graph.project
    for group in (
        project.goals,
        project.purposes,
        project.destinations,
        project.personas,
        project.channels,
        project.messages,
        project.audiences,
    ):
        graph.add(group)
    contacts = graph.find(CONTACTS)
    tags = {tag for message in project.messages for tag in message.tags}
    for persona in project.personas:
        graph.parents[persona.id] = (_segment(graph, persona.segment, persona, ".segment"),)
    for goal in project.goals:
        graph.parents[goal.id] = _success(graph, goal)
    for channel in project.channels:
        found = [contacts] if contacts else []
        found += _segments(graph, channel.suppress, channel, ".suppress")
        found += _segments(graph, channel.suppress_for, channel, ".suppress_for", by_name=True)
        for segment, goals in channel.suppress_for.items():
            for index, name in enumerate(goals):
                _check_goal(graph, name, channel, f".suppress_for.{segment}[{index}]")
        for index, cap in enumerate(channel.frequency_cap):
            if cap.goal:
                _check_goal(graph, cap.goal, channel, f".frequency_cap[{index}].goal")
            if cap.tag and cap.tag not in tags:
                raise ProjectError(
                    f"no message has the tag `{cap.tag}`, so that this cap never counts",
                    place(channel, f".frequency_cap[{index}].tag"),
                    did_you_mean(cap.tag, tags),
                )
        graph.parents[channel.id] = tuple(dict.fromkeys(found))
    for gap in project.gaps:
        _check_goal(graph, gap.goal, gap, "")
        _named(graph, "channel", gap.channel, project.channels, gap)
    for message in project.messages:
        graph.parents[message.id] = _read_by_message(graph, message)
    _check_order(project.messages)
    for audience in project.audiences:
        _connect_audience(graph, audience)


def _success(graph: Graph, goal: nodes.Goal) -> tuple[str, ...]:
    if goal.success is None:
        return ()
    at = place(goal, ".success.model")
    called = reference(goal.success.model)
    if called is None:
        message = f"`{goal.success.model}` is no model: write ref('…')"
        raise ProjectError(message, at)
    try:
        return (graph.target(called),)
    except ProjectError as error:
        error.location = at
        raise


def _read_by_message(graph: Graph, message: nodes.Message) -> tuple[str, ...]:
    project = graph.project
    contacts = _contacts(graph, message)
    _check_goal(graph, message.goal, message, ".goal")
    purpose = _named(graph, "purpose", message.purpose, project.purposes, message)
    found = [*contacts, purpose]
    found += _segments(graph, message.segments, message, ".segment")
    found += _segments(graph, message.exclude, message, ".exclude")
    found += [goal.id for goal in project.goals if goal.name == message.goal]
    for index, name in enumerate(message.channels):
        found.append(_named(graph, "channel", name, project.channels, message, f"s[{index}]"))
    if message.after:
        others = [other.name for other in project.messages if other.name != message.name]
        if message.after.message not in others:
            raise _unknown(
                graph, "message", message.after.message, others, message, ".after.message"
            )
    basis = next(p for p in project.purposes if p.name == message.purpose)
    if basis.is_contract and message.holdout:
        raise ProjectError(
            f"`{message.name}` is owed by contract, and nobody can be held out of it",
            place(message, ".holdout"),
            "drop `holdout`, or choose another purpose",
        )
    return tuple(dict.fromkeys(found))


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


def _contacts(graph: Graph, node: nodes.Message | nodes.Audience) -> list[str]:
    contacts, consents = graph.find(CONTACTS), graph.find(CONSENTS)
    if contacts is None:
        raise ProjectError(
            f"the {node.kind} `{node.name}` needs a model `{CONTACTS}`, and there is none",
            place(node),
        )
    return [contacts, *([consents] if consents else [])]


def _connect_audience(graph: Graph, audience: nodes.Audience) -> None:
    project = graph.project
    if audience.goal is not None:
        _check_goal(graph, audience.goal, audience, ".goal")
    found = _contacts(graph, audience)
    if bool(audience.segments) + bool(audience.user_types) + bool(audience.messages) != 1:
        raise ProjectError(
            f"the audience `{audience.name}` has one of `segments`, `user_types: all`, `messages`",
            place(audience),
        )
    found += _segments(graph, audience.segments, audience, ".segments")
    found += _segments(graph, audience.exclude, audience, ".exclude")
    if audience.user_types:
        found += [parsed.id for parsed in graph.segments.values()]
        found += [persona.id for persona in project.personas]
    if audience.messages:
        found += _messages_of(graph, audience)
    found.append(_named(graph, "channel", audience.channel, project.channels, audience))
    found.append(_named(graph, "purpose", audience.purpose, project.purposes, audience))
    destination = _named(graph, "destination", audience.destination, project.destinations, audience)
    graph.parents[audience.id] = tuple(dict.fromkeys(found))
    graph.parents[destination] = (*graph.parents[destination], audience.id)


def _messages_of(graph: Graph, audience: nodes.Audience) -> list[str]:
    """The ids of the messages whose live ones an audience holds."""
    sent = [m for m in graph.project.messages if audience.channel in m.channels]
    if audience.messages == "all":
        return [message.id for message in sent]
    found = []
    for index, name in enumerate(audience.messages):
        node = next((m for m in sent if m.name == name), None)
        if node is None:
            where = f".messages[{index}]"
            raise _unknown(graph, "message", name, [m.name for m in sent], audience, where)
        found.append(node.id)
    return found


def _check_goal(graph: Graph, name: str, node: Node, key: str) -> None:
    goals = {*GOALS, *(goal.name for goal in graph.project.goals)}
    if name not in goals:
        raise _unknown(graph, "goal", name, goals, node, key)


def _segment(graph: Graph, name: str, node: Node, key: str) -> str:
    if name in graph.segments:
        return graph.segments[name].id
    raise _unknown(graph, "segment", name, graph.segments, node, key)


def _segments(
    graph: Graph, names: Iterable[str], node: Node, key: str, by_name: bool = False
) -> list[str]:
    return [
        _segment(graph, name, node, f"{key}.{name}" if by_name else f"{key}[{i}]")
        for i, name in enumerate(names)
    ]


def _named(
    graph: Graph, kind: str, name: str, group: Iterable[Node], node: Node, below: str = ""
) -> str:
    for other in group:
        if other.name == name:
            return other.id
    raise _unknown(graph, kind, name, [n.name for n in group], node, f".{kind}{below}")


def _unknown(
    graph: Graph, kind: str, name: str, names: Iterable[str], node: Node, key: str
) -> ProjectError:
    where = place(node, key)
    model = graph.find(name) if kind == "segment" else None
    if graph.is_disabled("model" if kind == "segment" else kind, name):
        return ProjectError(f"the {kind} `{name}` is disabled", where, "enable it, or name another")
    if model:
        says = "a segment is a model that is materialized as one: +materialized: segment"
        return ProjectError(f"`{name}` is not a segment", where, says)
    known = sorted(names)
    hint = did_you_mean(name, known)
    if hint is None:
        hint = f"there is: {', '.join(known[:12])}" if known else f"the project has no {kind} yet"
    return ProjectError(f"unknown {kind} `{name}`", where, hint)
