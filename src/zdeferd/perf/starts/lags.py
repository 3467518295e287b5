"""Measures one cold start from outside, with the figures of zsh-bench.

A sample is three shells: one whose first prompt, commands and keys are timed, one that gets a
command typed ahead, and `zsh -lic exit`. Only the first one writes to the log of segments. The
command typed ahead stays out of the user's history: it begins with a blank, HISTORY_IGNORE keeps it
from a file that each command goes to (share_history), and its shell is killed.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar

from .. import samples
from .terminal import PASTE_ON, Late, Terminal

T = TypeVar("T")
ENTERS = 3
KEYS = 5
FULL_LINE = b"print -r -- a command line that is fairly long by now "
AHEAD, ANSWER = b" print -r -- zd$((123456+1))q\r", b"zd123457q"
NOT_KEPT = {"HISTORY_IGNORE": "*print -r -- zd*q"}
NO_BATCH_S = 0.5
"""How long to wait for the line of a batch where no probe shows that the plugin is there."""
TURN_S = 0.01
SHORTEST_PROMPT = 3
"""Visible characters from which a prompt is told from other output."""
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[^\[\]]")


class Shell(NamedTuple):
    """How the shells of a sample are started; limits in seconds."""

    zsh: str
    env: Mapping[str, str]
    log: str
    limit_s: float


def sample(shell: Shell, socket: str) -> dict[str, float]:
    """Return the lags of one cold start in ms, those that could be measured. Late: no prompt."""
    found = _prompt(shell, socket)
    quiet = dict(shell.env) | {"PERF_SEGMENT_LOG": "/dev/null", "ZSH_LOG_STRUCTURED": "0"}
    for name, measure in (("first_command_lag", _ahead), ("exit_time", _exit)):
        with suppress(Late):
            found[name] = measure(shell._replace(env=quiet))
    return {name: round(seconds * 1000, 3) for name, seconds in found.items()}


def tried(shell: Shell, retries: int, measure: Callable[[], T | None], nothing: str = "") -> T:
    """Return what `measure` gives, with new logs at each try. Late says why the last one failed.

    `nothing`: the reason where it gives None.
    """
    reason = Late(nothing)
    for _ in range(retries + 1):
        for path in (shell.log, f"{shell.log}.jsonl"):
            with suppress(FileNotFoundError):
                os.unlink(path)
        try:
            found = measure()
        except Late as late:
            reason = late
            continue
        if found is not None:
            return found
    raise reason


def first_prompt(shell: Shell) -> float:
    """Return the first prompt lag of one shell in ms, and nothing else of it. Late."""
    with Terminal([shell.zsh, "-i"], shell.env, shell.limit_s) as terminal:
        terminal.prompt()
        return round((first_drawn(terminal) - terminal.started) * 1000, 3)


def _prompt(shell: Shell, socket: str) -> dict[str, float]:
    with Terminal([shell.zsh, "-i"], shell.env, shell.limit_s) as terminal:
        terminal.prompt()
        found = {"first_prompt_lag": first_drawn(terminal) - terminal.started}
        _await_batch(terminal, shell, socket)
        with suppress(Late):
            lags = [-terminal.type(b"\r") + terminal.prompt() for _ in range(ENTERS)]
            found["command_lag"] = samples.median(lags)
            found["input_lag"] = _input(terminal)
        return found


def _input(terminal: Terminal) -> float:
    """Return the time from a key to its echo, on a command line that is long already."""
    terminal.type(FULL_LINE)
    terminal.settle(TURN_S * 5)
    return samples.median([-terminal.type(b"q") + terminal.see(b"q") for _ in range(KEYS)])


def _ahead(shell: Shell) -> float:
    with Terminal([shell.zsh, "-i"], NOT_KEPT | dict(shell.env), shell.limit_s) as terminal:
        terminal.type(AHEAD)
        seen = terminal.see(ANSWER)
        os.kill(terminal.pid, signal.SIGKILL)  # before it writes its history
        return seen - terminal.started


def _exit(shell: Shell) -> float:
    with Terminal([shell.zsh, "-lic", "exit"], shell.env, shell.limit_s) as terminal:
        return terminal.end() - terminal.started


# --- the first prompt ----------------------------------------------------------


def first_drawn(terminal: Terminal) -> float:
    """Return when the prompt was on the screen first: an instant prompt comes before ZLE's."""
    text = terminal.output.partition(PASTE_ON)[0]
    prompt = _last_line(text)
    if len(prompt) >= SHORTEST_PROMPT:
        for at, length in terminal.pieces:
            if _last_line(terminal.output_at(length)) == prompt:
                return at
    return terminal.pieces[-1][0]


def _last_line(output: bytes) -> bytes:
    """Return the last visible line of output, without colours and blanks around it."""
    lines = [line.strip() for line in re.split(rb"[\r\n]", _ESCAPES.sub(b"", output))]
    return next((line for line in reversed(lines) if line), b"")


# --- the batch after the prompt ------------------------------------------------


def _await_batch(terminal: Terminal, shell: Shell, socket: str) -> None:
    """Wait for the line of the postprompt batch, where a daemon may write one."""
    if not _is_socket(socket):
        return
    until = time.monotonic() + shell.limit_s
    early = time.monotonic() + min(NO_BATCH_S, shell.limit_s)
    while time.monotonic() < until:
        text = _text(shell.log)
        if b" name=deferred_total " in text:
            return
        if b" name=prompt_ready " not in text and time.monotonic() > early:
            return
        terminal.settle(TURN_S)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _text(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""
