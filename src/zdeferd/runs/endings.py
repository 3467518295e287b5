"""Decides how runs end: by themselves, cancelled, missed, or with their runner gone.

From a verdict on an attempt, or a request, to the outcome in the ledger. A run is set aside
(`LiveRuns.settle`) when its end is known, so that nothing else happens to it, and leaves the
picture when that is durable.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from ..crashpoints import reached
from ..judging import judge
from ..ledger.store import Ledger
from ..model import Ending, Outcome, Run
from ..recording.inbox import AGAIN_S, Arrival
from ..rules import lifecycle, verdicts
from ..rules.lifecycle import RunEvent
from .arrivals import (
    CancelAsked,
    CancelDecided,
    Parts,
    RunEnded,
    RunRecalled,
    RunTakenOver,
)
from .executor import cannot_change

CANNOT_START = "cannot start jobs for now"


@dataclass(frozen=True)
class Tidying(Arrival[list[int]]):
    """Run folders that hold a script at the start: those of ended runs are to be tidied."""

    runs: list[int]
    folder: str

    def record(self, ledger: Ledger) -> list[int]:
        """Record nothing; return the runs that have ended."""
        return [run for run in self.runs if ledger.ended_run(run)]

    def applied(self, result: list[int]) -> None:
        """Remove what is left of them but their output; what cannot be removed stays."""
        for run in result:
            with contextlib.suppress(OSError):
                judge.tidy(f"{self.folder}/{run}")


class Endings:
    """Takes the executor's verdicts and the cancellations; no other class ends a run."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._adopted: set[int] = set()
        """Runs of an earlier daemon of which no verdict has come yet."""
        parts.executor.on_end = self._runner_ended

    def tidy(self, runs: str) -> None:
        """Remove what a crash left in the folders of ended runs, once a thread has looked."""
        left = self._parts.loop.run_in_executor(None, judge.with_script, runs)
        left.add_done_callback(lambda found: self._parts.inbox.put(Tidying(found.result(), runs)))

    def adopt(self, run: Run) -> None:
        """Take over a run that an earlier daemon had dispatched."""
        self._adopted.add(run.id)
        self._parts.executor.adopt(run.id, run.attempt)
        if run.cancelling:
            self.cancel_now(run.id)

    def miss(self, run: Run, now: float) -> None:
        """End a run that waits: its batch spent its budget, its conditions did not hold in time."""
        self._end(run, RunEvent.MISS, verdicts.not_again(run, Outcome.MISSED, now))

    def could_not_start(self, runs: Iterable[int], reason: str, now: float) -> None:
        """Put `runs` off and log the reason."""
        self._parts.journal.once(f"{CANNOT_START}: {reason}")
        self._parts.live.could_not_start(runs, now)

    # cancellation

    def cancel(self, run: int) -> None:
        """Ask for the end of a run; nothing happens where it is not live."""
        self._parts.inbox.put(CancelAsked(run, self))

    async def cancel_all(self, job: str) -> None:
        """Cancel the live runs of `job`; return when all have ended."""
        runs = [run.id for run in self._parts.live.all_of(job)]
        ended = [self.when_ended(run) for run in runs]
        for run in reversed(runs):  # none that waits starts meanwhile
            self.cancel(run)
        await asyncio.gather(*(one for one in ended if one is not None))

    async def remove(self, runs: Iterable[int]) -> None:
        """Remove the folders of runs that have ended, in a thread; what is not there is passed."""
        folders = [self._parts.executor.folder(run) for run in runs]
        await self._parts.loop.run_in_executor(None, lambda: [*map(judge.remove, folders)])

    def when_ended(self, run: int) -> asyncio.Future[Ending] | None:
        """Return a future that is done when the run has ended; None where it is not live."""
        return self._parts.awaited.when_ended(run) if run in self._parts.live else None

    def cancel_now(self, run: int) -> None:
        """End a run that waits; have the runner end one that runs."""
        live = self._parts.live
        if waiting := live.waiting.get(run):
            now = self._parts.clock.wall()
            self._end(waiting, RunEvent.CANCEL, verdicts.not_again(waiting, Outcome.CANCELLED, now))
        elif running := live.running.get(run):
            live.running[run] = replace(running, cancelling=True)
            if run not in live.settling:
                self._parts.inbox.put(CancelDecided(running, self))

    def end_attempt(self, run: int, attempt: int) -> None:
        """Ask the runner of a dispatched run to end its job; its verdict follows."""
        if self._current(run, attempt) is None:
            return
        try:
            self._parts.executor.cancel(run, attempt)
        except OSError as error:
            self._parts.journal.once(cannot_change(error))
            self._parts.loop.call_later(AGAIN_S, self.end_attempt, run, attempt)

    # what became of an attempt

    def _current(self, run: int, attempt: int) -> Run | None:
        """Return the dispatched run, where this is its attempt and its end is not known yet."""
        found = self._parts.live.running.get(run)
        if found is None or found.attempt != attempt or run in self._parts.live.settling:
            return None
        return found

    def _runner_ended(self, run_id: int, attempt: int, verdict: verdicts.Verdict) -> None:
        run = self._current(run_id, attempt)
        if run is None:
            return
        reached("daemon.end-seen")
        self._parts.live.settle(run)
        if isinstance(verdict, verdicts.Vanished) and verdict.reason:
            self._parts.journal.once(f"run {run_id}: {verdict.reason}")
        # Of another boot nothing can be left, and its numbers are of other processes now.
        if isinstance(verdict, verdicts.Vanished) and run.boot == self._parts.boot:
            grace_s = self._parts.configuration.settings.kill_grace_s
            over = self._parts.executor.end_leftovers(run_id, grace_s)
            over.add_done_callback(partial(self._leftovers_ended, run_id, verdict))
        else:
            self._settle_run(run, verdict)

    def _leftovers_ended(
        self, run_id: int, verdict: verdicts.Verdict, done: asyncio.Future[bool]
    ) -> None:
        reached("daemon.leftovers-ended")
        if error := done.exception():
            self._parts.journal.fault(error)
        elif not done.result():
            self._parts.journal.once(f"processes of a job cannot be ended: run {run_id}")
        self._settle_run(self._parts.live.running[run_id], verdict)

    def _settle_run(self, run: Run, verdict: verdicts.Verdict) -> None:
        now = self._parts.clock.wall()
        event, ending = verdicts.settle(run, verdict, self._parts.boot, now)
        if run.id in self._adopted:  # the last daemon ended before it had asked for a runner
            self._adopted.discard(run.id)
        elif event is RunEvent.RECALL and isinstance(verdict, verdicts.NeverStarted):
            self.could_not_start([run.id], verdict.reason, now)
        else:
            self._parts.live.could_start()
            self._parts.journal.mended(CANNOT_START)
        if ending is None:
            self._recall(run, event)
        else:
            self._end(run, event, ending)

    def _recall(self, run: Run, event: RunEvent) -> None:
        """Put the run back among the waiting ones, in its old place."""
        reached("daemon.recall-decided")
        attempt = run.attempt + (event is RunEvent.RETRY)
        again = replace(run, state=lifecycle.step(run.state, event), attempt=attempt)
        self._parts.inbox.put(RunRecalled(again, self._parts.live, self))

    # the end

    def _end(self, run: Run, event: RunEvent, ending: Ending) -> None:
        """Record the outcome and its lines; before that, an unstarted attempt is withdrawn."""
        lifecycle.step(run.state, event)
        assert ending.outcome in lifecycle.OUTCOMES[event]
        self._parts.live.settle(run)
        if event in (RunEvent.CANCEL, RunEvent.MISS):
            self._withdraw(run, event, ending)
        else:
            self._record_end(run, ending)

    def _withdraw(self, run: Run, event: RunEvent, ending: Ending) -> None:
        """Record the end once a tombstone keeps the attempt from starting."""
        try:
            withdrawn = self._parts.executor.withdraw(run.id, run.attempt)
        except OSError as error:
            # Without the tombstone a late runner could start what is recorded as ended.
            self._parts.journal.once(cannot_change(error))
            self._parts.loop.call_later(AGAIN_S, self._withdraw, run, event, ending)
            return
        if withdrawn:
            self._record_end(run, ending)
        else:  # an earlier daemon's spawner was late: the attempt has started
            now, cancel = self._parts.clock.wall(), event is RunEvent.CANCEL
            self._parts.inbox.put(RunTakenOver(run, now, cancel, self._parts, self))

    def _record_end(self, run: Run, ending: Ending) -> None:
        reached("daemon.end-decided")
        self._parts.inbox.put(RunEnded(run, ending, self._parts))
