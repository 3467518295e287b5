"""Runs one start of zsh under a timestamped trace, and measures what the trace itself costs.

The trace is zsh's own (`-x`), with a PS4 that says time, depth, file and line; it goes to a file
as standard error, so the configuration is not changed and the terminal shows none of it. Its cost
for each command is what the traced start took longer than one without, divided by the commands.
Several starts of each kind are made, because a busy machine slows some of them down.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import NamedTuple

from ...errors import ZdeferdError
from . import trace
from .capture import Plan, environment, find_zsh
from .lags import Shell, first_prompt
from .terminal import Late, Terminal

COMMANDS = 2000
CALIBRATION_S = 30
STARTS = 4
"""Starts with a trace, and as many without: the quickest of each is the least disturbed."""
MOST_TIMES = 3.0
"""A command's trace costs at most so many times that of `:`; more is the machine's noise."""


class Blamed(NamedTuple):
    """The tree of costs, and the cost of the trace that was subtracted for each command."""

    root: trace.Node
    overhead_ms: float
    commands: int


def blame(plan: Plan, env: Mapping[str, str]) -> Blamed:
    """Trace one start. ZdeferdError where no prompt came, or the trace was switched off."""
    zsh = find_zsh(env)
    with tempfile.TemporaryDirectory(prefix="zdeferd-perf.") as folder:
        path = f"{folder}/trace"
        limit = MOST_TIMES * overhead_ms(zsh, folder)
        own = environment(env, plan.zdotdir, f"{folder}/log", False)
        ahead = time.time() - time.monotonic()
        try:
            shell = Shell(zsh, own, f"{folder}/log", plan.limit_s)
            plain_ms = min(first_prompt(shell) for _ in range(STARTS))
            traced = shell._replace(env=own | {"PS4": trace.PS4})
            began, drawn, best = min(
                (_traced(traced, f"{path}{number}") for number in range(STARTS)),
                key=lambda one: one[1] - one[0],
            )
        except Late as late:
            raise ZdeferdError(f"no prompt to blame anything for: {late}") from None
        with open(best, encoding="utf-8", errors="replace") as file:
            found = trace.events(file.read())
    if not found:
        raise ZdeferdError("the trace is empty", "does the configuration set PS4, or no_xtrace?")
    longer = (drawn - began) * 1000 - plain_ms
    overhead = min(limit, max(0.0, longer / len(found)))
    return Blamed(trace.tree(found, began + ahead, drawn + ahead, overhead), overhead, len(found))


def _traced(shell: Shell, path: str) -> tuple[float, float, str]:
    """Trace one start into a file; -> when it began, when its prompt was drawn, the file."""
    with Terminal([shell.zsh, "-ix"], shell.env, shell.limit_s, path) as terminal:
        return terminal.started, terminal.prompt(), path


def overhead_ms(zsh: str, folder: str) -> float:
    """Return what the trace costs for a command that does nothing."""
    code = f"repeat {COMMANDS} :"
    with open(f"{folder}/calibration", "ab") as errors:
        took = [
            min(_run_ms([zsh, "-df", *options, "-c", code], errors.fileno()) for _ in range(3))
            for options in (["-x"], [])
        ]
    return max(0.0, (took[0] - took[1]) / COMMANDS)


def _run_ms(words: list[str], errors: int) -> float:
    began = time.monotonic()
    subprocess.run(
        words,
        env={"PS4": trace.PS4},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        timeout=CALIBRATION_S,
        check=False,
    )
    return (time.monotonic() - began) * 1000
