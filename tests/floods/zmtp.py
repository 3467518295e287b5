"""ZMTP 3 as a ROUTER speaks it to one peer: bytes in, whole messages out. No IO, no clock.

The protocol is rfc.zeromq.org/spec/23 and /37 with the NULL mechanism. Both sides send a
greeting of 64 bytes, then the command READY, then frames. A message is one or more frames,
all but the last flagged *more*; commands may stand between any two frames.

    phase      what may come             then
    GREETING   the peer's greeting       HANDSHAKE
    HANDSHAKE  READY, from a DEALER      OPEN
    OPEN       frames; PING, PONG …      OPEN

A length is judged when its header is here, before any of the frame is, so nothing that a
peer sends or announces makes a `Stream` hold more than MAX_MESSAGE_BYTES and MAX_FRAMES
small objects. Anything else is a WireError, after which the stream is not to be fed again.
"""

from enum import Enum
from typing import NamedTuple

from zdeferd.errors import WireError
from zdeferd.wire.messages import MAX_FRAME_BYTES, MAX_FRAMES

MAX_MESSAGE_BYTES = 1 << 20
"""Of the frames of one message together."""
GREETING_BYTES = 64
_SIGNATURE_BYTES = 10
FRAME_OVERHEAD = 64
"""Bytes that Python needs for a frame, be it empty."""
_MORE, _LONG, _COMMAND = 1, 2, 4
_MECHANISM = b"NULL".ljust(20, b"\0")


class Phase(Enum):
    """How far the two sides have come."""

    GREETING = "greeting"
    HANDSHAKE = "handshake"
    OPEN = "open"


class _Header(NamedTuple):
    flags: int
    start: int
    """Of the body, in the input."""
    size: int


def _command(name: bytes, data: bytes = b"") -> bytes:
    body = bytes([len(name)]) + name + data
    return bytes([_COMMAND, len(body)]) + body


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


OPENING = (
    b"\xff" + bytes(7) + b"\x01\x7f\x03\x00" + _MECHANISM + bytes(32)
    + _command(b"READY", _property(b"Socket-Type", b"ROUTER"))
)  # fmt: skip
"""What a ROUTER sends as soon as there is a connection: its greeting and READY."""
PING = _command(b"PING", bytes(2))
"""Asks for a PONG; the two bytes ask for no promise in return."""


def encode(frames: list[bytes]) -> bytes:
    """One message on the wire."""
    out = bytearray()
    for left, frame in enumerate(frames, 1 - len(frames)):
        flags = _MORE if left else 0
        if len(frame) < 256:
            out += bytes([flags, len(frame)])
        else:
            out += bytes([flags | _LONG]) + len(frame).to_bytes(8, "big")
        out += frame
    return bytes(out)


class Stream:
    """What one peer sends, taken apart: `feed` it bytes, `take` messages until there is none."""

    def __init__(self) -> None:
        self.phase = Phase.GREETING
        self._input = bytearray()
        self._needed = 1
        """So much must be in the input before there is anything to look at."""
        self._frames: list[bytes] = []
        self._size = 0
        self._replies = bytearray()

    def feed(self, data: bytes) -> None:
        """What has arrived; nothing is looked at yet."""
        self._input += data

    def take(self) -> list[bytes] | None:
        """The next whole message, None where it is not all here; WireError: hang up.

        A message of too many frames comes cut to one more than are allowed.
        """
        while self.fed:
            if self.phase is Phase.GREETING:
                self._greet()
            elif (header := self._header()) is not None:
                body = bytes(self._input[header.start : header.start + header.size])
                del self._input[: header.start + header.size]
                self._needed = 2
                if header.flags & _COMMAND:
                    self._obey(body)
                elif self._last(header.flags, body):
                    message, self._frames, self._size = self._frames, [], 0
                    return message
        return None

    def take_replies(self) -> bytes:
        """What the peer is owed for its commands."""
        replies, self._replies = bytes(self._replies), bytearray()
        return replies

    @property
    def fed(self) -> bool:
        """Whether there is something to look at."""
        return len(self._input) >= self._needed

    @property
    def held(self) -> int:
        """Bytes of what has begun and was not taken."""
        return len(self._input) + self._size + FRAME_OVERHEAD * len(self._frames)

    @property
    def under_way(self) -> bool:
        """Whether something has begun that is not whole: the handshake, or a message."""
        return self.phase is not Phase.OPEN or bool(self._input or self._frames)

    def _greet(self) -> None:
        """Each byte is judged as it comes; the version decides about the rest."""
        start = self._input[:GREETING_BYTES]
        if start[0] != 0xFF or (len(start) >= _SIGNATURE_BYTES and not start[9] & 1):
            raise WireError("not ZMTP")
        if len(start) > _SIGNATURE_BYTES and start[_SIGNATURE_BYTES] < 3:
            raise WireError(f"ZMTP {start[_SIGNATURE_BYTES]} is too old")
        self._needed = len(start) + 1
        if len(start) == GREETING_BYTES:
            if start[12:32] != _MECHANISM:
                raise WireError("another mechanism than NULL")
            del self._input[:GREETING_BYTES]
            self.phase, self._needed = Phase.HANDSHAKE, 2

    def _header(self) -> _Header | None:
        """Of the frame that the input begins with, once all of that frame is there."""
        flags, size, start = self._input[0], self._input[1], 2
        if flags & ~(_MORE | _LONG | _COMMAND) or flags & (_MORE | _COMMAND) == _MORE | _COMMAND:
            raise WireError("a frame of no known kind")
        if flags & _LONG:
            start = 9
            self._needed = start
            if len(self._input) < start:
                return None
            size = int.from_bytes(self._input[1:start], "big")
        if size > MAX_FRAME_BYTES or size + self._size > MAX_MESSAGE_BYTES:
            raise WireError("a message too long")
        self._needed = start + size
        return _Header(flags, start, size) if len(self._input) >= self._needed else None

    def _last(self, flags: int, body: bytes) -> bool:
        if self.phase is not Phase.OPEN:
            raise WireError("a message before READY")
        if len(self._frames) <= MAX_FRAMES:
            self._frames.append(body)
            self._size += len(body)
        return not flags & _MORE

    def _obey(self, body: bytes) -> None:
        name, data = body[1 : 1 + body[0]] if body else b"", body[1 + body[0] :] if body else b""
        if name == b"ERROR":
            raise WireError("the peer reports an error")
        if self.phase is Phase.HANDSHAKE:
            if name != b"READY" or _properties(data).get(b"socket-type") != b"DEALER":
                raise WireError("not READY as a DEALER")
            self.phase = Phase.OPEN
        elif name == b"PING":
            # Two bytes are the peer's patience; up to 16 of context come back with the PONG.
            self._replies += _command(b"PONG", data[2:18])


def _properties(data: bytes) -> dict[bytes, bytes]:
    """READY's metadata; names have no case."""
    found = {}
    while data:
        name, rest = data[1 : 1 + data[0]], data[1 + data[0] :]
        size = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + size:
            raise WireError("malformed READY")
        found[name.lower()] = rest[4 : 4 + size]
        data = rest[4 + size :]
    return found
