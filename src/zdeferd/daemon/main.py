"""Starts the daemon and ends it; reception.py serves shells and zdeferctl.

Takes the lock, sets limits, opens the ledger and the socket, in this order. A start that
is refused prints one line on stderr and exits with 1, or with 3 where another daemon of
this user runs. Runs in the foreground under a service manager, with `--detach` elsewhere.
"""

import asyncio
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import uvloop

from .. import __version__, crashpoints
from ..errors import AlreadyRunning, LedgerError, ZdeferdError
from ..jobs.files import Configuration
from ..judging import judge
from ..ledger.store import Ledger
from ..machine import paths
from ..machine.boot import boot_id, check_proc
from ..machine.lock import daemon_pid, take, write_pid, write_version
from ..machine.quiet import Probe
from ..machine.timers import Alarm, Clock
from ..processes import cgroup, resources
from ..programs import daemon_parser
from ..recording.committer import Committer
from ..runs.dispatcher import Dispatcher
from ..runs.executor import SPAWNER, Executor
from ..runs.followers import Followers
from ..senses.sensors import MachineSensors
from ..telemetry.journal import Journal
from ..wire.bells import Bells
from . import places
from .anchors import Anchors, Program
from .detach import detach
from .notices import Notices
from .notify import Notifier, inherited_socket
from .reception import Reception
from .requests import Requests

