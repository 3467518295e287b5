"""Print what a run wrote to its standard output and error, byte for byte.

With a job's id, the output of its latest run that has started. With -f go on as it grows, until the
run has ended. Output is bounded (setting `output_limit`): the head and the last part
are kept, a marker line stands for the middle.
"""

from __future__ import annotations

import os
import sys

from ..errors import ZdeferdError
from ..ledger.reading import reading
from ..machine.files import open_file
from ..machine.lock import daemon_pid
from ..view.target import latest_run, run_or_job
from ..view.where import find_paths
from .codes import DONE, USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from .call import Call

BLOCK_BYTES = 65536


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the run or job, and --follow."""
    parser.add_argument(
        "target", metavar="RUN|JOB", type=run_or_job, help="a run's number or a job"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on as it grows, until the run has ended"
    )


def perform(call: Call) -> int:
    """Print the output; -> 0, or 1 where there is no such run or job."""
    if call.args.follow and call.args.json:
        call.failed("options do not go together: -f and --json; leave one out", USAGE)
        return USAGE
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        row = latest_run(view, paths, call.args.target, started=True)
    path = f"{paths.runs}/{row['id']}/output"
    if call.args.json:
        return call.answer(_document(row, path), lambda style: "")
    sys.stdout.flush()
    if call.args.follow:
        if row["dispatched_at"] is None and row["ended_at"] is None:
            job = row["job"]
            call.progress(f"run {row['id']} of {job} waits; `zdeferctl why {job}` says for what")
        return _follow(call, paths, row["id"])
    with _open(path) as file:
        if not _pour(file) and row["ended_at"] is None:
            call.progress(f"run {row['id']} has written nothing yet; -f waits for it")
    return DONE


def _document(row: RunRow, path: str) -> dict[str, object]:
    with _open(path) as file:
        output = file.read().decode("utf-8", "replace")
    return {
        "run": row["id"],
        "job": row["job"],
        "output": output,
        "output_bytes": row["output_bytes"],
        "output_dropped_bytes": row["output_dropped_bytes"],
    }


def _open(path: str) -> BinaryIO:
    """Open the output; an empty file where the run has written none or it was pruned."""
    try:
        return open(path, "rb", opener=open_file)
    except FileNotFoundError:
        return open(os.devnull, "rb")


def _pour(file: BinaryIO) -> int:
    """Copy what is there to standard output; -> bytes copied."""
    total = 0
    while block := file.read(BLOCK_BYTES):
        sys.stdout.buffer.write(block)
        total += len(block)
    sys.stdout.buffer.flush()
    return total


def _follow(call: Call, paths: Paths, run: int) -> int:
    """Copy the output as it grows. A change of the ledger's -wal file may be the run's end."""
    from ..machine.filewatch import file_watch

    folder = f"{paths.runs}/{run}"
    places = (f"{paths.ledger}-wal", paths.runs, folder, f"{folder}/output")
    watch = file_watch()
    file = None
    try:
        while True:
            watch.look_at(places)
            ended = _ended(paths, run)  # asked before the last look at the file
            if file is None and os.path.exists(places[-1]):
                file = _open(places[-1])
            if file is not None:
                _pour(file)
            if ended:
                return DONE
            if not os.path.exists(folder) and daemon_pid(paths.lock) is None:
                raise ZdeferdError(
                    f"run waits and no daemon runs: {run}", "start one: zdeferctl start"
                )
            watch.wait()
    finally:
        watch.close()
        if file is not None:
            file.close()


def _ended(paths: Paths, run: int) -> bool:
    with reading(paths.ledger) as view:
        row = view.run(run)
    return (
        row is None
        or row["ended_at"] is not None
        or os.path.exists(f"{paths.runs}/{run}/outcome.json")
    )
