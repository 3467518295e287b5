"""Kills at random instants under load: `python tests/kills/campaign.py --kills 2000`.

Each arena is a process of its own with a daemon, shells that keep coming, and a seeded
source of chance that decides whom to kill and when. In between other programs append to
the logs, logs are rotated, runs are cancelled. At the end everything may come to rest, the
daemon leaves, and audit.py reads the witnesses.

A failing arena prints its seed; chance decides alike again with it, but the kernel's
scheduler does not, so a seed finds the neighbourhood of a failure and not always its spot.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from kills import audit, prey
from kills.arena import Arena

from zdeferd.crashpoints import POINTS

WAITING_AT_MOST = 12
"""Runs that have not ended; above that no further shell comes."""
HUNT_S = 2.0
"""How long a kind of prey is waited for."""
PAUSES_S = (0.01, 0.05, 0.3)
"""The longest time between two kills: some find a daemon that starts, some a full house."""


class Result(NamedTuple):
    """What one arena has come to."""

    seed: int
    kills: Counter[str]
    runs: Counter[str]
    """By outcome."""
    lines: int
    breaches: list[str]


class Campaign:
    """One arena and the chance that rules it."""

    def __init__(self, seed: int) -> None:
        self.arena = Arena()
        self.kills: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._stalled: list[prey.Frozen] = []
        self._means: dict[str, tuple[int, Callable[[], bool]]] = {
            "daemon": (6, self._daemon),
            "daemon's group": (1, self._daemons_group),
            "spawner": (4, self._spawner),
            "daemon beside a stalled spawner": (2, self._stall),
            "runner": (5, self._runner),
            "runner's group": (1, lambda: self._runner(group=True)),
            "job": (3, self._job),
            "job's group": (3, lambda: self._job(group=True)),
            "all at once": (2, self._all),
        }

    def run(self, kills: int) -> None:
        """So many kills, and then rest."""
        names, weights = list(self._means), [weight for weight, _ in self._means.values()]
        while self.kills.total() + self.arena.deaths < kills:
            name = self._chance.choices(names, weights)[0]
            self._arm()
            if self._hunt(self._means[name][1]):
                self.kills[name] += 1
            self._let_go_on()
        self.arena.arm()
        self._let_go_on(all_of_them=True)
        self.arena.settle()
        self.arena.stop()
        self.kills["daemon, at a crash point"] = self.arena.deaths

    def _hunt(self, kill: Callable[[], bool]) -> bool:
        """Load and wait until there is somebody to kill, for a while."""
        end = time.monotonic() + HUNT_S
        while time.monotonic() < end:
            self._load()
            self._pause()
            if kill():
                return True
        return False

    def _arm(self) -> None:
        """The next daemon may die by itself, at some pass through some point."""
        self.arena.arm()
        if self._chance.random() < 0.3:
            point = self._chance.choice([name for name in POINTS if name.startswith("daemon.")])
            self.arena.tally(point).unlink(missing_ok=True)
            self.arena.arm((point, self._chance.randint(1, 8), int(signal.SIGKILL)))

    def _pause(self) -> None:
        end = time.monotonic() + self._chance.random() * self._chance.choice(PAUSES_S)
        while (left := end - time.monotonic()) > 0:
            self.arena.turn(left)

    # load

    def _load(self) -> None:
        chance = self._chance
        live = self.arena.ask("SELECT count(*) FROM runs WHERE state != 'ended'") or 0
        if live < WAITING_AT_MOST and self.arena.unanswered < 3:
            rcs = [chance.choice((0, 0, 1, 3, 77)) for _ in range(chance.randint(0, 4))]
            trigger = "idle" if chance.random() < 0.3 else "postprompt"
            self.arena.shell(*rcs, trigger=trigger, lasts_s=round(chance.random() * 0.1, 3))
        if chance.random() < 0.3:
            self.arena.write_as_a_shell()
        if chance.random() < 0.03:
            self.arena.rotate()
        if live and chance.random() < 0.05:
            run = self.arena.ask("SELECT coalesce(max(id), 0) FROM runs WHERE state != 'ended'")
            if run:
                self.arena.cancel(run)

    # kills; each returns whether there was anybody to kill

    def _daemon(self) -> bool:
        self.arena.kill_daemon()
        return True

    def _daemons_group(self) -> bool:
        process = self.arena.daemon.process
        if process is None or process.poll() is not None:
            return False  # a crash point was first
        os.killpg(process.pid, signal.SIGKILL)
        self.arena.kill_daemon()
        return True

    def _spawner(self) -> bool:
        spawner = self._one(prey.look(self.arena.home).spawners)
        if spawner:
            spawner.kill(group=self._chance.random() < 0.5)
        return bool(spawner)

    def _stall(self) -> bool:
        """The spawner's queue fills while it is stopped; it goes on beside a new daemon."""
        spawner = self._one(prey.look(self.arena.home).spawners)
        if spawner is None:
            return False
        self._load()
        self._pause()
        self.arena.kill_daemon()
        self._stalled.append(spawner)
        return True

    def _let_go_on(self, all_of_them: bool = False) -> None:
        for spawner in list(self._stalled):
            if all_of_them or self._chance.random() < 0.3:
                spawner.go_on()
                self._stalled.remove(spawner)

    def _runner(self, group: bool = False) -> bool:
        runners = {runner.pid: runner for runner in prey.look(self.arena.home).runners}
        frozen = self._one(list(runners))
        if frozen is None:
            return False
        self._doom(runners[frozen.pid])
        frozen.kill(group)
        return True

    def _job(self, group: bool = False) -> bool:
        jobs = dict(prey.look(self.arena.home).jobs)
        frozen = self._one(list(jobs))
        if frozen is None:
            return False
        self._strike(jobs[frozen.pid])
        frozen.kill(group)
        return True

    def _all(self) -> bool:
        daemon = prey.Frozen(self.arena.pid)
        if not daemon:
            return False  # a crash point was first
        seen = prey.look(self.arena.home)
        frozen = [one for pid in seen.spawners if (one := prey.Frozen(pid))]
        for runner in seen.runners:
            if one := prey.Frozen(runner.pid):
                self._doom(runner)
                frozen.append(one)
        frozen += [one for pid, _ in seen.jobs if (one := prey.Frozen(pid))]
        self._chance.shuffle(frozen)
        for one in [*frozen, daemon]:
            one.kill()
        self.arena.kill_daemon()
        return True

    def _one(self, pids: list[int]) -> prey.Frozen | None:
        """One of them, stopped; None where it was gone before."""
        stalled = {spawner.pid for spawner in self._stalled}
        free = [pid for pid in pids if pid not in stalled]
        if not free:
            return None
        return prey.Frozen(self._chance.choice(free)) or None

    def _doom(self, runner: prey.Runner) -> None:
        """Its runner is stopped and will die: what must become of the run."""
        folder = self.arena.daemon.state / "runs" / str(runner.run)
        attempt, recorded = prey.started(folder), prey.recorded(folder)
        if attempt and not recorded and not self._is_over(runner.run):
            self.arena.doomed.add((runner.run, attempt))

    def _strike(self, runner: prey.Runner) -> None:
        folder = self.arena.daemon.state / "runs" / str(runner.run)
        self.arena.struck.add((runner.run, prey.started(folder)))

    def _is_over(self, run: int) -> bool:
        return bool(self.arena.ask(f"SELECT state = 'ended' FROM runs WHERE id = {run}"))


