"""The life of a run: every state, every event, one table.

A run is *claimed* once its right to run is durable, *dispatched* once the decision to
start an attempt is durable, *ended* with exactly one outcome. Whether the process of a
dispatched run lives is not a state: the locks of the run folder show it, and they are
right even after a crash. The ledger takes every change of state from this table.
docs/architecture.md draws it.
"""

from enum import StrEnum
from typing import NamedTuple

from ..errors import WrongTransition
from ..model import Outcome, State


class RunEvent(StrEnum):
    """An event in the life of a run."""

    DISPATCH = "dispatch"
    """The daemon decided to start an attempt."""
    RECALL = "recall"
    """The attempt never started and never can: starting another is safe."""
    RETRY = "retry"
    """The runner of an idempotent run vanished and attempts are left."""
    FINISH = "finish"
    """The runner recorded how it ended."""
    VANISH = "vanish"
    """The runner is gone and recorded nothing."""
    CANCEL = "cancel"
    """Cancelled before its start."""
    MISS = "miss"
    """The conditions never held in time."""


FIRST = State.CLAIMED
"""The state in which a run is added to the ledger."""

TRANSITIONS: dict[tuple[State, RunEvent], State] = {
    (State.CLAIMED, RunEvent.DISPATCH): State.DISPATCHED,
    (State.CLAIMED, RunEvent.CANCEL): State.ENDED,
    (State.CLAIMED, RunEvent.MISS): State.ENDED,
    (State.DISPATCHED, RunEvent.RECALL): State.CLAIMED,
    (State.DISPATCHED, RunEvent.RETRY): State.CLAIMED,
    (State.DISPATCHED, RunEvent.CANCEL): State.ENDED,
    (State.DISPATCHED, RunEvent.FINISH): State.ENDED,
    (State.DISPATCHED, RunEvent.VANISH): State.ENDED,
}

OUTCOMES: dict[RunEvent, frozenset[Outcome]] = {
    RunEvent.CANCEL: frozenset({Outcome.CANCELLED}),
    RunEvent.MISS: frozenset({Outcome.MISSED}),
    RunEvent.VANISH: frozenset({Outcome.ABANDONED}),
    RunEvent.FINISH: frozenset(
        {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CANCELLED}
    ),
}
"""The outcomes that each ending event can bring."""


TRIED_AGAIN = frozenset({Outcome.FAILED, Outcome.TIMED_OUT})
"""The outcomes after which a job with `retry` is claimed once more, as a run of its own."""


class Change(NamedTuple):
    """One change of a run's state."""

    before: State
    after: State


def step(state: State, event: RunEvent) -> State:
    """Return the state after `event`; WrongTransition where the table has none."""
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise _wrong(f"{event} of a run that is {state}")
    return after


def change(event: RunEvent) -> Change:
    """Return the change that `event` makes; WrongTransition where several states have one."""
    changes = [Change(state, after) for (state, e), after in TRANSITIONS.items() if e is event]
    if len(changes) != 1:
        raise _wrong(f"{event}, whatever the state before")
    return changes[0]


def end(state: State, outcome: Outcome) -> Change:
    """Return the change of a run that ends with `outcome`; WrongTransition where none does."""
    for event, outcomes in OUTCOMES.items():
        if outcome in outcomes and TRANSITIONS.get((state, event)) is State.ENDED:
            return Change(state, State.ENDED)
    raise _wrong(f"{outcome} of a run that is {state}")


def _wrong(what: str) -> WrongTransition:
    return WrongTransition(f"no such transition of a run: {what}", "internal error, please report")


def diagram() -> str:
    """Return the table as a Mermaid state diagram, as docs/architecture.md shows it."""
    lines = ["stateDiagram-v2", f"    [*] --> {FIRST}: claim"]
    for (state, event), after in TRANSITIONS.items():
        lines.append(f"    {state} --> {after}: {event}")
    lines.append(f"    {State.ENDED} --> [*]")
    return "\n".join(lines)
