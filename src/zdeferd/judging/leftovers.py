"""Ends the processes that a job left running when its runner vanished.

Owns the search for them. The processes in the attempt's cgroup (processes/cgroup.py) are of the
job, and are killed at once. With a cgroup or without, these are sure too: the job's leader (its
number and its start are in the mark), and each process that has inherited the opening of
`job.lock` that holds its flock. With them go the job's own session, once one of its members is
sure, and all their children. No other process is signalled: one that opened `job.lock` itself is
not of the job.

Assumes that the runner is gone (judging/judge.py said Vanished) and that the job was started in
this boot, because numbers and starts are this boot's. On macOS the kernel says only that a
file is held, so the job's session stands for the rest.
"""

import fcntl
import os
import signal
import time

from ..attempts import records
from ..attempts.records import JOB_LOCK, open_file
from ..processes import cgroup, tree

LAST_WAIT_S = 10.0
"""How long `end` goes on killing; afterwards a process cannot be ended by us."""
ROUND_S = 1.0


def end(folder: str, grace_s: float) -> bool:
    """End what is left of the job of `folder`: TERM, `grace_s` seconds, KILL.

    Blocks for up to `grace_s` and LAST_WAIT_S, so call it in a thread. False: a process is
    left. OSError: the folder cannot be read.
    """
    left = _left(folder)
    # A stopped process acts on TERM only once it is continued: CONT.
    tree.signal_processes(left, signal.SIGTERM, signal.SIGCONT)
    tree.wait_ended(left, grace_s)
    deadline = time.monotonic() + LAST_WAIT_S
    while left := _left(folder):
        if time.monotonic() > deadline:
            return False
        if not cgroup.kill(_group(folder)) or not tree.wait_ended(left, ROUND_S):
            tree.kill_all(lambda: _left(folder))
            tree.wait_ended(left, ROUND_S)
    cgroup.remove(_group(folder))
    return True


def _group(folder: str) -> str:
    """Return the cgroup of the last attempt; empty: it had none."""
    try:
        return str(records.marks(folder, records.latest(folder)).get("cgroup", ""))
    except FileNotFoundError:
        return ""


def _left(folder: str) -> list[tree.Process]:
    try:
        job_lock = f"{folder}/{JOB_LOCK}"
        marks, lock = records.marks(folder, records.latest(folder)), os.stat(job_lock)
    except FileNotFoundError:
        return []
    leader_pid = marks.get("job_pid", -1)
    if not tree.LINUX:
        return tree.session_of(leader_pid) if _held(job_lock) else []
    table = tree.processes()
    sure = [process for process in table.values() if tree.has_locked(process.pid, lock)]
    sure += [table[pid] for pid in cgroup.members(marks.get("cgroup", "")) if pid in table]
    leader = table.get(leader_pid)
    if leader and leader.started == marks.get("job_started"):
        sure.append(leader)
    return _with_kin(table, sure, leader_pid)


def _with_kin(
    table: dict[int, tree.Process], sure: list[tree.Process], leader: int
) -> list[tree.Process]:
    """Return `sure`, the session of `leader` and the children of all, without zombies and us."""
    sessions = {process.session for process in sure} & {leader}
    members = [process for process in table.values() if process.session in sessions]
    below = tree.tree_of(*(process.pid for process in sure + members))
    found = {process.pid: process for process in (*sure, *members, *below)}
    spared = (os.getpid(), 1)
    return [one for pid, one in found.items() if pid not in spared and one.state != "Z"]


def _held(path: str) -> bool:
    """Return whether another process holds the lock of the file."""
    fd = open_file(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
