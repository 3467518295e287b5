"""One connection to the daemon: its socket, what it is sending, what it is owed.

The Endpoint (transport.py) owns all peers and decides about them; this reads and writes one
socket without ever waiting, and keeps the instants by which a peer is judged late.
"""

import asyncio
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable

from . import zmtp

UNSENT_BYTES = 1 << 18
"""Behind what the kernel takes. A peer that leaves more unread is let go."""
_QUIETLY = getattr(socket, "MSG_NOSIGNAL", 0)
"""No SIGPIPE, whatever the program that we are part of makes of it."""
_PEERCRED = (1, 17, 12)
"""Linux: SOL_SOCKET, SO_PEERCRED, a struct ucred of three integers: pid, uid, gid."""
_LOCAL_PEERCRED = (0, 1, 76)
"""macOS: SOL_LOCAL, LOCAL_PEERCRED, a struct xucred: version, uid, groups."""


def uid_of(connection: socket.socket) -> int:
    """The user at the other end of a unix socket, as the kernel has it; -1: it is gone."""
    linux = os.uname().sysname == "Linux"
    level, option, size = _PEERCRED if linux else _LOCAL_PEERCRED
    try:
        found = connection.getsockopt(level, option, size)
    except OSError:
        return -1
    return int(struct.unpack("3i" if linux else "19i", found)[1])


class Peer:
    """Compared by identity. Nothing here ever blocks.

    `turn` is called with it whenever there may be something to take in, as long as it
    `listens`; it returns whether there was. What a turn leaves gets another one, behind all
    that is ready by then.
    """

    PIECE_BYTES = 1 << 16

    def __init__(
        self,
        connection: socket.socket,
        loop: asyncio.AbstractEventLoop,
        turn: Callable[["Peer"], bool],
    ) -> None:
        connection.setblocking(False)
        self._connection, self._loop, self._turn = connection, loop, turn
        self._stream = zmtp.Stream()
        self.owed: deque[int] = deque()
        """Of each message that is not answered yet, oldest first: its bytes."""
        self.requests: set[asyncio.Future[None]] = set()
        """What is under way for it alone."""
        self.ranked_at = 0.0
        """When it came, or sent its last whole message."""
        self.counted = 0
        """How much of `held` the endpoint has counted."""
        self.listens = False
        self._turning = self._registered = False
        self._soon: asyncio.Handle | None = None
        self._unsent = bytearray()
        self._heard = self._began = loop.time()
        """The last byte, and the first one of what is under way."""
        self._reminded = False

    @property
    def held(self) -> int:
        """Bytes that it sent and that no message was made of yet."""
        return self._stream.held

    # reading

    def listen(self, flag: bool) -> None:
        """Have turns, or leave what comes in the kernel's buffer."""
        if flag == self.listens:
            return
        self.listens = flag
        self._heard = self._began = self._loop.time()
        if not self._turning:
            self._arrange()

    def have_turn(self) -> bool:
        """Now; whether there was something to take in."""
        self._soon = None
        self._turning = True
        try:
            return self._turn(self)
        finally:
            self._turning = False
            self._arrange()

    def _arrange(self) -> None:
        """The next turn: at once where there is something left, else when something comes."""
        at_once = self.listens and self._stream.fed
        if self._registered != (self.listens and not at_once):
            self._registered = not self._registered
            if self._registered:
                self._loop.add_reader(self._connection, self.have_turn)
            else:
                self._loop.remove_reader(self._connection)
        if at_once and self._soon is None:
            self._soon = self._loop.call_soon(self.have_turn)
        elif not at_once and self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def take_in(self) -> bool:
        """A piece of what has arrived, unless there is some left to look at: True.

        BlockingIOError: there is nothing; OSError: it is gone.
        """
        if self._stream.fed:
            return True
        data = self._connection.recv(self.PIECE_BYTES)
        if not data:
            raise ConnectionResetError
        self._heard, self._reminded = self._loop.time(), False
        if not self._stream.under_way:
            self._began = self._heard
        self._stream.feed(data)
        return True

    def take(self) -> list[bytes] | None:
        """The next whole message that is here; WireError: hang up."""
        message = self._stream.take()
        if message is not None:
            self._began = self._heard
        return message

    # writing

    def write_replies(self) -> bool:
        """What it is owed for its commands, as `write` does."""
        return self.write(self._stream.take_replies())

    def write(self, data: bytes) -> bool:
        """Hand over what the kernel takes and keep the rest; False: the peer is of no more use."""
        if data and not self._unsent:
            try:
                data = data[self._connection.send(data, _QUIETLY) :]
            except BlockingIOError:
                pass
            except OSError:
                return False
        if data:
            if not self._unsent:
                self._loop.add_writer(self._connection, self._write_on)
            self._unsent += data
        return len(self._unsent) <= UNSENT_BYTES

    def _write_on(self) -> None:
        try:
            del self._unsent[: self._connection.send(self._unsent, _QUIETLY)]
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()  # a turn will find out the same
        if not self._unsent:
            self._loop.remove_writer(self._connection)

    # patience

    def late_at(self, patience_s: float) -> float:
        """When this peer is late; one that is left unread for our own reasons is never."""
        if not self.listens:
            return self._loop.time() + patience_s
        if self._stream.under_way:
            return self._began + patience_s
        return self._heard + patience_s * (2 if self._reminded else 1)

    def remind(self) -> bool:
        """It is late. False: it has been told, or there is nothing to tell it."""
        if self._stream.under_way or self._reminded:
            return False
        self._reminded = True
        return self.write(zmtp.PING)

    def has_left(self) -> bool:
        """Whether the other side has closed, as the kernel tells without anything being read."""
        poll = select.poll()
        poll.register(self._connection, 0)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Hang up."""
        self.listens = False
        self._arrange()
        if self._unsent:
            self._loop.remove_writer(self._connection)
            self._unsent.clear()
        self._connection.close()
