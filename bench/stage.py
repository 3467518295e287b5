"""Where a benchmark runs: private homes, a real daemon, fixed amounts of CPU, a meter.

Owns one scratch folder (short, because an ipc path has 107 bytes) and everything that is
started in it; leaving the `with` block ends the daemons and removes the folder. The shim
is a compiled copy, as `zdeferctl install` makes it.

A burn is a loop of so many turns, not so much time: a job costs the same CPU however
busy the machine is. Its length is measured before each family: how fast a machine is varies.
"""

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from support.daemon import Daemon
from support.pty import ZSH
from support.terminal import private_environment

from zdeferd.install.share import share

from . import peers

SOURCE = Path(__file__).parents[1] / "src"
BURN = "burn() { local -i i; for (( i = 0; i < $1; ++i )) do :; done }"
CPU_METERS = (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup"))


@dataclass(frozen=True)
class Size:
    """How often things are measured."""

    shells: int = 40
    """Rounds of prompts, one shell a contestant and round."""
    enters: int = 20
    typing_rounds: int = 8
    keys: int = 75
    registrations: int = 100
    register_rounds: int = 15
    visits: int = 60
    cold_visits: int = 8
    starts: int = 200
    runs: int = 2000
    few_runs: int = 100
    run_rounds: int = 3
    survivors: int = 5
    storm_shells: int = 100
    storm_jobs: int = 20
    rest_s: float = 60.0
    rest_shells: int = 100
    programs: int = 30
    growth_runs: tuple[int, ...] = (0, 10_000, 1_000_000)
    growth_others: tuple[int, ...] = (1, 30, 1_000)
    growth_samples: int = 60
    restarts: int = 5
    readers: int = 100
    publications: int = 1000
    looks: int = 500
    demos: int = 3


QUICK = Size(
    shells=2, enters=2, typing_rounds=1, keys=10, registrations=20, register_rounds=2,
    visits=2, cold_visits=1, starts=5, runs=40, few_runs=5, run_rounds=1, survivors=1,
    storm_shells=4, storm_jobs=3, rest_s=1.0, rest_shells=3, programs=2,
    growth_runs=(0, 1_000), growth_others=(1, 20), growth_samples=5, restarts=1,
    readers=5, publications=10, looks=5, demos=1,
)  # fmt: skip
"""Enough to see that everything works; the figures mean nothing."""


@dataclass
class Stage:
    """The set-up that every family of figures gets."""

    size: Size
    peers_folder: Path | None = None
    fetch: bool = True
    say: Callable[[str], None] = print
    order: random.Random = field(default_factory=lambda: random.Random(4))

    def __enter__(self) -> Self:
        self.root = Path(tempfile.mkdtemp(prefix="zdb.", dir="/tmp"))
        self._daemons: list[Daemon] = []
        self._homes = 0
        self.peers = peers.find(self.peers_folder, self.root / "peers", self.fetch)
        self.shim = peers.compiled(Path(share("shell")), self.root / "shim")
        self.calibrate()
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self._daemons:
            with contextlib.suppress(Exception):
                daemon.close()
        self._end_queues()
        shutil.rmtree(self.root, ignore_errors=True)

    def _end_queues(self) -> None:
        """tsp leaves a server behind for each socket."""
        for path in self.root.glob("ts*"):
            if path.is_socket() and "tsp" in self.peers.programs:
                env = dict(os.environ) | {"TS_SOCKET": str(path)}
                words = [self.peers.programs["tsp"], "-K"]
                subprocess.run(words, env=env, capture_output=True, timeout=10, check=False)

    def home(self, zshrc: str = "") -> tuple[Path, dict[str, str]]:
        """A new private home with this .zshrc, and its environment."""
        self._homes += 1
        home = self.root / f"h{self._homes}"
        home.mkdir(mode=0o700)
        env = private_environment(home)
        (home / ".zshrc").write_text(zshrc)
        return home, env

    def daemon(self, settings: str = "", start: bool = True) -> Daemon:
        """A daemon with a home of its own, answering."""
        home, _ = self.home()
        daemon = Daemon(home)
        daemon.write_settings(settings)
        self._daemons.append(daemon)
        return daemon.start() if start else daemon

    def close(self, daemon: Daemon) -> None:
        """End a daemon that is no longer needed."""
        self._daemons.remove(daemon)
        daemon.stop()
        daemon.close()

    def rounds(self, contestants: Sequence[str], count: int) -> Iterator[str]:
        """The contestants, in a new order in each round: neighbours and time even out."""
        for _ in range(count):
            order = list(contestants)
            self.order.shuffle(order)
            yield from order

    def calibrate(self) -> None:
        """Measure how many turns a burn takes for a millisecond, now."""
        self.turns_a_ms = _turns_a_ms()

    def burn(self, ms: float) -> str:
        """Return zsh code that takes that much CPU; `BURN` defines its function."""
        return f"burn {max(1, round(ms * self.turns_a_ms))}"


def _turns_a_ms() -> float:
    """Turns of a burn in a millisecond: the best of a few tries, in user CPU time."""
    took_ms = "print $(( (EPOCHREALTIME - t) * 1000 ))"
    code = f"{BURN}; burn 1000; typeset -F t=$EPOCHREALTIME; burn 20000; {took_ms}"
    took = []
    for _ in range(7):
        words = [ZSH, "-fc", f"zmodload zsh/datetime; {code}"]
        took.append(float(subprocess.run(words, capture_output=True, check=True).stdout))
    return 20000 / min(took)


def compare(
    stage: Stage, contestants: Mapping[str, Callable[[], float]], count: int
) -> dict[str, list[float]]:
    """Samples of each contestant, one a round, interleaved."""
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for name in stage.rounds(list(contestants), count):
        samples[name].append(contestants[name]())
    return samples


def until(condition: Callable[[], bool], limit_s: float = 20.0, pause_s: float = 0.005) -> bool:
    """Poll a condition that no event announces; False at the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(pause_s)
    return True


def size_of(path: Path) -> int:
    """Bytes in a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def settled(path: Path, wanted: int, quiet_s: float = 1.0, limit_s: float = 30.0) -> int:
    """A file's size once it is `wanted`, or has not grown for a while."""
    end, last, since = time.monotonic() + limit_s, -1, time.monotonic()
    while time.monotonic() < end:
        now = size_of(path)
        if now != last:
            last, since = now, time.monotonic()
        if now >= wanted or time.monotonic() - since > quiet_s:
            break
        time.sleep(0.005)
    return size_of(path)


class Meter:
    """CPU time of processes and all their descendants, reaped or not: a cgroup's account."""

    def __init__(self) -> None:
        self._group: Path | None = None
        for base in CPU_METERS:
            group = base / f"zdb.{os.getpid()}"
            if any((base / name).exists() for name in ("cpuacct.usage", "cpu.stat")):
                with contextlib.suppress(OSError):
                    group.mkdir(exist_ok=True)
                    self._group = group
                    break

    @property
    def usable(self) -> bool:
        """Whether there is a cgroup to count in; that needs root or a delegation."""
        return self._group is not None

    def join(self) -> None:
        """Count this process and all that it starts from now on."""
        assert self._group is not None
        (self._group / "cgroup.procs").write_text(str(os.getpid()))

    def read_s(self) -> float:
        """CPU seconds so far."""
        assert self._group is not None
        old = self._group / "cpuacct.usage"
        if old.exists():
            return int(old.read_text()) / 1e9
        fields = dict(line.split() for line in (self._group / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def empty(self) -> bool:
        """Whether nothing that was counted still runs."""
        assert self._group is not None
        return not (self._group / "cgroup.procs").read_text().strip()

    def leave(self) -> None:
        """Go back to where this process came from, and remove the group once it is empty."""
        if self._group is None:
            return
        with contextlib.suppress(OSError):
            (self._group.parent / "cgroup.procs").write_text(str(os.getpid()))
        until(self.empty, 5.0)
        with contextlib.suppress(OSError):
            self._group.rmdir()


def median(samples: Sequence[float]) -> float:
    """The middle of the samples."""
    return statistics.median(samples)
