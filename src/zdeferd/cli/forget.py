"""Forget a job: its runs and claims, the outputs that were kept, a shell's declaration of it.

A job of a file stays declared, and may be due again at the next prompt. Refused while a run of
it waits or runs; --force cancels those first. On a terminal it asks before it deletes.

Examples:

zdeferctl forget updates-waiting

zdeferctl forget updates-waiting --force --yes
"""

from __future__ import annotations

import sys

from ..errors import ZdeferdError
from ..view.render import count
from ..view.target import check_job, job_id
from ..view.where import find_paths
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job, --force and --yes."""
    parser.add_argument("job", metavar="JOB", type=job_id, help="its id, as `jobs` lists it")
    parser.add_argument("--force", action="store_true", help="cancel its live runs first")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def perform(call: Call) -> int:
    """Forget the job; -> 0, or 1 where the user says no."""
    from ..ledger.reading import reading
    from ..wire import control
    from ..wire.client import request

    paths, job = find_paths(call.env), call.args.job
    with reading(paths.ledger) as view:
        check_job(view, paths, job)
    if not call.args.yes and not _confirmed(job):
        return call.answer({"job": job, "runs": None}, lambda _: "nothing was deleted", NO)
    asked = control.Forget(job=job, force=call.args.force)
    done = request(paths.socket, asked, timeout_s=None)
    assert isinstance(done, control.Forgotten)
    said = f"forgot {job}: {count(done.runs, 'run')}"
    return call.answer({"job": job, "runs": done.runs}, lambda _: said, DONE)


def _confirmed(job: str) -> bool:
    """Ask on the terminal; ZdeferdError where there is none."""
    if not sys.stdin.isatty():
        raise ZdeferdError("no terminal to ask on", "say --yes to forget it all the same")
    print(
        f"delete all runs of {job} and their outputs? [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")
