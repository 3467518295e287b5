"""The ledger's one writer: order, isolation of faults, shared commits, a clean end."""

import asyncio
from pathlib import Path

import pytest

from zdeferd.errors import LedgerError
from zdeferd.ledger.store import Ledger
from zdeferd.recording.committer import Committer


@pytest.mark.asyncio
async def test_one_callers_fault_does_not_take_its_neighbours_along(home: Path) -> None:
    committer = Committer(Ledger(str(home / "l")), asyncio.get_running_loop())

    def broken(ledger: Ledger) -> None:
        ledger.add_line("/log", b"never", None, 0.0)
        raise ValueError("mine alone")

    results = await asyncio.gather(
        committer.transact(lambda ledger: ledger.add_line("/log", b"one", None, 0.0)),
        committer.transact(broken),
        committer.transact(lambda ledger: ledger.add_line("/log", b"two", None, 0.0)),
        return_exceptions=True,
    )
    assert isinstance(results[1], ValueError)
    lines = await committer.transact(lambda ledger: ledger.open_lines())
    assert [line.text for line in lines] == [b"one", b"two"]
    await committer.close()


@pytest.mark.asyncio
async def test_what_was_queued_before_the_close_is_durable(home: Path) -> None:
    committer = Committer(Ledger(str(home / "l")), asyncio.get_running_loop())
    last = asyncio.ensure_future(
        committer.transact(lambda ledger: ledger.add_line("/log", b"last", None, 0.0))
    )
    await asyncio.sleep(0)  # lets it queue up; nothing is waited for
    await committer.close()
    await last
    assert [line.text for line in Ledger(str(home / "l")).open_lines()] == [b"last"]


@pytest.mark.asyncio
async def test_a_ledger_that_cannot_be_written_fails_all_and_heals(home: Path) -> None:
    ledger = Ledger(str(home / "l"))
    committer = Committer(ledger, asyncio.get_running_loop())
    ledger._db.execute("PRAGMA query_only = 1")
    with pytest.raises(LedgerError, match="could not be written"):
        await committer.transact(lambda ledger: ledger.add_line("/log", b"x", None, 0.0))
    ledger._db.execute("PRAGMA query_only = 0")
    await committer.transact(lambda ledger: ledger.add_line("/log", b"y", None, 0.0))
    assert [line.text for line in ledger.open_lines()] == [b"y"]
    await committer.close()


def test_a_newer_ledger_is_refused_untouched(home: Path) -> None:
    path = home / "l"
    ledger = Ledger(str(path))
    ledger._db.execute("PRAGMA user_version = 99")
    ledger.close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="newer zdeferd"):
        Ledger(str(path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_ledger_is_refused(home: Path) -> None:
    (home / "l").write_text("not a database, but long enough to be looked at " * 40)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        Ledger(str(home / "l"))
