"""Shows an answer again whenever a file from which it was read has changed (`--watch`).

Waits for the kernel to report a change in the state folder or the folders of settings and
jobs; nothing polls. Reading the ledger makes and removes files beside it, which the kernel
reports too: so stamps of the files decide whether there is anything to read.
"""

from __future__ import annotations

import os
import sys
import time

from ..ledger.reading import reading
from ..machine.filewatch import CLOSED, CONTENT, file_watch
from ..machine.lock import daemon_pid
from ..pictures.look import Due, content_stamp, ledger_stamps
from ..view.render import width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..machine.paths import Paths
    from ..view.render import Document, Style
    from .call import Call

    Answer = tuple[Document, Callable[[Style], str]]


def redraw(call: Call, paths: Paths, look: Callable[[], Answer]) -> int:
    """Show what `look` returns, now and after each change, until Ctrl-C."""
    watch = file_watch()
    due = Due()
    left: list[str] = []
    shown = ""
    try:
        while True:
            watch.look_at((*_folders(paths), *left), CONTENT | CLOSED)
            if due.is_due(_stamps(paths, left), time.monotonic()):
                call.now = time.time()
                text = call.rendered(*look())
                left = _left_alone(paths)
                if text != shown:
                    _show(call, text, first=not shown)
                    shown = text
            watch.wait(due.left_s(time.monotonic()))
    finally:
        watch.close()


def _folders(paths: Paths) -> Iterator[str]:
    """Yield the folders in which a change can matter; of one that is missing, those above."""
    for folder in (paths.state, paths.jobs_dir, os.path.dirname(paths.config_file)):
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        yield folder


def _left_alone(paths: Paths) -> list[str]:
    """Return the folders of live runs that no daemon follows: their runners record their ends."""
    if daemon_pid(paths.lock) is not None:
        return []
    with reading(paths.ledger) as view:
        return [f"{paths.runs}/{row['id']}" for row in view.live_runs()]


def _stamps(paths: Paths, left: list[str]) -> list[object]:
    """Return values that differ whenever there is something else to read."""
    jobs = [f"{paths.jobs_dir}/{name}" for name in _names(paths.jobs_dir)]
    ended = [f"{folder}/outcome.json" for folder in left]
    files = (paths.config_file, *jobs, *ended)
    return [*ledger_stamps(paths), *map(content_stamp, files)]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder), key=os.fsencode)
    except OSError:
        return []


def _show(call: Call, text: str, first: bool) -> None:
    """Print the text; on a terminal in place of the one before, as far as it has lines for it."""
    if call.columns is None or call.args.json or call.env.get("TERM", "dumb") == "dumb":
        print(text if first or call.args.json else f"\n{text}", flush=True)
        return
    size = os.get_terminal_size(sys.stdout.fileno())
    lines = _fitting(text.split("\n"), size.columns, max(1, size.lines - 1))
    clear = "\x1b[2J" if first else ""
    print(f"{clear}\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines), end="\x1b[J", flush=True)


def _fitting(lines: list[str], columns: int, rows: int) -> list[str]:
    """Return the first lines that fit so many rows; a terminal wraps what is wider than it."""
    fitting: list[str] = []
    for line in lines:
        rows -= max(1, -(-width(line) // max(1, columns)))
        if rows < 0:
            break
        fitting.append(line)
    return fitting
