"""The nodes of a project. Those that YAML says all of are the shapes of their YAML, too."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from msgspec import Struct, field

from segflow.errors import Location
from segflow.project import properties as said_as
from segflow.project.documents import locate
from segflow.project.properties import (
    ColumnProperties,
    Freshness,
    Guards,
    NodeConfig,
    Shape,
    check_duration,
    check_time,
    percent,
)

GOALS = (
    *("inform", "convert", "renew", "upsell", "cross_sell", "feedback", "content"),
    *("promote_feature", "promote_product"),
)
# For how long a message is live where neither it nor its channel says so.
_LASTS = {"email": "1d", "in_app": "7d", "customer_service": "30d"}


class Origin(Struct, frozen=True):
    """A place in a YAML file of the project, as `$.models[2]`."""

    path: Path
    pointer: str

    def location(self, below: str = "") -> Location:
        return locate(self.path, self.pointer + below)


# What a node has that nobody says: names that no key in YAML has.
_UNSAID = {name: f"({name})" for name in ("package", "path", "origin")}


class Node(Shape, frozen=True, kw_only=True, rename=_UNSAID):
    """What every node has. `path` is relative to the root of its `package`.

    `config` is what the node itself and its folders say.
    """

    kind: ClassVar[str] = ""
    name: str
    package: str = ""
    path: str = ""
    origin: Origin | None = None
    description: str = ""
    config: Any = NodeConfig()

    @property
    def tags(self) -> tuple[str, ...]:
        return tag_tuple(self.config.tags)

    @property
    def meta(self) -> dict[str, Any]:
        return dict(self.config.meta)

    @property
    def id(self) -> str:
        """dbt's unique id, as in `model.starter.contacts`."""
        return f"{self.kind}.{self.package}.{self.name}"

    def said(self) -> dict[str, Any]:
        """What it says by the keys of its YAML; what is only known of it left out."""
        return {key: value for key, value in by_key(self).items() if not key.startswith("(")}


# ── read from files, or declared with tests ───────────────────────────────────────────────────


