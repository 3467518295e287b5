"""The checks can fail: zdeferd with a promise broken is caught, every time, and soon."""

import pytest

from .chance import play_all
from .mutations import MUTATIONS
from .promises import Violation

WITHIN = 3000
"""Histories."""


def test_there_is_a_mutation_for_each_floor_of_the_promise() -> None:
    broken = set().union(*(names for _, names in MUTATIONS.values()))
    assert {
        "one claim a scope",
        "one start an attempt",
        "an output is whole",
        "an older output never replaces a newer one",
        "what succeeded has published",
        "a removed output is made again",
        "a shell sources what a run has published",
        "no shell is left behind",
        "one line a run a log",
        "no line is lost",
        "nothing is pending that could run",
        "nothing idle runs under the user's hands",
        "what it comes after has ended",
        "a run starts only while its conditions hold",
        "only what failed is tried again",
        "nothing starts in a paused lane",
        "no event claims a disabled job",
    } <= broken


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_promise_is_caught(name: str) -> None:
    mutation, expected = MUTATIONS[name]
    found: list[BaseException] = []

    def stop(_seed: int, failure: BaseException) -> bool:
        found.append(failure)
        return True

    with mutation():
        play_all(range(1, WITHIN + 1), stop)
    assert found, f"nothing was found in {WITHIN} histories"
    assert isinstance(found[0], Violation), repr(found[0])
    assert found[0].name in expected, str(found[0])
