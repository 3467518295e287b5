"""The protocol without a socket: any pieces give the same messages, nothing grows unasked."""

import sys
from functools import partial

import pytest
import zmq
from floods import zmtp
from floods.crowd import GREETING, READY
from floods.zmtp import MAX_MESSAGE_BYTES, Phase, Stream
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.errors import WireError
from zdeferd.wire.messages import MAX_FRAME_BYTES, MAX_FRAMES

MESSAGES = st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=6), max_size=6)
PING = b"\x04\x0a\x04PING\x00\x00abc"


def feed(stream: Stream, data: bytes) -> list[list[bytes]]:
    """The messages that `data` completes."""
    stream.feed(data)
    return list(iter(stream.take, None))


def open_stream() -> Stream:
    stream = Stream()
    assert feed(stream, GREETING + READY) == []
    assert stream.phase is Phase.OPEN
    return stream


def long(flags: int, size: int) -> bytes:
    return bytes([flags | 2]) + size.to_bytes(8, "big")


@given(MESSAGES, st.lists(st.integers(1, 400), max_size=60))
def test_any_pieces_give_the_same_messages(messages: list[list[bytes]], cuts: list[int]) -> None:
    data = GREETING + READY + b"".join(PING + zmtp.encode(message) for message in messages)
    stream, found, replies = Stream(), [], b""
    for size in [*cuts, len(data) + 1]:
        found += feed(stream, data[:size])
        replies += stream.take_replies()
        data = data[size:]
    assert found == messages
    assert replies == b"\x04\x08\x04PONGabc" * len(messages)
    assert (stream.held, stream.under_way) == (0, False)


@given(st.binary(max_size=600), st.sampled_from(["", "greeted", "open"]))
def test_noise_is_refused_or_taken_but_never_anything_else(data: bytes, before: str) -> None:
    stream = Stream()
    feed(stream, {"": b"", "greeted": GREETING, "open": GREETING + READY}[before])
    try:
        messages = feed(stream, data)
    except WireError:
        return
    assert sum(len(frame) for message in messages for frame in message) <= len(data)
    assert stream.held <= len(data) * (1 + zmtp.FRAME_OVERHEAD)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"GET / HTTP/1.1\r\n",
        GREETING[:9] + b"\x7e",
        GREETING[:10] + b"\x01",
        GREETING.replace(b"NULL", b"PLAI"),
        GREETING.replace(b"NULL", b"NULLX")[:64],
        GREETING + b"\x00\x01x",
        GREETING + b"\x04\x05\x04PING",
        GREETING + b"\x04\x00",
        GREETING + READY.replace(b"DEALER", b"ROUTER"),
        GREETING + b"\x04\x08\x05READY\x05a",
        GREETING + b"\x04\x0e\x05READY\x01a\xff\xff\xff\xffxy",
        GREETING + READY + b"\x08\x01",
        GREETING + READY + b"\x05\x05\x04PING",
        GREETING + READY + b"\x04\x07\x05ERROR\x00",
        GREETING + READY + long(0, MAX_FRAME_BYTES + 1),
        GREETING + READY + long(4, 1 << 63),
    ],
)
def test_what_is_not_the_protocol_ends_the_connection(data: bytes) -> None:
    with pytest.raises(WireError):
        feed(Stream(), data)
    stream, whole = Stream(), [bytes([byte]) for byte in data]
    with pytest.raises(WireError):
        list(map(partial(feed, stream), whole))


def test_a_length_is_judged_before_what_it_announces() -> None:
    stream = open_stream()
    feed(stream, long(1, MAX_FRAME_BYTES) + bytes(MAX_FRAME_BYTES))
    for _ in range(MAX_MESSAGE_BYTES // MAX_FRAME_BYTES - 1):
        feed(stream, long(1, MAX_FRAME_BYTES) + bytes(MAX_FRAME_BYTES))
    assert stream.held >= MAX_MESSAGE_BYTES
    with pytest.raises(WireError, match="too long"):
        feed(stream, b"\x00\x01")


def test_too_many_frames_are_counted_and_not_kept() -> None:
    stream = open_stream()
    for _ in range(100):
        assert feed(stream, b"\x01\x00" * 1000) == []
    limit = (MAX_FRAMES + 1) * (zmtp.FRAME_OVERHEAD + sys.getsizeof(b"")) + 10
    assert stream.held < limit
    (message,) = feed(stream, b"\x00\x00")
    assert len(message) == MAX_FRAMES + 1, "enough for the answer to say what is wrong"
    assert feed(stream, zmtp.encode([b"next"])) == [[b"next"]]


def test_other_commands_are_skipped_between_any_two_frames() -> None:
    stream = open_stream()
    data = b"\x01\x01a" + b"\x04\x05\x04PONG" + b"\x04\x00" + PING + b"\x00\x01b"
    assert feed(stream, data) == [[b"a", b"b"]]
    assert stream.take_replies().startswith(b"\x04\x08\x04PONG")


def test_libzmq_understands_what_we_say_and_we_what_it_says() -> None:
    """Both directions against the reference, through its raw STREAM socket."""
    context = zmq.Context()
    raw, dealer = context.socket(zmq.STREAM), context.socket(zmq.DEALER)
    try:
        for one in (raw, dealer):
            one.setsockopt(zmq.LINGER, 0)
            one.setsockopt(zmq.RCVTIMEO, 5000)
        port = raw.bind_to_random_port("tcp://127.0.0.1")
        dealer.connect(f"tcp://127.0.0.1:{port}")
        sent = [b"", b"x" * 255, b"y" * 256, b"z" * 70000]
        dealer.send_multipart(sent)
        stream, messages = Stream(), list[list[bytes]]()
        peer, _ = raw.recv_multipart()
        raw.send_multipart([peer, zmtp.OPENING])
        while not messages:
            _, piece = raw.recv_multipart()
            messages = feed(stream, piece)
        assert messages == [sent]
        raw.send_multipart([peer, zmtp.PING + zmtp.encode(sent)])
        assert dealer.recv_multipart() == sent
    finally:
        raw.close()
        dealer.close()
        context.term()
