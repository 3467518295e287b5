"""The regression guard: instructions and system calls, which no busy machine changes.

    make guard [UPDATE=1]

Counts the cost of the prompt's path (the plugin sourced, ten registrations, its precmd;
less a zsh that does nothing), of twenty features (the layer sourced, registrations, the
three phases; less the same functions called by hand), of ten `zdefer eval` beside ten
`source`, and of a claim (from the frames of a visit to its commit; the difference between
many and few in one process). Instructions come from valgrind's callgrind, system calls
from strace. Each is compared, as a ratio, with the committed baseline; more than `LIMIT`
fails. Counts depend on the versions of zsh, Python, SQLite and libc: where
those differ from the baseline's, the guard reports and judges not.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.pty import ZSH

from zdeferd.install.share import share
from zdeferd.ledger import claims
from zdeferd.ledger.store import Ledger
from zdeferd.model import Facts
from zdeferd.runs import visits
from zdeferd.wire import messages

from . import features
from .peers import compiled

BASELINE = Path(__file__).with_name("guard-baseline.json")
LIMIT = 1.05
"""How many times the baseline is a regression: callgrind repeats itself to within 1%."""
FEW, MANY = 20, 120
JOBS = 10
LIMIT_S = 300
_COLLECTED = re.compile(r"Collected : (\d+)")


@dataclass(frozen=True)
class Count:
    """One count, beside its value in the baseline."""

    name: str
    now: float
    then: float | None

    @property
    def ratio(self) -> float:
        """Times the baseline; 1 where there is none."""
        return self.now / self.then if self.then else 1.0

    def line(self) -> str:
        """One line of a report."""
        return f"{self.name:<28} {self.now:>12,.0f}  {self.ratio:.3f} of the baseline"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: 1 where something costs more than it may."""
    parser = argparse.ArgumentParser(prog="bench.guard")
    parser.add_argument("--update", action="store_true", help="write a new baseline")
    parser.add_argument("--claims", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.claims is not None:
        make_claims(options.claims)
        return 0
    if missing := missing_tools():
        print(f"guard: not installed: {', '.join(missing)}")
        return 0
    counts, comparable = measure()
    for count in counts:
        print(count.line())
    if options.update:
        _update(counts)
        return 0
    if not comparable:
        print("guard: the baseline is of other versions; nothing is judged")
        return 0
    return 1 if any(count.ratio > LIMIT for count in counts) else 0


def missing_tools() -> list[str]:
    """Which of the programs that count are not installed."""
    return [name for name in ("valgrind", "strace") if not shutil.which(name)]


def measure() -> tuple[list[Count], bool]:
    """Every count, and whether the baseline is of these versions."""
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    then: Mapping[str, float] = baseline.get("counts", {})
    with tempfile.TemporaryDirectory(prefix="zdg.", dir="/tmp") as scratch:
        now = {
            f"{what}: {unit}": value
            for what, found in PATHS.items()
            for unit, value in found(Path(scratch)).items()
        }
    counts = [Count(name, value, then.get(name)) for name, value in now.items()]
    return counts, baseline.get("versions") == versions()


def versions() -> dict[str, str]:
    """Return the versions on which the counts depend."""
    zsh = subprocess.run([ZSH, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "zsh": zsh.split()[1],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "libc": platform.libc_ver()[1],
        "machine": platform.machine(),
    }


def _update(counts: Sequence[Count]) -> None:
    values = {count.name: round(count.now) for count in counts}
    text = json.dumps({"versions": versions(), "counts": values}, indent=1)
    BASELINE.write_text(text + "\n")


# --- the prompt's path ---------------------------------------------------------


def _prompt_path(scratch: Path) -> dict[str, float]:
    """Count what the plugin adds to a zsh with ten functions."""
    shim = compiled(Path(share("shell")), scratch / "shim")
    names = [f"job{number}" for number in range(JOBS)]
    floor = "; ".join(f"{name}() {{ : }}" for name in names)
    registered = "; ".join(
        f"zf::defer::register {name} {name} postprompt 'what it does'" for name in names
    )
    path = f"{floor}; source {shim}/zdeferd.plugin.zsh; {registered}; .zdeferd-soon .zdeferd-kick"
    return _over(path, floor, scratch)


def _feature_path(scratch: Path) -> dict[str, float]:
    """Count what the feature layer adds to a zsh with the plugin that calls twenty functions."""
    shim = compiled(Path(share("shell")), scratch / "layer")
    plugin = f"source {shim}/zdeferd.plugin.zsh\n{features.FUNCTIONS}"
    path = f"{plugin}source {shim}/features.zsh\n{features.REGISTER}{features.PHASES}:"
    return _over(path, f"{plugin}{features.BY_HAND}:", scratch)


def _over(path: str, floor: str, scratch: Path) -> dict[str, float]:
    """Count what an interactive zsh does more with the code `path` than with `floor`."""
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch), "LANG": "C.UTF-8", "TERM": "xterm"}

    def words(code: str) -> list[str]:
        return [ZSH, "-d", "-f", "-i", "-c", f"bindkey -e; {code}; exit 0"]

    return {
        unit: count(words(path), env) - count(words(floor), env) for unit, count in COUNTERS.items()
    }


