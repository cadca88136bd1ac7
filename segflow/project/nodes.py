"""What a project is made of: the shapes of its YAML, and the nodes read from its files.

Structs that end in `Properties` or `Config` are YAML shapes with strict keys. The others are nodes.
A node's `origin` says which place in which YAML file speaks of it.
"""

import re
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
            said, kind = getattr(self, name), "30m, 12h or 7d" if name == "min_stay" else "20%"
            pattern = r"\d+[mhd]" if name == "min_stay" else r"\d+(\.\d+)?%"
            if isinstance(said, str) and not re.fullmatch(pattern, said):
                raise ValueError(f"`{name}` is written as in {kind}, not `{said}`")
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


class Goal(Node, frozen=True, kw_only=True):
    kind: str = "goal"


class Purpose(Node, frozen=True, kw_only=True):
    kind: str = "purpose"
    basis: str


class Channel(Node, frozen=True, kw_only=True):
    """`address` and `reachable` are columns of ref('contacts')."""

    kind: str = "channel"
    address: str
    reachable: str | None
    suppress: tuple[str, ...]
    needs_consent: bool


class Audience(Node, frozen=True, kw_only=True):
    """`fields` pairs the tool's names with columns, in the order of the file."""

    kind: str = "audience"
    goal: str | None
    segments: tuple[str, ...]
    exclude: tuple[str, ...]
    user_types: bool
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
