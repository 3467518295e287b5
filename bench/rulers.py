"""The first prompt lag by the ruler of capture and by that of zsh-bench, start by start in turns.

    python -m bench.rulers HOME… [--starts 80] [--verbose]

HOME is a folder with a .zshrc whose prompt shows the current folder. Capture counts from the
execution of zsh to the read of the prompt. zsh-bench has util-linux's `script` read two things from
a shell: a mark right before it executes zsh, and the prompt. That is done here as it does it,
without its waits between starts. Of each, the half counts whose processes waited less for a
processor; on a busy machine `nice -n -20` keeps such waits short. On a terminal, or with --verbose,
a line of progress shows. Needs Linux and `script`.
"""

import argparse
import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from support.pty import ZSH

from zdeferd.perf.starts.capture import environment
from zdeferd.perf.starts.compare import judge
from zdeferd.perf.starts.lags import first_drawn
from zdeferd.perf.starts.terminal import HERE, Terminal, queued_s

LIMIT_S = 30.0
LEAST_MS = 0.5
"""Less is no lag: `script` read the mark together with the prompt."""
MARK = "RULERS"
TITLES = re.compile(rb"\x1b(?:\](?:0|1|2|7|1337);|k)[^\x07\x1b]*(?:\x07|\x1b\\)")
"""Sequences that name the folder but show nothing; zsh-bench passes over the same."""
FOLDER = "rulers"
CODE = (
    "builtin emulate -R zsh; builtin zmodload zsh/zselect; "
    f"builtin print -rn -- {MARK}; builtin exec -- {ZSH} -i"
)


class Start(NamedTuple):
    """The lag of a start, and how long its processes waited for a processor."""

    ms: float
    queued_s: float


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.rulers")
    parser.add_argument("homes", nargs="+", metavar="HOME")
    parser.add_argument("--starts", type=int, default=80)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args(arguments)
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; load average {os.getloadavg()[0]:.1f}")
    for home in args.homes:
        found = measure(home, args.starts, args.verbose or sys.stderr.isatty())
        print(_row(Path(home).name, *found), flush=True)
    return 0


def measure(home: str, count: int, shown: bool = False) -> tuple[list[Start], list[Start]]:
    """Start zsh so many times by each ruler, in turns; -> the starts by capture, and by script."""
    found: tuple[list[Start], list[Start]] = ([], [])
    for at in range(count):
        for which in (0, 1) if at % 2 else (1, 0):
            found[which].append(_in_a_folder((by_capture, by_script)[which], home))
        if shown:
            medians = (f"{median(start.ms for start in starts):.2f}" for starts in found)
            so_far = " and ".join(medians)
            print(f"{Path(home).name}: {at + 1} of {count}; {so_far} ms", file=sys.stderr)
    return found


def _calm(starts: Sequence[Start]) -> list[float]:
    """Return the usable lags of the calmer half of starts."""
    half = sorted(starts, key=lambda start: start.queued_s)[: (len(starts) + 1) // 2]
    return [start.ms for start in half if start.ms >= LEAST_MS]


def _in_a_folder(start: Callable[[str, dict[str, str]], Start], home: str) -> Start:
    own = {"HOME": os.path.abspath(home), "TERM": "xterm-256color", "SHELL": ZSH, "USER": "bench"}
    with tempfile.TemporaryDirectory(prefix="zdv.", dir="/tmp") as scratch:
        folder = Path(scratch, FOLDER)
        folder.mkdir()
        with contextlib.chdir(folder):
            own = environment(own | {"PATH": os.environ["PATH"]}, "", f"{scratch}/log", False)
            return start(scratch, own)


def by_capture(_scratch: str, env: dict[str, str]) -> Start:
    """Start zsh once as `perf capture` does."""
    with Terminal([ZSH, "-i"], env, LIMIT_S) as terminal:
        before = queued_s(HERE)
        terminal.prompt()
        queued = queued_s(HERE) - before + terminal.waited_s()
        return Start((first_drawn(terminal) - terminal.started) * 1000, queued)


def by_script(scratch: str, env: dict[str, str]) -> Start:
    """Start zsh once as zsh-bench does, and read the timing file of `script`."""
    program = shutil.which("script") or "/usr/bin/script"
    words = [program, "-fqe", f"-t{scratch}/timing", "-c", CODE, f"{scratch}/out"]
    with Terminal(words, env, LIMIT_S) as terminal:
        terminal.see(FOLDER.encode())
        terminal.prompt()
        shells = psutil.Process(terminal.pid).children()
        queued = terminal.waited_s() + sum(queued_s(shell.pid) for shell in shells)
        terminal.type(b"exit\r")
        terminal.end()
    return Start(_by_timing(Path(scratch)), queued)


def _by_timing(scratch: Path) -> float:
    """Return the ms from the mark to the prompt, by the timing file of `script`."""
    _, _, text = (scratch / "out").read_bytes().partition(b"\n")  # a header of its own
    text = TITLES.sub(lambda title: b" " * len(title[0]), text)
    pieces = [line.split() for line in (scratch / "timing").read_text().splitlines()]

    def at(word: str) -> float:
        end, seconds, length = text.index(word.encode()) + len(word), 0.0, 0
        for waited, size in pieces:
            seconds, length = seconds + float(waited), length + int(size)
            if length >= end:
                break
        return seconds

    return (at(FOLDER) - at(MARK)) * 1000


def _row(name: str, ours: Sequence[Start], theirs: Sequence[Start]) -> str:
    calm = _calm(theirs), _calm(ours)
    if not all(calm):
        return f"{name}: no usable start"
    found = judge(*calm)
    return (
        f"{name}: capture {found.median_b:.2f}, as zsh-bench {found.median_a:.2f} ms; "
        f"{found.diff:+.2f} ms ({found.low:+.2f} to {found.high:+.2f}), "
        f"{100 * found.diff / found.median_a:+.1f} %; least {min(calm[1]):.2f} and "
        f"{min(calm[0]):.2f} ms; {len(calm[1])} and {len(calm[0])} starts"
    )


if __name__ == "__main__":
    sys.exit(main())
