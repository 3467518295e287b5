"""The lags of `zdeferctl perf capture` beside those of zsh-bench, in turns on the same homes.

    python -m bench.peer_lags ZSH_BENCH HOME… [--rounds 4] [--starts 5]

ZSH_BENCH is its script, HOME a folder with a .zshrc whose prompt shows the current folder or the
host. Both measure an interactive shell outside of a git repository. Prints the medians.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from support.pty import ZSH

from zdeferd.perf.starts.capture import Plan, capture

LAGS = ("first_prompt_lag", "first_command_lag")
LIMIT_S = 120
Lags = dict[str, list[float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.peer_lags")
    parser.add_argument("zsh_bench")
    parser.add_argument("homes", nargs="+", metavar="HOME")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--starts", type=int, default=5)
    args = parser.parse_args(arguments)
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; load average {os.getloadavg()[0]:.1f}")
    for home in args.homes:
        ours: Lags = {name: [] for name in LAGS}
        theirs: Lags = {name: [] for name in LAGS}
        for _ in range(args.rounds):
            _add(theirs, _zsh_bench(args.zsh_bench, home, args.starts))
            _add(ours, _capture(home, args.starts))
        for name in LAGS:
            print(_row(Path(home).name, name, ours[name], theirs[name]))
    return 0


def _env(home: str) -> dict[str, str]:
    own = {"HOME": os.path.abspath(home), "TERM": "xterm-256color", "SHELL": ZSH, "USER": "bench"}
    return own | {"PATH": os.environ["PATH"]}


def _add(found: Lags, more: Lags) -> None:
    for name in LAGS:
        found[name] += more[name]


def _capture(home: str, starts: int) -> Lags:
    captured = capture(Plan(starts, segments=False), _env(home), lambda _line: None)
    return {name: [one[name] for one in captured.lags if name in one] for name in LAGS}


def _zsh_bench(script: str, home: str, starts: int) -> Lags:
    options = ("--raw", "--iters", str(starts), "--login", "no", "--git", "no")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        done = subprocess.run(
            [ZSH, os.path.abspath(script), *options],
            env=_env(home),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
    found = dict(re.findall(r"^(\w+)_ms=\(([^)]*)\)", done.stdout, re.MULTILINE))
    return {name: [float(word) for word in found[name].split()] for name in LAGS}


def _row(home: str, name: str, ours: list[float], theirs: list[float]) -> str:
    here, there = median(ours), median(theirs)
    figures = f"capture {here:.2f}, zsh-bench {there:.2f} ms, {100 * (here / there - 1):+.1f} %"
    least = f"least {min(ours):.2f} and {min(theirs):.2f}"
    return f"{home} {name}: {figures}; {least}; {len(ours)} and {len(theirs)} starts"


if __name__ == "__main__":
    sys.exit(main())
