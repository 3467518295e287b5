"""The queue of arrivals: what is tried again where it cannot be recorded, and what is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from zdeferd.errors import LedgerError, WrongTransition
from zdeferd.ledger.store import Ledger
from zdeferd.machine.timers import Clock
from zdeferd.recording import inbox
from zdeferd.recording.committer import Committer
from zdeferd.recording.inbox import Arrival, Inbox
from zdeferd.telemetry.journal import Journal


class Fact(Arrival[str]):
    """Something that has happened, and that cannot be recorded the first time."""

    has_happened = True

    def __init__(self, error: Exception) -> None:
        self.errors, self.recorded, self.lost = [error], 0, False

    def record(self, ledger: Ledger) -> str:
        if self.errors:
            raise self.errors.pop()
        self.recorded += 1
        return "kept"

    def applied(self, result: str) -> None:
        assert result == "kept"

    def failed(self, error: Exception) -> None:
        self.lost = True


@pytest_asyncio.fixture
async def queue(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Inbox]:
    monkeypatch.setattr(inbox, "AGAIN_S", 0.0)
    loop = asyncio.get_running_loop()
    committer = Committer(Ledger(str(home / "ledger")), loop)
    yield Inbox(committer, Journal(Clock()), loop)
    await committer.close()


async def taken_in(queue: Inbox, fact: Fact) -> None:
    queue.put(fact)
    queue.arrived.clear()
    assert await queue.take_in()


@pytest.mark.asyncio
async def test_a_fact_is_recorded_once_the_ledger_can_be_written(queue: Inbox) -> None:
    fact = Fact(LedgerError("the ledger could not be written"))
    await taken_in(queue, fact)
    await asyncio.wait_for(queue.arrived.wait(), 20)
    await queue.take_in()
    assert (fact.recorded, fact.lost) == (1, False)


@pytest.mark.asyncio
async def test_a_wrong_transition_is_not_tried_again(queue: Inbox) -> None:
    fact = Fact(WrongTransition("no such transition"))
    await taken_in(queue, fact)
    assert (fact.recorded, fact.lost, len(queue)) == (0, True, 0)
