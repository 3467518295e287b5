"""Runs one start of zsh under a timestamped trace, and measures what the trace itself costs.

The trace is zsh's own (`-x`), with a PS4 that says time, depth, file and line; it goes to a file
as standard error, so the configuration is not changed and the terminal shows none of it. Its cost
for each command is what the traced start took longer than one without, divided by the commands.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import NamedTuple

from ...errors import ZdeferdError
from .. import samples
from . import trace
from .capture import Plan, environment, find_zsh
from .lags import Shell, first_prompt
from .terminal import Late, Terminal

COMMANDS = 2000
CALIBRATION_S = 30
UNTRACED = 3
"""Starts without a trace; their median is what the costs add up to."""
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
            plain_ms = samples.median([first_prompt(shell) for _ in range(UNTRACED)])
            traced = own | {"PS4": trace.PS4}
            with Terminal([zsh, "-ix"], traced, plan.limit_s, path) as terminal:
                drawn = terminal.prompt()
        except Late as late:
            raise ZdeferdError(f"no prompt to blame anything for: {late}") from None
        with open(path, encoding="utf-8", errors="replace") as file:
            found = trace.events(file.read())
    if not found:
        raise ZdeferdError("the trace is empty", "does the configuration set PS4, or no_xtrace?")
    longer = (drawn - terminal.started) * 1000 - plain_ms
    overhead = min(limit, max(0.0, longer / len(found)))
    root = trace.tree(found, terminal.started + ahead, drawn + ahead, overhead)
    return Blamed(root, overhead, len(found))


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
