"""What a history is played on: clock, disk, ledger, and everything that is in the world.

Owns the state, and passes facts on: to the witness, and in words to the notes for who
reads the history of a failure. The processes' own lives are machine.py's, what happens to
them world.py's.
"""

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from support.ledger import as_ledger
from support.sensors import PlayedSensors

from zdeferd.inputs import Inputs
from zdeferd.jobs.files import Loaded
from zdeferd.ledger import claims
from zdeferd.ledger.due import Event
from zdeferd.machine.paths import Paths
from zdeferd.machine.quiet import Clocks
from zdeferd.model import Job, Run, Scope
from zdeferd.settings import Settings

from . import away
from .calls import Calls, Killed, Process
from .daemon import Daemon
from .disk import Disk, Node, error
from .invariants import COMPILED, Witness
from .keyboard import Keyboard
from .loop import running
from .promises import Invariant, Violation
from .shells import Message, Shell
from .watched import WatchedLedger

START = datetime(2026, 3, 2, 21, 30).timestamp()
"""An evening, so that histories cross a midnight."""
QUIET_S = Settings().idle_after_s
CREATES = frozenset({"create", "write"})
OPENS = frozenset({"open", "create"})
PATHS = Paths(
    home="/home",
    socket="/run/sock",
    config_file="/config.toml",
    jobs_dir="/jobs.d",
    state="/state",
    ledger="/state/ledger.sqlite3",
    lock="/state/lock",
    runs="/state/runs",
    shared_log="/log/deferred.log",
    daemon_log="/state/zdeferd.log",
    autostart="/state/autostart",
    pointer="/state/socket",
)


class Setup(NamedTuple):
    """What a history begins with."""

    jobs: Mapping[str, Job]
    settings: Settings
    may_leave: bool


