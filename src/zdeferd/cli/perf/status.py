"""Show the last run that counted, the streak of OK runs, and whether enforcement is on.

A run counts unless its goal was explore, or --no-record was given. Where none has counted, the exit
code is 1.

Examples:

zdeferctl perf status

zdeferctl perf status --json
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import evidence
from ...perf.jsontext import decimals, signed
from ...view.render import Style, count, fields, table
from .shared import add_folder, answer, folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..call import Call

HEADS = ("METRIC", "STATUS", "DELTA", "MEAN", "BASELINE", "RSD")
RIGHT = frozenset({2, 3, 4, 5})
_COLOURS = {"OK": "green", "WARN": "yellow", "FAIL": "red"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the evidence folder."""
    add_folder(parser)


def perform(call: Call) -> int:
    """Show the last run; -> 0."""
    folder = folder_of(call)
    state = evidence.load_state(folder)
    if (last := state.last) is None:
        raise ZdeferdError(f"no run yet in {folder}", "`zdeferctl perf classify` makes one")
    document = {
        "last": last,
        "ok_streak_current": state.streak,
        "ok_streak_max": state.longest,
        "enforce_active": state.enforcement.active,
    }
    return answer(call, document, lambda style: _text(last, state, style))


def _text(last: dict[str, Any], state: evidence.State, style: Style) -> str:
    overall = last["overall_status"]
    rows = [_row(name, one, style) for name, one in last["metrics"].items()]
    head = [
        ("last run", f"{_painted(overall, style)} {last['generated_at']}"),
        ("goal", f"{last['goal']}, {last['mode']}"),
        ("missing", " ".join(last["_debug"]["missing_metrics"])),
        ("streak", f"{count(state.streak, 'OK run')}, at most {state.longest} so far"),
        ("enforce", "on" if state.enforcement.active else "off"),
    ]
    return f"{fields(head, style)}\n\n{table(HEADS, rows, style, RIGHT)}"


def _row(name: str, one: dict[str, Any], style: Style) -> list[str]:
    then = one["baseline_mean_ms"]
    return [
        name,
        _painted(one["status"], style),
        f"{signed(one['delta_pct'])}%",
        decimals(one["mean_ms"]),
        "-" if then is None else decimals(then),
        f"{decimals(one['rsd_pct'])}%",
    ]


def _painted(status: str, style: Style) -> str:
    return style.paint(status, _COLOURS.get(status, ""))
