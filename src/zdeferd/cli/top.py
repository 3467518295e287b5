"""Watch what runs, what it costs now, what waits and why, and how the last runs ended.

Draws anew when the ledger changes, and each two seconds while something runs: CPU is the part of
one core that the run's processes have used since then, memory the sum of what they hold. Keys: the
arrows choose a run, l shows its output, c cancels it (and asks before), q leaves. Where there is
no terminal, or a dumb one, it prints the picture once, as --once does.

Examples:

zdeferctl top

zdeferctl top --once
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, closing

from ..errors import ZdeferdError
from ..machine.files import open_file
from ..machine.filewatch import CLOSED, CONTENT, file_watch
from ..pictures.look import INTERVAL_S, Due, Looks, ledger_stamps
from ..view.runs import document as run_document
from ..view.where import find_paths
from .codes import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..machine.filewatch import Inotify, Kqueue
    from ..machine.paths import Paths
    from ..pictures.look import Running, Seen
    from ..pictures.screen import Screen
    from ..view.render import Document
    from .call import Call

LOG_BYTES = 1 << 18
"""So much of the end of an output can be scrolled through."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add --once."""
    parser.add_argument("--once", action="store_true", help="print the picture once, and leave")


def perform(call: Call) -> int:
    """Show the picture until q; -> 0."""
    paths = find_paths(call.env)
    dumb = call.env.get("TERM", "dumb") in ("", "dumb")
    if call.args.once or call.args.json or dumb or not _on_terminal():
        from ..pictures.frame import snapshot

        seen = Looks(paths).look(call.now)
        return call.answer(_document(seen), lambda style: snapshot(seen, call.columns, style))
    from ..pictures.screen import Screen

    with ExitStack() as stack:
        stack.enter_context(closing(watch := file_watch()))
        Top(call, paths, stack.enter_context(Screen()), watch).go_on()
    return DONE


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def _document(seen: Seen) -> Document:
    return {
        "daemon": {"running": seen.pid is not None, "pid": seen.pid or None},
        "running": [_running(one) for one in seen.running],
        "waiting": [
            {
                "run": one.row["id"],
                "job": one.row["job"],
                "code": one.code,
                "sentence": one.sentence,
            }
            for one in seen.waiting
        ],
        "ended": [run_document(row) for row in seen.ended],
        "outcomes_24h": seen.outcomes,
        "paused": seen.paused,
    }


def _running(one: Running) -> Document:
    cost, percent = one.cost, one.cpu_percent
    return {
        "run": one.row["id"],
        "job": one.row["job"],
        "dispatched_at_s": one.row["dispatched_at"],
        "cpu_percent": None if percent is None else round(percent, 1),
        "cpu_ms": None if cost is None else round(cost.cpu_s * 1000),
        "memory_kib": None if cost is None else cost.memory_bytes >> 10,
        "processes": None if cost is None else cost.processes,
    }


