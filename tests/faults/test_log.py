"""The shared log is rotated, emptied, or replaced by another kind of file, under the daemon."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.world import doctor, heals, lines_of, prompt, status
from support.daemon import Daemon, Peer

from zdeferd.wire import control


def by_a_folder(log: Path) -> None:
    log.mkdir()


def by_a_fifo(log: Path) -> None:
    os.mkfifo(log)


def by_a_symlink(log: Path) -> None:
    log.symlink_to(log.with_name("elsewhere"))


def by_a_device(log: Path) -> None:
    log.symlink_to("/dev/null")


REPLACED: dict[Callable[[Path], None], str] = {
    by_a_folder: "not a regular file",
    by_a_fifo: "not a regular file",
    by_a_symlink: "is a symlink",
    by_a_device: "is a symlink",
}


@pytest.fixture
def log(home: Path) -> Path:
    folder = home / "logs"
    folder.mkdir()
    return folder / "seg.log"


def run(daemon: Daemon, job: str, log: Path) -> None:
    """A job, until it has ended."""
    prompt(daemon, job, "true", log)
    daemon.wait_for(f"SELECT count(*) FROM runs WHERE job = '{job}' AND state = 'ended'", 1)


@pytest.mark.parametrize("replace", REPLACED, ids=lambda replace: str(replace.__name__))
def test_the_log_is_replaced(daemon: Daemon, log: Path, replace: Callable[[Path], None]) -> None:
    daemon.start()
    run(daemon, "a", log)
    daemon.wait_until_done(1)
    kept = log.rename(log.with_name("kept"))
    replace(log)
    run(daemon, "b", log)
    daemon.wait_for("SELECT count(*) > 0 FROM lines WHERE problem IS NOT NULL", 1)
    for said in (status(daemon), doctor(daemon)):
        assert REPLACED[replace] in said, said
    assert not log.with_name("elsewhere").exists()
    log.rmdir() if log.is_dir() else log.unlink()
    with Peer(daemon.socket) as peer:
        peer.request(control.Reload())
    daemon.wait_until_done(2)
    assert [len(lines_of(kept, log, job=job)) for job in "ab"] == [1, 1]
    heals(daemon)


def test_the_log_is_rotated_and_emptied(daemon: Daemon, log: Path) -> None:
    daemon.start()
    run(daemon, "a", log)
    daemon.wait_until_done(1)
    rotated = log.rename(log.with_name("seg.log.1"))
    run(daemon, "b", log)
    daemon.wait_until_done(2)
    assert lines_of(log, job="b")
    os.truncate(log, 0)  # as copytruncate does
    run(daemon, "c", log)
    daemon.wait_until_done(3)
    assert [len(lines_of(rotated, job="a")), len(lines_of(log, job="c"))] == [1, 1]
    assert not lines_of(rotated, job="b")
    heals(daemon)
