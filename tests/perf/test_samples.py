"""The estimators of perf/samples.py against numpy and scipy, and their edges."""

import random

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]

from zdeferd.perf import samples

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=40)


@given(VALUES)
def test_moments_are_numpys(values: list[float]) -> None:
    found = samples.summary(values)
    assert found.mean == pytest.approx(numpy.mean(values))
    assert found.median == pytest.approx(numpy.median(values))
    deviation = numpy.std(values, ddof=1) if len(values) > 1 else 0.0
    assert found.stddev == pytest.approx(deviation, abs=1e-6)
    assert (found.minimum, found.maximum) == (min(values), max(values))


@given(VALUES)
def test_p95_is_the_nearest_rank(values: list[float]) -> None:
    assert samples.p95(values) == numpy.percentile(values, 95, method="inverted_cdf")


def test_the_ranks_of_round_counts() -> None:
    assert samples.p95(range(1, 21)) == 19
    assert samples.p95(range(1, 101)) == 95
    assert samples.p95([7]) == 7


def test_spread_of_one_value_and_of_zeros() -> None:
    assert samples.stddev([5]) == 0
    assert samples.rsd([0, 0]) == 0
    assert samples.rsd([90, 110]) == pytest.approx(14.142, abs=1e-3)


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=30))
def test_theil_sen_is_scipys(values: list[float]) -> None:
    expected = stats.theilslopes(values, range(len(values)), 0.95)
    found = samples.theil_sen(values)
    assert found.slope == pytest.approx(expected.slope, abs=1e-6)
    assert found.low == pytest.approx(expected.low_slope, abs=1e-6)
    assert found.high == pytest.approx(expected.high_slope, abs=1e-6)
    assert found.first == pytest.approx(expected.intercept, abs=1e-5)


def test_theil_sen_with_ties_is_scipys() -> None:
    values = [3.0, 3.0, 3.0, 4.0, 4.0, 9.0, 4.0, 3.0]
    expected = stats.theilslopes(values, range(len(values)), 0.95)
    found = samples.theil_sen(values)
    assert (found.low, found.high) == (expected.low_slope, expected.high_slope)


def test_one_value_has_no_slope() -> None:
    assert samples.theil_sen([12.0]) == (0, 0, 0, 12)


def test_the_bootstrap_repeats_itself_and_is_near_scipys() -> None:
    values = [random.Random(1).gauss(100, 5) + at % 7 for at in range(30)]
    found = samples.bootstrap([values], lambda groups: samples.median(groups[0]))
    assert found == samples.bootstrap([values], lambda groups: samples.median(groups[0]))
    expected = stats.bootstrap(
        (values,), numpy.median, method="percentile", n_resamples=2000, rng=1
    ).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.6)
    assert found.high == pytest.approx(expected.high, abs=0.6)


def test_the_bootstrap_covers_a_difference_of_means() -> None:
    dice = random.Random(7)
    hits = 0
    for _ in range(60):
        groups = [
            [dice.gauss(100, 10) for _ in range(20)],
            [dice.gauss(110, 10) for _ in range(20)],
        ]
        low, high = samples.bootstrap(
            groups, lambda drawn: samples.mean(drawn[1]) - samples.mean(drawn[0]), 400
        )
        hits += low <= 10 <= high
    assert hits >= 50
