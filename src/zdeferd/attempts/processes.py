"""Reads the process table and signals processes safely.

Owns the uses of /proc/PID, pidfds and the subreaper. Standard library only, and light: the
spawner imports it under `python -I -S`, so no typing, no dataclasses, no psutil.

Assumes Linux 5.4 or macOS. Where a feature is missing the function does the next best
thing and names it in its docstring; nothing here raises for a missing feature.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time

LINUX = sys.platform == "linux"
# Looked up here, once: a runner, which is a fork, would pay for each lookup again.
_prctl = ctypes.CDLL(None).prctl if LINUX else None
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> bool:
    """Make orphans below this process its children. False where the system has no subreapers."""
    if _prctl is None:
        return False
    return bool(_prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


# --- the process table ---------------------------------------------------------


class Process:
    """One line of the process table. `started`: clock ticks after boot, 0 unknown."""

    __slots__ = ("parent", "pid", "session", "started", "state")

    def __init__(self, pid: int, state: str, parent: int, session: int, started: int) -> None:
        self.pid, self.state, self.parent = pid, state, parent
        self.session, self.started = session, started

    def same(self, other: Process | None) -> bool:
        """Tell whether `other` is this process, not a later one with its number."""
        return other is not None and (self.pid, self.started) == (other.pid, other.started)


def look_at(pid: int) -> Process | None:
    """Return the process that has this number now; None: there is none (or no /proc)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name in parentheses may hold anything, parentheses too: split behind the last.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def processes() -> dict[int, Process]:
    """Return the process table, by number."""
    if not LINUX:
        return _processes_by_ps()
    seen = (look_at(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return {process.pid: process for process in seen if process is not None}


def _processes_by_ps() -> dict[int, Process]:
    table = {}
    for line in _output_of("/bin/ps", "-axo", "pid=,ppid=,stat=").splitlines():
        pid, parent, state = line.split()[:3]
        try:
            session = os.getsid(int(pid))
        except OSError:
            continue
        table[int(pid)] = Process(int(pid), state[0], int(parent), session, 0)
    return table


def _output_of(*command: str) -> str:
    import subprocess  # macOS only: at the top it would cost a quarter of the spawner's start

    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def tree_of(*roots: int) -> list[Process]:
    """Return every descendant of these processes, without themselves."""
    table = processes()
    children: dict[int, list[Process]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    todo = list(roots)
    while todo:
        new = [child for child in children.get(todo.pop(), ()) if child.pid not in found]
        found.update((child.pid, child) for child in new)
        todo.extend(child.pid for child in new)
    return [process for pid, process in found.items() if pid not in roots]


def session_of(leader: int) -> list[Process]:
    """Return every process of the session that process `leader` opened."""
    return [process for process in processes().values() if process.session == leader]


def has_open(pid: int, file: os.stat_result) -> bool:
    """Tell whether process `pid` has `file` open. False where its descriptors are hidden."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    for name in names:
        try:
            seen = os.stat(f"{folder}/{name}")
        except OSError:
            continue  # closed since
        if (seen.st_dev, seen.st_ino) == (file.st_dev, file.st_ino):
            return True
    return False


# --- signals to exactly that process -------------------------------------------


class Handle:
    """Refers to one process, so that no signal reaches a later one with its number.

    A pidfd on Linux; elsewhere only the number, so there a reused one is possible.
    ProcessLookupError: no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = os.pidfd_open(pid) if LINUX else -1
        if not LINUX:
            os.kill(pid, 0)

    def send(self, number: int) -> bool:
        """Send a signal. False: the process is gone, or not ours to signal."""
        try:
            if self.fd >= 0:
                signal.pidfd_send_signal(self.fd, number)
            else:
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def close(self) -> None:
        """Close the pidfd."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def signal_processes(targets: list[Process], *numbers: int) -> None:
    """Send signals to these processes, and to no later ones with their numbers."""
    for handle in _signalled(targets, numbers):
        handle.close()


def end(targets: list[Process], patience_s: float, *numbers: int) -> bool:
    """Send signals and wait, at most `patience_s`, until all signalled processes have ended.

    False: some have not, or none could be signalled. Without pidfds it waits the whole
    time and looks then.
    """
    handles = _signalled(targets, numbers)
    try:
        return bool(handles) and _wait_ended(handles, patience_s)
    finally:
        for handle in handles:
            handle.close()


def _signalled(targets: list[Process], numbers: tuple[int, ...]) -> list[Handle]:
    reached = []
    for target in targets:
        try:
            handle = Handle(target.pid)
        except OSError:
            continue
        same = not LINUX or target.same(look_at(target.pid))
        if same and all(handle.send(number) for number in numbers):
            reached.append(handle)
        else:
            handle.close()
    return reached


def _wait_ended(handles: list[Handle], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    poll = select.poll()
    waiting = {handle.fd for handle in handles if handle.fd >= 0}
    if not waiting:
        poll.poll(max(0, int(patience_s * 1000)))
        return not any(handle.send(0) for handle in handles)
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(int(left * 1000) + 1):
            poll.unregister(fd)
            waiting.discard(fd)
    return not waiting
