"""The wait after a process could not be started: for those it hit, longer each time.

A failure puts its runs behind those that have not failed, and starts none of them for a
while; what has not failed yet may be tried. A start that worked makes the next wait the
first one again.
"""

import time
from collections.abc import Iterable

from ..machine.journal import Journal
from .live import LiveRuns

WAIT_S = (1.0, 60.0)
"""The first and the longest wait."""


class Hold:
    """Until when the runs that were put off (`LiveRuns.put_offs`) are not started."""

    def __init__(self, live: LiveRuns, journal: Journal) -> None:
        self._live, self._journal = live, journal
        self._until, self._wait_s = 0.0, WAIT_S[0]

    @property
    def until(self) -> float:
        """Seconds since the epoch; 0: there is none."""
        # A clock that was set back must not make a hold longer than any is.
        return self._until if self._until <= time.time() + WAIT_S[1] else 0.0

    def failed(self, now: float, reason: str, runs: Iterable[int]) -> None:
        """`runs` could not be started."""
        self._journal.once(f"cannot start jobs for now: {reason}")
        self._live.put_off(list(runs))
        if now < self._until <= now + WAIT_S[1]:
            return  # one failure, however many runs it hit
        self._until = now + self._wait_s
        self._wait_s = min(self._wait_s * 2, WAIT_S[1])

    def worked(self) -> None:
        """A run was started."""
        self._wait_s = WAIT_S[0]
