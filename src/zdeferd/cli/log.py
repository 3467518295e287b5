"""Print what a run wrote to its standard output and error.

Into a file or a pipe it goes byte for byte. On a terminal control characters are shown as marks
(^[ for escape), so that no output can drive it; --raw sends them as they are.

With a job's id, the output of its latest run that has started; with --since the outputs of all
its runs since then, the oldest first, each below a line that names the run. TIME is a duration
(2h: two hours ago), a time of today (14:30), a date, or both, `today` or `yesterday`. With -f go
on as it grows, until the run has ended. Output is bounded (setting `output_limit`): the head and
the last part are kept, a marker line stands for the middle.

Examples:

zdeferctl log updates-waiting -n 20

zdeferctl log 26 -f

zdeferctl log updates-waiting --since yesterday
"""

from __future__ import annotations

import os

from ..errors import ZdeferdError
from ..machine.lock import daemon_pid
from ..view.live import as_found
from ..view.render import clock
from ..view.runs import word
from ..view.target import check_job, is_number, latest_run, run_or_job
from ..view.where import find_paths
from .codes import DONE, USAGE
from .parsers import instant, whole
from .stream import Raw, open_output, pour, sink_for, skip_to_last

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import BinaryIO

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the run or job, --follow, --lines, --since and --raw."""
    add = parser.add_argument
    add("target", metavar="RUN|JOB", type=run_or_job, help="a run's number or a job")
    add("-f", "--follow", action="store_true", help="go on as it grows, until the run has ended")
    add("-n", "--lines", metavar="N", type=whole(0), help="only the last N lines of each output")
    add("--since", metavar="TIME", type=instant, help="of a job: all its runs since then")
    add("--raw", action="store_true", help="control characters as they are, on a terminal too")


def perform(call: Call) -> int:
    """Print the output; -> 0, or 1 where there is no such run or job."""
    from ..ledger.reading import reading

    args = call.args
    if wrong := _contradiction(call):
        return call.failed(wrong, USAGE)
    paths = find_paths(call.env)
    if args.since is not None:
        return _all_since(call, paths)
    with reading(paths.ledger) as view:
        row = latest_run(view, paths, args.target, started=True)
    if args.json:
        return call.answer(_document(row, paths, args.lines), lambda _: "")
    sink = sink_for(call, args.raw)
    if args.follow:
        if row["dispatched_at"] is None and row["ended_at"] is None:
            job = row["job"]
            call.progress(f"run {row['id']} of {job} waits; `zdeferctl why {job}` says for what")
        _follow(paths, row["id"], sink, args.lines)
        return DONE
    if not _print(paths, row, sink, args.lines) and (said := _nothing(row)):
        call.progress(f"run {row['id']} {said}")
    return DONE


def _contradiction(call: Call) -> str:
    """Return what is wrong with options that are each valid; empty: nothing."""
    args = call.args
    if args.json and (args.follow or args.raw):
        option = "-f" if args.follow else "--raw"
        return f"options do not go together: {option} and --json; leave one out"
    if args.since is not None and args.follow:
        return "options do not go together: -f and --since; leave one out"
    if args.since is not None and is_number(args.target):
        return f"--since: not for one run: {args.target}; name a job"
    return ""


def _all_since(call: Call, paths: Paths) -> int:
    """Print the outputs of a job's runs that have started, the oldest first; -> 0."""
    from ..ledger.reading import reading

    args = call.args
    with reading(paths.ledger) as view:
        rows = as_found(view.runs(args.target, limit=-1, since=args.since)[::-1], paths)
        if not rows:
            check_job(view, paths, args.target)
    started = [row for row in rows if row["dispatched_at"] is not None]
    if args.json:
        documents = [_document(row, paths, args.lines) for row in started]
        return call.answer({"runs": documents}, lambda _: "")
    sink = sink_for(call, args.raw)
    for at, row in enumerate(started):
        when = clock(row["started_at"] or row["dispatched_at"], call.now)
        head = f"==> run {row['id']} of {row['job']}, {when}, {word(row).replace('_', ' ')} <==\n"
        sink.write(("\n" * (at > 0) + head).encode())
        _print(paths, row, sink, args.lines)
    if not started:
        call.progress(f"no run of {args.target} has started since then")
    return DONE


def _print(paths: Paths, row: RunRow, sink: Raw, lines: int | None) -> int:
    """Print a run's output; -> bytes printed."""
    with open_output(_path(paths, row["id"])) as file:
        if lines is not None:
            skip_to_last(file, lines)
        total = pour(file, sink)
    sink.end()
    return total


def _path(paths: Paths, run: int) -> str:
    return f"{paths.runs}/{run}/output"


def _nothing(row: RunRow) -> str:
    """Return why there is no output to print; empty: the run wrote none."""
    if row["ended_at"] is None:
        return "has written nothing yet; -f waits for it"
    return "wrote output that is not there any more" if row["output_bytes"] else ""


def _document(row: RunRow, paths: Paths, lines: int | None) -> dict[str, object]:
    with open_output(_path(paths, row["id"])) as file:
        if lines is not None:
            skip_to_last(file, lines)
        output = file.read().decode("utf-8", "replace")
    return {
        "run": row["id"],
        "job": row["job"],
        "output": output,
        "output_bytes": row["output_bytes"],
        "output_dropped_bytes": row["output_dropped_bytes"],
    }


def _follow(paths: Paths, run: int, sink: Raw, lines: int | None) -> None:
    """Copy the output as it grows. A change of the ledger's -wal file may be the run's end."""
    from ..machine.filewatch import file_watch

    folder = f"{paths.runs}/{run}"
    places = (f"{paths.ledger}-wal", paths.runs, folder, f"{folder}/output")
    watch = file_watch()
    file: BinaryIO | None = None
    if lines is not None and (file := _opened(places[-1])):
        skip_to_last(file, lines)
    try:
        while True:
            watch.look_at(places)
            ended = _ended(paths, run)  # asked before the last look at the file
            file = file or _opened(places[-1])
            if file is not None:
                pour(file, sink)
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


def _opened(path: str) -> BinaryIO | None:
    return open_output(path) if os.path.exists(path) else None


def _ended(paths: Paths, run: int) -> bool:
    from ..ledger.reading import reading

    with reading(paths.ledger) as view:
        row = view.run(run)
    return (
        row is None
        or row["ended_at"] is not None
        or os.path.exists(f"{paths.runs}/{run}/outcome.json")
    )
