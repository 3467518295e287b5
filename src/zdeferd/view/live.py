"""How live runs stand where no daemon follows them: judged from their folders, read-only.

The ledger learns of an end from a daemon only. Without one a dispatched run is looked at
as a judge of runs/judge.py would look, under the same shared lock, but for an instant and
without making, changing or waiting for anything. What was recorded is laid over the
ledger's row; `found` says what it was: `running`, `ended`, `vanished`, `not_started`.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from ..attempts.folder import JOB_LOCK, LOCK, open_file
from ..machine.lock import daemon_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..machine.paths import Paths
    from .render import Document


def as_found(rows: Iterable[Document], paths: Paths) -> list[Document]:
    """The rows; those that a daemon sent off and none follows as their folders have them."""
    made = [dict(row) for row in rows]
    lost = [row for row in made if row["state"] == "dispatched"]
    if lost and daemon_pid(paths.lock) is None:
        for row in lost:
            row |= _look(f"{paths.runs}/{row['id']}", row["attempt"])
    return made


def still_run(rows: Iterable[Document], paths: Paths) -> list[int]:
    """The numbers of those that a process works at, as far as can be known."""
    found = as_found(rows, paths)
    return [
        row["id"]
        for row in found
        if row["state"] == "dispatched" and row.get("found", "running") == "running"
    ]


def live_cost(row: Document, paths: Paths) -> dict[str, int] | None:
    """Return what a running run's processes have used so far, by key; None: it does not run."""
    if row["state"] != "dispatched" or row.get("found", "running") != "running":
        return None
    from ..attempts import records
    from ..machine import processes

    marks = records.marks(f"{paths.runs}/{row['id']}", row["attempt"])
    if "started_at" not in marks:
        return None
    cost = processes.live_cost(marks["pid"], marks["started_at"])
    if cost is None:
        return None
    return {
        "cpu_ms": round(cost.cpu_s * 1000),
        "memory_kib": cost.memory_bytes >> 10,
        "processes": cost.processes,
    }


def _look(folder: str, attempt: int) -> Document:
    try:
        lock = open_file(f"{folder}/{LOCK}", os.O_RDONLY)
    except OSError:
        return {"found": "not_started"}
    try:
        if not _free(lock):
            return {"found": "running"}
        return _without_runner(folder, attempt)  # and while we look no runner begins
    finally:
        os.close(lock)


def _without_runner(folder: str, attempt: int) -> Document:
    from ..attempts import records  # only who needs it pays for it

    if outcome := records.outcome(folder, attempt):
        told = {name: outcome[name] for name in (*records.COUNTS, "started_at", "ended_at")}
        return {"found": "ended"} | told
    if not records.marks(folder, attempt):
        return {"found": "not_started"}
    with suppress(OSError):
        job_lock = open_file(f"{folder}/{JOB_LOCK}", os.O_RDONLY)  # the job's own, inherited
        try:
            if not _free(job_lock):
                return {"found": "running"}
        finally:
            os.close(job_lock)
    return {"found": "vanished"}


def _free(descriptor: int) -> bool:
    """Whether nobody holds the file's lock; then we do, shared, until it is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
