"""Shows runs as JSON documents and as table rows.

A document's keys carry their units: instants end in `_at_s` (seconds since the
epoch), block counts in `_512b` (units of 512 bytes). docs/cli-json.md lists them.
"""

from __future__ import annotations

from typing import NamedTuple

from .render import Style, ago, clock, count, duration, kib, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ledger.reading import RunRow

_RENAMED = {
    "id": "run",
    "claimed_at": "claimed_at_s",
    "dispatched_at": "dispatched_at_s",
    "started_at": "started_at_s",
    "ended_at": "ended_at_s",
    "retry_at": "retry_at_s",
    "block_in": "block_in_512b",
    "block_out": "block_out_512b",
}
_HEADS = ("RUN", "JOB", "STATE", "RC", "QUEUED", "WALL", "CPU", "PEAK", "PLACE", "BEHIND")
_RIGHT = frozenset({0, 3, 5, 6, 7})
BEHIND = (
    "behind: processes that outlived the job's main process and were ended;"
    " `background = true` or `zdefer add --background` leaves them alone"
)
_INNER = ("sink", "conditioned")
"""Columns that hold JSON for the program alone."""
_NOTES = {
    "ended": "ended, not recorded yet: the next daemon does that",
    "vanished": "vanished: its process has gone without a record; the next daemon records that",
}


class Past(NamedTuple):
    """A run that has ended, or a claim whose run the ledger has forgotten."""

    run: int
    at: float
    outcome: str = ""
    rc: int | None = None
    ended_behind: int = 0
    """Processes that outlived its main process and were ended."""
    refusal: str | None = None
    """Why its output was not published."""


def document(row: RunRow) -> dict[str, object]:
    """Return a row of `runs` as its JSON document."""
    made: dict[str, object] = {
        _RENAMED.get(key, key): value for key, value in row.items() if key not in _INNER
    }
    made["place"] = place(row)
    made["after"] = row["after"].split()
    made["cancelling"] = bool(row["cancelling"])
    made["retry_at_s"] = row["retry_at"] or None
    made.setdefault("found", None)
    return made


def word(row: RunRow) -> str:
    """Return the state of a run, or its outcome, in one word."""
    if row["outcome"]:
        return str(row["outcome"])
    if row.get("found") in _NOTES:
        return str(row["found"])
    if row.get("found") == "not_started":
        return "waiting"
    if row["cancelling"]:
        return "cancelling"
    return "running" if row["state"] == "dispatched" else "waiting"


def place(row: RunRow) -> str:
    """Return `here` for what a shell has done itself, else `away`."""
    return "here" if row["key"].startswith("here:") else "away"


def wall_ms(row: RunRow, now: float) -> float | None:
    """Return the run's wall time, so far for a running one; None: it never ran."""
    if row["state"] == "dispatched" and row.get("found", "running") == "running":
        return (now - float(row["dispatched_at"] or now)) * 1000
    return row["wall_ms"] if row["started_at"] is not None else None


def cpu_ms(row: RunRow) -> int | None:
    """Return user and system time together; None: the run has no recorded end."""
    if row["started_at"] is None or row["cpu_user_ms"] is None:
        return None
    return int(row["cpu_user_ms"]) + int(row["cpu_system_ms"] or 0)


def runs_table(rows: list[RunRow], now: float, style: Style) -> str:
    """Return a table of runs in the order given, and a note for each unusual state.

    A column with nothing in it is left out.
    """
    lines = [_cells(row, now, style) for row in rows]
    kept = [index for index in range(len(_HEADS)) if any(line[index] for line in lines)]
    heads, *cells = ([line[index] for index in kept] for line in (_HEADS, *lines))
    made = table(heads, cells, style, frozenset(map(kept.index, _RIGHT & set(kept))))
    return "\n".join([made, *notes(rows)])


def notes(rows: list[RunRow]) -> list[str]:
    """Return a note for each unusual state or end of these runs."""
    words = {word(row) for row in rows}
    behind = [BEHIND] if any(row["ended_behind"] for row in rows) else []
    return [note for name, note in _NOTES.items() if name in words] + behind


def _cells(row: RunRow, now: float, style: Style) -> list[str]:
    ran = row["started_at"] is not None
    return [
        str(row["id"]),
        style.bold(row["job"]),
        style.state(word(row)),
        "" if row["rc"] is None else str(row["rc"]),
        clock(row["claimed_at"], now),
        duration(wall_ms(row, now)),
        duration(cpu_ms(row)),
        kib(row["max_rss_kib"]) if ran and row["max_rss_kib"] else "",
        "here" if place(row) == "here" else "",
        f"{row['ended_behind']} ended" if row["ended_behind"] else "",
    ]


def last_words(row: RunRow | None, now: float, style: Style) -> str:
    """Return the state of a job's latest run: `succeeded 5 min ago`; `never`: there is none."""
    if row is None:
        return style.dim("never")
    if row["ended_at"] is None:
        return style.state(word(row))
    return f"{style.state(word(row))} {style.dim(ago(row['ended_at'], now))}"


def ended(past: Past, now: float) -> str:
    """Return the words for a past run: `run 12 at 09:14:03 (succeeded)`."""
    words = past.outcome.replace("_", " ")
    if past.rc is not None and past.outcome == "failed":
        words += f", rc {past.rc}"
    if past.ended_behind:
        words += f", {count(past.ended_behind, 'process', 'processes')} ended behind it"
    if past.refusal:
        words += f", its output was refused: {past.refusal}"
    return f"run {past.run} at {clock(past.at, now)}" + (f" ({words})" if words else "")
