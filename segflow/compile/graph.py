"""Every node of a project, what each one reads, and an order to build them in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from segflow.compile.outlines import lowered
from segflow.compile.parsing import ParsedModel, Parser
from segflow.compile.relations import Relation
from segflow.errors import ProjectError, did_you_mean
from segflow.project.load import Project
from segflow.project.nodes import Node

# What the runner itself reads: the table of contacts, who agreed to what, and where the ids of
# merged contacts lead (merged_contact_id, contact_id; chains followed to their end).
CONTACTS = "contacts"
CONSENTS = "consents"
MERGES = "merged_contacts"

_REFERENCE = re.compile(
    r"\s*(?:\{\{\s*)?(ref|source)\(\s*['\"]([^'\"]+)['\"]\s*(?:,\s*['\"]([^'\"]+)['\"]\s*)?\)"
    r"\s*(?:\}\}\s*)?"
)


class Reference(NamedTuple):
    """A `ref` or a `source`: its two arguments, of which a `ref` may leave out the first."""

    call: str
    first: str | None
    second: str


@dataclass
class Graph:
    """Every node by id, and the ids that each one reads (`parents`), in a fixed order.

    `order` has each node after its parents. `relations` are those of models, seeds and sources.
    `disabled` are the ids of what is switched off; `modified` those that are new or changed since
    an earlier state, None where there is none to compare with.
    """

    project: Project
    parser: Parser
    nodes: dict[str, Node] = field(default_factory=dict)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    models: dict[str, ParsedModel] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    disabled: set[str] = field(default_factory=set)
    modified: set[str] | None = None

    def add(self, found: Iterable[Node]) -> None:
        for node in found:
            self.nodes[node.id] = node
            self.parents.setdefault(node.id, ())

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {node: [] for node in self.nodes}
        for node, parents in self.parents.items():
            for parent in parents:
                found[parent].append(node)
        return {node: tuple(children) for node, children in found.items()}

    @cached_property
    def segments(self) -> dict[str, ParsedModel]:
        """The segments by name, in the order of their names."""
        found = [m for m in self.models.values() if m.is_segment]
        return {m.model.name: m for m in sorted(found, key=lambda m: m.model.name)}

    @cached_property
    def _by_name(self) -> dict[tuple[str | None, str], str]:
        found: dict[tuple[str | None, str], str] = {}
        for node in [*self.project.seeds, *(m.model for m in self.models.values())]:
            found[(None, node.name)] = node.id
            found[(node.package, node.name)] = node.id
        return found

    @cached_property
    def _sources(self) -> dict[str, str]:
        return {source.name: source.id for source in self.project.sources}

    def kind(self, node: str) -> str:
        """The kind of a node; that of a segment, which is a model, is `segment`."""
        is_segment = node in self.models and self.models[node].is_segment
        return "segment" if is_segment else self.nodes[node].kind

    def find(self, name: str, package: str | None = None) -> str | None:
        """The id of the model or seed that `ref` means."""
        return self._by_name.get((package, name))

    def target(self, reference: Reference) -> str:
        """The id of the node that a reference means; raises ProjectError where there is none."""
        _, first, second = reference
        if reference.call == "source":
            name = f"{first}.{second}"
            if name not in self._sources:
                missing = "declare it under `sources:` in a YAML file beside the models"
                raise self._unknown("source", name, self._sources, missing)
            return self._sources[name]
        node = self.find(second, first)
        if node is None:
            names = [other for owner, other in self._by_name if owner is None]
            raise self._unknown("model", f"{first}.{second}" if first else second, names, None)
        return node

    def ref(self, package: str | None, name: str) -> Relation:
        """The relation that `ref` returns; raises ProjectError where there is no such model."""
        return self.relations[self.target(Reference("ref", package, name))]

    def source(self, source_name: str, table: str) -> Relation:
        """The relation that `source` returns; raises ProjectError where it is not declared."""
        return self.relations[self.target(Reference("source", source_name, table))]

    def is_disabled(self, kind: str, name: str) -> bool:
        return any(
            node.startswith(f"{kind}.") and node.endswith(f".{name}") for node in self.disabled
        )

    @cached_property
    def by_table(self) -> dict[str, str]:
        """The nodes by their relation, as `schema.name` in lower case."""
        found = self.relations.items()
        return {lowered(f"{r.schema}.{r.identifier}"): n for n, r in found if r.text is None}

    @cached_property
    def keyed(self) -> set[str]:
        """The nodes in which a row cannot come twice: segments, and those whose key is tested."""
        tests = (t for t in self.project.data_tests if t.test in ("unique", "unique_combination"))
        strict = (t for t in tests if t.config.severity == "error" and not t.config.where)
        segments = {segment.id for segment in self.segments.values()}
        return segments | {str(test.attached) for test in strict if test.id in self.nodes}

    def tables_of(self, node: str) -> Iterable[str]:
        """The parents of a node, an ephemeral one replaced by its own parents."""
        found: dict[str, None] = {}
        for parent in self.parents[node]:
            model = self.models.get(parent)
            is_inside = model is not None and model.config.materialized == "ephemeral"
            found.update(dict.fromkeys(self.tables_of(parent) if is_inside else (parent,)))
        return found

    def ancestors(self, node: str) -> set[str]:
        return reached([node], self.parents) - {node}

    def descendants(self, node: str) -> set[str]:
        return reached([node], self.children) - {node}

    def _unknown(
        self, kind: str, name: str, names: Iterable[str], otherwise: str | None
    ) -> ProjectError:
        if self.is_disabled(kind, name) or (kind == "model" and self.is_disabled("seed", name)):
            return ProjectError(
                f"the {kind} `{name}` is disabled",
                hint="enable it, or put one of the same name in its place",
            )
        hint = did_you_mean(name, names) or did_you_mean(name.rpartition(".")[2], names)
        return ProjectError(f"unknown {kind} `{name}`", hint=hint or otherwise)


def reference(text: object) -> Reference | None:
    """The `ref('…')` or `source('…', '…')` that a text in YAML is, with or without braces."""
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[1] == "source" and match[3] is None):
        return None
    first, second = (match[2], match[3]) if match[3] else (None, match[2])
    return Reference(match[1], first, second)


def reached(
    start: Iterable[str], edges: Mapping[str, Iterable[str]], steps: int | None = None
) -> set[str]:
    """`start` and what can be reached from there, at most so many steps away."""
    found = edge = set(start)
    while edge and steps != 0:
        edge = {other for node in edge for other in edges.get(node, ())} - found
        found = found | edge
        steps = None if steps is None else steps - 1
    return found
