"""What runs left behind in, the nodes to build so that it is made good out."""

from segflow import journal
from segflow.compile.graph import Graph, reached
from segflow.engines.base import Session
from segflow.project import archive


def leftovers(session: Session, graph: Graph) -> set[str]:
    """What was left behind, and what below it was edited since it was last built."""
    left = journal.left_behind(session) & graph.nodes.keys()
    # These are sent while something in them is held back, and once more when it has caught up.
    for audience in graph.project.audiences:
        if (audience.user_types or audience.messages) and left.intersection(
            graph.parents[audience.id]
        ):
            left.add(audience.id)
    below = reached(left, graph.parents)
    return left | (below & reached(below & _edited(session, graph), graph.children))


def _edited(session: Session, graph: Graph) -> set[str]:
    """The nodes of which a file says something else than when they were last built."""
    found = set[str]()
    for kept in journal.kept_projects(session):
        files = archive.edited(graph.project, kept.archive)
        for node in kept.nodes & graph.nodes.keys():
            said = graph.nodes[node]
            if files & {getattr(said, "file", None), said.origin and said.origin.path}:
                found.add(node)
    return found
