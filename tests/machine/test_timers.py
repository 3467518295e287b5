"""Alarms on both loops: they come, come once, and can be moved and taken back.

An instant that has passed comes at once, so nothing here waits for time to pass.
"""

import asyncio
import ctypes
import errno
import os
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest

from zdeferd.machine import timers
from zdeferd.machine.timers import Alarm, Clock, LoopTimer

LIMIT_S = 40.0
KINDS = ["LoopTimer", "TimerFd"] if sys.platform == "linux" else ["LoopTimer"]
on_both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "LoopTimer":
        monkeypatch.setattr(timers, "TimerFd", partial(LoopTimer, clock=Clock()))
    return str(request.param)


class Bell:
    """Counts the calls, and can be waited for."""

    def __init__(self) -> None:
        self.rung = 0
        self._event = asyncio.Event()

    def __call__(self) -> None:
        self.rung += 1
        self._event.set()

    async def wait(self) -> None:
        await asyncio.wait_for(self._event.wait(), LIMIT_S)
        self._event.clear()


@pytest.mark.usefixtures("kind")
@on_both_loops
async def test_it_comes_and_comes_again() -> None:
    bell = Bell()
    alarm = Alarm(asyncio.get_running_loop(), bell, Clock())
    at = time.time() + 0.02
    alarm.arm(at)
    await bell.wait()
    assert time.time() >= at - 0.01
    alarm.arm(at)  # the same instant again, now past
    await bell.wait()
    alarm.arm(0.0)
    await bell.wait()
    assert bell.rung == 3
    alarm.close()


@pytest.mark.usefixtures("kind")
@on_both_loops
async def test_what_is_moved_or_taken_back_does_not_come() -> None:
    first, second = Bell(), Bell()
    loop = asyncio.get_running_loop()
    taken_back, moved, closed = (Alarm(loop, first, Clock()) for _ in range(3))
    for alarm in (taken_back, moved, closed):
        alarm.arm(time.time() - 1)
    taken_back.arm(None)
    moved.arm(time.time() + 3600)
    closed.close()
    last = Alarm(loop, second, Clock())
    last.arm(time.time())
    await second.wait()
    assert first.rung == 0
    for alarm in (taken_back, moved, last):
        alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
@pytest.mark.asyncio
async def test_no_system_call_where_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(timers, "_settime", lambda _fd, at_ns: calls.append(at_ns))
    alarm = Alarm(asyncio.get_running_loop(), Bell(), Clock())
    for at in (None, 5.0, 5.0, None, None, 6.5):
        alarm.arm(at)
    alarm.close()
    alarm.close()
    assert calls == [0, 5 * 10**9, 0, 6_500_000_000]


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
@pytest.mark.asyncio
async def test_a_jump_of_the_clock_calls_back_and_the_alarm_can_be_set_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bell = Bell()
    alarm = Alarm(asyncio.get_running_loop(), bell, Clock())
    real = os.read

    def cancelled(fd: int, size: int) -> bytes:
        real(fd, size)
        raise OSError(errno.ECANCELED, "the clock was set")

    at = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", cancelled)
        alarm.arm(at)
        await bell.wait()
    alarm.arm(at)
    await bell.wait()
    assert bell.rung == 2
    alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
@pytest.mark.parametrize("lacks", ["timerfd_create", "timerfd_settime"])
@on_both_loops
async def test_a_sandbox_without_such_timers(lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    real = timers._libc()
    both = {"timerfd_create": real.timerfd_create, "timerfd_settime": real.timerfd_settime}
    libc = SimpleNamespace(**(both | {lacks: refused}))
    monkeypatch.setattr(timers, "_libc", lambda: libc)
    before = os.listdir("/proc/self/fd")
    bell = Bell()
    alarm = Alarm(asyncio.get_running_loop(), bell, Clock())
    assert os.listdir("/proc/self/fd") == before
    alarm.arm(time.time())
    await bell.wait()
    assert bell.rung == 1
    alarm.close()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_a_descriptor_that_is_not_to_be_had_is_said() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        timers._settime(-1, 1)
