"""Adds rows to PERFORMANCE_LOG.md, under the lock of the evidence folder."""

from __future__ import annotations

import os

from ...errors import ZdeferdError
from ...machine.files import open_regular, read_text, write_whole
from ...perf import evidence, logbook
from .shared import day, folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..call import Call


def log_path(call: Call) -> str:
    """Return the path of the log of a call."""
    return getattr(call.args, "log", None) or f"{folder_of(call)}/{logbook.NAME}"


def read_log(path: str) -> str:
    """Return the text of a log; empty where there is no file. ZdeferdError."""
    try:
        return read_text(path, opener=open_regular)
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise ZdeferdError(f"the log is not UTF-8: {path}") from None
    except OSError as error:
        raise ZdeferdError(
            f"the log cannot be read: {path}: {error.strerror}", "--log names another"
        ) from None


def known_rows(state: evidence.State, folder: str, path: str) -> list[str]:
    """Return the rows of a log that were added so far."""
    return state.rows.get(_key(folder, path), [])


def _key(folder: str, path: str) -> str:
    """Return the name of a log in the state: from the folder, so that both can move."""
    return os.path.relpath(os.path.realpath(path), os.path.realpath(folder))


def add_row(call: Call, state: evidence.State, values: dict[str, str]) -> evidence.State:
    """Add a row with today's date; -> the state that knows it. EditedLog writes nothing."""
    path, folder = log_path(call), folder_of(call)
    text = read_log(path)
    logbook.check(logbook.rows(text), known_rows(state, folder, path), path)
    made = logbook.row(_complete(call, state, values))
    text = logbook.added(text, made)
    write_whole(path, text)
    return state._replace(rows={**state.rows, _key(folder, path): logbook.rows(text)})


def _complete(call: Call, state: evidence.State, values: dict[str, str]) -> dict[str, str]:
    """Return all cells of a row: those that are given, else what the last run says."""
    total, rsd = logbook.total_and_rsd(state.last)
    path = f"{folder_of(call)}/{evidence.baseline_file('prompt_ready')}"
    return {
        "date": day(call.now),
        "sync": "0",
        "deferred": logbook.NONE,
        "total": total,
        "rsd": rsd,
        "baseline_ref": logbook.reference(evidence.created_at(path)),
        "status": logbook.status_of(state.last),
        "notes": "",
        **values,
    }
