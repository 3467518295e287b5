"""Where the daemon's own lines go, and that nobody who does not read them holds it up."""

import contextlib
import os
import select
from collections.abc import Iterator

import pytest
from support.daemon import Daemon, Peer

from zdeferd.machine.timers import Clock
from zdeferd.telemetry.journal import Journal
from zdeferd.wire import control


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A full pipe: its reading end, which nobody reads, and the other one, which blocks."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * select.PIPE_BUF)
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def emptied(reading: int) -> bytes:
    """Return all that is in the pipe."""
    os.set_blocking(reading, False)
    found = b""
    with contextlib.suppress(BlockingIOError):
        while block := os.read(reading, 1 << 20):
            found += block
    return found.lstrip(b"x")


def test_lines_that_a_full_pipe_cannot_take_are_counted(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    journal = Journal(Clock())
    with os.fdopen(writing, "w", closefd=False) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        for _ in range(3):
            journal.say("lost")
        assert emptied(reading) == b""
        journal.say("one\ntwo")
        journal.say("y" * (2 * select.PIPE_BUF))
        monkeypatch.undo()
    first, second, third = emptied(reading).splitlines()
    assert first == b"zdeferd: lines lost: 3; standard error took none"
    assert second == b"zdeferd: one two"
    assert third == b"zdeferd: ".ljust(select.PIPE_BUF - 1, b"y")


def test_a_reader_that_has_gone_is_no_error(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    gone, closed = os.pipe()
    os.close(gone)
    journal = Journal(Clock())
    with os.fdopen(closed, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        journal.say("lost")
        monkeypatch.undo()
    emptied(reading)
    with os.fdopen(writing, "w", closefd=False) as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        journal.say("said")
        monkeypatch.undo()
    assert emptied(reading).splitlines()[1:] == [b"zdeferd: said"]


def test_a_daemon_whose_standard_error_is_full_serves(
    daemon: Daemon, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    daemon.write_jobs("[a]\nrun = 'true'\nnonsense = 1\n")
    daemon.launch(stderr=writing)
    with Peer(daemon.socket) as peer:
        peer.request(control.Ping())  # it has said that it serves, and what is wrong in the file
        emptied(reading)
        peer.request(control.Reload())
        assert b"lines lost: " in emptied(reading)
    assert daemon.stop() == 0
