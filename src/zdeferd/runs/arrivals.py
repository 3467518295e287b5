"""Arrivals in the daemon, one class a kind: the record in the ledger, and the effect.

Each class is an `Arrival` of recording/inbox.py: `record` runs on the ledger's thread, inside a
transaction; `applied` runs in the loop once that is durable, and only then changes the
picture of the live runs. So the picture never holds what the ledger does not.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from ..crashpoints import reached
from ..jobs.files import Configuration
from ..judging import judge
from ..ledger import claims, outcomes
from ..ledger.packing import Report
from ..ledger.standing import Failure
from ..ledger.store import Ledger
from ..machine.timers import Clock
from ..model import Batch, Claimed, Ending, Facts, Outcome, Run, Trigger
from ..recording.inbox import Arrival, Inbox
from ..telemetry.journal import Journal
from .executor import Executor, cannot_change
from .followers import Caller, Followers, expected
from .idle import IdleWatch
from .live import Awaited, LiveRuns
from .looks import Look, looks_for

PRUNE_EVERY_S = 86400.0
REFUSED = "refused a job of a shell"


class Parts(NamedTuple):
    """The daemon's parts that arrivals, the dispatcher and the endings share."""

    boot: str
    """The identifier of this boot."""
    clock: Clock
    loop: asyncio.AbstractEventLoop
    journal: Journal
    configuration: Configuration
    executor: Executor
    inbox: Inbox
    idle: IdleWatch
    live: LiveRuns
    awaited: Awaited
    followers: Followers
    notify: Callable[[Failure], None]
    """Notifies the user of a failure, by a command or on the desktop."""


class Cancels(Protocol):
    """The part of runs/endings.py that handles a cancellation."""

    def cancel_now(self, run: int) -> None:
        """End the run, whether it waits or runs."""

    def end_attempt(self, run: int, attempt: int) -> None:
        """Ask the runner of a dispatched run to end its job."""


@dataclass(frozen=True)
class VisitArrived(Arrival[Claimed]):
    """A shell's visit."""

    report: Report
    facts: Facts
    parts: Parts
    caller: Caller

    @property
    def looks(self) -> set[Look]:
        """The looks that its claims depend on, but for other shells' idle jobs."""
        idle, files = self.report.idle, self.facts.jobs.values()
        jobs = [job for job in files if idle or Trigger.POSTPROMPT in job.on]
        jobs += [declaration.job for declaration in self.report.declared]
        return looks_for(jobs, self.report.env)

    def record(self, ledger: Ledger) -> Claimed:
        """Claim what the visit makes due; an empty batch is closed at once."""
        claimed = claims.take_visit(ledger, self.report, self.facts)
        claimed.expected = expected(ledger, self.report, self.facts)
        if self.report.postprompt and self.parts.configuration.settings.notify == "prompt":
            claimed.notices = [failure.message for failure in ledger.take_notices()]
        return _left_open(ledger, claimed, self.facts)

    def applied(self, result: Claimed) -> None:
        """Answer the shell, then add what it claimed to the picture."""
        reached("daemon.visit-committed")
        followers = self.parts.followers
        followers.follow(self.report.nonce, result.expected)
        notices = [f"notice={message}".encode() for message in result.notices]
        self.caller.answer([*followers.notes(self.report, result.expected), *notices])
        reached("daemon.visit-answered")
        followers.take(self.report.nonce, self.caller, result.expected)
        for job in (d.job.id for d in self.report.declared if d.refused is None):
            self.parts.journal.mended(f"{REFUSED}: {job}:", f"{REFUSED}: {job}.")
        for reason in result.refused:
            self.parts.journal.once(f"{REFUSED}: {reason}")
        self.parts.live.add(result.runs, result.batches)
        self.parts.idle.ask()

    def failed(self, error: Exception) -> None:
        """Leave the shell without an answer."""
        self.caller.drop()


def _left_open(ledger: Ledger, claimed: Claimed, facts: Facts) -> Claimed:
    """Close the empty batches; the rest is for the picture."""
    left = [b for b in claimed.batches if not outcomes.close_batch(ledger, b, facts.now)]
    return replace(claimed, batches=left)


@dataclass(frozen=True)
class SeenLate(Arrival[Claimed]):
    """The late result of a look, after the shell was answered without it."""

    nonce: str
    facts: Facts
    live: LiveRuns

    def record(self, ledger: Ledger) -> Claimed:
        """Claim what waited for that."""
        return _left_open(ledger, claims.take_late(ledger, self.nonce, self.facts), self.facts)

    def applied(self, result: Claimed) -> None:
        """Add what it claimed to the picture."""
        self.live.add(result.runs, result.batches)


@dataclass(frozen=True)
class CancelAsked(Arrival[None]):
    """A cancellation that `zdeferctl cancel` asks for.

    It records nothing: the queue only keeps it from meeting a start that is under way.
    """

    run: int
    endings: Cancels

    def record(self, ledger: Ledger) -> None:
        """Record nothing yet."""

    def applied(self, result: None) -> None:
        """End the run."""
        self.endings.cancel_now(self.run)


