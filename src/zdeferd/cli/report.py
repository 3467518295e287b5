"""Say what deferred work cost, by job and by day, what failed, and what shells were spared.

MEDIAN is of the runs that succeeded, WALL and CPU are sums, PEAK is the memory of the largest
process. SPARED is an estimate: shells that found the work of a job of scope boot, day, change or
ever done, times the job's median. With --html a page with pictures is written as well; with
`--html -` the page goes to standard output, in place of the report.

The ledger keeps runs for as long as the setting `keep_runs` says (90 days).

Examples:

zdeferctl report --since 7d

zdeferctl report --html report.html
"""

from __future__ import annotations

from ..view.render import Style, count, fields, table, wrapped
from ..view.where import find_paths
from .codes import DONE
from .parsers import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..pictures.costs import Costs
    from ..view.render import Document
    from .call import Call

LONGEST = "36500d"
MOST_DAYS = 14
MOST_FAILURES = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --since and --html."""
    add = parser.add_argument
    add(
        "--since",
        type=span(LONGEST),
        default=30 * 86400.0,
        metavar="TIME",
        help="the time up to now that it covers (30d)",
    )
    add("--html", metavar="FILE", help="write a page with pictures to FILE; -: print it")


def perform(call: Call) -> int:
    """Print the report, and write the page; -> 0."""
    from ..ledger.reading import reading
    from ..pictures.costs import costs

    paths = find_paths(call.env)
    since = call.now - call.args.since
    with reading(paths.ledger) as view:
        found = costs(view.runs(limit=-1), view.prompts(since), since, call.now)
    if call.args.html:
        from ..pictures.report import html

        if call.put(html(found), call.args.html):
            return DONE
    return call.answer(_document(found), lambda style: _text(found, style, call.columns), DONE)


def _document(found: Costs) -> Document:
    return {
        "since_s": found.since,
        "until_s": found.until,
        "first_ended_at_s": found.first_at,
        "shells": found.shells,
        "outcomes": found.outcomes,
        "away_ms": found.away_ms,
        "cpu_ms": sum(job.cpu_ms for job in found.jobs),
        "repeats": sum(job.repeats for job in found.jobs),
        "spared_ms": round(sum(job.spared_ms for job in found.jobs)),
        "jobs": [job._asdict() for job in found.jobs],
        "days": [day._asdict() for day in found.days],
        "failures": [
            {
                "run": row["id"],
                "job": row["job"],
                "outcome": row["outcome"],
                "rc": row["rc"],
                "ended_at_s": row["ended_at"],
                "wall_ms": row["wall_ms"],
            }
            for row in found.failures
        ],
    }


def _text(found: Costs, style: Style, columns: int | None) -> str:
    from ..pictures import report
    from ..pictures.costs import SPARED

    parts = [fields(report.headline(found), style)]
    if not found.jobs:
        return parts[0]
    jobs = [report.job_cells(job) for job in found.jobs]
    parts.append(table(report.JOB_HEADS, jobs, style, frozenset(range(1, 8))))
    days = [report.day_cells(day) for day in found.days[-MOST_DAYS:]]
    parts.append(table(report.DAY_HEADS, days, style, frozenset(range(1, 5))))
    if found.failures:
        rows = [report.failure_cells(row, found.until) for row in found.failures[:MOST_FAILURES]]
        parts.append(table(report.FAILURE_HEADS, rows, style, frozenset({1, 4, 5})))
        hint = f"zdeferctl log {found.failures[0]['id']}"
        parts.append(style.dim(f"{count(len(found.failures), 'failure')}; the latest: {hint}"))
    parts.append(style.dim(wrapped(SPARED, columns)))
    return "\n\n".join(parts)
