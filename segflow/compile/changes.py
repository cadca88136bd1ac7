"""Two compiled states of a project in, what changed between them out, apart from its wake."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from textwrap import dedent
from typing import Any, Literal

import msgspec

from segflow.compile.compiler import Compilation, fingerprint
from segflow.compile.graph import Graph
from segflow.project.nodes import Audience, Holdout, Message, by_key

Kind = Literal["new", "columns", "logic", "text", "renamed", "removed"]


_PLAIN = ("persona", "goal", "purpose", "channel", "message", "audience")
_UNSAID = ("description", "meta", "config")
_HOLDOUT = "holdout"
_SHOWN = 80


@dataclass(frozen=True)
class ModelChange:
    """A model whose own definition changed.

    `columns`: some that it had are gone; `logic`: it selects otherwise; `text`: only comments or
    formatting; `renamed`: a segment under another name, else the same. `causes` name the vars that
    changed what an unchanged file says. `diff` has the lines of compiled SQL that went and came.
    """

    node: str
    name: str
    kind: Kind
    causes: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What a project says now that it did not say before.

    `vars` have the value before and the one now, None where there is none; `downstream` are the
    ids of nodes that change only through what they read; `roots` are, for each id that changes, the
    names of what it comes from. `said` are messages and the like of which YAML says something else,
    by id, each with what that is; the control group, which has none, comes first. `owed` are the
    ids of messages and audiences that are owed by contract and were not.
    """

    vars: dict[str, tuple[Any, Any]]
    seeds: tuple[str, ...]
    models: tuple[ModelChange, ...]
    downstream: tuple[str, ...]
    roots: dict[str, tuple[str, ...]]
    said: dict[str, str]
    owed: tuple[str, ...]

    @property
    def modified(self) -> set[str]:
        """The ids of nodes that are new or say something else than before."""
        models = {m.node for m in self.models if m.kind not in ("text", "removed")}
        return models | set(self.seeds) | self.said.keys()


def changes(before: tuple[Graph, Compilation], now: tuple[Graph, Compilation]) -> Changes:
    """Compare two states of a project, by what their SQL says and not by how it is written."""
    (old, was), (new, compiled) = before, now
    variables = _changed_vars(old.project.vars, new.project.vars)
    former = {node: _former(old, new, node) for node in new.models}
    gone = [node for node in old.models if node not in former.values()]
    models = [
        change
        for node in [*new.models, *gone]
        if (change := _change(old, was, new, compiled, node, variables))
    ]
    seeds = tuple(
        seed.id
        for seed in new.project.seeds
        if seed.id not in old.nodes
        or fingerprint(old, was, seed.id) != fingerprint(new, compiled, seed.id)
    )
    own: dict[str, tuple[str, ...]] = {
        m.node: tuple(f"var `{v}`" for v in m.causes) or (f"`{m.name}`",)
        for m in models
        if m.kind not in ("text", "renamed", "removed")
    } | {seed: (f"seed `{new.nodes[seed].name}`",) for seed in seeds}
    said = _said_otherwise(old, new)
    named = [new.nodes[node] for node in said if node in new.nodes]
    own |= {node.id: (f"{node.kind} `{node.name}`",) for node in named}
    roots: dict[str, tuple[str, ...]] = {}
    for node in new.order:
        found = [*own.get(node, ()), *(r for p in new.parents[node] for r in roots.get(p, ()))]
        if found:
            roots[node] = tuple(dict.fromkeys(found))
    downstream = tuple(node for node in roots if node not in own and node in new.models)
    owed = tuple(node for node in _owed(new) if node not in _owed(old))
    return Changes(variables, seeds, tuple(models), downstream, roots, said, owed)


def joined(newest: Changes, older: Sequence[tuple[frozenset[str], Changes]]) -> Changes:
    """Of each node what changed since it was last built: some were so in an `older` state."""

    def of(node: str) -> Changes:
        return next((found for nodes, found in older if node in nodes), newest)

    every = [*(found for _, found in older), newest]
    roots = {n: r for found in every for n, r in found.roots.items() if of(n) is found}
    named = {root for found in roots.values() for root in found}
    variables = {
        name: values
        for found in every
        for name, values in found.vars.items()
        if found is newest or f"var `{name}`" in named
    }
    return Changes(
        variables,
        tuple(dict.fromkeys(n for found in every for n in found.seeds if of(n) is found)),
        tuple(m for found in every for m in found.models if of(m.node) is found),
        tuple(n for found in every for n in found.downstream if of(n) is found),
        roots,
        {n: text for found in every for n, text in found.said.items() if of(n) is found},
        tuple(n for found in every for n in found.owed if of(n) is found),
    )


