"""A machine whose power can fail: a forgetful disk, a daemon on it, shells, and witnesses.

Owns a folder in /tmp. `disk` is the user's home, on the file system that server.py serves;
what a reboot empties anyway (`run`, with the socket) and what bears witness (`starts`, a file
for each job, with a byte for each start) lie beside it. The daemon and all that it starts live
in a PID namespace of their own, so that one signal ends them all; each boot has an id of its
own. Needs root, and a mount namespace in which nothing matters: __main__.py sees to both.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import zmq
from support.daemon import visit

LIMIT_S = 400.0
NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
BOOT = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
JOBS = """
[once-ever]
run = "print -n x >> $STARTS/once-ever; sleep 0.05"
once_per = "ever"
env = { STARTS = "%(starts)s" }

[once-boot]
run = "print -n x >> $STARTS/once-boot"
once_per = "boot"
env = { STARTS = "%(starts)s" }

[once-day]
run = "print -n x >> $STARTS/once-day"
once_per = "day"
env = { STARTS = "%(starts)s" }

[again]
run = "print -n x >> $STARTS/again; sleep 0.05"
idempotent = true
attempts = 3
env = { STARTS = "%(starts)s" }

[on-change]
run = "print -n x >> $STARTS/on-change"
once_per = "change"
watch = ["~/watched"]
env = { STARTS = "%(starts)s" }
"""


class Shell:
    """One visit, until it is answered."""

    def __init__(self, nonce: str, frames: list[bytes]) -> None:
        self.nonce, self.frames = nonce, frames
        self.socket: zmq.Socket[bytes] | None = None

    def close(self) -> None:
        """Hang up."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Machine:
    """Composes all of it; `close` ends what is left and removes the folder."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="zp.", dir="/tmp"))
        for name in ("disk", "run", "starts"):
            (self.base / name).mkdir(mode=0o700)
        self.disk, self.errors = self.base / "disk", self.base / "stderr"
        self.state = self.disk / ".local/state/zdeferd"
        self.boots = 0
        self.is_on = False
        self.open: list[Shell] = []
        self.answered: list[str] = []
        """Nonces whose visit was answered, whatever came after."""
        self._ours, theirs = socket.socketpair()
        self._said = self._ours.makefile("r")
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "powercut.server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=self._python(),
            )
        self._daemon: subprocess.Popen[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    @staticmethod
    def _python() -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}

    # --- power

    def mount(self, cut_at: int = 0, seed: int = 0, lies: bool = False) -> None:
        """The disk is there again; its power fails at the `cut_at`-th change (0: never)."""
        self._order({"mount": str(self.disk), "cut_at": cut_at, "seed": seed, "lies": lies})
        assert self._said.readline() == "on\n"
        self.is_on = True

    def boot(self) -> None:
        """Start a daemon in another boot; its answer is not waited for."""
        self.boots += 1
        boot_id = self.base / "boot_id"
        boot_id.write_text(f"boot-{self.boots}\n")
        shutil.rmtree(self.base / "run")
        (self.base / "run").mkdir(mode=0o700)
        paths = {"HOME": str(self.disk), "XDG_RUNTIME_DIR": str(self.base / "run")}
        daemon = [sys.executable, "-m", "zdeferd.daemon"]
        with self.errors.open("ab") as errors:
            self._daemon = subprocess.Popen(
                [*NAMESPACES, "sh", "-c", BOOT, str(boot_id), *daemon],
                env=self._python() | {"LANG": "C.UTF-8"} | paths,
                stdin=subprocess.DEVNULL,
                stderr=errors,
            )
        for shell in self.open:  # a shell that was not answered is gone with its boot
            shell.close()
        self.open.clear()

    def off(self) -> bool:
        """Whether the power has failed."""
        if self.is_on and zmq.select([self._ours], [], [], 0)[0]:
            assert self._said.readline() == "off\n"
            self.is_on = False
        return not self.is_on

    def cut(self, seed: int) -> None:
        """The power fails now, unless it has."""
        if not self.off():
            self._order({"cut": seed})
            self.wait_off()

    def wait_off(self) -> None:
        """Until the power has failed."""
        assert zmq.select([self._ours], [], [], LIMIT_S)[0], "the power did not fail"
        assert self.off()

    def end_everything(self) -> None:
        """Nothing that ran in this boot is left, and the dead mount is gone."""
        if self._daemon is not None:
            for child in self._init_of(self._daemon.pid):
                os.kill(child, signal.SIGKILL)
            self._daemon.wait(LIMIT_S)
            self._daemon = None
        subprocess.run(["umount", "-l", str(self.disk)], check=True)

    def leave(self) -> int:
        """Stop the daemon as a service manager does; its exit code."""
        assert self._daemon is not None
        for child in self._init_of(self._daemon.pid):
            os.kill(child, signal.SIGTERM)
        return self._daemon.wait(LIMIT_S)

    @staticmethod
    def _init_of(parent: int) -> list[int]:
        path = Path(f"/proc/{parent}/task/{parent}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def _order(self, order: dict[str, int | str]) -> None:
        self._ours.sendall(json.dumps(order).encode() + b"\n")

    # --- what happens while it is on

    def write_jobs(self) -> None:
        """The user's job files, which are on the disk for good."""
        folder = self.disk / ".config/zdeferd/jobs.d"
        folder.mkdir(mode=0o700, parents=True)
        for name, text in {
            folder / "jobs.toml": JOBS % {"starts": self.base / "starts"},
            folder.parent / "config.toml": "jobs_at_once = 3\n",
            self.disk / "watched": "0",
        }.items():
            name.write_text(text)
            name.chmod(0o600)
        for path in (self.disk, *folder.parents[:2], folder, *folder.rglob("*")):
            self.sync(path)
        for path in (folder / "jobs.toml", folder.parent / "config.toml", self.disk / "watched"):
            self.sync(path)

    @staticmethod
    def sync(path: Path) -> None:
        """Make a file's contents, or a folder's names, durable."""
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def call(self, nonce: str, jobs: dict[str, str], log: Path) -> None:
        """A shell that hands over `jobs`; who answers it is seen by `turn`."""
        environ = {
            "HOME": str(self.disk),
            "PATH": os.environ["PATH"],
            "PERF_SEGMENT_LOG": str(log),
            "PERF_SAMPLE_CONTEXT": nonce,
        }
        shell = Shell(nonce, visit(nonce, 1, jobs, environ))
        shell.socket = self._context.socket(zmq.DEALER)
        shell.socket.setsockopt(zmq.LINGER, 0)
        shell.socket.setsockopt(zmq.RECONNECT_IVL, 10)
        shell.socket.connect(f"ipc://{self.base}/run/zdeferd/sock")
        shell.socket.send_multipart(shell.frames)
        self.open.append(shell)

    def turn(self, limit_s: float = 0.02) -> None:
        """Wait for an answer or for the power to fail, and take answers in."""
        assert self._daemon is not None
        alive = self._daemon.poll() is None or self.off()
        assert alive, f"the daemon ended by itself: {self._daemon.returncode} {self.complaint()}"
        sockets = [shell.socket for shell in self.open]
        zmq.select([self._ours, *sockets], [], [], limit_s)
        for shell in list(self.open):
            assert shell.socket is not None
            if shell.socket.poll(0):
                answer = shell.socket.recv_multipart()
                assert answer[0] == b"ok", answer
                self.answered.append(shell.nonce)
                shell.close()
                self.open.remove(shell)

    def wait_answered(self) -> None:
        """Until every shell is answered, or the power fails."""
        deadline = time.monotonic() + LIMIT_S
        while self.open and not self.off():
            assert time.monotonic() < deadline, f"no answer: {self.complaint()}"
            self.turn()

    def starts(self) -> Counter[str]:
        """How often each job has started, as the jobs say."""
        return Counter({f.name: f.stat().st_size for f in (self.base / "starts").iterdir()})

    def complaint(self) -> str:
        """What the daemons said."""
        return self.errors.read_text()[-2000:] if self.errors.exists() else ""

    def close(self) -> None:
        """End what was started here, and remove the folder."""
        for shell in self.open:
            shell.close()
        self._context.destroy(0)
        if self.is_on:
            self.cut(0)
        if self._daemon is not None or os.path.ismount(self.disk):
            self.end_everything()
        self._said.close()
        self._ours.close()
        self._server.wait(LIMIT_S)
        shutil.rmtree(self.base)
