"""A full disk, for the ledger, the run folders and the log, each alone."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faults.world import (
    doctor,
    fill,
    heals,
    lines_of,
    needs_mounts,
    prompt,
    small_disk,
    status,
    until,
    wait_ended,
)
from support.daemon import Daemon, Peer, visit

from zdeferd.wire import control

pytestmark = needs_mounts


@pytest.fixture
def disks(daemon: Daemon) -> Iterator[ExitStack]:
    """Small disks, which go after the daemon has."""
    with ExitStack() as stack:
        yield stack
        daemon.close()


def test_the_ledgers_disk_fills_while_a_job_runs(
    daemon: Daemon, disks: ExitStack, home: Path
) -> None:
    disk = disks.enter_context(small_disk(daemon.state, "32m"))
    disks.enter_context(small_disk(daemon.state / "runs", "32m"))
    log = home / "seg.log"
    daemon.start()
    os.mkfifo(home / "gate")
    prompt(daemon, "slow", f"touch {home}/began; read < {home}/gate; exit 7", log)
    until((home / "began").exists)
    filler = fill(disk)
    (home / "gate").write_text("go\n")
    until(lambda: "the ledger could not be written" in daemon.errors.read_text())
    with Peer(daemon.socket) as peer:
        peer.send(visit("n2", 1, {f"job-{i}": "true # " + "x" * 8000 for i in range(40)}))
        assert isinstance(peer.request(control.Ping()), control.Pong)
        assert not peer.socket.poll(100), "what is not durable is not answered"
    assert "disk is full" in status(daemon)
    assert "disk is full" in doctor(daemon)
    filler.unlink()
    assert wait_ended(daemon, "slow") == [("failed", 7)], "its outcome waited in its folder"
    until(lambda: len(lines_of(log, job="slow")) == 1)
    heals(daemon)


def test_a_start_on_a_full_disk_is_refused(daemon: Daemon, disks: ExitStack) -> None:
    disk = disks.enter_context(small_disk(daemon.state, "32m"))
    (disk / "runs").mkdir(mode=0o700)
    filler = fill(disk)
    assert daemon.refusal().startswith("zdeferd: cannot open the ledger: ")
    assert "disk is full" in doctor(daemon)
    filler.unlink()
    daemon.start()
    prompt(daemon, "after", "true")
    assert wait_ended(daemon, "after") == [("succeeded", 0)]


def test_the_run_folders_disk_is_full(daemon: Daemon, disks: ExitStack, home: Path) -> None:
    disk = disks.enter_context(small_disk(daemon.state / "runs", "32m"))
    daemon.state.chmod(0o700)
    daemon.start()
    assert status(daemon) == ""
    filler = fill(disk)
    prompt(daemon, "later", f"echo x >> {home}/count")
    until(lambda: "cannot start jobs for now" in daemon.errors.read_text())
    assert "No space left on device" in doctor(daemon)
    assert "disk is full" in status(daemon)
    assert daemon.rows("SELECT state FROM runs") != [("ended",)]
    filler.unlink()
    assert wait_ended(daemon, "later") == [("succeeded", 0)]
    assert (home / "count").read_text() == "x\n"
    heals(daemon)


def test_the_disk_fills_under_a_jobs_output(daemon: Daemon, disks: ExitStack, home: Path) -> None:
    disk = disks.enter_context(small_disk(daemon.state / "runs"))
    daemon.state.chmod(0o700)
    daemon.start()
    prompt(daemon, "chatty", "repeat 20000 { print 0123456789 }; exit 3")
    assert wait_ended(daemon, "chatty") == [("failed", 3)], "its rc and cost are never lost"
    ((total, dropped),) = daemon.rows("SELECT output_bytes, output_dropped_bytes FROM runs")
    assert total == 220_000
    assert 0 < dropped < total
    assert 0 < (disk / "1/output").stat().st_size <= total - dropped + 64


def test_the_logs_disk_is_full(daemon: Daemon, disks: ExitStack, home: Path) -> None:
    disk = disks.enter_context(small_disk(home / "logs"))
    log = disk / "seg.log"
    daemon.start()
    filler = fill(disk)
    prompt(daemon, "a", "true", log)
    daemon.wait_for("SELECT count(*) > 0 FROM lines WHERE problem IS NOT NULL", 1)
    for said in (status(daemon), doctor(daemon)):
        assert str(log) in said
        assert "No space left on device" in said
    filler.unlink()
    prompt(daemon, "b", "true", log)
    daemon.wait_until_done(2)
    assert [len(lines_of(log, job=job)) for job in "ab"] == [1, 1]
    assert all(line for line in log.read_text().splitlines())
    heals(daemon)
