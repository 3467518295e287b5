"""`zdeferd`: the composition root. Lock, limits, ledger, socket; serve; leave.

Runs in the foreground under a service manager; `--detach` elsewhere. Everything
that can refuse to start does so here, with one line on stderr and exit code 1, or
3 where another daemon of this user is already there.
"""

import argparse
import asyncio
import os
import re
import signal
import sqlite3
import sys
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop

from .. import __version__, crashpoints
from ..attempts import limits, priority
from ..errors import AlreadyRunning, LedgerError, RequestRefused, WireError, ZdeferdError
from ..jobs import files
from ..jobs.files import Configuration
from ..ledger.committer import Committer
from ..ledger.store import Ledger
from ..machine import mounts, paths
from ..machine.boot import boot_id
from ..machine.journal import Journal
from ..machine.lock import take, write_pid
from ..machine.quiet import Probe
from ..machine.timers import Alarm, Clock
from ..runs import judge
from ..runs.dispatcher import Dispatcher
from ..runs.executor import Executor
from ..wire import messages
from ..wire.router import Endpoint, Peer
from . import requests
from .anchors import Anchors
from .detach import detach
from .notify import Notifier, inherited_socket

NONCE = re.compile(r"[A-Za-z0-9.-]{1,64}")
THREADS = 4
"""For what may block on a disk: the shared logs, and waiting for leftovers to end."""
MOST_WAITING = 1024
"""Requests under way. Whose client has left is not known: the oldest makes room."""
REASON_LIMIT = 200
"""Characters of what is wrong with a message; the message may be what is quoted."""
EXIT_REFUSED = 1
EXIT_ALREADY_RUNNING = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # the ledger and what SQLite puts beside it are the user's alone
    priority.answer_soon()
    try:
        where = _locate()
        lock = take(where.lock)
        crashpoints.reached("daemon.locked")
        announce = detach(where.daemon_log) if options.detach else None
        write_pid(lock)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            again = runner.run(_Daemon(where, lock, announce).run())
        if again:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except AlreadyRunning as error:
        print(f"zdeferd: {error}", file=sys.stderr)
        return EXIT_ALREADY_RUNNING
    except ZdeferdError as error:
        print(f"zdeferd: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except Exception as error:  # noqa: BLE001 - whatever it is, no traceback reaches a user
        Journal(Clock()).fault(error)
        return EXIT_REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zdeferd",
        description="Runs the deferred work of your shells: once, measured, away from the prompt.",
        epilog="Settings: config.toml; jobs: jobs.d/*.toml; look inside: zdeferctl status.",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="go to the background once the socket answers, and log to zdeferd.log",
    )
    parser.add_argument("--version", action="version", version=f"zdeferd {__version__}")
    return parser


def _locate() -> paths.Paths:
    """The paths, with the setting `state_dir` taken into account and the folders made."""
    where = paths.locate(os.environ)
    settings = files.load(where).settings
    where = paths.locate(os.environ, settings.state_dir)
    paths.check_runtime_dir(os.environ)
    paths.check_socket_path(where.socket)
    mounts.check_local(where.state, paths.STATE_SETTING)
    mounts.check_local(where.socket, paths.SOCKET_SETTING)
    for folder in (where.state, where.runs, os.path.dirname(where.socket)):
        paths.ensure_private_dir(folder)
    return where


