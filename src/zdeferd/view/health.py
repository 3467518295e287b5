"""Problems of the state folder, the shared log and the declarations, found without a daemon."""

from __future__ import annotations

import os

from .render import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ledger.reading import View
    from ..machine.paths import Paths

DAY_S = 86400.0
LOW_DISK_BYTES = 16 << 20


def problems(paths: Paths, view: View, now: float) -> list[str]:
    """What keeps zdeferd from its work, each with what to do."""
    return state_problems(paths) + log_problems(view) + job_problems(paths, view, now)


def state_problems(paths: Paths) -> list[str]:
    """A state folder that cannot take the ledger's writes, or the runs'."""
    found = _folder_problems(paths.state)
    if not found and os.path.ismount(paths.runs):
        found = _folder_problems(paths.runs)
    return found


def _folder_problems(state: str) -> list[str]:
    try:
        space = os.statvfs(state)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"state folder cannot be looked at: {state}: {error.strerror}"]
    if not os.access(state, os.W_OK | os.X_OK):
        return [f"state folder cannot be written: {state}; make it writable for you"]
    left = space.f_bavail * space.f_frsize
    if left < LOW_DISK_BYTES:
        return [f"disk is full: {state}: {left >> 10} KiB left; free some space"]
    return []


def log_problems(view: View) -> list[str]:
    """Telemetry that did not reach its file, by file."""
    found = []
    for row in view.unwritten_lines():
        if row["state"] == "lost":
            found.append(
                f"shared log lost {count(row['lines'], 'line')}: {row['path']}: {row['problem']};"
                " the ledger has the runs: `zdeferctl runs`"
            )
        elif row["problem"]:
            found.append(
                f"shared log cannot be written: {row['path']}: {row['problem']};"
                f" {count(row['lines'], 'line')} kept in the ledger until it can"
            )
    return found


def job_problems(paths: Paths, view: View, now: float) -> list[str]:
    """Declarations that are refused: those in files, and those of shells in the last day."""
    found = []
    if os.path.exists(paths.config_file) or _has_files(paths.jobs_dir):
        from ..jobs.files import load  # only who has files waits for it
        from .jobs import tally

        found = [
            f"{told}: zdeferctl check" for told in [tally(load(paths).problems, paths)] if told
        ]
    refused = view.refused_declarations(now - DAY_S)
    if refused:
        found.append(
            f"{count(len(refused), 'job')} of shells refused: {', '.join(refused)};"
            f" zdeferctl why {refused[0]}"
        )
    return found


def _has_files(folder: str) -> bool:
    try:
        return any(name.endswith(".toml") for name in os.listdir(folder))
    except OSError:
        return False
