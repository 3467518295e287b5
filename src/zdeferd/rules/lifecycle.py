"""The life of a run: every state, every event, one table.

A run is *claimed* the moment its right to run is durable, *dispatched* once the
decision to start an attempt is durable, *ended* with exactly one outcome. Whether
a dispatched run's process lives is not a state: the run folder's locks say so, and
they cannot lie after a crash. docs/architecture.md draws this table.
"""

from enum import StrEnum

from ..model import Outcome, State


class Event(StrEnum):
    """What can happen to a run."""

    DISPATCH = "dispatch"
    """The daemon decided to start an attempt."""
    RECALL = "recall"
    """The attempt never started and never can: it is safe to start another."""
    RETRY = "retry"
    """An idempotent run's runner vanished and attempts are left."""
    FINISH = "finish"
    """The runner recorded how it ended."""
    VANISH = "vanish"
    """The runner is gone and recorded nothing."""
    CANCEL = "cancel"
    """Cancelled before its start."""
    MISS = "miss"
    """Its conditions never held in time."""


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.CLAIMED, Event.DISPATCH): State.DISPATCHED,
    (State.CLAIMED, Event.CANCEL): State.ENDED,
    (State.CLAIMED, Event.MISS): State.ENDED,
    (State.DISPATCHED, Event.RECALL): State.CLAIMED,
    (State.DISPATCHED, Event.RETRY): State.CLAIMED,
    (State.DISPATCHED, Event.CANCEL): State.ENDED,
    (State.DISPATCHED, Event.FINISH): State.ENDED,
    (State.DISPATCHED, Event.VANISH): State.ENDED,
}

OUTCOMES: dict[Event, frozenset[Outcome]] = {
    Event.CANCEL: frozenset({Outcome.CANCELLED}),
    Event.MISS: frozenset({Outcome.MISSED}),
    Event.VANISH: frozenset({Outcome.ABANDONED}),
    Event.FINISH: frozenset(
        {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED}
    ),
}
"""The outcomes that each ending event can bring."""


def step(state: State, event: Event) -> State:
    """The state after `event`; KeyError where the table has no such transition."""
    return TRANSITIONS[state, event]


def diagram() -> str:
    """The table as a Mermaid state diagram, as docs/architecture.md shows it."""
    lines = ["stateDiagram-v2", "    [*] --> claimed: claim"]
    for (state, event), after in TRANSITIONS.items():
        lines.append(f"    {state} --> {after}: {event}")
    lines.append("    ended --> [*]")
    return "\n".join(lines)
