"""Print what a run wrote to its standard output and error.

Into a file or a pipe it goes byte for byte. On a terminal control characters are shown as marks
(^[ for escape), so that no output can drive it; --raw sends them as they are.

With a job's id, the output of its latest run that has started. With -f go on as it grows, until the
run has ended. Output is bounded (setting `output_limit`): the head and the last part
are kept, a marker line stands for the middle.

Examples:

zdeferctl log 26 -f
"""

from __future__ import annotations

import os
import sys

from ..errors import ZdeferdError
from ..ledger.reading import reading
from ..machine.files import open_file
from ..machine.lock import daemon_pid
from ..view.target import latest_run, run_or_job
from ..view.visible import Visible
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
    parser.add_argument(
        "--raw", action="store_true", help="control characters as they are, on a terminal too"
    )


def perform(call: Call) -> int:
    """Print the output; -> 0, or 1 where there is no such run or job."""
    if call.args.json and (call.args.follow or call.args.raw):
        option = "-f" if call.args.follow else "--raw"
        call.failed(f"options do not go together: {option} and --json; leave one out", USAGE)
        return USAGE
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        row = latest_run(view, paths, call.args.target, started=True)
    path = f"{paths.runs}/{row['id']}/output"
    if call.args.json:
        return call.answer(_document(row, path), lambda style: "")
    sys.stdout.flush()
    sink = _Marked() if call.columns is not None and not call.args.raw else _Raw()
    if call.args.follow:
        if row["dispatched_at"] is None and row["ended_at"] is None:
            job = row["job"]
            call.progress(f"run {row['id']} of {job} waits; `zdeferctl why {job}` says for what")
        _follow(paths, row["id"], sink)
        return DONE
    with _open(path) as file:
        if not _pour(file, sink) and (said := _nothing(row)):
            call.progress(f"run {row['id']} {said}")
    sink.end()
    return DONE


def _nothing(row: RunRow) -> str:
    """Return why there is no output to print; empty: the run wrote none."""
    if row["ended_at"] is None:
        return "has written nothing yet; -f waits for it"
    return "wrote output that is not there any more" if row["output_bytes"] else ""


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


class _Raw:
    """Writes blocks to standard output, byte for byte."""

    def write(self, block: bytes) -> None:
        """Write a block at once."""
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()

    def end(self) -> None:
        """Write nothing: no block was kept back."""


class _Marked(_Raw):
    """Writes blocks to a terminal, with marks for its control characters."""

    def __init__(self) -> None:
        self._visible = Visible()

    def write(self, block: bytes) -> None:
        """Write a block at once, but for a character of which the rest is still to come."""
        sys.stdout.write(self._visible.text(block))
        sys.stdout.flush()

    def end(self) -> None:
        """Write the bytes of a character of which the rest never came."""
        sys.stdout.write(self._visible.text(b"", final=True))


def _pour(file: BinaryIO, sink: _Raw) -> int:
    """Copy what is there to standard output; -> bytes copied."""
    total = 0
    while block := file.read(BLOCK_BYTES):
        sink.write(block)
        total += len(block)
    return total


def _follow(paths: Paths, run: int, sink: _Raw) -> None:
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
                _pour(file, sink)
            if ended:
                sink.end()
                return
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
