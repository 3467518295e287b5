"""What has arrived and is to be committed: events, requests, the ends of runs.

Everything that waits when the dispatcher looks is committed together; each arrival
then learns what its transaction returned, in order of arrival. An error in one hurts
no other.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..machine.journal import Journal
from .committer import Committer, Transaction

T = TypeVar("T")
AGAIN_S = 1.0
"""What must not be lost is tried again this much later where the ledger cannot be written."""


@dataclass(frozen=True)
class _Arrival:
    transaction: Transaction[Any]
    applied: Callable[[Any], None]
    failed: Callable[[Exception], None]


class Inbox:
    """The dispatcher's queue. `arrived` is set when it should look."""

    def __init__(
        self, committer: Committer, journal: Journal, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._committer, self._journal, self._loop = committer, journal, loop
        self._queue: deque[_Arrival] = deque()
        self.arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queue)

    def put(
        self,
        transaction: Transaction[T],
        applied: Callable[[T], None],
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Commit `transaction`; then `applied` gets what it returned, or `failed` its error."""
        self._queue.append(_Arrival(transaction, applied, failed))
        self.arrived.set()

    def put_until_durable(self, transaction: Transaction[T], applied: Callable[[T], None]) -> None:
        """The same for what has happened already, and is tried until it can be recorded."""

        def again(_: Exception) -> None:
            self._loop.call_later(AGAIN_S, self.put, transaction, applied, again)

        self.put(transaction, applied, again)

    async def take_in(self) -> bool:
        """Commit and apply all that waits; False where that was nothing."""
        arrivals = list(self._queue)
        self._queue.clear()
        transactions = [self._committer.transact(arrival.transaction) for arrival in arrivals]
        results = await asyncio.gather(*transactions, return_exceptions=True)
        for arrival, result in zip(arrivals, results, strict=True):
            if isinstance(result, Exception):
                self._journal.fault(result)
                arrival.failed(result)
            else:
                arrival.applied(result)
        return bool(arrivals)