class Top:
    """The picture on a terminal, and what the keys do."""

    def __init__(self, call: Call, paths: Paths, screen: Screen, watch: Inotify | Kqueue) -> None:
        self._call, self._paths, self._screen, self._watch = call, paths, screen, watch
        self._looks = Looks(paths)
        self._looked_at = 0.0
        """On the monotonic clock."""
        self._due = Due()
        self._chosen: int | None = None
        self._asked: int | None = None
        """The run that a y would cancel."""
        self._log: int | None = None
        """The run whose output is shown."""
        self._back = 0
        self._note = ""
        self._seen = self._look()

    def go_on(self) -> None:
        """Draw, wait, and do what a key says, until q."""
        while True:
            self._watch.look_at(_watched(self._paths, self._log))
            self._watch.look_at([self._paths.lock], CONTENT | CLOSED)
            if self._is_due():
                seen = self._look()
                if seen.running or seen._replace(at=self._seen.at) != self._seen:
                    self._seen = seen
            self._screen.draw(self._lines())
            for key in self._screen.wait([self._watch], self._limit_s()):
                if not self._press(key):
                    return
            self._watch.clear()

    def _limit_s(self) -> float | None:
        now = time.monotonic()
        limits = [self._due.left_s(now)]
        if self._seen.running:
            limits.append(max(0.0, self._looked_at + INTERVAL_S - now))
        return min((limit for limit in limits if limit is not None), default=None)

    def _is_due(self) -> bool:
        now = time.monotonic()
        interval_over = bool(self._seen.running) and now >= self._looked_at + INTERVAL_S
        return self._due.is_due(ledger_stamps(self._paths), now) or interval_over

    def _look(self) -> Seen:
        self._looked_at = time.monotonic()
        seen = self._looks.look(time.time())
        ids = [row["id"] for row in seen.rows]
        if self._chosen not in ids:
            self._chosen = ids[0] if ids else None
        return seen

    # --- drawing ---

    def _lines(self) -> list[str]:
        from ..pictures.frame import frame, log_frame

        size, style = self._screen.size, self._call.style
        if self._log is not None:
            lines = _output(f"{self._paths.runs}/{self._log}/output")
            self._back = max(0, min(self._back, len(lines) - size[1] + 2))
            return log_frame(f"output of run {self._log}", lines, size, self._back, style)
        return frame(self._seen, size, self._chosen, style, self._note)

    # --- keys ---

    def _press(self, key: str) -> bool:
        """Do what a key says; False: leave."""
        self._note = ""
        if self._asked is not None:
            asked, self._asked = self._asked, None
            if key == "y":
                self._cancel(asked)
            return True
        if self._log is not None:
            return self._press_in_log(key)
        if key in ("up", "down", "k", "j"):
            self._choose(1 if key in ("down", "j") else -1)
        elif key in ("l", "right", "\n", "\r") and self._chosen is not None:
            self._log, self._back = self._chosen, 0
        elif key == "c" and self._chosen is not None:
            self._ask(self._chosen)
        return key != "q"

    def _press_in_log(self, key: str) -> bool:
        if key in ("q", "l", "left", "escape"):
            self._log = None
        self._back += {"up": 1, "k": 1, "down": -1, "j": -1}.get(key, 0)
        return True

    def _choose(self, step: int) -> None:
        ids = [row["id"] for row in self._seen.rows]
        if self._chosen in ids:
            at = ids.index(self._chosen) + step
            self._chosen = ids[max(0, min(at, len(ids) - 1))]

    def _ask(self, run: int) -> None:
        row = next(row for row in self._seen.rows if row["id"] == run)
        if row["ended_at"] is not None:
            self._note = f"run {run} has ended"
            return
        self._asked = run
        self._note = f"cancel run {run} of {row['job']}? y or n"

    def _cancel(self, run: int) -> None:
        """Ask the daemon; in a thread, because it answers once the run has ended."""
        import threading

        self._note = f"cancelling run {run}"
        threading.Thread(target=self._cancelled, args=(run,), daemon=True).start()

    def _cancelled(self, run: int) -> None:
        from ..wire import control
        from ..wire.client import request

        try:
            request(self._paths.socket, control.CancelRun(run=run), timeout_s=None)
            self._note = f"run {run} has ended"
        except ZdeferdError as error:
            self._note = str(error)
        self._screen.wake()


def _watched(paths: Paths, log: int | None) -> list[str]:
    """Return the paths at which a change can matter; of a folder that is missing, one above."""
    folder = paths.state
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    own = [f"{paths.runs}/{log}", f"{paths.runs}/{log}/output"] if log is not None else []
    return [folder, paths.ledger, f"{paths.ledger}-wal", *own]


def _output(path: str) -> list[str]:
    """Return the last lines of an output, without control characters."""
    from ..view.render import printable
    from .visible import Visible

    try:
        with open(path, "rb", opener=open_file) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
            block = file.read(LOG_BYTES)
    except OSError:
        return ["(no output)"]
    lines = Visible().text(block, final=True).expandtabs().splitlines()
    return [printable(line) for line in lines] or ["(no output yet)"]
