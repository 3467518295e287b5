"""One history: a machine, what happens to it, and how it comes to its end.

Owns the frame that both drivers share (chance.py's seeds and the state machine of
hypothesis): steps between operations, the look at rest, and the finale, in which the
faults stop, time passes, and everything must have come right.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from zdeferd.model import Outcome

from .promises import Invariant, Violation
from .seams import played_on
from .stage import Setup
from .world import World

STEPS_LIMIT = 3000
"""More without coming to rest is a daemon that spins."""
INSTANTS = 60
"""How often time is moved to the next instant, at the most, for everything to end."""


class History:
    """A machine and who turns it."""

    def __init__(self, setup: Setup, chance: Random, notes: list[str] | None = None) -> None:
        self.machine, self.chance = World(setup, notes), chance
        self.machine.interrupt = self._interrupted
        self.machine.goes_on = lambda: chance.random() < 0.75
        self.wild: Callable[[str], None] = lambda call: None
        """What happens at an interruption."""
        self.calm = False
        """Nothing goes wrong any more."""

    @contextmanager
    def played(self) -> Iterator[None]:
        """While it lasts, zdeferd's modules are on this machine; nothing of it is left then."""
        logging.getLogger("asyncio").disabled = True  # what a killed daemon left unfinished
        try:
            with played_on(self.machine):
                try:
                    yield
                finally:
                    self.machine.notes = None
                    self.machine.end_everything()
        finally:
            logging.getLogger("asyncio").disabled = False

    def _interrupted(self, call: str) -> None:
        if len(self.machine.active) < 3:
            self.wild(call)

    def step(self) -> bool:
        """One process takes a step; False where none has anything to do."""
        steps = self.machine.steps()
        if not steps:
            return False
        steps[int(self.chance.random() * len(steps))]()
        self.raise_what_was_found()
        return True

    def _round(self) -> bool:
        """Every process takes a step; False where none has anything to do."""
        steps = self.machine.steps()
        for step in steps:
            step()
        self.raise_what_was_found()
        return bool(steps)

    def steps(self, count: int) -> None:
        for _ in range(count):
            if not self.step():
                return

    def raise_what_was_found(self) -> None:
        if self.machine.violation is not None:
            raise self.machine.violation

    def rest(self) -> None:
        """Let everything be done that can be done now; then look at what is left."""
        for _ in range(STEPS_LIMIT):
            if not (self._round() if self.calm else self.step()):
                break
        else:
            raise Violation(Invariant.REST, f"{STEPS_LIMIT} steps")
        machine = self.machine
        daemon = machine.daemon
        if daemon is None or machine.full or machine.no_processes or machine.wire:
            return
        live = daemon.dispatcher._parts.live
        if daemon.loop.timers or live.hold_until(machine.now) > machine.now:
            return
        at_once = machine.settings.jobs_at_once
        senses = machine.sensors.values, machine.now
        machine.witness.at_rest(machine.ledger.tables, at_once, machine.busy(), *senses)
        open_lines = [row for row in machine.ledger.tables.lines.values() if row.problem is None]
        if open_lines:
            raise Violation(Invariant.NO_WAITING_LINE, repr(open_lines[0].line.text))

    # the end

    def finale(self) -> None:
        """The faults are over."""
        machine = self.machine
        machine.note("history", "the faults are over")
        machine.countdown, self.calm = -1, True
        machine.goes_on = lambda: True
        machine.full.clear()
        machine.no_processes = machine.fills_up = False
        machine.calls.short_write = -1
        for name, value in {"power": "ac", "online": True, "load": 0.0}.items():
            machine.sense(name, value)
        for _ in range(2):  # what a full log holds up is written by the next daemon
            machine.start_daemon()
            self._wind_down()
            self._shells_have_the_newest()
            machine.stop_daemon()
            self.rest()
        if machine.daemon is not None:
            raise Violation(Invariant.LEAVES, "it stays")
        machine.witness.at_the_end(machine.ledger.tables)
        self._compare_logs()
        self._nothing_left_behind()

    def _wind_down(self) -> None:
        machine = self.machine
        for _ in range(INSTANTS):
            self.rest()
            self._shells_and_jobs_go_on()
            self.rest()
            if machine.daemon is None:  # it left because there was nothing to do
                machine.start_daemon()
                self.rest()
            if any(machine.ledger.tables.lanes.values()):  # it had left when that was asked
                continue
            if self._a_shell_has_more() or machine.job_processes:
                continue
            if not machine.ledger.live_runs() and not machine.idle_waits():
                return
            if not machine.pass_to_next_instant():
                raise Violation(Invariant.ALARM, "nothing is armed")
        raise Violation(Invariant.RUNS_END, f"not within {INSTANTS} instants")

    def _shells_and_jobs_go_on(self) -> None:
        machine = self.machine
        tables = machine.ledger.tables
        if tables.disabled or any(tables.lanes.values()):
            machine.switch_all_on()
            self.rest()
        for shell in machine.shells:
            if shell.connected and not any(m.shell is shell for m in machine.wire):
                shell.hang_up()
            machine.send(shell)
        while machine.wire and machine.daemon is not None:
            before = len(machine.wire)
            machine.deliver(0, keep=False)
            if len(machine.wire) == before:  # it was read, and may be read no more
                machine.wire.pop(0)
        self.rest()
        while machine.job_processes:
            machine.finish_job(0, 0)
            self.rest()

    def _shells_have_the_newest(self) -> None:
        """Each shell that can still visit asks at its next prompts, and sources what it is told."""
        machine = self.machine
        for _ in range(INSTANTS):
            before = machine.witness.tellings, dict(machine.witness.there)
            self._all_come_to_a_prompt()
            if before == (machine.witness.tellings, machine.witness.there):
                break
        if machine.clock_was_set or machine.forgets:
            return
        for one in machine.shells:
            if not one.gone and one.tries < 3:
                has, asked = one.follower.has, one.follower.asked & machine.jobs.keys()
                machine.check(machine.witness.has_the_newest, one.nonce, has, asked)
        self.raise_what_was_found()

    def _all_come_to_a_prompt(self) -> None:
        machine = self.machine
        for index in range(len(machine.shells)):
            machine.new_prompt(index)
        self._wind_down()
        while any(one.follower.queue and not one.gone for one in machine.shells):
            machine.apply(0)
        self.raise_what_was_found()

    def _a_shell_has_more(self) -> bool:
        return any(one.outbox and one.tries < 3 and not one.gone for one in self.machine.shells)

    def _compare_logs(self) -> None:
        machine = self.machine
        log = machine.paths.shared_log
        paths = {path for path, _, _ in machine.witness.lines.values()} | {log}
        for path in paths:
            contents = [bytes(node.data) for where, node in machine.archive if where == path]
            names = (name for name in machine.disk.folders["/log"])
            files = [f"/log/{name}" for name in names if f"/log/{name}" in (path, f"{path}.1")]
            contents += [bytes(machine.disk.need(name).data) for name in files]
            found = Counter(line for data in contents for line in data.split(b"\n")[:-1])
            kept = machine.ledger.tables.lines.values()
            unsure = Counter(row.line.text for row in kept if row.line.path == path)
            strangers = Counter(text for where, text in machine.strangers if where == path)
            strangers += machine.in_doubt  # `settle` finds them gone, or absent: who knows
            machine.witness.logs(path, found, unsure, strangers, machine.torn)
            if any(row.line.state != "lost" for row in kept):
                raise Violation(Invariant.NO_WAITING_LINE, repr(list(kept)[:1]))

    def _nothing_left_behind(self) -> None:
        machine = self.machine
        if machine.runners:
            raise Violation(Invariant.NO_RUNNERS, f"run {machine.runners[0].run}")
        if machine.daemon_was_killed or machine.had_trouble:  # pruning removes what is left then
            return
        for run, ending in machine.witness.endings.items():
            contents = machine.disk.folders.get(f"/state/runs/{run}")
            if contents is not None and ending.outcome not in (Outcome.CANCELLED, Outcome.MISSED):
                raise Violation(Invariant.NO_FOLDERS, f"run {run}: {sorted(contents)}")
