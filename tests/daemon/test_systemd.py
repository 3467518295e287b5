"""The shipped units under a real user manager: activation, crashes, restarts, idle exit."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from floods.crowd import Caller, callers, descriptors
from support import cgroups, systemd
from support.daemon import Peer, attempts, visit
from support.systemd import UserManager

from zdeferd.wire import control

pytestmark = pytest.mark.skipif(bool(systemd.why_not()), reason=systemd.why_not())


def ask(manager: UserManager, frames: list[bytes]) -> list[bytes]:
    with Peer(manager.socket) as peer:
        return peer.ask(frames)


def start_blocked_job(manager: UserManager) -> Path:
    """A job of run 1 that waits at a FIFO, under way; the FIFO."""
    gate = manager.home / "gate"
    os.mkfifo(gate)
    assert ask(manager, visit("n1", 1, {"first": f"read -r < {gate}; return 7", "second": "true"}))
    mark = manager.state / "runs/1/started.1"
    for _ in attempts():
        if mark.exists() and len(mark.read_text().splitlines()) == 2:
            return gate
    raise AssertionError("the job never started")


def finish_blocked_job(manager: UserManager, gate: Path) -> None:
    """Let it end; each run and each line is there once."""
    gate.write_text("go\n")
    manager.wait_until_done(2)
    assert manager.rows("SELECT job, outcome, rc, attempt FROM runs ORDER BY id") == [
        ("first", "failed", 7, 1),
        ("second", "succeeded", 0, 1),
    ]
    assert [line.split()[:2] for line in manager.log()] == [
        ["DEFERRED", "id=first"],
        ["DEFERRED", "id=second"],
        ["SEGMENT", "name=deferred_total"],
    ]


@pytest.mark.skipif(bool(cgroups.why_not()), reason=cgroups.why_not())
def test_a_job_has_a_cgroup_below_the_units(manager: UserManager) -> None:
    """Also one that the restarted daemon starts while an older job runs on."""
    gate = start_blocked_job(manager)
    older = cgroup_of(int((manager.state / "lock").read_text())).removesuffix("/zdeferd")
    manager.signal(signal.SIGKILL)
    manager.wait_for_property("ActiveState", "inactive", "failed", "activating", "active")
    with Peer(manager.socket) as peer:
        peer.ask(visit("n2", 1, {"third": "cat /proc/self/cgroup"}))
    gate.write_text("go\n")
    manager.wait_until_done(3)
    printed = (manager.state / "runs/3/output").read_text()
    assert f"0::{older}/runs/3.1" in printed


def cgroup_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line.removeprefix("0::") for line in lines if line.startswith("0::"))


def test_the_first_visits_start_the_daemon_and_lose_nothing(manager: UserManager) -> None:
    shared = "\n".join(f'[shared-{i}]\nrun = "true"\nonce_per = "boot"' for i in range(10))
    manager.write_jobs(shared)
    assert manager.property("ActiveState") == "inactive"
    peers = [Peer(manager.socket) for _ in range(5)]
    own = {f"own-{i}": "true" for i in range(5)}
    for number, peer in enumerate(peers):
        peer.send(visit(f"n{number}", 1, own))
    for peer in peers:
        assert peer.receive() == [b"ok", b"seq=1"]
        peer.__exit__()
    manager.wait_until_done(35)
    runs = manager.rows("SELECT job, count(*) FROM runs GROUP BY job")
    assert dict(runs) == {f"shared-{i}": 1 for i in range(10)} | {f"own-{i}": 5 for i in range(5)}
    assert sum(line.startswith("DEFERRED ") for line in manager.log()) == 35
    assert manager.property("ActiveState") == "active"


def test_kill_9_of_the_daemon_costs_nothing(manager: UserManager) -> None:
    gate = start_blocked_job(manager)
    dead = manager.signal(signal.SIGKILL)
    manager.wait_for_property("NRestarts", "1")
    manager.wait_for_property("ActiveState", "active")
    assert manager.property("MainPID") != str(dead)
    finish_blocked_job(manager, gate)


@pytest.mark.parametrize("how", ["restart", "stop"])
def test_jobs_run_on_through_a_stop_and_a_restart(manager: UserManager, how: str) -> None:
    gate = start_blocked_job(manager)
    if how == "stop":
        manager.systemctl("stop", "zdeferd.service")
        assert manager.property("Result") == "success"
        manager.systemctl("start", "zdeferd.service")
    else:
        manager.systemctl("restart", "zdeferd.service")
    finish_blocked_job(manager, gate)


def test_it_leaves_when_idle_and_the_next_visit_brings_it_back(manager: UserManager) -> None:
    manager.write_settings('exit_after = "1s"')
    assert ask(manager, visit("n1", 1, {"x": "true"}))[0] == b"ok"
    manager.wait_for_property("ActiveState", "inactive")
    assert manager.property("Result") == "success"
    assert manager.property("ActiveState", "zdeferd.socket") == "active"
    assert ask(manager, visit("n2", 1, {"x": "true"}))[0] == b"ok"
    manager.wait_until_done(2)


def test_the_watchdog_ends_a_daemon_that_hangs_with_work(manager: UserManager) -> None:
    manager.drop_in("WatchdogSec=5\nTimeoutAbortSec=1")  # a busy daemon is no hung one
    gate = start_blocked_job(manager)
    manager.signal(signal.SIGSTOP)
    manager.wait_for_property("NRestarts", "1")
    manager.wait_for_property("ActiveState", "active")
    finish_blocked_job(manager, gate)


def test_the_watchdog_is_disarmed_at_rest(manager: UserManager) -> None:
    manager.drop_in("WatchdogSec=30\nTimeoutAbortSec=1")
    gate = start_blocked_job(manager)
    manager.wait_for_property("WatchdogUSec", "30s")
    finish_blocked_job(manager, gate)
    manager.wait_for_property("WatchdogUSec", "0", "infinity")


def more_connections_than_descriptors(socket: Path) -> None:
    """libzmq aborts the process that cannot accept."""
    with descriptors(4096), callers(socket, 400) as made:
        assert made[0].hung_up()


def a_message_of_endless_frames(socket: Path) -> None:
    """libzmq keeps all frames, until the daemon's limit of data ends it."""
    with Caller(socket) as endless:
        endless.greet()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                endless.socket.sendall(b"\x01\x00" * 50_000)


