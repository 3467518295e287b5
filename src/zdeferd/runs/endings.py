"""How runs end: by themselves, cancelled, missed, or with their runner gone.

From a verdict of the run folder, or a request, to the outcome in the ledger; then whoever
waits for it is told. A run is set aside (`LiveRuns.settle`) when its end is known, so that
nothing else happens to it, and leaves the picture when that is durable.
"""

import asyncio
import itertools
import time
from collections.abc import Callable

from msgspec.structs import replace as with_

from ..crashpoints import reached
from ..errors import RequestRefused
from ..ledger import outcomes
from ..ledger.inbox import AGAIN_S, Inbox
from ..machine.journal import Journal
from ..model import Batch, Ending, Outcome, Run, Settings
from ..rules import lifecycle, verdicts
from . import judge, leftovers
from .executor import Executor
from .hold import Hold
from .live import LiveRuns


class Ends:
    """The dispatcher's hand for it. `executor`, which tells of ends, is its own."""

    def __init__(
        self,
        runs: str,
        limits: dict[str, tuple[int, int]],
        boot: str,
        live: LiveRuns,
        inbox: Inbox,
        hold: Hold,
        journal: Journal,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.executor = Executor(runs, self._runner_ended, limits, loop)
        self._boot, self._live, self._inbox, self._hold = boot, live, inbox, hold
        self._journal, self._loop = journal, loop
        self._awaited: dict[int, set[asyncio.Future[Ending]]] = {}
        self._adopted: set[int] = set()
        """Runs of an earlier daemon, until it is known what became of them."""

    def adopt(self, run: Run) -> None:
        """Take over a run that an earlier daemon had dispatched."""
        self._adopted.add(run.id)
        self.executor.adopt(run.id, run.attempt)
        if run.cancelling:
            self._cancel(run.id)

    def miss(self, run: Run, now: float) -> None:
        """Its batch has spent its budget before it came to it."""
        self._end(run, lifecycle.Event.MISS, verdicts.not_again(run, Outcome.MISSED, now))

    def refuse_who_waits(self, reason: str) -> None:
        """Nobody will tell them any more."""
        for future in itertools.chain.from_iterable(self._awaited.values()):
            if not future.done():
                future.set_exception(RequestRefused(reason))

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

    # what became of an attempt

    def _runner_ended(self, run_id: int, attempt: int, verdict: verdicts.Verdict) -> None:
        run = self._live.running.get(run_id)
        if run is None or run.attempt != attempt or run_id in self._live.settling:
            return
        reached("daemon.end-seen")
        self._live.settle(run)
        if isinstance(verdict, verdicts.Vanished):
            folder = self.executor.folder(run_id)
            over = self._loop.run_in_executor(None, leftovers.end, folder, Settings().kill_grace_s)
            over.add_done_callback(lambda done: self._leftovers_ended(done, run_id, verdict))
        else:
            self._settle_run(run, verdict)

    def _leftovers_ended(
        self, done: asyncio.Future[bool], run_id: int, verdict: verdicts.Verdict
    ) -> None:
        reached("daemon.leftovers-ended")
        if error := done.exception():
            self._journal.fault(error)
        elif not done.result():
            self._journal.once(f"processes of a job cannot be ended: run {run_id}")
        self._settle_run(self._live.running[run_id], verdict)

    def _settle_run(self, run: Run, verdict: verdicts.Verdict) -> None:
        now = time.time()
        event, ending = verdicts.settle(run, verdict, self._boot, now)
        if run.id in self._adopted:  # the last daemon ended before it had asked for a runner
            self._adopted.discard(run.id)
        elif event is lifecycle.Event.RECALL and isinstance(verdict, verdicts.NeverStarted):
            self._hold.failed(now, verdict.reason, [run.id])
        else:
            self._hold.worked()
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
            self._tidy(lambda: judge.discard(folder))
            reached("daemon.discarded")
            for future in self._awaited.pop(run.id, ()):
                if not future.done():
                    future.set_result(ending)

        self._inbox.put_until_durable(lambda ledger: outcomes.end(ledger, run, ending), applied)

    def _withdraw(self, run: Run) -> bool:
        """See to it that the attempt never starts; False: it has."""
        withdrawn = True

        def tombstone() -> None:
            nonlocal withdrawn
            withdrawn = judge.tombstone(self.executor.folder(run.id), run.attempt)

        self._tidy(tombstone)
        return withdrawn

    def _take_over(self, run: Run, cancel: bool) -> None:
        """An earlier daemon's spawner was late: the attempt is under way, and ours now."""
        now = time.time()

        def applied(_: None) -> None:
            self._live.taken_over(run, self._boot)
            self.executor.adopt(run.id, run.attempt)
            if cancel:
                self._cancel(run.id)

        self._inbox.put_until_durable(
            lambda ledger: outcomes.begin(ledger, run, self._boot, now), applied
        )

    def _tidy(self, change: Callable[[], object]) -> bool:
        """A run folder that cannot be changed (False) is said so, and is no reason to end."""
        try:
            change()
        except OSError as error:
            self._journal.once(f"cannot change a run folder: {error.filename}: {error.strerror}")
            return False
        return True
