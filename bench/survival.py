"""How many of ten jobs are done when the shell goes away right after it handed them over.

Three ways to go: `exit`, the terminal's window closed, SIGKILL of the shell; each 5 ms
after the first answer. Ours is the daemon's answer to the visit; the others give none, so
they get the time of a slow hand-over, counted from the prompt.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from . import contestants
from .contestants import EVALCACHE, FLOOR, FOREGROUND, US
from .handover import WRAP
from .screen import NotSeen, Screen
from .stage import Stage, settled
from .values import Figure

JOBS, JOB_MS = 10, 20.0
AFTER_S = 0.005
PEERS_WAIT_S = 0.010
"""From the prompt to the end of the others' shells, instead of an answer and AFTER_S."""


def leave(screen: Screen) -> None:
    """`exit`, and Enter."""
    screen.write(b"exit\r")
    with contextlib.suppress(NotSeen):
        screen.wait(5.0)


def close_window(screen: Screen) -> None:
    """As a closed window or a lost connection does: SIGHUP."""
    screen.hang_up()


def kill(screen: Screen) -> None:
    """As the OOM killer does."""
    os.kill(screen.pid, signal.SIGKILL)


WAYS: dict[str, tuple[str, Callable[[Screen], None]]] = {
    "after-exit": ("Jobs done after `exit`", leave),
    "after-close": ("Jobs done after the terminal closes", close_window),
    "after-kill": ("Jobs done after SIGKILL of the shell", kill),
}


def measure(stage: Stage) -> list[Figure]:
    """A figure for each way to go."""
    names = contestants.available(stage)
    names = [name for name in names if name not in (FLOOR, FOREGROUND, EVALCACHE)]
    homes = {name: _home(stage, name) for name in names}
    figures = []
    for key, (title, go) in WAYS.items():
        how = f"of {JOBS} jobs of 20 ms CPU, 5 ms after the first answer"
        figure = Figure(key, title, "jobs", how, skipped=stage.peers.missing(*contestants.ALL))
        counts: dict[str, list[float]] = {name: [] for name in names}
        for name in stage.rounds(names, stage.size.survivors):
            counts[name].append(_count(name, *homes[name], go))
        for name, values in counts.items():
            figure.add(name, values)
        row = figure.row(US)
        if row is not None:
            figure.goal("the fewest of all rounds", row.least, JOBS, at_least=True)
        figures.append(figure)
    return figures


def _home(stage: Stage, name: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    text = contestants.zshrc(stage, name, JOBS, JOB_MS, home / "done")
    if name == US:
        env |= {"ZDEFERD_SOCKET": str(stage.daemon().socket)}
        text += f"zmodload zsh/datetime\n{WRAP}"
    (home / ".zshrc").write_text(text)
    return env, home / "done"


def _count(name: str, env: dict[str, str], done: Path, go: Callable[[Screen], None]) -> int:
    with Screen(env) as screen:
        screen.see()
        if name == US:
            visits = Path(env["HOME"]) / "visits"
            settled(visits, 20, quiet_s=10.0)
            visits.unlink()
            time.sleep(AFTER_S)
        else:
            time.sleep(PEERS_WAIT_S)
        go(screen)
        with contextlib.suppress(NotSeen):
            screen.wait(5.0)
        count = settled(done, JOBS, quiet_s=1.5)
    done.unlink(missing_ok=True)
    return count
