"""The daemon's own log: plain lines on stderr, where systemd or --detach keeps them.

The same fault is said once, however often it strikes; the last distinct ones are
kept for `zdeferctl doctor`. Nothing of this ever reaches the shared log.
"""

import contextlib
import sys

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