THREADS = 4
"""For calls that may block: the shared logs, and waiting for leftovers to end."""
EXIT_REFUSED = 1
EXIT_ALREADY_RUNNING = 3
Announce = Callable[[], None]
"""Called once the daemon is ready: the process that went to the background exits then."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = daemon_parser(__version__).parse_args(arguments)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a parent may have blocked what ends it
    resources.open_standard_streams()
    os.umask(0o077)  # for the ledger and the files that SQLite makes beside it
    resources.answer_soon()
    try:
        check_proc()
        where = places.locate()
        inherited = inherited_socket(os.environ)
        resources.close_descriptors(inherited)
        # Where the lock is held its holder is named; take() does that.
        if inherited is None and daemon_pid(where.lock) is None:
            places.check_alone(where.socket)
        lock = take(where.lock)
        crashpoints.reached("daemon.locked")
        announce = detach(where.daemon_log) if options.detach else None
        write_pid(lock)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            again = runner.run(_Daemon(where, lock, announce).run())
        if again:
            _execute_again()
    except AlreadyRunning as error:
        print(f"zdeferd: {error}", file=sys.stderr)
        return EXIT_ALREADY_RUNNING
    except ZdeferdError as error:
        print(f"zdeferd: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except Exception as error:  # noqa: BLE001 - no traceback reaches a user
        Journal(Clock()).fault(error)
        return EXIT_REFUSED
    return 0


def _execute_again() -> NoReturn:
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except OSError as error:
        raise ZdeferdError(
            f"cannot begin anew: {sys.executable}: {error.strerror}", "`zdeferctl start` starts it"
        ) from None


def _ready_threads() -> ThreadPoolExecutor:
    """Start the threads now: without a free process there would be no thread later."""
    threads = ThreadPoolExecutor(THREADS, "files")
    together = threading.Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            threads.submit(together.wait)
        together.wait()
    except RuntimeError:
        together.abort()
        raise ZdeferdError("cannot start: no process is left (ulimit -u)", "end some") from None
    return threads


class _Daemon:
    """Owns the parts of the daemon and connects them."""

    def __init__(self, where: paths.Paths, lock: int, announce: Announce | None) -> None:
        self._paths, self._announce = where, announce
        self._lock = (os.fstat(lock).st_dev, os.fstat(lock).st_ino)
        self._clock = Clock()
        self._journal = Journal(self._clock)
        self._configuration = Configuration(where)
        self._lost: str | None = None

    async def run(self) -> bool:
        """Serve until stopped, then close everything; runners go on.

        True: the program must be executed again, because its lock, ledger or socket is gone.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._callback_failed)
        loop.set_default_executor(_ready_threads())
        before = resources.set_limits()
        ledger = self._open_ledger()
        committer = Committer(ledger, loop)
        notifier = Notifier(os.environ, loop)
        program = Program(SPAWNER, self._begin_anew)
        self._executor = Executor(self._paths.runs, before, loop, cgroup.delegated(), program.check)
        self._notices = Notices(self._configuration, self._journal, loop, os.environ)
        self._bells = Bells(f"{self._paths.state}/bells")
        self._dispatcher = self._make_dispatcher(committer, loop)
        self._dispatcher.say_problems()
        self._listen_to_signals(loop)
        self._dispatcher.endings.tidy(self._paths.runs)
        alarm = Alarm(loop, self._dispatcher.wake, self._clock)
        self._listen(loop, ledger.identity)
        notifier.ready()
        loop.run_in_executor(None, self._bells.ring)  # of what ended while no daemon ran
        if self._announce is not None:
            self._announce()
        self._journal.say(f"{__version__} serves {self._paths.socket}")
        await self._dispatcher.serve(alarm.arm, notifier.busy)
        self._anchors.close()
        self._notices.close()
        if self._lost is None:
            notifier.stopping()
        await self._finish()
        alarm.close()
        if self._lost is not None:
            # The ledger stays open: closing it, SQLite would remove the files of the new ledger.
            resources.give_back(before)
            return True
        await committer.close()
        return False

    def _callback_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Write the error of a callback of the loop in one line, and for `zdeferctl doctor`."""
        self._journal.fault(context.get("exception") or RuntimeError(context["message"]))

    def _make_dispatcher(self, committer: Committer, loop: asyncio.AbstractEventLoop) -> Dispatcher:
        return Dispatcher(
            self._configuration,
            self._executor,
            committer,
            self._journal,
            loop=loop,
            boot=boot_id(),
            clock=self._clock,
            probe=Probe(),
            sensors=MachineSensors(loop),
            notify=self._notices.notify,
            followers=Followers(self._bells),
        )

    def _open_ledger(self) -> Ledger:
        ledger = Ledger(self._paths.ledger)
        try:
            with ledger.transaction():
                ledger.number_runs_after(judge.highest(self._paths.runs))
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger could not be written: {error}") from None
        return ledger

    def _listen(self, loop: asyncio.AbstractEventLoop, ledger: tuple[int, int]) -> None:
        where = self._paths
        inherited = inherited_socket(os.environ)
        if inherited is not None and not os.path.lexists(where.socket):
            inherited = None  # the path was removed, so no peer can connect to it
        self._dispatcher.may_leave = inherited is not None
        requests = Requests(
            self._dispatcher, self._configuration, self._journal, self._clock.wall(), where.ledger
        )
        self._anchors = Anchors(loop, self._begin_anew)
        self._reception = Reception(loop, self._dispatcher, requests, self._journal, self._is_gone)
        self._reception.listen(where.socket, inherited)
        self._anchors.hold(where.lock, self._lock)
        self._anchors.hold(where.ledger, ledger)
        self._anchors.hold(where.socket)
        places.point(where)
        write_version(where.lock, __version__)
        crashpoints.reached("daemon.listening")

    async def _finish(self) -> None:
        await self._dispatcher.finish()
        await self._reception.finish()
        if not self._dispatcher.may_leave:  # else the socket stays, and starts the next daemon
            places.withdraw(self._paths)
        self._reception.close()
        await self._executor.close()

    def _is_gone(self) -> bool:
        """Return whether lock, ledger or socket is gone; then begin anew."""
        if lost := self._anchors.lost():
            self._begin_anew(lost)
        return lost is not None

    def _begin_anew(self, lost: str) -> None:
        """Stop, to be executed again: claims in a removed ledger would be lost."""
        if not self._dispatcher.stopping.is_set():
            self._lost = lost
            self._journal.say(f"gone or replaced: {lost}; zdeferd begins anew")
            self._dispatcher.stop()

    def _leave(self) -> None:
        self._lost = None
        self._dispatcher.stop()

    def _listen_to_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        loop.add_signal_handler(signal.SIGHUP, self._dispatcher.reload)
