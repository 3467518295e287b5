"""Gives each attempt a cgroup of its own, where the service manager has delegated one to us.

Owns the layout below the delegated cgroup BASE (version 2): `BASE/zdeferd` has the daemon, its
spawner and the runners, `BASE/runs/<run>.<attempt>` the job of an attempt and all that it
starts. So the kernel says what belongs to a job, ends all of it at once, and counts its
processor time, whatever its processes do. No controllers are enabled: with them systemd could
not put a restarted daemon into BASE while a job is still in a cgroup below.

Standard library only: runners use it. Where there is no such cgroup each function does
nothing, and the callers follow the tree of processes.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OWN, RUNS = "zdeferd", "runs"
_MOUNTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
"""Where version 2 is mounted: alone, or beside version 1."""


def delegated() -> str:
    """Prepare the cgroup that this process may divide, and return its path; empty: none.

    It is one in which there is no other process, so it was made for this service, or the
    one above `OWN` where this process has prepared it before (it executes itself anew).
    """
    try:
        own = _of_this_process()
        if own and _pids(own) == [os.getpid()]:
            return _divide(own)
        above = os.path.dirname(own)
        if os.path.basename(own) == OWN and os.path.isdir(f"{above}/{RUNS}"):
            return above if not _pids(above) else ""
    except (OSError, ValueError):
        pass  # not ours to change, or no cgroups at all
    return ""


def _of_this_process() -> str:
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        paths = [line[3:].rstrip("\n") for line in file if line.startswith("0::/")]
    for mount in _MOUNTS:
        if paths and os.path.exists(f"{mount}/cgroup.controllers"):
            return mount + paths[0].rstrip("/")
    return ""


def _divide(base: str) -> str:
    for name in (OWN, RUNS):
        os.makedirs(f"{base}/{name}", exist_ok=True)
    for name in os.listdir(f"{base}/{RUNS}"):
        remove(f"{base}/{RUNS}/{name}")  # those in which nothing is left
    _enter(f"{base}/{OWN}")
    return base


def make(base: str, run: str, attempt: int) -> str:
    """Make the cgroup of an attempt and return its path; empty: there is none to be had."""
    if not base:
        return ""
    group = f"{base}/{RUNS}/{run}.{attempt}"
    try:
        remove(group)
        os.mkdir(group)
    except OSError:
        return ""
    return group


def enter(group: str) -> str:
    """Move this process into `group`, so that a child is in it from its start; `group` or empty."""
    try:
        if group:
            _enter(group)
    except OSError:
        return ""
    return group


def leave(base: str) -> bool:
    """Move this process back beside the daemon. False: it stays where it is."""
    try:
        _enter(f"{base}/{OWN}")
    except OSError:
        return False
    return True


def kill(group: str) -> bool:
    """Kill all processes of the cgroup at once. False: there is none, or Linux is before 5.14."""
    try:
        if group:
            _write(f"{group}/cgroup.kill", b"1")
    except OSError:
        return False
    return bool(group)


def members(group: str) -> list[int]:
    """Return the pids of all processes in the cgroup and below it."""
    if not group:
        return []
    return [pid for folder, _, _ in os.walk(group) for pid in _pids_or_none(folder)]


def cpu_ms(group: str) -> dict[str, object]:
    """Return `cpu_user_ms` and `cpu_system_ms` of all that ran in the cgroup; empty: unknown."""
    if not group:
        return {}
    try:
        with open(f"{group}/cpu.stat", encoding="utf-8") as file:
            told = dict(line.split() for line in file)
        return {f"cpu_{name}_ms": round(int(told[f"{name}_usec"]) / 1000) for name in _TIMES}
    except (OSError, ValueError, KeyError):
        return {}


_TIMES = ("user", "system")


def remove(group: str) -> None:
    """Remove the cgroup, and those that the job made in it, where no process is left in one."""
    for folder, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            continue  # a process is left


def _enter(group: str) -> None:
    _write(f"{group}/cgroup.procs", b"0")


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _pids(group: str) -> list[int]:
    with open(f"{group}/cgroup.procs", encoding="utf-8") as file:
        return [int(line) for line in file]


def _pids_or_none(group: str) -> Iterator[int]:
    try:
        yield from _pids(group)
    except OSError:
        return  # removed since
