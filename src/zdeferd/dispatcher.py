"""Event -> record -> decide -> claim -> run -> release -> report, one step at a time.

The dispatcher owns the picture of all live runs. It is the only one who changes it,
in one coroutine: it takes in whatever has arrived, commits all of it together,
applies what the commits returned, then does what `schedule.decide` says until that
says nothing more, and sleeps until the next arrival or instant. The picture changes
only after a commit, so it can never hold what the ledger does not; a commit that
fails leaves it as it was.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from . import claims, config, fingerprint, lifecycle, reports, runfolder, schedule, verdicts
from .committer import Committer, Transaction
from .errors import LedgerError, RequestRefused
from .executor import Executor
from .journal import Journal
from .ledger import Ledger
from .model import Batch, Ending, Outcome, Run, Scope, State, Trigger
from .paths import Paths
from .probe import Probe
from .scribe import Scribe
from .wire import Visit

HOLD_S = (1.0, 60.0)
"""After a process could not be started: the first and the longest wait."""
PRUNE_EVERY_S = 86400.0


@dataclass(frozen=True)
class Arrival:
    """Something to commit, and what to do once it is durable or has failed."""

    transaction: Transaction[Any]
    applied: Callable[[Any], None]
    failed: Callable[[Exception], None]


class Dispatcher:
    """Composes everything below it; daemon.py and requests.py drive it."""

    def __init__(
        self,
        paths: Paths,
        committer: Committer,
        boot: str,
        nofile: tuple[int, int],
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.paths, self.boot, self.journal = paths, boot, journal
        self.config = config.load(paths)
        self.stopping = asyncio.Event()
        self.executor = Executor(paths.runs, self._runner_ended, nofile, loop)
        self.scribe = Scribe(committer, journal)
        self._config_stamp = config.stamp(paths)
        self._committer = committer
        self._loop = loop
        self._probe = Probe()
        self._inbox: deque[Arrival] = deque()
        self._arrived = asyncio.Event()
        self._waiting: dict[int, Run] = {}
        self._running: dict[int, Run] = {}
        self._batches: dict[int, Batch] = {}
        self._awaited: dict[int, list[asyncio.Future[Ending]]] = {}
        self._idle_at: float | None = None
        self._idle_asked = True
        self._hold_until, self._hold_s = 0.0, HOLD_S[0]
        self._heard_at = time.time()
        self._pruned_at = 0.0
        self.may_leave = False
        """Exit after a while without work or visits: the next visit starts us again."""

    # what arrives

    def visit(self, visit: Visit, answered: Callable[[], None]) -> None:
        """A shell's visit; `answered` is called once all of it is durable."""
        if visit.postprompt:
            self.reload(only_if_changed=True)

        def applied(claimed: claims.Claimed) -> None:
            answered()
            for reason in claimed.refused:
                self.journal.once(f"refused a job of a shell: {reason}")
            self._claimed(claimed)

        self._heard_at = time.time()
        self._idle_asked = True
        facts = self.facts()
        self._take(lambda ledger: _visit(ledger, visit, facts), applied)

    def claim_by_hand(self, job_id: str, env: dict[str, str]) -> asyncio.Future[Run | None]:
        """A run of a job now; None where nobody has declared such a job."""
        facts, future = self.facts(), self._loop.create_future()

        def transaction(ledger: Ledger) -> Run | None:
            job = facts.jobs.get(job_id) or ledger.declared_job(job_id)
            return claims.claim_by_hand(ledger, job, env, facts) if job else None

        def applied(run: Run | None) -> None:
            if run is not None:
                self._waiting[run.id] = run
            future.set_result(run)

        self._take(transaction, applied, future.set_exception)
        return future

    def cancel(self, run_id: int) -> bool:
        """Ask for the end of a run; False where it is not live."""
        if run := self._waiting.get(run_id):
            ending = Ending(outcome=Outcome.CANCELLED, ended_at=time.time())
            runfolder.tombstone(self.executor.folder(run_id), run.attempt)
            self._end(run, lifecycle.Event.CANCEL, ending)
            return True
        if run := self._running.get(run_id):
            cancelling = msgspec.structs.replace(run, cancelling=True)

            def applied(_: None) -> None:
                if run_id in self._running:
                    self._running[run_id] = cancelling
                    self.executor.cancel(run_id, run.attempt)

            self._take(lambda ledger: ledger.set_cancelling(run_id), applied)
            return True
        return False

    def when_ended(self, run_id: int) -> asyncio.Future[Ending] | None:
        """Done when the run has ended; None where it is not live."""
        if run_id not in self._waiting and run_id not in self._running:
            return None
        future: asyncio.Future[Ending] = self._loop.create_future()
        self._awaited.setdefault(run_id, []).append(future)
        return future

    def reload(self, only_if_changed: bool = False) -> None:
        """Read the configuration again; what is bad in it leaves the last good in force."""
        stamp = config.stamp(self.paths)
        if only_if_changed and stamp == self._config_stamp:
            return
        self._config_stamp = stamp
        self.config = config.load(self.paths, self.config)
        for problem in self.config.problems:
            self.journal.once(f"configuration: {problem}")
        self._idle_asked = True
        self._arrived.set()

    def stop(self) -> None:
        """Finish the step under way and leave; running jobs go on without us."""
        self.stopping.set()
        self._arrived.set()

    def wake(self) -> None:
        """Look again now: an instant has come, or the clock has jumped."""
        self._arrived.set()

    async def read(self, transaction: Transaction[Any]) -> Any:
        """A reading transaction, in order with the writing ones."""
        return await self._committer.transact(transaction)

    def facts(self) -> claims.Facts:
        """What claims depend on, as of now."""
        return claims.Facts(
            now=time.time(),
            boot=self.boot,
            day=date.today().isoformat(),
            jobs=self.config.jobs,
            default_log=self.config.settings.log or self.paths.shared_log,
            fingerprint=fingerprint.fingerprint,
        )

    # the loop

    async def serve(
        self, arm: Callable[[float | None], None], busy: Callable[[bool], None]
    ) -> None:
        """Until `stopping`. `arm(instant)` wakes us up; `busy(flag)` says if work is left."""
        await self._recover()
        while not self.stopping.is_set():
            self._arrived.clear()
            wake_at = await self._settle()
            busy(bool(self._waiting or self._running))
            arm(wake_at)
            if not self._inbox and not self.stopping.is_set():
                await self._arrived.wait()

    async def finish(self) -> None:
        """Commit what came in last, and write what is due to be written."""
        await self._take_in()
        refusal = RequestRefused("the daemon is leaving; the run goes on without it")
        for future in itertools.chain.from_iterable(self._awaited.values()):
            if not future.done():
                future.set_exception(refusal)
        await self.scribe.close()

    async def _recover(self) -> None:
        """The picture as the last daemon left it; what it had dispatched is adopted."""
        runs, batches = await self.read(lambda ledger: (ledger.live_runs(), ledger.open_batches()))
        self._batches = {batch.id: batch for batch in batches}
        for run in runs:
            where = self._running if run.state is State.DISPATCHED else self._waiting
            where[run.id] = run
            if run.state is State.DISPATCHED:
                self.executor.adopt(run.id, run.attempt)
                if run.cancelling:
                    self.executor.cancel(run.id, run.attempt)
        self.scribe.wake()

    async def _settle(self) -> float | None:
        """Take in and act until nothing is left to do; when to look again."""
        while True:
            await self._take_in()
            if self._idle_asked:
                await self._ask_idle()
            now = time.time()
            decision = schedule.decide(self._picture(now), now)
            if not await self._act(decision, now) and not self._inbox:
                return decision.wake_at

    async def _take_in(self) -> None:
        arrivals = list(self._inbox)
        self._inbox.clear()
        results = await asyncio.gather(
            *(self._committer.transact(arrival.transaction) for arrival in arrivals),
            return_exceptions=True,
        )
        for arrival, result in zip(arrivals, results, strict=True):
            if isinstance(result, Exception):
                self.journal.fault(result)
                arrival.failed(result)
            else:
                arrival.applied(result)
        if arrivals:
            self.scribe.wake()
            self._prune()

    def _take(
        self,
        transaction: Transaction[Any],
        applied: Callable[[Any], None],
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._inbox.append(Arrival(transaction, applied, failed))
        self._arrived.set()

    async def _act(self, decision: schedule.Decision, now: float) -> bool:
        """Do what was decided; False where that was nothing."""
        if decision.leave and self.scribe.resting:
            self.stopping.set()
        if decision.new_day:
            self._idle_asked = True
        if decision.look_at_ttys:
            await self._look_at_ttys(now)
        for run in decision.miss:
            ending = Ending(outcome=Outcome.MISSED, ended_at=now)
            self._end(run, lifecycle.Event.MISS, ending)
        if decision.dispatch:
            await self._dispatch(decision.dispatch, now)
        return bool(decision.dispatch or decision.look_at_ttys or decision.new_day)

    async def _dispatch(self, runs: tuple[Run, ...], now: float) -> None:
        """Commit the decision, then ask for the processes."""

        def transaction(ledger: Ledger) -> list[Any]:
            for run in runs:
                reports.begin(ledger, run, self.boot, now)
            return [ledger.work(run.id) for run in runs]

        try:
            works = await self._committer.transact(transaction)
        except LedgerError as error:
            self._hold(now, str(error))
            return
        self.scribe.wake()
        for run, work in zip(runs, works, strict=True):
            state = lifecycle.step(run.state, lifecycle.Event.DISPATCH)
            del self._waiting[run.id]
            self._running[run.id] = msgspec.structs.replace(run, state=state, boot=self.boot)
            await self.executor.start(run.id, run.attempt, work, self.config.settings)

    # ends

    def _runner_ended(self, run_id: int, attempt: int, verdict: runfolder.Verdict) -> None:
        run = self._running.get(run_id)
        if run is None or run.attempt != attempt:
            return
        if isinstance(verdict, runfolder.Vanished):
            folder = self.executor.folder(run_id)
            ending = self._loop.run_in_executor(None, runfolder.end_leftovers, folder)
            ending.add_done_callback(lambda _: self._judged(run, verdict))
        else:
            self._judged(run, verdict)

    def _judged(self, run: Run, verdict: runfolder.Verdict) -> None:
        now = time.time()
        run = self._running.get(run.id, run)
        event, ending = verdicts.settle(run, verdict, self.boot, now)
        if event is lifecycle.Event.RECALL and isinstance(verdict, runfolder.NeverStarted):
            self._hold(now, verdict.reason)
        else:
            self._hold_s = HOLD_S[0]
        if ending is not None:
            if event is lifecycle.Event.CANCEL:
                runfolder.tombstone(self.executor.folder(run.id), run.attempt)
            self._end(run, event, ending)
            return
        attempt = run.attempt + (event is lifecycle.Event.RETRY)
        state = lifecycle.step(run.state, event)
        again = msgspec.structs.replace(run, state=state, attempt=attempt)

        def applied(_: None) -> None:
            del self._running[run.id]
            self._waiting = dict(sorted((self._waiting | {run.id: again}).items()))

        self._take_until_durable(lambda ledger: ledger.recall(run.id, attempt), applied)

    def _end(self, run: Run, event: lifecycle.Event, ending: Ending) -> None:
        """Record the outcome and its lines; then nothing of the run is left to do."""
        lifecycle.step(run.state, event)
        assert ending.outcome in lifecycle.OUTCOMES[event]

        def applied(batch: Batch | None) -> None:
            if self._waiting.pop(run.id, None) is None:
                self._running.pop(run.id, None)
            if run.batch is not None:
                self._batches.pop(run.batch, None)
            if batch is not None:
                self._batches[batch.id] = batch
            runfolder.discard(self.executor.folder(run.id))
            for future in self._awaited.pop(run.id, ()):
                if not future.done():
                    future.set_result(ending)

        def transaction(ledger: Ledger) -> Batch | None:
            return reports.end(ledger, run, ending) if not ledger.ended_run(run.id) else None

        self._take_until_durable(transaction, applied)

    def _take_until_durable(
        self, transaction: Transaction[Any], applied: Callable[[Any], None]
    ) -> None:
        """Nothing that happened to a run is lost to a ledger that cannot be written now."""

        def again(_: Exception) -> None:
            self._loop.call_later(HOLD_S[0], self._take, transaction, applied, again)

        self._take(transaction, applied, again)

    def _hold(self, now: float, reason: str) -> None:
        self.journal.once(f"cannot start jobs for now: {reason}")
        self._hold_until = now + self._hold_s
        self._hold_s = min(self._hold_s * 2, HOLD_S[1])

    # idle

    async def _ask_idle(self) -> None:
        """Whether anything waits for the user to go quiet, and when to look at the ttys."""
        self._idle_asked = False
        facts = self.facts()
        try:
            waits = await self.read(lambda ledger: claims.idle_waits(ledger, facts))
        except LedgerError as error:
            self.journal.fault(error)
            return
        self._idle_at = self._quiet_at() if waits else None

    async def _look_at_ttys(self, now: float) -> None:
        self._idle_at = self._quiet_at()
        if self._idle_at > now:
            return
        facts = self.facts()
        try:
            self._claimed(
                await self.read(lambda ledger: _idle(ledger, facts)),
            )
        except LedgerError as error:
            self.journal.fault(error)
            self._idle_at = now + HOLD_S[1]
            return
        self._idle_asked = True

    def _quiet_at(self) -> float:
        """The earliest instant at which the quiet time can be long enough."""
        settings = self.config.settings
        return self._probe.last_activity() + schedule.TTY_RESOLUTION_S + settings.idle_after_s

    def _day_ends_at(self) -> float | None:
        daily = any(
            Trigger.IDLE in job.on and job.once_per is Scope.DAY
            for job in self.config.jobs.values()
        )
        if not daily or self._idle_at is not None:
            return None
        tomorrow = date.today() + timedelta(days=1)
        return datetime.combine(tomorrow, datetime.min.time()).timestamp()

    # the picture

    def _claimed(self, claimed: claims.Claimed) -> None:
        for run in claimed.runs:
            self._waiting[run.id] = run
        for batch in claimed.batches:
            self._batches[batch.id] = batch

    def _picture(self, now: float) -> schedule.Picture:
        return schedule.Picture(
            waiting=self._waiting,
            running=self._running,
            batches=self._batches,
            jobs_at_once=self.config.settings.jobs_at_once,
            idle_at=self._idle_at,
            day_ends_at=self._day_ends_at(),
            hold_until=self._hold_until,
            leave_at=self._leave_at(),
        )

    def _leave_at(self) -> float | None:
        return self._heard_at + self.config.settings.exit_after_s if self.may_leave else None

    def _prune(self) -> None:
        now = time.time()
        if now - self._pruned_at < PRUNE_EVERY_S:
            return
        self._pruned_at = now
        before = now - self.config.settings.keep_runs_s

        def applied(runs: list[int]) -> None:
            for run in runs:
                runfolder.remove(self.executor.folder(run))
            if runs:
                self._pruned_at = 0.0

        self._take(lambda ledger: ledger.prune(before, self.boot), applied)


def _visit(ledger: Ledger, visit: Visit, facts: claims.Facts) -> claims.Claimed:
    return _closed(ledger, claims.take_visit(ledger, visit, facts), facts.now)


def _idle(ledger: Ledger, facts: claims.Facts) -> claims.Claimed:
    return claims.take_idle(ledger, facts, claims.Claimed())


def _closed(ledger: Ledger, claimed: claims.Claimed, now: float) -> claims.Claimed:
    """Without the batches that claimed nothing: their closing line is written at once."""
    open_ones = [b for b in claimed.batches if not reports.close_batch(ledger, b, now)]
    return replace(claimed, batches=open_ones)
