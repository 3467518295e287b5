"""The in-memory ledger, watched: what a commit made durable is told, once it is.

Owns the list of facts of the transaction under way; what is rolled back was never so.
A full disk and a lock of another program are here too: they are the ledger's faults.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support.ledger import MemoryLedger

from zdeferd.model import Ending, Run, State, Work


class WatchedLedger(MemoryLedger):
    """Tells what a commit made durable; what is rolled back was never so."""

    def __init__(self, tell: Callable[[list[tuple[str, Any]]], None]) -> None:
        super().__init__()
        self._facts: list[tuple[str, Any]] = []
        self._tell = tell
        self.full = self.locked = False

    def savepoint(self) -> Any:
        return _Part(self)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """On a full disk only what changes nothing can be committed; a locked one is no use."""
        if self.locked:
            raise sqlite3.OperationalError("database is locked")
        before = self.tables.copy() if self.full else self.tables
        with super().transaction():
            yield
            if self.full and self.tables != before:
                raise sqlite3.OperationalError("database or disk is full")

    def add_run(self, run: Run, work: Work) -> None:
        super().add_run(run, work)
        self._facts.append(("claimed", (run, work.job, run.job in self.tables.disabled)))

    def dispatch(self, run: int, boot: str, now: float) -> None:
        super().dispatch(run, boot, now)
        self._facts.append(("dispatched", run))

    def end_run(self, run: int, before: State, ending: Ending) -> None:
        super().end_run(run, before, ending)
        self._facts.append(("ended", (run, ending)))

    def forget(self, job: str) -> None:
        super().forget(job)
        self._facts.append(("forgotten", job))

    def add_line(self, path: str, text: bytes, run: int | None, now: float) -> None:
        super().add_line(path, text, run, now)
        self._facts.append(("line", (self.tables.last["lines"], path, text, run)))

    def durable(self) -> None:
        """A commit is done."""
        facts, self._facts = self._facts, []
        self._tell(facts)


class _Part:
    """A savepoint: the tables and the facts as they were, if it fails."""

    def __init__(self, ledger: WatchedLedger) -> None:
        self._ledger = ledger

    def __enter__(self) -> None:
        self._tables, self._count = self._ledger.tables.copy(), len(self._ledger._facts)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._ledger.tables = self._tables
            del self._ledger._facts[self._count :]
