"""EIO, and a disk that turns read-only under the running daemon, at each of its files."""

import errno
import os
from pathlib import Path

import pytest
from faults.world import (
    SickDisk,
    doctor,
    lines_of,
    needs_compiler,
    prompt,
    status,
    until,
    wait_ended,
)
from support.daemon import Daemon, Peer, visit

from zdeferd.wire import control

pytestmark = needs_compiler
ERRORS = pytest.mark.parametrize("error", [errno.EIO, errno.EROFS], ids=["EIO", "read-only"])


def started(daemon: Daemon, library: Path, folder: Path) -> SickDisk:
    """The daemon, on a disk that is well so far."""
    disk = SickDisk(library, daemon.home, folder)
    daemon.env |= disk.environment
    daemon.start()
    prompt(daemon, "before", "true")
    daemon.wait_until_done(1)
    return disk


@ERRORS
def test_the_ledgers_disk_is_sick(daemon: Daemon, sick_library: Path, error: int) -> None:
    disk = started(daemon, sick_library, daemon.state / "ledger.sqlite3")
    with disk.failing(error), Peer(daemon.socket) as peer:
        peer.send(visit("n1", 1, {"late": "true"}))
        until(lambda: "the ledger could not be written" in daemon.errors.read_text())
        assert isinstance(peer.request(control.Ping()), control.Pong), "it goes on serving"
        assert not peer.socket.poll(0), "what is not durable is not answered"
        assert "the ledger could not be written" in doctor(daemon)
    prompt(daemon, "n1", "true", job="late")
    assert wait_ended(daemon, "late") == [("succeeded", 0)]
    assert wait_ended(daemon, "before") == [("succeeded", 0)]


def test_the_outcome_waits_until_the_ledgers_disk_is_well(
    daemon: Daemon, sick_library: Path, home: Path
) -> None:
    disk = started(daemon, sick_library, daemon.state / "ledger.sqlite3")
    os.mkfifo(home / "gate")
    prompt(daemon, "slow", f"echo x >> {home}/count; read < {home}/gate; exit 5")
    until((home / "count").exists)
    with disk.failing(errno.EIO):
        (home / "gate").write_text("go\n")
        until(lambda: "the ledger could not be written" in daemon.errors.read_text())
    assert wait_ended(daemon, "slow") == [("failed", 5)]
    assert (home / "count").read_text() == "x\n"


@ERRORS
def test_the_run_folders_disk_is_sick(
    daemon: Daemon, sick_library: Path, home: Path, error: int
) -> None:
    disk = started(daemon, sick_library, daemon.state / "runs")
    with disk.failing(error):
        prompt(daemon, "later", f"echo x >> {home}/count")
        until(lambda: "cannot start jobs for now" in daemon.errors.read_text())
        assert "cannot start jobs for now" in doctor(daemon)
    assert wait_ended(daemon, "later") == [("succeeded", 0)]
    assert (home / "count").read_text() == "x\n"


@ERRORS
def test_the_logs_disk_is_sick(daemon: Daemon, sick_library: Path, home: Path, error: int) -> None:
    log = home / "logs/seg.log"
    log.parent.mkdir()
    disk = started(daemon, sick_library, log.parent)
    with disk.failing(error):
        prompt(daemon, "a", "true", log)
        daemon.wait_for("SELECT count(*) > 0 FROM lines WHERE problem IS NOT NULL", 1)
        assert str(log) in status(daemon)
    with Peer(daemon.socket) as peer:  # the next thing that happens, whatever it is
        peer.request(control.Reload())
    daemon.wait_until_done(2)
    assert len(lines_of(log, job="a")) == 1
