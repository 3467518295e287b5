"""How soon who wakes up runs: the slices of the daemon, its spawner and its jobs (ADR 16)."""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support.daemon import Daemon, Peer, visit
from support.spawning import until

GETATTR = {"x86_64": 315, "aarch64": 275}
RELEASE = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="there is no such call elsewhere"),
    pytest.mark.skipif(platform.machine() not in GETATTR, reason="sched_getattr's number"),
]


class Scheduling(NamedTuple):
    policy: int
    nice: int
    slice_ms: float


def scheduling(pid: int) -> Scheduling:
    """What sched_getattr(2) says of a process or thread."""
    found = ctypes.create_string_buffer(48)
    call = ctypes.CDLL(None, use_errno=True).syscall
    assert call(GETATTR[platform.machine()], pid, found, 48, 0) == 0, os.strerror(
        ctypes.get_errno()
    )
    _, policy, _, nice, _, runtime, _, _ = struct.unpack("=IIQiIQQQ", found)
    return Scheduling(policy, nice, runtime / 1e6)


@pytest.fixture
def running(home: Path) -> Iterator[tuple[Daemon, int]]:
    """A daemon, and the pid of a job of its that waits."""
    os.mkfifo(home / "gate")
    daemon = Daemon(home)
    try:
        daemon.start()
        with Peer(daemon.socket) as peer:
            peer.ask(visit("n1", jobs={"job": f"echo $$ >{home}/pid; read line <{home}/gate"}))
        until(lambda: (home / "pid").exists() and (home / "pid").read_text().endswith("\n"))
        yield daemon, int((home / "pid").read_text())
        (home / "gate").write_text("go\n")
    finally:
        daemon.close()


def test_a_job_gives_way_and_the_daemon_comes_soon(running: tuple[Daemon, int]) -> None:
    daemon, job = running
    assert daemon.process is not None
    threads = [int(name) for name in os.listdir(f"/proc/{daemon.process.pid}/task")]
    found = {scheduling(thread) for thread in threads}
    assert {(one.policy, one.nice) for one in found} == {
        (os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0))
    }
    assert scheduling(job)[:2] == (os.SCHED_BATCH, 19)
    if RELEASE < (6, 12):
        pytest.skip(f"Linux {platform.release()} gives fair tasks no slices of their own")
    assert {one.slice_ms for one in found} == {0.1}
    assert scheduling(job).slice_ms == 100
