"""Binds the socket of the daemon: a ROUTER of libzmq, for shells and zdeferctl.

libzmq accepts, refuses other users, speaks ZMTP and ends silent connections, in a thread
of its own. `Endpoint` receives messages on the loop, sends answers, and bounds what the
daemon holds. ADR 19 lists what libzmq cannot bound.

Assumes that the caller holds the daemon's lock, because a second bind takes over the path.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable

import zmq

from ..errors import UnsafePath
from .frames import MAX_FRAME_BYTES, MAX_FRAMES, address

BACKLOG = 4096
PATIENCE_MS = 5000
"""For the handshake; for silence until a PING is sent; for the answer to the PING."""
LINGER_MS = 200
"""For answers that the kernel has no room for when the daemon ends."""
MAX_MESSAGE_BYTES = 1 << 20
"""Of the frames of one message together."""
HELD_BYTES = 16 << 20
"""Of the messages that are not released yet. Above this nothing is received."""
MESSAGE_OVERHEAD = 4096
"""Bytes that a message under way costs, even an empty one."""
MESSAGES_A_TURN = 32
"""Received before other callbacks of the loop get their turn."""


class Message:
    """One message of a peer. One of too many bytes has no frames."""

    __slots__ = ("descriptor", "frames", "held_bytes", "peer", "size")

    def __init__(self, peer: bytes, frames: list[bytes], size: int, descriptor: int) -> None:
        self.peer, self.frames, self.size, self.descriptor = peer, frames, size, descriptor
        self.held_bytes = size + MESSAGE_OVERHEAD


def _descriptor_of(frame: zmq.Frame) -> int:
    """Return the descriptor of the connection that brought a frame; -1: not known.

    A peer of ZMTP 1.0 or 2.0 has no mechanism, and libzmq keeps a descriptor only after one.
    It reads noise as ZMTP 1.0.
    """
    try:
        return int(frame.get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


class Endpoint:
    """Listens on the daemon's socket and calls `on_message` with each message.

    The receiver calls `release` once it no longer needs the frames, and `answer` with each answer.
    `say` is called with a sentence for each connection that is refused.
    """

    def __init__(
        self,
        on_message: Callable[[Message], None],
        loop: asyncio.AbstractEventLoop,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_message, self._loop, self._say = on_message, loop, say
        self._context = zmq.Context(io_threads=1)
        self._router = self._context.socket(zmq.ROUTER)
        # The high-water marks stay at their default of 1,000 messages. libzmq looks at its
        # commands once in 100 receives, so with a mark below that it drops answers.
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
        self._held_bytes = 0
        self._soon: asyncio.Handle | None = None
        self._bound: tuple[str, os.stat_result] | None = None
        """The path, where `close` has to remove it, and the socket there."""

    def listen(self, path: str, inherited_fd: int | None = None) -> None:
        """Bind `path` (mode 0600), or adopt a descriptor that listens there already."""
        if inherited_fd is not None:
            os.set_blocking(inherited_fd, False)
            # libzmq closes the descriptor that it gets.
            self._router.setsockopt(zmq.USE_FD, os.dup(inherited_fd))
        umask = os.umask(0o177)
        try:
            self._router.bind(address(path))
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise UnsafePath(f"cannot listen: {path}: {error.strerror}") from None
        finally:
            os.umask(umask)
        if inherited_fd is None:
            self._bound = path, os.lstat(path)
        self._loop.add_reader(self._router, self._receive)
        self._loop.add_reader(self._refusals, self._report_refusals)
        self._receive_soon()
        self._report_refusals()

    def answer(self, message: Message, frames: list[bytes]) -> None:
        """Send `frames` to the peer; libzmq drops them where the peer is gone or never reads."""
        self._router.send_multipart([message.peer, *frames], zmq.NOBLOCK)
        self._receive_soon()  # sending can take the event that the descriptor was to signal

    def release(self, message: Message) -> None:
        """Stop counting the bytes of this message; its frames are not needed any more."""
        self._held_bytes -= message.held_bytes
        message.frames, message.held_bytes = [], 0
        self._receive_soon()

    @staticmethod
    def pid_of(message: Message) -> int:
        """Return the process that connected, as far as it can be told while the message arrives.

        0: not known (it has left, it is in another container, or this is not Linux).
        """
        try:
            with socket.fromfd(message.descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as peer:
                credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            return int.from_bytes(credentials[:4], sys.byteorder)
        except (OSError, AttributeError):
            return 0

    def close(self) -> None:
        """End all connections, once answers have been handed to the kernel.

        A visit that comes later gets no answer, and the shell makes it again.
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

    def _report_refusals(self) -> None:
        with contextlib.suppress(zmq.Again):
            while self._refusals.recv_multipart(zmq.NOBLOCK):
                self._say("refused a connection of another user")

    def _receive_soon(self) -> None:
        if self._soon is None and not self._router.closed:
            self._soon = self._loop.call_soon(self._receive)

    def _receive(self) -> None:
        """Receive until EAGAIN: the descriptor signals new events, not waiting messages."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        for _ in range(MESSAGES_A_TURN):
            if self._held_bytes > HELD_BYTES:
                self._router.getsockopt(zmq.EVENTS)  # clears the descriptor
                return
            try:
                peer = self._router.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._on_message(self._rest_of_message(peer))
            except Exception:
                self._receive_soon()  # more can wait, and the descriptor does not signal it again
                raise
        self._receive_soon()

    def _rest_of_message(self, peer: bytes) -> Message:
        frames: list[bytes] = []
        size, descriptor = 0, -1
        while self._router.getsockopt(zmq.RCVMORE):
            if descriptor < 0:
                first = self._router.recv(copy=False)
                frame, descriptor = first.bytes, _descriptor_of(first)
            else:
                frame = self._router.recv()
            size += len(frame)
            if size > MAX_MESSAGE_BYTES:
                frames.clear()
            elif len(frames) <= MAX_FRAMES:  # one more than allowed, so that it is refused
                frames.append(frame)
        message = Message(peer, frames, size, descriptor)
        self._held_bytes += message.held_bytes
        return message
