"""Show whether metrics rise or fall over captures, and since which capture.

The slope is Theil-Sen's over the medians of the last K captures, with its 95 % interval.
Without FILE the captures of the evidence folder are read. Examples:

zdeferctl perf trend --plot

zdeferctl perf trend --last 50 --fail-on rising
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import reading, trend
from ...perf.jsontext import decimals
from ...view.render import Style, table
from ..codes import DONE, NO
from ..parsers import whole
from .shared import add_folder, answer, captures_of, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any

    from ..call import Call

MOST = 500
"""Captures in one trend: each pair of them has a slope."""
HEADS = ("METRIC", "CAPTURES", "FIRST", "LAST", "SLOPE", "95 %", "VERDICT", "JUMP")
RIGHT = frozenset({1, 2, 3, 4})
_COLOURS = {"rising": "red", "falling": "green"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add which captures and metrics, and what to make of them."""
    add = parser.add_argument
    add("file", nargs="*", metavar="FILE", help="captures, in place of the evidence folder's")
    add("--last", type=whole(1), default=20, metavar="K", help=f"the newest K (20; up to {MOST})")
    add("--metrics", type=names, metavar="LIST", help="only these")
    add("--plot", action="store_true", help="a mark for each capture")
    add("--html", metavar="FILE", help="write a page with pictures to FILE; -: print it")
    add("--fail-on", choices=("rising",), help="exit with 1 where a metric rises")
    add_folder(parser)


def perform(call: Call) -> int:
    """Show the trends; -> 0, or 1 for --fail-on."""
    if call.args.last > MOST:
        raise ZdeferdError(f"too many captures for one trend: {call.args.last}, at most {MOST}")
    found = _trends(call)
    rises = any(one["verdict"] == "rising" for one in found.values())
    code = NO if rises and call.args.fail_on else DONE
    if call.args.html:
        from ...perf.starts.page import trends

        if call.put(trends(found), call.args.html):
            return code
    document = {"metrics": found}
    return answer(call, document, lambda style: _text(found, style, call.args.plot), code)


def _trends(call: Call) -> dict[str, dict[str, Any]]:
    captures = captures_of(call, call.args.last, call.args.file)
    present = {name for data in captures for name in data.values}
    metrics = call.args.metrics or reading.default_metrics(present)
    found = {}
    for name in metrics:
        having = [data for data in captures if name in data.values]
        if having:
            points = [trend.Point(data.generated_at, data.values[name]) for data in having]
            found[f"{name}_ms"] = trend.trend(points)
    if not found:
        raise ZdeferdError("no capture has these metrics", "--metrics names others")
    return found


def _text(found: Mapping[str, Mapping[str, Any]], style: Style, plots: bool) -> str:
    rows = [_row(name, one, style) for name, one in found.items()]
    shown = table(HEADS, rows, style, RIGHT)
    if plots:
        broad = max(map(len, found))
        lines = [f"{name.ljust(broad)}  {trend.plot(one['p50'])}" for name, one in found.items()]
        shown += "\n\n" + "\n".join(lines)
    return shown


def _row(name: str, one: Mapping[str, Any], style: Style) -> list[str]:
    verdict, jump = one["verdict"], one["change_point"]
    return [
        name,
        str(one["captures"]),
        decimals(one["p50"][0]),
        decimals(one["p50"][-1]),
        f"{one['slope_ms_per_capture']:+.2f}",
        f"{one['slope_low']:+.2f} … {one['slope_high']:+.2f}",
        style.paint(verdict, _COLOURS.get(verdict, "")),
        f"{jump['generated_at']}: {decimals(jump['before_ms'])} → {decimals(jump['after_ms'])}"
        if jump
        else "-",
    ]
