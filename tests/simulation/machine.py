"""The played machine: its clock, its disk, its processes, and what can happen to them.

Owns every operation that a history is made of: each is a method that does one thing to
the world and can be called at any time (one that makes no sense then does nothing). Who
chooses them, by a seed or by hypothesis, is not its concern. It tells the witness the
facts and notes each in words, for who reads the history of a failure.
"""

import errno
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from random import Random
from typing import Any, NamedTuple

from memory_ledger import MemoryLedger, Tables

from zdeferd import claims, wire
from zdeferd.config import Loaded
from zdeferd.model import Ending, Job, Run, Scope, Settings, Work
from zdeferd.paths import Paths
from zdeferd.probe import Clocks

from . import away
from .calls import Calls, Killed, Process
from .daemon import Daemon
from .disk import FOLDER, Disk, Node, error
from .invariants import Violation, Witness
from .loop import Loop, running
from .shells import Message, Shell

START = datetime(2026, 3, 2, 21, 30).timestamp()
"""An evening, so that histories cross a midnight."""
QUIET_S = Settings().idle_after_s
CREATES = frozenset({"create", "write"})
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
)


class Setup(NamedTuple):
    """What a history begins with."""

    jobs: Mapping[str, Job]
    settings: Settings
    may_leave: bool


class WatchedLedger(MemoryLedger):
    """Tells what a commit made durable; what is rolled back was never so."""

    def __init__(self, tell: Callable[[list[tuple[str, Any]]], None]) -> None:
        super().__init__()
        self._facts: list[tuple[str, Any]] = []
        self._tell = tell
        self.full = self.locked = False

    def savepoint(self) -> Any:
        return _Part(self)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """On a full disk only what changes nothing can be committed; a locked one is no use."""
        if self.locked:
            raise sqlite3.OperationalError("database is locked")
        before = self.tables.copy() if self.full else self.tables
        with super().transaction():
            yield
            if self.full and self.tables != before:
                raise sqlite3.OperationalError("database or disk is full")

    def claim(self, run: Run, work: Work) -> Run | None:
        made = super().claim(run, work)
        if made is not None:
            self._facts.append(("claimed", (made, work.job)))
        return made

    def dispatch(self, run: int, boot: str, now: float) -> None:
        super().dispatch(run, boot, now)
        self._facts.append(("dispatched", run))

    def end_run(self, run: int, ending: Ending) -> None:
        super().end_run(run, ending)
        self._facts.append(("ended", (run, ending)))

    def add_line(self, path: str, text: bytes, run: int | None, now: float) -> None:
        super().add_line(path, text, run, now)
        self._facts.append(("line", (self.tables.last["lines"], path, text, run)))

    def durable(self) -> None:
        """A commit is done."""
        facts, self._facts = self._facts, []
        self._tell(facts)


class _Part:
    """A savepoint: the tables and the facts as they were, if it fails."""

    def __init__(self, ledger: WatchedLedger) -> None:
        self._ledger = ledger

    def __enter__(self) -> None:
        self._tables, self._count = self._ledger.tables.copy(), len(self._ledger._facts)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._ledger.tables = self._tables
            del self._ledger._facts[self._count :]


