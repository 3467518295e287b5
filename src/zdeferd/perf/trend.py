"""Finds the trend of a metric over captures, and the capture at which it jumped. Pure.

The trend is Theil-Sen's line through the medians. The jump is the split of the medians into
two levels that fits best, if it fits better than the line and clearly better than one level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from . import samples

FEWEST = 5
"""Captures below which there is no verdict."""
SHARE = 0.05
"""A change that matters, as a share of the value before it."""
CLEAR = 5.0
"""How many standard errors a jump must have."""
RESOLUTION_MS = 0.5
"""Half of the whole milliseconds in which segments are measured."""


class Point(NamedTuple):
    """One metric in one capture."""

    generated_at: str
    values: Sequence[float]


class Jump(NamedTuple):
    """A change of level: the first capture after it, and the medians on both sides."""

    at: int
    before: float
    after: float


def trend(points: Sequence[Point]) -> dict[str, Any]:
    """Return the trend of a metric as `perf trend --json` has it."""
    medians = [float(samples.median(point.values)) for point in points]
    line = samples.theil_sen(medians)
    found = jump(medians, line)
    return {
        "captures": len(points),
        "slope_ms_per_capture": line.slope,
        "slope_low": line.low,
        "slope_high": line.high,
        "p50": medians,
        "p95": [float(samples.p95(point.values)) for point in points],
        "verdict": verdict(line, len(points)),
        "change_point": found
        and {
            "index": found.at,
            "generated_at": points[found.at].generated_at,
            "before_ms": found.before,
            "after_ms": found.after,
        },
    }


def verdict(line: samples.Slope, count: int) -> str:
    """Return unknown, rising, falling or flat."""
    if count < FEWEST:
        return "unknown"
    if abs(line.slope) * (count - 1) < SHARE * line.first:
        return "flat"
    if line.low > 0:
        return "rising"
    return "falling" if line.high < 0 else "flat"


def jump(medians: Sequence[float], line: samples.Slope) -> Jump | None:
    """Return the change of level; None where there is none, or too few captures."""
    count = len(medians)
    if count < FEWEST:
        return None
    loss, at = min((_loss(medians[:at]) + _loss(medians[at:]), at) for at in range(2, count - 1))
    sloped = sum((y - line.first - line.slope * x) ** 2 for x, y in enumerate(medians))
    before, after = samples.median(medians[:at]), samples.median(medians[at:])
    if loss >= sloped or abs(after - before) < SHARE * before:
        return None
    spread = (loss + count * RESOLUTION_MS**2) / (count - 2)
    error = math.sqrt(spread * (1 / at + 1 / (count - at)))
    return Jump(at, before, after) if abs(after - before) >= CLEAR * error else None


def _loss(values: Sequence[float]) -> float:
    """Return the squared distances from the mean."""
    centre = samples.mean(values)
    return sum((value - centre) ** 2 for value in values)


_MARKS = "▁▂▃▄▅▆▇█"


def plot(medians: Sequence[float]) -> str:
    """Return a line of marks, one a capture, from the lowest to the highest median."""
    low, high = min(medians), max(medians)
    span = high - low or 1.0
    return "".join(_MARKS[min(7, int((value - low) / span * 8))] for value in medians)
