"""The ZeroMQ ROUTER: one endpoint for shells and zdeferctl.

Binds the socket, or adopts the one that systemd listens on. libzmq itself refuses
other users (SO_PEERCRED) and drops peers that never finish their greeting or fall
silent. Its descriptor is edge-triggered: after every wake-up and every send, read
until it would block. Assumes that the caller holds the daemon's lock (a second
bind would steal the path) and has raised RLIMIT_NOFILE (libzmq aborts the process
when descriptors run out).
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

import zmq

from .errors import UnsafePath

BACKLOG = 4096
HANDSHAKE_MS = 3000
HEARTBEAT_MS = 5000
MESSAGES_A_TURN = 256
"""Then other work of the loop gets its turn."""

Peer = bytes
OnMessage = Callable[[Peer, list[bytes]], None]


class Endpoint:
    """The daemon's socket. `listen` it once; every message arrives at `on_message`."""

    def __init__(self, on_message: OnMessage, loop: asyncio.AbstractEventLoop) -> None:
        self._on_message, self._loop = on_message, loop
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in {
            zmq.BACKLOG: BACKLOG,
            zmq.HANDSHAKE_IVL: HANDSHAKE_MS,
            zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
            zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_MS,
            zmq.MAXMSGSIZE: 1 << 18,
            zmq.RCVHWM: 1000,
            zmq.SNDHWM: 100,
            zmq.LINGER: 500,
            zmq.IPC_FILTER_UID: os.getuid(),
        }.items():
            self._socket.setsockopt(option, value)
        self._fd = int(self._socket.getsockopt(zmq.FD))
        self._soon: asyncio.Handle | None = None

    def listen(self, path: str, inherited_fd: int | None = None) -> None:
        """Bind `path` (mode 0600), or adopt a listening descriptor that is already there."""
        if inherited_fd is not None:
            self._socket.setsockopt(zmq.USE_FD, os.dup(inherited_fd))
        umask = os.umask(0o177)
        try:
            self._socket.bind(f"ipc://{path}")
        except zmq.ZMQError as error:
            raise UnsafePath(f"cannot listen: {path}: {error}") from None
        finally:
            os.umask(umask)
        self._loop.add_reader(self._fd, self._read)
        self._read()

    def send(self, peer: Peer, frames: list[bytes]) -> None:
        """Answer a peer; one that is gone, or that never reads, gets nothing."""
        with contextlib.suppress(zmq.Again, zmq.ZMQError):
            self._socket.send_multipart([peer, *frames], zmq.NOBLOCK, copy=True)
        self._read_soon()

    def close(self) -> None:
        """Send what is owed, for half a second at most; then every peer is let go.

        libzmq ends the sessions of a listener with it, so all answers must have been
        sent before. A visit that comes too late gets none, and the shell makes it again.
        """
        self._loop.remove_reader(self._fd)
        if self._soon is not None:
            self._soon.cancel()
        self._socket.close()
        self._context.term()

    def _read_soon(self) -> None:
        if self._soon is None:
            self._soon = self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        for _ in range(MESSAGES_A_TURN):
            try:
                peer, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._on_message(peer, frames)
        self._read_soon()
