"""Make a job: opens a template in your editor, and takes the file where it is right.

The editor is that of VISUAL, else of EDITOR. The file goes to jobs.d/JOB.toml once nothing is
wrong with it; a draft with mistakes is kept, its path is printed, and `new JOB` goes on with it.

Examples:

zdeferctl new brew-update
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call

TEMPLATE = """\
# What runs, when, and how often. All keys: docs/jobs.md of zdeferd.
[{job}]
description = ""
run      = ""                # zsh code; or a command: ["command", "argument"]
on       = ["postprompt"]    # after the prompt; "idle": when the keyboard is quiet
once_per = "day"             # shell, boot, day, change (of what it watches) or ever
# watch   = ["command:brew", "~/.Brewfile"]    # for once_per = "change"
# timeout = "10m"            # then it is ended
# after   = ["another-job"]  # not before that one has ended
# output  = "~/.cache/x"     # what it prints becomes this file, whole
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job."""
    from ..view.target import job_id

    parser.add_argument("job", metavar="JOB", type=job_id, help="the id of the new job")


def perform(call: Call) -> int:
    """Have the template edited; -> 0, or 1 where no job was made."""
    import os

    from ..errors import ZdeferdError
    from ..ledger.reading import reading
    from ..view.jobs import declared
    from ..view.where import find_paths
    from .drafting import Edit, edit

    job, paths = call.args.job, find_paths(call.env)
    path = f"{paths.jobs_dir}/{job}.toml"
    with reading(paths.ledger) as view:
        item = declared(view, paths)[0].get(job)
    if item is not None and item.source != "shell":
        raise ZdeferdError(f"job exists: {job}: {item.source}", f"zdeferctl edit {job}")
    if os.path.lexists(path):
        raise ZdeferdError(f"file exists: {path}", "take another id, or put the job into it")
    return edit(call, paths, Edit(job, path, TEMPLATE.format(job=job).encode(), "new"))
