"""Event -> record -> decide -> claim -> run -> release -> report, one step at a time.

Owns the loop, and with it the picture of all live runs: only one coroutine changes that. It takes
in what has arrived (arrivals.py), commits all of it together, applies what the commits returned,
then does what `schedule.decide` says until that says nothing more, and sleeps until the next
arrival or instant. The picture changes only after a commit, so it never holds more than the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from msgspec import structs

from ..crashpoints import reached
from ..errors import LedgerError, UnsafePath
from ..jobs.files import Configuration
from ..ledger import outcomes
from ..ledger.standing import Failure
from ..machine.processes import UNKNOWN, Process
from ..machine.quiet import Probe
from ..machine.timers import Clock
from ..model import Facts, Run
from ..recording.committer import Committer, Transaction
from ..recording.inbox import Inbox
from ..recording.scribe import Scribe
from ..rules import schedule
from ..senses.sensors import Sensors
from ..senses.watch import Watch
from ..telemetry.journal import Journal
from ..wire.messages import Visit
from . import visits
from .arrivals import Parts, Pruning, SeenLate, VisitArrived
from .asked import Asked
from .endings import Endings
from .executor import Executor
from .followers import Caller, Followers
from .idle import IdleWatch
from .live import Awaited, LiveRuns, Places
from .looks import Looks, Seen

T = TypeVar("T")


class Dispatcher:
    """Composes the parts below it; daemon/ drives it."""

    def __init__(
        self,
        configuration: Configuration,
        executor: Executor,
        committer: Committer,
        journal: Journal,
        *,
        loop: asyncio.AbstractEventLoop,
        boot: str,
        clock: Clock,
        probe: Probe,
        sensors: Sensors,
        notify: Callable[[Failure], None] = lambda _: None,
        followers: Followers | None = None,
    ) -> None:
        self.stopping = asyncio.Event()
        self.may_leave = False
        """Exit after a while without work or visits: the next visit starts the daemon again."""
        self._committer, self._visited_at = committer, clock.wall()
        self._scribe = Scribe(committer, journal, configuration.rotation)
        self._looks = Looks(loop, self._seen_late, journal.once)
        self._looking: set[asyncio.Task[None]] = set()
        self._parts = Parts(
            boot=boot,
            clock=clock,
            loop=loop,
            journal=journal,
            configuration=configuration,
            executor=executor,
            inbox=Inbox(committer, journal, loop),
            idle=IdleWatch(committer, probe, clock, self._looks),
            live=LiveRuns(),
            awaited=Awaited(loop),
            followers=followers or Followers(),
            notify=notify,
        )
        self._watch = Watch(sensors, self._parts.idle.quiet_since, self._parts.inbox.arrived.set)
        self.endings = Endings(self._parts)
        self._places = Places(loop, executor.folder, self._parts.inbox.arrived.set)
        self._pruning = Pruning(boot, executor)

    # what arrives

    def visit(self, visit: Visit, caller: Caller, shell: Process = UNKNOWN) -> None:
        """Take the visit of `shell`, and answer the caller once all of it is durable."""
        if visit.postprompt or visit.idle:
            self.reload(only_if_changed=True)
        facts = self._facts()
        self._visited_at = facts.now
        try:
            report = visits.report(visit, facts.jobs, facts.default_log, shell)
        except Exception as error:  # noqa: BLE001 - one visit is no reason to end
            self._parts.journal.fault(error)
            caller.drop()
            return
        arrival = VisitArrived(report, facts, self._parts, caller)
        if arrival.looks or report.idle:
            looking = self._parts.loop.create_task(self._look_first(arrival))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
        else:
            self._parts.inbox.put(arrival)

    async def _look_first(self, arrival: VisitArrived) -> None:
        """Take in a visit once what its jobs watch is seen, or cannot be seen in time."""
        seen = await self._looks.see(arrival.looks, arrival.report.nonce)
        if arrival.report.idle:  # other shells' idle jobs are due too
            seen |= await self._survive(self._parts.idle.see(arrival.facts)) or Seen()
        facts = replace(arrival.facts, inputs=seen.inputs)
        self._parts.inbox.put(replace(arrival, facts=facts))

    def _seen_late(self, seen: Seen, nonces: Iterable[str]) -> None:
        """Claim for the shells that were answered before a look had ended."""
        facts = replace(self._facts(), inputs=seen.inputs)
        for nonce in nonces:
            self._parts.inbox.put(SeenLate(nonce, facts, self._parts.live))
        self.wake()  # idle jobs may be due too

    def ask(self, kind: Callable[..., Asked[T]], *what: Any) -> asyncio.Future[T]:
        """Queue a request of asked.py; the future gets what its record returned."""
        answer: asyncio.Future[T] = self._parts.loop.create_future()
        self._parts.inbox.put(kind(self._facts(), self._parts, answer, *what))
        return answer

    def reload(self, only_if_changed: bool = False) -> None:
        """Read the configuration again; what is bad in it leaves the last good in force."""
        if not self._parts.configuration.reload(only_if_changed):
            return
        self.say_problems()
        self._scribe.wake()  # what was in a log's way may be gone
        self.wake()

    def say_problems(self) -> None:
        """Log what is refused in the configuration; zdeferctl reads the files itself."""
        for problem in self._parts.configuration.problems:
            self._parts.journal.say(f"configuration: {problem}")

    def stop(self) -> None:
        """Finish the step under way and leave; running jobs go on."""
        self.stopping.set()
        self._parts.inbox.arrived.set()

    def wake(self) -> None:
        """Look again now: an instant has come, or the clock has jumped."""
        self._parts.idle.ask()  # set back, the clock would leave the instant to look at far ahead
        self._parts.inbox.arrived.set()

    async def read(self, transaction: Transaction[Any]) -> Any:
        """Run a reading transaction, in order with the writing ones."""
        return await self._committer.transact(transaction)

    def _facts(self) -> Facts:
        """Return the facts that claims depend on, as of now."""
        configuration = self._parts.configuration
        return Facts(
            now=self._parts.clock.wall(),
            boot=self._parts.boot,
            day=self._parts.clock.today().isoformat(),
            jobs=configuration.jobs,
            default_log=configuration.default_log,
            inputs=Seen().inputs,
        )

    # the loop

    async def serve(
        self, arm: Callable[[float | None], None], busy: Callable[[bool], None]
    ) -> None:
        """Serve until `stopping`. `arm(instant)` sets the alarm; `busy(flag)`: work is left."""
        inbox, live = self._parts.inbox, self._parts.live
        await self._recover()
        while not self.stopping.is_set():
            inbox.arrived.clear()
            wake_at = await self._settle()
            busy(bool(live.running) or len(live.waiting) > len(live.conditioned))
            arm(wake_at)
            if not inbox and not self.stopping.is_set():
                await inbox.arrived.wait()

    async def finish(self) -> None:
        """Commit what came in last, and write the lines that are due."""
        reached("daemon.leaving")
        await asyncio.gather(*self._looking, return_exceptions=True)
        await self._take_in()
        self._watch.close()
        self._parts.awaited.refuse("the daemon is leaving; the run goes on without it")
        await self._scribe.close()

    async def _recover(self) -> None:
        """Read the picture that the last daemon left; adopt what it had dispatched."""
        live = self._parts.live
        live.add(*await self.read(lambda ledger: (ledger.live_runs(), ledger.open_batches())))
        live.paused = set(await self.read(lambda ledger: ledger.paused()))
        for run in live.running.values():
            reached("daemon.recovering")
            self.endings.adopt(run)
        self._scribe.wake()

    async def _settle(self) -> float | None:
        """Take in and act until nothing is left to do; return the instant to look again."""
        while True:
            await self._take_in()
            now = self._parts.clock.wall()
            if runs := schedule.decide(self._picture(now), now).dispatch:
                await self._dispatch(runs, now)  # before all else: shells and users wait for it
                continue
            await self._survive(self._parts.idle.answer(self._facts(), self._idle_after_s))
            now = self._parts.clock.wall()
            decision = schedule.decide(self._picture(now), now)
            if not await self._act(decision, now) and not self._parts.inbox:
                return decision.wake_at

    async def _take_in(self) -> None:
        now = self._parts.clock.wall()
        if await self._parts.inbox.take_in():
            self._scribe.wake()
            if self._pruning.is_due(now):
                self._pruning.ask(now, self._parts.configuration.settings.keep_runs_s)
                self._parts.inbox.put(self._pruning)

    async def _act(self, decision: schedule.Decision, now: float) -> bool:
        """Do what was decided, but for starts; False where nothing is left to do."""
        idle = self._parts.idle
        if decision.leave and self._scribe.resting and not (self._parts.inbox or self._looking):
            self.stopping.set()
        if decision.new_day:
            idle.ask()
        if decision.look_at_ttys:
            self.reload(only_if_changed=True)
            claimed = await self._survive(idle.look(self._facts(), self._idle_after_s))
            if claimed is not None:
                self._parts.live.add(claimed.runs, claimed.batches)
        for run in decision.miss:
            self.endings.miss(run, now)
        if decision.look_at_places:
            self._places.look(self._parts.live.running.values(), now)
        again = self._places.crowded(decision.crowded, now) or decision.look_at_places
        return bool(again or decision.dispatch or decision.look_at_ttys or decision.new_day)

    async def _survive(self, work: Awaitable[T]) -> T | None:
        """Await `work`; log a ledger that cannot be used now: it is no reason to end."""
        try:
            return await work
        except LedgerError as error:
            self._parts.journal.fault(error)
            return None

    async def _dispatch(self, runs: Sequence[Run], now: float) -> None:
        """Make the folders, commit the decision, then ask for the processes."""
        executor, live = self._parts.executor, self._parts.live
        try:
            for run in runs:
                executor.make_folder(run.id)
        except (OSError, UnsafePath) as error:
            self.endings.could_not_start([run.id], f"cannot make a run folder: {error}", now)
            return
        reached("daemon.dispatch-decided")
        begin = partial(outcomes.begin_all, runs=runs, boot=self._parts.boot, now=now)
        try:
            works = await self._committer.transact(begin)
        except LedgerError as error:
            self.endings.could_not_start(list(live.waiting), str(error), now)
            return
        reached("daemon.dispatch-committed")
        self._scribe.wake()
        for run, work in zip(runs, works, strict=True):
            live.dispatched(run, self._parts.boot)
            await executor.start(run.id, run.attempt, work, self._parts.configuration.settings)

    # the picture

    def _picture(self, now: float) -> schedule.Picture:
        live, idle, configuration = self._parts.live, self._parts.idle, self._parts.configuration
        picture = live.picture(configuration.settings.jobs_at_once, now)
        return structs.replace(
            picture,
            senses=self._watch.look(schedule.held_by_conditions(picture, now), now),
            given_up=self._places.given_up(live.running.values()),
            places_at=self._places.look_at,
            idle_at=idle.look_at,
            day_ends_at=idle.day_ends_at(configuration.jobs.values()),
            leave_at=self._leave_at(),
        )

    @property
    def _idle_after_s(self) -> float:
        return self._parts.configuration.settings.idle_after_s

    def _leave_at(self) -> float | None:
        exit_after_s = self._parts.configuration.settings.exit_after_s
        return self._visited_at + exit_after_s if self.may_leave else None
