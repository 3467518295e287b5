"""A private home with a daemon, shells that visit it, and jobs that count their own starts.

Owns what was handed over (`orders`) and what the kills make of it (`doomed`, `struck`,
`cancelled`), so that audit.py can hold the ledger, the logs and the jobs' own files to it
exactly. A shell here does what the shim does: one message over a new connection, and the
same message again (same nonce, same seq) as long as it was not answered.

Nothing sleeps: `turn` waits for an answer or for the daemon's end, at most as long as it
is told, and starts a daemon where there is none.
"""

import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import zmq
from support.daemon import Daemon, visit

from zdeferd import crashpoints
from zdeferd.wire import control

SETTLE_S = 300.0
"""All that was asked for is done by then, whatever was killed."""
FILE_JOBS = '''
[once-boot]
run = "print -r -- $$ >> ~/starts/once-boot"
once_per = "boot"

[once-ever]
run = "print -r -- $$ >> ~/starts/once-ever"
once_per = "ever"

[again]
run = "print -r -- $$ >> ~/starts/again.$PERF_SAMPLE_CONTEXT; sleep 0.02"
idempotent = true
attempts = 3
after = ["once-boot"]

[makes]
run = """
print -r -- $$ >> ~/starts/makes.$PERF_SAMPLE_CONTEXT
repeat 2000 print made=$PERF_SAMPLE_CONTEXT
"""
output = "~/made/value.zsh"
compile = true
'''
ONCE = ("once-boot", "once-ever")
EACH_SHELL = ("again", "makes")


@dataclass(frozen=True)
class Order:
    """A job that a shell handed over, and what must become of it."""

    id: str
    rc: int
    prints: int
    """Bytes."""


