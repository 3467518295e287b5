"""The daemon's own log: plain lines on stderr, where systemd or --detach keeps them.

The same fault is said once, however often it strikes; the last distinct ones are
kept for `zdeferctl doctor`. Nothing of this ever reaches the shared log.
"""

import contextlib
import sys
import traceback

from .errors import ZdeferdError

KEPT = 32


class Journal:
    """Says things once."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}

    @property
    def problems(self) -> list[str]:
        """The last distinct faults, oldest first."""
        return list(self._said)

    def say(self, text: str) -> None:
        """One line, every time."""
        with contextlib.suppress(OSError):
            sys.stderr.write(f"zdeferd: {' '.join(text.split())}\n")
            sys.stderr.flush()

    def once(self, fault: str) -> None:
        """One line, the first time (as far as the last 32 distinct faults tell)."""
        if fault in self._said:
            return
        self._said[fault] = None
        if len(self._said) > KEPT:
            del self._said[next(iter(self._said))]
        self.say(fault)

    def fault(self, error: BaseException) -> None:
        """An error that was survived; for one that nobody foresaw, where it came from."""
        if isinstance(error, ZdeferdError):
            self.once(str(error))
            return
        place = traceback.extract_tb(error.__traceback__)[-1:]
        where = "".join(f" ({frame.name}, line {frame.lineno})" for frame in place)
        self.once(f"unforeseen, please report it: {type(error).__name__}: {error}{where}")
