"""Shows what runs cost as tables of text and as one HTML page. Pure."""

from __future__ import annotations

from ..view.render import clock, count, duration, kib
from . import page
from .costs import SPARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ledger.reading import RunRow
    from .costs import Costs, DayCost, JobCost

MOST_FAILURES = 20
MOST_BARS = 92
TOP, FLOOR = 24, 180
"""The highest bar's end and the line below all bars, in units of the picture."""
JOB_HEADS = ("JOB", "RUNS", "FAILED", "MEDIAN", "WALL", "CPU", "PEAK", "SPARED")
FAILURE_HEADS = ("JOB", "RUN", "ENDED", "HOW", "RC", "WALL")
DAY_HEADS = ("DAY", "RUNS", "FAILED", "WALL", "CPU")


def headline(costs: Costs) -> list[tuple[str, str]]:
    """Return the sums of the period, each with its name."""
    runs = sum(job.runs for job in costs.jobs)
    ended = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in costs.outcomes.items())
    repeats = sum(job.repeats for job in costs.jobs)
    spared = sum(job.spared_ms for job in costs.jobs)
    return [
        ("period", f"{clock(costs.since, 0.0)} to {clock(costs.until, 0.0)}"),  # with their dates
        ("runs", f"{runs} of {count(len(costs.jobs), 'job')}: {ended}" if runs else "none ended"),
        ("shells", count(costs.shells, "first prompt")),
        ("away", f"{duration(costs.away_ms)} of work that no prompt waited for" if runs else ""),
        ("cpu", duration(sum(job.cpu_ms for job in costs.jobs)) if runs else ""),
        ("spared", f"{duration(spared)} in {count(repeats, 'repeat')} not made" if runs else ""),
    ]


def job_cells(job: JobCost) -> list[str]:
    """Return the row of a job under JOB_HEADS."""
    return [
        job.job,
        str(job.runs),
        str(job.failed or ""),
        duration(job.median_ms),
        duration(job.wall_ms),
        duration(job.cpu_ms),
        kib(job.max_rss_kib or None),
        duration(job.spared_ms) if job.spared_ms else "",
    ]


def day_cells(day: DayCost) -> list[str]:
    """Return the row of a day under DAY_HEADS."""
    return [
        day.day,
        str(day.runs or ""),
        str(day.failed or ""),
        duration(day.wall_ms) if day.runs else "",
        duration(day.cpu_ms) if day.runs else "",
    ]


def failure_cells(row: RunRow, now: float) -> list[str]:
    """Return the row of a run that failed under FAILURE_HEADS."""
    rc = "" if row["rc"] is None else str(row["rc"])
    how = str(row["outcome"]).replace("_", " ")
    ended = clock(row["ended_at"], now)
    return [row["job"], str(row["id"]), ended, how, rc, duration(row["wall_ms"])]


# --- the page ------------------------------------------------------------------


def html(costs: Costs) -> str:
    """Return the page of `report`."""
    parts = [page.pairs(headline(costs))]
    if costs.jobs:
        parts += [page.heading("By day"), _bars(costs.days[-MOST_BARS:])]
        parts += [page.heading("By job"), page.table(JOB_HEADS, list(map(job_cells, costs.jobs)))]
        parts.append(page.paragraph(SPARED))
    if costs.failures:
        parts += [page.heading("Failures"), _failures(costs)]
    return page.page("What deferred work cost", *parts)


def _failures(costs: Costs) -> str:
    rows = [failure_cells(row, costs.until) for row in costs.failures[:MOST_FAILURES]]
    made = page.table(FAILURE_HEADS, rows)
    more = len(costs.failures) - len(rows)
    return made + (page.paragraph(f"and {more} more before them") if more > 0 else "")


def _bars(days: Sequence[DayCost]) -> str:
    """Return a bar of CPU time for each day; a day with failures has their number above it."""
    most = max(day.cpu_ms for day in days) or 1
    step = (page.WIDTH - 90) / len(days)
    marks = [page.line(80, FLOOR, page.WIDTH - 10, FLOOR)]
    for at, day in enumerate(days):
        marks += _bar(day, 80 + at * step, step, most)
    middle = len(days) // 2
    named = sorted({0, middle, len(days) - 1}) if len(days) > 4 else range(len(days))
    marks += [
        page.text(80 + (at + 0.5) * step, FLOOR + 18, days[at].day[5:], "middle") for at in named
    ]
    marks += [page.text(0, TOP + 10, duration(most)), page.text(0, FLOOR, "0")]
    label = "CPU time of each day; above a bar the number of runs that failed, as !2"
    return page.svg(FLOOR + 30, label, marks) + page.paragraph(f"{label}.")


def _bar(day: DayCost, x: float, step: float, most: int) -> list[str]:
    height = day.cpu_ms / most * (FLOOR - TOP)
    title = f"{day.day}: {duration(day.cpu_ms)} of CPU, {count(day.runs, 'run')}"
    title += f", {day.failed} failed" if day.failed else ""
    wide = min(step * 0.8, 60.0)
    left = x + (step - wide) / 2
    made = [page.bar((left, FLOOR - height, wide, height), title, "m")]
    if day.failed:
        made.append(page.text(x + step / 2, FLOOR - height - 5, f"!{day.failed}", "middle"))
    return made
