"""Owns the picture of all runs that have not ended, by which the dispatcher decides.

It changes only after the commit of what changed it, with one exception: a run whose end is
being recorded (`settling`) is set aside at once, so that nothing else happens to it, and
fills its lane until that end is durable.

A run that could not be started is put off: it waits behind the runs that have not failed,
and is not started before `hold_until`, which is longer away after each failure in a row. A
start that worked makes the next wait the first one again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import chain

from msgspec.structs import replace

from ..attempts import records
from ..errors import RequestRefused
from ..machine.processes import live_cost
from ..model import Batch, Ending, Run, State, Trigger
from ..rules.backoff import Backoff
from ..rules.lifecycle import RunEvent, step
from ..rules.places import FIRST_LOOK_S, LOOK_EVERY_S, MOST_GIVEN_UP, Use, is_quiet
from ..rules.schedule import Picture

START_AGAIN_S = (1.0, 60.0)
"""The first and the longest wait after a process could not be started."""


class LiveRuns:
    """Runs by id; the waiting ones in the order of their claims, the put-off ones last."""

    def __init__(self) -> None:
        self.waiting: dict[int, Run] = {}
        self.running: dict[int, Run] = {}
        """Dispatched, or settling."""
        self.settling: set[int] = set()
        self.batches: dict[int, Batch] = {}
        self.paused: set[Trigger] = set()
        """Lanes in which nothing starts."""
        self.retries: set[int] = set()
        """Waiting runs that have an instant to start at."""
        self.put_offs: dict[int, int] = {}
        """How often each run that waits has failed to start."""
        self._conditions = False
        """True where a waiting run may have conditions: mostly none has, and none is looked at."""
        self._hold_until = 0.0
        self._backoff = Backoff(*START_AGAIN_S)

    def __contains__(self, run: int) -> bool:
        return run in self.waiting or run in self.running

    def of(self, job: str) -> bool:
        """Return whether a run of `job` has not ended."""
        return bool(self.all_of(job))

    def all_of(self, job: str) -> list[Run]:
        """Return the runs of `job` that have not ended."""
        live = chain(self.waiting.values(), self.running.values())
        return [run for run in live if run.job == job]

    @property
    def conditioned(self) -> dict[int, Run]:
        """The waiting runs that have conditions."""
        if not self._conditions:
            return {}
        found = {run.id: run for run in self.waiting.values() if run.when is not None}
        self._conditions = bool(found)
        return found

    def picture(self, jobs_at_once: int, now: float) -> Picture:
        """Return the part of the picture for a decision that is known here."""
        return Picture(
            waiting=self.waiting,
            conditioned=self.conditioned,
            running=self.running,
            batches=self.batches,
            jobs_at_once=jobs_at_once,
            retries=self.retries,
            paused=self.paused,
            hold_until=self.hold_until(now),
            held=self.put_offs,
        )

    def add(self, runs: Iterable[Run], batches: Iterable[Batch]) -> None:
        """Add what was claimed, or what the ledger held at the start of the daemon."""
        for run in runs:
            self._conditions |= run.when is not None
            (self.waiting if run.state is State.CLAIMED else self.running)[run.id] = run
            if run.retry_at and run.state is State.CLAIMED:
                self.retries.add(run.id)
        for batch in batches:
            self.batches[batch.id] = batch

    def dispatched(self, run: Run, boot: str) -> None:
        """Note that the decision to start `run` is durable."""
        del self.waiting[run.id]
        self.retries.discard(run.id)
        self.running[run.id] = replace(run, state=step(run.state, RunEvent.DISPATCH), boot=boot)

    def hold_until(self, now: float) -> float:
        """Return the instant before which no put-off run is started; 0: there is none."""
        # A clock that was set back must not make a hold longer than the longest wait.
        return self._hold_until if self._hold_until <= now + self._backoff.longest_s else 0.0

    def could_not_start(self, runs: Iterable[int], now: float) -> None:
        """Put `runs` off: others come first, so that no run starves the rest."""
        for run in runs:
            self.put_offs[run] = self.put_offs.get(run, 0) + 1
        self._sort()
        if self.hold_until(now) <= now:  # one failure, however many runs it hit
            self._hold_until = now + self._backoff.failed()

    def could_start(self) -> None:
        """Make the wait after the next failure the first one again."""
        self._backoff.worked()

    def settle(self, run: Run) -> None:
        """Set `run` aside: how it ended is known and being recorded."""
        self.waiting.pop(run.id, None)
        self.retries.discard(run.id)
        self.running[run.id] = run
        self.settling.add(run.id)

    def ended(self, run: Run, batch: Batch | None) -> None:
        """Note that the end of `run` is durable; `batch`: its batch, None where that has ended."""
        self.settling.discard(run.id)
        self.put_offs.pop(run.id, None)
        del self.running[run.id]
        if run.batch is not None:
            self.batches.pop(run.batch, None)
        if batch is not None:
            self.batches[batch.id] = batch

    def taken_over(self, run: Run, boot: str) -> None:
        """Note that `run`, which was to end unstarted, is dispatched after all."""
        self.settling.discard(run.id)
        asked = self.running[run.id]
        state = asked.state
        if state is State.CLAIMED:  # an adopted run is dispatched already
            state = step(state, RunEvent.DISPATCH)
        self.running[run.id] = replace(asked, state=state, boot=boot)

    def again(self, run: Run) -> Run:
        """Return `run` as it waits again in its old place, with a cancellation asked meanwhile."""
        self.settling.discard(run.id)
        asked = self.running.pop(run.id)
        waiting = replace(run, cancelling=asked.cancelling)
        self.waiting[run.id] = waiting
        self._conditions |= run.when is not None
        self._sort()
        return waiting

    def _sort(self) -> None:
        order = sorted(self.waiting, key=lambda run: (self.put_offs.get(run, 0), run))
        self.waiting = {run: self.waiting[run] for run in order}


_Attempt = tuple[int, int]
"""A run's number and that of its attempt: a run that begins again takes its place again."""


