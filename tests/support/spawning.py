"""A real spawner and its runners, as the daemon sees them; and pipes that jobs write to.

Nothing here sleeps: each wait is for a descriptor, at most LIMIT_S. On leaving, every
job that a test started is ended by the functions under test, and the folder goes.
"""

import json
import os
import select
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zdeferd
from zdeferd.judging import judge, leftovers
from zdeferd.rules import verdicts

LIMIT_S = 200.0
"""No single event takes longer, or the test fails."""
SPAWNER = Path(zdeferd.__file__).with_name("attempts") / "spawner.py"
PATH = os.environ["PATH"]


def wait_readable(fd: int) -> None:
    """Until `fd` has something to say, or the test fails."""
    assert select.select([fd], [], [], LIMIT_S)[0], "nothing was heard in time"


def wait_gone(pidfd: int) -> None:
    """Until the process has ended; closes the pidfd."""
    wait_readable(pidfd)
    os.close(pidfd)


class Telephone:
    """A FIFO that jobs write lines to: `echo $$ >> NAME`."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._lines: list[str] = []

    def __str__(self) -> str:
        return shlex.quote(str(self.path))

    def line(self) -> str:
        """The next line that a job wrote."""
        while not self._lines:
            wait_readable(self._fd)
            self._lines += os.read(self._fd, 4096).decode().splitlines()
        return self._lines.pop(0)

    def pidfd(self) -> int:
        """The next line, a pid, as a hold on that process."""
        return os.pidfd_open(int(self.line()))

    def close(self) -> None:
        os.close(self._fd)


class Started:
    """One attempt that was asked for, and the reading end of its `alive`."""

    def __init__(self, folder: str, attempt: int, alive: int) -> None:
        self.folder, self.attempt, self.alive = folder, attempt, alive
        self.said = b""
        self.answer: dict[str, Any] = {}

    def wait_started(self) -> Self:
        """Until the runner says that the job has started."""
        while b"started\n" not in self.said:
            wait_readable(self.alive)
            data = os.read(self.alive, 4096)
            assert data, f"its runner ended first, and said {self.said!r}"
            self.said += data
        return self

    def wait_gone(self) -> Self:
        """Wait until no process holds `alive`."""
        data = b"-"
        while data:
            wait_readable(self.alive)
            data = os.read(self.alive, 4096)
            self.said += data
        return self

    def verdict(self) -> verdicts.Verdict:
        """Return the verdict on the run once its runner is gone."""
        self.wait_gone()
        return judge.judge(self.folder, self.attempt)

    def outcome(self) -> dict[str, Any]:
        """The record that it left."""
        verdict = self.verdict()
        assert isinstance(verdict, verdicts.Ended), (verdict, self.said)
        return verdict.outcome

    def output(self) -> bytes:
        """Return the job's output as it was kept."""
        return Path(self.folder, "output").read_bytes()

    def marks(self) -> dict[str, Any]:
        """Return the runner's record of its start."""
        lines = Path(self.folder, f"started.{self.attempt}").read_text().splitlines()
        return {key: value for line in lines for key, value in json.loads(line).items()}


class Spawner:
    """`python -I -S spawner.py` and the daemon's end of its socket."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.runs = base / "runs"
        self.runs.mkdir()
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SPAWNER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.answers = self.socket.makefile("rb")
        self.socket.settimeout(LIMIT_S)
        self.started: list[Started] = []
        self.telephones: list[Telephone] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.leave()
        for started in self.started:
            # Once more where a runner was just about to start when it was told.
            for _ in range(3):
                if not isinstance(judge.judge(started.folder, started.attempt), verdicts.Running):
                    break
                judge.cancel(started.folder)
                select.select([started.alive], [], [], LIMIT_S)
            assert leftovers.end(started.folder, grace_s=0.2)
            os.close(started.alive)
        for telephone in self.telephones:
            telephone.close()

    def leave(self) -> None:
        """Hang up, as a daemon's death does, and wait for the spawner's end."""
        self.hang_up()
        self.process.wait(LIMIT_S)

    def hang_up(self) -> None:
        """Close the daemon's end."""
        self.answers.close()
        self.socket.close()

    def telephone(self) -> Telephone:
        """A new FIFO for jobs to write to."""
        telephone = Telephone(self.base / f"phone{len(self.telephones)}")
        self.telephones.append(telephone)
        return telephone

    def request(self, run: int = 1, attempt: int = 1, **fields: Any) -> Started:
        """Prepare and send a request, without waiting for its answer."""
        folder = str(self.runs / str(run))
        judge.make(folder)
        started = Started(folder, attempt, judge.prepare(folder))
        self.started.append(started)
        request = {
            "folder": folder,
            "attempt": attempt,
            "argv": None,
            "script": None,
            "env": {"PATH": PATH, "HOME": str(self.base)},
            "cwd": str(self.base),
            "timeout_ms": 0,
            "grace_ms": 1000,
            "output_limit_bytes": 1 << 20,
            "background": False,
            "publish": None,
            "limits": {"nofile": [1024, 4096], "data": [-1, -1]},
        }
        self.socket.sendall(json.dumps(request | fields).encode() + b"\n")
        return started

    def start(self, run: int = 1, attempt: int = 1, **fields: Any) -> Started:
        """Ask for an attempt, and take in the answer."""
        started = self.request(run, attempt, **fields)
        started.answer = self.answer()
        return started

    def answer(self) -> dict[str, Any]:
        """The spawner's next line."""
        line = self.answers.readline()
        assert line, "the spawner is gone"
        answer: dict[str, Any] = json.loads(line)
        return answer


def until(condition: Callable[[], bool]) -> None:
    """Wait for a state of another process that no descriptor announces."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        os.sched_yield()
