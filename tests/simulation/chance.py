"""A history from a seed: which jobs there are, what the user does, what goes wrong and when.

Owns the odds. Everything is drawn from one `random.Random(seed)`, so a seed is a history;
a change of the odds, or of the order of draws, makes all seeds other histories.
"""

import gc
from collections.abc import Callable
from random import Random

from zdeferd.conditions import Conditions, Power
from zdeferd.jobs.registrations import Register
from zdeferd.model import Code, Job, Retry, Scope, Trigger
from zdeferd.runs.asked import PauseAsked, RetryAsked, SwitchAsked
from zdeferd.settings import Settings

from .history import History
from .stage import Setup
from .world import World

FILE_JOBS = ("f0", "f1", "f2", "f3")
SHELL_JOBS = ("s0", "s1", "f0", "s2", "s3", "s4")
"""Among them one that is declared in a file, sometimes, and then refused."""
MAKING, MADE = ("f0", "f1", "f3"), "$HOME/made/one"
"""Jobs with an output, compiled too: the same, as variables in its path can make it."""
SCOPES = (Scope.SHELL, Scope.BOOT, Scope.BOOT, Scope.DAY, Scope.CHANGE, Scope.EVER)
ENVIRONMENTS: tuple[dict[str, str], ...] = (
    {"HOME": "/home"},
    {"HOME": "/home", "ZSH_IDLE_HARD_BUDGET_MS": "1500"},
    {"HOME": "/home", "PERF_SAMPLE_CONTEXT": "s1"},
    {"HOME": "/home", "PERF_SEGMENT_LOG": "/log/other.log", "ZSH_LOG_STRUCTURED": "1"},
)


