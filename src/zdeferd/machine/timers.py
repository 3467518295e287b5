"""Reads the time, and calls back at an instant of the wall clock, through suspend and jumps.

`Clock` is the daemon's one reading of the time. `daemon/main.py` hands it in, so that a test
can hand in its own. `Alarm` is, on Linux, a timerfd on CLOCK_REALTIME with an absolute time:
it fires at its instant even if the machine was suspended then, and with cancel-on-set it
becomes readable (ECANCELED) when the clock is set or the machine resumes. Elsewhere, and in
sandboxes without such a timer, it is the loop's own timer, which a suspend delays. At rest
nothing is armed and no system call is made.

Assumes an asyncio or uvloop event loop, and calls from its thread only.
"""

import asyncio
import ctypes
import errno
import functools
import os
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Protocol

from .boot import local_day

CLOCK_REALTIME = 0
TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2
"""Linux: <sys/timerfd.h>, timerfd_create(2)."""
_NO_TIMERFD = (errno.ENOSYS, errno.EPERM, errno.EINVAL)
"""A sandbox that has no timerfd, forbids it, or cannot cancel it (gVisor)."""


class Clock:
    """Reads the clocks of this machine."""

    def wall(self) -> float:
        """Return the wall clock, in seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return a clock that is never set, in seconds."""
        return time.monotonic()

    def today(self) -> date:
        """Return the local date."""
        return date.fromisoformat(local_day(self.wall()))


class Alarm:
    """Calls `callback` at one instant at a time, or when the clock has jumped."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None], clock: Clock
    ) -> None:
        self._timer = _timer(loop, callback, clock)
        self._at: float | None = None

    def arm(self, at: float | None) -> None:
        """Call back at `at` (seconds since the epoch), which replaces the instant before.

        None: disarm. An instant that has passed is due at once.
        """
        if at != self._at or self._timer.fired:
            self._at = at
            self._timer.set(at)

    def close(self) -> None:
        """Disarm for good."""
        self._timer.close()


class _Timer(Protocol):
    fired: bool
    """True once it has called back since it was set: it is not armed."""

    def set(self, at: float | None) -> None: ...
    def close(self) -> None: ...


def _timer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None], clock: Clock) -> _Timer:
    """Return the system's kind of timer; OSError where it is for want of a descriptor."""
    if sys.platform == "linux":
        try:
            return TimerFd(loop, callback)
        except OSError as error:
            if error.errno not in _NO_TIMERFD:
                raise
    return LoopTimer(loop, callback, clock)


class LoopTimer:
    """Uses the loop's own timer, which a suspend delays."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None], clock: Clock
    ) -> None:
        self._loop, self._callback, self._clock = loop, callback, clock
        self._handle: asyncio.TimerHandle | None = None
        self.fired = False

    def set(self, at: float | None) -> None:
        """Arm for `at`; None: disarm."""
        self.close()
        self.fired = False
        if at is not None:
            self._handle = self._loop.call_later(max(0.0, at - self._clock.wall()), self._ring)

    def close(self) -> None:
        """Disarm for good."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _ring(self) -> None:
        self._handle, self.fired = None, True
        self._callback()


class TimerFd:
    """Uses a timerfd on the wall clock, which a jump of the clock cancels (Linux)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._fd = _create()
        self._open = True
        self.fired = False
        loop.add_reader(self._fd, self._ring)

    def set(self, at: float | None) -> None:
        """Arm for `at`; None: disarm."""
        self.fired = False
        _settime(self._fd, 0 if at is None else max(1, int(at * 1e9)))

    def close(self) -> None:
        """Disarm for good."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _ring(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set again after the loop had polled
            return
        except OSError as error:
            # The clock jumped. The kernel does not report whether the instant was in between.
            if error.errno != errno.ECANCELED:
                raise
        self.fired = True
        self._callback()


def _create() -> int:
    flags = os.O_NONBLOCK | os.O_CLOEXEC
    fd = int(_libc().timerfd_create(CLOCK_REALTIME, flags))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        _settime(fd, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def _settime(fd: int, at_ns: int) -> None:
    """Arm the timer; 0 disarms it."""
    seconds, nanoseconds = divmod(at_ns, 10**9)
    spec = _ITimerSpec(_TimeSpec(0, 0), _TimeSpec(seconds, nanoseconds))
    flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
    if _libc().timerfd_settime(fd, flags, ctypes.byref(spec), None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _ITimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


@functools.cache
def _libc() -> ctypes.CDLL:
    """Return libc, because Python has no timerfd before 3.13."""
    return ctypes.CDLL(None, use_errno=True)
