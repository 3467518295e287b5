"""Writes the daemon's own log: plain lines on stderr, kept by systemd or by --detach.

A fault that repeats is written once. The last distinct ones are kept for `zdeferctl
doctor` until they are mended, as far as that is noticed, and for at most an hour after their
last occurrence. After that they are written again.
A line that stderr cannot take at once, such as a full pipe whose reader has stopped, is only
counted: the daemon's loop writes them. Nothing of this reaches the shared log.
"""

import contextlib
import os
import select
import stat
import sys
import time
import traceback

from ..errors import ZdeferdError
from ..machine.timers import Clock

KEPT = 32
KEPT_S = 3600.0
MOST_AN_HOUR = 200
"""Lines about faults. Without a limit a peer that causes them could fill the disk."""


def _escaped(text: str) -> str:
    """Return `text` with an escape for each character that a terminal obeys or does not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _written(text: str) -> bool:
    """Write one line to stderr; return False where that fails, or would wait."""
    with contextlib.suppress(OSError):
        fd = sys.stderr.fileno()
        # systemd's journal adds the time to each line, a file does not.
        in_file = stat.S_ISREG(os.fstat(fd).st_mode)
        when = time.strftime("%Y-%m-%d %H:%M:%S ") if in_file else ""
        line = f"{when}zdeferd: {_escaped(' '.join(text.split()))}\n"
        data = line.encode(sys.stderr.encoding, "backslashreplace")
        if in_file:
            return os.write(fd, data) == len(data)
        ready = select.poll()
        ready.register(fd, select.POLLOUT)
        if ready.poll(0):  # there is room for PIPE_BUF bytes, in a pipe and in a socket
            return os.write(fd, data[: select.PIPE_BUF - 1].rstrip(b"\n") + b"\n") > 0
    return False


class Journal:
    """Writes lines, and each fault once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._struck: dict[str, float] = {}  # fault -> its last occurrence, the oldest first
        self._hour_began, self._said = 0.0, 0
        self._lost = 0
        """Lines since the last one that stderr took."""

    @property
    def problems(self) -> list[str]:
        """Return the distinct faults of the last hour, oldest first."""
        return [fault for fault in self._struck if self._is_known(fault)]

    def say(self, text: str) -> None:
        """Write one line, each time, or count it as lost; before it, how many were lost."""
        if self._lost and _written(f"lines lost: {self._lost}; standard error took none"):
            self._lost = 0
        if self._lost or not _written(text):
            self._lost += 1

    def once(self, fault: str) -> None:
        """Write one line, unless the fault is among the last 32 distinct ones."""
        # A fault may quote any bytes of a message.
        fault = fault.encode(errors="backslashreplace").decode()
        known = self._is_known(fault)
        self._struck.pop(fault, None)
        self._struck[fault] = self._clock.monotonic()
        if len(self._struck) > KEPT:
            del self._struck[next(iter(self._struck))]
        if not known:
            self._say_new(fault)

    def mended(self, *beginnings: str) -> None:
        """Forget the faults that begin so: they are not listed, and news if they strike again."""
        for fault in [fault for fault in self._struck if fault.startswith(beginnings)]:
            del self._struck[fault]

    def _say_new(self, fault: str) -> None:
        now = self._clock.monotonic()
        if not self._hour_began or now - self._hour_began >= KEPT_S:
            self._hour_began, self._said = now, 0
        self._said += 1
        if self._said <= MOST_AN_HOUR:
            self.say(fault)
        if self._said == MOST_AN_HOUR:
            self.say("no more faults are logged for an hour; `zdeferctl doctor` has the last ones")

    def _is_known(self, fault: str) -> bool:
        struck = self._struck.get(fault)
        return struck is not None and self._clock.monotonic() - struck < KEPT_S

    def fault(self, error: BaseException) -> None:
        """Write an error after which the daemon goes on; for an internal one also its place."""
        if isinstance(error, ZdeferdError):
            self.once(str(error))
            return
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({frame.name}, line {frame.lineno})" for frame in place)
        self.once(f"internal error, please report: {type(error).__name__}: {error}{where}")
