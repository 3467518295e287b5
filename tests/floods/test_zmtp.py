"""The raw peer of the tests against libzmq, through its raw STREAM socket."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from floods import zmtp
from floods.crowd import GREETING, READY
from hypothesis import given
from hypothesis import strategies as st

FRAMES = [b"", b"x" * 255, b"y" * 256, b"z" * 70_000]
MESSAGES = st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=6), max_size=6)


@contextmanager
def joined() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """A STREAM socket, and a DEALER that is connected to it."""
    context = zmq.Context()
    raw, dealer = context.socket(zmq.STREAM), context.socket(zmq.DEALER)
    for one in (raw, dealer):
        one.setsockopt(zmq.LINGER, 0)
        one.setsockopt(zmq.RCVTIMEO, 5000)
    port = raw.bind_to_random_port("tcp://127.0.0.1")
    dealer.connect(f"tcp://127.0.0.1:{port}")
    try:
        yield raw, dealer
    finally:
        raw.close()
        dealer.close()
        context.term()


@given(MESSAGES)
def test_what_is_encoded_is_decoded(messages: list[list[bytes]]) -> None:
    data = b"".join(zmtp.PING + zmtp.encode(message) for message in messages)
    assert list(zmtp.messages(GREETING + READY + data)) == messages


@pytest.mark.parametrize("rest", [b"\x00", b"\x01\x01a", b"\x02" + bytes(5), b"\x08\x01x"])
def test_what_is_no_whole_message_is_left_out(rest: bytes) -> None:
    whole = GREETING + READY + zmtp.encode([b"a", b"b"])
    assert list(zmtp.messages(whole + rest)) == [[b"a", b"b"]]


def test_libzmq_understands_it_and_the_other_way_round() -> None:
    with joined() as (raw, dealer):
        dealer.send_multipart(FRAMES)
        peer, _ = raw.recv_multipart()
        raw.send_multipart([peer, zmtp.OPENING])
        said = b""
        while not (found := list(zmtp.messages(said))):
            said += raw.recv_multipart()[1]
        assert found == [FRAMES]
        raw.send_multipart([peer, zmtp.PING + zmtp.encode(FRAMES)])
        assert dealer.recv_multipart() == FRAMES