class Chance:
    """One seed's history."""

    def __init__(self, seed: int, notes: list[str] | None = None) -> None:
        self.random = Random(seed)
        self._of_conditions = Random(f"conditions {seed}")  # so that other draws stay as they are
        self.history = History(self._setup(), self.random, notes)
        self.machine = self.history.machine
        self.history.wild = self._interrupted
        self._operations, self._weights = zip(*_odds(self), strict=True)

    def play(self) -> None:
        """From the start to the end; Violation."""
        with self.history.played():
            self.machine.start_daemon()
            self._open_shell()
            for _ in range(self.random.randint(10, 30)):
                self._happen()
            self.history.finale()

    def _happen(self) -> None:
        chance, history = self.random, self.history
        if self.machine.countdown <= 0:
            self.machine.countdown = int(chance.expovariate(1 / 150)) + 1
        (operation,) = chance.choices(self._operations, self._weights)
        operation()
        history.raise_what_was_found()
        if chance.random() < 0.15:
            history.rest()
        else:
            history.steps(chance.randint(0, 12))

    # the beginning

    def _setup(self) -> Setup:
        settings = Settings(jobs_at_once=self.random.choice((1, 1, 1, 2)))
        return Setup(self._jobs(), settings, may_leave=self.random.random() < 0.3)

    def _jobs(self) -> dict[str, Job]:
        names = FILE_JOBS[: self.random.randint(0, len(FILE_JOBS))]
        return {name: self._job(name, names) for name in names}

    def _job(self, name: str, names: tuple[str, ...]) -> Job:
        chance = self.random
        idempotent = chance.random() < 0.3
        scope = chance.choice(SCOPES)
        earlier = names[: names.index(name)]
        return Job(
            id=name,
            run=Code("true"),
            on=(chance.choice((Trigger.POSTPROMPT, Trigger.POSTPROMPT, Trigger.IDLE)),),
            once_per=scope,
            watch=("w0",) if scope is Scope.CHANGE else (),
            after=tuple(chance.sample(earlier, 1)) if earlier and chance.random() < 0.3 else (),
            idempotent=idempotent,
            attempts=chance.randint(2, 3) if idempotent else 1,
            retry=Retry(chance.randint(2, 3), 5.0) if chance.random() < 0.3 else None,
            output=MADE if name in MAKING else "",
            compile=name in MAKING,
            apply=name in MAKING,
            when=self._conditions(),
            source="/jobs.d/all.toml",
        )

    def _conditions(self) -> Conditions | None:
        chance = self._of_conditions
        if chance.random() < 0.85:
            return None
        return Conditions(
            power=chance.choice((None, Power.AC)),
            online=chance.random() < 0.3,
            load_below=chance.choice((None, None, 1.0)),
            quiet_s=chance.choice((None, None, 30.0)),
            not_before=chance.choice((None, None, None, 60.0)),
            deadline=chance.choice((None, None, 90.0, 7200.0)),
        )

    # interruptions, at a system call or between two callbacks

    def _interrupted(self, call: str) -> None:
        chance, machine = self.random, self.machine
        machine.countdown = int(chance.expovariate(1 / 150)) + 1
        kind = chance.random()
        if kind < 0.25:
            self._kill_who_runs()
        elif kind < 0.75:
            self.history.steps(chance.randint(1, 6))
        elif kind < 0.85:
            machine.kill_daemon()
        elif kind < 0.93:
            machine.kill_runner(chance.randrange(8))
        else:
            machine.finish_job(chance.randrange(8), chance.randint(0, 1))

    def _kill_who_runs(self) -> None:
        machine = self.machine
        process = machine.calls.process
        if machine.daemon is not None and process is machine.daemon.process:
            machine.kill_daemon()
            return
        for index, runner in enumerate(machine.runners):
            if runner.process is process:
                machine.kill_runner(index)
                return
        for index, spawner in enumerate(machine.spawners):
            if spawner.process is process:
                machine.kill_spawner(index)
                return

    # operations

    def _open_shell(self) -> None:
        machine, chance = self.machine, self.random
        machine.open_shell(chance.choice(ENVIRONMENTS))
        machine.type_key()
        self._prepare(postprompt=True)
        machine.send(machine.shells[-1])

    def _prepare(self, postprompt: bool = False) -> None:
        """The newest shell, or another, has something to say."""
        machine, chance = self.machine, self.random
        if not machine.shells:
            return
        shell = machine.shells[-1] if postprompt else chance.choice(machine.shells)
        idle = not postprompt and chance.random() < 0.4
        new = [name for name in SHELL_JOBS if name not in shell.declared]
        names = new[: chance.randint(0, 3)]
        shell.declared.update(names)
        jobs = tuple(self._registration(name) for name in names)
        shell.prepare(jobs, postprompt or chance.random() < 0.5, idle)

    def _registration(self, name: str) -> Register:
        chance = self.random
        scope = chance.choice(SCOPES)
        return Register(
            id=name,
            call=("true",),
            on=chance.choice(("postprompt", "postprompt", "idle")),
            once_per=scope,
            watch=("/w1",) if scope is Scope.CHANGE else (),
        )

    def _visit(self) -> None:
        if self.machine.shells:
            self.machine.send(self.random.choice(self.machine.shells))

    def _deliver(self) -> None:
        self.machine.deliver(self.random.randrange(8), keep=self.random.random() < 0.15)

    def _finish_job(self) -> None:
        self.machine.finish_job(self.random.randrange(8), int(self.random.random() < 0.3))

    def _configure(self) -> None:
        self.machine.configure(self._jobs(), self.machine.settings.jobs_at_once)

    def _change_input(self) -> None:
        self.machine.change_input(self.random.choice(("w0", "/w1")))

    def _senses_change(self) -> None:
        chance, machine = self._of_conditions, self.machine
        machine.sense("power", chance.choice(tuple(Power)))
        machine.sense("online", chance.random() < 0.5)
        machine.sense("load", chance.choice((0.0, 5.0)))

    def _pass_time(self) -> None:
        self._senses_change()
        self.machine.pass_time(self.random.choice((0.01, 1.0, 10.0, 70.0, 3600.0)))

    def _suspend(self) -> None:
        self.machine.suspend(self.random.choice((30.0, 3600.0)))

    def _run_by_hand(self) -> None:
        self.machine.run_by_hand(self.random.choice((*FILE_JOBS, *SHELL_JOBS)))

    def _pause(self) -> None:
        lane, paused = self.random.choice(tuple(Trigger)), self.random.random() < 0.5
        self.machine.ask(PauseAsked, (lane,), paused)

    def _switch(self) -> None:
        job, enabled = self.random.choice(FILE_JOBS), self.random.random() < 0.6
        self.machine.ask(SwitchAsked, job, enabled)

    def _retry(self) -> None:
        if self.machine.witness.endings:
            run = self.random.choice(sorted(self.machine.witness.endings))
            self.machine.ask(RetryAsked, run)

    def _set_clock(self) -> None:
        self.machine.set_clock(self.random.choice((-86400.0, -3600.0, -2.0, 2.0, 3600.0, 86400.0)))

    def _trouble(self) -> None:
        machine, chance = self.machine, self.random
        kind = chance.choice(
            ("ledger", "locked", "files", "/state", "/log", "processes", "short", "none")
        )
        machine.note("world", f"trouble: {kind}")
        if kind == "processes":
            machine.no_processes = True
        elif kind == "short":
            machine.calls.short_write, machine.fills_up = (
                chance.randint(0, 20),
                chance.random() < 0.5,
            )
        elif kind == "none":
            machine.full.clear()
            machine.no_processes = False
        else:
            machine.full.add(kind)

    def _no_trouble(self) -> None:
        machine = self.machine
        if machine.full or machine.no_processes:
            machine.note("world", "the trouble is over")
        machine.full.clear()
        machine.no_processes = False

    def _write_beside(self) -> None:
        machine, chance = self.machine, self.random
        line = b"SEGMENT name=other ms=%d phase=core sample=x" % chance.randrange(99)
        due = [row.line.text for row in machine.ledger.tables.lines.values()]
        if due and chance.random() < 0.2:
            line = chance.choice(due)  # the very line that the daemon is about to write
        machine.write_beside(line)