class Machine:
    """One machine, one user, one history."""

    def __init__(self, setup: Setup, notes: list[str] | None = None) -> None:
        self.paths, self.settings, self.jobs = PATHS, setup.settings, dict(setup.jobs)
        self.may_leave, self._notes = setup.may_leave, notes
        self.witness = Witness()
        self.ledger = WatchedLedger(self._durable)
        self.disk = Disk(["", "/state", "/state/runs", "/log"])
        self.calls = Calls(self.disk, self._before)
        self.now, self.awake, self.since_boot = START, 1000.0, 1000.0
        self.boot, self._boots, self._pids = "b1", 1, 100
        self.daemon: Daemon | None = None
        self.spawners: list[away.Spawner] = []
        self.runners: list[away.Runner] = []
        self.job_processes: list[away.Job] = []
        self.shells: list[Shell] = []
        self.wire: list[Message] = []
        self.config_version = 0
        self.most_at_once = setup.settings.jobs_at_once
        self.inputs: dict[str, int] = {}
        self.tty_atimes: list[float] = []
        self.key_at: float | None = None
        """By the clock that goes on in suspend; None: nobody ever touched a key."""
        self.key_offset = 0.0
        """What the wall clock was ahead of the other by then."""
        self.saw_jump = False
        """The daemon of now has noticed that the clock was set since then."""
        self.quiet: dict[float, float] = {}
        """For how long there was no key, whenever the daemon took in the facts."""
        self.idle_events: set[float] = set()
        self.full: set[str] = set()
        """Of `ledger`, `/state`, `/log`: what has no room; `locked`: by another program."""
        self.fills_up = False
        self.no_processes = False
        self.last_failure = float("-inf")
        self.daemon_was_killed = False
        self.violation: Violation | None = None
        self.countdown = -1
        """System calls and callbacks until `interrupt`; never where negative."""
        self.interrupt: Callable[[str], None] = lambda call: None
        self.goes_on: Callable[[], bool] = lambda: True
        """Whether the daemon turns on before anybody else has a turn."""
        self.active: list[object] = []
        """Who is running, and who was interrupted for it."""
        self.archive: list[tuple[str, Node]] = []
        """Logs that are gone; who had one open may go on writing."""
        self.strangers: list[tuple[str, bytes]] = []
        self.torn = 0
        self.unsynced: dict[int, int] = {}
        self._uuids = 0
        self._offset = START - 1000.0

    # telling

    def note(self, who: str, what: str) -> None:
        if self._notes is not None:
            clock = datetime.fromtimestamp(self.now).strftime("%d. %H:%M:%S.%f")[:-3]
            self._notes.append(f"{len(self._notes):4} {clock} {'  ' * len(self.active)}{who} {what}")

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
            elif name == "ended":
                self.note("ledger", f"run {fact[0]} has ended: {fact[1].outcome} rc={fact[1].rc}")
                self.check(self.witness.ended, *fact, self.boot)
            else:
                self.note("ledger", f"line {fact[0]} is due: {fact[2].decode()}")
                self.check(self.witness.line_due, *fact)

    def _claimed(self, run: Run, job: Job) -> None:
        self.note("ledger", f"run {run.id} is claimed: {run.job}, {run.key}, batch {run.batch}")
        scope = None if run.key.startswith("run:") else job.once_per
        self.check(self.witness.claimed, run, scope, self.boot)
        by_itself = run.trigger == "idle" and run.batch and run.claimed_at not in self.idle_events
        if by_itself:
            self.check(self.witness.quiet, run, self.quiet[run.claimed_at], QUIET_S)

    # every system call

    def _before(self, call: str, path: str) -> None:
        if self.calls.process.dead:
            raise Killed
        if self.full and call in CREATES and path.startswith(tuple(self.full)):
            raise error(errno.ENOSPC, path)
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

    # who can take a step now

    def steps(self) -> list[Callable[[], None]]:
        """One for each process or thread that has something to do."""
        out: list[Callable[[], None]] = []
        daemon = self.daemon
        if daemon is not None and not daemon.process.dead:
            if daemon.loop.due() and daemon not in self.active:
                out.append(self._turn)
            if daemon.committer.queued:
                out.append(self._commit)
            if daemon.committer.committed:
                out.append(daemon.committer.tell)
            if daemon.loop.pool:
                out.append(self._run_pooled)
        active = self.active
        out += [one.step for one in self.spawners if not one.waits() and one not in active]
        out += [one.step for one in self.runners if not one.waits() and one not in active]
        if self.calls.closing:
            out.append(self.calls.close_one)
        return out

    def _turn(self) -> None:
        daemon = self.daemon
        assert daemon is not None
        self.as_process(daemon.process, daemon, daemon.turn)

    def _commit(self) -> None:
        assert self.daemon is not None
        self.ledger.full, self.ledger.locked = "ledger" in self.full, "locked" in self.full
        self.daemon.committer.commit()
        self.ledger.durable()

    def _run_pooled(self) -> None:
        daemon = self.daemon
        assert daemon is not None
        # Its own actor: another thread runs beside the loop.
        self.as_process(daemon.process, daemon.loop.pool, lambda: daemon.loop.run_pooled(0))

    def daemon_loop(self) -> Loop:
        assert self.daemon is not None
        return self.daemon.loop

    # processes

    def _process(self, name: str) -> Process:
        self._pids += 1
        return Process(name, self._pids)

    def start_daemon(self) -> None:
        if self.daemon is not None:
            return
        self.note("daemon", f"starts, boot {self.boot}")
        self.pass_time(0.1)
        self.saw_jump, self._offset = False, self.now - self.since_boot
        self.daemon = Daemon(self, self._process("daemon"))
        self.as_process(self.daemon.process, self.daemon, self.daemon.start)

    def stop_daemon(self) -> None:
        """SIGTERM, or `zdeferctl stop`."""
        if self.daemon is not None:
            self.note("daemon", "is asked to leave")
            self.daemon.asked_to_leave = True
            self.daemon.dispatcher.stop()

    def kill_daemon(self) -> None:
        daemon = self.daemon
        if daemon is None or daemon.process.dead:
            return
        self.note("daemon", "is killed")
        self.daemon_was_killed = True
        self._daemon_is_gone(daemon)

    def daemon_left(self) -> None:
        daemon = self.daemon
        assert daemon is not None
        self.note("daemon", "has left")
        if daemon.committer.queued:  # as Committer.close does
            self._commit()
        if not daemon.asked_to_leave and (live := self.ledger.live_runs()):
            self.found(Violation("who leaves leaves no run", f"run {live[0].id}"))
        self._daemon_is_gone(daemon)

    def _daemon_is_gone(self, daemon: Daemon) -> None:
        self.calls.kill(daemon.process)
        for spawner in self.spawners:
            spawner.hung_up = True
        for message in self.wire:
            message.taken = False
        for shell in self.shells:
            shell.daemon_is_gone()
        self._bury(daemon.process)

    def make_spawner(self) -> away.Spawner:
        made = away.Spawner(self, self._process("spawner"))
        self.spawners.append(made)
        self.note("spawner", "starts")
        return made

    def fork_runner(self, request: dict[str, Any], alive: int) -> None:
        process = self._process("runner")
        self.calls.inherit(alive, process)
        made = away.Runner(self, request, process)
        self.runners.append(made)
        self.note("spawner", f"forks a runner for run {made.run}, attempt {made.attempt}")

    def kill_spawner(self, index: int) -> None:
        if self.spawners:
            self._kill_life(self.spawners[index % len(self.spawners)], "spawner")

    def kill_runner(self, index: int) -> None:
        if self.runners:
            self._kill_life(self.runners[index % len(self.runners)], "runner")

    def _kill_life(self, life: Any, name: str) -> None:
        of = f" of run {life.run}" if isinstance(life, away.Runner) else ""
        self.note(name, f"is killed{of}")
        self.exit(life.process, killed=True)
        if life not in self.active:
            before, self.calls.process = self.calls.process, life.process
            try:
                life.life.close()
            except BaseException:  # noqa: BLE001 - a dead process' clean-up can do nothing
                pass
            self.calls.process = before

    def exit(self, process: Process, killed: bool = False) -> None:
        """A process away from the daemon ends, by itself or not."""
        for runner in [one for one in self.runners if one.process is process]:
            self.runners.remove(runner)
            self.look_for_record(runner)
            at = (runner.run, runner.attempt)
            if killed and at not in self.witness.records:
                self.witness.died.add(at)
        self.calls.kill(process)
        for spawner in [one for one in self.spawners if one.process is process]:
            self.spawners.remove(spawner)
            spawner.told()

    def look_for_record(self, runner: away.Runner) -> None:
        """Whether its outcome stands in the run's folder."""
        at = (runner.run, runner.attempt)
        if runner.facts and at not in self.witness.records:
            if self.disk.node(f"{runner.request['folder']}/outcome.json"):
                self.witness.records[at] = runner.facts
                self.note("runner", f"recorded run {at[0]}: rc={runner.facts['rc']}")

    # jobs

    def launch(self, request: dict[str, Any], output: int, job_lock: int) -> int:
        """What `launching.launch` does."""
        if self.no_processes:
            raise error(errno.EAGAIN)
        runner = next(one for one in self.runners if one.process is self.calls.process)
        at = (runner.run, runner.attempt)
        job = away.Job(*at, self._process(f"job of run {at[0]}"))
        self.calls.inherit(job_lock, job.process)
        runner.job = job
        self.job_processes.append(job)
        self.note("runner", f"starts the job of run {at[0]}, attempt {at[1]}")
        self.check(self.witness.started, at, self.ledger.tables)
        supervised = [one.run for one in self.runners if one.job and one.job.rc is None]
        self.check(self.witness.lanes, supervised, self.most_at_once)
        return job.process.pid

    def end_job(self, job: away.Job, rc: int) -> None:
        if job.rc is None:
            job.rc = rc
            self.note("job", f"of run {job.run} ends, rc={rc}")
            self.job_processes.remove(job)
            self.calls.kill(job.process)

    def finish_job(self, index: int, rc: int) -> None:
        if self.job_processes:
            self.end_job(self.job_processes[index % len(self.job_processes)], rc)

    def time_out_job(self, index: int) -> None:
        at_work = [one for one in self.runners if one.job and one.job.rc is None]
        if at_work:
            at_work[index % len(at_work)].timed_out = True
            self.note("runner", f"runs out of time: run {at_work[index % len(at_work)].run}")

    def end_leftovers(self, folder: str) -> bool:
        """What `runfolder.end_leftovers` does."""
        run = int(folder.rpartition("/")[2])
        for job in [job for job in self.job_processes if job.run == run]:
            self.end_job(job, 137)
        return True

    def tell_to_end(self, pid: int) -> bool:
        """SIGTERM."""
        for runner in self.runners:
            if runner.process.pid == pid:
                runner.process.told_to_end = True
                self.note("runner", f"of run {runner.run} gets SIGTERM")
                return True
        return False

    # the whole machine

    def reboot(self, power_cut: bool, chance: Random) -> None:
        """Everything ends at once; a power cut also takes what was not yet on the disk."""
        if self.daemon in self.active:
            return
        self.note("machine", "loses its power" if power_cut else "reboots")
        for row in self.ledger.tables.runs.values():
            if row.run.state == "dispatched":
                self.witness.died.add((row.run.id, row.run.attempt))
        self.kill_daemon()
        for life in (*self.spawners, *self.runners):
            self._kill_life(life, "process")
        for job in list(self.job_processes):
            self.end_job(job, 137)
        while self.calls.closing:
            self.calls.close_one()
        if power_cut:
            self._lose_what_was_not_synced(chance)
        self._boots += 1
        self.boot = f"b{self._boots}"
        self.now += 30.0
        self.awake = self.since_boot = 10.0
        self.key_at, self.tty_atimes = None, []
        self.wire.clear()
        for shell in self.shells:
            shell.gone = True

    def _lose_what_was_not_synced(self, chance: Random) -> None:
        self.witness.power_cut = True
        for folder, names in self.disk.folders.items():
            for name, node in list(names.items()):
                if node.kind != FOLDER and folder.startswith("/state/runs/"):
                    fate = chance.random()
                    if fate < 0.3:
                        node.data.clear()
                    elif fate < 0.5:
                        self.disk.remove(f"{folder}/{name}")
                elif folder == "/log" and chance.random() < 0.5:
                    del node.data[chance.randint(0, len(node.data)) :]
                    self.torn += 1

    # shells

    def open_shell(self, env: Mapping[str, str]) -> None:
        self.shells.append(Shell(f"n{len(self.shells) + 1}", dict(env)))
        self.note("shell", f"{self.shells[-1].nonce} opens")

    def type_key(self) -> None:
        """The user is there."""
        self.note("user", "types")
        self.key_at, self.saw_jump = self.since_boot, False
        self.key_offset = self.now - self.since_boot
        self.tty_atimes = [self.now - self.now % 8.0]

    def send(self, shell: Shell) -> None:
        """The shell makes its visit, if it has one to make."""
        message = shell.visit()
        if message is not None:
            self.note("shell", f"{shell.nonce} visits: {message.says()}")
            self.wire.append(message)

    def deliver(self, index: int, keep: bool) -> None:
        """A message reaches the daemon; `keep`: and will do so again."""
        untaken = [message for message in self.wire if not message.taken]
        if self.daemon is None or self.daemon.process.dead or not untaken:
            return
        if self.daemon in self.active:
            return
        message = untaken[index % len(untaken)]
        self.pass_time(0.001)
        self.note("daemon", f"hears {message.shell.nonce}: {message.says()}")
        message.taken = True
        if not keep:
            self.wire.remove(message)
        if message.visit.idle:
            self.idle_events.add(self.now)
        daemon, visit = self.daemon, message.visit
        step = lambda: daemon.take(visit, lambda: self._answer(message))  # noqa: E731
        self.as_process(daemon.process, daemon, step)

    def _answer(self, message: Message) -> None:
        self.note("daemon", f"answers {message.shell.nonce}, seq {message.visit.hello.seq}")
        self.check(self._answered_is_kept, message.visit)
        message.shell.answered(message)

    def _answered_is_kept(self, visit: wire.Visit) -> None:
        """The answer says: it is durable."""
        known = self.ledger.shell(visit.hello.nonce)
        if known is None or known.seq < visit.hello.seq:
            raise Violation("an answered visit is kept", f"{visit.hello}")
        for job in visit.jobs if visit.postprompt else ():
            if job.once_per == "shell" and job.on == "postprompt" and job.id not in self.jobs:
                if not self.ledger.is_claimed(job.id, f"shell:{visit.hello.nonce}"):
                    raise Violation("an answered visit is kept", f"{visit.hello}: {job.id}")

    def lose(self, index: int) -> None:
        """A message never arrives."""
        if self.wire:
            message = self.wire.pop(index % len(self.wire))
            self.note("wire", f"loses a message of {message.shell.nonce}")

    def hang_up(self, index: int) -> None:
        """A command line is entered while the visit is under way."""
        if self.shells:
            shell = self.shells[index % len(self.shells)]
            shell.hang_up()
            self.note("shell", f"{shell.nonce} hangs up")

    # requests of zdeferctl

    def run_by_hand(self, job: str) -> None:
        if self.daemon is not None and self.daemon not in self.active:
            self.note("zdeferctl", f"run {job}")
            self.daemon.dispatcher.claim_by_hand(job, {"HOME": "/home"})

    def cancel(self, index: int) -> None:
        live = self.ledger.live_runs()
        if self.daemon is not None and self.daemon not in self.active and live:
            run = live[index % len(live)]
            self.note("zdeferctl", f"cancel {run.id}")
            self.witness.cancelled.add(run.id)
            self.daemon.dispatcher.cancel(run.id)

    def configure(self, jobs: Mapping[str, Job], jobs_at_once: int) -> None:
        """The job files change."""
        self.note("user", f"changes the job files: {', '.join(jobs) or 'none'}")
        self.jobs = dict(jobs)
        self.config_version += 1
        self.most_at_once = max(self.most_at_once, jobs_at_once)

    def change_input(self, name: str) -> None:
        """What a job watches differs now."""
        self.inputs[name] = self.inputs.get(name, 0) + 1
        self.note("user", f"changes {name}")

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
        self.now += seconds
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

    # logs

    def rotate(self) -> None:
        log = self.paths.shared_log
        node = self.disk.node(log)
        if node is None:
            return
        self.note("logrotate", "renames the log")
        self._forget_log(f"{log}.1")
        self.disk.rename(log, f"{log}.1")

    def copy_and_truncate(self) -> None:
        log = self.paths.shared_log
        node = self.disk.node(log)
        if node is None:
            return
        self.note("logrotate", "copies the log and cuts it to nothing")
        copy = Node(node.kind, 0)
        copy.data += node.data
        self.archive.append((log, copy))
        node.data.clear()

    def remove_log(self) -> None:
        self.note("user", "removes the log")
        self._forget_log(self.paths.shared_log)

    def _forget_log(self, path: str) -> None:
        node = self.disk.node(path)
        if node is not None:
            self.archive.append((self.paths.shared_log, node))
            self.disk.remove(path)

    def write_beside(self, text: bytes) -> None:
        """Another program appends to the log."""
        log = self.paths.shared_log
        if "/log" in self.full:
            return
        node = self.disk.node(log) or self.disk.create(log, 0o100000)
        whole = not node.data or node.data.endswith(b"\n")
        node.data += text + b"\n"
        if whole:
            self.strangers.append((log, text))
        else:
            self.torn += 1
        self.note("stranger", f"writes {text.decode()}")

    # what zdeferd's modules are given in the place of their own

    def loaded(self, *_: object) -> Loaded:
        return Loaded(self.settings, dict(self.jobs), ())

    def fingerprint(self, watch: tuple[str, ...], env: Mapping[str, str]) -> str:
        return ",".join(f"{name}={self.inputs.get(name, 0)}" for name in watch)

    def today(self) -> date:
        """The daemon takes in the facts that it decides by."""
        # A clock that went forward unnoticed makes the last key look old: nobody can tell.
        fooled = not self.saw_jump and self.now - self.since_boot > self.key_offset + 0.5
        quiet_s = float("inf")
        if self.key_at is not None and not fooled:
            quiet_s = self.since_boot - self.key_at
        self.quiet.setdefault(self.now, quiet_s)
        return date.fromtimestamp(self.now)

    def clocks(self) -> Clocks:
        """The daemon looks at all of them."""
        offset = self.now - self.since_boot
        self.saw_jump, self._offset = self.saw_jump or abs(offset - self._offset) > 1.0, offset
        return Clocks(self.now, self.awake, self.since_boot)

    def new_uuid(self) -> Any:
        self._uuids += 1
        return type("Uuid", (), {"hex": f"{self._uuids:032x}"})()

    # looking

    def tables(self) -> Tables:
        return self.ledger.tables

    def busy(self) -> dict[int, bool]:
        """Runs for which a runner is at work."""
        return {one.run: True for one in self.runners}

    def is_once_per(self, job: str) -> Scope:
        return self.jobs[job].once_per

    def idle_waits(self) -> bool:
        """Whether an idle trigger would claim anything."""
        assert self.daemon is not None
        return claims.idle_waits(self.ledger, self.daemon.dispatcher.facts())
