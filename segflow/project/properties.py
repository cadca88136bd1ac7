"""The shapes of the YAML files beside models, seeds, macros and tests; their keys are strict."""

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from segflow.project.nodes import (
    AudienceConfig,
    ColumnProperties,
    DataTestConfig,
    ExpectProperties,
    Freshness,
    GivenProperties,
    Guards,
    NodeConfig,
    Overrides,
    Shape,
    SourceConfig,
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
    pass


class PurposeProperties(PlainProperties, frozen=True, kw_only=True):
    basis: Literal["consent", "opt_out", "contract"] = "consent"


class ChannelProperties(PlainProperties, frozen=True, kw_only=True):
    address: str
    reachable: str | None = None
    suppress: list[str] = []
    consent: Literal["required", "none"] = "required"


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
    audiences: list[AudienceProperties] = []
