"""Show what each feature of a zsh configuration costs, from a capture.

FILE is a capture; without it the newest one of the evidence folder. It exits with 1 where all
of them together take longer than --budget. Examples:

zdeferctl perf features

zdeferctl perf features capture.json --raw --budget 15
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import reading
from ...perf.jsontext import decimals
from ...view.render import Style, table
from ..codes import DONE, NO
from .shared import add_folder, answer, captures_of, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ...perf.reading import Feature
    from ..call import Call

HEADS = ("FEATURE", "MS", "STATUS")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the capture, the form and the budget."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="a capture")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--raw", action="store_true", help="lines timing.NAME=MS, status.NAME=STATUS"
    )
    forms.add_argument("--table", action="store_true", help="a table (what is printed anyway)")
    parser.add_argument(
        "--budget", type=number, default=20.0, metavar="MS", help="for all of them (20)"
    )
    add_folder(parser)


def perform(call: Call) -> int:
    """Show the features; -> 0, or 1 over the budget."""
    data = reading.read(call.args.file) if call.args.file else captures_of(call, 1)[-1]
    features = sorted(data.features)
    if not features:
        raise ZdeferdError("no feature in this capture", "ZSH_FEATURE_TELEMETRY=1 times them")
    total = sum(one.mean_ms for one in features)
    is_over = total > call.args.budget
    document = {
        "total_ms": float(total),
        "budget_ms": call.args.budget,
        "over_budget": is_over,
        "features": [one._asdict() for one in features],
    }
    if is_over:
        call.warn(f"over the budget: {decimals(total)} ms, {call.args.budget:g} allowed")

    def text(style: Style) -> str:
        return _raw(features) if call.args.raw else _table(features, style)

    return answer(call, document, text, NO if is_over else DONE)


def _raw(features: Sequence[Feature]) -> str:
    timings = [f"timing.{one.name}={decimals(one.mean_ms)}" for one in features]
    return "\n".join([*timings, *(f"status.{one.name}={one.status}" for one in features)])


def _table(features: Sequence[Feature], style: Style) -> str:
    rows = [[one.name, decimals(one.mean_ms), one.status] for one in features]
    return table(HEADS, rows, style, frozenset({1}))
