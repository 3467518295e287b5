"""How often the verdicts of `zdeferctl perf` are right, with shells of known cost.

    make verdicts [REPETITIONS=50] [TRACES=10]

Compares a configuration with itself, and one of 100 ms with one of 110 ms, so many times with
20 starts each; traces a configuration whose costs are known at eight places. A busy loop costs
its turns times the processor time of one, measured right before and after the trace. Prints each
figure beside its goal; nothing is a test, and no figure fails a build.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from support.pty import ZSH

from zdeferd.perf.starts.blame import blame
from zdeferd.perf.starts.capture import Plan
from zdeferd.perf.starts.compare import Measurement, judge, measure
from zdeferd.perf.starts.revisions import Side
from zdeferd.perf.starts.trace import by_line

STARTS = 20
PLAN = Plan(STARTS, 0.0, "", 30.0, 2, False)
SPIN = """\\
spin() {
  local -F end=$(( EPOCHREALTIME + $1 / 1000. ))
  while (( EPOCHREALTIME < end )) do :; done
}"""
BURN = "s=${#${(l:50000::x:)}}"
"""A busy loop's command: some tenths of a millisecond, and a short line in a trace."""
TURNS = 2000
COSTS = (160, 40, 100, 20, 140, 60, 120, 80)
"""Milliseconds of the eight places, about, as they stand in the file; by turns loops and waits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.verdicts")
    parser.add_argument("--repetitions", type=int, default=50)
    parser.add_argument("--traces", type=int, default=10)
    args = parser.parse_args(arguments)
    count: int = args.repetitions
    print(f"{time.strftime('%Y-%m-%d %H:%M')}; load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="zdv.", dir="/tmp") as scratch:
        root = Path(scratch)
        if count:
            _compare(root, count)
        if args.traces:
            right = sum([_blame(root / f"blame{at}") for at in range(args.traces)])
            print(f"blame: all in order and within 10 % or 1 ms: {right} of {args.traces}")
    return 0


def _compare(root: Path, count: int) -> None:
    """Compare two pairs of known configurations; print how often that was right."""
    plain, slower = _waiting(root / "a", 100), _waiting(root / "b", 110)
    same = _verdicts(root, plain, plain, count)
    right = same["same"] + same["unsure"]
    print(f"compare A A: same or unsure {right} of {count} (goal 47 of 50); {dict(same)}")
    found = _verdicts(root, plain, slower, count)
    print(f"compare +10 ms in 100: slower {found['slower']} of {count} (goal 45 of 50)")


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
            wanted = Measurement("first_prompt_lag", PLAN, _env(root), f"{logs}/log")
            values = measure(sides, STARTS, wanted, _silent)
        found[judge(*values).verdict] += 1
    return found


def _env(root: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(root), "TERM": "xterm-256color"}


def _silent(_line: str) -> None:
    return None


def _blame(folder: Path) -> bool:
    """Trace waits and busy loops in nested functions; print and return whether all are right."""
    folder.mkdir()
    env = _env(folder)
    before = _turn_ms(env)
    turns = [round(ms / before) for ms in COSTS]
    places = _configuration(folder, turns)
    root = blame(PLAN._replace(zdotdir=str(folder)), env).root
    turn = (before + _turn_ms(env)) / 2
    known = [ms if at % 2 else turns[at] * turn for at, ms in enumerate(COSTS)]
    totals = {line.line: line.total_ms for line in by_line(root) if folder.name in line.file}
    found = [totals.get(place, 0.0) for place in places]
    inside = sum(
        abs(ms - cost) <= max(1.0, cost / 10) for ms, cost in zip(found, known, strict=True)
    )
    ordered = _order(found) == _order(known)
    shown = ", ".join(f"{ms:.1f} for {cost:.1f}" for ms, cost in zip(found, known, strict=True))
    print(f"blame: in order: {ordered}; within 10 % or 1 ms: {inside} of {len(COSTS)}; ms: {shown}")
    return ordered and inside == len(COSTS)


def _configuration(folder: Path, turns: Sequence[int]) -> list[int]:
    """Write functions of which each second one is called by the one before; -> lines of costs."""
    lines, places = ["zmodload zsh/zselect"], []
    for at, ms in enumerate(COSTS):
        lines += [
            f"f{at}() {{",
            f"zselect -t {ms // 10}" if at % 2 else f"repeat {turns[at]} {BURN}",
        ]
        places.append(len(lines))
        lines += ["}"] if at % 2 else [f"f{at + 1}", "}"]
    lines += [f"f{at}" for at in range(0, len(COSTS), 2)] + ["PROMPT='there> '", ""]
    (folder / ".zshrc").write_text("\n".join(lines))
    return places


def _order(costs: Sequence[float]) -> list[int]:
    return sorted(range(len(costs)), key=costs.__getitem__)


def _turn_ms(env: dict[str, str]) -> float:
    """Return the processor time of one turn of the busy loop; what it waits does not count."""

    def run(count: int) -> float:
        began = _processor_s()
        subprocess.run([ZSH, "-df", "-c", f"repeat {count} {BURN}"], env=env, check=True)
        return _processor_s() - began

    one, many = (median(run(count) for _ in range(5)) for count in (1, TURNS))
    return (many - one) * 1000 / TURNS


def _processor_s() -> float:
    """Return the processor seconds of this process's children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