@pytest.mark.parametrize("flood", [more_connections_than_descriptors, a_message_of_endless_frames])
def test_a_flood_that_ends_the_daemon_costs_nothing(
    manager: UserManager, flood: Callable[[Path], None]
) -> None:
    manager.drop_in("LimitNOFILE=256")
    gate = start_blocked_job(manager)
    dead = int(manager.property("MainPID"))
    flood(manager.socket)
    assert ask(manager, visit("n2", 1, event=b"")) == [b"ok", b"seq=1"]
    manager.wait_for_property("ActiveState", "active")
    assert manager.property("NRestarts") == "1", "it waited for its next start more than once"
    assert manager.property("RestartUSec") == "1s"
    assert manager.property("MainPID") != str(dead)
    finish_blocked_job(manager, gate)


def test_a_reload_reads_the_jobs_again(manager: UserManager) -> None:
    manager.systemctl("start", "zdeferd.service")
    manager.write_jobs('[new]\nrun = "true"')
    manager.systemctl("reload", "zdeferd.service")
    for _ in attempts():
        with Peer(manager.socket) as peer:
            pong = peer.request(control.Ping())
        if pong.jobs == 1:
            return
    raise AssertionError("the new job never came into force")


def test_uninstall_leaves_only_the_users_own_files(manager: UserManager) -> None:
    manager.write_jobs('[new]\nrun = "true"')
    ask(manager, visit("n1"))
    manager.wait_until_done(1)
    manager.inside("zdeferctl", "uninstall")
    left = {str(path.relative_to(manager.home)) for path in manager.home.rglob("*zdeferd*")}
    assert left == {".config/zdeferd", ".local/state/zdeferd"}
    assert not list((manager.home / "run").glob("zdeferd"))
