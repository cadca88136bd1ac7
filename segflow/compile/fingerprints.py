"""A compiled graph in, one fingerprint per node out: it changes when what a node is made from does.

Comments and formatting do not count, the moment of a run neither: compiled SQL holds a placeholder.
Vars and macros count through the SQL that they become, seeds by their content, sources by name.
"""

import hashlib

import msgspec

from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.project import nodes


def fingerprint(graph: Graph, compilation: Compilation, node: str) -> str:
    """The fingerprint of a node's definition: its own, and those of all that it reads."""
    found = compilation.fingerprints
    if not found:
        for each in graph.order:
            made_of = (
                _own(graph, compilation, each),
                sorted(found[p] for p in graph.parents[each]),
            )
            found[each] = hashlib.blake2b(repr(made_of).encode(), digest_size=8).hexdigest()
    return found[node]


def _own(graph: Graph, compilation: Compilation, node: str) -> object:
    said = graph.nodes[node]
    if node in graph.models:
        config = graph.models[node].config
        joined_by = (config.unique_key, config.incremental_strategy, config.on_schema_change)
        is_joined = config.materialized == "incremental"
        return compilation.models[node].outline.digest, joined_by if is_joined else ()
    if isinstance(said, nodes.Seed):
        return said.digest, msgspec.json.encode(said.config)
    return node
