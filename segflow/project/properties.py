"""The shapes of the YAML files beside models, seeds, macros and tests; their keys are strict."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from segflow.project.nodes import (
    Active,
    After,
    AudienceConfig,
    ColumnProperties,
    DataTestConfig,
    ExpectProperties,
    FrequencyCap,
    Freshness,
    GivenProperties,
    Guards,
    Holdout,
    Limit,
    NodeConfig,
    Overrides,
    QuietHours,
    Shape,
    SourceConfig,
    Success,
    Variant,
    check_duration,
    check_time,
    percent,
)


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
    freshness: Freshness | None = None
    config: SourceConfig = SourceConfig()
    meta: dict[str, Any] = {}
    tags: str | list[str] = []
    tables: list[TableProperties] = []


class UnitTestProperties(Shape, frozen=True):
    name: str
    model: str
    given: list[GivenProperties]
    expect: ExpectProperties
    description: str = ""
    overrides: Overrides = Overrides()
    config: NodeConfig = NodeConfig()


class SingularTestProperties(Shape, frozen=True):
    name: str
    description: str = ""
    config: DataTestConfig = DataTestConfig()


class MacroProperties(Shape, frozen=True):
    name: str
    description: str = ""
    arguments: list[dict[str, Any]] = []


class PlainProperties(Shape, frozen=True):
    """What can be said of every node that has no file of its own."""

    name: str
    description: str = ""
    config: NodeConfig = NodeConfig()
    meta: dict[str, Any] = {}


class PersonaProperties(PlainProperties, frozen=True, kw_only=True):
    segment: str
    label: str = ""


class GoalProperties(PlainProperties, frozen=True, kw_only=True):
    success: Success | None = None


class PurposeProperties(PlainProperties, frozen=True, kw_only=True):
    basis: Literal["consent", "opt_out", "contract"] = "consent"


class ChannelProperties(PlainProperties, frozen=True, kw_only=True):
    address: str
    reachable: str | None = None
    suppress: list[str] = []
    suppress_for: dict[str, list[str]] = {}
    consent: Literal["required", "none"] = "required"
    frequency_cap: list[FrequencyCap] = []
    quiet_hours: QuietHours | None = None
    lasts: str | None = None

    def __post_init__(self) -> None:
        check_duration("lasts", self.lasts)


class MessageProperties(PlainProperties, frozen=True, kw_only=True):
    goal: str
    segment: str | list[str]
    channels: list[str]
    priority: int
    exclude: list[str] = []
    deliver: Literal["first", "all"] = "first"
    purpose: str = "marketing"
    cooldown: str | None = None
    goal_cooldown: str | None = None
    after: After | None = None
    lasts: str | None = None
    active: Active = Active()
    send_at: str | None = None
    limit: Limit | None = None
    max_per_contact: int | None = None
    max_per_account: int | None = None
    holdout: str = "0%"
    variants: list[Variant] = []
    payload: dict[str, str | int | float | bool] = {}
    tags: str | list[str] = []

    def __post_init__(self) -> None:
        for name in ("cooldown", "goal_cooldown", "lasts"):
            check_duration(name, getattr(self, name))
        check_time("send_at", self.send_at)
        if percent("holdout", self.holdout) == 100:
            raise ValueError("a `holdout` of 100% holds everybody out: disable the message instead")
        if not self.channels or not self.segment:
            raise ValueError("a message has at least one segment and one channel")
        segments = [self.segment] if isinstance(self.segment, str) else self.segment
        for names in (self.channels, segments):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"`{twice[0]}` is named twice")
        if not 0 <= self.priority <= 100:
            raise ValueError(f"`priority` is from 0 to 100, not {self.priority}")
        for name in ("max_per_contact", "max_per_account"):
            said = getattr(self, name)
            if said is not None and said < 1:
                raise ValueError(f"`{name}` is at least 1")
        names, weights = [v.name for v in self.variants], [v.weight for v in self.variants]
        if weights and sum(weights) != 100:
            raise ValueError(f"the weights of variants add up to 100, not {sum(weights)}")
        if weights and min(weights) < 1:
            raise ValueError("each weight of a variant is at least 1")
        if len(set(names)) < len(names):
            raise ValueError("two variants have one name")


class FieldProperties(Shape, frozen=True):
    column: str


class AudienceProperties(PlainProperties, frozen=True, kw_only=True):
    channel: str
    destination: str
    key: str
    fields: dict[str, str | FieldProperties]
    goal: str | None = None
    purpose: str = "marketing"
    segments: list[str] = []
    exclude: list[str] = []
    user_types: Literal["all"] | None = None
    messages: Literal["all"] | list[str] = []
    guards: Guards = Guards()
    config: AudienceConfig = AudienceConfig()


class Properties(Shape, frozen=True):
    """One YAML file below the paths of models, seeds, macros or tests."""

    version: int = 2
    models: list[ModelProperties] = []
    seeds: list[ModelProperties] = []
    sources: list[SourceProperties] = []
    macros: list[MacroProperties] = []
    data_tests: list[SingularTestProperties] = []
    unit_tests: list[UnitTestProperties] = []
    personas: list[PersonaProperties] = []
    goals: list[GoalProperties] = []
    purposes: list[PurposeProperties] = []
    channels: list[ChannelProperties] = []
    messages: list[MessageProperties] = []
    holdout: Holdout | None = None
    allow_empty: list[str] = []
    audiences: list[AudienceProperties] = []
