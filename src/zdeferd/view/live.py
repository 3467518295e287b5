"""Judges live runs from their folders where no daemon follows them. Read-only.

Only a daemon writes ends into the ledger. Without one, a dispatched run is judged by the
locks and files of its folder, as judging/judge.py does, but without making, changing or
waiting for anything. The record of its runner is laid over the ledger's row, and `found`
says `running`, `ended`, `vanished` or `not_started`.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import cast

from ..machine.lock import daemon_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from ..machine.processes import LiveCost


def as_found(rows: Iterable[RunRow], paths: Paths) -> list[RunRow]:
    """Return the rows; without a daemon dispatched ones are as their folders have them."""
    made = list(rows)
    if any(map(_dispatched, made)) and daemon_pid(paths.lock) is None:
        return [_as_its_folder(row, paths) if _dispatched(row) else row for row in made]
    return made


def _dispatched(row: RunRow) -> bool:
    return row["state"] == "dispatched"


def _as_its_folder(row: RunRow, paths: Paths) -> RunRow:
    seen = _look(f"{paths.runs}/{row['id']}", row["attempt"])
    return cast("RunRow", {**row, **seen})


def running(row: RunRow) -> bool:
    """Return whether a process works at the run, as far as can be known."""
    return _dispatched(row) and row.get("found", "running") == "running"


def still_run(rows: Iterable[RunRow], paths: Paths) -> list[int]:
    """Return the ids of the runs that still have a process."""
    return [row["id"] for row in as_found(rows, paths) if running(row)]


def live_cost(row: RunRow, paths: Paths) -> LiveCost | None:
    """Return what a running run's processes have used so far; None: it does not run."""
    if not running(row):
        return None
    from ..attempts import records
    from ..machine import processes

    try:
        marks = records.marks(f"{paths.runs}/{row['id']}", row["attempt"])
    except OSError:
        return None
    if "started_at" not in marks:
        return None
    return processes.live_cost(marks["pid"], marks["started_at"])


def cost_document(cost: LiveCost | None) -> dict[str, int] | None:
    """Return a live cost as its JSON document."""
    if cost is None:
        return None
    return {
        "cpu_ms": round(cost.cpu_s * 1000),
        "memory_kib": cost.memory_bytes >> 10,
        "processes": cost.processes,
    }


def _look(folder: str, attempt: int) -> dict[str, Any]:
    from ..attempts import records  # 2 ms, which most calls do not pay

    try:
        lock = records.open_file(f"{folder}/{records.LOCK}", os.O_RDONLY)
    except OSError:
        return {"found": "not_started"}
    try:
        if not _free(lock):
            return {"found": "running"}
        return _without_runner(folder, attempt)  # our shared lock lets no runner begin
    except OSError:
        return {"found": "not_started"}
    finally:
        os.close(lock)


def _without_runner(folder: str, attempt: int) -> dict[str, Any]:
    from ..attempts import records

    if outcome := records.outcome(folder, attempt):
        told = {name: outcome[name] for name in (*records.COUNTS, "started_at", "ended_at")}
        told["ended_behind"] = outcome.get("ended_behind")
        told["refusal"] = outcome.get("refusal")
        return {"found": "ended"} | told
    if not records.marks(folder, attempt):
        return {"found": "not_started"}
    with suppress(OSError):
        job_lock = records.open_file(
            f"{folder}/{records.JOB_LOCK}", os.O_RDONLY
        )  # the job's own, inherited
        try:
            if not _free(job_lock):
                return {"found": "running"}
        finally:
            os.close(job_lock)
    return {"found": "vanished"}


def _free(descriptor: int) -> bool:
    """Take the file's lock, shared, until it is closed; -> whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
