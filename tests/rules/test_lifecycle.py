"""The one table of a run's life: complete, and with exactly one way out each."""

import pytest

from zdeferd.model import Outcome, State
from zdeferd.rules.lifecycle import OUTCOMES, TRANSITIONS, Event, diagram, step


def test_every_event_appears_and_every_state_is_left_or_final() -> None:
    assert {event for _, event in TRANSITIONS} == set(Event)
    assert {state for state, _ in TRANSITIONS} == {State.CLAIMED, State.DISPATCHED}


def test_an_ended_run_never_changes() -> None:
    for event in Event:
        with pytest.raises(KeyError):
            step(State.ENDED, event)


def test_exactly_the_ending_events_bring_outcomes_and_together_all_of_them() -> None:
    ending = {event for (_, event), after in TRANSITIONS.items() if after is State.ENDED}
    assert ending == set(OUTCOMES)
    assert frozenset().union(*OUTCOMES.values()) == frozenset(Outcome)


def test_only_a_dispatched_run_can_finish_or_vanish() -> None:
    for event in (Event.FINISH, Event.VANISH, Event.RETRY, Event.RECALL):
        assert (State.CLAIMED, event) not in TRANSITIONS


def test_the_diagram_names_every_transition() -> None:
    assert diagram().count("-->") == len(TRANSITIONS) + 2