class Model(Node, frozen=True, kw_only=True):
    """A SELECT in a file. `config` holds what folders and YAML say; the file may say more."""

    kind: ClassVar[str] = "model"
    file: Path
    text: str
    config: dict[str, Any] = {}
    columns: tuple[ColumnProperties, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        return tag_tuple(self.config.get("tags", ()))

    @property
    def meta(self) -> dict[str, Any]:
        return dict(self.config.get("meta", {}))


class Seed(Node, frozen=True, kw_only=True):
    """A CSV file that is loaded as a table: its first line, and a digest of all lines."""

    kind: ClassVar[str] = "seed"
    file: Path
    config: said_as.SeedConfig
    header: tuple[str, ...]
    digest: str
    columns: tuple[ColumnProperties, ...] = ()


class Source(Node, frozen=True, kw_only=True):
    """A table or file that somebody else writes; its `name` is `<source>.<table>`.

    `external_location` is what stands after FROM where the data is a file, else None.
    """

    kind: ClassVar[str] = "source"
    source_name: str
    table: str
    schema: str
    identifier: str
    external_location: str | None = None
    loaded_at_field: str | None = None
    freshness: Freshness | None = None
    columns: tuple[ColumnProperties, ...] = ()


class DataTest(Node, frozen=True, kw_only=True):
    """A query that returns the rows that are wrong.

    A generic test has `test`, `arguments` and the node it is `attached` to (with `column` perhaps);
    a singular one has `file` and `text`.
    """

    kind: ClassVar[str] = "test"
    config: said_as.DataTestConfig
    test: str | None = None
    arguments: dict[str, Any] = {}
    attached: str | None = None
    column: str | None = None
    file: Path | None = None
    text: str = ""


class Destination(Node, frozen=True, kw_only=True):
    """`settings` are the destination type's own keys, decoded by its plug-in."""

    kind: ClassVar[str] = "destination"
    type: str
    settings: dict[str, Any] = {}


class Gap(Node, frozen=True, kw_only=True):
    """A goal that is meant to have no message on a `channel`, or a user type to have none."""

    kind: ClassVar[str] = "allow_empty"
    channel: str | None


class MacroFile(Struct, frozen=True):
    package: str
    file: Path
    text: str


# ── said in YAML ──────────────────────────────────────────────────────────────────────────────


class Said(Node, frozen=True, kw_only=True):
    """A node that has no file of its own."""

    said_meta: dict[str, Any] = field(name="meta", default_factory=dict)
    config: NodeConfig = NodeConfig()


class UnitTest(Said, frozen=True, kw_only=True):
    kind: ClassVar[str] = "unit_test"
    model: str
    given: list[said_as.GivenProperties]
    expect: said_as.ExpectProperties
    overrides: said_as.Overrides = said_as.Overrides()


class Persona(Said, frozen=True, kw_only=True):
    kind: ClassVar[str] = "persona"
    segment: str
    title: str = field(name="label", default="")

    @property
    def label(self) -> str:
        return self.title or self.name


class Goal(Said, frozen=True, kw_only=True):
    kind: ClassVar[str] = "goal"
    success: said_as.Success | None = None


class Purpose(Said, frozen=True, kw_only=True):
    kind: ClassVar[str] = "purpose"
    basis: Literal["consent", "opt_out", "contract"] = "consent"

    @property
    def is_contract(self) -> bool:
        """Whether it is owed: then only an address that is no good keeps a message back."""
        return self.basis == "contract"


class FrequencyCap(Shape, frozen=True):
    """At most `count` messages in `per` calendar days of the contact, of a goal or tag or all."""

    count: int
    per: str
    goal: str | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("a cap has a `count` of at least 1; to send nothing, drop the channel")
        if not re.fullmatch(r"[1-9]\d*d", self.per):
            raise ValueError(f"`per` is a number of days as in 7d, not `{self.per}`")
        check_duration("per", self.per)
        if self.goal and self.tag:
            raise ValueError("a cap is of a `goal` or of a `tag`: write two")

    @property
    def days(self) -> int:
        return int(self.per[:-1])

    @property
    def window(self) -> str:
        kind = self.goal or self.tag
        return f"in {self.per}{f' of {kind}' if kind else ''}"


class Channel(Said, frozen=True, kw_only=True):
    """`address` and `reachable` are columns of ref('contacts').

    `suppress_for` has the goals that members of a segment get no message for. A message is live for
    as long as it `lasts`, unless it says so itself.
    """

    kind: ClassVar[str] = "channel"
    address: str
    reachable: str | None = None
    suppress: tuple[str, ...] = ()
    suppress_for: dict[str, list[str]] = {}
    consent: Literal["required", "none"] = "required"
    frequency_cap: tuple[FrequencyCap, ...] = ()
    quiet_hours: said_as.QuietHours | None = None
    said_to_last: str | None = field(name="lasts", default=None)

    def __post_init__(self) -> None:
        check_duration("lasts", self.said_to_last)

    @property
    def lasts(self) -> str:
        return self.said_to_last or _LASTS.get(self.name, "1d")

    @property
    def needs_consent(self) -> bool:
        return self.consent == "required"


class Limit(Shape, frozen=True):
    """How many contacts get a message, best first by a column of theirs or of the evidence."""

    per_run: int | None = None
    per_day: int | None = None
    total: int | None = None
    best_by: str | None = None

    def __post_init__(self) -> None:
        counts = (self.per_run, self.per_day, self.total)
        if not any(counts) or any(count is not None and count < 1 for count in counts):
            raise ValueError("a limit has `per_run`, `per_day` or `total`, each at least 1")


class Message(Said, frozen=True, kw_only=True):
    """A goal for segments on some channels. Lengths of time are written as in `12h`.

    `channels` are in order of preference: the first that reaches a contact, unless
    `on_all_channels`. `holdout` is in percent. `payload` has a Jinja template for each key.
    """

    kind: ClassVar[str] = "message"
    goal: str
    segment: str | list[str]
    channels: tuple[str, ...]
    priority: int
    exclude: tuple[str, ...] = ()
    deliver: Literal["first", "all"] = "first"
    purpose: str = "marketing"
    cooldown: str | None = None
    goal_cooldown: str | None = None
    after: said_as.After | None = None
    lasts: str | None = None
    active: said_as.Active = said_as.Active()
    send_at: str | None = None
    limit: Limit | None = None
    max_per_contact: int | None = None
    max_per_account: int | None = None
    share_held_out: str = field(name="holdout", default="0%")
    variants: tuple[said_as.Variant, ...] = ()
    values: dict[str, str | int | float | bool] = field(name="payload", default_factory=dict)
    said_tags: str | list[str] = field(name="tags", default_factory=list)

    def __post_init__(self) -> None:
        for name in ("cooldown", "goal_cooldown", "lasts"):
            check_duration(name, getattr(self, name))
        check_time("send_at", self.send_at)
        if self.holdout == 100:
            raise ValueError("a `holdout` of 100% holds everybody out: disable the message instead")
        for key, listed in (("channels", self.channels), ("segment", self.segments)):
            if not all(listed) or not listed:
                raise ValueError(f"`{key}`: a message has at least one segment and one channel")
            if twice := [name for name in listed if listed.count(name) > 1]:
                raise ValueError(f"in `{key}`, `{twice[0]}` is named twice")
        if not 0 <= self.priority <= 100:
            raise ValueError(f"`priority` is from 0 to 100, not {self.priority}")
        for name in ("max_per_contact", "max_per_account"):
            said = getattr(self, name)
            if said is not None and said < 1:
                raise ValueError(f"`{name}` is at least 1")
        names, weights = [v.name for v in self.variants], [v.weight for v in self.variants]
        if weights and sum(weights) != 100:
            raise ValueError(f"the weights of `variants` add up to 100, not {sum(weights)}")
        if len(set(names)) < len(names):
            raise ValueError("in `variants`, two variants have one name")
        if "" in self.values:
            raise ValueError("in `payload`, a value has no key: name what the template calls it")

    @property
    def segments(self) -> tuple[str, ...]:
        return (self.segment,) if isinstance(self.segment, str) else tuple(self.segment)

    @property
    def on_all_channels(self) -> bool:
        return self.deliver == "all"

    @property
    def holdout(self) -> float:
        return percent("holdout", self.share_held_out)

    @property
    def payload(self) -> dict[str, str]:
        return {key: str(value) for key, value in self.values.items()}


class Holdout(Shape, frozen=True):
    """The control group: who gets no message, so that others can be compared with them."""

    percent: float
    salt: str
    unit: Literal["contact", "account"] = "contact"

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 50:
            raise ValueError(f"`percent` is from 0 to 50, not {self.percent}")


class Audience(Said, frozen=True, kw_only=True):
    """The members of `segments`, or everybody's `user_types`, or the live `messages` of a channel.

    `fields` pairs the tool's names with columns, in the order of the file.
    """

    kind: ClassVar[str] = "audience"
    channel: str
    destination: str
    key: str
    named: dict[str, str | said_as.FieldProperties] = field(name="fields")
    goal: str | None = None
    purpose: str = "marketing"
    segments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    user_types: Literal["all"] | None = None
    messages: Literal["all"] | tuple[str, ...] = ()
    said_guards: Guards = field(name="guards", default_factory=Guards)
    config: said_as.AudienceConfig = said_as.AudienceConfig()

    @property
    def guards(self) -> Guards:
        return self.config.guards

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        columns = ((n, c if isinstance(c, str) else c.column) for n, c in self.named.items())
        return tuple(columns)


def tag_tuple(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Tags in their order, each once."""
    return tuple(dict.fromkeys([tags] if isinstance(tags, str) else tags))


def by_key(said: Struct) -> dict[str, Any]:
    """The values of a struct by their keys in YAML."""
    names = zip(said.__struct_encode_fields__, said.__struct_fields__, strict=True)
    return {key: getattr(said, name) for key, name in names}
