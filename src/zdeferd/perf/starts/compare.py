"""Compares two configurations: their samples taken in turns, and an honest verdict.

The order changes with each round, so that what the machine does meanwhile meets both. One start
of each, which fills caches, is not counted. The verdict is pure.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import ZdeferdError
from ...machine.paths import locate, socket_in_force
from .. import reading, samples
from ..jsontext import AsRead
from .capture import Plan, check_zdotdir, environment, find_zsh
from .lags import Shell, first_prompt, sample, tried
from .revisions import Side
from .terminal import Late

SAME_SHARE = 0.05
"""A difference within this share of A's median does not matter."""
MOST_ENOUGH = 100_000


class Compared(NamedTuple):
    """The verdict on two groups of samples; the difference is B's median less A's, in ms."""

    median_a: float
    median_b: float
    diff: float
    low: float
    high: float
    verdict: str
    enough: int


# --- the verdict ---------------------------------------------------------------


def judge(a: Sequence[float], b: Sequence[float]) -> Compared:
    """Return the verdict on the samples of A and B."""
    interval = samples.bootstrap([a, b], lambda drawn: _difference(drawn[0], drawn[1]))
    median, diff = samples.median(a), _difference(a, b)
    margin = SAME_SHARE * median
    verdict = _verdict(interval, margin)
    enough = _enough(min(len(a), len(b)), interval, diff, margin)
    return Compared(median, samples.median(b), diff, interval.low, interval.high, verdict, enough)


def _difference(a: Sequence[float], b: Sequence[float]) -> float:
    return samples.median(b) - samples.median(a)


def _verdict(interval: samples.Interval, margin: float) -> str:
    if -margin <= interval.low and interval.high <= margin:
        return "same"
    if interval.low > 0:
        return "slower"
    return "faster" if interval.high < 0 else "unsure"


def _enough(count: int, interval: samples.Interval, diff: float, margin: float) -> int:
    """Return how many samples would decide: the interval narrows with the root of their number.

    It must leave 0, or fit within the margin, whichever needs less.
    """
    half = (interval.high - interval.low) / 2
    needed = max(abs(diff), margin - abs(diff), 1e-9)
    return min(MOST_ENOUGH, max(2, math.ceil(count * (half / needed) ** 2)))


# --- measuring -----------------------------------------------------------------


class Measurement(NamedTuple):
    """How one value is measured: of which metric, how often it is tried, and with what log."""

    metric: str
    plan: Plan
    env: Mapping[str, str]
    log: str
    """A file that no other shell writes to."""

    def value(self, side: Side) -> float:
        """Return one value, after retries, in ms; ZdeferdError names the side."""
        plan = self.plan
        own = environment(self.env, side.zdotdir, self.log, plan.segments)
        shell = Shell(find_zsh(self.env), own, self.log, plan.limit_s)
        try:
            missing = f"it has no {self.metric}_ms"
            return tried(shell, plan.retries, lambda: self._once(shell), missing)
        except Late as late:
            remedy = late.remedy or "--metric names another"
            raise ZdeferdError(f"no authentic sample: {side.name}: {late}", remedy) from None

    def _once(self, shell: Shell) -> float | None:
        if self.metric == "first_prompt_lag":
            return first_prompt(shell)
        socket = socket_in_force(locate(self.env), self.env)
        found: dict[str, float] = sample(shell, socket)
        if self.metric not in found and os.path.exists(shell.log):
            logged = reading.read(shell.log, [self.metric]).values
            return next(iter(logged.get(self.metric, [])), None)
        return found.get(self.metric)


def measure(
    sides: Sequence[Side], count: int, wanted: Measurement, progress: Callable[[str], None]
) -> list[list[float]]:
    """Return so many values for each side, in turns. ZdeferdError, NoSample."""
    found: list[list[float]] = [[] for _ in sides]
    for side in sides:
        check_zdotdir(find_zsh(wanted.env), wanted.env, side.zdotdir, side.name)
    for number in range(-1, count):
        progress(f"round {number + 1} of {count}")
        order = list(enumerate(sides))
        for at, side in order if number % 2 else reversed(order):
            value = wanted.value(side)
            if number >= 0:
                found[at].append(value)
    return found


# --- the document --------------------------------------------------------------


def document(
    sides: Sequence[Side], values: Sequence[Sequence[float]], found: Compared
) -> dict[str, Any]:
    """Return a comparison as `perf compare --json` has it."""
    medians = (found.median_a, found.median_b)
    made: dict[str, Any] = {
        key: {"name": side.name, "median_ms": float(median), "values": AsRead(group)}
        for key, side, median, group in zip("ab", sides, medians, values, strict=True)
    }
    return made | {
        "diff_ms": float(found.diff),
        "low": float(found.low),
        "high": float(found.high),
        "verdict": found.verdict,
        "enough": found.enough,
    }