def _eval_path(scratch: Path) -> dict[str, float]:
    """Count what ten `zdefer eval` with their caches cost more than ten `source`."""
    shim = compiled(Path(share("shell")), scratch / "eval-shim")
    folder = scratch / ".cache/zdeferd/init"
    folder.mkdir(mode=0o700, parents=True)
    names = [f"tool{number}" for number in range(JOBS)]
    for name in names:
        (folder / f"{name}.zsh").write_text(f"{name}() {{ : }}\n")
        (folder / f"{name}.zsh").chmod(0o600)
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch), "LANG": "C.UTF-8", "TERM": "xterm"}

    def words(form: str) -> list[str]:
        lines = "; ".join(form.format(name=name) for name in names)
        code = f"source {shim}/zdeferd.plugin.zsh; {lines}; (( $+functions[tool9] )); exit"
        return [ZSH, "-d", "-f", "-i", "-c", code]

    evals, sources = words("zdefer eval -n {name} none"), words(f"source {folder}/{{name}}.zsh")
    return {unit: count(evals, env) - count(sources, env) for unit, count in COUNTERS.items()}


# --- a claim -------------------------------------------------------------------


def _claim(scratch: Path) -> dict[str, float]:
    """Count one claim, less the start of the program."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "PYTHONPATH": ":".join(path for path in sys.path if path),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def words(count: int) -> list[str]:
        return [sys.executable, "-m", "bench.guard", "--claims", str(count)]

    return {
        unit: (count(words(MANY), env) - count(words(FEW), env)) / (MANY - FEW)
        for unit, count in COUNTERS.items()
    }


def make_claims(count: int) -> None:
    """So many visits with one job each, decoded, claimed and committed."""
    with tempfile.TemporaryDirectory(prefix="zdg.", dir="/tmp") as scratch:
        ledger = Ledger(f"{scratch}/ledger.sqlite3")
        facts = Facts(
            now=1.7e9, boot="a-boot", day="2026-01-01", jobs={}, default_log=f"{scratch}/log",
            inputs=lambda job, env: None,
        )  # fmt: skip
        for number in range(count):
            visit = messages.decode_visit(_frames(number))
            report = visits.report(visit, facts.jobs, facts.default_log)
            with ledger.transaction():
                claimed = claims.take_visit(ledger, report, facts)
            assert len(claimed.runs) == 1
        ledger.close()


def _frames(number: int) -> list[bytes]:
    return [
        b"hello", b"protocol=2", b"nonce=guard-%d" % number, b"seq=1",
        b"context", b"environment=HOME=/home/user\0PATH=/usr/bin:/bin",
        b"functions", b"list=4\0work\x0011\0\tprint done",
        b"jobs", b"list=39\0defer\0work\0work\0postprompt\0what it does",
        b"postprompt",
    ]  # fmt: skip


# --- counters ------------------------------------------------------------------


def _instructions(words: Sequence[str], env: Mapping[str, str]) -> float:
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words]
    found = _COLLECTED.search(_run(callgrind, env))
    if found is None:
        raise RuntimeError(f"valgrind counted nothing: {words}")
    return float(found[1])


def _system_calls(words: Sequence[str], env: Mapping[str, str]) -> float:
    with tempfile.NamedTemporaryFile(prefix="zdg.", dir="/tmp") as trace:
        _run(["strace", "-f", "-o", trace.name, *words], env)
        return float(sum(b"(" in line for line in Path(trace.name).read_bytes().splitlines()))


def _run(words: Sequence[str], env: Mapping[str, str]) -> str:
    done = subprocess.run(
        words, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT_S, check=False, cwd=BASELINE.parents[1],
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed: {done.stderr[-500:]}")
    return done.stderr


COUNTERS: dict[str, Callable[[Sequence[str], Mapping[str, str]], float]] = {
    "instructions": _instructions,
    "system calls": _system_calls,
}


PATHS: dict[str, Callable[[Path], dict[str, float]]] = {
    "prompt path": _prompt_path,
    "feature path": _feature_path,
    "eval path": _eval_path,
    "claim": _claim,
}


if __name__ == "__main__":
    sys.exit(main())