def _ready_threads() -> ThreadPoolExecutor:
    """Threads that exist already: when no process is left, there is no thread to be had either."""
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
    """What lives for the life of the process, joined together."""

    def __init__(self, where: paths.Paths, lock: int, announce: Any) -> None:
        self._paths, self._announce = where, announce
        self._lock = (os.fstat(lock).st_dev, os.fstat(lock).st_ino)
        self._clock = Clock()
        self._journal = Journal(self._clock)
        self._configuration = Configuration(where)
        self._answering: dict[asyncio.Future[None], None] = {}
        self._lost: str | None = None

    async def run(self) -> bool:
        """Serve until stopped, then let go of everything but the runners.

        True: it must be begun anew, because what it stood on is gone.
        """
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_ready_threads())
        before = limits.set_own()
        ledger = self._open_ledger()
        committer = Committer(ledger, loop)
        notifier = Notifier(os.environ, loop)
        self._executor = Executor(self._paths.runs, before, loop)
        self._dispatcher = Dispatcher(
            self._configuration,
            self._executor,
            committer,
            self._journal,
            loop,
            boot_id(),
            self._clock,
            Probe(),
        )
        self._dispatcher.say_problems()
        self._listen_to_signals(loop)
        alarm = Alarm(loop, self._dispatcher.wake, self._clock)
        self._listen(loop, ledger.identity)
        notifier.ready()
        if self._announce is not None:
            self._announce()
        self._journal.say(f"{__version__} serves {self._paths.socket}")
        await self._dispatcher.serve(alarm.arm, notifier.busy)
        self._anchors.close()
        if self._lost is None:
            notifier.stopping()
        await self._finish()
        alarm.close()
        if self._lost is not None:
            # Closed by itself, SQLite would remove the files of whoever is at that path now.
            limits.give_back(before)
            return True
        await committer.close()
        return False

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
            inherited = None  # somebody removed it: nobody will ever come that way
        self._dispatcher.may_leave = inherited is not None
        self._desk = requests.Desk(
            self._dispatcher,
            self._configuration,
            self._journal,
            inherited is not None,
            self._clock.wall(),
        )
        self._anchors = Anchors(loop, self._begin_anew)
        self._endpoint = Endpoint(self._message, loop, self._journal.once)
        self._endpoint.listen(where.socket, inherited)
        self._anchors.hold(where.lock, self._lock)
        self._anchors.hold(where.ledger, ledger)
        self._anchors.hold(where.socket)
        crashpoints.reached("daemon.listening")

    async def _finish(self) -> None:
        await self._dispatcher.finish()
        await asyncio.gather(*self._answering, return_exceptions=True)
        self._endpoint.close()
        await self._executor.close()

    def _begin_anew(self, lost: str) -> None:
        """All that is kept open leads nowhere: claims must not go where nobody finds them."""
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

    def _message(self, peer: Peer, frames: list[bytes]) -> None:
        """One message of a shell or of zdeferctl; a malformed one is answered, not obeyed."""
        if lost := self._anchors.lost():
            self._begin_anew(lost)  # unanswered, a shell makes its visit again
            return
        try:
            if frames[:1] == [b"request"]:
                self._in_background(self._request(peer, messages.decode_request(frames)))
            else:
                self._visit(peer, messages.decode_visit(frames))
        except WireError as error:
            reason = str(error)[:REASON_LIMIT]
            self._journal.once(f"dropped a message: {reason}")
            self._endpoint.send(peer, messages.answer("error", reason=reason))

    def _visit(self, peer: Peer, visit: messages.Visit) -> None:
        crashpoints.reached("daemon.visit-arrived")
        hello = visit.hello
        if hello.protocol not in messages.UNDERSTOOD:
            raise WireError(
                f"unknown protocol version: {hello.protocol}; "
                f"this zdeferd speaks {messages.PROTOCOL}"
            )
        if not NONCE.fullmatch(hello.nonce) or hello.seq < 1:
            raise WireError("hello: bad nonce or seq")
        answer = messages.answer("ok", seq=hello.seq)
        self._dispatcher.visit(
            visit,
            lambda: self._endpoint.send(peer, answer),
            lambda: self._endpoint.forget(peer),
        )

    async def _request(self, peer: Peer, request: messages.Request) -> None:
        try:
            reply = messages.encode_reply(await requests.answer(self._desk, request))
        except ZdeferdError as error:
            reply = [b"refused", str(error).encode(errors="replace")]
            if not isinstance(error, RequestRefused):
                self._journal.once(str(error))
        except asyncio.CancelledError:
            self._endpoint.send(peer, [b"refused", b"too many requests wait"])
            raise
        except Exception as error:  # noqa: BLE001 - one request is no reason to end
            self._journal.fault(error)
            reply = [b"refused", b"internal error; `zdeferctl doctor` says more"]
        self._endpoint.send(peer, reply)

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if len(self._answering) >= MOST_WAITING:
            oldest = next(iter(self._answering))
            del self._answering[oldest]
            oldest.cancel()
        answering = asyncio.ensure_future(coroutine)
        self._answering[answering] = None
        answering.add_done_callback(lambda done: self._answering.pop(done, None))
