"""The ledger's one writer: order, isolation of faults, shared commits, a clean end."""

import asyncio
import contextlib
import sqlite3
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
    with contextlib.closing(Ledger(str(home / "l"))) as ledger:
        assert [line.text for line in ledger.open_lines()] == [b"last"]


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
    (home / "l").chmod(0o600)  # else it is refused for its mode
    with pytest.raises(LedgerError, match=r"cannot open the ledger: .*: file is not a database"):
        Ledger(str(home / "l"))


@pytest.mark.parametrize("version", [99, None])
def test_a_ledger_that_is_refused_is_closed(home: Path, version: int | None) -> None:
    path = home / "l"
    if version is None:
        path.write_text("not a database, but long enough to be looked at " * 40)
    else:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {version}")
    path.chmod(0o600)
    ledger = Ledger.__new__(Ledger)
    with pytest.raises(LedgerError):
        Ledger.__init__(ledger, str(path))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        ledger._db.execute("SELECT 1")
