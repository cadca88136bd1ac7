"""One model's file in, what it says of itself out: its config, what it refers to, what it asks.

Parsing renders the template with nothing behind it: relations are not known yet, no database is.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segflow.compile.library import Library, Marks, find_line
from segflow.compile.names import Facts, Rendered, Scope, digest, names_of
from segflow.compile.relations import Relation
from segflow.errors import Location, ProjectError, SegflowError
from segflow.project import documents
from segflow.project.folders import merge
from segflow.project.load import Project, place
from segflow.project.nodes import DataTest, Model
from segflow.project.properties import DataTestConfig, ModelConfig

R = TypeVar("R", bound=Rendered)


class ParsedModel(Struct, frozen=True):
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

    def said_at(self, key: str) -> Location:
        """Where its own file says a key of its config, or else YAML."""
        word = key.rpartition(".")[2]
        line = find_line(self.model.text, rf"\b{word}\b['\"]?\s*[=:]")
        return Location(self.model.file, line) if line else place(self.model, f".config.{key}")


class Parser:
    """Templates of one project, each compiled once, and the facts kept from earlier commands."""

    def __init__(self, project: Project, library: Library):
        self.project = project
        self.library = library
        target = project.target
        everything = [library.digest, project.vars, project.name, target.name, target.properties]
        self._context = digest(str(msgspec.json.encode(everything, enc_hook=str, order="sorted")))

    def render(self, scope: Scope, facts: Facts | None = None) -> str:
        """The text that a template becomes; `facts` note what it says."""
        names = names_of(self.project, self.library, scope, facts or Facts())
        return self.library.templates.render(scope.text, scope.path, names)

    def sql(self, scope: Scope, facts: Facts | None = None) -> str:
        """The SELECT that a template becomes, the clock still a placeholder."""
        return self.render(scope, facts).strip().removesuffix(";").rstrip()

    def keep(self, parts: list[Any], shape: type[R], make: Callable[[], R]) -> R:
        """What follows from `parts`, from every macro and var, and from the variables it read."""
        get = self.project.environment.get
        parts = [*parts, self._context]
        found = self.project.cache.get(parts, shape, make)
        while (now := {name: digest(get(name)) for name in found.env}) != found.env:
            parts = [*parts, now]
            found = self.project.cache.get(parts, shape, make)
        return found

    def facts(self, scope: Scope) -> Facts:
        """What the template says of itself."""

        def make() -> Facts:
            facts = Facts()
            self.render(scope, facts)
            return facts

        return self.keep(["facts", scope.text, scope.name, scope.config], Facts, make)

    def model(self, model: Model) -> ParsedModel:
        """A model with what its own file says.

        Raises:
            ProjectError: its template is broken, or asks for a config that there is not.
        """
        facts = self.facts(nothing_behind(model))
        if facts.config:
            model = replace(model, config=merge(model.config, facts.config))
        config = documents.convert(model.config, ModelConfig)
        relation = Relation(config.schema or "main", config.alias or model.name)
        return ParsedModel(model, config, facts, relation)

    def locate(self, scope: Scope) -> None:
        """Render with what is really behind it, so that what is missing is named at its line."""
        try:
            self.render(scope)
        except ProjectError as error:
            error.location = error.location or Location(scope.path)
            raise

    def origin(self, scope: Scope, sql: str, offset: int) -> list[Location]:
        """The lines that `sql[offset]` comes from, a macro's before those of who calls it."""
        marks = Marks()
        library = Library(self.project.macros, marks)
        names = names_of(self.project, library, scope, Facts())
        try:
            rendered = library.templates.render(scope.text, scope.path, names)
            found = marks.trace(rendered, sql, offset, scope.path)
        except SegflowError:
            found = []
        if found:
            return found
        # Where macros work on the text of others, marks get lost; a word tells enough.
        word = re.match(r"\w+", sql[offset:])
        line = find_line(scope.text, rf"\b{word[0]}\b") if word else 1
        return [Location(scope.path, line)]


def nothing_behind(node: Model | DataTest) -> Scope:
    """A node's template while it is parsed."""
    is_model = isinstance(node, Model)
    return Scope(
        node.text,
        node.file or Path(node.path),
        lambda _, model: Relation("ref", model),
        Relation,
        Relation("this", node.name),
        node.name,
        node.config if isinstance(node, Model) else {},
        ModelConfig if is_model else DataTestConfig,
    )
