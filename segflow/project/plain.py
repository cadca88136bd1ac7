"""What YAML says of personas, goals, purposes, channels, messages and audiences in, nodes out."""

from collections.abc import Callable
from typing import Any

from segflow.project import nodes
from segflow.project.nodes import Node
from segflow.project.properties import AudienceProperties, ChannelProperties, MessageProperties

# For how long a message is live where neither it nor its channel says so.
_LASTS = {"email": "1d", "in_app": "7d", "customer_service": "30d"}


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
        messages=("all",) if said.messages == "all" else tuple(said.messages),
        channel=said.channel,
        purpose=said.purpose,
        destination=said.destination,
        key=said.key,
        fields=tuple(columns.items()),
    )


def _channel(said: ChannelProperties, common: dict[str, Any], _: int) -> nodes.Channel:
    return nodes.Channel(
        **common,
        address=said.address,
        reachable=said.reachable,
        suppress=tuple(said.suppress),
        suppress_for=said.suppress_for,
        needs_consent=said.consent == "required",
        frequency_cap=tuple(said.frequency_cap),
        quiet_hours=said.quiet_hours,
        lasts=said.lasts or _LASTS.get(said.name, "1d"),
    )


def _message(said: MessageProperties, common: dict[str, Any], _: int) -> nodes.Message:
    return nodes.Message(
        **common | {"tags": nodes.tag_tuple(list(common["tags"]), said.tags)},
        goal=said.goal,
        segments=(said.segment,) if isinstance(said.segment, str) else tuple(said.segment),
        exclude=tuple(said.exclude),
        channels=tuple(said.channels),
        on_all_channels=said.deliver == "all",
        purpose=said.purpose,
        priority=said.priority,
        cooldown=said.cooldown,
        goal_cooldown=said.goal_cooldown,
        after=said.after,
        lasts=said.lasts,
        active=said.active,
        send_at=said.send_at,
        limit=said.limit,
        max_per_contact=said.max_per_contact,
        max_per_account=said.max_per_account,
        holdout=nodes.percent("holdout", said.holdout),
        variants=tuple(said.variants),
        payload={key: str(value) for key, value in said.payload.items()},
    )


# Each takes the entry, what every node has, and how many of its kind were read before it.
PLAIN: dict[str, Callable[[Any, dict[str, Any], int], Node]] = {
    "personas": lambda said, common, position: nodes.Persona(
        **common, label=said.label or said.name, segment=said.segment, position=position
    ),
    "goals": lambda said, common, _: nodes.Goal(**common, success=said.success),
    "purposes": lambda said, common, _: nodes.Purpose(**common, basis=said.basis),
    "channels": _channel,
    "messages": _message,
    "audiences": _audience,
}
