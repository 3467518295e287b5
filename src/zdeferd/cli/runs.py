"""List the latest runs, newest first: how they ended and what they cost.

WALL is the time from start to end (so far, for a running one), CPU is user and
system time of the whole process tree, PEAK the memory of its largest process.

Examples:

zdeferctl runs updates-waiting -n 5
"""

from __future__ import annotations

from ..ledger.reading import reading
from ..view.live import as_found
from ..view.render import Style
from ..view.runs import document, runs_table
from ..view.target import check_job, job_id
from ..view.where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call

OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled", "abandoned", "missed")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job, --limit and --outcome; --ids is for completion."""
    from argparse import SUPPRESS

    parser.add_argument("job", metavar="JOB", nargs="?", type=job_id, help="only runs of this job")
    parser.add_argument(
        "-n", "--limit", type=positive, default=20, help="at most N (20)", metavar="N"
    )
    told = f"only runs that ended so: {', '.join(OUTCOMES)}"
    parser.add_argument("--outcome", metavar="OUTCOME", choices=OUTCOMES, help=told)
    parser.add_argument("--ids", action="store_true", help=SUPPRESS)


def positive(text: str) -> int:
    """Return a whole number above 0, for argparse."""
    from argparse import ArgumentTypeError

    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise ArgumentTypeError(f"not a whole number above 0: {text}")
    return int(text)


def perform(call: Call) -> int:
    """Print the runs; -> 0."""
    args = call.args
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        rows = as_found(view.runs(args.job, args.outcome, args.limit + 1), paths)
        if args.job and not rows:
            check_job(view, paths, args.job)
    more = len(rows) > args.limit
    rows = rows[: args.limit]
    if args.ids:
        for row in rows:
            print(f"{row['id']}:{row['job']}, {row['outcome'] or 'live'}")
        return 0

    def text(style: Style) -> str:
        if not rows:
            return _none(args.job, args.outcome)
        made = runs_table(rows, call.now, style)
        return f"{made}\n{style.dim(f'older ones: -n {args.limit * 5}')}" if more else made

    return call.answer({"runs": [document(row) for row in rows], "more": more}, text)


def _none(job: str | None, outcome: str | None) -> str:
    of = f" of {job}" if job else ""
    return f"no run{of} {outcome.replace('_', ' ')}" if outcome else f"no runs{of} yet"