def one_arena(seed: int, kills: int) -> Result:
    """A whole campaign in one arena."""
    campaign = Campaign(seed)
    arena = campaign.arena
    try:
        campaign.run(kills)
        seen = audit.Evidence(arena)
        runs = Counter(str(run["outcome"]) for run in seen.runs)
        lines = sum(map(len, seen.lines.values()))
        return Result(seed, campaign.kills, runs, lines, audit.breaches(arena))
    except AssertionError:
        ended = f"the campaign ended: {traceback.format_exc(limit=-3)}"
        return Result(seed, campaign.kills, Counter(), 0, [ended])
    finally:
        for spawner in campaign._stalled:
            spawner.go_on()
        arena.close()


def many_arenas(kills: int, arenas: int, seed: int) -> list[Result]:
    """`kills` in all, in `arenas` side by side."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arenas, mp_context=spawn) as pool:
        shares = [kills // arenas + (number < kills % arenas) for number in range(arenas)]
        futures = [pool.submit(one_arena, seed + n, share) for n, share in enumerate(shares)]
        return [future.result() for future in futures]


def report(results: list[Result], seconds: float) -> str:
    """Return the result as lines for a terminal."""
    kills: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    for result in results:
        kills += result.kills
        runs += result.runs
    lines = [f"kills      {kills.total()} in {seconds:.0f} s"]
    lines += [f"           {count:6} {name}" for name, count in kills.most_common()]
    lines += [f"runs       {runs.total()}"]
    lines += [f"           {count:6} {name}" for name, count in runs.most_common()]
    lines += [f"lines      {sum(result.lines for result in results)}"]
    lines += [f"breaches   {sum(len(result.breaches) for result in results)}"]
    for result in results:
        lines += [f"           seed {result.seed}: {breach}" for breach in result.breaches]
    return "\n".join(lines)


def main() -> int:
    """The program: 0 where no rule was broken."""
    parser = argparse.ArgumentParser(description="Kill zdeferd's processes at random instants.")
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--arenas", type=int, default=4, help="side by side (default: 4)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    began = time.monotonic()
    results = many_arenas(options.kills, options.arenas, options.seed)
    print(report(results, time.monotonic() - began))
    return any(result.breaches for result in results)


if __name__ == "__main__":
    sys.exit(main())
