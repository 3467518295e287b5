"""Sets what this process and its children may use: descriptors, memory, processor, disk.

Owns the uses of rlimits, nice, ioprio, sched_setattr(2), autogroups and oom_score_adj, and
which descriptors a process keeps. The daemon needs many descriptors, because libzmq ends the
process where it has none left, and a limit of memory, because libzmq keeps a message of any
number of frames. The limits of a shell for its own programs (the size of files, processor time,
memory) would end a daemon that it starts. A job gets the limits that the daemon found at its start.

Standard library only, and light: the spawner imports it under `python -I -S`. Where a feature
is missing nothing is raised; the next best thing remains in force.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

from .tree import LINUX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_DESCRIPTORS = 10_240
"""Where the hard limit is `unlimited`. macOS takes no larger number either way."""
DATA_BYTES = 512 << 20
"""Twelve times the memory of a daemon under the floods of tests/floods."""
_OF_SHELLS = {"fsize": resource.RLIMIT_FSIZE, "cpu": resource.RLIMIT_CPU, "as": resource.RLIMIT_AS}
_NUMBERS = {"nofile": resource.RLIMIT_NOFILE, "data": resource.RLIMIT_DATA} | _OF_SHELLS
JOBS_OOM_SCORE = 500
"""Of 1000: jobs go before the user's own programs where the machine has no memory left."""
_OOM_SCORE = "/proc/self/oom_score_adj"

_MACHINE = os.uname().machine
# Looked up here, once: a runner, which is a fork, would pay for the lookup again.
_syscall = ctypes.CDLL(None).syscall

_IOPRIO_LOWEST_BEST_EFFORT = (2 << 13) | 7
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "i686": 289}
"""ioprio_set(2) has no wrapper in libc; its number depends on the machine."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274, "armv7l": 380, "i686": 351}
_SCHED_OTHER, _SCHED_BATCH = 0, 3
_SHORTEST_SLICE_NS, _LONGEST_SLICE_NS = 100_000, 100_000_000
"""The runtime of a fair task for sched_setattr(2), from Linux 6.12 on; ignored before."""


def open_standard_streams() -> None:
    """Open the descriptors 0 to 2 on /dev/null where the caller's program left them closed.

    Else the lock or a socket would get their numbers, and libuv ends a process that closes one.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(fd, True)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def close_descriptors(kept: int | None) -> None:
    """Close all descriptors above 2 but `kept`: those that the caller's program left open."""
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return
    for fd in [int(name) for name in names if name.isdecimal()]:
        if fd > 2 and fd != kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the one by which the folder was read


def set_limits() -> dict[str, tuple[int, int]]:
    """Set the soft limits of this process; return soft and hard ones of before, by name.

    Descriptors: as many as the hard limit allows. Data: DATA_BYTES, or less where it was less. The
    rest is what the hard limit allows.
    """
    before = {name: resource.getrlimit(number) for name, number in _NUMBERS.items()}
    _set("nofile", _descriptors(*before["nofile"]), before["nofile"][1])
    _set("data", _least(DATA_BYTES, *before["data"]), before["data"][1])
    for name in _OF_SHELLS:
        _set(name, before[name][1], before[name][1])
    return before


def give_back(limits: Mapping[str, Sequence[int]]) -> None:
    """Set the limits that `set_limits` returned."""
    for name, (soft, hard) in limits.items():
        _set(name, soft, hard)


def _descriptors(soft: int, hard: int) -> int:
    unlimited = resource.RLIM_INFINITY
    if hard != unlimited and sys.platform != "darwin":
        return hard
    most = _least(MOST_DESCRIPTORS, hard)
    return soft if soft == unlimited or soft > most else most


def _least(*limits: int) -> int:
    return min(limit for limit in limits if limit != resource.RLIM_INFINITY)


def _set(name: str, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(_NUMBERS[name], (soft, hard))
    except (OSError, ValueError):
        pass  # a hard limit that has been lowered since cannot be raised again


def answer_soon() -> None:
    """Make this process run soon after it wakes up; its share of the processor is the same.

    A slice is a deadline, so short slices are scheduled before longer ones. Threads and
    children inherit it, until `lower_priority`.
    """
    _set_slice(_SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0), _SHORTEST_SLICE_NS)


def lower_priority() -> None:
    """Set nice 19 and the lowest best-effort IO priority, for this process and its children.

    The longest slice and SCHED_BATCH too, so that another process that wakes up on this
    processor runs at once: nice alone is a share, and that process could wait for a slice.
    Where ioprio_set's number is not known Linux derives the same level from nice 19. On
    macOS the ProcessType of the launchd agent sets the IO priority. A sandbox may refuse all of it.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 19)
    except OSError:
        pass  # refused, as by seccomp: the job runs at the priority that it has
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
    """Set nice 19 for the autogroup of the session that `pid` leads. False: try again later.

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


def oom_score() -> int | None:
    """Return this process's oom_score_adj, -1000 to 1000; None: there is none here."""
    # No text file: each runner, a fork of the spawner, would import the codec again (0.7 ms).
    try:
        file = os.open(_OOM_SCORE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return int(os.read(file, 32))
    finally:
        os.close(file)


def set_oom_score(score: int | None) -> None:
    """Set the oom_score_adj that processes made from now on inherit; None: nothing."""
    if score is None:
        return
    try:
        file = os.open(_OOM_SCORE, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(file, b"%d" % score)
    except OSError:
        pass  # not allowed here
    finally:
        os.close(file)
