"""The one table of a run's life: complete, and with exactly one way out each."""

import pytest

from zdeferd.errors import WrongTransition
from zdeferd.model import Outcome, State
from zdeferd.rules.lifecycle import (
    FIRST,
    OUTCOMES,
    TRANSITIONS,
    Change,
    RunEvent,
    change,
    diagram,
    end,
    step,
)


def test_every_event_appears_and_every_state_is_left_or_final() -> None:
    assert {event for _, event in TRANSITIONS} == set(RunEvent)
    assert {state for state, _ in TRANSITIONS} == {State.CLAIMED, State.DISPATCHED}


def test_an_ended_run_never_changes() -> None:
    for event in RunEvent:
        with pytest.raises(WrongTransition):
            step(State.ENDED, event)


def test_exactly_the_ending_events_bring_outcomes_and_together_all_of_them() -> None:
    ending = {event for (_, event), after in TRANSITIONS.items() if after is State.ENDED}
    assert ending == set(OUTCOMES)
    assert frozenset().union(*OUTCOMES.values()) == frozenset(Outcome)


def test_only_a_dispatched_run_can_finish_or_vanish() -> None:
    for event in (RunEvent.FINISH, RunEvent.VANISH, RunEvent.RETRY, RunEvent.RECALL):
        assert (State.CLAIMED, event) not in TRANSITIONS


def test_the_diagram_names_every_transition() -> None:
    assert diagram().count("-->") == len(TRANSITIONS) + 2


def test_the_first_state_is_one_that_no_event_but_a_recall_leads_back_to() -> None:
    back = {event for (_, event), after in TRANSITIONS.items() if after is FIRST}
    assert back == {RunEvent.RECALL, RunEvent.RETRY}


def test_what_the_ledger_records_without_the_state_before_has_one_change() -> None:
    assert change(RunEvent.DISPATCH) == Change(State.CLAIMED, State.DISPATCHED)
    assert (
        change(RunEvent.RECALL) == change(RunEvent.RETRY) == Change(State.DISPATCHED, State.CLAIMED)
    )
    with pytest.raises(WrongTransition):
        change(RunEvent.CANCEL)


@pytest.mark.parametrize("state", State)
def test_an_outcome_ends_a_run_where_an_event_of_its_state_brings_it(state: State) -> None:
    possible = {
        outcome
        for (before, event), after in TRANSITIONS.items()
        if before is state and after is State.ENDED
        for outcome in OUTCOMES[event]
    }
    for outcome in possible:
        assert end(state, outcome) == Change(state, State.ENDED)
    for outcome in set(Outcome) - possible:
        with pytest.raises(WrongTransition):
            end(state, outcome)
