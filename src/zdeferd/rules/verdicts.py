"""Translates a verdict on an attempt into an event of its run: *Exactly once*, points 2 to 4.

Owns the five verdicts, which judging/judge.py reads from a run's folder. Pure: a verdict goes
in; an event of lifecycle.py comes out and, where the run ends, its ending.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..model import Cost, Ending, Outcome, Run
from .lifecycle import RunEvent

CUT_SHORT = {"timeout": Outcome.TIMED_OUT, "cancel": Outcome.CANCELLED}
"""The outcome by what ended a job before its own end (`ended_by` of the runner's record)."""
EXIT_CODES = {
    Outcome.TIMED_OUT: 124,
    Outcome.CANCELLED: 143,
    Outcome.ABANDONED: 255,
    Outcome.MISSED: 255,
}
"""The exit code of a run that started and had no end of its own, in the ledger and in all lines."""


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
    started_at, ended_at (s), the fields of model.Cost, output_bytes, output_dropped_bytes,
    ended_behind (where the runner's version counted it), refusal (of an output)."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """The attempt started, and its runner is gone without a record."""

    reason: str = ""
    """The runner's message about its own fault; empty: none."""


Verdict = NeverStarted | Withdrawn | Running | Ended | Vanished


def settle(run: Run, verdict: Verdict, boot: str, now: float) -> tuple[RunEvent, Ending | None]:
    """Return the event that the verdict is for `run`, and its ending (None: it goes on)."""
    if isinstance(verdict, Ended):
        return RunEvent.FINISH, _finished(verdict.outcome)
    if isinstance(verdict, Withdrawn):
        # Also where the daemon died before it could record why.
        return RunEvent.CANCEL, not_again(run, Outcome.CANCELLED, now)
    if isinstance(verdict, NeverStarted) and run.boot == boot:
        if run.cancelling:
            return RunEvent.CANCEL, not_again(run, Outcome.CANCELLED, now)
        return RunEvent.RECALL, None
    if isinstance(verdict, (NeverStarted, Vanished)):
        if run.attempt < run.attempts and not run.cancelling:
            return RunEvent.RETRY, None
        return RunEvent.VANISH, Ending(
            outcome=Outcome.ABANDONED,
            rc=EXIT_CODES[Outcome.ABANDONED],
            started_at=now,
            ended_at=now,
        )
    raise TypeError(f"a run whose runner lives cannot be settled: {verdict}")


def not_again(run: Run, outcome: Outcome, now: float) -> Ending:
    """Return the ending of a run that is cancelled or missed before the start of its attempt.

    attempt > 1: an earlier attempt started and vanished, so its line is due.
    """
    if run.attempt == 1:
        return Ending(outcome=outcome, ended_at=now)
    return Ending(outcome=outcome, rc=EXIT_CODES[outcome], started_at=now, ended_at=now)


def _finished(record: Mapping[str, Any]) -> Ending:
    """Return the ending that the runner's own record says."""
    outcome = Outcome.FAILED if record["rc"] else Outcome.SUCCEEDED
    outcome = CUT_SHORT.get(record["ended_by"], outcome)
    return Ending(
        outcome=outcome,
        rc=EXIT_CODES.get(outcome, record["rc"]),
        started_at=record["started_at"],
        ended_at=record["ended_at"],
        cost=msgspec.convert(record, Cost),
        output_bytes=record["output_bytes"],
        output_dropped_bytes=record["output_dropped_bytes"],
        ended_behind=record.get("ended_behind", 0),
        refusal=record.get("refusal"),
    )
