"""The daemon's end of the wire, in a test: a real libzmq ROUTER that answers as told."""

import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import zmq
from support.listening import listening
from support.terminal import LIMIT_S, Terminal

from zdeferd.wire import frames as wire_frames
from zdeferd.wire import messages
from zdeferd.wire.frames import address
from zdeferd.wire.pieces import Pieces

Frames = list[bytes]


class Peer:
    """A bound ROUTER. `take` waits for one visit's message and answers it."""

    def __init__(self, path: Path, heartbeat_ms: int = 0) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.setsockopt(zmq.LINGER, 0)
        self._router.setsockopt(zmq.BACKLOG, 4096)
        self._router.setsockopt(zmq.HEARTBEAT_IVL, heartbeat_ms)
        self._router.bind(address(str(path)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket and remove its file."""
        self._router.close()
        self._context.term()
        self.path.unlink(missing_ok=True)

    def receive(self, limit_s: float = LIMIT_S) -> tuple[bytes, messages.Visit]:
        """Who called and what it said, unanswered."""
        if not self._router.poll(int(limit_s * 1000)):
            raise AssertionError("no visit came")
        identity, *frames = self._router.recv_multipart()
        assert sum(map(len, frames)) <= 65536
        return identity, messages.decode_visit(frames)

    def answer(self, identity: bytes, frames: Frames) -> None:
        """Send an answer (or rubbish) to a caller."""
        self._router.send_multipart([identity, *frames])

    def take(
        self, limit_s: float = LIMIT_S, reply: Callable[[messages.Visit], Frames] | None = None
    ) -> messages.Visit:
        """One visit's message, answered with `ok` unless `reply` says otherwise."""
        identity, visit = self.receive(limit_s)
        frames = reply(visit) if reply else wire_frames.answer("ok", seq=visit.hello.seq)
        self.answer(identity, frames)
        return visit

    def take_whole(self) -> tuple[messages.Visit, int]:
        """The next visit, joined as the daemon joins it, and of how many pieces it was."""
        pieces = Pieces()
        for number in range(1, 100):
            if joined := pieces.whole(self.take(), 0.0):
                return joined, number
        raise AssertionError("a visit without an end")

    def silent(self, limit_s: float) -> bool:
        """Whether no message comes within the limit."""
        return not self._router.poll(int(limit_s * 1000))


class Stub:
    """A listening socket of no protocol at all; `accept` gives the plain connection."""

    def __init__(self, path: Path) -> None:
        self._listening = listening(path)

    def __enter__(self) -> Self:
        self._socket = self._listening.__enter__()
        self._socket.settimeout(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def accept(self) -> socket.socket:
        """The next connection, with a limit on what is done with it."""
        connection, _ = self._socket.accept()
        connection.settimeout(LIMIT_S)
        return connection

    def waiting(self, limit_s: float = 0.05) -> bool:
        """Whether a connection is there to be accepted, or comes within the limit."""
        return bool(select.select([self._socket], [], [], limit_s)[0])


def connections(path: Path) -> int:
    """How many connections the kernel counts on the listening socket at `path` (Linux)."""
    lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()
    return sum(line.endswith(f" {path}") for line in lines) - 1


SELECT = {"x86_64": "270", "aarch64": "72"}.get(os.uname().machine, "")
"""The number of pselect6(2) in /proc, in which zsh's `read -t` and `zselect` wait."""


def asleep(pid: int) -> bool:
    """Whether a process waits in the kernel: for a shell at its prompt, in no handler."""
    sleeps = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
    return sleeps and not pausing(pid)


def pausing(pid: int) -> bool:
    """Whether a shell is in the pause between its prompt and a visit."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == SELECT


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for a fact about another process that sends no event."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true: {what}")
        os.sched_yield()


def wait_for_visit(path: Path, shell: Terminal) -> None:
    """Until no shell is connected, and this one has had the last of its turns."""
    wait_until(lambda: connections(path) == 0, "the visit is over")
    wait_until(lambda: asleep(shell.pid), "its last turn too")
