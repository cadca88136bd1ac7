"""`--select` and `--exclude` in, ids of nodes out, in dbt's syntax.

A word is a name (with `*`), or `method:value`; `+` before or behind takes parents or children,
`2+` so many steps of them. Words apart are a union, words with a comma an intersection.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable

from segflow.compile.graph import Graph
from segflow.errors import ProjectError, did_you_mean
from segflow.project import nodes

_WORD = re.compile(r"(?P<up>\d*\+)?(?P<word>.*?)(?P<down>\+\d*)?")
BUILDABLE = ("model", "seed", "source", "test", "unit_test", "audience")


def select(graph: Graph, chosen: Iterable[str], excluded: Iterable[str] = ()) -> set[str]:
    """The ids of what `chosen` names, all nodes where it is empty, less what `excluded` names.

    Raises:
        ProjectError: a word matches nothing, or its method is unknown.
    """
    words = list(chosen)
    found = _union(graph, words) if words else set(graph.nodes)
    return found - _union(graph, excluded)


def _union(graph: Graph, words: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for word in (part for text in words for part in text.split()):
        parts = [_expand(graph, part) for part in word.split(",")]
        found |= set.intersection(*parts)
    return found


def _expand(graph: Graph, text: str) -> set[str]:
    match = _WORD.fullmatch(text)
    if not match or not match["word"]:
        raise ProjectError(
            f"`{text}` selects nothing", hint="as in: +contacts, tag:trial, stg_carts+"
        )
    start = _match(graph, match["word"])
    found = set(start)
    if match["up"]:
        found |= _walk(start, graph.parents, match["up"].rstrip("+"))
    if match["down"]:
        found |= _walk(start, graph.children, match["down"].lstrip("+"))
    return found


def _walk(start: set[str], edges: dict[str, tuple[str, ...]], steps: str) -> set[str]:
    found, edge = set(start), set(start)
    left = int(steps) if steps else len(edges)
    while edge and left:
        edge = {other for node in edge for other in edges[node]} - found
        found |= edge
        left -= 1
    return found


def _match(graph: Graph, word: str) -> set[str]:
    method, colon, value = word.partition(":")
    if not colon:
        found = _named(graph, word)
    elif method in _METHODS:
        found = {node for node in graph.nodes if _METHODS[method](graph, node, value)}
    elif method.startswith("config."):
        key = method.removeprefix("config.")
        found = {node for node in graph.models if _has_config(graph, node, key, value)}
    else:
        known = [*_METHODS, "config.materialized"]
        raise ProjectError(
            f"unknown method `{method}` in `{word}`",
            hint=did_you_mean(method, known) or f"there is: {', '.join(known)}",
        )
    if not found:
        names = [node.name for node in graph.nodes.values()]
        hint = did_you_mean(value or word, names) or "see what there is: segflow ls"
        raise ProjectError(f"`{word}` selects nothing", hint=hint)
    return found


def _named(graph: Graph, word: str) -> set[str]:
    """By name, by `folder.name` as dbt's fqn, or by `package.name`."""
    found = set()
    for node_id, node in graph.nodes.items():
        folders = node.path.split("/")[1:-1]
        fqn = ".".join([node.package, *folders, node.name])
        if fnmatch.fnmatchcase(node.name, word) or fnmatch.fnmatchcase(fqn, word) or ("." in word and fqn.startswith(f"{word}.")):
            found.add(node_id)
    return found


def _has_config(graph: Graph, node: str, key: str, value: str) -> bool:
    found = getattr(graph.models[node].config, key, None)
    return value in found if isinstance(found, list) else str(found).lower() == value.lower()


def _path(graph: Graph, node: str, value: str) -> bool:
    path, wanted = graph.nodes[node].path, value.rstrip("/")
    return path == wanted or path.startswith(f"{wanted}/") or fnmatch.fnmatchcase(path, value)


def _is(kind: str) -> Callable[[Graph, str, str], bool]:
    def matches(graph: Graph, node: str, value: str) -> bool:
        found = graph.nodes[node]
        return found.kind == kind and fnmatch.fnmatchcase(found.name, value)

    return matches


def _source(graph: Graph, node: str, value: str) -> bool:
    found = graph.nodes[node]
    return isinstance(found, nodes.Source) and (
        fnmatch.fnmatchcase(found.name, value) or found.source_name == value
    )


def _segment(graph: Graph, node: str, value: str) -> bool:
    model = graph.models.get(node)
    return bool(model and model.is_segment and fnmatch.fnmatchcase(model.model.name, value))


def _resource_type(graph: Graph, node: str, value: str) -> bool:
    model = graph.models.get(node)
    return graph.nodes[node].kind == value or bool(
        value == "segment" and model and model.is_segment
    )


_METHODS: dict[str, Callable[[Graph, str, str], bool]] = {
    "tag": lambda graph, node, value: any(
        fnmatch.fnmatchcase(tag, value) for tag in graph.nodes[node].tags
    ),
    "path": _path,
    "source": _source,
    "segment": _segment,
    "resource_type": _resource_type,
    "package": lambda graph, node, value: graph.nodes[node].package == value,
    "audience": _is("audience"),
    "destination": _is("destination"),
    "persona": _is("persona"),
    "channel": _is("channel"),
    "unit_test": _is("unit_test"),
    "test": _is("test"),
}
