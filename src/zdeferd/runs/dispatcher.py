"""Event -> record -> decide -> claim -> run -> release -> report, one step at a time.

The dispatcher owns the picture of all live runs. It is the only one who changes it,
in one coroutine: it takes in whatever has arrived, commits all of it together,
applies what the commits returned, then does what `schedule.decide` says until that
says nothing more, and sleeps until the next arrival or instant. The picture changes
only after a commit, so it can never hold what the ledger does not; a commit that
fails leaves it as it was.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from ..crashpoints import reached
from ..errors import LedgerError, UnsafePath
from ..jobs import files
from ..jobs.fingerprint import fingerprint
from ..ledger import claims, outcomes
from ..ledger.claims import Claimed, Facts, Report
from ..ledger.committer import Committer, Transaction
from ..ledger.inbox import Inbox
from ..ledger.scribe import Scribe
from ..ledger.store import Ledger
from ..machine.journal import Journal
from ..machine.paths import Paths
from ..machine.quiet import Probe
from ..model import Run
from ..rules import schedule
from ..wire.messages import Visit
from . import judge, visits
from .endings import Ends
from .hold import Hold
from .idle import IdleWatch
from .live import LiveRuns

T = TypeVar("T")
PRUNE_EVERY_S = 86400.0


class Dispatcher:
    """Composes everything below it; daemon/main.py and requests.py drive it."""

    def __init__(
        self,
        paths: Paths,
        committer: Committer,
        boot: str,
        limits: dict[str, tuple[int, int]],
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
        probe: Probe | None = None,
    ) -> None:
        self.paths, self.boot, self.journal = paths, boot, journal
        self.config = files.load(paths)
        self.stopping = asyncio.Event()
        self.scribe = Scribe(committer, journal)
        self.may_leave = False
        """Exit after a while without work or visits: the next visit starts us again."""
        self._config_stamp = files.stamp(paths)
        self._committer, self._loop = committer, loop
        self._inbox = Inbox(committer, journal, loop)
        self._idle = IdleWatch(committer, probe)
        self._live = LiveRuns()
        self._hold = Hold(self._live, journal)
        self.ends = Ends(
            paths.runs, limits, boot, self._live, self._inbox, self._hold, journal, loop
        )
        self.executor = self.ends.executor
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
        try:
            report = visits.report(visit, facts.jobs, facts.default_log)
        except Exception as error:  # noqa: BLE001 - one visit is no reason to end
            self.journal.fault(error)
            failed()
            return
        self._inbox.put(lambda ledger: _visit(ledger, report, facts), applied, lambda _: failed())

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

    def reload(self, only_if_changed: bool = False) -> None:
        """Read the configuration again; what is bad in it leaves the last good in force."""
        stamp = files.stamp(self.paths)
        if only_if_changed and stamp == self._config_stamp:
            return
        self._config_stamp = stamp
        self.config = files.load(self.paths, self.config)
        self.say_problems()
        self._idle.ask()
        self.scribe.wake()  # what was in a log's way may be gone
        self._inbox.arrived.set()

    def say_problems(self) -> None:
        """Write each problem of the configuration into the daemon's log."""
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
        self.ends.refuse_who_waits("the daemon is leaving; the run goes on without it")
        await self.scribe.close()

    async def _recover(self) -> None:
        """The picture as the last daemon left it; what it had dispatched is adopted."""
        runs, batches = await self.read(lambda ledger: (ledger.live_runs(), ledger.open_batches()))
        self._live.add(runs, batches)
        for run in self._live.running.values():
            reached("daemon.recovering")
            self.ends.adopt(run)
        self.scribe.wake()

    async def _settle(self) -> float | None:
        """Take in and act until nothing is left to do; when to look again."""
        while True:
            await self._take_in()
            now = time.time()
            if runs := schedule.decide(self._picture(), now).dispatch:
                await self._dispatch(runs, now)  # before all else: somebody waits for them
                continue
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
        """Do what was decided, but for starts; False where there is nothing left to do."""
        if decision.leave and self.scribe.resting and not self._inbox:
            self.stopping.set()
        if decision.new_day:
            self._idle.ask()
        if decision.look_at_ttys:
            claimed = await self._survive(self._idle.look(self.facts(), self._idle_after_s))
            self._add(claimed or Claimed())
        for run in decision.miss:
            self.ends.miss(run, now)
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
            self._hold.failed(now, f"cannot make a run folder: {error}", [run.id])
            return

        def transaction(ledger: Ledger) -> list[Any]:
            for run in runs:
                outcomes.begin(ledger, run, self.boot, now)
            return [ledger.work(run.id) for run in runs]

        reached("daemon.dispatch-decided")
        try:
            works = await self._committer.transact(transaction)
        except LedgerError as error:
            self._hold.failed(now, str(error), self._live.waiting)
            return
        reached("daemon.dispatch-committed")
        self.scribe.wake()
        for run, work in zip(runs, works, strict=True):
            self._live.dispatched(run, self.boot)
            await self.executor.start(run.id, run.attempt, work, self.config.settings)

    # the picture

    def _add(self, claimed: Claimed) -> None:
        self._live.add(claimed.runs, claimed.batches)

    def _picture(self) -> schedule.Picture:
        return schedule.Picture(
            waiting=self._live.waiting,
            running=self._live.running,
            batches=self._live.batches,
            jobs_at_once=self.config.settings.jobs_at_once,
            idle_at=self._idle.look_at,
            day_ends_at=self._idle.day_ends_at(self.config.jobs.values()),
            hold_until=self._hold.until,
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
                judge.remove(self.executor.folder(run))
            if runs:
                self._pruned_at = 0.0

        self._inbox.put(lambda ledger: ledger.prune(before, self.boot), applied)


def _visit(ledger: Ledger, report: Report, facts: Facts) -> Claimed:
    return _closed(ledger, claims.take_visit(ledger, report, facts), facts.now)


def _closed(ledger: Ledger, claimed: Claimed, now: float) -> Claimed:
    """Without the batches that claimed nothing: their closing line is written at once."""
    open_ones = [b for b in claimed.batches if not outcomes.close_batch(ledger, b, now)]
    return replace(claimed, batches=open_ones)