def _odds(chance: Chance) -> list[tuple[Callable[[], object], float]]:
    """Every operation, and how often it comes."""
    world, draw = chance.machine, chance.random

    def one_of(act: Callable[[int], object]) -> Callable[[], object]:
        return lambda: act(draw.randrange(8))

    return [
        (chance._deliver, 12),
        (chance._finish_job, 12),
        (chance._visit, 6),
        (world.start_daemon, 8),
        (chance._pass_time, 5),
        (world.pass_to_next_instant, 5),
        (chance._open_shell, 3),
        (chance._prepare, 3),
        (world.kill_daemon, 2.5),
        (one_of(world.kill_runner), 1.5),
        (one_of(world.kill_spawner), 1),
        (one_of(world.cancel), 2),
        (chance._run_by_hand, 1.5),
        (one_of(world.lose), 1),
        (one_of(world.hang_up), 1.5),
        (one_of(world.new_prompt), 2),
        (one_of(world.apply), 4),
        (one_of(world.remove_output), 3),
        (one_of(world.time_out_job), 1),
        (chance._pause, 1),
        (chance._switch, 1),
        (chance._retry, 1),
        (lambda: world.forget(draw.choice(FILE_JOBS)), 0.7),
        (world.stop_daemon, 0.7),
        (world.type_key, 1.5),
        (chance._configure, 0.7),
        (chance._change_input, 1.5),
        (chance._suspend, 0.7),
        (chance._set_clock, 0.8),
        (lambda: world.reboot(False, draw), 0.5),
        (lambda: world.reboot(True, draw), 0.6),
        (world.rotate, 1),
        (world.copy_and_truncate, 0.7),
        (world.remove_log, 0.2),
        (chance._write_beside, 2),
        (chance._trouble, 0.8),
        (chance._no_trouble, 1.5),
    ]


def play(seed: int, notes: list[str] | None = None) -> World:
    """The history of `seed`; Violation says what does not hold in it."""
    chance = Chance(seed, notes)
    chance.play()
    return chance.machine


def play_all(seeds: range, found: Callable[[int, BaseException], bool]) -> int:
    """Play them all, or until `found` (called with a seed and what failed) says True."""
    played = 0
    gc.collect()
    gc.freeze()  # only what histories leave behind is looked at below
    gc.disable()
    try:
        for seed in seeds:
            try:
                play(seed)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the seed is the news
                if found(seed, failure):
                    return played
            played += 1
            if played % 50 == 0:
                gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return played
