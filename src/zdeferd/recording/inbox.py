"""The queue of arrivals that are to be recorded: visits, requests, the ends of runs.

All arrivals that are queued when the dispatcher looks are committed together. Each then
learns what its record returned, in order of arrival. An error in one hurts no other.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Generic, TypeVar

from ..errors import WrongTransition
from ..ledger.store import Ledger
from ..telemetry.journal import Journal
from .committer import CANNOT_WRITE, Committer

T = TypeVar("T")
AGAIN_S = 1.0
"""The wait before a record is tried again where the ledger could not be written."""


class Arrival(ABC, Generic[T]):
    """One thing that arrived: its record in the ledger, and its effect after the commit."""

    has_happened = False
    """True for a fact, not a request: its record is tried again until it is durable.

    Not after a WrongTransition, which the ledger would refuse every time.
    """

    @abstractmethod
    def record(self, ledger: Ledger) -> T:
        """Write it down inside a transaction, on the ledger's thread."""

    @abstractmethod
    def applied(self, result: T) -> None:
        """Act on what `record` returned, in the loop, once that is durable."""

    def failed(self, error: Exception) -> None:
        """Act on the loss of the record, where it is not tried again."""


class Inbox:
    """The dispatcher's queue. `arrived` is set when the dispatcher should look."""

    def __init__(
        self, committer: Committer, journal: Journal, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._committer, self._journal, self._loop = committer, journal, loop
        self._queue: deque[Arrival[Any]] = deque()
        self.arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, arrival: Arrival[Any]) -> None:
        """Queue `arrival` for the next commit."""
        self._queue.append(arrival)
        self.arrived.set()

    async def take_in(self) -> bool:
        """Commit and apply all that is queued; False where the queue was empty."""
        arrivals = list(self._queue)
        self._queue.clear()
        records = [self._committer.transact(arrival.record) for arrival in arrivals]
        results = await asyncio.gather(*records, return_exceptions=True)
        for arrival, result in zip(arrivals, results, strict=True):
            if isinstance(result, Exception):
                self._failed(arrival, result)
            else:
                self._journal.mended(CANNOT_WRITE)
                arrival.applied(result)
        return bool(arrivals)

    def _failed(self, arrival: Arrival[Any], error: Exception) -> None:
        self._journal.fault(error)
        if arrival.has_happened and not isinstance(error, WrongTransition):
            self._loop.call_later(AGAIN_S, self.put, arrival)
        else:
            arrival.failed(error)
