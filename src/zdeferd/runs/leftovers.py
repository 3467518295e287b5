"""Ends the processes that a job left running when its runner vanished.

Owns the search for them: the processes that hold `job.lock`, the sessions of these, the
job's own session while its leader is still that process, and the children of all of them.
No other process is signalled. Assumes that the runner is gone: runs/judge.py said Vanished.
On macOS the kernel says only that a file is held, so the job's session stands for the rest.
"""

import fcntl
import os
import signal
import time

from ..attempts import processes, records
from ..attempts.folder import JOB_LOCK, open_file

LAST_WAIT_S = 10.0
"""How long `end` waits for the effect of KILL."""


def end(folder: str, grace_s: float) -> bool:
    """End what is left of the job of `folder`: TERM, `grace_s` seconds, KILL.

    Blocks for up to `grace_s` and LAST_WAIT_S, so call it in a thread. False: a process is
    left. OSError: the folder cannot be read.
    """
    # A stopped process acts on TERM only once it is continued: CONT.
    gently, surely = (signal.SIGTERM, signal.SIGCONT), (signal.SIGKILL,)
    for numbers, patience_s in ((gently, grace_s), (surely, LAST_WAIT_S)):
        deadline = time.monotonic() + patience_s
        while left := _left(folder):
            if not processes.end(left, deadline - time.monotonic(), *numbers):
                break
    return not left


def _left(folder: str) -> list[processes.Process]:
    try:
        job_lock = f"{folder}/{JOB_LOCK}"
        marks, lock = records.marks(folder, records.latest(folder)), os.stat(job_lock)
    except FileNotFoundError:
        return []
    leader_pid = marks.get("job_pid", -1)
    if not processes.LINUX:
        return processes.session_of(leader_pid) if _held(job_lock) else []
    table = processes.processes()
    sure = [process for process in table.values() if processes.has_open(process.pid, lock)]
    leader = table.get(leader_pid)
    if leader and leader.started == marks.get("job_started"):
        sure.append(leader)
    return _with_sessions(table, sure)


def _with_sessions(
    table: dict[int, processes.Process], sure: list[processes.Process]
) -> list[processes.Process]:
    """`sure`, the sessions and the children of these; neither zombies nor this process."""
    sessions = {process.session for process in sure} - {os.getsid(0)}
    members = [process for process in table.values() if process.session in sessions]
    below = processes.tree_of(*(process.pid for process in sure + members))
    found = {process.pid: process for process in (*sure, *members, *below)}
    spared = (os.getpid(), 1)
    return [one for pid, one in found.items() if pid not in spared and one.state != "Z"]


def _held(path: str) -> bool:
    """Whether another process holds the lock of the file."""
    fd = open_file(path, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
