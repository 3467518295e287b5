"""Say whether zdeferd runs, what runs and waits now, and what is wrong.

Reads the ledger, never the daemon: it answers at once, with or without one.
A service that starts zdeferd on demand lets it exit when there is nothing to do,
so `not running` is no failure and the exit code is 0 either way.

With JOB: what it is, what it waits for, its latest runs and the end of the latest output. Exit
code 1: there is no such job, or it is refused. --watch prints the answer again on each change,
until Ctrl-C.

Examples:

zdeferctl status

zdeferctl status updates-waiting

zdeferctl status --watch
"""

from __future__ import annotations

from typing import NamedTuple

from .. import __version__
from ..doctor.completion import dumps_of, insecure_troubles
from ..machine.lock import daemon_pid, daemon_version
from ..view.health import DAY_S, Trouble, troubles
from ..view.live import as_found, cost_document, live_cost
from ..view.render import Style, ago, clock, count, fields, home_short, marked, printable
from ..view.runs import document as run_document
from ..view.runs import runs_table, word
from ..view.target import job_id
from ..view.where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..ledger.reading import RunRow, ShellsRow, View
    from ..machine.paths import Paths
    from ..view.render import Document
    from .call import Call

MOST_NAMED = 5
MOST_LIVE = 20
"""Rows of runs that run or wait."""
_NOW = ("running", "cancelling", "waiting", "ended", "vanished")


