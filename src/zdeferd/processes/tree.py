"""Reads the process table and signals processes safely.

Owns the uses of /proc/PID, pidfds and the subreaper. Standard library only, and light: the
spawner imports it under `python -I -S`, so no typing, no dataclasses, no psutil.

Assumes Linux 5.4 or macOS. Where a feature is missing the function does the next best
thing and names it in its docstring; nothing here raises for a missing feature.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LINUX = sys.platform == "linux"
LOOK_AGAIN_S = 0.02
"""Between two looks at a process whose end no descriptor tells."""
_NO_PIDFD = (errno.ENOSYS, errno.EPERM, errno.EMFILE, errno.ENFILE)
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
        """Return whether `other` is this process, not a later one with its number."""
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
    """Return whether process `pid` has `file` open. False where its descriptors are hidden."""
    return any(True for _ in _descriptors_of(pid, file))


def has_locked(pid: int, file: os.stat_result) -> bool:
    """Return whether process `pid` has the very opening of `file` that holds its flock.

    It made that opening itself or inherited it; another process that opened the file has not.
    """
    for name in _descriptors_of(pid, file):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}", "rb") as info:
                if b"\nlock:" in info.read():
                    return True
        except OSError:
            continue  # closed since
    return False


def _descriptors_of(pid: int, file: os.stat_result) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            seen = os.stat(f"{folder}/{name}")
        except OSError:
            continue  # closed since
        if (seen.st_dev, seen.st_ino) == (file.st_dev, file.st_ino):
            yield name


# --- signals to exactly that process -------------------------------------------


class Handle:
    """Refers to one process, so that no signal reaches a later one with its number.

    A pidfd where the system has them; elsewhere only the number, so there a reused one is
    possible. ProcessLookupError: no such process. PermissionError: not ours, without pidfds.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.fd = _pidfd(pid)
        if self.fd < 0:
            os.kill(pid, 0)

    def send(self, number: int) -> bool:
        """Send a signal. False: the process is gone, or not ours to signal."""
        try:
            self._send(number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _send(self, number: int) -> None:
        if self.fd >= 0:
            try:
                signal.pidfd_send_signal(self.fd, number)
                return
            except OSError as error:
                if error.errno not in _NO_PIDFD:
                    raise
        os.kill(self.pid, number)

    def close(self) -> None:
        """Close the pidfd."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _pidfd(pid: int) -> int:
    """Return a pidfd; -1 where there are none: an old kernel, a sandbox, no descriptor left."""
    try:
        return os.pidfd_open(pid) if LINUX else -1
    except OSError as error:
        if error.errno in _NO_PIDFD:
            return -1
        raise


def signal_processes(targets: Iterable[Process], *numbers: int) -> int:
    """Send signals to these processes, and to no later ones; return how many got them."""
    return sum(_signal(target, numbers) for target in targets)


def _signal(target: Process, numbers: tuple[int, ...]) -> bool:
    try:
        handle = Handle(target.pid)
    except OSError:
        return False
    try:
        same = not LINUX or target.same(look_at(target.pid))
        return same and all(handle.send(number) for number in numbers)
    finally:
        handle.close()


def kill_all(find: Callable[[], list[Process]]) -> int:
    """Kill all that `find` returns, again and again until it returns nothing new.

    All are stopped first, so that none makes a child meanwhile: a fork bomb ends too. Return
    how many got the signal; they may live for an instant more.
    """
    stopped: dict[tuple[int, int], Process] = {}
    while new := [one for one in find() if (one.pid, one.started) not in stopped]:
        signal_processes(new, signal.SIGSTOP)
        stopped.update({(one.pid, one.started): one for one in new})
    return signal_processes(stopped.values(), signal.SIGKILL)


def wait_ended(targets: list[Process], patience_s: float) -> bool:
    """Wait until these processes have ended; False: some have not within `patience_s`."""
    deadline = time.monotonic() + patience_s
    for target in targets:
        while _lives(target):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            _wait_for(target.pid, left)
    return True


def _lives(target: Process) -> bool:
    if LINUX:
        found = look_at(target.pid)
        return found is not None and target.same(found) and found.state != "Z"
    try:
        os.kill(target.pid, 0)
    except OSError:
        return False
    return True


def _wait_for(pid: int, patience_s: float) -> None:
    """Return at the end of the process, or, without pidfds, after LOOK_AGAIN_S."""
    try:
        fd = _pidfd(pid)
    except OSError:
        return  # it has ended
    poll = select.poll()
    if fd >= 0:
        poll.register(fd, select.POLLIN)
    else:
        patience_s = min(patience_s, LOOK_AGAIN_S)
    poll.poll(int(patience_s * 1000) + 1)
    if fd >= 0:
        os.close(fd)
