"""Show which job comes after which: the jobs of files and shells, and their `after`.

Below each job are those that come after it. `--json` and `--dot` have the layout of
`zf::deps::export`; the kind of every node is `job`, that of every edge `after`.

Examples:

zdeferctl deps

zdeferctl deps --dot
"""

from __future__ import annotations

import time

from ..features.graph import Graph, Node, document, dot, graph, picture
from ..view.render import Style, count, printable
from ..view.where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --dot."""
    parser.add_argument("--dot", action="store_true", help="print it for Graphviz")


def perform(call: Call) -> int:
    """Print the graph; -> 0."""
    from ..ledger.reading import reading
    from ..view.jobs import declared

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        found, _ = declared(view, paths)
    after = {item.id: item.job.after if item.job else () for item in found.values()}
    made = graph(after, frozenset(item.id for item in found.values() if item.job is None))
    instant = _instant(call.env, call.now)

    def text(style: Style) -> str:
        return dot(made, instant) if call.args.dot else _picture(made, style)

    return call.answer(document(made, instant), text)


def _instant(env: Mapping[str, str], now: float) -> str:
    epoch = env.get("SOURCE_DATE_EPOCH", "")
    instant = int(epoch) if epoch.isascii() and epoch.isdigit() and len(epoch) < 12 else now
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(instant))


def _picture(made: Graph, style: Style) -> str:
    if not made.nodes:
        return "no jobs yet"
    rows = [_row(depth, node, above, style) for depth, node, above in picture(made)]
    number = f"{count(len(made.nodes), 'job')}, {len(made.edges)} after another"
    return "\n".join([*rows, "", number])


def _row(depth: int, node: Node, above: bool, style: Style) -> str:
    mark = "" if depth == 0 else f"{'   ' * (depth - 1)}└─ "
    notes = {True: "", False: " (refused)", None: " (not declared)"}[node.enabled]
    return mark + style.bold(printable(node.id)) + style.dim(notes + " (see above)" * above)
