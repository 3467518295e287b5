"""The first prompt lag of the same starts by two rulers: that of zsh-bench, and that of capture.

    python -m bench.one_start HOME… [--starts 40]

HOME is a folder with a .zshrc whose prompt shows the current folder. zsh-bench reads the timing
file of util-linux's `script`: from a mark that a shell prints right before it executes zsh to the
read of the prompt. Here `script` runs in a terminal of capture's, whose ruler is: from the
execution of zsh, written down beside the mark, to the read of the prompt. What is left between the
two is how late `script` reads the mark and how late it passes the prompt on, so a loaded machine
changes both figures but hardly their difference. Needs `script`.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from support.pty import ZSH

from zdeferd.perf.starts.terminal import Terminal

LIMIT_S = 30.0
MARK = "ONE-START"
FOLDER = "onestart"
CODE = (
    "builtin emulate -R zsh; zmodload zsh/datetime; print -r -- $EPOCHREALTIME >{0}/executed; "
    f"print -rn -- {MARK}; exec {ZSH} -i"
)


class Pair(NamedTuple):
    """One start in ms: by the terminal's ruler, and by that of `script`."""

    ours: float
    theirs: float


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.one_start")
    parser.add_argument("homes", nargs="+", metavar="HOME")
    parser.add_argument("--starts", type=int, default=40)
    args = parser.parse_args(arguments)
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; load average {os.getloadavg()[0]:.1f}")
    for home in args.homes:
        print(_row(Path(home).name, [start(home) for _ in range(args.starts)]))
    return 0


def start(home: str) -> Pair:
    """Start zsh once, and measure it with both."""
    env = {"HOME": os.path.abspath(home), "TERM": "xterm-256color", "SHELL": ZSH, "USER": "bench"}
    env["PATH"] = os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="zdv.", dir="/tmp") as scratch:
        folder = Path(scratch, FOLDER)
        folder.mkdir()
        program = shutil.which("script") or "/usr/bin/script"
        words = [program, "-fqe", f"-t{scratch}/timing", "-c", CODE.format(scratch)]
        ahead = time.time() - time.monotonic()
        with (
            contextlib.chdir(folder),
            Terminal([*words, f"{scratch}/out"], env, LIMIT_S) as terminal,
        ):
            seen = terminal.see(FOLDER.encode())
            terminal.prompt()
            terminal.type(b"exit\r")
            terminal.end()
        executed = float(Path(scratch, "executed").read_text())
        return Pair((seen + ahead - executed) * 1000, _by_script(Path(scratch)))


def _by_script(scratch: Path) -> float:
    """Return the ms from the mark to the prompt, by the timing file of `script`."""
    _, _, text = (scratch / "out").read_bytes().partition(b"\n")  # a header of its own
    pieces = [line.split() for line in (scratch / "timing").read_text().splitlines()]

    def at(word: str) -> float:
        end, seconds, length = text.index(word.encode()) + len(word), 0.0, 0
        for waited, size in pieces:
            seconds, length = seconds + float(waited), length + int(size)
            if length >= end:
                break
        return seconds

    return (at(FOLDER) - at(MARK)) * 1000


def _row(name: str, pairs: Sequence[Pair]) -> str:
    ours, theirs = (median(column) for column in zip(*pairs, strict=True))
    apart = [pair.ours - pair.theirs for pair in pairs]
    least = quantiles(apart, n=10)[0] if len(apart) > 1 else apart[0]
    return (
        f"{name}: by capture {ours:.2f}, by script {theirs:.2f} ms; in the same start "
        f"{median(apart):+.2f} ms, {100 * median(apart) / theirs:+.1f} %; in a tenth of the starts "
        f"at most {least:+.2f} ms; {len(pairs)} starts"
    )


if __name__ == "__main__":
    sys.exit(main())
