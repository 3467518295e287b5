"""List the latest runs, newest first: how they ended and what they cost.

WALL is the time from start to end (so far, for a running one), CPU is user and
system time of the whole process tree, PEAK the memory of its largest process.

--since leaves out what had ended before TIME: a duration (2h: two hours ago), a time of today
(14:30), a date, or both, `today` or `yesterday`. --watch prints the list again on each change,
until Ctrl-C. TEXT of --format is printed once a run, with values in place of {FIELD}, formatted
as by Python: {wall_ms:>8}. A value that is not known is empty; \\t is a tab, \\n a new line.

Examples:

zdeferctl runs --outcome failed,timed_out --since 2d

zdeferctl runs updates-waiting -n 5 --watch

zdeferctl runs --format '{run}\\t{job}\\t{outcome}\\t{wall_ms}'
"""

from __future__ import annotations

from ..view.live import as_found
from ..view.render import Style, printable
from ..view.runs import document, runs_table
from ..view.target import check_job, job_id
from ..view.where import find_paths
from .codes import DONE, USAGE
from .parsers import instant, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..ledger.reading import RunRow
    from ..machine.paths import Paths
    from ..view.render import Document
    from .call import Call

OUTCOMES = ("succeeded", "failed", "timed_out", "cancelled", "abandoned", "missed")

FIELDS = (
    *("run", "job", "key", "trigger", "shell", "batch", "place", "after", "attempts", "attempt"),
    *("retry", "retry_of", "retry_at_s", "state", "cancelling", "boot", "found", "outcome", "rc"),
    *("claimed_at_s", "dispatched_at_s", "started_at_s", "ended_at_s", "wall_ms", "cpu_user_ms"),
    *("cpu_system_ms", "max_rss_kib", "block_in_512b", "block_out_512b", "switches_voluntary"),
    *("switches_involuntary", "output_bytes", "output_dropped_bytes", "ended_behind", "refusal"),
)
"""The fields of --format: the keys of a run's document."""
_FORMS = "write {FIELD} or {FIELD:>8}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job, and which runs of it, in which form; --ids is for completion."""
    from argparse import SUPPRESS
    from textwrap import fill

    add = parser.add_argument
    add("job", metavar="JOB", nargs="?", type=job_id, help="only runs of this job")
    add("-n", "--limit", type=whole(1), default=20, help="at most N (20)", metavar="N")
    told = f"only runs that ended so, one or more with commas: {', '.join(OUTCOMES)}"
    add("--outcome", metavar="OUTCOME", type=outcomes, default=(), help=told)
    add("--since", metavar="TIME", type=instant, help="without those that ended before")
    add("--format", metavar="TEXT", help="this text for each run, with {FIELD} for its values")
    add("--watch", action="store_true", help="print it again on each change, until Ctrl-C")
    add("--ids", action="store_true", help=SUPPRESS)
    listed = fill(", ".join(FIELDS), 78, initial_indent="  ", subsequent_indent="  ")
    parser.epilog = f"fields:\n{listed}"


def outcomes(text: str) -> tuple[str, ...]:
    """Return the outcomes of a list with commas, for argparse."""
    from argparse import ArgumentTypeError

    for word in (found := tuple(text.split(","))):
        if word not in OUTCOMES:
            raise ArgumentTypeError(f"not an outcome: {word}; expected {', '.join(OUTCOMES)}")
    return found


def perform(call: Call) -> int:
    """Print the runs; -> 0."""
    paths = find_paths(call.env)
    if call.args.format is not None and (wrong := _wrong_format(call)):
        return call.failed(wrong, USAGE)
    if call.args.format is not None:
        return _print_formatted(call, _rows(call, paths)[: call.args.limit])
    if call.args.ids:
        for row in _rows(call, paths)[: call.args.limit]:
            print(f"{row['id']}:{row['job']}, {row['outcome'] or 'live'}")
        return DONE
    if call.args.watch:
        from .redraw import redraw

        return redraw(call, paths, lambda: _answer(call, paths))
    return call.answer(*_answer(call, paths))


def _rows(call: Call, paths: Paths) -> list[RunRow]:
    """Return the runs that were asked for, and one more where there are more."""
    from ..ledger.reading import reading

    args = call.args
    with reading(paths.ledger) as view:
        found = view.runs(args.job, args.outcome, args.limit + 1, args.since)
        if args.job and not found:
            check_job(view, paths, args.job)
    return as_found(found, paths)


def _answer(call: Call, paths: Paths) -> tuple[Document, Callable[[Style], str]]:
    args, rows = call.args, _rows(call, paths)
    more = len(rows) > args.limit
    rows = rows[: args.limit]

    def text(style: Style) -> str:
        if not rows:
            return _none(args.job, args.outcome, args.since is not None)
        made = runs_table(rows, call.now, style)
        return f"{made}\n{style.dim(f'older ones: -n {args.limit * 5}')}" if more else made

    return {"runs": [document(row) for row in rows], "more": more}, text


def _none(job: str | None, outcome: tuple[str, ...], since: bool) -> str:
    of = f" of {job}" if job else ""
    if outcome:
        return f"no run{of} {' or '.join(outcome).replace('_', ' ')}{' since then' * since}"
    return f"no runs{of} since then" if since else f"no runs{of} yet"


# --- --format ------------------------------------------------------------------


def _wrong_format(call: Call) -> str:
    """Return what is wrong with the text of --format; empty: nothing."""
    for option in ("json", "watch"):
        if getattr(call.args, option):
            return f"options do not go together: --format and --{option}; leave one out"
    if not call.args.format:
        return "--format: empty text; write {FIELD} for each value to print, such as {run}"
    try:
        _formatted(call.args.format, dict.fromkeys(FIELDS))
    except KeyError as error:
        named = error.args[0]
        return f"--format: unknown field: {named!r}; `zdeferctl runs --help` lists the fields"
    except ValueError as error:
        return f"--format: {error}: {call.args.format}; {_FORMS}"
    return ""


def _print_formatted(call: Call, rows: list[RunRow]) -> int:
    """Print the text of each run, or none where a value does not suit its format."""
    try:
        lines = [_formatted(call.args.format, document(row)) for row in rows]
    except ValueError as error:
        return call.failed(f"--format: {error}: {call.args.format}; {_FORMS}", USAGE)
    for line in lines:
        print(line)
    return DONE


def _formatted(text: str, values: Document) -> str:
    """Return `text` with the values of the fields that it names. KeyError, ValueError."""
    import string

    plain = text.replace("\\t", "\t").replace("\\n", "\n")
    made = []
    for literal, field, spec, conversion in string.Formatter().parse(plain):
        made.append(literal)
        if field is not None:
            if conversion:
                raise ValueError(f"no conversion is known: !{conversion}")
            made.append(_value(values[field], spec or ""))
    return "".join(made)


def _value(value: object, spec: str) -> str:
    """Return a value formatted; one that is not known fills its width with blanks. ValueError."""
    import re

    if isinstance(value, list):
        value = ",".join(map(str, value))
    if value is None:
        width = re.fullmatch(r"(?:.?[<>=^])?[-+ ]?#?0?(\d{0,4}),?(?:\.\d+)?[a-z%A-Z]?", spec)
        if width is None:
            raise ValueError(f"not a format of a value: {spec}")
        return " " * int(width[1] or 0)
    return format(printable(value) if isinstance(value, str) else value, spec)
