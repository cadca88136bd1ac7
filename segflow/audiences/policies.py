"""A message on a channel in; the reasons for which a candidate does not get it, in order, out.

The first policy that holds a candidate is its reason. Those with a condition look at one candidate
alone; the others weigh candidates against each other, which `decisions` does. Held out comes last:
who is held out would have been sent this message now, so that both groups went through one filter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from segflow.audiences.permission import HELD, OF_WHAT
from segflow.compile.relations import interval, literal
from segflow.project.nodes import Channel, FrequencyCap, Message, Purpose


@dataclass(frozen=True)
class Question:
    """A message on a channel at a moment.

    `moment` is SQL, `today` the project's day; `behind` names what is not up to date of all that
    the message reads; `missing` is SQL that lists the keys of the payload without a value.
    """

    message: Message
    channel: Channel
    purpose: Purpose
    moment: str
    today: date
    behind: tuple[str, ...]
    missing: str
    caps: tuple[int, ...]


# SQL that is true where the policy holds a candidate, and SQL of the detail to keep, both over the
# tables of `candidates`; None where it has nothing to say of a message.
Holds = Callable[[Question], tuple[str, str] | None]


@dataclass(frozen=True)
class Policy:
    """A reason to hold a candidate.

    `counted` is what stands beside a number of such candidates, `says` the sentence for people, in
    which `{detail}` is what was kept, `needs` what would have to change.
    """

    reason: str
    counted: str
    says: str
    needs: str
    holds: Holds | None = None


def _held_back(asked: Question) -> tuple[str, str] | None:
    return ("true", literal(", ".join(asked.behind))) if asked.behind else None


def _inactive(asked: Question) -> tuple[str, str] | None:
    start, until = asked.message.active.start, asked.message.active.until
    if start and asked.today < start:
        return "true", literal(f"from {start} on")
    return ("true", literal(f"until {until}")) if until and asked.today > until else None


def _excluded(asked: Question) -> tuple[str, str] | None:
    return ("excluded.segment is not null", "excluded.segment") if asked.message.exclude else None


def _unknown(_: Question) -> tuple[str, str]:
    return "members.who is null", "''"


def _permission(reason: str, detail: Callable[[Question], str]) -> Holds:
    return lambda asked: (f"members.{HELD} = {literal(reason)}", detail(asked))


def _address(asked: Question) -> str:
    return literal(asked.channel.address)


def _refused(asked: Question) -> str:
    never = literal(f"has not agreed to {asked.purpose.name}")
    return f"coalesce('has refused ' || members.{OF_WHAT}, {never})"


def _already_live(_: Question) -> tuple[str, str]:
    return "live.live is not null", since("live")


def since(live: str) -> str:
    """SQL that says since when a contact has a message, or is held out of it."""
    said = f"case {live}.action when 'send' then 'has it' else 'is held out of it' end"
    return f"{said} || ' since ' || cast({live}.as_of as date)"


def _no_payload(asked: Question) -> tuple[str, str] | None:
    return (f"{asked.missing} != ''", asked.missing) if asked.message.payload else None


def _cooldown(asked: Question) -> tuple[str, str] | None:
    rests = [
        ("own", "it", asked.message.cooldown),
        ("same_goal", "its goal", asked.message.goal_cooldown),
    ]
    found = {
        f"{table}.last_at > {asked.moment} - {interval(rest)}": (
            f"{literal(f'{rest} after {what} on ')} || cast({table}.last_at as date)"
        )
        for table, what, rest in rests
        if rest
    }
    whens = " ".join(f"when {condition} then {detail}" for condition, detail in found.items())
    return (" or ".join(found), f"case {whens} end") if found else None


def _after(asked: Question) -> tuple[str, str] | None:
    after = asked.message.after
    if after is None:
        return None
    text = literal(f"{after.at_least} after {after.message}")
    return "(earlier.last_at >= members.entered_at) is not true", text


def _over_max_per_contact(asked: Question) -> tuple[str, str] | None:
    most = asked.message.max_per_contact
    return (f"own.times >= {most}", literal(f"{most} for each contact")) if most else None


def _frequency_cap(asked: Question) -> tuple[str, str] | None:
    caps = asked.channel.frequency_cap
    found = {f"list_contains(capped.caps, {n})": literal(_cap(caps[n])) for n in asked.caps}
    reached = ", ".join(f"case when {condition} then {cap} end" for condition, cap in found.items())
    return (" or ".join(found), f"concat_ws(' and ', {reached})") if found else None


def _cap(cap: FrequencyCap) -> str:
    return f"{cap.count} {cap.window}"


def counts(cap: FrequencyCap, goal: str, tags: Sequence[str]) -> bool:
    """Whether a cap is one on messages of a goal, with such tags."""
    if cap.goal:
        return cap.goal == goal
    return cap.tag in tags if cap.tag else True


def used(cap: FrequencyCap, day: str) -> str:
    """SQL that counts, of exposures called `past`, what a cap counts on a day."""
    return (
        f"count(*) filter (where past.local_date > {day} - {cap.days}"
        + (f" and past.goal = {literal(cap.goal)}" if cap.goal else "")
        + (f" and list_contains(past.tags, {literal(cap.tag)})" if cap.tag else "")
        + ")"
    )


POLICIES = (
    Policy(
        "held_back",
        "wait for what is late or failed",
        "waits for {detail}, which is not up to date",
        "that is up to date",
        _held_back,
    ),
    Policy("inactive", "not on its days", "runs {detail}", "it is one of its days", _inactive),
    Policy(
        "excluded",
        "excluded",
        "is in {detail}, which the message leaves out",
        "she has left that segment",
        _excluded,
    ),
    Policy(
        "unknown_contact",
        "not in contacts",
        "is none of our contacts",
        "she is one",
        _unknown,
    ),
    Policy(
        "no_address",
        "no address",
        "has no {detail}",
        "there is an address",
        _permission("no_address", _address),
    ),
    Policy(
        "unreachable",
        "unreachable",
        "is not to be reached there",
        "the address is good, for all who have it",
        _permission("unreachable", lambda _: "''"),
    ),
    Policy(
        "suppressed",
        "suppressed",
        "is in {detail}, and gets none",
        "she, and whoever shares her address, has left that segment",
        _permission("suppressed", lambda _: f"members.{OF_WHAT}"),
    ),
    Policy(
        "no_consent",
        "no consent",
        "{detail}",
        "she agrees, refuses nothing, and nor does anybody with her address",
        _permission("no_consent", _refused),
    ),
    Policy(
        "already_live",
        "already live",
        "{detail}",
        "that is over",
        _already_live,
    ),
    Policy(
        "no_payload",
        "no payload value",
        "there is no value for {detail}",
        "there is one, or the message says what stands in its place",
        _no_payload,
    ),
    Policy("cooldown", "in cooldown", "waits {detail}", "that time has passed", _cooldown),
    Policy(
        "after",
        "too soon after another",
        "gets it no sooner than {detail}",
        "she has had that one for as long, since she came into the segment",
        _after,
    ),
    Policy(
        "frequency_cap",
        "frequency cap",
        "its address is at the cap of {detail}, with what it was held out of",
        "some of these are longer ago",
        _frequency_cap,
    ),
    Policy(
        "preferred_channel",
        "on a preferred channel",
        "{detail} comes before it, and can reach her",
        "it cannot reach her there, or goes out by all its channels",
    ),
    Policy(
        "lost",
        "get another message",
        "{detail}",
        "its place is free: what is live keeps it, what is not gives way to a higher priority",
    ),
    Policy(
        "limit",
        "over the message's limit",
        "is over the limit: {detail}",
        "the limit has room for her, which one in total never has again",
        _over_max_per_contact,
    ),
    Policy(
        "control_group",
        "control group",
        "is in the control group",
        "the project has another control group: nobody moves in or out of this one",
    ),
    Policy(
        "holdout",
        "held out of the message",
        "is held out to see what the message does: {detail}",
        "another message stands for it: nobody moves in or out of this draw",
    ),
)
# What stands beside a number of candidates, by reason; the last two are of audiences alone.
COUNTED = {policy.reason: policy.counted for policy in POLICIES} | {
    "no_key": "no key",
    "same_key": "share a key with another",
}
NEEDS = {policy.reason: policy.needs for policy in POLICIES}
