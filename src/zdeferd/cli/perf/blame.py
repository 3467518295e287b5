"""Show where the milliseconds of a start go: file, line and command, without a change to them.

One start is traced; what the trace itself costs is measured and subtracted. SELF is the time of
a line's own command, TOTAL that with all it called. Examples:

zdeferctl perf blame

zdeferctl perf blame --tree --least 5
"""

from __future__ import annotations

from ...perf.jsontext import decimals
from ...view.render import Style, cut, home_short, table
from ...view.where import find_paths
from ..codes import DONE
from ..ending import interrupted_by_signals
from ..parsers import span, whole
from .capture import LONGEST, existing_folder
from .shared import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from ...perf.starts.blame import Blamed
    from ...perf.starts.trace import Line, Node
    from ..call import Call

HEADS = ("SELF", "TOTAL", "TIMES", "WHERE", "COMMAND")
RIGHT = frozenset({0, 1, 2})
ROWS = 15
COMMAND_COLUMNS = 50


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to trace and how to show it."""
    add = parser.add_argument
    add("zdotdir", type=existing_folder, metavar="ZDOTDIR", nargs="?", help="the folder of .zshrc")
    add("--tree", action="store_true", help="the calls as a tree, not the dearest lines")
    add("--least", type=whole(0), default=1, metavar="MS", help="leave out what takes less (1)")
    add("--html", metavar="FILE", help="write a page with a flame graph to FILE; -: print it")
    add("--timeout", type=span(LONGEST), default=30.0, metavar="TIME", help="for a prompt (30s)")


def perform(call: Call) -> int:
    """Trace and show; -> 0."""
    from ...perf.starts.blame import blame
    from ...perf.starts.capture import Plan
    from ...perf.starts.trace import by_line, by_plugin, hint

    args = call.args
    call.live("tracing one start")
    plan = Plan(1, 0.0, args.zdotdir or "", args.timeout, 0, False)
    with interrupted_by_signals():
        found = blame(plan, call.env)
    lines = by_line(found.root)
    document = {
        "total_ms": float(found.root.total_ms),
        "commands": found.commands,
        "overhead_ms": float(found.overhead_ms),
        "lines": [line._asdict() | {"hint": hint(line.text)} for line in lines],
        "plugins": [{"name": name, "self_ms": ms} for name, ms in by_plugin(lines)],
        "tree": [_branch(node) for node in found.root.sorted()],
    }
    home = find_paths(call.env).home
    if args.html:
        from ...perf.starts.page import flame

        if call.put(flame(found.root, lambda said: home_short(said, home)), args.html):
            return DONE

    def text(style: Style) -> str:
        if args.tree:
            return "\n".join(_tree(found.root, args.least, home))
        return _table(found, lines, args.least, home, style)

    return answer(call, document, text)


def _branch(node: Node) -> dict[str, Any]:
    return {
        "file": node.file,
        "line": node.line,
        "text": node.text,
        "self_ms": node.self_ms,
        "total_ms": node.total_ms,
        "times": node.times,
        "children": [_branch(child) for child in node.sorted()],
    }


def _where(file: str, line: int, home: str) -> str:
    return f"{home_short(file, home)}:{line}" if file else "-"


def _table(found: Blamed, lines: list[Line], least: int, home: str, style: Style) -> str:
    from ...perf.starts.trace import by_plugin, hint

    shown = [line for line in lines if line.self_ms >= least][:ROWS]
    rows = [
        [
            decimals(line.self_ms),
            decimals(line.total_ms),
            str(line.times),
            _where(line.file, line.line, home),
            cut(line.text, COMMAND_COLUMNS),
        ]
        for line in shown
    ]
    parts = [table(HEADS, rows, style, RIGHT)]
    if plugins := [f"{name} {decimals(ms)}" for name, ms in by_plugin(lines) if ms >= least]:
        parts.append(f"plugins: {', '.join(plugins)}")
    hints = [(line, hint(line.text)) for line in shown]
    parts += [f"{_where(line.file, line.line, home)}: {said}" for line, said in hints if said]
    total = f"{decimals(found.root.total_ms)} ms to the first prompt, {found.commands} commands"
    tracing = f"{found.overhead_ms * 1000:.1f} µs each for tracing, taken off"
    return "\n".join([*parts, style.dim(f"{total}; {tracing}")])


def _tree(node: Node, least: int, home: str, depth: int = 0) -> Iterator[str]:
    for child in node.sorted():
        if child.total_ms >= least:
            where = _where(child.file, child.line, home)
            said = cut(child.text, COMMAND_COLUMNS)
            cost = f"{decimals(child.total_ms)} ({decimals(child.self_ms)})"
            yield f"{'  ' * depth}{cost}  {where}  {said}"
            yield from _tree(child, least, home, depth + 1)
