"""Say whether zdeferd runs, what runs and waits now, and what is wrong.

Reads the ledger, never the daemon: it answers at once, with or without one.
A service that starts zdeferd on demand lets it exit when there is nothing to do,
so `not running` is no failure and the exit code is 0 either way.
"""

from __future__ import annotations

import os

from .. import __version__
from ..ledger.reading import View, daemon_pid, reading
from ..view.live import as_found
from ..view.render import Style, ago, count, fields, home_short, printable
from ..view.runs import document, runs_table, word
from ..view.where import find_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..machine.paths import Paths
    from .call import Call, Document

DAY_S = 86400.0
_NOW = ("running", "cancelling", "waiting", "ended", "vanished")
LOW_DISK_BYTES = 16 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def perform(call: Call) -> int:
    """Print the status; -> 0."""
    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        live = as_found(view.live_runs(), paths)
        found = _document(paths, view, live, call.now)
    return call.answer(found, lambda style: _text(found, live, paths, call.now, style))


def _document(paths: Paths, view: View, live: list[Document], now: float) -> Document:
    pid = daemon_pid(paths.lock)
    shells = view.shells()
    return {
        "version": __version__,
        "daemon": {"running": pid is not None, "pid": pid or None},
        "socket": paths.socket,
        "state_dir": paths.state,
        "ledger": view.exists,
        "live_runs": [document(row) for row in live],
        "outcomes_24h": view.outcomes(now - DAY_S),
        "shells": shells["shells"],
        "last_visit_at_s": shells["seen_at"],
        "last_prompt_at_s": shells["prompted_at"],
        "problems": problems(paths, view) + _job_problems(paths, view, now),
    }


def problems(paths: Paths, view: View) -> list[str]:
    """What keeps zdeferd from its work, each with what to do: state folder, disk, log."""
    return state_problems(paths) + log_problems(view)


def state_problems(paths: Paths) -> list[str]:
    """A state folder that cannot take the ledger's writes, or the runs'."""
    found = _folder_problems(paths.state)
    if not found and os.path.ismount(paths.runs):
        found = _folder_problems(paths.runs)
    return found


def _folder_problems(state: str) -> list[str]:
    try:
        space = os.statvfs(state)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"state folder cannot be looked at: {state}: {error.strerror}"]
    if not os.access(state, os.W_OK | os.X_OK):
        return [f"state folder cannot be written: {state}; make it writable for you"]
    left = space.f_bavail * space.f_frsize
    if left < LOW_DISK_BYTES:
        return [f"disk is full: {state}: {left >> 10} KiB left; free some space"]
    return []


def log_problems(view: View) -> list[str]:
    """Telemetry that did not reach its file, by file."""
    found = []
    for row in view.unwritten_lines():
        if row["state"] == "lost":
            found.append(
                f"shared log lost {count(row['lines'], 'line')}: {row['path']}: {row['problem']};"
                " the ledger has the runs: `zdeferctl runs`"
            )
        elif row["problem"]:
            found.append(
                f"shared log cannot be written: {row['path']}: {row['problem']};"
                f" {count(row['lines'], 'line')} kept in the ledger until it can"
            )
    return found


def _job_problems(paths: Paths, view: View, now: float) -> list[str]:
    """Declarations that are refused: those in files, and those of shells in the last day."""
    found = []
    if os.path.exists(paths.config_file) or _has_files(paths.jobs_dir):
        from ..jobs.files import load  # only who has files waits for it
        from ..view.jobs import tally

        found = [
            f"{told}: zdeferctl check" for told in [tally(load(paths).problems, paths)] if told
        ]
    refused = view.refused_declarations(now - DAY_S)
    if refused:
        found.append(
            f"{count(len(refused), 'job')} of shells refused: {', '.join(refused)};"
            f" zdeferctl why {refused[0]}"
        )
    return found


def _has_files(folder: str) -> bool:
    try:
        return any(name.endswith(".toml") for name in os.listdir(folder))
    except OSError:
        return False


def _text(found: Document, live: list[Document], paths: Paths, now: float, style: Style) -> str:
    def short(path: str) -> str:
        return printable(home_short(path, paths.home))

    parts = [
        fields(
            [
                ("daemon", _daemon(found["daemon"], style)),
                ("now", _tally([word(row) for row in live])),
                ("24 hours", _outcomes(found["outcomes_24h"], style)),
                ("shells", _shells(found, now)),
                ("socket", short(paths.socket)),
                ("state", short(paths.state)),
            ],
            style,
        )
    ]
    if live:
        parts += ["", runs_table(live, now, style)]
    if found["problems"]:
        parts += [""] + [f"{style.paint('!', 'red')} {short(p)}" for p in found["problems"]]
    return "\n".join(parts)


def _daemon(daemon: Document, style: Style) -> str:
    if not daemon["running"]:
        return style.paint("not running", "yellow") + f"  {style.dim('zdeferctl ' + __version__)}"
    pid = f"pid {daemon['pid']}" if daemon["pid"] else "starting"
    return f"{style.paint('running', 'green')}, {pid}"


def _tally(words: list[str]) -> str:
    kinds = [(kind, words.count(kind)) for kind in _NOW]
    return ", ".join(f"{n} {kind}" for kind, n in kinds if n) or "nothing runs, nothing waits"


def _outcomes(outcomes: dict[str, int], style: Style) -> str:
    shown = [f"{n} {style.state(name)}" for name, n in sorted(outcomes.items(), key=_most)]
    return ", ".join(shown) or "no run ended"


def _most(item: tuple[str, int]) -> int:
    return -item[1]


def _shells(found: Document, now: float) -> str:
    if not found["shells"]:
        return "none has visited yet"
    return f"{found['shells']} seen, last {ago(found['last_visit_at_s'], now)}"
