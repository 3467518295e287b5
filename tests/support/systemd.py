"""A real `systemd --user` in a mount namespace of its own, for one test.

It runs without systemd as PID 1: all it asks for is a folder /run/systemd/system, which
it gets in a private mount. Needs root (for the namespace) and systemd's own binary.
Two of them would divide the same cgroup, and end each other's units: one at a time.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.daemon import LIMIT_S, Daemon, attempts

SYSTEMD = "/lib/systemd/systemd"
PRIVATE_RUN = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec $0 --user"

PROGRAM = """#!/bin/sh
PYTHONPATH={path} exec {python} -m {module} "$@"
"""


def why_not() -> str:
    """Why it cannot run here; empty where it can."""
    if not os.path.exists(SYSTEMD):
        return "systemd is not installed"
    if os.geteuid() != 0:
        return "a mount namespace of its own needs root"
    if not shutil.which("nsenter"):
        return "nsenter is not installed"
    return ""


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other test, of this checkout or another, has a manager; then be that test."""
    with open(SYSTEMD, "rb") as program:
        fcntl.flock(program, fcntl.LOCK_EX)
        yield


class UserManager(Daemon):
    """The daemon as a unit: `start` and `stop` are the manager's, not ours."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.programs = Path(tempfile.mkdtemp(prefix="zd.bin.", dir="/tmp"))
        self.env["PATH"] = f"{self.programs}:{self.env['PATH']}"
        (home / ".config/systemd/user").mkdir(parents=True)
        with self.errors.open("wb") as log:
            self._manager = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", PRIVATE_RUN, SYSTEMD],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        private = home / "run/systemd/private"
        for _ in attempts():
            if private.exists():
                break

    def install(self) -> None:
        """`zdeferctl install`, with both programs on the PATH."""
        for name, module in (("zdeferd", "zdeferd.daemon"), ("zdeferctl", "zdeferd.cli")):
            program = self.programs / name
            text = PROGRAM.format(path=":".join(sys.path), python=sys.executable, module=module)
            program.write_text(text)
            program.chmod(0o755)
        self.inside("zdeferctl", "install")

    def inside(self, *command: str) -> str:
        """Run a command inside the manager's namespace; -> its output. It must succeed."""
        done = self.run_inside(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def run_inside(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """The same for a command that may fail."""
        return subprocess.run(
            ["nsenter", "-t", str(self._manager.pid), "-m", *command],
            env=self.env,
            text=True,
            capture_output=True,
            check=False,
            timeout=LIMIT_S,
        )

    def systemctl(self, *arguments: str) -> str:
        """`systemctl --user …`."""
        return self.inside("systemctl", "--user", *arguments)

    def drop_in(self, text: str) -> None:
        """Add a file of settings to the service."""
        folder = self.home / ".config/systemd/user/zdeferd.service.d"
        folder.mkdir()
        (folder / "test.conf").write_text(f"[Service]\n{text}\n")
        self.systemctl("daemon-reload")

    def property(self, name: str, unit: str = "zdeferd.service") -> str:
        """One property of a unit."""
        return self.systemctl("show", "-P", name, unit).strip()

    def wait_for_property(self, name: str, *expected: str) -> str:
        """Until a property of the service is one of `expected`."""
        found = ""
        for _ in attempts(LIMIT_S):
            found = self.property(name)
            if found in expected:
                return found
        raise AssertionError(f"{name}={found}, not {expected}\n{self.errors.read_text()}")

    def signal(self, number: int) -> int:
        """Send a signal to the daemon alone; its pid."""
        pid = int(self.property("MainPID"))
        assert pid > 1
        os.kill(pid, number)
        return pid

    def close(self) -> None:
        """End the units, the manager and the runs that are left."""
        self.run_inside("systemctl", "--user", "stop", "zdeferd.socket", "zdeferd.service")
        self.end_runs()
        self.run_inside("systemctl", "--user", "exit")
        try:
            self._manager.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self._manager.send_signal(signal.SIGKILL)
            self._manager.wait(LIMIT_S)
        shutil.rmtree(self.programs)
