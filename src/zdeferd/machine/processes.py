"""Finds what can be known of processes that run now: their cost, names, owners and sockets.

Numbers of a tree that still runs are a look at one instant: a process can come or go
meanwhile. The cost of a run that has ended is the runner's (getrusage), which is exact.

psutil is imported at the first look, because it takes 30 ms.
"""

from __future__ import annotations

import os
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psutil

CLOCK_SLACK_S = 2.0
"""A process's start is computed from the boot's instant, which a set clock moves."""


MULTIPLEXERS = {"TMUX": "/dev/null,0,0", "STY": "zdeferctl", "ZELLIJ": "0"}
"""The variables that mark a shell inside tmux, screen or zellij, with values as these set them."""


def as_in_multiplexer(env: Mapping[str, str]) -> dict[str, str]:
    """Return `env` as a shell inside a multiplexer has it, for a shell that zdeferctl starts.

    Elsewhere a .zshrc may execute a multiplexer, whose session would stay.
    """
    return MULTIPLEXERS | dict(env)


class Process(NamedTuple):
    """A process of this boot that may have gone since; a pid of 0: not known."""

    pid: int = 0
    begun: int = 0
    """Ticks of the clock after the boot: tells it from a later one of that number."""


UNKNOWN = Process()


def process_of(pid: int) -> Process:
    """Return the process that has the number now; an unknown one where there is none. Linux."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in brackets, may hold blanks and brackets; 20th behind it: starttime.
            return Process(pid, int(file.read().rpartition(b")")[2].split()[19]))
    except (OSError, IndexError):
        return UNKNOWN


def may_live(process: Process) -> bool:
    """Return whether a process of this boot runs; True as well where that is not known."""
    return not process.pid or process_of(process.pid) == process


def may_listen(path: str) -> bool:
    """Return whether a process listens at the socket `path`. Never waits for it."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.setblocking(False)
        try:
            peer.connect(path)
        except BlockingIOError:  # many others wait for it
            return True
        except (OSError, ValueError):
            return False
    return True


def listens(path: str) -> bool:
    """Return whether a process listens at the socket, without a visit. Linux; elsewhere False."""
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            return any(line.endswith(f" {path}\n") for line in file)
    except OSError:
        return False


class LiveCost(NamedTuple):
    """The use of a process tree so far, at the instant of the look."""

    cpu_s: float
    """User and system time, of processes that have ended as far as a parent reaped them."""
    memory_bytes: int
    """The sum of resident sizes; a page that processes share counts in each."""
    processes: int
    ready: int = 0
    """Of them those that run, or wait for a processor."""


def live_cost(runner: int, started_at: float) -> LiveCost | None:
    """Return the cost so far of all that process `runner` has started; None: it has gone.

    `started_at` is when it began: a younger process has only inherited its number.
    """
    import psutil

    try:
        top = psutil.Process(runner)
        if top.create_time() > started_at + CLOCK_SLACK_S:
            return None
        reaped = top.cpu_times()
        looks = [look for process in _below(top) if (look := _look(process))]
    except psutil.Error:
        return None
    cpu_s = reaped.children_user + reaped.children_system
    cpu_s += sum(look.cpu_s for look in looks)
    return LiveCost(
        cpu_s,
        sum(look.memory_bytes for look in looks),
        len(looks),
        sum(look.ready for look in looks),
    )


def _below(top: psutil.Process) -> list[psutil.Process]:
    """Return all processes below `top`.

    Linux lists the children of a process: no look at each process of the machine, which grows
    with their number.
    """
    import psutil

    if not os.path.exists(f"/proc/{top.pid}/task/{top.pid}/children"):
        return top.children(recursive=True)
    found: list[psutil.Process] = []
    for pid in _pids_below(top.pid):
        try:
            found.append(psutil.Process(pid))
        except psutil.Error:
            continue  # it has gone since
    return found


def _pids_below(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _pids_below(child)


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process; none where it has gone."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        return found
    return found


def _look(process: psutil.Process) -> LiveCost | None:
    """Return the cost of one process; None: it has gone or is not ours."""
    import psutil

    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
            ready = process.status() == psutil.STATUS_RUNNING
    except psutil.Error:
        return None
    cpu_s = times.user + times.system + times.children_user + times.children_system
    return LiveCost(cpu_s, memory.rss, 1, int(ready))


def named(pid: int) -> str:
    """Return `pid 7 (zsh, of alice)`, or `pid 7` alone where the process has gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return f"pid {pid} ({process.name()}, of {process.username()})"
    except psutil.Error:
        return f"pid {pid}"


def openers(path: str) -> list[int]:
    """Return the pids of other processes of this user that have the file `path` open."""
    return list(_openers(path))


def _openers(path: str) -> Iterator[int]:
    import psutil

    path = os.path.realpath(path)
    for process in psutil.process_iter():
        try:
            ours = process.pid != os.getpid() and process.uids().real == os.getuid()
            if ours and any(file.path == path for file in process.open_files()):
                yield process.pid
        except psutil.Error:
            continue
