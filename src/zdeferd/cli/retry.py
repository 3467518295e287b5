"""Run the work of a run that did not succeed once more, and wait for its end.

The work is as it was claimed then: command, environment, options. The run gets a claim of its
own, as with `run JOB`, which runs the job as it is declared now. The work is kept of each job's
latest run that did not succeed; where runs of a job overlapped, that is the one that ended last.
The exit code is 0 where the run succeeded, else 1.

Examples:

zdeferctl retry updates-waiting

zdeferctl retry 26 --no-wait
"""

from __future__ import annotations

from ..view.target import is_number, latest_run, run_or_job
from ..view.where import find_paths
from .run import Claim, follow, how_to_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the run, --quiet and --no-wait."""
    parser.add_argument(
        "target", metavar="RUN|JOB", type=run_or_job, help="a run's number, or a job: its latest"
    )
    how_to_wait(parser)


def perform(call: Call) -> int:
    """Claim the run, wait for its end and print it; -> 0 where it succeeded, else 1."""
    from ..ledger.reading import reading
    from ..wire import control
    from ..wire.client import Client

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        row = _meant(view, paths, call.args.target)
    with Client(paths.socket) as client:
        claimed = client.ask(control.RetryRun(run=row["id"]))
        assert isinstance(claimed, control.RunClaimed)
        return follow(call, client, [Claim(row["job"], claimed.run, claimed.ledger)])


def _meant(view: View, paths: Paths, target: str) -> RunRow:
    """Return the run of that number, or a job's latest; of runs that overlapped the kept one."""
    latest = latest_run(view, paths, target)
    if is_number(target) or latest["outcome"] in (None, "succeeded"):
        return latest
    return view.kept_run(target) or latest
