"""Cancel runs: one that waits never starts, one that runs is ended with all it started.

A job's id stands for all its runs that wait or run. The whole process tree gets a TERM,
some grace, then a KILL. Returns when all have ended. A cancelled run has spent its
claim: `zdeferctl run` runs the job again.

Examples:

zdeferctl cancel 26 27

zdeferctl cancel updates-waiting
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ZdeferdError
from ..view.render import Style
from ..view.target import check_job, find_run, is_number, run_or_job
from ..view.where import find_paths
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths
    from .call import Call


class Cancelled(NamedTuple):
    """How a run that was to be cancelled ended."""

    run: int
    job: str
    ended_before: bool
    """True where the run had an outcome before the cancellation."""
    outcome: str
    rc: int | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name runs or jobs."""
    parser.add_argument(
        "targets", metavar="RUN|JOB", nargs="+", type=run_or_job, help="a run's number or a job"
    )


def perform(call: Call) -> int:
    """Ask for the cancellations and wait for them; -> 0, or 1 where one ended otherwise."""
    from ..ledger.reading import reading

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        found = [row for target in call.args.targets for row in _runs_of(view, paths, target)]
    # Waiting runs first, the newest before all: none of them starts meanwhile.
    rows = {(row["state"] == "dispatched", -row["id"]): row for row in found}
    done = [_cancel(paths, row) for _, row in sorted(rows.items())]

    def text(style: Style) -> str:
        return "\n".join(
            f"run {run.run} of {run.job}{' had ended before' * run.ended_before}:"
            f" {style.state(run.outcome)}"
            for run in done
        )

    cancelled = all(run.outcome == "cancelled" and not run.ended_before for run in done)
    return call.answer({"runs": [run._asdict() for run in done]}, text, DONE if cancelled else NO)


def _runs_of(view: View, paths: Paths, target: str) -> list[RunRow]:
    """Return a run by its number, or the live runs of a job."""
    if is_number(target):
        return [find_run(view, int(target))]
    rows = [row for row in view.live_runs() if row["job"] == target]
    if not rows:
        check_job(view, paths, target)
        raise ZdeferdError(f"nothing to cancel: no run of {target} waits or runs")
    return rows


def _cancel(paths: Paths, row: RunRow) -> Cancelled:
    """End a run that has not ended; -> how it ended."""
    from ..wire import control
    from ..wire.client import request

    if row["outcome"] is not None:
        return Cancelled(row["id"], row["job"], True, row["outcome"], row["rc"])
    done = request(paths.socket, control.CancelRun(run=row["id"]), timeout_s=None)
    assert isinstance(done, control.Done)
    return Cancelled(row["id"], row["job"], False, done.outcome, done.rc)
