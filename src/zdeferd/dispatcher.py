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
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from msgspec.structs import replace as with_

from . import claims, config, lifecycle, reports, runfolder, schedule, verdicts
from .claims import Claimed, Facts
from .committer import Committer, Transaction
from .crashpoints import reached
from .errors import LedgerError, RequestRefused, UnsafePath
from .executor import Executor
from .fingerprint import fingerprint
from .idlewatch import IdleWatch
from .inbox import AGAIN_S, Inbox
from .journal import Journal
from .ledger import Ledger
from .liveruns import LiveRuns
from .model import Batch, Ending, Outcome, Run
from .paths import Paths
from .probe import Probe
from .scribe import Scribe
from .wire import Visit

T = TypeVar("T")
HOLD_S = (1.0, 60.0)
"""After a process could not be started: the first and the longest wait."""
PRUNE_EVERY_S = 86400.0


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
        probe: Probe | None = None,
    ) -> None:
        self.paths, self.boot, self.journal = paths, boot, journal
        self.config = config.load(paths)
        self.stopping = asyncio.Event()
        self.executor = Executor(paths.runs, self._runner_ended, nofile, loop)
        self.scribe = Scribe(committer, journal)
        self.may_leave = False
        """Exit after a while without work or visits: the next visit starts us again."""
        self._config_stamp = config.stamp(paths)
        self._committer, self._loop = committer, loop
        self._inbox = Inbox(committer, journal, loop)
        self._idle = IdleWatch(committer, probe)
        self._live = LiveRuns()
        self._awaited: dict[int, set[asyncio.Future[Ending]]] = {}
        self._hold_until, self._hold_s = 0.0, HOLD_S[0]
        self._adopted: set[int] = set()
        """Runs of an earlier daemon, until it is known what became of them."""
        self._heard_at = time.time()
        self._pruned_at = 0.0

    # what arrives

    def visit(
        self,
        visit: Visit,
        answered: Callable[[], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """A shell's visit; `answered` is called once all of it is durable, else `failed`."""
        if visit.postprompt:
            self.reload(only_if_changed=True)

        def applied(claimed: Claimed) -> None:
            reached("daemon.visit-committed")
            answered()
            reached("daemon.visit-answered")
            for reason in claimed.refused:
                self.journal.once(f"refused a job of a shell: {reason}")
            self._add(claimed)
            self._idle.ask()

        self._heard_at = time.time()
        facts = self.facts()
        self._inbox.put(lambda ledger: _visit(ledger, visit, facts), applied, lambda _: failed())

    def claim_by_hand(self, job_id: str, env: dict[str, str]) -> asyncio.Future[Run | None]:
        """A run of a job now; None where nobody has declared such a job."""
        facts, future = self.facts(), self._loop.create_future()

        def transaction(ledger: Ledger) -> Run | None:
            job = facts.jobs.get(job_id) or ledger.declared_job(job_id)
            return claims.claim_by_hand(ledger, job, env, facts) if job else None

        def applied(run: Run | None) -> None:
            if run is not None:
                self._live.add([run], [])
            future.set_result(run)

        self._inbox.put(transaction, applied, future.set_exception)
        return future

    def cancel(self, run_id: int) -> None:
        """Ask for the end of a run; nothing where it is not live."""
        # Through the inbox, so that no decision to start it is under way meanwhile.
        self._inbox.put(lambda ledger: None, lambda _: self._cancel(run_id))

    def _cancel(self, run_id: int) -> None:
        if run := self._live.waiting.get(run_id):
            ending = verdicts.not_again(run, Outcome.CANCELLED, time.time())
            self._end(run, lifecycle.Event.CANCEL, ending)
        elif run := self._live.running.get(run_id):
            self._live.running[run_id] = with_(run, cancelling=True)
            if run_id not in self._live.settling:
                self._inbox.put_until_durable(
                    lambda ledger: ledger.set_cancelling(run_id),
                    lambda _: self._tell_to_end(run_id, run.attempt),
                )

    def _tell_to_end(self, run_id: int, attempt: int) -> None:
        run = self._live.running.get(run_id)
        if run is None or run.attempt != attempt or run_id in self._live.settling:
            return
        if not self._tidy(lambda: self.executor.cancel(run_id, attempt)):
            self._loop.call_later(AGAIN_S, self._tell_to_end, run_id, attempt)

    def when_ended(self, run_id: int) -> asyncio.Future[Ending] | None:
        """Done when the run has ended; None where it is not live."""
        if run_id not in self._live:
            return None
        future: asyncio.Future[Ending] = self._loop.create_future()
        awaited = self._awaited.setdefault(run_id, set())
        awaited.add(future)
        future.add_done_callback(awaited.discard)  # who asked may leave before the end
        return future

    def reload(self, only_if_changed: bool = False) -> None:
        """Read the configuration again; what is bad in it leaves the last good in force."""
        stamp = config.stamp(self.paths)
        if only_if_changed and stamp == self._config_stamp:
            return
        self._config_stamp = stamp
        self.config = config.load(self.paths, self.config)
        self.say_problems()
        self._idle.ask()
        self.scribe.wake()  # what was in a log's way may be gone
        self._inbox.arrived.set()

    def say_problems(self) -> None:
        """What is refused in the configuration, in the daemon's log; zdeferctl reads it itself."""
        for problem in self.config.problems:
            self.journal.say(f"configuration: {problem}")

    def stop(self) -> None:
        """Finish the step under way and leave; running jobs go on without us."""
        self.stopping.set()
        self._inbox.arrived.set()

    def wake(self) -> None:
        """Look again now: an instant has come, or the clock has jumped."""
        self._idle.ask()  # set back, the clock would leave the instant to look at far ahead
        self._inbox.arrived.set()

    async def read(self, transaction: Transaction[Any]) -> Any:
        """A reading transaction, in order with the writing ones."""
        return await self._committer.transact(transaction)

    def facts(self) -> Facts:
        """What claims depend on, as of now."""
        return Facts(
            now=time.time(),
            boot=self.boot,
            day=date.today().isoformat(),
            jobs=self.config.jobs,
            default_log=self.config.settings.log or self.paths.shared_log,
            fingerprint=fingerprint,
        )

    # the loop

    async def serve(
        self, arm: Callable[[float | None], None], busy: Callable[[bool], None]
    ) -> None:
        """Until `stopping`. `arm(instant)` wakes us up; `busy(flag)` says if work is left."""
        await self._recover()
        while not self.stopping.is_set():
            self._inbox.arrived.clear()
            wake_at = await self._settle()
            busy(bool(self._live.waiting or self._live.running))
            arm(wake_at)
            if not self._inbox and not self.stopping.is_set():
                await self._inbox.arrived.wait()

    async def finish(self) -> None:
        """Commit what came in last, and write what is due to be written."""
        reached("daemon.leaving")
        await self._take_in()
        refusal = RequestRefused("the daemon is leaving; the run goes on without it")
        for future in itertools.chain.from_iterable(self._awaited.values()):
            if not future.done():
                future.set_exception(refusal)
        await self.scribe.close()

    async def _recover(self) -> None:
        """The picture as the last daemon left it; what it had dispatched is adopted."""
        runs, batches = await self.read(lambda ledger: (ledger.live_runs(), ledger.open_batches()))
        self._live.add(runs, batches)
        for run in self._live.running.values():
            reached("daemon.recovering")
            self._adopted.add(run.id)
            self.executor.adopt(run.id, run.attempt)
            if run.cancelling:
                self._cancel(run.id)
        self.scribe.wake()

    async def _settle(self) -> float | None:
        """Take in and act until nothing is left to do; when to look again."""
        while True:
            await self._take_in()
            await self._survive(self._idle.answer(self.facts(), self._idle_after_s))
            now = time.time()
            decision = schedule.decide(self._picture(), now)
            if not await self._act(decision, now) and not self._inbox:
                return decision.wake_at

    async def _take_in(self) -> None:
        if await self._inbox.take_in():
            self.scribe.wake()
            self._prune()

    async def _act(self, decision: schedule.Decision, now: float) -> bool:
        """Do what was decided; False where that was nothing."""
        if decision.leave and self.scribe.resting and not self._inbox:
            self.stopping.set()
        if decision.new_day:
            self._idle.ask()
        if decision.look_at_ttys:
            claimed = await self._survive(self._idle.look(self.facts(), self._idle_after_s))
            self._add(claimed or Claimed())
        for run in decision.miss:
            ending = verdicts.not_again(run, Outcome.MISSED, now)
            self._end(run, lifecycle.Event.MISS, ending)
        if decision.dispatch:
            await self._dispatch(decision.dispatch, now)
        return bool(decision.dispatch or decision.look_at_ttys or decision.new_day)

    async def _survive(self, work: Awaitable[T]) -> T | None:
        """A ledger that cannot be used now is said so, and is no reason to end."""
        try:
            return await work
        except LedgerError as error:
            self.journal.fault(error)
            return None

    async def _dispatch(self, runs: tuple[Run, ...], now: float) -> None:
        """Make the folders, commit the decision, then ask for the processes."""
        try:
            for run in runs:
                self.executor.make_folder(run.id)
        except (OSError, UnsafePath) as error:
            self._hold(now, f"cannot make a run folder: {error}", [run.id])
            return

        def transaction(ledger: Ledger) -> list[Any]:
            for run in runs:
                reports.begin(ledger, run, self.boot, now)
            return [ledger.work(run.id) for run in runs]

        reached("daemon.dispatch-decided")
        try:
            works = await self._committer.transact(transaction)
        except LedgerError as error:
            self._hold(now, str(error), self._live.waiting)
            return
        reached("daemon.dispatch-committed")
        self.scribe.wake()
        for run, work in zip(runs, works, strict=True):
            self._live.dispatched(run, self.boot)
            await self.executor.start(run.id, run.attempt, work, self.config.settings)

    # ends

    def _runner_ended(self, run_id: int, attempt: int, verdict: runfolder.Verdict) -> None:
        run = self._live.running.get(run_id)
        if run is None or run.attempt != attempt or run_id in self._live.settling:
            return
        reached("daemon.end-seen")
        self._live.settle(run)
        if isinstance(verdict, runfolder.Vanished):
            folder = self.executor.folder(run_id)
            over = self._loop.run_in_executor(None, runfolder.end_leftovers, folder)
            over.add_done_callback(lambda done: self._leftovers_ended(done, run_id, verdict))
        else:
            self._settle_run(run, verdict)

    def _leftovers_ended(
        self, done: asyncio.Future[bool], run_id: int, verdict: runfolder.Verdict
    ) -> None:
        reached("daemon.leftovers-ended")
        if error := done.exception():
            self.journal.fault(error)
        elif not done.result():
            self.journal.once(f"processes of a job cannot be ended: run {run_id}")
        self._settle_run(self._live.running[run_id], verdict)

    def _settle_run(self, run: Run, verdict: runfolder.Verdict) -> None:
        now = time.time()
        event, ending = verdicts.settle(run, verdict, self.boot, now)
        if run.id in self._adopted:  # the last daemon ended before it had asked for a runner
            self._adopted.discard(run.id)
        elif event is lifecycle.Event.RECALL and isinstance(verdict, runfolder.NeverStarted):
            self._hold(now, verdict.reason, [run.id])
        else:
            self._hold_s = HOLD_S[0]
        if ending is None:
            self._again(run, event)
        else:
            self._end(run, event, ending)

    def _again(self, run: Run, event: lifecycle.Event) -> None:
        """Back among the waiting, in its old place."""
        reached("daemon.recall-decided")
        attempt = run.attempt + (event is lifecycle.Event.RETRY)
        again = with_(run, state=lifecycle.step(run.state, event), attempt=attempt)

        def applied(_: None) -> None:
            reached("daemon.recall-committed")
            if self._live.again(again).cancelling:
                self._cancel(run.id)

        self._inbox.put_until_durable(lambda ledger: ledger.recall(run.id, attempt), applied)

    def _end(self, run: Run, event: lifecycle.Event, ending: Ending) -> None:
        """Record the outcome and its lines; then nothing of the run is left to do."""
        lifecycle.step(run.state, event)
        assert ending.outcome in lifecycle.OUTCOMES[event]
        self._live.settle(run)
        folder = self.executor.folder(run.id)
        never = event in (lifecycle.Event.CANCEL, lifecycle.Event.MISS)
        if never and not self._withdraw(run):
            self._take_over(run, cancel=event is lifecycle.Event.CANCEL)
            return
        reached("daemon.end-decided")

        def applied(batch: Batch | None) -> None:
            reached("daemon.end-committed")
            self._live.ended(run, batch)
            self._tidy(lambda: runfolder.discard(folder))
            reached("daemon.discarded")
            for future in self._awaited.pop(run.id, ()):
                if not future.done():
                    future.set_result(ending)

        self._inbox.put_until_durable(lambda ledger: reports.end(ledger, run, ending), applied)

    def _withdraw(self, run: Run) -> bool:
        """See to it that the attempt never starts; False: it has."""
        withdrawn = True

        def tombstone() -> None:
            nonlocal withdrawn
            withdrawn = runfolder.tombstone(self.executor.folder(run.id), run.attempt)

        self._tidy(tombstone)
        return withdrawn

    def _take_over(self, run: Run, cancel: bool) -> None:
        """An earlier daemon's spawner was late: the attempt is under way, and ours now."""
        now = time.time()

        def applied(_: None) -> None:
            self._live.taken_over(run, self.boot)
            self.executor.adopt(run.id, run.attempt)
            if cancel:
                self._cancel(run.id)

        self._inbox.put_until_durable(
            lambda ledger: reports.begin(ledger, run, self.boot, now), applied
        )

    def _tidy(self, change: Callable[[], object]) -> bool:
        """A run folder that cannot be changed (False) is said so, and is no reason to end."""
        try:
            change()
        except OSError as error:
            self.journal.once(f"cannot change a run folder: {error.filename}: {error.strerror}")
            return False
        return True

    def _hold(self, now: float, reason: str, runs: Iterable[int]) -> None:
        """Start none of `runs` for a while; what has not failed yet may be tried."""
        self.journal.once(f"cannot start jobs for now: {reason}")
        self._live.put_off(list(runs))
        if now < self._hold_until <= now + HOLD_S[1]:
            return  # one failure, however many runs it hit
        self._hold_until = now + self._hold_s
        self._hold_s = min(self._hold_s * 2, HOLD_S[1])

    # the picture

    def _add(self, claimed: Claimed) -> None:
        self._live.add(claimed.runs, claimed.batches)

    def _picture(self) -> schedule.Picture:
        # A clock that was set back must not make a hold longer than any is.
        held = self._hold_until <= time.time() + HOLD_S[1]
        return schedule.Picture(
            waiting=self._live.waiting,
            running=self._live.running,
            batches=self._live.batches,
            jobs_at_once=self.config.settings.jobs_at_once,
            idle_at=self._idle.look_at,
            day_ends_at=self._idle.day_ends_at(self.config.jobs.values()),
            hold_until=self._hold_until if held else 0.0,
            held=self._live.put_offs,
            leave_at=self._leave_at(),
        )

    @property
    def _idle_after_s(self) -> float:
        return self.config.settings.idle_after_s

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

        self._inbox.put(lambda ledger: ledger.prune(before, self.boot), applied)


def _visit(ledger: Ledger, visit: Visit, facts: Facts) -> Claimed:
    return _closed(ledger, claims.take_visit(ledger, visit, facts), facts.now)


def _closed(ledger: Ledger, claimed: Claimed, now: float) -> Claimed:
    """Without the batches that claimed nothing: their closing line is written at once."""
    open_ones = [b for b in claimed.batches if not reports.close_batch(ledger, b, now)]
    return replace(claimed, batches=open_ones)