class Shell:
    """One visit, until it is answered."""

    def __init__(self, frames: list[bytes], reply: list[bytes]) -> None:
        self.frames, self.reply = frames, reply
        self.socket: zmq.Socket[bytes] | None = None

    def call(self, context: zmq.Context[zmq.Socket[bytes]], path: Path) -> None:
        """Connect anew, and send it all."""
        self.hang_up()
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self.socket.connect(f"ipc://{path}")
        self.socket.send_multipart(self.frames)

    def answered(self) -> bool:
        """Whether the answer has come."""
        assert self.socket is not None
        try:
            frames = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return False
        assert frames[: len(self.reply)] == self.reply, frames
        return True

    def hang_up(self) -> None:
        """Close the connection."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Arena:
    """Composes all of it. `close` ends what is left, and removes the home."""

    def __init__(self, at_once: int = 4) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="zk.", dir="/tmp"))
        (self.home / "starts").mkdir()
        self.daemon = Daemon(self.home)
        self.daemon.write_jobs(FILE_JOBS)
        self.daemon.write_settings(f'jobs_at_once = {at_once}\nkill_grace = "2s"\n')
        self.arm()
        self.orders: dict[str, Order] = {}
        self.visitors: set[str] = set()
        """Nonces of shells that had a first prompt."""
        self.doomed: set[tuple[int, int]] = set()
        """(run, attempt) whose runner was killed with the job started and no record."""
        self.struck: set[tuple[int, int]] = set()
        """(run, attempt) whose job was killed while it ran."""
        self.cancelled: set[int] = set()
        """Runs that somebody asked to cancel."""
        self.foreign: list[tuple[Path, bytes]] = []
        self.lives = 0
        self.deaths = 0
        """Daemons that ended by a crash point."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._open: list[Shell] = []
        self._numbers = itertools.count(1)

    # crash points

    def tally(self, point: str) -> Path:
        """The file that counts passes through `point`."""
        return self.home / f"tally.{point}"

    def arm(self, *orders: tuple[str, int, int]) -> None:
        """(point, count, signal) for the daemons to come, and all that they start."""
        # Never empty: by this variable the processes of this arena are known.
        texts = [f"none:1:0:{self.home}/tally"]
        texts += [f"{name}:{count}:{number}:{self.tally(name)}" for name, count, number in orders]
        self.daemon.env[crashpoints.VARIABLE] = " ".join(texts)

    def passes(self, point: str) -> int:
        """How often it was reached."""
        with contextlib.suppress(FileNotFoundError):
            return self.tally(point).stat().st_size
        return 0

    # the daemon

    @property
    def pid(self) -> int:
        """The daemon's."""
        assert self.daemon.process is not None
        return self.daemon.process.pid

    def start(self) -> None:
        """A daemon, at once, without waiting until it answers."""
        self.daemon.launch()
        self.lives += 1
        for shell in self._open:  # what was not answered is said again
            shell.call(self._context, self.daemon.socket)

    def kill_daemon(self) -> None:
        """`kill -9`, and another one in its place."""
        self.daemon.kill()
        self.start()

    def _look_after(self) -> None:
        process = self.daemon.process
        if process is None or process.poll() is not None:
            if process is not None:
                assert process.returncode == -signal.SIGKILL, self.complaint("it ended by itself")
                self.deaths += 1
            self.start()

    def stop(self) -> None:
        """End it as a service manager does; again, where a crash point was in its way."""
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            self.until_it_answers()
            self.settle()
            code = self.daemon.stop()
        assert code == 0, self.complaint(f"it left with {code}")

    # shells

    def shell(self, *rcs: int, trigger: str = "postprompt", lasts_s: float = 0.01) -> list[str]:
        """A new shell with one job for each exit code; returns the jobs' ids."""
        nonce = f"s{next(self._numbers)}"
        orders = [Order(f"{nonce}-{number}", rc, 10 + number) for number, rc in enumerate(rcs)]
        self.orders |= {order.id: order for order in orders}
        if trigger == "postprompt":
            self.visitors.add(nonce)
        jobs = {order.id: _code(order, lasts_s) for order in orders}
        frames = visit(nonce, 1, jobs, self._environ(nonce), event=trigger.encode(), on=trigger)
        self._call(Shell(frames, [b"ok", b"seq=1"]))
        return list(jobs)

    def _call(self, shell: Shell) -> None:
        self._open.append(shell)
        if self.daemon.process is not None:
            shell.call(self._context, self.daemon.socket)

    def _environ(self, nonce: str) -> dict[str, str]:
        number = int(nonce[1:])
        environ = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PERF_SEGMENT_LOG": str(self.logs()[number % 2]),
            "PERF_SAMPLE_CONTEXT": nonce,
        }
        return environ | ({"ZSH_LOG_STRUCTURED": "1"} if number % 3 == 0 else {})

    def logs(self) -> tuple[Path, Path]:
        """The two shared logs, one for every other shell."""
        return self.home / "even.log", self.home / "odd.log"

    def write_as_a_shell(self) -> None:
        """A line of somebody else's, between the daemon's."""
        number = next(self._numbers)
        line = f"SEGMENT name=foreign ms={number} phase=core sample=shell".encode()
        path = self.logs()[number % 2]
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(log, line + b"\n")
        os.close(log)
        self.foreign.append((path, line))

    def rotate(self) -> None:
        """Rename a log away, as logrotate does."""
        number = next(self._numbers)
        path = self.logs()[number % 2]
        with contextlib.suppress(FileNotFoundError):
            path.rename(f"{path}.{number}")

    @property
    def unanswered(self) -> int:
        """Shells that still wait for their answer."""
        return len(self._open)

    def cancel(self, run: int) -> None:
        """Ask for the end of a run; the reply is not waited for."""
        self.cancelled.add(run)
        with contextlib.closing(self._context.socket(zmq.DEALER)) as socket:
            socket.setsockopt(zmq.LINGER, 1000)
            socket.connect(f"ipc://{self.daemon.socket}")
            socket.send_multipart(control.encode_request(control.CancelRun(run=run)))

    # waiting

    def turn(self, limit_s: float = 0.01) -> None:
        """Wait for answers or the daemon's end, and take them in; start a daemon if need be."""
        self._look_after()
        pidfd = os.pidfd_open(self.pid)
        poller = zmq.Poller()
        poller.register(pidfd, zmq.POLLIN)
        for shell in self._open:
            poller.register(shell.socket, zmq.POLLIN)
        poller.poll(round(limit_s * 1000))
        os.close(pidfd)
        for shell in [shell for shell in self._open if shell.answered()]:
            shell.hang_up()
            self._open.remove(shell)

    def until_it_answers(self) -> None:
        """Until a daemon is there and serves."""
        self._call(Shell(control.encode_request(control.Ping()), [b"reply"]))
        while self._open:
            self.turn()

    def until(self, point: str) -> None:
        """Until `point` was reached."""
        deadline = time.monotonic() + SETTLE_S
        while not self.passes(point):
            assert time.monotonic() < deadline, self.complaint(f"{point} was not reached")
            self.turn()

    def settle(self) -> None:
        """Until every shell is answered, every run has ended, every line is marked."""
        deadline = time.monotonic() + SETTLE_S
        while self._open or self.left() != 0:
            assert time.monotonic() < deadline, self.complaint("it does not come to rest")
            self.turn()

    def left(self) -> int:
        """Runs, batches and lines that are not done."""
        found = self.ask(
            "SELECT (SELECT count(*) FROM runs WHERE state != 'ended')"
            " + (SELECT count(*) FROM batches WHERE ended_at IS NULL)"
            " + (SELECT count(*) FROM lines)"
        )
        return found if found is not None else -1

    def ask(self, sql: str) -> int | None:
        """The one number of a query; None where there is no ledger yet."""
        with contextlib.suppress(sqlite3.OperationalError):
            return int(self.daemon.rows(sql)[0][0])
        return None

    def complaint(self, what: str) -> str:
        """`what`, with all that helps to see why."""
        rows: list[object] = []
        with contextlib.suppress(Exception):
            rows = self.daemon.rows(
                "SELECT id, job, state, attempt, cancelling FROM runs WHERE state != 'ended'"
            )
            rows += self.daemon.rows("SELECT * FROM lines")
        said = self.daemon.errors.read_text()[-2000:]
        return f"{what}: {len(self._open)} unanswered; {rows}\n{said}"

    def close(self) -> None:
        """End what was started here, and remove the home."""
        from kills import prey

        for shell in self._open:
            shell.hang_up()
        self._context.term()
        process = self.daemon.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        prey.end_all(self.home)
        shutil.rmtree(self.home)


def _code(order: Order, lasts_s: float) -> str:
    """zsh code: one line to a file of its own, some bytes of output, a child, an exit code."""
    return (
        f"print -r -- $$ >> ~/starts/{order.id}; print -rn -- {'x' * order.prints}; "
        f"sleep {lasts_s}; return {order.rc}"
    )
