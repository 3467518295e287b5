"""Compare two configurations, or two commits of one: is B slower than A, and how sure is that?

A and B are folders with a .zshrc (ZDOTDIR); REV..REV are two commits of the repository that you
are in. Starts are taken in turns. The verdict is slower, faster, same (the whole 95 % interval
lies within 5 % of A) or unsure. Examples:

zdeferctl perf compare ~/.config/zsh ~/.config/zsh-new

zdeferctl perf compare main..HEAD -n 40 --fail-on slower
"""

from __future__ import annotations

import os

from ...errors import ZdeferdError
from ...machine.paths import MEASURING
from ...perf.jsontext import decimals
from ...view.render import Style, count, table
from ..codes import DONE, NO
from ..ending import interrupted_by_signals
from ..parsers import span, whole
from .capture import LONGEST
from .shared import answer, name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

    from ...perf.starts.revisions import Side
    from ..call import Call

HEADS = ("", "CONFIGURATION", "MEDIAN", "MIN", "MAX")
RIGHT = frozenset({2, 3, 4})
_COLOURS = {"slower": "red", "faster": "green", "same": "green", "unsure": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the two sides, how many starts, and what to make of them."""
    add = parser.add_argument
    add("a", metavar="A", help="a folder with a .zshrc, or REV..REV")
    add("b", metavar="B", nargs="?", help="another folder")
    add("-n", dest="count", type=whole(2), default=20, metavar="N", help="starts of each (20)")
    add("--metric", type=name, default="first_prompt_lag", metavar="NAME", help="what to compare")
    add("--timeout", type=span(LONGEST), default=10.0, metavar="TIME", help="for a prompt (10s)")
    add("--retries", type=whole(0), default=2, metavar="N", help="of a start that failed (2)")
    add("--fail-on", choices=("slower",), help="exit with 1 where B is slower")
    add("--html", metavar="FILE", help="write a page with a picture to FILE; -: print it")


def perform(call: Call) -> int:
    """Measure and judge; -> 0, or 1 for --fail-on."""
    import tempfile

    from ...perf.starts import compare, page
    from ...perf.starts.capture import Plan

    args = call.args
    plan = Plan(args.count, 0.0, "", args.timeout, args.retries, False)
    with interrupted_by_signals(), tempfile.TemporaryDirectory(prefix=MEASURING) as folder:
        sides = _sides(args.a, args.b, folder)
        wanted = compare.Measurement(args.metric, plan, call.env, f"{folder}/log")
        values = compare.measure(sides, args.count, wanted, call.live)
    found = compare.judge(*values)
    document = compare.document(sides, values, found)
    code = NO if args.fail_on and found.verdict == "slower" else DONE
    if args.html and call.put(page.comparison(document, args.metric), args.html):
        return code
    return answer(call, document, lambda style: _text(document, args.metric, style), code)


def _sides(a: str, b: str | None, folder: str) -> tuple[Side, Side]:
    from ...perf.starts.revisions import Side, revisions

    if b is None:
        if ".." not in a or os.path.isdir(a):
            raise ZdeferdError(f"compared with what: {a}", "name a second folder, or REV..REV")
        return revisions(a, folder)
    for path in (a, b):
        if not os.path.isdir(path):
            raise ZdeferdError(f"not a folder: {path}", "name a folder with a .zshrc")
    return Side(a, a), Side(b, b)


def _text(document: Mapping[str, Any], metric: str, style: Style) -> str:
    rows = [
        [
            key.upper(),
            document[key]["name"],
            decimals(document[key]["median_ms"]),
            decimals(min(document[key]["values"])),
            decimals(max(document[key]["values"])),
        ]
        for key in "ab"
    ]
    verdict = document["verdict"]
    said = f"B is {verdict}" if verdict != "unsure" else "unsure"
    lines = [
        table(HEADS, rows, style, RIGHT),
        "",
        f"{style.paint(said, _COLOURS[verdict])}: {metric}_ms {document['diff_ms']:+.2f} ms,"
        f" 95 % interval {document['low']:+.2f} … {document['high']:+.2f}",
    ]
    if verdict == "unsure":
        lines.append(f"about {count(document['enough'], 'start')} of each would be enough (-n)")
    return "\n".join(lines)
