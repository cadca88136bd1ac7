"""Questions to what was last published, one function per command: they read and never write."""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segflow import journal
from segflow.baseline import of_ref
from segflow.build.workspace import open_engine, published
from segflow.compile.definitions import Definitions
from segflow.compile.graph import CONTACTS
from segflow.compile.names import Scope
from segflow.compile.relations import Relation, at
from segflow.compile.selection import select
from segflow.engines.base import Row
from segflow.errors import ProjectError, WorkspaceError, did_you_mean
from segflow.pipeline import Compiled, last_moment, moment_of
from segflow.project.config import moment
from segflow.questions.backtest import Backtest, Defined, Span
from segflow.questions.backtest import backtest as ask_backtest
from segflow.questions.emptiness import first_empty, why_nobody
from segflow.questions.explain import (
    Card,
    Verdict,
    check_segment,
    explain_contact,
    explain_membership,
    find_contact,
    identifiers,
)
from segflow.questions.matrix import Matrix, message_matrix
from segflow.questions.profile import Profile, explain_segment, persona_of
from segflow.questions.story import Story, in_full, tell
from segflow.report import Options
from segflow.site import figures

# How many days there are between two moments of a backtest.
_DAYS = {"1d": 1, "1w": 7}


def show(
    compiled: Compiled, options: Options, inline: str | None, limit: int
) -> tuple[list[str], list[Row]]:
    """The first rows of what is chosen, or of a query that may use Jinja, as last published."""
    graph = compiled.graph
    engine = open_engine(compiled.project, options.threads)
    with published(engine) as session:
        if inline is not None:
            as_of = last_moment(session, options, moment_of(compiled, options))
            this = Relation("main", "inline")
            scope = Scope(inline, Path("--inline"), graph.ref, graph.source, this, "inline")
            query = f"(\n{at(graph.parser.sql(scope), as_of)}\n)"
        else:
            chosen = [n for n in graph.order if n in select(graph, options.selected)]
            if not options.selected or len(chosen) != 1:
                hint = "segflow show --select contacts"
                raise ProjectError("choose one node to show", hint=hint)
            if chosen[0] not in graph.relations:
                raise ProjectError(f"`{graph.nodes[chosen[0]].name}` has no rows to show")
            query = str(graph.relations[chosen[0]])
        return session.query(f"select * from {query} limit {limit}")


def explain(
    compiled: Compiled, names: tuple[str, ...], persona: str | None = None
) -> Card | Verdict | Profile:
    """Why a contact is in a segment or not; where a contact stands; who is in a segment."""
    graph = compiled.graph
    if graph.find(CONTACTS) is None:
        raise ProjectError("there is no model `contacts`, whose rows could be explained")
    definitions = Definitions(graph, compiled.compilation)
    chosen = persona_of(graph, persona) if persona else None
    if len(names) == 2:
        check_segment(graph, names[1])
    with published(open_engine(compiled.project)) as session:
        if session.relation_type("segments", "evaluations") is None:
            raise WorkspaceError("no segment was evaluated yet", hint="segflow run")
        if chosen:
            profile = explain_segment(session, graph, definitions, chosen.segment)
            return replace(profile, persona=chosen.label, description=chosen.description)
        if len(names) == 1 and names[0] in graph.segments:
            return explain_segment(session, graph, definitions, names[0])
        contact, merged = find_contact(session, graph, names[0])
        if len(names) == 2:
            verdict = explain_membership(session, definitions, contact, names[1])
            return replace(verdict, merged=merged)
        card = explain_contact(session, graph, definitions, contact)
        has_any = session.relation_type("segments", "decisions") is not None
        story = tell(session, graph, contact, None) if has_any else None
        return replace(card, story=story, merged=merged)


