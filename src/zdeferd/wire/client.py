"""Sends zdeferctl's requests to the daemon and waits for the replies, through a DEALER.

Connects only to a socket and a folder of this user, so that no other user's daemon gets an
environment. A monitor on the connection reports at once that no process listens, or that the
daemon has died during a long wait. A time limit covers a daemon that is stopped.
"""

import os
import stat
import time
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Protocol, Self

import zmq

from ..errors import NoDaemon, RequestRefused, UnsafePath, WireError
from ..machine.paths import check_private_dir, check_socket_path
from . import control
from .frames import address

ANSWER_S = 5.0
"""How long a reply may take that waits for no run, the start of the daemon included."""
TICK_S = 1.0

_GONE = zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_HEARTBEAT_MS = 5000


class Beside(Protocol):
    """Something else to attend to during the wait for a reply."""

    def fileno(self) -> int:
        """Return a descriptor that is readable once there is something to do."""

    def copy(self) -> None:
        """Do it. Called at the start, too."""


class Client:
    """One connection to the daemon; use it in a `with` block."""

    def __init__(self, socket_path: str) -> None:
        """Connect; NoDaemon or UnsafePath where there is no socket of ours."""
        check_socket(socket_path)
        self._path = socket_path
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_MS)
        self._monitor = self._socket.get_monitor_socket(_GONE)
        self._socket.connect(address(socket_path))

    def ask(
        self,
        request: control.Request,
        timeout_s: float | None = ANSWER_S,
        tick: Callable[[], None] | None = None,
        beside: Beside | None = None,
    ) -> control.Reply:
        """Send a request and return the reply; RequestRefused, or NoDaemon if none comes.

        `timeout_s` None: wait for as long as the daemon lives. `tick` is called at the
        start and in each second of the wait, and behind `beside.copy`.
        """
        self._socket.send_multipart(control.encode_request(request))
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._answered(deadline, tick, beside):
            raise NoDaemon(
                f"the daemon does not answer: {self._path} (waited {timeout_s:g} s)",
                "`zdeferctl doctor` says more",
            )
        return self._receive()

    def close(self) -> None:
        """Close the connection."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _answered(
        self,
        deadline: float | None,
        tick: Callable[[], None] | None,
        beside: Beside | None,
    ) -> bool:
        """Wait for the answer; False at the deadline, NoDaemon where the peer is gone."""
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        if beside is not None:
            poller.register(beside.fileno(), zmq.POLLIN)
        while True:
            if beside is not None:
                beside.copy()
            if tick is not None:
                tick()
            left_s = inf if deadline is None else max(0.0, deadline - time.monotonic())
            turn_s = min(left_s, inf if tick is None else TICK_S)
            ready = dict(poller.poll(None if turn_s == inf else round(turn_s * 1000)))
            if self._socket in ready:
                return True
            if self._monitor in ready:
                self._monitor.recv_multipart(zmq.NOBLOCK)  # zmq.utils.monitor loads asyncio
                raise NoDaemon(f"no daemon answers: {self._path}", "start one: zdeferctl start")
            if left_s == 0:
                return False

    def _receive(self) -> control.Reply:
        frames = self._socket.recv_multipart()
        if frames[:1] == [b"error"]:
            raise RequestRefused(frames[-1].decode("utf-8", "replace").removeprefix("reason="))
        try:
            reply = control.decode_reply(frames)
        except WireError as error:
            raise NoDaemon(
                f"the daemon's answer is not understood: {error}",
                "restart it so that both are of one version: zdeferctl stop && zdeferctl start",
            ) from None
        if isinstance(reply, str):
            raise RequestRefused(reply)
        return reply


def request(
    socket_path: str, message: control.Request, timeout_s: float | None = ANSWER_S
) -> control.Reply:
    """Send one request on a connection of its own and return the reply; errors as `Client.ask`."""
    with Client(socket_path) as client:
        return client.ask(message, timeout_s)


def check_socket(path: str) -> None:
    """Check a socket: NoDaemon if it is missing, UnsafePath if it or its folder is not ours."""
    check_socket_path(path)
    try:
        found = os.lstat(path)
    except OSError:
        raise NoDaemon(f"no daemon listens: {path}", "start one: zdeferctl start") from None
    check_private_dir(os.path.dirname(path))
    if not stat.S_ISSOCK(found.st_mode):
        raise UnsafePath(f"not a socket: {path}", "move it out of the way")
    if found.st_uid != os.getuid():
        raise UnsafePath(f"not owned by you: {path}: uid {found.st_uid}", "move it out of the way")
