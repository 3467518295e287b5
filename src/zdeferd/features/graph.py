"""Draws what depends on what: nodes and edges as JSON values, as DOT and as a picture of text.

The layout is that of `zf::deps::export`, so that one tool reads both. Pure: names in, text out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Node(NamedTuple):
    """One job; `enabled` is None where it is only named by another."""

    id: str
    enabled: bool | None


class Graph(NamedTuple):
    """Nodes by id, and edges (from, to) by both, in byte order."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


_FILLS = {
    True: ("white", "black"),
    False: ("gray90", "gray50"),
    None: ("lemonchiffon", "goldenrod"),
}
_QUOTED = str.maketrans({'"': '\\"', "\\": "\\\\"})


def graph(after: Mapping[str, Sequence[str]], disabled: frozenset[str] = frozenset()) -> Graph:
    """Return the graph of id -> the ids that it comes after."""
    named = {other for others in after.values() for other in others}
    ids = sorted({*after, *named}, key=str.encode)
    edges = sorted({(one, other) for one, others in after.items() for other in others})
    nodes = (Node(id_, None if id_ not in after else id_ not in disabled) for id_ in ids)
    return Graph(tuple(nodes), tuple(edges))


def document(made: Graph, generated_at: str) -> dict[str, object]:
    """Return the graph as its JSON document."""
    return {
        "version": 1,
        "generated_at": generated_at,
        "source": "zdeferd",
        "filters": {"only": "jobs", "include_disabled": True},
        "nodes": [
            {"id": id_, "kind": "job", "group": "job", "enabled": enabled}
            for id_, enabled in made.nodes
        ],
        "edges": [
            {"from": one, "to": other, "kind": "after", "group": "job"} for one, other in made.edges
        ],
    }


def dot(made: Graph, generated_at: str) -> str:
    """Return the graph in the language of Graphviz."""
    lines = [
        f"// generated_at {generated_at}",
        "digraph zsh_deps {",
        "  rankdir=LR;",
        "  node [shape=box,fontsize=11];",
    ]
    for id_, enabled in made.nodes:
        fill, line = _FILLS[enabled]
        name = id_.translate(_QUOTED)
        look = f'style=filled,fillcolor="{fill}",color="{line}",label="{name}\\n(job)"'
        lines.append(f'  "{name}" [{look}];')
    for one, other in made.edges:
        ends = f'"{one.translate(_QUOTED)}" -> "{other.translate(_QUOTED)}"'
        lines.append(f'  {ends} [label="after",fontsize=9];')
    return "\n".join([*lines, "}"])


def picture(made: Graph) -> list[tuple[int, Node, bool]]:
    """Return the rows of a tree: depth, node, and whether its branch is above already.

    The jobs that come after nothing are the roots; below each are the jobs that come after it.
    Those of a cycle, which has no root, follow.
    """
    before = {one for one, _ in made.edges}
    nodes = {node.id: node for node in made.nodes}
    later: dict[str, list[str]] = {}
    for one, other in made.edges:
        later.setdefault(other, []).append(one)
    rows: list[tuple[int, Node, bool]] = []
    shown: set[str] = set()
    roots = sorted(made.nodes, key=lambda node: node.id in before)
    ahead = [(0, node.id) for node in reversed(roots)]
    while ahead:
        depth, id_ = ahead.pop()
        if depth == 0 and id_ in shown:
            continue
        rows.append((depth, nodes[id_], id_ in shown and id_ in later))
        if id_ not in shown:
            ahead += [(depth + 1, one) for one in reversed(later.get(id_, []))]
        shown.add(id_)
    return rows
