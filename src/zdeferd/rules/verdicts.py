"""Says what a verdict on an attempt means for its run: *Exactly once*, points 2 to 4.

Owns the five verdicts, which runs/judge.py reads from a run's folder. Pure: a verdict goes
in; an event of lifecycle.py comes out and, where the run ends, its ending.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..model import Cost, Ending, Outcome, Run
from .lifecycle import Event

RC_TIMED_OUT = 124
RC_CANCELLED = 143
RC_ABANDONED = 255


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """No process of this attempt was made; another may be. A tombstone makes it Withdrawn."""

    reason: str = "its runner never came"


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The attempt has not started and never can: a tombstone says so."""


@dataclass(frozen=True, slots=True)
class Running:
    """A runner is at work or on its way; its FIFO `alive` ends when it is gone."""

    pid: int | None = None
    """The runner's; None: not known yet."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The runner recorded this outcome."""

    outcome: dict[str, Any]
    """`outcome.json`: version, attempt, ended_by (`exit`, `timeout`, `cancel`), rc (0-255),
    started_at, ended_at (s), the fields of model.Cost, output_bytes, output_dropped_bytes."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """The attempt started, and its runner is gone without a record."""

    reason: str = ""
    """What the runner said of its own fault; empty: nothing."""


Verdict = NeverStarted | Withdrawn | Running | Ended | Vanished


def settle(run: Run, verdict: Verdict, boot: str, now: float) -> tuple[Event, Ending | None]:
    """The event that the verdict is for `run`, and its ending (None: it goes on)."""
    if isinstance(verdict, Ended):
        return Event.FINISH, _finished(verdict.outcome)
    if isinstance(verdict, Withdrawn):
        # Also where the daemon died before it could record why.
        return Event.CANCEL, not_again(run, Outcome.CANCELLED, now)
    if isinstance(verdict, NeverStarted) and run.boot == boot:
        if run.cancelling:
            return Event.CANCEL, not_again(run, Outcome.CANCELLED, now)
        return Event.RECALL, None
    if isinstance(verdict, (NeverStarted, Vanished)):
        if run.attempt < run.attempts and not run.cancelling:
            return Event.RETRY, None
        return Event.VANISH, Ending(
            outcome=Outcome.ABANDONED, rc=RC_ABANDONED, started_at=now, ended_at=now
        )
    raise TypeError(f"a run whose runner lives cannot be settled: {verdict}")


def not_again(run: Run, outcome: Outcome, now: float) -> Ending:
    """The ending of a run that is cancelled or missed before the start of its attempt.

    A later attempt than the first says that one was started and vanished: that has a line.
    """
    if run.attempt == 1:
        return Ending(outcome=outcome, ended_at=now)
    rc = RC_CANCELLED if outcome is Outcome.CANCELLED else RC_ABANDONED
    return Ending(outcome=outcome, rc=rc, started_at=now, ended_at=now)


def _finished(record: Mapping[str, Any]) -> Ending:
    """The runner's own record, in the words of the ledger."""
    outcome, rc = {
        "timeout": (Outcome.TIMED_OUT, RC_TIMED_OUT),
        "cancel": (Outcome.CANCELLED, RC_CANCELLED),
    }.get(record["ended_by"], (Outcome.FAILED, record["rc"]))
    if outcome is Outcome.FAILED and rc == 0:
        outcome = Outcome.SUCCEEDED
    return Ending(
        outcome=outcome,
        rc=rc,
        started_at=record["started_at"],
        ended_at=record["ended_at"],
        cost=msgspec.convert(record, Cost),
        output_bytes=record["output_bytes"],
        output_dropped_bytes=record["output_dropped_bytes"],
    )
