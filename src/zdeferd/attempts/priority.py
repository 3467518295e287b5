"""Sets how soon and how often this process, its children and a job's session run.

Owns the uses of nice, ioprio, sched_setattr(2) and autogroups. Standard library only, and
light: the spawner imports it under `python -I -S`. Where a feature is missing nothing is
raised; the next best thing remains in force.
"""

from __future__ import annotations

import ctypes
import os
import struct

from .processes import LINUX

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
    macOS the ProcessType of the launchd agent sets the IO priority.
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
