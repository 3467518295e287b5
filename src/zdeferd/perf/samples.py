"""Computes the statistics of samples: moments, quantiles, bootstrap intervals, trends.

Pure functions of sequences of numbers, in milliseconds here. Written out because numpy and
scipy cost more start-up time than all of this; the tests compare the two. Nothing random
changes a result: the bootstrap is seeded with the values themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

Numbers = Sequence[float]
RESAMPLES = 2000
Z_95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


class Summary(NamedTuple):
    """The figures of one metric; `rsd` is in percent of the mean."""

    mean: float
    minimum: float
    maximum: float
    median: float
    p95: float
    stddev: float
    rsd: float


class Slope(NamedTuple):
    """A line through points: its rise a step with a 95 % interval, and its first value."""

    slope: float
    low: float
    high: float
    first: float


class Baseline(NamedTuple):
    """The values that a metric is compared with."""

    mean_ms: float
    median_ms: float
    values: tuple[float, ...] = ()


def mean(values: Numbers) -> float:
    """Return the arithmetic mean of at least one value."""
    return math.fsum(values) / len(values)


def median(values: Numbers) -> float:
    """Return the middle value; of an even count the mean of the middle two."""
    return middle(sorted(values))


def middle(ordered: Numbers) -> float:
    """Return the median of values that are sorted already."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def p95(values: Numbers) -> float:
    """Return the 95th percentile by nearest rank: the ⌈0.95 n⌉-th smallest value."""
    rank = -(-95 * len(values) // 100)  # whole numbers: 0.95 n is not exact
    return sorted(values)[rank - 1]


def stddev(values: Numbers) -> float:
    """Return the standard deviation of a sample (n - 1); 0 for one value."""
    if len(values) < 2:
        return 0.0
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def rsd(values: Numbers) -> float:
    """Return the standard deviation in percent of the mean; 0 for a mean of 0."""
    centre = mean(values)
    return stddev(values) / centre * 100 if centre else 0.0


def summary(values: Numbers) -> Summary:
    """Return all figures of at least one value."""
    return Summary(
        mean(values), min(values), max(values), median(values), p95(values), stddev(values),
        rsd(values),
    )  # fmt: skip


def bootstrap(
    groups: Sequence[Numbers],
    statistic: Callable[[Sequence[Numbers]], float],
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic of independent groups.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    from random import Random

    draw = Random(repr([list(group) for group in groups])).choices
    found = sorted(
        statistic([draw(group, k=len(group)) for group in groups]) for _ in range(resamples)
    )
    cut = resamples * 25 // 1000
    return Interval(found[cut], found[-1 - cut])


def theil_sen(values: Numbers) -> Slope:
    """Return the line through values at 0, 1, 2, …: the median of all pairwise slopes.

    The interval is Sen's (Journal of the American Statistical Association 63, 1968), with his
    correction for ties. One value has a slope of 0.
    """
    count = len(values)
    slopes = sorted(
        (values[right] - values[left]) / (right - left)
        for left in range(count)
        for right in range(left + 1, count)
    )
    if not slopes:
        return Slope(0.0, 0.0, 0.0, float(values[0]))
    slope = middle(slopes)
    reach = Z_95 * math.sqrt(_variance(values))
    low = max(round((len(slopes) - reach) / 2) - 1, 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    return Slope(slope, slopes[low], slopes[high], median(values) - slope * (count - 1) / 2)


def _variance(values: Numbers) -> float:
    """Return the variance of Kendall's statistic, of which Sen's interval is made."""
    ties: dict[float, int] = {}
    for value in values:
        ties[value] = ties.get(value, 0) + 1
    return (_term(len(values)) - sum(map(_term, ties.values()))) / 18


def _term(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)
