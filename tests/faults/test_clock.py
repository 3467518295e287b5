"""The clock is set, and the machine sleeps, under a dispatcher in this process.

The kernel's part (a timer that a jump cancels) is tests/machine/test_timers.py; here the
dispatcher is told as its alarm would tell it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from support.daemon import LIMIT_S, environment
from support.dispatching import Bench, dispatching
from support.sensors import PlayedSensors

from zdeferd.conditions import Power
from zdeferd.machine import paths
from zdeferd.machine.quiet import TTY_RESOLUTION_S, Clocks, Probe

DAY_S = 86400.0
QUIET_S = 60.0


class Clock:
    """The wall clock that this process sees, and the time that the machine has slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = time.time
        self._set_by = self._slept_s = 0.0
        monkeypatch.setattr(time, "time", lambda: self._real() + self._set_by + self._slept_s)

    def turn(self, seconds: float) -> None:
        """Set it."""
        self._set_by += seconds

    def sleep(self, seconds: float) -> None:
        """The machine is suspended for so long."""
        self._slept_s += seconds

    def read(self) -> Clocks:
        """As probe.clocks does."""
        awake = time.monotonic()
        return Clocks(time.time(), awake, awake + self._slept_s)


def bench(
    home: Path, clock: Clock, touched: list[float], jobs: str = ""
) -> AbstractAsyncContextManager[Bench]:
    """A dispatcher on the clock that the test turns; its ttys were touched at these instants."""
    probe = Probe(clock.read, lambda: list(touched))
    return dispatching(home, probe, f'idle_after = "{QUIET_S:g}s"\n', jobs)


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
        await made.visit({"tidy": "true"}, on="idle")
        await made.next_instant(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        clock.turn(jump)
        made.dispatcher.wake()  # the timer is cancelled by the kernel
        await made.next_instant(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        assert await made.rows("SELECT count(*) FROM runs") == [(0,)]


@pytest.mark.parametrize("how", [Clock.turn, Clock.sleep], ids=["set", "suspended"])
@pytest.mark.asyncio
async def test_a_clock_that_jumps_over_a_deadline_ends_the_run_as_missed(
    home: Path, clock: Clock, how: Callable[[Clock, float], None]
) -> None:
    """The condition may hold by then: the deadline counts first."""
    sensors = PlayedSensors()
    sensors.values["power"] = Power.BATTERY
    jobs = '[needy]\nrun = ["true"]\nwhen = { power = "ac", deadline = "2h" }\n'
    probe = Probe(clock.read, list)
    runs = "SELECT state, outcome FROM runs"
    async with dispatching(home, probe, jobs=jobs, sensors=sensors) as made:
        await made.visit()
        await made.until(runs, [("claimed", None)])
        await made.next_instant(near(time.time() + 7200))
        how(clock, 3 * 3600.0)
        sensors.becomes("power", Power.AC)
        made.dispatcher.wake()
        await made.until(runs, [("ended", "missed")])


@pytest.mark.asyncio
async def test_a_resume_counts_as_activity(home: Path, clock: Clock) -> None:
    touched = [time.time()]
    async with bench(home, clock, touched) as made:
        await made.visit({"tidy": "true"}, on="idle")
        await made.next_instant(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        clock.sleep(3600)
        made.dispatcher.wake()  # its instant passed in the sleep
        await made.next_instant(near(time.time() + QUIET_S + TTY_RESOLUTION_S))
        assert await made.rows("SELECT count(*) FROM runs") == [(0,)]


DAILY = '[daily]\nrun = "true"\non = ["postprompt"]\nonce_per = "day"\n'


@pytest.mark.asyncio
async def test_a_date_is_spent_once_however_often_it_comes(home: Path, clock: Clock) -> None:
    async with bench(home, clock, [], DAILY) as made:
        for jump in (0.0, DAY_S, -DAY_S, DAY_S, -DAY_S):
            clock.turn(jump)
            made.dispatcher.wake()
            await made.visit({})
        assert await made.rows("SELECT count(*) FROM runs WHERE job = 'daily'") == [(2,)]


@pytest.mark.asyncio
async def test_a_hold_is_no_longer_for_a_clock_that_was_set_back(home: Path, clock: Clock) -> None:
    async with bench(home, clock, []) as made:
        runs = Path(paths.locate(environment(home)).runs)
        runs.rmdir()
        runs.write_text("in the way")  # no run folder can be made: starts are put off
        await made.visit({"a": "true"})
        await made.next_instant(lambda at: at is not None)
        runs.unlink()
        clock.turn(-DAY_S)
        made.dispatcher.wake()
        (run,) = [row[0] for row in await made.rows("SELECT id FROM runs")]
        ending = made.dispatcher.endings.when_ended(run)
        if ending is not None:
            await asyncio.wait_for(ending, LIMIT_S)
        assert await made.rows("SELECT outcome FROM runs") == [("succeeded",)]
