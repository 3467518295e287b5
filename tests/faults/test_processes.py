"""No descriptors and no processes left, where jobs are started: they wait, and then run."""

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults.world import (
    doctor,
    limited,
    needs_linux,
    prompt,
    spawner_of,
    until,
    wait_ended,
)
from strangers.world import NOBODY_ELSE, may_become
from support.daemon import Daemon, Peer

from zdeferd.wire import control

pytestmark = needs_linux
SECOND_UID = 61_573
"""A user id without a user here: the processes of root have no limit."""
MODULE = (
    "import sys; sys.path[:0] = {path!r}; from zdeferd.daemon.main import main; sys.exit(main([]))"
)


needs_root = pytest.mark.skipif(not may_become(SECOND_UID), reason=NOBODY_ELSE)


def python_for(uid: int) -> str | None:
    """A Python of this version that user `uid` may execute, else None."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for program in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        try:
            done = subprocess.run(
                [program, "-c", _imports()],
                user=uid, group=uid, extra_groups=[], capture_output=True, check=False, cwd="/",
            )  # fmt: skip
        except OSError:
            continue
        if done.returncode == 0:
            return program
    return None


def _imports() -> str:
    return f"import sys; sys.path[:0] = {sys.path!r}; import zmq, msgspec, uvloop, zdeferd"


class SecondDaemon(Daemon):
    """A daemon of the second user, in a home of theirs."""

    def start(self) -> "SecondDaemon":
        program = python_for(SECOND_UID)
        if program is None:
            pytest.skip("no Python here that another user may execute")
        for path in (self.home, self.home / "run", self.errors):
            os.chown(path, SECOND_UID, SECOND_UID)
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [program, "-c", MODULE.format(path=sys.path)],
                env=self.env, stderr=errors, stdin=subprocess.DEVNULL, start_new_session=True,
                user=SECOND_UID, group=SECOND_UID, extra_groups=[], cwd="/",
            )  # fmt: skip
        until(lambda: "serves" in self.errors.read_text())
        return self


@pytest.fixture
def second(home: Path) -> Iterator[SecondDaemon]:
    with contextlib.closing(SecondDaemon(home)) as made:
        yield made


def as_second(function: Callable[[], object]) -> None:
    """Call it in a child that is the second user; it must return."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(SECOND_UID)
            os.setuid(SECOND_UID)
            function()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a child of the test must not go on
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


@contextmanager
def no_process_for(pid: int) -> Iterator[None]:
    """A process of the second user that may make no other, while in here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)  # it inherited these
    as_second(lambda: resource.prlimit(pid, resource.RLIMIT_NPROC, (0, hard)))
    try:
        yield
    finally:
        as_second(lambda: resource.prlimit(pid, resource.RLIMIT_NPROC, (soft, hard)))


@needs_root
def test_no_process_is_left(second: SecondDaemon, home: Path) -> None:
    second.start()
    as_second(lambda: prompt(second, "before", "true"))
    assert wait_ended(second, "before") == [("succeeded", 0)]
    spawner = spawner_of(second)
    with no_process_for(spawner):
        as_second(lambda: prompt(second, "later", f"echo x >> {home}/count"))
        until(lambda: "cannot start jobs for now" in second.errors.read_text())
        assert os.strerror(errno.EAGAIN) in second.errors.read_text()
    assert wait_ended(second, "later") == [("succeeded", 0)]
    assert (home / "count").read_text() == "x\n"


@needs_root
def test_no_process_is_left_for_the_daemon_itself(second: SecondDaemon, home: Path) -> None:
    """No new spawner can be started, nor a thread for the log: nothing is lost."""
    log = home / "logs/seg.log"
    log.parent.mkdir()
    os.mkfifo(home / "gate")
    for path in (log.parent, home / "gate"):
        os.chown(path, SECOND_UID, SECOND_UID)
    second.start()
    assert second.process is not None
    slow = f"touch {home}/began; read < {home}/gate"
    as_second(lambda: prompt(second, "slow", slow, log))
    until((home / "began").exists)
    spawner = spawner_of(second)
    with no_process_for(second.process.pid):
        os.kill(spawner, signal.SIGKILL)
        (home / "gate").write_text("go\n")
        second.wait_until_done(1)
        assert log.read_text().count("DEFERRED id=slow ") == 1
        as_second(lambda: prompt(second, "later", f"echo x >> {home}/count", log))
        until(lambda: "cannot start jobs for now" in second.errors.read_text())
    assert wait_ended(second, "later") == [("succeeded", 0)]
    second.wait_until_done(2)
    assert (home / "count").read_text() == "x\n"
    assert log.read_text().count("DEFERRED id=later ") == 1


def test_no_descriptor_is_left_for_the_spawner(daemon: Daemon, home: Path) -> None:
    daemon.start()
    prompt(daemon, "before", "true")
    assert wait_ended(daemon, "before") == [("succeeded", 0)]
    with limited(spawner_of(daemon), resource.RLIMIT_NOFILE, 3):
        prompt(daemon, "later", f"echo x >> {home}/count")
        until(lambda: "cannot start jobs for now" in daemon.errors.read_text())
        assert "Too many open files" in doctor(daemon)
    assert wait_ended(daemon, "later") == [("succeeded", 0)]
    assert (home / "count").read_text() == "x\n"


def test_no_descriptor_is_left_for_a_runner(daemon: Daemon, home: Path) -> None:
    """It has the lock, but no pipe for the output is to be had."""
    daemon.start()
    prompt(daemon, "before", "true")
    assert wait_ended(daemon, "before") == [("succeeded", 0)]
    spawner = spawner_of(daemon)
    open_ones = len(os.listdir(f"/proc/{spawner}/fd"))
    with limited(spawner, resource.RLIMIT_NOFILE, open_ones + 3):
        prompt(daemon, "later", f"echo x >> {home}/count")
        until(lambda: "cannot start jobs for now" in daemon.errors.read_text())
        assert "Too many open files" in doctor(daemon)
    assert wait_ended(daemon, "later") == [("succeeded", 0)]
    assert (home / "count").read_text() == "x\n"


def test_no_descriptor_is_left_for_the_daemon_when_a_job_ends(daemon: Daemon, home: Path) -> None:
    """How it ended is looked up again, without a storm, and never guessed."""
    os.mkfifo(home / "gate")
    daemon.start()
    prompt(daemon, "slow", f"echo x >> {home}/count; read < {home}/gate; exit 9")
    until((home / "count").exists)
    assert daemon.process is not None
    pid = daemon.process.pid
    with Peer(daemon.socket) as peer:
        peer.request(control.Ping())  # connected already: libzmq needs no new descriptor
        open_ones = sorted(map(int, os.listdir(f"/proc/{pid}/fd")))
        gap = next(n for n in range(len(open_ones) + 1) if n not in open_ones)
        with limited(pid, resource.RLIMIT_NOFILE, gap):
            before = _cpu_ticks(pid)
            (home / "gate").write_text("go\n")
            until((daemon.state / "runs/1/outcome.json").exists)
            assert isinstance(peer.request(control.Ping()), control.Pong)
            assert _cpu_ticks(pid) - before < 30, "it spins"
            assert daemon.rows("SELECT state FROM runs") == [("dispatched",)]
    assert wait_ended(daemon, "slow") == [("failed", 9)]
    assert (home / "count").read_text() == "x\n"


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