class Status(NamedTuple):
    """The content of `status`, without the paths."""

    pid: int | None
    """The daemon's; 0: it has not written it yet; None: no daemon runs."""
    daemon_version: str
    """Empty: not known."""
    has_ledger: bool
    live: list[RunRow]
    outcomes: dict[str, int]
    """How many runs of the last 24 hours ended so, by outcome."""
    failed: list[RunRow]
    """Runs of the last 24 hours that failed, of declared jobs that have not succeeded since."""
    shells: ShellsRow
    paused: dict[str, float]
    """Lanes in which nothing starts, each with the instant since when."""
    disabled: dict[str, float]
    """Jobs that no event claims, likewise."""
    troubles: list[Trouble]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the job and --watch."""
    parser.add_argument("job", metavar="JOB", nargs="?", type=job_id, help="of this job alone")
    told = "print it again on each change, until Ctrl-C"
    parser.add_argument("--watch", action="store_true", help=told)


def perform(call: Call) -> int:
    """Print the status; -> 0, or 1 for an unknown or refused job."""
    paths = find_paths(call.env)
    if call.args.job is not None:
        from .status_job import perform as perform_job

        return perform_job(call, paths)
    if call.args.watch:
        from .redraw import redraw

        return redraw(call, paths, lambda: _answer(call, paths))
    return call.answer(*_answer(call, paths))


def _answer(call: Call, paths: Paths) -> tuple[Document, Callable[[Style], str]]:
    from ..ledger.reading import reading

    with reading(paths.ledger) as view:
        status = _look(paths, view, call)
    # The cost of running jobs takes psutil, which takes 30 ms; the table has no room for it.
    document = _document(status, paths) if call.args.json else {}
    return document, lambda style: _text(status, paths, call, style)


def _look(paths: Paths, view: View, call: Call) -> Status:
    now, pid = call.now, daemon_pid(paths.lock)
    return Status(
        pid=pid,
        daemon_version=daemon_version(paths.lock, pid) if pid else "",
        has_ledger=view.exists,
        live=as_found(view.live_runs(), paths),
        outcomes=view.outcomes(now - DAY_S),
        failed=_still_declared(view.failed_runs(now - DAY_S), paths, view),
        shells=view.shells(),
        paused=view.paused(),
        disabled=view.disabled(),
        troubles=troubles(paths, view, now) + insecure_troubles(dumps_of(call.env)),
    )


def _still_declared(failed: list[RunRow], paths: Paths, view: View) -> list[RunRow]:
    """Return the runs whose job is still declared: one that was taken away needs no mending."""
    if not failed:
        return []
    from ..view.jobs import declared  # 40 ms, which only a user with a failed job pays

    known, loaded = declared(view, paths)
    if loaded.problems:  # a file that cannot be read may declare any of them
        return failed
    return [row for row in failed if row["job"] in known]


def _document(status: Status, paths: Paths) -> Document:
    return {
        "version": __version__,
        "daemon": {
            "running": status.pid is not None,
            "pid": status.pid or None,
            "version": status.daemon_version or None,
        },
        "socket": paths.socket,
        "state_dir": paths.state,
        "ledger": status.has_ledger,
        "live_runs": [_live_run(row, paths) for row in status.live],
        "outcomes_24h": status.outcomes,
        "failed_runs": [run_document(row) for row in status.failed],
        "shells": status.shells["shells"],
        "last_visit_at_s": status.shells["seen_at"],
        "last_prompt_at_s": status.shells["prompted_at"],
        "paused": status.paused,
        "disabled": status.disabled,
        "problems": [str(trouble) for trouble in status.troubles],
    }


def _live_run(row: RunRow, paths: Paths) -> Document:
    return run_document(row) | {"live_cost": cost_document(live_cost(row, paths))}


def _text(status: Status, paths: Paths, call: Call, style: Style) -> str:
    def short(text: str) -> str:
        return printable(home_short(text, paths.home))

    pairs = [
        ("daemon", _daemon(status, style)),
        ("now", _tally([word(row) for row in status.live])),
        ("paused", _paused(status.paused, call.now)),
        ("disabled", _names(list(status.disabled))),
        ("24 hours", _outcomes(status.outcomes, style)),
        ("shells", _shells(status.shells, call.now)),
        ("socket", short(paths.socket)),
        ("state", short(paths.state)),
    ]
    parts = [fields(pairs, style)]
    if status.live:
        parts += ["", runs_table(status.live[:MOST_LIVE], call.now, style)]
    if (more := len(status.live) - MOST_LIVE) > 0:
        parts.append(style.dim(f"and {more} more: zdeferctl runs -n {len(status.live)}"))
    told = [*_failed(status.failed), *_other_version(status), *map(str, status.troubles)]
    lines = marked(style.paint("!", "red"), told, call.columns, paths.home)
    return "\n".join([*parts, *([""] if lines else []), *lines])


def _daemon(status: Status, style: Style) -> str:
    if status.pid is None:
        return style.paint("not running", "yellow") + f"  {style.dim('zdeferctl ' + __version__)}"
    says = f"pid {status.pid}" if status.pid else "starting"
    version = f", version {status.daemon_version}" if status.daemon_version else ""
    return f"{style.paint('running', 'green')}, {says}{version}"


def _paused(lanes: dict[str, float], now: float) -> str:
    """Return the lanes in which nothing starts; empty: there is none."""
    shown = ", ".join(f"{lane} lane since {clock(at, now)}" for lane, at in lanes.items())
    return f"{shown}; zdeferctl resume" if lanes else ""


def _names(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _failed(runs: list[RunRow]) -> list[str]:
    """Return a line that names the jobs whose latest run failed; none where all is well."""
    if not runs:
        return []
    words = ", ".join(f"{row['job']} ({_ending(row)})" for row in runs[:MOST_NAMED])
    more = f" and {len(runs) - MOST_NAMED} more" if len(runs) > MOST_NAMED else ""
    kinds = ",".join(sorted({str(row["outcome"]) for row in runs}))
    shown = f"zdeferctl log {runs[0]['id']}, zdeferctl runs --outcome {kinds}"
    return [f"{count(len(runs), 'job')} failed: {words}{more}; {shown}"]


def _ending(row: RunRow) -> str:
    return (
        f"rc {row['rc']}" if row["outcome"] == "failed" else str(row["outcome"]).replace("_", " ")
    )


def _other_version(status: Status) -> list[str]:
    """Return a line where the daemon is not of this zdeferctl's version."""
    if status.daemon_version in ("", __version__):
        return []
    age = "older" if _number(status.daemon_version) < _number(__version__) else "newer"
    found = f"the daemon ({status.daemon_version}) is {age} than this zdeferctl ({__version__})"
    return [f"{found}; zdeferctl restart"]


def _number(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


def _tally(words: list[str]) -> str:
    kinds = [(kind, words.count(kind)) for kind in _NOW]
    return ", ".join(f"{n} {kind}" for kind, n in kinds if n) or "nothing runs, nothing waits"


def _outcomes(outcomes: dict[str, int], style: Style) -> str:
    most_first = sorted(outcomes.items(), key=lambda item: -item[1])
    return ", ".join(f"{n} {style.state(name)}" for name, n in most_first) or "no run ended"


def _shells(shells: ShellsRow, now: float) -> str:
    if not shells["shells"]:
        return "none has visited yet"
    return f"{shells['shells']} seen, last {ago(shells['seen_at'], now)}"
