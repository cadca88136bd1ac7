"""Two compiled states of a project in, what changed between them out, apart from its wake."""

from dataclasses import dataclass
from typing import Any, Literal

from segflow.compile.compiler import Compilation
from segflow.compile.fingerprints import fingerprint
from segflow.compile.graph import Graph

Kind = Literal["new", "columns", "logic", "text", "removed"]


@dataclass(frozen=True)
class ModelChange:
    """A model whose own definition changed.

    `columns`: some that it had are gone; `logic`: it selects otherwise; `text`: only comments or
    formatting. `causes` name the vars that changed what an unchanged file says.
    """

    node: str
    name: str
    kind: Kind
    causes: tuple[str, ...] = ()
    removed_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What a project says now that it did not say before.

    `vars` have the value before and the one now, None where there is none; `downstream` are the
    ids of nodes that change only through what they read; `roots` are, for each id that changes, the
    names of what it comes from.
    """

    vars: dict[str, tuple[Any, Any]]
    seeds: tuple[str, ...]
    models: tuple[ModelChange, ...]
    downstream: tuple[str, ...]
    roots: dict[str, tuple[str, ...]]

    @property
    def modified(self) -> set[str]:
        """The ids of nodes that are new or say something else than before."""
        return {m.node for m in self.models if m.kind not in ("text", "removed")} | set(self.seeds)


def changes(before: tuple[Graph, Compilation], now: tuple[Graph, Compilation]) -> Changes:
    """Compare two states of a project, by what their SQL says and not by how it is written."""
    (old, was), (new, compiled) = before, now
    variables = _changed_vars(old.project.vars, new.project.vars)
    models = [
        change
        for node in [*new.models, *(node for node in old.models if node not in new.models)]
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
        if m.kind not in ("text", "removed")
    } | {seed: (f"seed `{new.nodes[seed].name}`",) for seed in seeds}
    roots: dict[str, tuple[str, ...]] = {}
    for node in new.order:
        found = [*own.get(node, ()), *(r for p in new.parents[node] for r in roots.get(p, ()))]
        if found:
            roots[node] = tuple(dict.fromkeys(found))
    downstream = tuple(node for node in roots if node not in own and node in new.models)
    return Changes(variables, seeds, tuple(models), downstream, roots)


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
    if node not in old.models:
        return ModelChange(node, name, "new")
    if node not in new.models:
        return ModelChange(node, name, "removed")
    before, now = was.models[node], compiled.models[node]
    is_edited = old.models[node].model.text != new.models[node].model.text
    materialized = [graph.models[node].config.materialized for graph in (old, new)]
    if before.outline.digest == now.outline.digest and materialized[0] == materialized[1]:
        return ModelChange(node, name, "text") if is_edited else None
    gone = set(before.outline.columns or ()) - set(
        now.outline.columns or before.outline.columns or ()
    )
    causes = () if is_edited else tuple(_named(variables, new, node))
    kind: Kind = "columns" if gone else "logic"
    return ModelChange(node, name, kind, causes, tuple(sorted(gone)))


def _named(variables: dict[str, tuple[Any, Any]], graph: Graph, node: str) -> list[str]:
    """The changed vars that a model asks for, or else all: a macro may ask for it."""
    text = graph.models[node].model.text
    return [name for name in variables if name in text] or list(variables)
