"""Times `zdeferctl status`, the whole process, beside the status commands of peers.

A bare Python is the floor of any Python program. `systemctl` needs its user manager and
runs inside that one's mount namespace; entering it is measured by itself.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from support import systemd
from support.daemon import Daemon, Peer, visit
from support.systemd import UserManager

from .contestants import US
from .stage import SOURCE, Stage, compare, until
from .values import Figure

BARE_PYTHON = "python -I -c pass"
SYSTEMCTL = "systemctl --user status"
ENTER = "entering the namespace: nsenter true"
STATUS = f"{US}: zdeferctl status"
LIMIT_MS = 80.0


def measure(stage: Stage) -> list[Figure]:
    """Return the one figure."""
    figure = Figure(
        "status",
        "`zdeferctl status`",
        "ms",
        "the whole process, its output to /dev/null; a daemon with a hundred runs behind it",
        skipped=stage.peers.missing("tsp"),
    )
    with ExitStack() as stack:
        daemon = stage.daemon()
        stack.callback(stage.close, daemon)
        with Peer(daemon.socket) as peer:
            peer.ask(visit("status", jobs={f"job{number}": ":" for number in range(100)}))
        ended = "SELECT count(*) FROM runs WHERE state = 'ended'"
        until(lambda: daemon.rows(ended) == [(100,)], 120.0, 0.05)
        ways = {
            BARE_PYTHON: process([sys.executable, "-I", "-c", "pass"], os.environ),
            STATUS: process(status_words(), daemon.env),
        }
        if "tsp" in stage.peers.programs:
            env = dict(os.environ) | {"TS_SOCKET": f"{stage.root}/ts"}
            ways["tsp -l"] = process([stage.peers.programs["tsp"], "-l"], env)
        if reason := systemd.why_not():
            figure.skipped[SYSTEMCTL] = reason
        else:
            home, _ = stage.home()
            (home / ".config").rmdir()
            manager = UserManager(home)
            stack.callback(manager.close)
            ways[ENTER] = _inside(manager, "true")
            ways[SYSTEMCTL] = _inside(manager, "systemctl", "--user", "status")
        for name, values in compare(stage, ways, stage.size.programs).items():
            figure.add(name, values)
    figure.goal("p50, ms", figure.p50(STATUS), LIMIT_MS)
    return [figure]


def status_words() -> list[str]:
    """`zdeferctl status` as it is installed beside this Python, or from the source."""
    installed = Path(sys.executable).with_name("zdeferctl")
    if installed.exists():
        return [str(installed), "status"]
    return [sys.executable, "-m", "zdeferd.cli", "status"]


def status_ms(daemon: Daemon) -> float:
    """One `zdeferctl status` of a daemon's user."""
    return process(status_words(), daemon.env)()


def process(words: Sequence[str], env: Mapping[str, str]) -> Callable[[], float]:
    """A function that runs a program and says how many milliseconds it took."""
    own = dict(env)
    if words[0] == sys.executable and "-m" in words:
        own["PYTHONPATH"] = str(SOURCE)

    def sample() -> float:
        began = time.monotonic()
        done = subprocess.run(
            words, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        took = (time.monotonic() - began) * 1000
        assert done.returncode == 0, words
        return took

    return sample


def _inside(manager: UserManager, *words: str) -> Callable[[], float]:
    def sample() -> float:
        began = time.monotonic()
        manager.inside(*words)
        return (time.monotonic() - began) * 1000

    return sample
