"""Edit the file that declares a job; it counts once nothing is wrong with it.

The editor is that of VISUAL, else of EDITOR, and gets a draft. Where that has mistakes, they are
listed, the file stays in force as it was, and the draft is kept: its path is printed, and
`edit JOB` goes on with it. A running daemon reads the new file at once. A job that gets another id
is another job: the ids that are gone and those that are new are printed.

Examples:

zdeferctl edit updates-waiting
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job."""
    from ..view.target import job_id

    parser.add_argument("job", metavar="JOB", type=job_id, help="its id, as `jobs` lists it")


def perform(call: Call) -> int:
    """Have the job's file edited; -> 0, or 1 where it stays as it was."""
    from ..errors import ZdeferdError
    from ..ledger.reading import reading
    from ..view.jobs import declared
    from ..view.target import no_such_job
    from ..view.where import find_paths
    from .drafting import Edit, edit

    job, paths = call.args.job, find_paths(call.env)
    with reading(paths.ledger) as view:
        known = declared(view, paths)[0]
    item = known.get(job)
    if item is None:
        raise no_such_job(job, list(known))
    if item.source == "shell":
        where = "change its `zdefer add` in .zshrc"
        raise ZdeferdError(f"job is declared by a shell, not by a file: {job}", where)
    with open(item.source, "rb") as file:
        return edit(call, paths, Edit(job, item.source, file.read(), "edit"))
