"""Histories on both ledgers at once: every statement of the daemon goes to SQLite too.

What tests/ledger/test_contract.py says of statements that nobody makes, this says of those that
are made: the in-memory twin answers as the real ledger does, and fails as it does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from zdeferd.ledger.store import Ledger

from . import stage
from .chance import play
from .watched import WatchedLedger

STATEMENTS = [
    name
    for name, value in vars(Ledger).items()
    if callable(value) and not name.startswith("_") and name not in ("transaction", "savepoint")
]
SEEDS = range(2001, 2041)


class Both(WatchedLedger):
    """The twin, and beside it the real one."""

    def __init__(self, tell: Callable[[list[tuple[str, Any]]], None], path: str) -> None:
        super().__init__(tell)
        self.real = Ledger(path)
        # Nothing here loses power, and each wait for a busy disk counts against the time limit.
        self.real._db.execute("PRAGMA synchronous = OFF")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.real.transaction(), super().transaction():
            yield

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        with self.real.savepoint(), super().savepoint():
            yield


def _on_both(name: str) -> Callable[..., Any]:
    def statement(self: Both, *arguments: Any, **fields: Any) -> Any:
        ours = getattr(WatchedLedger, name)(self, *arguments, **fields)
        if self._in_transaction:
            real = getattr(self.real, name)(*arguments, **fields)
            assert ours == real, (name, arguments, ours, real)
        return ours

    return statement


for _name in STATEMENTS:
    if _name != "close":
        setattr(Both, _name, _on_both(_name))


def test_whole_histories_are_the_same_on_both(home: Path) -> None:
    made: list[Both] = []

    def make(tell: Callable[[list[tuple[str, Any]]], None]) -> Both:
        made.append(Both(tell, str(home / f"{len(made)}.sqlite3")))
        return made[-1]

    for seed in SEEDS:
        twin_alone: list[str] = []
        play(seed, twin_alone)
        both: list[str] = []
        with patch.object(stage, "WatchedLedger", make):
            play(seed, both)
        assert both == twin_alone
        assert made[-1].real.live_runs() == made[-1].live_runs() == []
        made[-1].real.close()
