"""Typing lag while deferred work runs: from a key to its echo, key by key.

Ten jobs of 200 ms CPU are handed over at the prompt, and keys are sent every 20 to 40 ms
without waiting for echoes, as a person types. The command line is read from the
terminal's output: the text behind the last prompt, because some redraw the whole line.
"""

import gc
import re
import time
from pathlib import Path

from . import contestants
from .contestants import EVALCACHE, FLOOR, FOREGROUND, US
from .screen import PROMPT, Screen
from .stage import Stage, settled
from .values import Figure

JOBS, JOB_MS = 10, 200.0
EVERY_S = (0.020, 0.040)
LIMIT_S = 12.0
LETTERS = b"abcdefghijklmnopqrstuvwxyz"
BACKSPACE = 8
_CONTROL = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>78]|[\r\n\x07]")


def measure(stage: Stage) -> list[Figure]:
    """Return the one figure."""
    figure = Figure(
        "typing",
        "Typing lag while 10 jobs of 200 ms CPU run",
        "ms",
        "key to echo, keys sent every 20 to 40 ms from the first prompt on",
        skipped=stage.peers.missing(*contestants.ALL)
        | {
            FOREGROUND: "its jobs run before there is a prompt to type at",
            EVALCACHE: "nothing of it runs behind a prompt",
        },
    )
    names = [name for name in contestants.available(stage) if name not in figure.skipped]
    homes = {name: _home(stage, name) for name in names}
    lags: dict[str, list[float]] = {name: [] for name in names}
    for name in stage.rounds(names, stage.size.typing_rounds):
        pauses = [stage.order.uniform(*EVERY_S) for _ in range(stage.size.keys)]
        lags[name] += session(*homes[name], pauses, 0 if name == FLOOR else JOBS)
    for name in names:
        figure.add(name, lags[name])
    row = figure.row(US)
    if row is not None:
        figure.goal("p95, ms", row.p95, 0.4)
        figure.goal("p99, ms", row.p99, 1.0)
    return [figure]


def _home(stage: Stage, name: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    if name == US:
        env |= {"ZDEFERD_SOCKET": str(stage.daemon().socket)}
    (home / ".zshrc").write_text(contestants.zshrc(stage, name, JOBS, JOB_MS, home / "done"))
    return env, home / "done"


def session(env: dict[str, str], done: Path, pauses: list[float], jobs: int) -> list[float]:
    """The lag of each key, in milliseconds: keys with these pauses behind them, in one shell.

    Returns when that many jobs have added their byte to `done`.
    """
    with Screen(env) as screen:
        screen.see()
        gc.disable()
        try:
            lags = _type(screen, pauses)
        finally:
            gc.enable()
        screen.write(b"\x15")
        if jobs:
            settled(done, jobs)
    done.unlink(missing_ok=True)
    return lags


def _type(screen: Screen, pauses: list[float]) -> list[float]:
    keys = bytes(LETTERS[number % len(LETTERS)] for number in range(len(pauses)))
    sent: list[float] = []
    lags: list[float] = []
    output = PROMPT
    due = time.monotonic()
    end = due + LIMIT_S
    while len(lags) < len(keys) and time.monotonic() < end:
        wait = min(due, end) - time.monotonic() if len(sent) < len(keys) else 0.05
        if piece := screen.read(wait):
            at = time.monotonic()
            output += piece
            echoed = sent[len(lags) : shown(output, keys)]
            lags += [(at - instant) * 1000 for instant in echoed]
        elif len(sent) < len(keys) and time.monotonic() >= due:
            number = len(sent)
            sent.append(screen.write(keys[number : number + 1]))
            due += pauses[number]
    return lags


def shown(output: bytes, keys: bytes) -> int:
    """How many of `keys` stand behind the last prompt; zsh writes some of them again."""
    _, _, text = _CONTROL.sub(b"", output).rpartition(PROMPT)
    line = bytearray()
    for byte in text:
        if byte == BACKSPACE:
            del line[-1:]
        else:
            line.append(byte)
    return len(line) if keys.startswith(line) else 0