class Stage:
    """One machine, one user, one history."""

    LEFTOVERS_END = True
    """What a vanished runner leaves behind can be ended."""

    def __init__(self, setup: Setup, notes: list[str] | None = None) -> None:
        self.paths, self.settings, self.jobs = PATHS, setup.settings, dict(setup.jobs)
        self.may_leave, self.notes = setup.may_leave, notes
        self.witness = Witness()
        self.ledger = WatchedLedger(self._durable)
        self.disk = Disk(["", "/state", "/state/runs", "/log", "/home"])
        self.calls = Calls(self.disk, self._before)
        self.now, self.awake, self.since_boot = START, 1000.0, 1000.0
        self.boot, self._boots, self._pids = "b1", 1, 100
        self.daemon: Daemon | None = None
        self.spawners: list[away.Spawner] = []
        self.runners: list[away.Runner] = []
        self.job_processes: list[away.Job] = []
        self.began: dict[int, float] = {}
        """When the job of each run was started last, on the clock that stands still in suspend."""
        self.shells: list[Shell] = []
        self.wire: list[Message] = []
        self._begin_outputs()
        self.config_version = 0
        self.most_at_once = setup.settings.jobs_at_once
        self.inputs: dict[str, int] = {}
        self.keyboard, self.sensors = Keyboard(), PlayedSensors()
        self.idle_events: set[float] = set()
        """The instants of visits that say the user is idle."""
        self._begin_well()
        self._begin_turning()
        self._uuids = 0

    def _begin_outputs(self) -> None:
        """Begin with no output published, and none removed."""
        self._ticks = self.configured = 0
        self.heard: dict[tuple[str, int], int] = {}
        """When a daemon first heard each message of a shell, in ticks."""
        self.ended: dict[int, int] = {}
        """When the end of each run was durable, in ticks."""
        self.removed: dict[str, int] = {}
        """When the user removed what was at each place and has not been published again."""
        self.changed_at: dict[str, float] = {}
        """When each output was published last."""
        self.clock_was_set = self.forgets = False

    def tick(self) -> int:
        """An instant later than all others; no two facts have the same."""
        self._ticks += 1
        return self._ticks

    def is_young(self, path: str) -> bool:
        """Return whether a run may have published there that the daemon has not seen end."""
        return self.now - self.changed_at.get(path, 0.0) < 2

    def _begin_well(self) -> None:
        """Nothing is wrong with the world."""
        self.full: set[str] = set()
        """Of `ledger`, `/state`, `/log`: what has no room. `locked`: by another program; `files`:
        the daemon can open no more."""
        self.fills_up = self.had_trouble = False
        self.no_processes = False
        self.daemon_was_killed = False
        self.archive: list[tuple[str, Node]] = []
        """Logs that are gone; who had one open may go on writing."""
        self.strangers: list[tuple[str, bytes]] = []
        self.in_doubt: Counter[bytes] = Counter()
        """Lines that were under way when their log was removed or cut to nothing."""
        self.torn = 0
        """Pieces of lines that may be left in a log."""

    def _begin_turning(self) -> None:
        """Nobody runs."""
        self.violation: Violation | None = None
        self.countdown = -1
        """System calls and callbacks until `interrupt`; never where negative."""
        self.interrupt: Callable[[str], None] = lambda call: None
        self.goes_on: Callable[[], bool] = lambda: True
        """Whether the daemon turns on before anybody else has a turn."""
        self.active: list[object] = []
        """Who is running, and who was interrupted for it."""

    # telling

    def note(self, who: str, what: str) -> None:
        if self.notes is not None:
            clock = datetime.fromtimestamp(self.now).strftime("%d. %H:%M:%S.%f")[:-3]
            self.notes.append(f"{len(self.notes):4} {clock} {'  ' * len(self.active)}{who} {what}")

    def found(self, violation: Violation) -> None:
        """The first one counts; whoever is running cannot swallow it."""
        if self.violation is None:
            self.violation = violation
            self.note("VIOLATED", str(violation))

    def check(self, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Violation as violation:
            self.found(violation)

    def _durable(self, facts: list[tuple[str, Any]]) -> None:
        for name, fact in facts:
            if name == "claimed":
                self._claimed(*fact)
            elif name == "dispatched":
                self.note("ledger", f"run {fact} is dispatched")
                self.check(self.witness.dispatched, fact, self.ledger.tables, self.boot)
            elif name == "forgotten":
                self.note("ledger", f"{fact} is forgotten")
                self.witness.forgotten(fact)
                self.forgets = True
            elif name == "ended":
                self.note("ledger", f"run {fact[0]} has ended: {fact[1].outcome} rc={fact[1].rc}")
                self.ended[fact[0]] = self.tick()
                self.look_at_outputs()
                left = [job.run for job in self.job_processes if job.run == fact[0]]
                self.check(self.witness.ended, *fact, bool(left))
            else:
                self.note("ledger", f"line {fact[0]} is due: {fact[2].decode()}")
                self.check(self.witness.line_due, *fact)

    def _claimed(self, run: Run, job: Job, disabled: bool) -> None:
        self.note("ledger", f"run {run.id} is claimed: {run.job}, {run.key}, batch {run.batch}")
        scope = None if run.key.startswith(("run:", "retry:")) else job.once_per
        if scope is not None and disabled:
            self.found(Violation(Invariant.DISABLED, f"run {run.id}, {run.job}"))
        if not job.output:
            self.witness.without.add(run.id)
        self.check(self.witness.tried_again, run, job)
        self.check(self.witness.claimed, run, scope, self.boot)
        by_itself = run.trigger == "idle" and run.batch and run.claimed_at not in self.idle_events
        if by_itself:
            self.check(self.witness.quiet, run, self.keyboard.quiet[run.claimed_at], QUIET_S)

    # every system call

    def _before(self, call: str, path: str) -> None:
        if self.calls.process.dead:
            raise Killed
        if self.full and call in CREATES and path.startswith(tuple(self.full)):
            self.had_trouble = True
            raise error(errno.ENOSPC, path)
        if "files" in self.full and call in OPENS and self.calls.process.name == "daemon":
            self.had_trouble = True
            raise error(errno.EMFILE, path)
        if call in ("rename", "unlink"):
            self.look_at_outputs()
        self.between(call)
        if call == "write" and self.calls.short_write >= 0 and path.startswith("/log"):
            self.torn += 1
            if self.fills_up:
                self.full.add("/log")

    def between(self, call: str = "") -> None:
        """An instant at which something else can happen."""
        self.countdown -= 1
        if self.countdown == 0:
            self.interrupt(call)
            if self.calls.process.dead:
                raise Killed

    def as_process(self, process: Process, actor: object, step: Callable[[], Any]) -> None:
        """Let `process` take a step; its death ends the step."""
        before, self.calls.process = self.calls.process, process
        self.active.append(actor)
        try:
            step()
        except Killed:
            pass
        finally:
            self.active.pop()
            self.calls.process = before
        if process.dead:
            self._bury(process)

    def _bury(self, process: Process) -> None:
        """Once nothing of it is running any more."""
        daemon = self.daemon
        if daemon is None or process is not daemon.process:
            return
        if any(actor is daemon for actor in self.active):
            return
        self.daemon = None
        before, self.calls.process = self.calls.process, process
        daemon.bury()
        running(None)
        self.calls.process = before

    # time

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.awake += seconds
        self.since_boot += seconds
        self._tell_the_time()

    def suspend(self, seconds: float) -> None:
        self.note("machine", f"sleeps {seconds:.0f} s")
        self.now += seconds
        self.since_boot += seconds
        self._tell_the_time(jumped=True)

    def set_clock(self, seconds: float) -> None:
        self.note("machine", f"sets its clock by {seconds:.0f} s")
        self.clock_was_set = True
        self.now += seconds
        self.pass_time(0.0013)  # no instant comes twice
        self._tell_the_time(jumped=True)

    def _tell_the_time(self, jumped: bool = False) -> None:
        if self.daemon is not None and not self.daemon.process.dead:
            self.daemon.loop.now = self.awake
            self.daemon.ring_if_due(jumped)

    def pass_to_next_instant(self) -> bool:
        """To when the daemon wants to be woken; False where it waits for nothing."""
        daemon = self.daemon
        if daemon is None:
            return False
        waits = [timer.at - self.awake for timer in daemon.loop.timers]
        if daemon.alarm_at is not None and not daemon.rung:
            waits.append(daemon.alarm_at - self.now)
        if not waits:
            return False
        self.pass_time(max(0.0, min(waits)) + 0.0005)
        self.note("clock", "goes on to the next instant")
        return True

    # what zdeferd's modules are given in the place of their own

    def loaded(self, *_: object) -> Loaded:
        return Loaded(self.settings, dict(self.jobs), ())

    def look_at(self, watch: tuple[str, ...], env: Mapping[str, str]) -> Inputs:
        versions = [(name, str(self.inputs.get(name, 0))) for name in watch]
        text = ",".join(map("=".join, versions))
        return Inputs(text, tuple((name, ((name, version),)) for name, version in versions))

    def first_missing(self, paths: Iterable[str]) -> str:
        return next((path for path in paths if self.disk.node(path) is None), "")

    def run_to_end(self, words: list[str]) -> str:
        """What `zsh -n` and `zcompile` do with the last word."""
        if "zcompile" in words:
            compiled = bytes(self.disk.need(words[-1]).data)
            fd = self.calls.open(f"{words[-1]}.zwc", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            self.calls.write(fd, COMPILED + compiled)
            self.calls.close(fd)
        return ""

    def look_at_outputs(self) -> None:
        """Read all that is published, as a shell would at this instant."""
        for path in self.witness.outputs:
            found = (self.disk.node(place) for place in (path, f"{path}.zwc"))
            data, compiled = (None if node is None else bytes(node.data) for node in found)
            before = self.witness.there.get(path)
            self.check(self.witness.output, path, data, compiled, path in self.removed)
            if data is not None:
                self.removed.pop(path, None)
            if self.witness.there.get(path) != before:
                self.changed_at[path] = self.now

    def today(self) -> date:
        """The daemon takes in the facts that it decides by."""
        self.keyboard.decide(self.clocks())
        return date.fromtimestamp(self.now)

    def clocks(self) -> Clocks:
        return Clocks(self.now, self.awake, self.since_boot)

    def new_uuid(self) -> Any:
        self._uuids += 1
        return type("Uuid", (), {"hex": f"{self._uuids:032x}"})()

    # looking

    def busy(self) -> dict[int, bool]:
        """Runs for which a runner is at work."""
        return {one.run: True for one in self.runners}

    def idle_waits(self) -> bool:
        """Whether an idle trigger would claim anything that the daemon can know of.

        What a job watches may have changed since: that is seen at the next visit.
        """
        assert self.daemon is not None
        event = Event(as_ledger(self.ledger), self.daemon.dispatcher._facts())
        return any(
            job.once_per is not Scope.CHANGE and event.due_now(job, shell)
            for shell, job in claims._idle_candidates(event)
        )
