"""Runs one start of zsh under a timestamped trace, and measures what the trace itself costs.

The trace is zsh's own (`-x`), with a PS4 that says time, depth, file and line; it goes to a file
as standard error, so the configuration is not changed and the terminal shows none of it. Its cost
for each command is what a traced start takes longer than one without, divided by the commands.
Several starts of each kind are made in turns; each command takes its median over them, and the
time in which a start waited for a processor does not count.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from ...errors import ZdeferdError
from ...machine.paths import MEASURING
from . import trace
from .capture import Plan, check_zdotdir, environment, find_zsh
from .lags import Shell
from .terminal import Late, Terminal

COMMANDS = 2000
CALIBRATION_S = 30
STARTS = 5
"""Starts with a trace, and as many without."""
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
    if plan.zdotdir:
        check_zdotdir(zsh, env, plan.zdotdir)
    with tempfile.TemporaryDirectory(prefix=MEASURING) as folder:
        limit = MOST_TIMES * overhead_ms(zsh, folder)
        own = environment(env, plan.zdotdir, f"{folder}/log", False)
        try:
            plain, traced = _starts(Shell(zsh, own, f"{folder}/log", plan.limit_s), folder)
        except Late as late:
            raise ZdeferdError(
                f"no prompt to blame anything for: {late.found}", late.remedy
            ) from None
        ahead = time.time() - time.monotonic()
        runs = [_run(start, ahead) for start in traced]
    best = trace.typical(runs)
    if not best.events:
        raise ZdeferdError("the trace is empty", "does the configuration set PS4, or no_xtrace?")
    if last := trace.cut_off(best):
        where = f"{last.file}:{last.line}: {last.text}"
        remedy = "leave PS4 and xtrace as they are there while the start is traced"
        raise ZdeferdError(f"the trace ends early, at {where}", remedy)
    longer = best.ended - best.began - median(map(_undisturbed_s, plain))
    overhead = min(limit, max(0.0, longer * 1000 / len(best.events)))
    return Blamed(
        trace.tree(best.events, best.began, best.ended, overhead), overhead, len(best.events)
    )


class _Start(NamedTuple):
    """When a start began and drew its prompt, how long it waited, and the file of its trace."""

    began: float
    drawn: float
    waited_s: float
    path: str


def _starts(shell: Shell, folder: str) -> tuple[list[_Start], list[_Start]]:
    """Make starts without and with a trace, in turns. Late."""
    traced = shell._replace(env=dict(shell.env) | {"PS4": trace.PS4})
    pairs = [
        (_start(shell, "-i", ""), _start(traced, "-ix", f"{folder}/trace{number}"))
        for number in range(STARTS)
    ]
    return [plain for plain, _ in pairs], [start for _, start in pairs]


def _start(shell: Shell, option: str, path: str) -> _Start:
    with Terminal([shell.zsh, option], shell.env, shell.limit_s, path) as terminal:
        drawn = terminal.prompt()
        return _Start(terminal.started, drawn, terminal.waited_s(), path)


def _undisturbed_s(start: _Start) -> float:
    return start.drawn - start.began - start.waited_s


def _run(start: _Start, ahead: float) -> trace.Run:
    with open(start.path, encoding="utf-8", errors="replace") as file:
        found = trace.events(file.read())
    return trace.Run(found, start.began + ahead, start.drawn + ahead, start.waited_s)


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
