"""Runs ledger transactions on one thread of their own, several to a commit.

A slow disk never stalls the event loop, and what queues up during a commit shares
the next one. Transactions run in the order they were given. Assumes that no other thread
uses the `Ledger` meanwhile.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..crashpoints import reached
from ..errors import LedgerError
from ..ledger.store import Ledger

CANNOT_WRITE = "the ledger could not be written"
T = TypeVar("T")
Transaction = Callable[[Ledger], T]
Part = tuple[Transaction[Any], asyncio.Future[Any]]


class Committer:
    """The one writer of the ledger."""

    def __init__(self, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._ledger, self._loop = ledger, loop
        self._queue: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    async def transact(self, transaction: Transaction[T]) -> T:
        """Return the transaction's result once it is durable; LedgerError where it is not."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((transaction, future))
        return await future

    async def close(self) -> None:
        """Finish what is queued, then close the ledger."""
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._ledger.close()

    def _serve(self) -> None:
        part = self._queue.get()
        while part is not None:
            group = [part]
            while (part := self._next()) is not None:
                group.append(part)
            results = self._commit([transaction for transaction, _ in group])
            futures = [future for _, future in group]
            self._loop.call_soon_threadsafe(_resolve, futures, results)
            part = self._queue.get()

    def _next(self) -> Part | None:
        """Return the next part that waits; None where there is none, or the end of the queue."""
        try:
            part = self._queue.get_nowait()
        except queue.Empty:
            return None
        if part is None:
            self._queue.put(None)
        return part

    def _commit(self, transactions: Sequence[Transaction[Any]]) -> list[Any]:
        """Return a result or an exception for each; a failed commit fails all of them."""
        try:
            with self._ledger.transaction():
                results = [self._part(transaction) for transaction in transactions]
                reached("daemon.commit-due")
            reached("daemon.commit-done")
        except sqlite3.Error as error:
            failure = LedgerError(f"{CANNOT_WRITE}: {error}")
            return [failure] * len(transactions)
        return results

    def _part(self, transaction: Transaction[Any]) -> Any:
        try:
            with self._ledger.savepoint():
                return transaction(self._ledger)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - an error of one fails no other
            return error


def _resolve(futures: list[asyncio.Future[Any]], results: list[Any]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.cancelled():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
