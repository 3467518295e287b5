"""Finding the processes of one arena, and ending them at an instant that can be looked at.

A process is ours if its environment names the arena's home: the daemon, the spawners and
the runners by the variable of the crash points, the jobs by HOME. To kill one is to stop
it, to look at what it has done so far, and then to send SIGKILL: it dies at the very
instant at which it was stopped, and what its death must bring is known exactly.
"""

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

from zdeferd.processes import tree

LIMIT_S = 200.0


class Runner(NamedTuple):
    """A runner and the run it is for."""

    pid: int
    run: int


class Prey(NamedTuple):
    """All processes of an arena but the daemon."""

    spawners: list[int]
    runners: list[Runner]
    jobs: list[tuple[int, Runner]]
    """Main processes of jobs, each with its runner."""


def ours(home: Path) -> list[int]:
    """Every process whose environment names `home`."""
    name = os.fsencode(home)
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and name in _read(f"/proc/{entry}/environ"):
            found.append(int(entry))
    return found


def look(home: Path) -> Prey:
    """Who is there now."""
    table = {pid: process for pid in ours(home) if (process := tree.look_at(pid))}
    forked = [pid for pid in table if b"spawner.py" in _read(f"/proc/{pid}/cmdline")]
    found = [_runner(pid, table[pid].parent, home, forked) for pid in forked]
    by_pid = {runner.pid: runner for runner in found if runner}
    # A job's process is a copy of its runner until it has executed its program.
    runners = [runner for pid, runner in by_pid.items() if table[pid].parent not in by_pid]
    by_pid = {runner.pid: runner for runner in runners}
    jobs = [
        (pid, by_pid[process.parent])
        for pid, process in table.items()
        if process.parent in by_pid and process.session == pid and pid not in forked
    ]
    spawners = [pid for pid in forked if table[pid].parent not in forked and pid not in by_pid]
    return Prey(spawners, runners, jobs)


def _runner(pid: int, parent: int, home: Path, forked: list[int]) -> Runner | None:
    """The runner that `pid` is; None: it is a spawner."""
    for name in _links(pid):
        folder, _, file = name.rpartition("/")
        held = file == "lock" or (file == "alive" and parent in forked)
        if held and folder.startswith(f"{home}/") and folder.rpartition("/")[2].isdecimal():
            return Runner(pid, int(folder.rpartition("/")[2]))
    return None


def _links(pid: int) -> list[str]:
    links = []
    with contextlib.suppress(OSError):  # it has ended
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return links


class Frozen:
    """A process that was stopped, for as long as we look at it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle: tree.Handle | None = None
        try:
            self._handle = tree.Handle(pid)
        except OSError:
            return
        self._handle.send(signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT_S
        while (process := tree.look_at(pid)) and process.state not in "TtZX":
            assert time.monotonic() < deadline, f"cannot be stopped: {pid} {process.state}"
            os.sched_yield()
        if process is None or process.state in "ZX":
            self._handle.close()
            self._handle = None

    def __bool__(self) -> bool:
        return self._handle is not None

    def kill(self, group: bool = False) -> None:
        """SIGKILL, to its whole process group if so wished, and wait for its end."""
        assert self._handle is not None
        if group and os.getpgid(self.pid) == self.pid:
            os.killpg(self.pid, signal.SIGKILL)
        self._handle.send(signal.SIGKILL)
        while (process := tree.look_at(self.pid)) and process.state not in "ZX":
            os.sched_yield()
        self._handle.close()

    def go_on(self) -> None:
        """SIGCONT."""
        assert self._handle is not None
        self._handle.send(signal.SIGCONT)
        self._handle.close()


def started(folder: Path) -> int:
    """The last attempt whose runner noted that it is about to start the job; 0: none."""
    last = 0
    for path in folder.glob("started.*"):
        if not path.is_symlink() and b"\n" in _read(path):
            last = max(last, int(path.suffix[1:]))
    return last


def recorded(folder: Path) -> bool:
    """Whether the runner has recorded an outcome."""
    return bool(_json(folder / "outcome.json"))


def _json(path: Path) -> object:
    try:
        return json.loads(_read(path))
    except ValueError:
        return None


def command(pid: int) -> bytes:
    """A process' command line."""
    return _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ")


def stopped(home: Path) -> list[int]:
    """Those of ours that a crash point has stopped."""
    table = [process for pid in ours(home) if (process := tree.look_at(pid))]
    return [process.pid for process in table if process.state == "T"]


def end_all(home: Path) -> None:
    """Kill every process of the arena."""
    while left := [pid for pid in ours(home) if pid != os.getpid()]:
        for pid in left:
            frozen = Frozen(pid)
            if frozen:
                frozen.kill()


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
