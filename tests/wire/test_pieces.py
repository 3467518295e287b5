"""Joining the pieces of a visit: order, bounds, and what makes no message."""

import pytest

from zdeferd.errors import WireError
from zdeferd.wire import messages, pieces
from zdeferd.wire.frames import frames_of
from zdeferd.wire.messages import Hello, Piece, Visit
from zdeferd.wire.pieces import Again, Pieces


def part(number: int, of: int, data: bytes, nonce: str = "a", seq: int = 1) -> Visit:
    """A decoded piece."""
    frames = [b"hello", b"protocol=2", b"nonce=%s" % nonce.encode(), b"seq=%d" % seq]
    fields = [b"number=%d" % number, b"of=%d" % of, b"bytes=" + data]
    return messages.decode_visit([*frames, b"piece", *fields, b"end"])


def encoded(*frames: bytes) -> bytes:
    """Frames in ZMTP 3.0, the last one without more to follow."""
    out = b""
    for number, frame in enumerate(frames, 1):
        more = number < len(frames)
        if len(frame) < 256:
            out += bytes([more, len(frame)]) + frame
        else:
            out += bytes([2 | more]) + len(frame).to_bytes(8) + frame
    return out


def visit(text: bytes = b"") -> bytes:
    """A whole visit of shell `a`."""
    return encoded(
        *(b"hello", b"protocol=2", b"nonce=a", b"seq=1", b"context", b"fpath=" + text),
        *(b"postprompt", b"end"),
    )


def test_pieces_are_joined_in_order() -> None:
    data = visit(b"/\xff" * 5000)
    parts = [data[at : at + 3000] for at in range(0, len(data), 3000)]
    joining = Pieces()
    for number, bytes_ in enumerate(parts[:-1], 1):
        assert joining.whole(part(number, len(parts), bytes_), 0.0) is None
    whole = joining.whole(part(len(parts), len(parts), parts[-1]), 0.0)
    assert whole is not None
    assert whole.postprompt
    assert whole.context.fpath == "/\udcff" * 5000
    assert whole.hello == Hello(protocol=2, nonce="a", seq=1)


def test_a_visit_in_one_piece_is_the_visit() -> None:
    plain = messages.decode_visit(frames_of(visit()))
    assert Pieces().whole(plain, 0.0) is plain


def test_two_shells_at_once() -> None:
    joining, data = Pieces(), visit()
    assert joining.whole(part(1, 2, data[:9]), 0.0) is None
    assert joining.whole(part(1, 2, b"x", nonce="b"), 0.0) is None
    assert joining.whole(part(2, 2, data[9:]), 0.0) is not None


@pytest.mark.parametrize(("number", "seq"), [(2, 2), (3, 1), (0, 1), (-1, 1)])
def test_what_does_not_follow_is_made_again(number: int, seq: int) -> None:
    joining = Pieces()
    assert joining.whole(part(1, 4, b"x"), 0.0) is None
    with pytest.raises(Again):
        joining.whole(part(number, 4, b"y", seq=seq), 0.0)


def test_the_first_piece_begins_anew() -> None:
    joining, data = Pieces(), visit()
    assert joining.whole(part(1, 2, b"old"), 0.0) is None
    assert joining.whole(part(1, 2, data[:9]), 0.0) is None
    assert joining.whole(part(2, 2, data[9:]), 0.0) is not None
    with pytest.raises(Again):
        joining.whole(part(2, 2, data[9:]), 0.0)


def test_a_visit_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MOST_BYTES", 100)
    joining = Pieces()
    assert joining.whole(part(1, 9, b"x" * 60), 0.0) is None
    with pytest.raises(WireError, match="more than"):
        joining.whole(part(2, 9, b"x" * 60), 0.0)


def test_all_visits_have_a_limit_and_the_silent_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "ALL_BYTES", 100)
    joining = Pieces()
    assert joining.whole(part(1, 9, b"x" * 60, nonce="a"), 0.0) is None
    with pytest.raises(Again):
        joining.whole(part(1, 9, b"x" * 60, nonce="b"), 1.0)
    assert joining.whole(part(1, 9, b"x" * 60, nonce="b"), 11.0) is None
    with pytest.raises(Again):
        joining.whole(part(2, 9, b"x", nonce="a"), 11.0)


@pytest.mark.parametrize(
    "data",
    [b"", b"\1", b"\1\5ab", b"\0\1a\0\1b", b"\1\1a", b"\4\1a", b"\2\0\0\0\0\0\0\0\7a", b"\xff"],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(WireError, match="no message"):
        frames_of(data)


def test_pieces_make_the_visit_of_their_shell_and_no_other() -> None:
    for other in (part(1, 1, visit(), seq=2), part(1, 1, visit(), nonce="b")):
        with pytest.raises(WireError, match="another"):
            Pieces().whole(other, 0.0)
    inner = encoded(
        *(b"hello", b"protocol=2", b"nonce=a", b"seq=1"), b"piece", b"number=1", b"of=1", b"bytes="
    )
    with pytest.raises(WireError, match="another"):
        Pieces().whole(part(1, 1, inner), 0.0)


def test_frames_of_any_size() -> None:
    for size in (0, 1, 255, 256, 70_000, 300_000):
        assert frames_of(encoded(b"a", b"x" * size)) == [b"a", b"x" * size]


def test_a_piece_is_a_record() -> None:
    assert part(1, 2, b"x").piece == Piece(number=1, of=2, bytes="x")
