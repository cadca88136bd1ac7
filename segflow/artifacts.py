"""A graph, SQL and results in; `target/` out: compiled SQL, the manifest, how a run went.

The shapes follow dbt's artifacts as far as they go, so that tools which read those find their way.
"""

import hashlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from segflow import __version__
from segflow.compile.compiler import Compilation, fingerprint
from segflow.compile.graph import Graph
from segflow.project import nodes
from segflow.project.load import Project
from segflow.project.properties import ColumnProperties


def write_compiled(graph: Graph, compilation: Compilation) -> None:
    """One file per model and test below `target/compiled`, nothing where nothing has changed."""
    folder = graph.project.target_path / "compiled"
    files: dict[str, str] = {}
    for node, compiled in compilation.models.items():
        model = graph.nodes[node]
        files[f"{model.package}/{model.path}"] = compiled.sql
    for node, sql in compilation.tests.items():
        test = graph.nodes[node]
        files[f"{test.package}/tests/{test.name}.sql"] = sql
    digest = hashlib.blake2b(repr(files).encode()).hexdigest()
    marker = folder / ".digest"
    if marker.exists() and marker.read_text() == digest:
        return
    marker.unlink(missing_ok=True)
    paths = {folder / name: sql for name, sql in files.items()}
    for left_over in set(folder.rglob("*.sql")) - paths.keys():
        left_over.unlink()
    for parent in {folder, *(path.parent for path in paths)}:
        parent.mkdir(parents=True, exist_ok=True)
    for path, sql in paths.items():
        path.write_text(f"{sql}\n", "utf-8")
    marker.write_text(digest)


def write_manifest(graph: Graph, compilation: Compilation, generated_at: datetime) -> None:
    """What the project is: every node with its config and SQL, and who reads whom."""
    manifest = {
        "metadata": {
            "generated_at": f"{generated_at:%Y-%m-%dT%H:%M:%SZ}",
            "segflow_version": __version__,
            "project_name": graph.project.name,
            "target": graph.project.target.name,
        },
        "nodes": {
            node: _node(graph, node, compilation)
            for node in graph.order
            if graph.nodes[node].kind in ("model", "seed", "test")
        },
        "sources": {s.id: _plain(s) | _relation(graph, s.id) for s in graph.project.sources},
        "unit_tests": {t.id: _plain(t) for t in graph.project.unit_tests if t.id in graph.nodes},
        "exposures": {
            node.id: node.said() | _plain(node) | _exposure(graph, node)
            for node in (*graph.project.audiences, *graph.project.messages)
        },
        "destinations": {d.id: _plain(d) | {"type": d.type} for d in graph.project.destinations},
        "personas": {p.id: _plain(p) | {"segment": p.segment} for p in graph.project.personas},
        "parent_map": {node: list(graph.parents[node]) for node in graph.order},
        "child_map": {node: list(graph.children[node]) for node in graph.order},
    }
    text = msgspec.json.encode(manifest, enc_hook=str).decode()
    _write(graph.project.target_path / "manifest.json", graph.project.environment.scrub(text))


def write_report(project: Project, results: str, summary: str) -> None:
    """How the last command went: as JSON, and as people read it."""
    scrub = project.environment.scrub
    _write(project.target_path / "run_results.json", scrub(results) + "\n")
    _write(project.target_path / "run_summary.md", scrub(f"```\n{summary}\n```\n"))


def _plain(node: nodes.Node) -> dict[str, Any]:
    return {
        "unique_id": node.id,
        "name": node.name,
        "resource_type": node.kind,
        "package_name": node.package,
        "original_file_path": node.path,
        "description": node.description,
        "tags": list(node.tags),
        "meta": node.meta,
    }


def _relation(graph: Graph, node: str) -> dict[str, Any]:
    relation = graph.relations[node]
    return {
        "schema": relation.schema,
        "alias": relation.identifier,
        "relation_name": str(relation),
    }


def _node(graph: Graph, node_id: str, compilation: Compilation) -> dict[str, Any]:
    node = graph.nodes[node_id]
    entry = _plain(node) | {"depends_on": {"nodes": list(graph.parents[node_id])}}
    if isinstance(node, nodes.DataTest):
        return entry | {
            "compiled_code": compilation.tests[node_id],
            "attached_node": node.attached,
            "test_metadata": {"name": node.test, "kwargs": node.arguments},
            "config": node.config,
        }
    assert isinstance(node, nodes.Seed | nodes.Model)
    entry |= _relation(graph, node_id)
    entry |= {
        "columns": {column.name: _column(column) for column in node.columns},
        "fingerprint": fingerprint(graph, compilation, node_id),
        "config": node.config,
    }
    if isinstance(node, nodes.Seed):
        return entry
    parsed, compiled = graph.models[node_id], compilation.models[node_id]
    return entry | {
        "config": parsed.config,
        "is_segment": parsed.is_segment,
        "raw_code": node.text,
        "compiled_code": compiled.sql,
        "output_columns": compiled.outline.columns,
    }


def _column(column: ColumnProperties) -> dict[str, Any]:
    return {
        "name": column.name,
        "data_type": column.data_type,
        "description": column.description,
        "meta": {**column.meta, **column.config.meta},
    }


def _exposure(graph: Graph, node: nodes.Node) -> dict[str, Any]:
    return {
        "resource_type": "exposure",
        "type": node.kind,
        "depends_on": {"nodes": list(graph.parents[node.id])},
    }


def _write(path: Path, text: str) -> None:
    """Write a file whole, or leave the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text, "utf-8")
    scratch.replace(path)
