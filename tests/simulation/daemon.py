"""One daemon's life: the real dispatcher, inbox, idle watch, scribe and executor, put together.

Owns what `daemon/main.py` composes, with the played machine underneath, and its death: a
daemon that is killed leaves the ledger, the disk and the processes, and nothing else.
"""

import asyncio
import errno
from datetime import date
from typing import TYPE_CHECKING, Any

from support.ledger import as_ledger

from zdeferd.errors import LedgerError, ZdeferdError
from zdeferd.jobs.files import Configuration
from zdeferd.machine.quiet import Clocks, Probe
from zdeferd.machine.timers import Clock
from zdeferd.runs.dispatcher import Dispatcher
from zdeferd.runs.executor import Executor
from zdeferd.runs.followers import Caller
from zdeferd.telemetry.journal import Journal
from zdeferd.wire import messages

from .calls import Killed, Process
from .disk import error
from .loop import Loop, TurnedCommitter, running
from .promises import Invariant, Violation

if TYPE_CHECKING:
    from .away import Spawner
    from .machine import Machine


class TurnedClock(Clock):
    """The played machine's time."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def wall(self) -> float:
        return self._machine.now

    def monotonic(self) -> float:
        return self._machine.awake

    def today(self) -> date:
        return self._machine.today()


class TurnedConfiguration(Configuration):
    """The played machine's settings and job files."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        super().__init__(machine.paths)

    def _look(self) -> object:
        return self._machine.config_version


class TurnedJournal(Journal):
    """Says it to the history; a fault that nobody foresaw is a finding."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(TurnedClock(machine))
        self._machine = machine

    def say(self, text: str) -> None:
        self._machine.note("daemon", f"says: {text}")

    def fault(self, error: BaseException) -> None:
        if isinstance(error, (ZdeferdError, Killed)):
            super().fault(error)
        else:
            self._machine.found(Violation(Invariant.FORESEEN, repr(error)))


class Channel:
    """The daemon's end of the socket to a spawner: a StreamReader and a StreamWriter."""

    def __init__(self, spawner: "Spawner", loop: Loop) -> None:
        self._spawner, self._loop, self._closed = spawner, loop, False
        self._waiting: asyncio.Future[None] | None = None
        spawner.told = self._told

    def write(self, data: bytes) -> None:
        if not self._spawner.process.dead:
            self._spawner.requests.append(data)

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = self._spawner.hung_up = True

    async def readline(self) -> bytes:
        while not self._spawner.answers:
            if self._spawner.process.dead:
                return b""
            self._waiting = self._loop.create_future()
            await self._waiting
        return self._spawner.answers.pop(0)

    def _told(self) -> None:
        """There is an answer, or the spawner is gone."""
        if self._waiting is not None and not self._waiting.done():
            self._loop.call_soon(_finish, self._waiting)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class TurnedExecutor(Executor):
    """The real one, but for how it comes by a spawner and how it ends processes."""

    def __init__(self, machine: "Machine", loop: Loop) -> None:
        super().__init__(machine.paths.runs, {"nofile": (1024, 4096)}, loop.own)
        self.machine = machine

    def make_folder(self, run: int) -> None:
        machine = self.machine
        found = machine.ledger.tables.runs[run].run
        machine.check(machine.witness.may_start, found, machine.sensors.values, machine.now)
        super().make_folder(run)

    def end_leftovers(self, run: int, grace_s: float) -> asyncio.Future[bool]:
        return self._loop.run_in_executor(None, self.machine.end_leftovers, self.folder(run))

    async def _spawner(self) -> Any:
        if self._writer is not None and not self._writer.is_closing():
            return self._writer
        if self.machine.no_processes:
            raise error(errno.EAGAIN)
        spawner = self.machine.make_spawner()
        await asyncio.sleep(0)
        channel: Any = Channel(spawner, self.machine.daemon_loop())
        self._writer = channel
        self._reading = asyncio.ensure_future(self._answers(channel, channel))
        return channel


class Daemon:
    """From its start to its end."""

    def __init__(self, machine: "Machine", process: Process) -> None:
        self.machine, self.process = machine, process
        self.loop = Loop(machine.calls, process, machine.between)
        self.loop.now = machine.awake
        self.committer = TurnedCommitter(as_ledger(machine.ledger), self.loop, process)
        self.alarm_at: float | None = None
        self.rung = False
        self.asked_to_leave = self.serves = False

    def start(self) -> None:
        """The composition root's work."""
        machine = self.machine
        running(self.loop)
        self.executor = TurnedExecutor(machine, self.loop)
        self.dispatcher = Dispatcher(
            TurnedConfiguration(machine),
            self.executor,
            self.committer,
            TurnedJournal(machine),
            loop=self.loop.own,
            boot=machine.boot,
            clock=TurnedClock(machine),
            probe=Probe(self._look, lambda: list(machine.keyboard.atimes)),
            sensors=machine.sensors,
        )
        self.dispatcher.may_leave = machine.may_leave
        self._main = self.loop.create_task(self._serve())

    def _look(self) -> Clocks:
        return self.machine.keyboard.look(self.machine.clocks())

    async def _serve(self) -> None:
        await self.dispatcher.serve(self._arm, lambda busy: None)
        await self.dispatcher.finish()
        await self.executor.close()

    def _arm(self, at: float | None) -> None:
        self.serves = True
        # As timers.Alarm: one that has rung may be set for the same instant again.
        if at != self.alarm_at or self.rung:
            self.alarm_at, self.rung = at, False

    def ring_if_due(self, jumped: bool = False) -> None:
        """The timer: its instant has come, or the clock was set while it was armed."""
        if self.alarm_at is None or self.rung:
            return
        if jumped or self.alarm_at <= self.machine.now:
            self.rung = True
            self.dispatcher.wake()

    # what the machine turns

    def turn(self) -> None:
        """A few iterations of the loop."""
        self.loop.turn()
        while self.loop.ready and self.machine.goes_on() and not self.process.dead:
            self.loop.turn()
        if self._main.done() and not self.process.dead:
            self._look_at_end()

    def _look_at_end(self) -> None:
        failure = self._main.exception()
        if isinstance(failure, LedgerError) and not self.serves:
            self.machine.note("daemon", f"refuses to start: {failure}")
            failure = None
            self.asked_to_leave = True
        if failure is not None and not isinstance(failure, Killed):
            self.machine.found(Violation(Invariant.LIVES_ON, repr(failure)))
            raise failure
        self.machine.daemon_left()

    def take(self, visit: messages.Visit, caller: Caller) -> None:
        """A whole message has come."""
        self.dispatcher.visit(visit, caller)

    def bury(self) -> None:
        """What was in memory only."""
        self.loop.bury()
        self.machine.sensors.listening.clear()
        self.committer.queued.clear()
