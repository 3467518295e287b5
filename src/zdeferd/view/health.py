"""Finds troubles of the state folder, the shared log and the declarations."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from .render import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ledger.reading import View
    from ..machine.paths import Paths

DAY_S = 86400.0
LOW_DISK_BYTES = 16 << 20


class Trouble(NamedTuple):
    """One thing that is wrong."""

    found: str
    """The failure: the value."""
    remedy: str = ""
    """The remedy, or zdeferd's own next step."""

    def __str__(self) -> str:
        return f"{self.found}; {self.remedy}" if self.remedy else self.found


def troubles(paths: Paths, view: View, now: float) -> list[Trouble]:
    """Return all that keeps zdeferd from running jobs and writing their lines."""
    return state_troubles(paths) + log_troubles(view) + job_troubles(paths, view, now)


def state_troubles(paths: Paths) -> list[Trouble]:
    """Return troubles of the state folder: the ledger or the runs cannot be written."""
    found = _folder_troubles(paths.state)
    if not found and os.path.ismount(paths.runs):
        found = _folder_troubles(paths.runs)
    return found


def _folder_troubles(state: str) -> list[Trouble]:
    try:
        space = os.statvfs(state)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [Trouble(f"state folder cannot be looked at: {state}: {error.strerror}")]
    if not os.access(state, os.W_OK | os.X_OK):
        return [Trouble(f"state folder cannot be written: {state}", "make it writable for you")]
    left = space.f_bavail * space.f_frsize
    if left < LOW_DISK_BYTES:
        return [Trouble(f"disk is full: {state}: {left >> 10} KiB left", "free some space")]
    return []


def log_troubles(view: View) -> list[Trouble]:
    """Return a trouble for each log that lines did not reach and that is not mended."""
    found = []
    for row in view.unwritten_lines():
        if row["state"] != "lost" and row["problem"] and _is_mended(row["path"], row["problem"]):
            continue
        lines, where = count(row["lines"], "line"), f"{row['path']}: {row['problem']}"
        if row["state"] == "lost":
            has = "the ledger has the runs: `zdeferctl runs`"
            found.append(Trouble(f"shared log lost {lines}: {where}", has))
        elif row["problem"]:
            kept = f"{lines} kept in the ledger until it can"
            found.append(Trouble(f"shared log cannot be written: {where}", kept))
    return found


def _is_mended(log: str, problem: str) -> bool:
    """Return whether the log can be opened now, where it could not when the line was due.

    The daemon finds that out when it tries again. Other causes (a full disk, a sick
    one) show only at its attempt.
    """
    if not problem.startswith(("the log", "cannot open the log")):
        return False
    try:
        found = os.lstat(log)
    except FileNotFoundError:
        return os.access(os.path.dirname(log), os.W_OK | os.X_OK)
    except OSError:
        return False
    is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()
    return is_ours and os.access(log, os.R_OK | os.W_OK)


def job_troubles(paths: Paths, view: View, now: float) -> list[Trouble]:
    """Return a trouble for refused declarations in files, and one for shells' of the last day."""
    found: list[Trouble] = []
    if os.path.exists(paths.config_file) or _has_files(paths.jobs_dir):
        from ..jobs.files import load  # 40 ms, which a user without files does not pay
        from .jobs import tally

        told = tally(load(paths).problems, paths)
        found += [Trouble(told, "zdeferctl check")] if told else []
    return found + refused_by_shells(view, now)


def refused_by_shells(view: View, now: float) -> list[Trouble]:
    """Return a trouble for the declarations of shells that were refused in the last day."""
    refused = view.refused_declarations(now - DAY_S)
    if not refused:
        return []
    told = f"{count(len(refused), 'job')} of shells refused: {', '.join(refused)}"
    return [Trouble(told, f"zdeferctl why {refused[0]}")]


def _has_files(folder: str) -> bool:
    try:
        return any(name.endswith(".toml") for name in os.listdir(folder))
    except OSError:
        return False
