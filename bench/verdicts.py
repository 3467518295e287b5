"""How often the verdicts of `zdeferctl perf` are right, with shells of known cost.

    make verdicts [REPETITIONS=50]

Compares a configuration with itself, and one of 100 ms with one of 110 ms, so many times with
20 starts each; traces a configuration whose costs are known at eight places. Prints each figure
beside its goal; nothing is a test, and no figure fails a build.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from support.pty import ZSH

from zdeferd.perf.starts.blame import blame
from zdeferd.perf.starts.capture import Plan
from zdeferd.perf.starts.compare import Side, judge, measure
from zdeferd.perf.starts.trace import by_line

STARTS = 20
PLAN = Plan(STARTS, 0.0, "", 30.0, 2, False)
SPIN = """\\
spin() {
  local -F end=$(( EPOCHREALTIME + $1 / 1000. ))
  while (( EPOCHREALTIME < end )) do :; done
}"""
BURN = "s=${#${(l:50000::x:)}}"
"""A busy loop's command: some ten microseconds, and a short line in a trace."""
COSTS = (160, 40, 100, 20, 140, 60, 120, 80)
"""Milliseconds of the eight places, as they stand in the file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.verdicts")
    parser.add_argument("--repetitions", type=int, default=50)
    count = parser.parse_args(arguments).repetitions
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="zdv.", dir="/tmp") as scratch:
        root = Path(scratch)
        plain, slower = _waiting(root / "a", 100), _waiting(root / "b", 110)
        same = _verdicts(root, plain, plain, count)
        right = same["same"] + same["unsure"]
        print(f"compare A A: same or unsure {right} of {count} (goal 47 of 50); {dict(same)}")
        found = _verdicts(root, plain, slower, count)
        print(f"compare +10 ms in 100: slower {found['slower']} of {count} (goal 45 of 50)")
        _blame(root)
    return 0


def _waiting(folder: Path, ms: int) -> str:
    """A configuration that waits so long."""
    folder.mkdir()
    text = f"zmodload zsh/datetime\n{SPIN}\nspin {ms}\nPROMPT='there> '\n"
    (folder / ".zshrc").write_text(text)
    return str(folder)


def _verdicts(root: Path, a: str, b: str, count: int) -> "Counter[str]":
    found: Counter[str] = Counter()
    for _ in range(count):
        sides = (Side("A", a), Side("B", b))
        with tempfile.TemporaryDirectory(dir=root) as logs:
            values = measure(sides, STARTS, "first_prompt_lag", PLAN, _env(root), logs, _silent)
        found[judge(*values).verdict] += 1
    return found


def _env(root: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(root), "TERM": "xterm-256color"}


def _silent(_line: str) -> None:
    return None


def _blame(root: Path) -> None:
    """Trace waits and busy loops in functions; print how many are right, and whether in order."""
    folder = root / "blame"
    folder.mkdir()
    turn_ms = _turn_ms(root)
    lines = [
        f"zselect -t {ms // 10}" if at % 2 else f"repeat {round(ms / turn_ms)} {BURN}"
        for at, ms in enumerate(COSTS)
    ]
    bodies = "\n".join(f"f{at}() {{\n{line}\n}}" for at, line in enumerate(lines))
    calls = "\n".join(f"f{at}" for at in range(len(lines)))
    (folder / ".zshrc").write_text(f"zmodload zsh/zselect\n{bodies}\n{calls}\nPROMPT='there> '\n")
    root_node = blame(PLAN._replace(zdotdir=str(folder)), _env(root)).root
    totals = {line.line: line.total_ms for line in by_line(root_node) if "blame" in line.file}
    found = [totals.get(3 + 3 * at, 0.0) for at in range(len(lines))]
    inside = sum(
        abs(ms - cost) <= max(1.0, cost / 10) for ms, cost in zip(found, COSTS, strict=True)
    )
    ordered = sorted(range(8), key=found.__getitem__) == sorted(range(8), key=COSTS.__getitem__)
    shown = ", ".join(f"{ms:.0f} for {cost}" for ms, cost in zip(found, COSTS, strict=True))
    print(f"blame: in order: {ordered}; within 10 % or 1 ms: {inside} of 8; ms: {shown}")


def _turn_ms(root: Path) -> float:
    """Measure one turn of the busy loop."""
    turns = 2000

    def run(count: int) -> float:
        began = time.monotonic()
        subprocess.run([ZSH, "-df", "-c", f"repeat {count} {BURN}"], env=_env(root), check=True)
        return time.monotonic() - began

    least = [min(run(count) for _ in range(5)) for count in (1, turns)]
    return (least[1] - least[0]) * 1000 / turns


if __name__ == "__main__":
    sys.exit(main())
