"""Figures in, a folder of HTML out: a start page, and one page per segment, persona, …"""

import re
import shutil
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from segflow import __version__
from segflow.audiences.policies import COUNTED
from segflow.compile.compiler import Compilation
from segflow.compile.graph import Graph
from segflow.compile.relations import AS_OF
from segflow.errors import WorkspaceError
from segflow.project.nodes import Model, Node
from segflow.site.charts import chart
from segflow.site.figures import MOVED_DAYS, Figures

_UNITS = {"m": "minute", "h": "hour", "d": "day"}
_GRAIN = re.compile(r"\s*One row per [^.]*\.\s*$")


def render(graph: Graph, compilation: Compilation, figures: Figures) -> dict[str, str]:
    """Every file of the site, by its path below the site's folder."""
    project = graph.project
    jinja = _environment(project.environment.scrub)
    jinja.globals |= {
        "figures": figures,
        "graph": graph,
        "project": project,
        "goals": _goals(graph),
        "slices": _slices(graph),
        "sql_of": lambda node: compilation.models[node].sql.replace(AS_OF, "<as of>"),
        "version": __version__,
        "moved_days": MOVED_DAYS,
    }
    segments = [segment.model for segment in graph.segments.values()]
    kinds: dict[str, list[Any]] = {
        "segment": segments,
        "persona": project.personas,
        "message": project.messages,
        "audience": project.audiences,
    }
    files = {"index.html": jinja.get_template("index.html").render(root="")}
    files["style.css"] = jinja.get_template("style.css").render()
    for kind, nodes in kinds.items():
        page = jinja.get_template(f"{kind}.html")
        for node in nodes:
            files[f"{kind}s/{_slug(node.name)}.html"] = page.render(node=node, root="../")
    return files


def publish(folder: Path, files: Mapping[str, str]) -> None:
    """Put a site in the place of the one before; what is half written stands beside it.

    Raises:
        WorkspaceError: the folder cannot be written to.
    """
    scratch, before = (folder.with_name(f".{folder.name}.{word}") for word in ("new", "before"))
    try:
        for left_over in (scratch, before):
            shutil.rmtree(left_over, ignore_errors=True)
        for name, text in files.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
        if folder.exists():
            folder.rename(before)
        scratch.rename(folder)
        shutil.rmtree(before, ignore_errors=True)
    except OSError as error:
        raise WorkspaceError(f"cannot write to {folder}: {error.strerror}") from None


def _environment(scrub: Callable[[str], str]) -> Environment:
    """Jinja that escapes everything, once secrets are out of it."""

    def finalize(value: Any) -> Any:
        return scrub(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    jinja = Environment(
        loader=PackageLoader("segflow.site"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.globals["chart"] = chart
    jinja.filters |= {
        "slug": _slug,
        "words": _words,
        "number": _number,
        "many": lambda n, noun: f"{n:,} {noun}{'' if n == 1 else 's'}",
        "share": lambda part, whole: f"{part / whole:.0%}" if whole else "\N{EN DASH}",
        "day": _day,
        "span": _span,
        "prose": lambda text: _GRAIN.sub("", text).strip(),
        "reason": lambda name: COUNTED.get(name, name.replace("_", " ")),
        "initials": _initials,
    }
    return jinja


def _goals(graph: Graph) -> dict[str, Node | None]:
    """The goals that are described or have a message, in the order of the project."""
    described: dict[str, Node | None] = {goal.name: goal for goal in graph.project.goals}
    return described | {m.goal: described.get(m.goal) for m in graph.project.messages}


def _slices(graph: Graph) -> dict[str, list[Model]]:
    """Segments by their `meta: {slice: …}`, those without one last."""
    found: dict[str, list[Model]] = {}
    for segment in graph.segments.values():
        found.setdefault(str(segment.config.meta.get("slice", "")), []).append(segment.model)
    return dict(sorted(found.items(), key=lambda item: (not item[0], item[0])))


def _slug(name: object) -> str:
    """A name as that of a file, and as it stands in a link."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"~{ord(found[0]):x}~", str(name))


def _words(name: object) -> str:
    text = str(name).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _number(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,.10g}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _span(duration: str) -> str:
    """`1d` as `1 day`."""
    count, unit = duration[:-1], _UNITS[duration[-1]]
    return f"{count} {unit}{'' if count == '1' else 's'}"


def _initials(label: str) -> str:
    """Of the first word and the last."""
    words = label.split()
    return "".join(word[0] for word in dict.fromkeys((*words[:1], *words[-1:])))