class Places:
    """Which running runs have given up their place in the lane, by what they use of the CPU.

    Looks at them in a thread, while a run waits for a place only. `changed` is called after that.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        folder: Callable[[int], str],
        changed: Callable[[], None],
    ) -> None:
        self._loop, self._folder, self._changed = loop, folder, changed
        self._seen: dict[_Attempt, Use] = {}
        """The use of each attempt at the last look."""
        self._seen_at = 0.0
        """When that was, on a clock that does not jump."""
        self._given_up: set[_Attempt] = set()
        self.look_at: float | None = None
        """None: no run waits for a place."""

    def crowded(self, is_crowded: bool, now: float) -> bool:
        """Note whether a run waits for a place; True where that sets the instant to look."""
        # A clock that was set back would leave the instant far ahead.
        begins = is_crowded and not (self.look_at and self.look_at <= now + LOOK_EVERY_S)
        if begins:
            self.look_at = now + FIRST_LOOK_S
        elif not is_crowded:
            self.look_at = None
            self._seen.clear()
        return begins

    def look(self, running: Iterable[Run], now: float) -> None:
        """Begin a look at the running runs; the next one is due after that."""
        self.look_at = now + LOOK_EVERY_S
        folders = [(run.id, self._folder(run.id), run.attempt) for run in running]
        # The instant belongs to the look: its result may be taken in much later.
        looking = self._loop.run_in_executor(
            None, lambda: (self._loop.time(), dict(map(_used, folders)))
        )
        looking.add_done_callback(lambda done: self._looked(*done.result()))

    def given_up(self, running: Iterable[Run]) -> frozenset[int]:
        """Return those of the running runs that have given up their place."""
        return frozenset(run.id for run in running if (run.id, run.attempt) in self._given_up)

    def _looked(self, awake: float, used: Mapping[_Attempt, Use | None]) -> None:
        if self._seen and awake - self._seen_at < LOOK_EVERY_S / 2:
            return  # the wall clock has jumped: so little time tells nothing
        before, self._seen_at = self._seen, awake
        self._seen = {attempt: use for attempt, use in used.items() if use is not None}
        self._given_up &= used.keys()
        for attempt in before.keys() & self._seen.keys():
            if not is_quiet(before[attempt], self._seen[attempt]):
                self._given_up.discard(attempt)
            elif len(self._given_up) < MOST_GIVEN_UP:
                self._given_up.add(attempt)
        self._changed()


def _used(run: tuple[int, str, int]) -> tuple[_Attempt, Use | None]:
    """Return the attempt and what its processes use; None: not known."""
    number, folder, attempt = run
    try:
        marks = records.marks(folder, attempt)
        cost = live_cost(marks["pid"], marks["started_at"])
    except (OSError, KeyError):
        return (number, attempt), None
    return (number, attempt), None if cost is None else Use(cost.cpu_s, cost.ready)


class Awaited:
    """The requests that wait for the end of a run."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._by_run: dict[int, set[asyncio.Future[Ending]]] = {}

    def when_ended(self, run: int) -> asyncio.Future[Ending]:
        """Return a future that is done when the live `run` has ended."""
        future: asyncio.Future[Ending] = self._loop.create_future()
        futures = self._by_run.setdefault(run, set())
        futures.add(future)
        future.add_done_callback(futures.discard)  # the caller may give up before the end
        return future

    def resolve(self, run: int, ending: Ending) -> None:
        """Answer the requests that wait for `run`."""
        for future in self._by_run.pop(run, ()):
            if not future.done():
                future.set_result(ending)

    def refuse(self, reason: str) -> None:
        """Refuse all requests: no end will be seen any more."""
        for future in chain.from_iterable(self._by_run.values()):
            if not future.done():
                future.set_exception(RequestRefused(reason))
