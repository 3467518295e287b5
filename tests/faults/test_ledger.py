"""The ledger is damaged, or locked by another program: the message, and the recovery."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from faults.world import doctor, ended, prompt, until, wait_ended
from support.daemon import Daemon, Peer, visit

from zdeferd.wire import control

REMEDY = "zdeferctl stop; move"


@contextlib.contextmanager
def another_program(daemon: Daemon) -> Iterator[None]:
    """Hold an open transaction of another program for the length of the block."""
    with contextlib.closing(
        sqlite3.connect(daemon.state / "ledger.sqlite3", isolation_level=None)
    ) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


def scribble(ledger: Path) -> None:
    """Rubbish over everything but the head of the file."""
    size = ledger.stat().st_size
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def test_a_file_that_is_no_ledger_is_refused_and_left_alone(daemon: Daemon) -> None:
    daemon.state.mkdir(parents=True, mode=0o700)
    ledger = daemon.state / "ledger.sqlite3"
    ledger.write_text("no database " * 500)
    ledger.chmod(0o600)
    assert "zdeferctl doctor" in daemon.refusal()
    assert ledger.read_text() == "no database " * 500
    said = doctor(daemon)
    assert "ledger is damaged" in said
    assert REMEDY in said


def test_a_damaged_ledger_is_said_and_moving_it_away_heals(daemon: Daemon) -> None:
    daemon.start()
    prompt(daemon, "before", "true")
    daemon.wait_until_done(1)
    daemon.stop()
    ledger = daemon.state / "ledger.sqlite3"
    scribble(ledger)
    daemon.process = None
    said = doctor(daemon)
    assert "ledger is damaged" in said
    assert REMEDY in said
    ledger.rename(daemon.home / "damaged")
    daemon.start()
    prompt(daemon, "before", "true")
    assert wait_ended(daemon, "before") == [("succeeded", 0)]


def test_a_ledger_damaged_under_the_daemon_answers_nothing_it_cannot_keep(
    daemon: Daemon,
) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        for number in range(40):  # more than the write-ahead log still covers
            jobs = {f"job-{number}-{i}": "true # " + "x" * 4000 for i in range(12)}
            assert peer.ask(visit(f"n{number}", 1, jobs, event=b""))[0] == b"ok"
        ledger = daemon.state / "ledger.sqlite3"
        with contextlib.closing(sqlite3.connect(ledger)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        scribble(ledger)
        peer.send(visit("n1", 2, {"late": "true"}))
        until(lambda: "the ledger could not be written" in daemon.errors.read_text())
        assert not peer.socket.poll(0), "what is not durable is not answered"
        assert isinstance(peer.request(control.Ping()), control.Pong)
    said = doctor(daemon)
    assert "ledger is damaged" in said
    assert REMEDY in said
    ledger.rename(daemon.home / "damaged")  # the running daemon begins a new one
    until(ledger.exists)
    prompt(daemon, "after", "true")
    assert wait_ended(daemon, "after") == [("succeeded", 0)]


def test_a_ledger_that_another_program_locks_for_a_while(daemon: Daemon) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        with another_program(daemon):
            peer.send(visit("n1", 1, {"patient": "true"}))
            assert isinstance(peer.request(control.Ping()), control.Pong), "it goes on serving"
        assert peer.receive()[0] == b"ok"
    assert wait_ended(daemon, "patient") == [("succeeded", 0)]


def test_a_ledger_that_is_locked_for_good_is_said(daemon: Daemon) -> None:
    daemon.start()
    prompt(daemon, "before", "true")
    daemon.wait_until_done(1)
    with contextlib.closing(
        sqlite3.connect(daemon.state / "ledger.sqlite3", isolation_level=None)
    ) as db:
        with another_program(daemon), Peer(daemon.socket) as peer:
            peer.send(visit("n1", 1, {"late": "true"}))
            until(lambda: "database is locked" in daemon.errors.read_text())
            assert not peer.socket.poll(0)
            assert "database is locked" in doctor(daemon)
        with Peer(daemon.socket) as peer:
            assert peer.ask(visit("n1", 1, {"late": "true"}))[0] == b"ok"
        db.execute("SELECT 1")
    assert wait_ended(daemon, "late") == [("succeeded", 0)]
    assert ended(daemon, "before") == [("succeeded", 0)]
