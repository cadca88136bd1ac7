"""`--select` and `--exclude` in, ids of nodes out, in dbt's syntax.

A word is a name (with `*`), or `method:value`; `+` before or behind takes parents or children,
`2+` so many steps of them. Words apart are a union, words with a comma an intersection.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable

from segflow.compile.graph import Graph, reached
from segflow.errors import ProjectError, did_you_mean
from segflow.project import nodes

_WORD = re.compile(r"(?P<up>\d*\+)?(?P<word>.*?)(?P<down>\+\d*)?")
_KINDS = (
    *("segment", "audience", "destination", "persona", "channel", "message", "goal"),
    *("unit_test", "test"),
)
_SEE = "see what there is: segflow ls"


def select(graph: Graph, chosen: Iterable[str], excluded: Iterable[str] = ()) -> set[str]:
    """The ids of what `chosen` names, all nodes where it is empty, less what `excluded` names.

    Raises:
        ProjectError: a word is wrong, or nothing is left in the end.
    """
    found = _union(graph, chosen) if chosen else set(graph.nodes)
    return _less(found, _union(graph, excluded, must_be=False), chosen, excluded)


def select_with_tests(
    graph: Graph, chosen: Iterable[str], excluded: Iterable[str] = ()
) -> set[str]:
    """As `select`, with every test that reads what is chosen, less those of what is excluded."""
    found = with_tests(graph, _union(graph, chosen) if chosen else set(graph.nodes))
    less = with_tests(graph, _union(graph, excluded, must_be=False))
    return _less(found, less, chosen, excluded)


def with_tests(graph: Graph, found: set[str]) -> set[str]:
    """What was found, with every test that reads some of it."""
    tests = [*graph.project.data_tests, *graph.project.unit_tests]
    return found | {t.id for t in tests if found.intersection(graph.parents.get(t.id, ()))}


def _less(
    found: set[str], excluded: set[str], chosen: Iterable[str], others: Iterable[str]
) -> set[str]:
    left = found - excluded
    # That nothing was modified is an answer.
    if not left and (chosen or others) and "state:" not in " ".join((*chosen, *others)):
        said = " ".join(chosen) + (f" --exclude {' '.join(others)}" if others else "")
        raise ProjectError(f"`{said.strip()}` selects nothing", hint=_SEE)
    return left


def _union(graph: Graph, words: Iterable[str], must_be: bool = True) -> set[str]:
    found: set[str] = set()
    for word in (part for text in words for part in text.split()):
        parts = [_expand(graph, part, must_be) for part in word.split(",")]
        found |= set.intersection(*parts)
    return found


def _expand(graph: Graph, text: str, must_be: bool) -> set[str]:
    word = _WORD.fullmatch(text)
    if not word or not word["word"]:
        raise ProjectError(
            f"`{text}` selects nothing", hint="as in: +contacts, tag:trial, stg_carts+"
        )
    found = start = _match(graph, word["word"], must_be)
    for steps, edges in ((word["up"], graph.parents), (word["down"], graph.children)):
        if steps:
            number = steps.strip("+")
            found = found | reached(start, edges, int(number) if number else None)
    return found


def _match(graph: Graph, word: str, must_be: bool) -> set[str]:
    """The nodes that a word means; one that is nearly there is wrong also if it need not be."""
    method, colon, value = word.partition(":")
    if not colon:
        found = {node for node in graph.nodes if _is_called(graph.nodes[node], word)}
    elif method in _METHODS:
        found = {node for node in graph.nodes if _METHODS[method](graph, node, value)}
    elif method.startswith("config."):
        keys = method.split(".")[1:]
        found = {node for node in graph.nodes if _has_config(graph, node, keys, value)}
    else:
        known = [*_METHODS, "config.materialized"]
        raise ProjectError(
            f"unknown method `{method}` in `{word}`",
            hint=did_you_mean(method, known) or f"there is: {', '.join(known)}",
        )
    if not found and method != "state":
        names = [node.name for node in graph.nodes.values()]
        near = did_you_mean(value or word, names)
        if near or must_be:
            raise ProjectError(f"`{word}` selects nothing", hint=near or _SEE)
    return found


def _is_called(node: nodes.Node, word: str) -> bool:
    """By name, by package, or by `package.folder.name` as dbt's fqn; a folder is all below it."""
    if fnmatch.fnmatchcase(node.name, word):
        return True
    place = ".".join([node.package, *node.path.split("/")[1:-1], node.name])
    inside = place.removeprefix(f"{node.package}.")
    return any(
        fnmatch.fnmatchcase(whole, word) or whole.startswith(f"{word}.")
        for whole in (place, inside)
    )


def _has_config(graph: Graph, node: str, keys: list[str], value: str) -> bool:
    """As `config.materialized:table`, `config.meta.owner:ann`, `config.tags:daily`."""
    model = graph.models.get(node)
    found = model.config if model else getattr(graph.nodes[node], "config", None)
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else getattr(found, key, None)
    listed = found if isinstance(found, list) else [found]
    return any(item is not None and str(item).lower() == value.lower() for item in listed)


def _path(graph: Graph, node: str, value: str) -> bool:
    path, wanted = graph.nodes[node].path, value.removeprefix("./").rstrip("/")
    return path == wanted or path.startswith(f"{wanted}/") or fnmatch.fnmatchcase(path, wanted)


def _is(kind: str) -> Callable[[Graph, str, str], bool]:
    def matches(graph: Graph, node: str, value: str) -> bool:
        return graph.kind(node) == kind and fnmatch.fnmatchcase(graph.nodes[node].name, value)

    return matches


def _source(graph: Graph, node: str, value: str) -> bool:
    """By source, by `source.table`, or with the package before them."""
    found = graph.nodes[node]
    if not isinstance(found, nodes.Source):
        return False
    names = (found.source_name, found.name, f"{found.package}.{found.name}")
    return any(fnmatch.fnmatchcase(name, value) for name in names)


def _state(graph: Graph, node: str, value: str) -> bool:
    if value != "modified":
        raise ProjectError(f"unknown state `{value}`", hint="there is: state:modified")
    if graph.modified is None:
        raise ProjectError(
            "state:modified compares with an earlier state of the project",
            hint="name its target folder: --state <folder>",
        )
    return node in graph.modified


_METHODS: dict[str, Callable[[Graph, str, str], bool]] = {
    "tag": lambda graph, node, value: any(
        fnmatch.fnmatchcase(tag, value) for tag in graph.nodes[node].tags
    ),
    "path": _path,
    "source": _source,
    "state": _state,
    "resource_type": lambda graph, node, value: value in (graph.nodes[node].kind, graph.kind(node)),
    "package": lambda graph, node, value: graph.nodes[node].package == value,
    **{kind: _is(kind) for kind in _KINDS},
}
