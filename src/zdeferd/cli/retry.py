"""Run the work of a run that did not succeed once more, and wait for its end.

The work is as it was claimed then: command, environment, options. The run gets a claim of its
own, as with `run JOB`, which runs the job as it is declared now. The work is kept of each job's
latest run that did not succeed. The exit code is 0 where the run succeeded, else 1.

Examples:

zdeferctl retry updates-waiting

zdeferctl retry 26 --no-wait
"""

from __future__ import annotations

from ..view.target import find_run, latest_run, run_or_job
from ..view.where import find_paths
from .run import Claim, follow, how_to_wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

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
        row = find_run(view, latest_run(view, paths, call.args.target)["id"])
    with Client(paths.socket) as client:
        claimed = client.ask(control.RetryRun(run=row["id"]))
        assert isinstance(claimed, control.RunClaimed)
        return follow(call, client, [Claim(row["job"], claimed.run, claimed.ledger)])
