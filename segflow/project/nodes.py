"""What a project is made of: the shapes of its YAML, and the nodes read from its files.

Structs that end in `Properties` or `Config` are YAML shapes with strict keys. The others are nodes.
A node's `origin` says which place in which YAML file speaks of it.
"""

import re
from datetime import date
from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from segflow.errors import Location
from segflow.project.documents import locate

GOALS = (
    *("inform", "convert", "renew", "upsell", "cross_sell", "feedback", "content"),
    *("promote_feature", "promote_product"),
)

Severity = Literal["error", "warn", "ERROR", "WARN"]
Tree = dict[str, Any]


class Shape(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A mapping in YAML that takes just these keys."""


# ── config ────────────────────────────────────────────────────────────────────────────────────


class Contract(Shape, frozen=True):
    enforced: bool = False


def check_duration(name: str, said: str | None) -> None:
    """Refuse what is no length of time; raises ValueError."""
    if said is not None and not re.fullmatch(r"[1-9]\d*[mhd]", said):
        raise ValueError(f"`{name}` is written as in 30m, 12h or 7d, not `{said}`")


def percent(name: str, said: str) -> float:
    """The number in a share as in `10%`; raises ValueError where it is none from 0 to 100."""
    if not re.fullmatch(r"\d+(\.\d+)?%", said) or float(said[:-1]) > 100:
        raise ValueError(f"`{name}` is written as in 10%, not `{said}`")
    return float(said[:-1])


class Guards(Shape, frozen=True):
    """How much may change in one run: contacts, or a share of those before, as in `20%`.

    Raises:
        ValueError: a share or a length of time is written otherwise.
    """

    max_entered: int | str | None = None
    max_left: int | str | None = None
    min_size: int | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            said = getattr(self, name)
            if name == "min_stay":
                check_duration(name, said)
            elif isinstance(said, str) and not re.fullmatch(r"\d+(\.\d+)?%", said):
                raise ValueError(f"`{name}` is written as in 20%, not `{said}`")
            if isinstance(said, int) and said < 0:
                raise ValueError(f"`{name}` is a number of contacts, not `{said}`")
        if self.min_size and self.max_size is not None and self.min_size > self.max_size:
            raise ValueError(f"`min_size` {self.min_size} is above `max_size` {self.max_size}")


class SegmentGuards(Guards, frozen=True):
    """Of a segment also how many contacts may leave within `min_stay` of entering, or come back."""

    min_stay: str | None = None
    max_flapping: int | str | None = None


class NodeConfig(Shape, frozen=True):
    """What can be said of any node."""

    enabled: bool = True
    tags: str | list[str] = []
    meta: dict[str, Any] = {}


class ModelConfig(NodeConfig, frozen=True):
    materialized: Literal["view", "table", "incremental", "ephemeral", "segment"] = "view"
    schema: str | None = None
    alias: str | None = None
    unique_key: str | list[str] | None = None
    incremental_strategy: Literal["append", "delete+insert", "merge"] | None = None
    on_schema_change: Literal["ignore", "fail", "append_new_columns", "sync_all_columns"] = "ignore"
    full_refresh: bool | None = None
    renamed_from: str | None = None
    contract: Contract = Contract()
    guards: SegmentGuards = SegmentGuards()
    exclusive_with: list[str] = []


class SeedConfig(NodeConfig, frozen=True):
    schema: str | None = None
    alias: str | None = None
    column_types: dict[str, str] = {}
    delimiter: str = ","


class DataTestConfig(NodeConfig, frozen=True):
    severity: Severity = "error"
    where: str | None = None
    error_if: str = "!= 0"
    warn_if: str = "!= 0"
    store_failures: bool | None = None


class SourceConfig(NodeConfig, frozen=True):
    external_location: str | None = None
    loaded_at_field: str | None = None
    freshness: "Freshness | UnsetType | None" = UNSET


class AudienceConfig(NodeConfig, frozen=True):
    guards: Guards = Guards()


# ── YAML properties ───────────────────────────────────────────────────────────────────────────


class ColumnProperties(Shape, frozen=True):
    name: str
    data_type: str | None = None
    description: str = ""
    data_tests: list[Any] = []
    tests: list[Any] = []
    meta: dict[str, Any] = {}
    tags: str | list[str] = []
    config: NodeConfig = NodeConfig()


class Period(Shape, frozen=True):
    count: int
    period: Literal["minute", "hour", "day"]


class Freshness(Shape, frozen=True):
    warn_after: Period | None = None
    error_after: Period | None = None
    filter: str | None = None


class GivenProperties(Shape, frozen=True):
    input: str
    rows: list[dict[str, Any]] | str | None = None
    format: Literal["dict", "csv", "sql"] = "dict"


class ExpectProperties(Shape, frozen=True):
    rows: list[dict[str, Any]] | str
    format: Literal["dict", "csv", "sql"] = "dict"


class Overrides(Shape, frozen=True):
    as_of: Any = None
    vars: dict[str, Any] = {}
    macros: dict[str, Any] = {}


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────


class Origin(Struct, frozen=True):
    """A place in a YAML file of the project, as `$.models[2]`."""

    path: Path
    pointer: str

    def location(self, below: str = "") -> Location:
        return locate(self.path, self.pointer + below)


class Node(Struct, frozen=True, kw_only=True):
    """What every node has. `path` is relative to the root of its `package`."""

    kind: str
    name: str
    package: str
    path: str
    description: str = ""
    tags: tuple[str, ...] = ()
    meta: dict[str, Any] = {}
    origin: Origin | None = None

    @property
    def id(self) -> str:
        """dbt's unique id, as in `model.starter.contacts`."""
        return f"{self.kind}.{self.package}.{self.name}"


class Model(Node, frozen=True, kw_only=True):
    """A SELECT in a file. `config` holds what folders and YAML say; the file may say more."""

    kind: str = "model"
    file: Path
    text: str
    config: dict[str, Any] = {}
    columns: tuple[ColumnProperties, ...] = ()


class Seed(Node, frozen=True, kw_only=True):
    """A CSV file that is loaded as a table: its first line, and a digest of all lines."""

    kind: str = "seed"
    file: Path
    config: SeedConfig
    header: tuple[str, ...]
    digest: str
    columns: tuple[ColumnProperties, ...] = ()


class Source(Node, frozen=True, kw_only=True):
    """A table or file that somebody else writes; its `name` is `<source>.<table>`.

    `external_location` is what stands after FROM where the data is a file, else None.
    """

    kind: str = "source"
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

    kind: str = "test"
    config: DataTestConfig
    test: str | None = None
    arguments: dict[str, Any] = {}
    attached: str | None = None
    column: str | None = None
    file: Path | None = None
    text: str = ""


class UnitTest(Node, frozen=True, kw_only=True):
    kind: str = "unit_test"
    model: str
    given: tuple[GivenProperties, ...]
    expect: ExpectProperties
    overrides: Overrides


class Persona(Node, frozen=True, kw_only=True):
    kind: str = "persona"
    label: str
    segment: str
    position: int


class Success(Shape, frozen=True):
    """What a goal is reached by: a model of contact_id, happened_at and perhaps value."""

    model: str
    within: str

    def __post_init__(self) -> None:
        check_duration("within", self.within)


class Goal(Node, frozen=True, kw_only=True):
    kind: str = "goal"
    success: Success | None


class Purpose(Node, frozen=True, kw_only=True):
    kind: str = "purpose"
    basis: str

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
        if self.goal and self.tag:
            raise ValueError("a cap is of a `goal` or of a `tag`: write two")

    @property
    def days(self) -> int:
        return int(self.per[:-1])

    @property
    def window(self) -> str:
        kind = self.goal or self.tag
        return f"in {self.per}{f' of {kind}' if kind else ''}"


def check_time(name: str, said: str | None) -> None:
    """Refuse what is no time of day; raises ValueError."""
    if said is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", said):
        raise ValueError(f'`{name}` is a time of day as in "21:00", not `{said}`')


class QuietHours(Shape, frozen=True):
    """From when until when, by the contact's clock, nothing is sent."""

    start: str = field(name="from")
    until: str

    def __post_init__(self) -> None:
        check_time("from", self.start)
        check_time("until", self.until)
        if self.start == self.until:
            raise ValueError(f"quiet hours from {self.start} until {self.until} have no length")


class Channel(Node, frozen=True, kw_only=True):
    """`address` and `reachable` are columns of ref('contacts').

    `suppress_for` has the goals that members of a segment get no message for. A message is live for
    as long as it `lasts`, unless it says so itself.
    """

    kind: str = "channel"
    address: str
    reachable: str | None
    suppress: tuple[str, ...]
    suppress_for: dict[str, list[str]]
    needs_consent: bool
    frequency_cap: tuple[FrequencyCap, ...]
    quiet_hours: QuietHours | None
    lasts: str


class After(Shape, frozen=True):
    message: str
    at_least: str

    def __post_init__(self) -> None:
        check_duration("at_least", self.at_least)


class Active(Shape, frozen=True):
    """From the beginning of one day to the end of another, by the project's clock."""

    start: date | None = field(name="from", default=None)
    until: date | None = None

    def __post_init__(self) -> None:
        if self.start and self.until and self.start > self.until:
            raise ValueError(f"`from` {self.start} is after `until` {self.until}")


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


class Variant(Shape, frozen=True):
    name: str
    weight: int


class Message(Node, frozen=True, kw_only=True):
    """A goal for segments on some channels. Lengths of time are written as in `12h`.

    `channels` are in order of preference: the first that reaches a contact, unless
    `on_all_channels`. `holdout` is in percent. `payload` has a Jinja template for each key.
    """

    kind: str = "message"
    goal: str
    segments: tuple[str, ...]
    exclude: tuple[str, ...]
    channels: tuple[str, ...]
    on_all_channels: bool
    purpose: str
    priority: int
    cooldown: str | None
    goal_cooldown: str | None
    after: After | None
    lasts: str | None
    active: Active
    send_at: str | None
    limit: Limit | None
    max_per_contact: int | None
    max_per_account: int | None
    holdout: float
    variants: tuple[Variant, ...]
    payload: dict[str, str]


class Holdout(Shape, frozen=True):
    """The control group: who gets no message, so that others can be compared with them."""

    percent: float
    salt: str
    unit: Literal["contact", "account"] = "contact"

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 50:
            raise ValueError(f"`percent` is from 0 to 50, not {self.percent}")


class Gap(Node, frozen=True, kw_only=True):
    """A goal that is meant to have no message on a channel."""

    kind: str = "allow_empty"
    goal: str
    channel: str


class Audience(Node, frozen=True, kw_only=True):
    """The members of `segments`, or everybody's `user_types`, or the live `messages` of a channel.

    `fields` pairs the tool's names with columns, in the order of the file.
    """

    kind: str = "audience"
    goal: str | None
    segments: tuple[str, ...]
    exclude: tuple[str, ...]
    user_types: bool
    messages: tuple[str, ...]
    channel: str
    purpose: str
    destination: str
    key: str
    fields: tuple[tuple[str, str], ...]
    guards: Guards


class Destination(Node, frozen=True, kw_only=True):
    """`settings` are the destination type's own keys, decoded by its plug-in."""

    kind: str = "destination"
    type: str
    settings: dict[str, Any] = field(default_factory=dict)


class MacroFile(Struct, frozen=True):
    package: str
    file: Path
    text: str


def tag_tuple(*tags: str | list[str]) -> tuple[str, ...]:
    """Tags of several layers as one: in order, each once."""
    flat = [t for tag in tags for t in ([tag] if isinstance(tag, str) else tag)]
    return tuple(dict.fromkeys(flat))
