"""The platform seam for processes: what Linux offers beyond POSIX, and its absence.

Owns every use of /proc, prctl, ioprio and pidfd outside of the clocks (timers.py) and
the keyboard (machine/quiet.py). Standard library only, and light: the spawner imports it under
`python -I -S`, so no typing, no dataclasses, no psutil.

Assumes Linux 5.4 or macOS. Where a feature is missing the function does the next best
thing and says which in its docstring; nothing here raises for a missing feature.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import struct
import sys
import time

LINUX = sys.platform == "linux"
_MACHINE = os.uname().machine
# Looked up here, once: a runner, which is a fork, would pay for each lookup again.
_LIBC = ctypes.CDLL(None)
_syscall = _LIBC.syscall
_prctl = _LIBC.prctl if LINUX else None

# --- the machine ---------------------------------------------------------------


def boot_id() -> str:
    """A text that is new in every boot of this machine."""
    if LINUX:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    return _output_of("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid").strip()


def _output_of(*command: str) -> str:
    import subprocess  # macOS only: a quarter of the spawner's start, were it at the top

    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


# --- limits and priorities of this process -------------------------------------

_PR_SET_CHILD_SUBREAPER = 36
_IOPRIO_LOWEST_BEST_EFFORT = (2 << 13) | 7
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "i686": 289}
"""ioprio_set(2) has no wrapper in libc; its number depends on the machine."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "armv7l": 380, "i686": 351}
_SCHED_OTHER, _SCHED_BATCH = 0, 3
_SHORTEST_SLICE_NS, _LONGEST_SLICE_NS = 100_000, 100_000_000
"""What sched_setattr(2) takes as the runtime of a fair task, from Linux 6.12 on; older ones
take no notice of it."""


def raise_nofile() -> tuple[int, int]:
    """Raise the soft descriptor limit to the hard one; returns the limits before."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    except (OSError, ValueError):
        pass  # macOS refuses "unlimited"; the soft limit then stays as it was
    return before


def restore_nofile(limits: tuple[int, int]) -> None:
    """Give the descriptor limits back that `raise_nofile` found."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except (OSError, ValueError):
        pass  # a hard limit that has been lowered since cannot be raised again


def become_subreaper() -> bool:
    """Orphans below this process become its children. False where there is no such thing."""
    if _prctl is None:
        return False
    return bool(_prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def answer_soon() -> None:
    """Let this process run soon after it wakes up, and no longer in all than its share.

    A slice is a deadline: who asks for short ones comes before those that have been given
    longer ones. Threads and children have it too, until `lower_priority`.
    """
    _set_slice(_SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0), _SHORTEST_SLICE_NS)


def lower_priority() -> None:
    """Nice 19 and the lowest best-effort IO priority, for this process and its children.

    With the longest slice, and as a batch, so that whoever else wakes up on this processor
    runs at once: nice is a share, and without them it may be a slice of ours until then.
    Where ioprio_set's number is not known Linux derives the same level from nice 19.
    On macOS the launchd agent's ProcessType sees to IO.
    """
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    _set_slice(_SCHED_BATCH, 19, _LONGEST_SLICE_NS)
    number = _IOPRIO_SET.get(_MACHINE) if LINUX else None
    if number is not None:
        _syscall(number, 1, 0, _IOPRIO_LOWEST_BEST_EFFORT)


def _set_slice(policy: int, nice: int, slice_ns: int) -> None:
    number = _SCHED_SETATTR.get(_MACHINE) if LINUX else None
    if number is not None:
        attributes = struct.pack("=IIQiIQQQ", 48, policy, 0, nice, 0, slice_ns, 0, 0)
        _syscall(number, 0, attributes, 0)


def lower_session(pid: int) -> bool:
    """Nice 19 for the autogroup of the session that `pid` leads. False: try again later.

    With autogroups (sched(7)) each session competes as one entity whatever the nice values
    in it, so a job in a session of its own would weigh as much as the user's shell. The
    kernel takes ten such changes a second from all its users.
    """
    try:
        fd = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY)
    except OSError:
        return True  # no autogroups here, or the process has ended
    try:
        os.write(fd, b"19")
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        os.close(fd)
    return True


# --- other processes -----------------------------------------------------------


class Process:
    """One line of the process table. `started`: clock ticks after boot, 0 unknown."""

    __slots__ = ("parent", "pid", "session", "started", "state")

    def __init__(self, pid: int, state: str, parent: int, session: int, started: int) -> None:
        self.pid, self.state, self.parent = pid, state, parent
        self.session, self.started = session, started

    def same(self, other: Process | None) -> bool:
        """Whether `other` is this very process, not a later one under its number."""
        return other is not None and (self.pid, self.started) == (other.pid, other.started)


def look_at(pid: int) -> Process | None:
    """The process with this number now; None: there is none (or no /proc)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name in parentheses may hold anything, parentheses too: split behind the last.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def processes() -> dict[int, Process]:
    """The process table, by number."""
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


def tree_of(*roots: int) -> list[Process]:
    """Every descendant of these processes, without themselves."""
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
    """Every process of the session that process `leader` opened."""
    return [process for process in processes().values() if process.session == leader]


def has_open(pid: int, file: os.stat_result) -> bool:
    """Whether process `pid` has `file` open. False where its descriptors are not ours to see."""
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


# --- signals that reach the process that was meant -----------------------------


class Handle:
    """Holds on to one process, so that no signal reaches a later one of its number.

    A pidfd on Linux; elsewhere only the number, which is the next best thing.
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
        """Let go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def signal_processes(targets: list[Process], *numbers: int) -> None:
    """Send signals to these processes, and to none that took a number of theirs since."""
    for handle in _signalled(targets, numbers):
        handle.close()


def end(targets: list[Process], patience_s: float, *numbers: int) -> bool:
    """Send signals and wait, at most `patience_s`, until all that took them have ended.

    False: some have not, or none could be signalled. Without pidfds it waits the whole
    time and asks then.
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
