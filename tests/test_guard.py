"""The regression guard: costs of the prompt's path and of a claim, counted, not timed."""

import pytest

from bench import guard


@pytest.mark.skipif(bool(guard.missing_tools()), reason="valgrind or strace is not installed")
def test_nothing_costs_more_than_the_baseline_allows() -> None:
    counts, comparable = guard.measure()
    assert {count.name for count in counts if count.now <= 0} == set()
    if not comparable:
        pytest.skip(f"the baseline is of other versions than {guard.versions()}")
    dearer = [count.line() for count in counts if count.ratio > guard.LIMIT]
    assert not dearer, "mend it, or `make guard UPDATE=1` and say why"


def test_a_count_is_a_ratio_of_the_baseline() -> None:
    assert guard.Count("one", 110, 100).ratio == pytest.approx(1.1)
    assert guard.Count("new", 110, None).ratio == 1.0
