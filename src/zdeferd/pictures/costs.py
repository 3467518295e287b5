"""Adds up what runs cost, by job and by day, and what shells were spared. Pure.

Spared: a job of scope boot, day, change or ever is done once for many shells. Each shell that
showed its first prompt after the job was first claimed, and whose event claimed no run of it,
counts as one repeat that was not made. A repeat is worth the median time of the job's runs that
succeeded. This assumes that the shell would have done the work itself; nothing measures that.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from statistics import median
from typing import NamedTuple

from ..view.runs import cpu_ms, place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ledger.reading import RunRow

DAY_S = 86400
FAILED = frozenset({"failed", "timed_out", "abandoned"})
_SHARED = ("boot:", "day:", "change:", "ever")
"""How the scope keys begin that stand for more shells than one."""
SPARED = (
    "Spared: shells that found the work of a job of scope boot, day, change or ever done, times"
    " the median time of the job's runs that succeeded. This assumes that each of these shells"
    " would have done the work itself."
)


class JobCost(NamedTuple):
    """The cost of the runs of one job."""

    job: str
    runs: int
    failed: int
    median_ms: float | None
    """Of the runs that succeeded; None: none has."""
    wall_ms: int
    cpu_ms: int
    max_rss_kib: int
    repeats: int
    """Shells that found its work done."""
    spared_ms: float


class DayCost(NamedTuple):
    """The cost of the runs that ended on one day of the local calendar."""

    day: str
    runs: int
    failed: int
    wall_ms: int
    cpu_ms: int


class Costs(NamedTuple):
    """The cost of the runs of a period."""

    since: float
    until: float
    first_at: float | None
    """When the first of its runs ended."""
    shells: int
    """First prompts of shells that were reported."""
    outcomes: dict[str, int]
    away_ms: int
    """Wall time of the runs that events claimed and that ran away from the shell."""
    jobs: list[JobCost]
    """The dearest first."""
    days: list[DayCost]
    """Every day from the first run to the last day, in order."""
    failures: list[RunRow]
    """The latest first."""


def costs(rows: Sequence[RunRow], prompts: Sequence[float], since: float, until: float) -> Costs:
    """Return what the runs since then cost; `rows`: newest first, live ones included."""
    ended = [row for row in rows if (row["ended_at"] or 0.0) >= since]
    kept = [row for row in rows if row["ended_at"] is None or row["ended_at"] >= since]
    by_job: dict[str, list[RunRow]] = {}
    for row in kept:
        by_job.setdefault(row["job"], []).append(row)
    jobs = [_job(name, found, prompts) for name, found in by_job.items() if _ended(found)]
    return Costs(
        since=since,
        until=until,
        first_at=min((row["ended_at"] or until for row in ended), default=None),
        shells=len(prompts),
        outcomes=_outcomes(ended),
        away_ms=sum(_wall_ms(row) for row in ended if row["batch"] and place(row) == "away"),
        jobs=sorted(jobs, key=lambda job: (-job.cpu_ms, -job.wall_ms, job.job)),
        days=_days(ended, until),
        failures=[row for row in ended if row["outcome"] in FAILED],
    )


def _ended(rows: Sequence[RunRow]) -> list[RunRow]:
    return [row for row in rows if row["ended_at"] is not None]


def _wall_ms(row: RunRow) -> int:
    return row["wall_ms"] or 0 if row["started_at"] is not None else 0


def _cpu_ms(rows: Sequence[RunRow]) -> int:
    return sum(cpu_ms(row) or 0 for row in rows)


def _outcomes(rows: Sequence[RunRow]) -> dict[str, int]:
    """Return how many runs ended so, the most first."""
    found: dict[str, int] = {}
    for row in rows:
        found[str(row["outcome"])] = found.get(str(row["outcome"]), 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _job(name: str, rows: Sequence[RunRow], prompts: Sequence[float]) -> JobCost:
    ended = _ended(rows)
    succeeded = [_wall_ms(row) for row in ended if row["outcome"] == "succeeded"]
    middle = median(succeeded) if succeeded else None
    repeats = _repeats(rows, prompts)
    return JobCost(
        job=name,
        runs=len(ended),
        failed=sum(row["outcome"] in FAILED for row in ended),
        median_ms=middle,
        wall_ms=sum(map(_wall_ms, ended)),
        cpu_ms=_cpu_ms(ended),
        max_rss_kib=max(row["max_rss_kib"] or 0 for row in ended),
        repeats=repeats,
        spared_ms=repeats * (middle or 0.0),
    )


def _repeats(rows: Sequence[RunRow], prompts: Sequence[float]) -> int:
    """Return how many shells found the job's work done."""
    shared = [
        row
        for row in rows
        if row["batch"] and row["trigger"] == "postprompt" and row["key"].startswith(_SHARED)
    ]
    if not shared:
        return 0
    came = len(prompts) - bisect_left(prompts, min(row["claimed_at"] for row in shared))
    return max(0, came - len({row["shell"] for row in shared}))


def _days(rows: Sequence[RunRow], until: float) -> list[DayCost]:
    found: dict[str, list[RunRow]] = {}
    for row in rows:
        found.setdefault(_day(row["ended_at"] or until), []).append(row)
    if not found:
        return []
    at, last, made = min(row["ended_at"] or until for row in rows), _day(until), []
    day = ""
    while day < last:
        # Noon of each day: a change of the clocks moves no step over a day.
        day = _day(at)
        made.append(_day_cost(day, found.get(day, [])))
        at = _noon(at) + DAY_S
    return made


def _noon(instant: float) -> float:
    then = time.localtime(instant)
    return time.mktime((*then[:3], 12, 0, 0, 0, 0, -1))


def _day(instant: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(instant))


def _day_cost(day: str, rows: Sequence[RunRow]) -> DayCost:
    return DayCost(
        day=day,
        runs=len(rows),
        failed=sum(row["outcome"] in FAILED for row in rows),
        wall_ms=sum(map(_wall_ms, rows)),
        cpu_ms=_cpu_ms(rows),
    )