def _owed(graph: Graph) -> dict[str, None]:
    """The ids of messages and audiences whose purpose is a contract."""
    contracts = {purpose.name for purpose in graph.project.purposes if purpose.is_contract}
    said: list[Message | Audience] = [*graph.project.messages, *graph.project.audiences]
    return {node.id: None for node in said if node.purpose in contracts}


def _said_otherwise(old: Graph, new: Graph) -> dict[str, str]:
    """Of messages, audiences and what they name: which keys changed, what came and what went."""
    before, after = (_of_group(graph.project.holdout) for graph in (old, new))
    held_out = ", ".join(_differences(before, after))
    found = {_HOLDOUT: f"{_HOLDOUT} {held_out}"} if held_out else {}
    found |= {
        node.id: f"no more {node.kind} `{node.name}`"
        for node in old.nodes.values()
        if node.kind in _PLAIN and node.id not in new.nodes
    }
    for node in new.nodes.values():
        if node.kind not in _PLAIN:
            continue
        former = old.nodes.get(node.id)
        if former is None:
            found[node.id] = f"new {node.kind}: `{node.name}`"
            continue
        # Folders may say of these, too.
        was, now = (
            {**n.said(), "tags": n.tags, "guards": getattr(n, "guards", None)}
            for n in (former, node)
        )
        keys = ", ".join(_differences(was, now))
        if keys:
            found[node.id] = f"{node.kind} `{node.name}`: {keys}"
    return found


def _of_group(holdout: Holdout | None) -> dict[str, Any]:
    return by_key(holdout) if holdout else {}


def _differences(was: dict[str, Any], now: dict[str, Any], above: str = "") -> Iterator[str]:
    """The keys that have another value now, with both; of mappings, the keys inside them."""
    for key in {**was, **now}:
        if key in _UNSAID and not above:
            continue
        old, new = (msgspec.to_builtins(said.get(key)) for said in (was, now))
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{above}{key}.")
        elif old != new:
            yield f"{above}{key} {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        text = " ".join(f"{key} {_short(item)}" for key, item in value.items())
    elif isinstance(value, list | tuple):
        text = ", ".join(map(_short, value))
    else:
        text = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{text[: _SHOWN - 1]}…" if len(text) > _SHOWN else text or "none"


def _changed_vars(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted(old.keys() | new.keys())
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}


def _change(
    old: Graph,
    was: Compilation,
    new: Graph,
    compiled: Compilation,
    node: str,
    variables: dict[str, tuple[Any, Any]],
) -> ModelChange | None:
    name = (new.nodes.get(node) or old.nodes[node]).name
    if node not in new.models:
        return ModelChange(node, name, "removed")
    former = _former(old, new, node)
    if former not in old.models:
        return ModelChange(node, name, "new")
    before, now = was.models[former], compiled.models[node]
    is_edited = old.models[former].model.text != new.models[node].model.text
    kinds = (old.models[former], new.models[node])
    materialized = [model.config.materialized for model in kinds]
    if before.outline.digest == now.outline.digest and materialized[0] == materialized[1]:
        if former != node:
            return ModelChange(node, name, "renamed")
        return ModelChange(node, name, "text") if is_edited else None
    gone = set(before.outline.columns or ()) - set(
        now.outline.columns or before.outline.columns or ()
    )
    asked = {*_asked(old, former), *_asked(new, node)}
    causes = () if is_edited else tuple(name for name in variables if name in asked)
    kind: Kind = "columns" if gone else "logic"
    diff = tuple(_diff(new.nodes[node].path, before.sql, now.sql))
    return ModelChange(node, name, kind, causes, tuple(sorted(gone)), diff)


def _diff(path: str, before: str, now: str) -> Iterator[str]:
    """The lines that differ, each place of them below its line in the file as compiled now."""
    was, new = before.splitlines(), now.splitlines()
    for kind, start, end, line, last in SequenceMatcher(None, was, new, False).get_opcodes():
        if kind != "equal":
            lines = dedent("\n".join([*was[start:end], *new[line:last]])).splitlines()
            yield f"@@ {path}:{line + 1}, compiled @@"
            yield from (f"- {text}" for text in lines[: end - start])
            yield from (f"+ {text}" for text in lines[end - start :])


def _former(old: Graph, new: Graph, node: str) -> str:
    """The id that a model had before: its own, unless it is a segment that was renamed since."""
    name = new.models[node].config.renamed_from
    model = old.segments.get(name) if name and node not in old.models else None
    return model.id if model else node


def _asked(graph: Graph, node: str) -> Iterator[str]:
    """The vars that a model reads, and those of ephemeral models, which become part of it."""
    yield from graph.models[node].facts.vars
    for parent in graph.parents[node]:
        model = graph.models.get(parent)
        if model and model.config.materialized == "ephemeral":
            yield from _asked(graph, parent)
