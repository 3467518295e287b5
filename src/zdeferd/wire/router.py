"""The endpoint: a ZeroMQ ROUTER that shells and zdeferctl talk to.

libzmq binds the socket, or adopts the one that systemd listens on, refuses other users,
speaks ZMTP and lets go of who is silent, in a thread of its own. Here its messages are
taken in on the loop, and bounded:

- a frame of more than MAX_FRAME_BYTES ends the connection, a message of more than
  MAX_MESSAGE_BYTES or MAX_FRAMES arrives cut, so that it is refused;
- of each peer 1,000 messages and answers wait in libzmq (its default; with fewer than it
  takes in between two looks at its commands, 100, it drops answers to who is quick), and
  none is taken in while OWED_BYTES are unanswered;
- PATIENCE_MS for the handshake and for silence: then comes a PING, and as long after
  that the end.

What is not bounded, because libzmq cannot: see ADR 21. Every message that arrives must be
followed by one `send` or `forget`. Assumes that the caller holds the daemon's lock, because
a second bind would steal the path.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable

import zmq

from ..errors import UnsafePath
from .messages import MAX_FRAME_BYTES, MAX_FRAMES

BACKLOG = 4096
PATIENCE_MS = 5000
LINGER_MS = 200
"""For answers that the kernel has no room for when we leave."""
MAX_MESSAGE_BYTES = 1 << 20
"""Of the frames of one message together."""
OWED_BYTES = 16 << 20
MESSAGE_OVERHEAD = 4096
"""Bytes that a message under way costs, be it empty."""
MESSAGES_A_TURN = 32
"""Then others on the loop get their turn."""

Peer = bytes
"""Its routing id. An answer to one that has left goes nowhere."""


class Endpoint:
    """The daemon's socket. `listen` it once; every message arrives at `on_message`.

    `say` is told, in a sentence, whom it had to turn away.
    """

    def __init__(
        self,
        on_message: Callable[[Peer, list[bytes]], None],
        loop: asyncio.AbstractEventLoop,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_message, self._loop, self._say = on_message, loop, say
        self._context = zmq.Context(io_threads=1)
        self._router = self._context.socket(zmq.ROUTER)
        for option, value in {
            zmq.IPC_FILTER_UID: os.getuid(),
            zmq.BACKLOG: BACKLOG,
            zmq.HANDSHAKE_IVL: PATIENCE_MS,
            zmq.HEARTBEAT_IVL: PATIENCE_MS,
            zmq.HEARTBEAT_TIMEOUT: PATIENCE_MS,
            zmq.MAXMSGSIZE: MAX_FRAME_BYTES,
            zmq.LINGER: LINGER_MS,
        }.items():
            self._router.setsockopt(option, value)
        self._refusals = self._router.get_monitor_socket(zmq.EVENT_ACCEPT_FAILED)
        self._owed: dict[Peer, deque[int]] = {}
        """Of each message that is not answered yet, oldest first: its bytes."""
        self._owed_bytes = 0
        self._soon: asyncio.Handle | None = None
        self._bound: tuple[str, os.stat_result] | None = None
        """The path, where it is ours to remove, and what is there."""

    def listen(self, path: str, inherited_fd: int | None = None) -> None:
        """Bind `path` (mode 0600), or adopt a listening descriptor that is already there."""
        if inherited_fd is not None:
            os.set_blocking(inherited_fd, False)
            self._router.setsockopt(zmq.USE_FD, os.dup(inherited_fd))  # it will be closed
        umask = os.umask(0o177)
        try:
            self._router.bind(f"ipc://{path}")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise UnsafePath(f"cannot listen: {path}: {error.strerror}") from None
        finally:
            os.umask(umask)
        if inherited_fd is None:
            self._bound = path, os.lstat(path)
        self._loop.add_reader(self._router, self._read)
        self._loop.add_reader(self._refusals, self._refused)
        self._read_soon()
        self._refused()

    def send(self, peer: Peer, frames: list[bytes]) -> None:
        """Answer a peer's oldest message; one that is gone, or never reads, gets nothing."""
        self._router.send_multipart([peer, *frames], zmq.NOBLOCK)
        self.forget(peer)

    def forget(self, peer: Peer) -> None:
        """A message of this peer gets no answer."""
        owed = self._owed[peer]
        self._owed_bytes -= owed.popleft()
        if not owed:
            del self._owed[peer]
        self._read_soon()  # sending may have swallowed what the descriptor was to tell

    def close(self) -> None:
        """Let every peer go, once its answers have been handed to the kernel.

        A visit that comes too late gets none, and the shell makes it again.
        """
        self._loop.remove_reader(self._router)
        self._loop.remove_reader(self._refusals)
        if self._soon is not None:
            self._soon.cancel()
        if self._bound is not None:
            path, made = self._bound
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(path), made):
                    os.unlink(path)
        self._context.destroy()

    def _refused(self) -> None:
        with contextlib.suppress(zmq.Again):
            while self._refusals.recv_multipart(zmq.NOBLOCK):
                self._say("refused a connection of another user")

    def _read_soon(self) -> None:
        if self._soon is None and not self._router.closed:
            self._soon = self._loop.call_soon(self._read)

    def _read(self) -> None:
        """Some of what has arrived. The descriptor tells only that there is something new."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        for _ in range(MESSAGES_A_TURN):
            if self._owed_bytes > OWED_BYTES:
                self._router.getsockopt(zmq.EVENTS)  # the descriptor has been heard
                return
            try:
                peer = self._router.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(peer)
        self._read_soon()

    def _take(self, peer: Peer) -> None:
        frames: list[bytes] = []
        size = MESSAGE_OVERHEAD
        while self._router.getsockopt(zmq.RCVMORE):
            frame = self._router.recv()
            size += len(frame)
            if len(frames) <= MAX_FRAMES:
                frames.append(frame if size <= MAX_MESSAGE_BYTES else b"")
        self._owed.setdefault(peer, deque()).append(size)
        self._owed_bytes += size
        self._on_message(peer, frames)
