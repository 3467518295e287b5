"""The automatic idle trigger: a dispatcher in this process, and ttys that the test touches."""

import os
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from support.dispatching import Bench, PlayedClock, dispatching
from support.pty import Pty

from zdeferd.machine.processes import process_of
from zdeferd.machine.quiet import Clocks, Probe
from zdeferd.machine.timers import Clock


def bench(
    home: Path, touched: list[float], settings: str, clock: Clock | None = None
) -> AbstractAsyncContextManager[Bench]:
    """A dispatcher whose ttys were touched at these instants."""
    clock = clock or Clock()
    probe = Probe(lambda: Clocks(*[clock.wall()] * 3), lambda: list(touched))
    return dispatching(home, probe, settings, clock=clock)


@pytest.mark.asyncio
async def test_it_looks_at_the_computed_instant_and_fires_when_quiet(home: Path) -> None:
    now = time.time()
    touched = [now]
    async with bench(home, touched, 'idle_after = "60s"') as made:
        await made.visit({"tidy": "true"}, on="idle")
        at = await made.next_instant(lambda at: at is not None)
        assert at == now + 8 + 60, "the resolution of a tty, and idle_after"
        touched[0] = now - 3600
        made.dispatcher.wake()
        made.dispatcher.reload()  # asks again where nothing waits to be looked at before
        await made.next_instant(lambda at: at is None)
        assert await made.rows("SELECT job, trigger FROM runs") == [("tidy", "idle")]


@pytest.mark.asyncio
async def test_a_touch_moves_the_instant_and_nothing_fires(home: Path) -> None:
    clock = PlayedClock()
    touched = [clock.now]
    async with bench(home, touched, 'idle_after = "60s"', clock) as made:
        await made.visit({"tidy": "true"}, on="idle")
        first = await made.next_instant(lambda at: at is not None)
        assert first == clock.now + 68
        touched[0] = clock.now + 60
        clock.now += 68.01
        made.dispatcher.wake()
        second = await made.next_instant(lambda at: at != first)
        assert second == touched[0] + 68
        assert await made.rows("SELECT count(*) FROM runs") == [(0,)]


@pytest.mark.asyncio
async def test_with_no_idle_job_the_ttys_are_never_looked_at(home: Path) -> None:
    async with bench(home, [], "") as made:
        made.dispatcher._parts.idle._probe = None  # type: ignore[assignment]
        await made.visit()
        await made.next_instant(lambda at: at is None)


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_typing_in_a_terminal_of_another_user_counts(home: Path) -> None:
    with Pty({"PATH": os.environ["PATH"], "HOME": str(home)}, ("sleep", "600")) as terminal:
        shell = process_of(terminal.pid)
        typed = time.time() - 1
        os.utime(os.readlink(f"/proc/{shell.pid}/fd/0"), (typed, typed))
        async with bench(home, [], 'idle_after = "60s"') as made:  # no terminal is this user's
            await made.visit({"tidy": "true"}, shell, on="idle")
            at = await made.next_instant(lambda at: at is not None)
            assert at == pytest.approx(typed + 8 + 60)
