"""The lags of `zdeferctl perf capture` beside those of zsh-bench, in turns on the same homes.

    python -m bench.peer_lags ZSH_BENCH HOME… [--rounds 4] [--starts 5] [--patience 60] [--verbose]

ZSH_BENCH is its script, HOME a folder with a .zshrc whose prompt shows the current folder or the
host. Both measure an interactive shell outside of a git repository. Each round measures with both,
in the other order than the round before; each waits as long as the patience for a quiet machine.
A row is of the turns in which others used least of the machine, half of them, and ends with the
median of the rounds' differences. zsh-bench gives 0 for a prompt that its `script` read together
with its mark for the start; such values, under half a millisecond, are left out and counted.
On a terminal, or with --verbose, each round shows the result so far. Ctrl-C ends with the rows of
the rounds that were complete.
"""

import argparse
import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from support.pty import ZSH

from zdeferd.perf.starts.capture import Plan, capture

LAGS = ("first_prompt_lag", "first_command_lag")
LIMIT_S = 120.0
END_S = 2.0
"""How long zsh-bench may take to leave once it has been told to."""
LEAST_MS = 0.5
INTERRUPTED = 130
QUIET_PERCENT = 15.0
LOOK_S = 0.5
Lags = dict[str, list[float]]


class Turn(NamedTuple):
    """The lags that one of both measured in a row, and the processors in use by others."""

    lags: Lags
    others: float


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.peer_lags")
    parser.add_argument("zsh_bench")
    parser.add_argument("homes", nargs="+", metavar="HOME")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--patience", type=float, default=60.0, metavar="S")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(arguments)
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; load average {os.getloadavg()[0]:.1f}", flush=True)
    for home in args.homes:
        turns: tuple[list[Turn], list[Turn]] = ([], [])
        try:
            _measure(home, args, turns)
        except KeyboardInterrupt:
            _show(home, turns)
            return INTERRUPTED
        _show(home, turns)
    return 0


def _measure(home: str, args: argparse.Namespace, turns: tuple[list[Turn], list[Turn]]) -> None:
    """Add the turns of all rounds with a home, those by capture and those by zsh-bench."""
    measures = (
        lambda: _capture(home, args.starts),
        lambda: zsh_bench(args.zsh_bench, home, args.starts),
    )
    for at in range(args.rounds):
        made = {
            which: _turn(measures[which], args.patience) for which in ((0, 1) if at % 2 else (1, 0))
        }
        for which, turn in made.items():
            turns[which].append(turn)
        if args.verbose or sys.stderr.isatty():
            so_far = "; ".join(f"{name} {_ratio(name, *turns):+.1f} %" for name in LAGS)
            print(f"{Path(home).name}: round {at + 1} of {args.rounds}; {so_far}", file=sys.stderr)


def _show(home: str, turns: tuple[list[Turn], list[Turn]]) -> None:
    if not turns[0]:
        return
    for name in LAGS:
        row = _row(f"{Path(home).name} {name}", name, *map(_quieter, turns))
        print(f"{row}; {len(turns[0])} rounds {_ratio(name, *turns):+.1f} %", flush=True)


def _turn(measure: Callable[[], Lags], patience_s: float) -> Turn:
    until = time.monotonic() + patience_s
    while time.monotonic() < until and psutil.cpu_percent(LOOK_S) > QUIET_PERCENT:
        pass
    at, began = time.monotonic(), _processor_s()
    lags = measure()
    used = [after - before for before, after in zip(began, _processor_s(), strict=True)]
    return Turn(lags, (used[0] - used[1]) / (time.monotonic() - at))


def _ratio(name: str, ours: Sequence[Turn], theirs: Sequence[Turn]) -> float:
    """Return by how much percent the medians of a round differ, the median over rounds."""
    rounds = [
        (median(one.lags[name]), usable)
        for one, other in zip(ours, theirs, strict=True)
        if (usable := [ms for ms in other.lags[name] if ms >= LEAST_MS])
    ]
    return median(100 * (here / median(there) - 1) for here, there in rounds) if rounds else 0.0


def _quieter(turns: list[Turn]) -> list[Turn]:
    return sorted(turns, key=lambda turn: turn.others)[: (len(turns) + 1) // 2]


def _processor_s() -> tuple[float, float]:
    """Return the processor seconds of the machine, and those of this process and its children."""
    whole = psutil.cpu_times()
    own = [resource.getrusage(which) for which in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    mine = sum(one.ru_utime + one.ru_stime for one in own)
    return whole.user + whole.nice + whole.system, mine


def _env(home: str) -> dict[str, str]:
    own = {"HOME": os.path.abspath(home), "TERM": "xterm-256color", "SHELL": ZSH, "USER": "bench"}
    return own | {"PATH": os.environ["PATH"]}


def _capture(home: str, starts: int) -> Lags:
    # A folder without a repository, as zsh-bench has.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, contextlib.chdir(folder):
        captured = capture(Plan(starts, segments=False), _env(home), lambda _line: None)
    return {name: [one[name] for one in captured.lags if name in one] for name in LAGS}


def zsh_bench(script: str, home: str, starts: int, limit_s: float = LIMIT_S) -> Lags:
    """Return what zsh-bench measures; subprocess.TimeoutExpired, with all of its processes gone."""
    options = ("--raw", "--iters", str(starts), "--login", "no", "--git", "no")
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        subprocess.Popen(
            [ZSH, os.path.abspath(script), *options],
            env=_env(home),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            said, _ = process.communicate(timeout=limit_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            _end(process.pid)
            raise
    if process.returncode:
        raise SystemExit(f"bench.peer_lags: {script} ended with {process.returncode} for {home}")
    found = dict(re.findall(r"^(\w+)_ms=\(([^)]*)\)", said, re.MULTILINE))
    return {name: [float(word) for word in found[name].split()] for name in LAGS}


def _end(leader: int) -> None:
    """End the group of a process, after the limit by KILL, and all processes below it."""
    below = psutil.Process(leader).children(recursive=True)  # terminals have sessions of their own
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGTERM)
    _, left = psutil.wait_procs([psutil.Process(leader), *below], timeout=END_S)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=END_S)


def _row(title: str, name: str, ours: Sequence[Turn], theirs: Sequence[Turn]) -> str:
    own = [ms for turn in ours for ms in turn.lags[name]]
    every = [ms for turn in theirs for ms in turn.lags[name]]
    usable = [ms for ms in every if ms >= LEAST_MS]
    if not usable:
        return f"{title}: zsh-bench has no usable value"
    here, there = median(own), median(usable)
    busy = [median(turn.others for turn in turns) for turns in (ours, theirs)]
    return (
        f"{title}: capture {here:.2f}, zsh-bench {there:.2f} ms, {100 * (here / there - 1):+.1f} %;"
        f" least {min(own):.2f} and {min(usable):.2f}; {len(own)} and {len(usable)} starts,"
        f" {len(every) - len(usable)} not usable;"
        f" others used {busy[0]:.1f} and {busy[1]:.1f} processors"
    )


if __name__ == "__main__":
    sys.exit(main())
