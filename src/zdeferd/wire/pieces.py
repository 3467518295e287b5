"""Joins the pieces in which a shell sends a visit that is too large for one write.

A piece is a visit of its own that is answered like any other, so a shell never has more than one
on the way. The pieces of a visit have its number and come in order; the first one begins anew. A
shell that is refused for want of room, or whose earlier pieces are gone, makes its visit again.

Assumes that a piece has been decoded. Nothing here is durable, and nothing needs to be.
"""

from dataclasses import dataclass, field

from ..errors import WireError
from .frames import frames_of
from .messages import Hello, Piece, Visit, decode_visit

MOST_BYTES = 1 << 20
"""Of one visit."""
ALL_BYTES = 32 << 20
"""Of all visits that are being joined."""
PATIENCE_S = 10.0
"""The pieces of a shell that has sent none for so long make room."""


class Again(Exception):
    """The pieces that came before are not here, or there is no room for this one."""


@dataclass
class _Begun:
    seq: int
    at: float
    parts: list[bytes] = field(default_factory=list)


class Pieces:
    """The visits that have arrived in part, by the nonces of their shells."""

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}

    def whole(self, visit: Visit, now: float) -> Visit | None:
        """Return the visit, or the one that it completes as the last piece; None before.

        `now` is in seconds of any clock. Raises Again where the shell is to make its visit again,
        WireError where the pieces make no visit.
        """
        if visit.piece is None:
            return visit
        data = self._add(visit.hello, visit.piece, now)
        if data is None:
            return None
        joined = decode_visit(frames_of(data))
        if joined.piece is not None or joined.hello != visit.hello:
            raise WireError("pieces of a visit that make another")
        return joined

    def _add(self, hello: Hello, piece: Piece, now: float) -> bytes | None:
        """Return all the bytes after the last piece; None before."""
        if piece.number == 1:
            self._begun[hello.nonce] = _Begun(hello.seq, now)
        begun = self._begun.get(hello.nonce)
        if begun is None or begun.seq != hello.seq or len(begun.parts) != piece.number - 1:
            raise Again
        begun.parts.append(piece.bytes.encode("utf-8", "surrogateescape"))
        begun.at = now
        self._make_room(hello.nonce, now)
        if piece.number < piece.of:
            return None
        del self._begun[hello.nonce]
        return b"".join(begun.parts)

    def _make_room(self, nonce: str, now: float) -> None:
        """Forget shells that have gone silent; refuse this one where that is not enough."""
        if _bytes(self._begun[nonce]) > MOST_BYTES:
            del self._begun[nonce]
            raise WireError(f"a visit of more than {MOST_BYTES} bytes")
        for other, begun in list(self._begun.items()):
            if now - begun.at > PATIENCE_S:
                del self._begun[other]
        if sum(map(_bytes, self._begun.values())) > ALL_BYTES:
            del self._begun[nonce]
            raise Again


def _bytes(begun: _Begun) -> int:
    return sum(map(len, begun.parts))
