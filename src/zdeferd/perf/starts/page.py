"""Draws trends, comparisons and traces as one self-contained HTML page each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from ...pictures.page import LEFT, RIGHT, WIDTH, Scale, line, page, svg, text
from .. import samples
from ..jsontext import decimals
from .trace import Node

ROW = 70
FLAME_ROW = 20
LETTER = 7
"""Units of a letter of the page's 12 px text."""


# --- comparison ----------------------------------------------------------------


def comparison(document: Mapping[str, Any], metric: str) -> str:
    """Return the page of `perf compare`: each sample, the medians, the interval."""
    groups = [document[key] for key in "ab"]
    every = [value for group in groups for value in group["values"]]
    scale = Scale(min(every), max(every), LEFT, WIDTH - RIGHT)
    marks = []
    for at, (key, group) in enumerate(zip("AB", groups, strict=True)):
        marks += _row(at, f"{key}: {group['name']}", group["values"], scale)
    marks += _axis(2 * ROW, scale, min(every), max(every))
    marks += _interval(2 * ROW + 25, document)
    said = (
        f"{document['verdict']}: {document['diff_ms']:+.2f} ms from A to B, 95 % interval "
        f"{document['low']:+.2f} to {document['high']:+.2f}"
    )
    title = f"{metric}_ms of two configurations"
    return page(title, f"<p><b>{escape(said)}</b></p>", svg(3 * ROW + 30, said, marks), _NOTE)


_NOTE = (
    "<p>A circle is one start. The long line and the number are the median of its row. The bar "
    "below is the 95 % interval of the difference; where it does not reach 0, there is one.</p>"
)


def _axis(y: float, scale: Scale, low: float, high: float) -> list[str]:
    """Return a line from the least to the largest value, with both written below it."""
    ends = ((low, "start"), (high, "end"))
    return [
        line(scale(low), y, scale(high), y),
        *(text(scale(value), y + 15, f"{decimals(value)} ms", anchor) for value, anchor in ends),
    ]


def _interval(top: float, document: Mapping[str, Any]) -> list[str]:
    """Return the interval of the difference on a scale of its own, which has 0."""
    low, high, middle = document["low"], document["high"], top + 40
    scale = Scale(min(0.0, low), max(0.0, high), LEFT, WIDTH - RIGHT)
    caps = [line(scale(ms), middle - 5, scale(ms), middle + 5, "l") for ms in (low, high)]
    median = scale(document["diff_ms"])
    return [
        text(0, top + 15, "B less A"),
        line(scale(0.0), middle - 14, scale(0.0), middle + 14),
        text(scale(0.0), middle + 28, "0", "middle"),
        line(scale(low), middle, scale(high), middle, "l"),
        *caps,
        f'<circle class="m" cx="{median:.1f}" cy="{middle}" r="5"/>',
        text(median, middle - 12, f"{document['diff_ms']:+.2f} ms", "middle"),
    ]


def _row(at: int, name: str, values: Sequence[float], scale: Scale) -> list[str]:
    top, middle = at * ROW, at * ROW + 40
    median = samples.median(values)
    shown = name if len(name) * LETTER < WIDTH // 2 else f"…{name[-50:]}"
    return [
        text(0, top + 15, shown),
        *(
            f'<circle class="m" opacity=".5" cx="{scale(v):.1f}" cy="{middle}" r="4"/>'
            for v in values
        ),
        line(scale(median), middle - 14, scale(median), middle + 14, "l"),
        text(scale(median) + 4, middle - 16, f"{decimals(median)} ms"),
    ]


# --- trend ---------------------------------------------------------------------


def trends(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of `perf trend`: medians and p95 of each metric, the line, the jump."""
    parts = [part for name, one in metrics.items() for part in _trend(name, one)]
    note = "<p>A filled circle is a median, a ring the p95 of the same capture; captures go from"
    return page("Start-up over captures", *parts, f"{note} left to right.</p>")


def _trend(name: str, one: Mapping[str, Any]) -> list[str]:
    medians, highs = one["p50"], one["p95"]
    across = Scale(0, max(1, len(medians) - 1), LEFT, WIDTH - RIGHT)
    first = samples.theil_sen(medians).first
    last = first + one["slope_ms_per_capture"] * (len(medians) - 1)
    up = Scale(min(*medians, first, last), max(*highs, first, last), 170, 20)
    marks = [
        line(across(0), up(first), across(len(medians) - 1), up(last), "l"),
        *(_circle(across(at), up(ms), True) for at, ms in enumerate(medians)),
        *(_circle(across(at), up(ms), False) for at, ms in enumerate(highs)),
        text(0, up(min(medians)), f"{decimals(min(medians))} ms"),
        text(0, up(max(highs)), f"{decimals(max(highs))} ms"),
    ]
    if found := one["change_point"]:
        at = across(found["index"] - 0.5)
        marks += [line(at, 15, at, 175), text(at + 4, 14, f"jump {found['generated_at']}")]
    said = (
        f"{one['verdict']}: {one['slope_ms_per_capture']:+.2f} ms a capture, 95 % interval "
        f"{one['slope_low']:+.2f} to {one['slope_high']:+.2f}"
    )
    return [f"<h2>{escape(name)}</h2><p><b>{escape(said)}</b></p>", svg(180, said, marks)]


def _circle(x: float, y: float, filled: bool) -> str:
    kind = 'class="m"' if filled else 'class="l"'
    return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{4 if filled else 3}"/>'


# --- flame graph ---------------------------------------------------------------


def flame(root: Node, shown: Callable[[str], str] = str, least_ms: float = 0.5) -> str:
    """Return the page of `perf blame`: calls below their callers, as broad as they are dear.

    `shown` shortens the paths in a text.
    """
    bars = _Bars(root, shown, least_ms)
    said = f"{decimals(root.total_ms)} ms to the first prompt"
    note = (
        "<p>A bar is a line of the configuration; what it calls lies below it. Point at a bar.</p>"
    )
    return page(
        "Where a start goes",
        f"<p><b>{said}</b></p>",
        svg(bars.rows * FLAME_ROW, said, bars.marks),
        note,
    )


class _Bars:
    """The bars of a tree of costs: their marks, and how many rows they take."""

    def __init__(self, root: Node, shown: Callable[[str], str], least_ms: float) -> None:
        self.marks: list[str] = []
        self.rows = 0
        self._shown, self._least_ms = shown, least_ms
        self._per_ms = (WIDTH - 2) / max(root.total_ms, 1e-9)
        self._add(root, 0.0, 0)

    def _add(self, node: Node, start_ms: float, row: int) -> None:
        """Add the bar of a node that starts there, and those below it."""
        self.rows = max(self.rows, row + 1)
        self.marks.append(self._bar(node, start_ms, row))
        for child in node.sorted():
            if child.total_ms >= self._least_ms:
                self._add(child, start_ms, row + 1)
                start_ms += child.total_ms

    def _bar(self, node: Node, start_ms: float, row: int) -> str:
        x, y, width = start_ms * self._per_ms, row * FLAME_ROW, node.total_ms * self._per_ms
        where = f"{self._shown(node.file)}:{node.line} " if node.file else ""
        said = self._shown(node.text)
        title = f"{decimals(node.total_ms)} ms, own {decimals(node.self_ms)}: {where}{said}"
        letters = int(width / LETTER) - 1
        return (
            f'<g><title>{escape(title)}</title><rect class="b" x="{x:.1f}" y="{y}" '
            f'width="{width:.1f}" height="{FLAME_ROW}"/>'
            + (text(x + 3, y + 14, said[:letters]) if letters > 3 else "")
            + "</g>"
        )
