"""The daemon's own log: plain lines on stderr, where systemd or --detach keeps them.

The same fault is said once, however often it strikes; the last distinct ones are
kept for `zdeferctl doctor` until an hour after they struck last, and are news again
then. Nothing of this ever reaches the shared log.
"""

import contextlib
import os
import stat
import sys
import time
import traceback

from ..errors import ZdeferdError
from .timers import Clock

KEPT = 32
KEPT_S = 3600.0
MOST_AN_HOUR = 200
"""Lines about faults: who can make us say something could do so for ever."""


class Journal:
    """Says things once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._struck: dict[str, float] = {}  # fault -> when it struck last, the oldest first
        self._hour_began, self._said = 0.0, 0

    @property
    def problems(self) -> list[str]:
        """The distinct faults of the last hour, oldest first."""
        return [fault for fault in self._struck if self._is_known(fault)]

    def say(self, text: str) -> None:
        """One line, every time."""
        with contextlib.suppress(OSError):
            # A journal puts the time before each line by itself, a file does not.
            in_file = stat.S_ISREG(os.fstat(sys.stderr.fileno()).st_mode)
            when = time.strftime("%Y-%m-%d %H:%M:%S ") if in_file else ""
            sys.stderr.write(f"{when}zdeferd: {' '.join(text.split())}\n")
            sys.stderr.flush()

    def once(self, fault: str) -> None:
        """One line, the first time (as far as the last 32 distinct faults tell)."""
        fault = fault.encode(errors="backslashreplace").decode()  # a message may be quoted
        known = self._is_known(fault)
        self._struck.pop(fault, None)
        self._struck[fault] = self._clock.monotonic()
        if len(self._struck) > KEPT:
            del self._struck[next(iter(self._struck))]
        if not known:
            self._say_new(fault)

    def _say_new(self, fault: str) -> None:
        now = self._clock.monotonic()
        if not self._hour_began or now - self._hour_began >= KEPT_S:
            self._hour_began, self._said = now, 0
        self._said += 1
        if self._said <= MOST_AN_HOUR:
            self.say(fault)
        if self._said == MOST_AN_HOUR:
            self.say("no more faults are said for an hour; `zdeferctl doctor` has the last ones")

    def _is_known(self, fault: str) -> bool:
        struck = self._struck.get(fault)
        return struck is not None and self._clock.monotonic() - struck < KEPT_S

    def fault(self, error: BaseException) -> None:
        """An error that was survived; for one that nobody foresaw, where it came from."""
        if isinstance(error, ZdeferdError):
            self.once(str(error))
            return
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({frame.name}, line {frame.lineno})" for frame in place)
        self.once(f"unforeseen, please report it: {type(error).__name__}: {error}{where}")
