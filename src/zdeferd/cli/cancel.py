"""Cancel a run: one that waits never starts, one that runs is ended with all it started.

The whole process tree gets a TERM, some grace, then a KILL. Returns when it has ended.
A cancelled run has spent its claim: `zdeferctl run` runs the job again.
"""

from __future__ import annotations

from .. import wire
from ..client import request
from ..render import Style
from ..view import reading
from . import DONE, NO
from .target import find_run, run_number
from .where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Which run."""
    parser.add_argument(
        "run", metavar="RUN", type=run_number, help="its number, as `runs` lists it"
    )


def perform(call: Call) -> int:
    """Ask for the cancellation and wait for it; -> 0, or 1 where the run ended otherwise."""
    paths, run = find_paths(call.env), call.args.run
    with reading(paths.ledger) as view:
        row = find_run(view, run)
    if row["outcome"] is not None:
        call.failed(f"run has ended before: {run} ({row['outcome']})", NO)
        return NO
    done = request(paths.socket, wire.CancelRun(run=run), timeout_s=None)
    assert isinstance(done, wire.Done)

    def text(style: Style) -> str:
        return f"run {run} of {row['job']}: {style.state(done.outcome)}"

    document = {"run": run, "job": row["job"], "outcome": done.outcome, "rc": done.rc}
    return call.answer(document, text, DONE if done.outcome == "cancelled" else NO)
