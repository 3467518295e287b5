"""ZMTP 3.0 as far as tests need it: a ROUTER's opening, messages to bytes, bytes to messages.

The protocol is rfc.zeromq.org/spec/23 with the NULL mechanism: a greeting of 64 bytes from
each side, the command READY, then frames. A message is one or more frames, all but the last
flagged *more*; commands may stand between any two frames.
"""

from collections.abc import Iterator

GREETING_BYTES = 64
_MORE, _LONG, _COMMAND = 1, 2, 4


def _command(name: bytes, data: bytes = b"") -> bytes:
    body = bytes([len(name)]) + name + data
    return bytes([_COMMAND, len(body)]) + body


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value


OPENING = (
    b"\xff" + bytes(7) + b"\x01\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    + _command(b"READY", _property(b"Socket-Type", b"ROUTER"))
)  # fmt: skip
"""What a ROUTER sends as soon as there is a connection: its greeting and READY."""
PING = _command(b"PING", bytes(2))
"""Asks for a PONG; the two bytes ask for no promise in return."""


def encode(frames: list[bytes]) -> bytes:
    """Return the bytes of one message."""
    out = bytearray()
    for left, frame in enumerate(frames, 1 - len(frames)):
        flags = _MORE if left else 0
        if len(frame) < 256:
            out += bytes([flags, len(frame)])
        else:
            out += bytes([flags | _LONG]) + len(frame).to_bytes(8, "big")
        out += frame
    return bytes(out)


def messages(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the whole messages of what a peer sent, its greeting included.

    Commands are skipped. Bytes that are no whole frame end it.
    """
    frames: list[bytes] = []
    for flags, body in _frames(stream[GREETING_BYTES:]):
        if flags & _COMMAND:
            continue
        frames.append(body)
        if not flags & _MORE:
            yield frames
            frames = []


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 2 <= len(data) and data[at] < 8:
        flags = data[at]
        start = at + (9 if flags & _LONG else 2)
        end = start + int.from_bytes(data[at + 1 : start], "big")
        if end > len(data):
            return
        yield flags, data[start:end]
        at = end