def explain_message(
    compiled: Compiled, name: str, message: str, at: str | None, run: int | None
) -> Story:
    """Why a contact got a message or did not, as it stood at a moment or after a run."""
    graph = compiled.graph
    if graph.find(CONTACTS) is None:
        raise ProjectError("there is no model `contacts`, whose rows could be explained")
    definitions = Definitions(graph, compiled.compilation)
    with published(open_engine(compiled.project)) as session:
        contact, merged = find_contact(session, graph, name)
        story = tell(session, graph, contact, message, moment(at) if at else None, run)
        story = replace(story, merged=merged)
        return in_full(session, graph, definitions, story, identifiers(graph))


def backtest(
    compiled: Compiled,
    options: Options,
    segment: str,
    given: dict[str, str | None],
    against: str | None,
) -> list[Backtest]:
    """Who would have been in a segment between two moments, as it was last published.

    Args:
        given: `begin`, `end` (the last run's moment where there is none) and `every`, as typed.
        against: another definition: a file, or a git ref, which stands for the project as of then.
    """
    graph = compiled.graph
    if segment not in graph.segments:
        hint = did_you_mean(segment, graph.segments) or "segflow ls --resource-type segment"
        raise ProjectError(f"unknown segment `{segment}`", hint=hint)
    with published(open_engine(compiled.project)) as session:
        last = journal.last_run(session)
        end = moment(given["end"]) if given["end"] or last is None else last.as_of
        span = Span(moment(given["begin"]), end, _DAYS[str(given["every"])])
        ours = Defined("project", graph, compiled.compilation)
        found = [ask_backtest(session, segment, span, ours)]
        if against:
            theirs = _defined(compiled, options, segment, ours, against)
            found.append(ask_backtest(session, segment, span, theirs))
        return found


def _defined(
    compiled: Compiled, options: Options, segment: str, ours: Defined, against: str
) -> Defined:
    if Path(against).is_file():
        return ours.with_file(segment, Path(against))
    with TemporaryDirectory() as folder:
        then = of_ref(compiled, options, against, Path(folder))
    if segment not in then.graph.segments:
        raise ProjectError(f"there was no segment `{segment}` as of `{against}`")
    return ours.with_project(against, then.graph, then.compilation)


def matrix(compiled: Compiled, by: str) -> Matrix:
    """Goals by stage or persona, the messages, and what they leave uncovered."""
    definitions = Definitions(compiled.graph, compiled.compilation)
    with published(open_engine(compiled.project)) as session:
        return message_matrix(session, compiled.graph, definitions, by)


def outcomes(compiled: Compiled) -> list[dict[str, Any]]:
    """What messages did, as the last run of all messages found it."""
    with published(open_engine(compiled.project)) as session:
        if session.relation_type("segments", "outcomes") is None:
            raise WorkspaceError("no message was decided on yet", hint="segflow run")
        names, rows = session.query("select * from segments.outcomes")
        return [dict(zip(names, row, strict=True)) for row in rows]


def write_pages(compiled: Compiled, folder: Path) -> int:
    """Write what was last published as static pages; how many there are."""
    # Only this command needs what renders them.
    from segflow.site import pages

    graph, compilation = compiled.graph, compiled.compilation
    with published(open_engine(compiled.project)) as session:
        found = figures.read(session, graph, compilation)
    files = pages.render(graph, compilation, found)
    pages.publish(folder, files)
    return sum(name.endswith(".html") for name in files)


@dataclass(frozen=True)
class Inspection:
    """What stands in the published database: how fresh, what is empty, and who is missing."""

    database: Path
    statuses: dict[str, journal.Status]
    empty: list[str]
    nobody: dict[str, str]


def inspect(compiled: Compiled) -> Inspection:
    """Look into the published database; there is nothing to see before the first run."""
    engine, graph = open_engine(compiled.project), compiled.graph
    if not engine.exists():
        return Inspection(engine.location, {}, [], {})
    with published(engine) as session:
        found = {n: s for n, s in journal.statuses(session).items() if n in graph.nodes}
        empty = {n for n, status in found.items() if status.state == "empty" and status.run}
        definitions, last = Definitions(graph, compiled.compilation), journal.last_run(session)
        nobody = why_nobody(session, graph, definitions, empty, last.as_of) if last else {}
        return Inspection(engine.location, found, first_empty(graph, empty), nobody)
