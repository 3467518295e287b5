"""Reads and adds rows of PERFORMANCE_LOG.md, which only ever grows.

Pure functions of the file's text. The evidence folder remembers the rows that were added;
a remembered row that is edited, moved or removed is an `edit`. New rows below are taken over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ZdeferdError

NAME = "PERFORMANCE_LOG.md"
TYPES = (
    *("baseline", "feature-add", "refactor", "infra", "regression"),
    *("mitigation", "investigation", "correction", "governance"),
)
STATUSES = ("pass", "warn", "fail")
KEYS = (
    *("date", "type", "scope", "sync", "deferred", "total", "rsd", "baseline_ref", "status"),
    "notes",
)
HEADER = (
    "| Date | Type | Scope | Δ Synchronous | Δ Deferred | New Total | RSD | Baseline Ref "
    "| Status | Notes |"
)
RULE = "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
NONE = "—"
LEGEND = f"""# Performance log

One row for each change that could cost start-up time. Rows are only added: a correction is a
new row whose notes name the old one. `zdeferctl perf log add` writes them, `perf log check`
finds edits.

- **Metrics**: New Total is the mean of prompt_ready, else of first_prompt_lag, in ms; RSD is
  its standard deviation in percent of the mean. Δ Synchronous and Δ Deferred: what the change
  added before and after the prompt.
- **Thresholds**: 10 % above the baseline is WARN, 25 % is FAIL, unless a run says otherwise.
- **Statuses**: pass, warn, fail.
- **Types**: {", ".join(TYPES)}. A new baseline is a row of type governance and scope rebaseline.

{HEADER}
{RULE}
"""


class EditedLog(ZdeferdError):
    """A row of the log was edited, moved or removed."""


def rows(text: str) -> list[str]:
    """Return the rows of the table as they stand; none where there is no table."""
    lines = text.splitlines()
    start, end = _table(lines)
    return [line.strip() for line in lines[start:end]]


def _table(lines: Sequence[str]) -> tuple[int, int]:
    """Return where the rows of the table begin and end; twice the end where there is none."""
    heads = [at for at, line in enumerate(lines) if line.strip() == HEADER]
    if not heads:
        return len(lines), len(lines)
    start = heads[0] + 1
    if start < len(lines) and lines[start].startswith("| ---"):
        start += 1
    end = start
    while end < len(lines) and lines[end].lstrip().startswith("|"):
        end += 1
    return start, end


def check(found: Sequence[str], known: Sequence[str], path: str) -> None:
    """Raise EditedLog unless the known rows still stand first, as they were and in their order."""
    for number, row in enumerate(known, 1):
        if number > len(found):
            raise _edited(path, number, "is gone", row)
        if found[number - 1] != row:
            raise _edited(path, number, "is not what was added", row)


def _edited(path: str, number: int, what: str, row: str) -> EditedLog:
    return EditedLog(
        f"edited log: {path}: row {number} {what}: {row}",
        "put the row back, and correct it by a new row whose notes name it",
    )


def added(text: str, row: str) -> str:
    """Return the text of the log with a row at the end of its table."""
    if not text.strip():
        return f"{LEGEND}{row}\n"
    lines = text.splitlines()
    if HEADER not in (line.strip() for line in lines):
        return "\n".join([*lines, "", HEADER, RULE, row]) + "\n"
    _, end = _table(lines)
    return "\n".join([*lines[:end], row, *lines[end:]]) + "\n"


def row(values: Mapping[str, str]) -> str:
    """Return a row of the values of KEYS."""
    return f"| {' | '.join(cell(values[key]) for key in KEYS)} |"


def cell(text: str) -> str:
    """Return a text that fits into one cell: bars, newlines and control characters as blanks."""
    return " ".join("".join(" " if c == "|" or not c.isprintable() else c for c in text).split())


def as_document(line: str) -> dict[str, str]:
    """Return a row as the values of KEYS; cells that are missing are empty."""
    cells = [part.strip() for part in line.strip().strip("|").split("|")]
    cells += [""] * (len(KEYS) - len(cells))
    return dict(zip(KEYS, [*cells[: len(KEYS) - 1], " ".join(cells[len(KEYS) - 1 :])], strict=True))


# --- values from the last run --------------------------------------------------

_STATUS_OF = {"WARN": "warn", "FAIL": "fail"}


def total_and_rsd(run: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return the cells of the total and the spread of a run; dashes without one."""
    metrics = run["metrics"] if run else {}
    one = metrics.get("prompt_ready_ms") or metrics.get("first_prompt_lag_ms")
    if not one:
        return NONE, NONE
    return total(one["mean_ms"]), spread(one["rsd_pct"])


def total(ms: float) -> str:
    """Return milliseconds as the log has them: 212ms."""
    return f"{round(ms)}ms"


def spread(percent: float) -> str:
    """Return a percentage as the log has it: 1.4%."""
    return f"{percent:.1f}%"


def status_of(run: Mapping[str, Any] | None) -> str:
    """Return the status of a row about a run; pass without one."""
    return _STATUS_OF.get(run["overall_status"], "pass") if run else "pass"


def reference(created_at: str) -> str:
    """Return the reference to a baseline by the date it was made; a dash where it has none."""
    return f"baseline-{created_at[:10]}" if created_at else NONE
