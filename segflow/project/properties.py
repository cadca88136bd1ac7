"""The shapes of YAML: configs, what stands beside files, parts of messages. Keys are strict."""

import re
from datetime import date
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

Severity = Literal["error", "warn", "ERROR", "WARN"]
Tree = dict[str, Any]

# The longest duration, and how many of each unit a day has.
_LONGEST_DAYS = 3650
_A_DAY = {"d": 1, "h": 24, "m": 24 * 60}


class Shape(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A mapping in YAML that takes just these keys."""


class Contract(Shape, frozen=True):
    enforced: bool = False


def check_duration(name: str, said: str | None) -> None:
    """Refuse what is no length of time, or longer than any database can look back or ahead."""
    if said is not None and not re.fullmatch(r"[1-9]\d*[mhd]", said):
        raise ValueError(f"`{name}` is written as in 30m, 12h or 7d, not `{said}`")
    if said is not None and int(said[:-1]) > _LONGEST_DAYS * _A_DAY[said[-1]]:
        raise ValueError(f"`{name}` is at most {_LONGEST_DAYS}d, not `{said}`")


def percent(name: str, said: str) -> float:
    """The number in a share as in `10%`; raises ValueError where it is none from 0 to 100."""
    if not re.fullmatch(r"\d+(\.\d+)?%", said) or float(said[:-1]) > 100:
        raise ValueError(f"`{name}` is written as in 10%, from 0% to 100%, not `{said}`")
    return float(said[:-1])


def check_time(name: str, said: str | None) -> None:
    """Refuse what is no time of day; raises ValueError."""
    if said is not None and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", said):
        raise ValueError(f'`{name}` is a time of day as in "21:00", not `{said}`')


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


class Period(Shape, frozen=True):
    count: int
    period: Literal["minute", "hour", "day"]


class Freshness(Shape, frozen=True):
    warn_after: Period | None = None
    error_after: Period | None = None
    filter: str | None = None


class SourceConfig(NodeConfig, frozen=True):
    external_location: str | None = None
    loaded_at_field: str | None = None
    freshness: Freshness | UnsetType | None = UNSET


class AudienceConfig(NodeConfig, frozen=True):
    guards: Guards = Guards()


# ── beside files ──────────────────────────────────────────────────────────────────────────────


class ColumnProperties(Shape, frozen=True):
    name: str
    data_type: str | None = None
    description: str = ""
    data_tests: list[Any] = []
    tests: list[Any] = []
    meta: dict[str, Any] = {}
    tags: str | list[str] = []
    config: NodeConfig = NodeConfig()


class ModelProperties(Shape, frozen=True):
    name: str
    description: str = ""
    config: dict[str, Any] = {}
    columns: list[ColumnProperties] = []
    data_tests: list[Any] = []
    tests: list[Any] = []
    meta: dict[str, Any] = {}


class TableProperties(Shape, frozen=True):
    name: str
    identifier: str | None = None
    description: str = ""
    loaded_at_field: str | None = None
    freshness: Freshness | UnsetType | None = UNSET
    columns: list[ColumnProperties] = []
    data_tests: list[Any] = []
    tests: list[Any] = []
    config: SourceConfig = SourceConfig()
    meta: dict[str, Any] = {}
    tags: str | list[str] = []


class SourceProperties(Shape, frozen=True):
    name: str
    schema: str | None = None
    description: str = ""
    loaded_at_field: str | None = None
    freshness: Freshness | UnsetType | None = UNSET
    config: SourceConfig = SourceConfig()
    meta: dict[str, Any] = {}
    tags: str | list[str] = []
    tables: list[TableProperties] = []


class SingularTestProperties(Shape, frozen=True):
    name: str
    description: str = ""
    config: DataTestConfig = DataTestConfig()


class MacroProperties(Shape, frozen=True):
    name: str
    description: str = ""
    arguments: list[dict[str, Any]] = []


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


# ── parts of what is said of messages ─────────────────────────────────────────────────────────


class Success(Shape, frozen=True):
    """What a goal is reached by: a model of contact_id, happened_at and perhaps value."""

    model: str
    within: str

    def __post_init__(self) -> None:
        check_duration("within", self.within)


class QuietHours(Shape, frozen=True):
    """From when until when, by the contact's clock, nothing is sent."""

    start: str = field(name="from")
    until: str

    def __post_init__(self) -> None:
        check_time("from", self.start)
        check_time("until", self.until)
        if self.start == self.until:
            raise ValueError(f"quiet hours from {self.start} until {self.until} have no length")


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


class Variant(Shape, frozen=True):
    name: str
    weight: int

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError(f"the `weight` of a variant is at least 1, not {self.weight}")


class FieldProperties(Shape, frozen=True):
    column: str
