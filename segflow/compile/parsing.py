"""One model's file in, what it says of itself out: its config, what it refers to, what it asks.

Parsing renders the template with nothing behind it: relations are not known yet, no database is.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from segflow.compile.cache import Cache
from segflow.compile.context import Facts, Record, Scope, digest, names_of
from segflow.compile.outlines import Problem
from segflow.compile.relations import Relation
from segflow.compile.templating import Library, render
from segflow.errors import Location
from segflow.project import documents, nodes
from segflow.project.config import merge
from segflow.project.load import Project
from segflow.project.nodes import Model, ModelConfig


@dataclass(frozen=True)
class ParsedModel:
    """A model with all layers of its config, and where it will be found."""

    model: Model
    config: ModelConfig
    facts: Facts
    relation: Relation

    @property
    def id(self) -> str:
        return self.model.id

    @property
    def is_segment(self) -> bool:
        return self.config.materialized == "segment"


class Parser:
    """Templates of one project, each compiled once, and the facts kept from earlier commands."""

    def __init__(self, project: Project, library: Library, cache: Cache):
        self.project = project
        self.library = library
        self.cache = cache
        target = project.target
        self.context = [library.text, project.vars, project.name, target.name]
        self._templates: dict[Path, jinja2.Template] = {}

    def render(self, text: str, path: Path, scope: Scope, record: Record) -> str:
        """The text of the template `text`, which stands in `path`."""
        template = self._templates.get(path)
        if template is None:
            template = self._templates[path] = self.library.template(text, path)
        return render(template, names_of(self.project, self.library, scope, record))

    def facts(self, text: str, path: Path, name: str, config: dict[str, Any]) -> Facts:
        """What the template says of itself."""

        def make() -> Facts:
            record = Record()
            self.render(text, path, _nothing_behind(name, config), record)
            return record.facts()

        parts = ["facts", text, name, config, *self.context]
        facts = self.cache.get(parts, Facts, make)
        if self.env_now(facts) != facts.env:
            facts = self.cache.get([*parts, self.env_now(facts)], Facts, make)
        return facts

    def env_now(self, facts: Facts) -> dict[str, str]:
        return {name: digest(self.project.environment.get(name)) for name in facts.env}

    def model(self, model: Model) -> ParsedModel:
        facts = self.facts(model.text, model.file, model.name, model.config)
        documents.decode(facts.config, ModelConfig, model.file)
        merged = merge(model.config, facts.config)
        config = documents.decode(merged, ModelConfig, model.file)
        tags = nodes.tag_tuple(config.tags)
        if tags != model.tags or config.meta != model.meta:
            model = _with(model, tags=tags, meta=config.meta)
        relation = Relation(config.schema or "main", config.alias or model.name)
        return ParsedModel(model, config, facts, relation)


def _with(model: Model, **changes: Any) -> Model:
    fields = {name: getattr(model, name) for name in model.__struct_fields__}
    return Model(**{**fields, **changes})


def _nothing_behind(name: str, config: dict[str, Any]) -> Scope:
    return Scope(
        ref=lambda _, model: Relation("ref", model),
        source=Relation,
        this=Relation("this", name),
        name=name,
        config=config,
    )


def find_line(text: str, pattern: str) -> int | None:
    """The first line of `text` that `pattern` is found in, counted from 1."""
    match = re.search(pattern, text, re.IGNORECASE)
    return text.count("\n", 0, match.start()) + 1 if match else None


def source_line(model: Model, sql: str, problem: Problem) -> Location:
    """The line of the model's file that a problem in its compiled SQL comes from."""
    offset = problem.offset or 0
    line = sql.count("\n", 0, offset)
    word = re.match(r"\w*", sql[offset:])
    lines, compiled = model.text.splitlines(), sql.splitlines()
    for number, text in enumerate(lines, 1):
        if compiled and text.strip() == compiled[line].strip():
            return Location(model.file, number)
    return Location(model.file, find_line(model.text, rf"\b{word[0]}\b") if word else None)
