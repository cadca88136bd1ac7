"""What YAML says of personas, goals, purposes, channels and audiences in, their nodes out."""

from collections.abc import Callable
from typing import Any

from segflow.project import nodes
from segflow.project.nodes import Node
from segflow.project.properties import AudienceProperties


def _audience(said: AudienceProperties, common: dict[str, Any], _: int) -> nodes.Audience:
    columns = {
        name: entry if isinstance(entry, str) else entry.column
        for name, entry in said.fields.items()
    }
    return nodes.Audience(
        **common,
        goal=said.goal,
        segments=tuple(said.segments),
        exclude=tuple(said.exclude),
        user_types=said.user_types == "all",
        channel=said.channel,
        purpose=said.purpose,
        destination=said.destination,
        key=said.key,
        fields=tuple(columns.items()),
    )


# Each takes the entry, what every node has, and how many of its kind were read before it.
PLAIN: dict[str, Callable[[Any, dict[str, Any], int], Node]] = {
    "personas": lambda said, common, position: nodes.Persona(
        **common, label=said.label or said.name, segment=said.segment, position=position
    ),
    "goals": lambda said, common, _: nodes.Goal(**common),
    "purposes": lambda said, common, _: nodes.Purpose(**common, basis=said.basis),
    "channels": lambda said, common, _: nodes.Channel(
        **common,
        address=said.address,
        reachable=said.reachable,
        suppress=tuple(said.suppress),
        needs_consent=said.consent == "required",
    ),
    "audiences": _audience,
}
