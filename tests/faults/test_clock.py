"""The clock is set, and the machine sleeps: what waits for an instant, in this process.

The kernel's part (a timer that a jump cancels) is tests/test_timers.py; here the
dispatcher is told as its alarm would tell it.
"""

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.daemon import LIMIT_S, environment, visit

from zdeferd.ledger.committer import Committer
from zdeferd.ledger.store import Ledger
from zdeferd.machine import paths
from zdeferd.machine.journal import Journal
from zdeferd.machine.quiet import TTY_RESOLUTION_S, Clocks, Probe
from zdeferd.runs import dispatcher
from zdeferd.runs.dispatcher import Dispatcher
from zdeferd.wire import messages

DAY_S = 86400.0
QUIET_S = 60.0


class Clock:
    """The wall clock that this process sees, and what the machine has slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = time.time
        self._set_by = self._slept_s = 0.0
        monkeypatch.setattr(time, "time", lambda: self._real() + self._set_by + self._slept_s)

    def turn(self, seconds: float) -> None:
        """Somebody sets it."""
        self._set_by += seconds

    def sleep(self, seconds: float) -> None:
        """The machine is suspended for so long."""
        self._slept_s += seconds

    def read(self) -> Clocks:
        """As probe.clocks does."""
        awake = time.monotonic()
        return Clocks(time.time(), awake, awake + self._slept_s)


class Bench:
    """A dispatcher whose alarm, clock and ttys are the test's."""

    def __init__(self, dispatcher: Dispatcher, armed: "asyncio.Queue[float | None]") -> None:
        self.dispatcher, self._armed = dispatcher, armed
        self._shells = 0

    async def prompt(self, jobs: dict[str, str], **fields: Any) -> None:
        """A new shell visits and is answered."""
        self._shells += 1
        answered = asyncio.Event()
        frames = visit(f"n{self._shells}", 1, jobs, **fields)
        self.dispatcher.visit(messages.decode_visit(frames), answered.set)
        await asyncio.wait_for(answered.wait(), LIMIT_S)

    async def rows(self, sql: str) -> list[Any]:
        """What the ledger says."""
        found: list[Any] = await self.dispatcher.read(
            lambda ledger: [tuple(row) for row in ledger._db.execute(sql).fetchall()]
        )
        return found

    async def armed(self, wanted: Callable[[float | None], bool]) -> float | None:
        """The first instant it asks to be woken at that is wanted."""
        while not wanted(at := await asyncio.wait_for(self._armed.get(), LIMIT_S)):
            pass
        return at


@asynccontextmanager
async def bench(
    home: Path, clock: Clock, touched: list[float], jobs: str = ""
) -> AsyncIterator[Bench]:
    where = paths.locate(environment(home))
    for folder in (where.state, where.runs, where.jobs_dir):
        paths.ensure_private_dir(folder)
    Path(where.config_file).write_text(f'idle_after = "{QUIET_S:g}s"\n')
    Path(where.jobs_dir, "jobs.toml").write_text(jobs)
    for path in (where.config_file, f"{where.jobs_dir}/jobs.toml"):
        Path(path).chmod(0o600)
    loop = asyncio.get_running_loop()
    committer = Committer(Ledger(where.ledger), loop)
    probe = Probe(clock.read, lambda: list(touched))
    dispatcher = Dispatcher(where, committer, "b1", {"nofile": (256, 256)}, Journal(), loop, probe)
    queue: asyncio.Queue[float | None] = asyncio.Queue()
    serving = asyncio.ensure_future(dispatcher.serve(queue.put_nowait, lambda busy: None))
    try:
        yield Bench(dispatcher, queue)
    finally:
        dispatcher.stop()
        await serving
        await dispatcher.finish()
        await dispatcher.executor.close()
        await committer.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def near(instant: float) -> Callable[[float | None], bool]:
    return lambda at: at is not None and abs(at - instant) < 5


@pytest.mark.parametrize("jump", [DAY_S, -DAY_S], ids=["forward", "back"])
@pytest.mark.asyncio
async def test_a_set_clock_counts_as_activity_and_puts_nothing_off(
    home: Path, clock: Clock, jump: float
) -> None:
    touched = [time.time()]
    async with bench(home, clock, touched) as made:
        await made.prompt({"tidy": "true"}, on="idle")
        await made.armed(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        clock.turn(jump)
        made.dispatcher.wake()  # the timer is cancelled by the kernel
        await made.armed(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        assert await made.rows("SELECT count(*) FROM runs") == [(0,)]


@pytest.mark.asyncio
async def test_a_resume_counts_as_activity(home: Path, clock: Clock) -> None:
    touched = [time.time()]
    async with bench(home, clock, touched) as made:
        await made.prompt({"tidy": "true"}, on="idle")
        await made.armed(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        clock.sleep(3600)
        made.dispatcher.wake()  # its instant passed in the sleep
        await made.armed(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        assert await made.rows("SELECT count(*) FROM runs") == [(0,)]


DAILY = '[daily]\nrun = "true"\non = ["postprompt"]\nonce_per = "day"\n'


class Today(datetime.date):
    """The date of the clock that the test turns."""

    @classmethod
    def today(cls) -> "Today":
        return cls.fromtimestamp(time.time())


@pytest.mark.asyncio
async def test_a_date_is_spent_once_however_often_it_comes(
    home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "date", Today)
    async with bench(home, clock, [], DAILY) as made:
        for jump in (0.0, DAY_S, -DAY_S, DAY_S, -DAY_S):
            clock.turn(jump)
            made.dispatcher.wake()
            await made.prompt({})
        assert await made.rows("SELECT count(*) FROM runs WHERE job = 'daily'") == [(2,)]


@pytest.mark.asyncio
async def test_a_hold_is_no_longer_for_a_clock_that_was_set_back(home: Path, clock: Clock) -> None:
    async with bench(home, clock, []) as made:
        runs = Path(made.dispatcher.paths.runs)
        runs.rmdir()
        runs.write_text("in the way")  # no run folder can be made: starts are put off
        await made.prompt({"a": "true"})
        await made.armed(lambda at: at is not None)
        runs.unlink()
        clock.turn(-DAY_S)
        made.dispatcher.wake()
        (run,) = [row[0] for row in await made.rows("SELECT id FROM runs")]
        ending = made.dispatcher.ends.when_ended(run)
        if ending is not None:
            await asyncio.wait_for(ending, LIMIT_S)
        assert await made.rows("SELECT outcome FROM runs") == [("succeeded",)]