@dataclass(frozen=True)
class CancelDecided(Arrival[None]):
    """The decision to cancel a dispatched run."""

    run: Run
    endings: Cancels
    has_happened = True

    def record(self, ledger: Ledger) -> None:
        """Mark the run as one that is being cancelled."""
        ledger.set_cancelling(self.run.id)

    def applied(self, result: None) -> None:
        """Ask its runner to end it."""
        self.endings.end_attempt(self.run.id, self.run.attempt)


@dataclass(frozen=True)
class RunRecalled(Arrival[None]):
    """A dispatched run that waits again: its attempt never started, or another is due."""

    run: Run
    """As it waits, its state and its next attempt included."""
    live: LiveRuns
    endings: Cancels
    has_happened = True

    def record(self, ledger: Ledger) -> None:
        """Make the run a claimed one again."""
        ledger.recall(self.run.id, self.run.attempt)

    def applied(self, result: None) -> None:
        """Put it back among the waiting ones, or cancel it where that was asked meanwhile."""
        reached("daemon.recall-committed")
        if self.live.again(self.run).cancelling:
            self.endings.cancel_now(self.run.id)


@dataclass(frozen=True)
class RunTakenOver(Arrival[None]):
    """A run that was to end unstarted and that an earlier daemon's spawner has started."""

    run: Run
    now: float
    cancel: bool
    parts: Parts
    endings: Cancels
    has_happened = True

    def record(self, ledger: Ledger) -> None:
        """Record the start."""
        outcomes.begin(ledger, self.run, self.parts.boot, self.now)

    def applied(self, result: None) -> None:
        """Watch the run as one of this daemon's own."""
        self.parts.live.taken_over(self.run, self.parts.boot)
        self.parts.executor.adopt(self.run.id, self.run.attempt)
        if self.cancel:
            self.endings.cancel_now(self.run.id)


class Ended(NamedTuple):
    """The result of recording an end."""

    batch: Batch | None
    """The batch of the run; None: that has ended."""
    again: Run | None
    """The run that tries again what failed."""
    failure: Failure | None
    """The failure of which the user is told now."""


@dataclass(frozen=True)
class RunEnded(Arrival[Ended]):
    """The end of a run, and the beginning of the one that tries again what failed."""

    run: Run
    ending: Ending
    parts: Parts
    has_happened = True

    def record(self, ledger: Ledger) -> Ended:
        """Record the outcome and its lines, the next run, and whether the user is told."""
        batch = outcomes.end(ledger, self.run, self.ending)
        again, notify = outcomes.try_again(ledger, self.run, self.ending), self._notify
        if again is not None or notify == "off":
            return Ended(batch, again, None)
        day = self.parts.clock.today().isoformat()
        failure = outcomes.notice(ledger, self.run, self.ending, day, notify == "prompt")
        return Ended(batch, again, failure)

    @property
    def _notify(self) -> str | tuple[str, ...]:
        return self.parts.configuration.settings.notify

    def applied(self, result: Ended) -> None:
        """Remove the run from the picture and its files from the disk; answer who waits."""
        reached("daemon.end-committed")
        live, succeeded = self.parts.live, self.ending.outcome is Outcome.SUCCEEDED
        live.ended(self.run, result.batch)
        live.add([result.again] if result.again else [], [])
        if result.failure is not None:
            self.parts.notify(result.failure)
        self.parts.followers.ended(self.run, succeeded, live)
        if succeeded and (ring := self.parts.followers.bell_of(self.run)):
            self.parts.loop.run_in_executor(None, ring)
        try:
            self.parts.executor.discard(self.run.id)
        except OSError as error:
            self.parts.journal.once(cannot_change(error))
        reached("daemon.discarded")
        self.parts.awaited.resolve(self.run.id, self.ending)


class Pruning(Arrival[list[int]]):
    """The daily removal of what ended long ago, a limited number of runs at a time."""

    def __init__(self, boot: str, executor: Executor) -> None:
        self._boot, self._executor = boot, executor
        self._asked_at = self._before = 0.0

    def is_due(self, now: float) -> bool:
        """Return whether a day has passed, or the last time left something to remove."""
        return now - self._asked_at >= PRUNE_EVERY_S

    def ask(self, now: float, keep_s: float) -> None:
        """Remove what ended more than `keep_s` seconds before `now`."""
        self._asked_at, self._before = now, now - keep_s

    def record(self, ledger: Ledger) -> list[int]:
        """Remove old rows; the runs whose folders go with them."""
        return ledger.prune(self._before, self._boot)

    def applied(self, result: list[int]) -> None:
        """Remove the folders; where there were any, the next arrival prunes again."""
        for run in result:
            judge.remove(self._executor.folder(run))
        if result:
            self._asked_at = 0.0
