"""The endpoint alone: its time limits, its bounds, and the socket that it adopts or removes."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import uvloop
import zmq
from floods import zmtp
from floods.crowd import GREETING, READY, Caller, until
from support.daemon import Peer as Dealer

from zdeferd.errors import UnsafePath
from zdeferd.wire import router
from zdeferd.wire.frames import MAX_FRAME_BYTES, MAX_FRAMES
from zdeferd.wire.router import MAX_MESSAGE_BYTES, Message

PATIENCE_S = 0.4
FRAMES = [b"hello", b"x" * 300, b""]
WHOLE = zmtp.encode(FRAMES)


class Echo:
    """An endpoint in a thread of its own that answers every message with its frames.

    A message that begins with `later` is held until `answer` is called; `fault` is an error.
    """

    def __init__(self, path: Path, inherited: int | None = None) -> None:
        self.path, self._inherited = path, inherited
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.endpoint = router.Endpoint(self._arrived, self.loop)
        self.later: list[Message] = []
        self.sizes: list[tuple[int, int]] = []
        """Bytes of each message, and how many of its frames arrived."""
        self.pids: list[int] = []
        self.faults: list[str] = []
        self.loop.set_exception_handler(lambda _, context: self.faults.append(str(context)))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self.endpoint.listen(str(self.path), self._inherited)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.endpoint.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _arrived(self, message: Message) -> None:
        self.sizes.append((message.size, len(message.frames)))
        self.pids.append(self.endpoint.pid_of(message))
        if message.frames[:1] == [b"fault"]:
            raise ValueError("a fault of the receiver")
        if message.frames[:1] == [b"later"]:
            self.later.append(message)
        else:
            self._answer(message)

    def _answer(self, message: Message) -> None:
        frames = message.frames[:8] or [b"none"]
        self.endpoint.release(message)
        self.endpoint.answer(message, frames)

    def answer(self) -> None:
        """Answer the oldest message that is held."""
        self.loop.call_soon_threadsafe(lambda: self._answer(self.later.pop(0)))


@pytest.fixture
def echo(home: Path) -> Iterator[Echo]:
    with Echo(home / "sock") as made:
        yield made


@pytest.fixture
def impatient(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Echo]:
    """An endpoint that waits for a moment, or the seconds of a parameter."""
    patience_s = getattr(request, "param", PATIENCE_S)
    monkeypatch.setattr(router, "PATIENCE_MS", int(patience_s * 1000))
    with Echo(home / "sock") as made:
        yield made


# --- time limits ------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [b"", GREETING[:11], GREETING, GREETING + READY[:9], GREETING + READY,
     GREETING + READY + WHOLE[:-1], GREETING + READY + b"\x01\x01a" * 3,
     GREETING + READY + WHOLE + WHOLE[:1]],
    ids=["nothing", "half a greeting", "greeting", "half of READY", "READY",
         "half a message", "never the last frame", "one message and a half"],
)  # fmt: skip
def test_a_silent_connection_is_ended(impatient: Echo, said: bytes) -> None:
    with Caller(impatient.path) as caller:
        caller.socket.sendall(said)
        assert caller.hung_up()


def test_the_handshake_has_its_time_however_many_bytes_come(impatient: Echo) -> None:
    with Caller(impatient.path) as slow:
        slow.socket.settimeout(PATIENCE_S / 20)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in GREETING + READY:
                slow.socket.send(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    if slow.socket.recv(1 << 16) == b"":
                        return
            raise AssertionError("the handshake had no limit")


@pytest.mark.parametrize("impatient", [1.5], indirect=True)  # a busy peer answers late
def test_a_peer_that_answers_pings_may_wait_for_long(impatient: Echo) -> None:
    with Dealer(impatient.path) as patient:
        patient.send([b"later", b"x"])
        for _ in range(2):
            with Caller(impatient.path) as silent:
                assert silent.greet().hung_up(), "more than one time limit has passed"
        impatient.answer()
        assert patient.receive() == [b"later", b"x"]


# --- bounds -----------------------------------------------------------------------


def test_a_frame_that_is_too_large_ends_the_connection(echo: Echo) -> None:
    with Caller(echo.path) as caller:
        assert caller.greet().ask([bytes(MAX_FRAME_BYTES - 1)])
    with Caller(echo.path) as caller:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            caller.greet().send([bytes(MAX_FRAME_BYTES + 1)])
        assert caller.hung_up()
    assert [size for size, _ in echo.sizes] == [MAX_FRAME_BYTES - 1]


def test_a_message_of_too_many_bytes_or_frames_arrives_cut(echo: Echo) -> None:
    with Dealer(echo.path) as peer:
        full = [bytes(MAX_MESSAGE_BYTES // 8)] * 8
        peer.ask(full)
        assert peer.ask([*full, b"x", b"y"]) == [b"none"]
        peer.ask([b""] * (3 * MAX_FRAMES))
    assert echo.sizes == [
        *((MAX_MESSAGE_BYTES, 8), (MAX_MESSAGE_BYTES + 2, 0)),
        (0, MAX_FRAMES + 1),
    ]


def test_a_quick_client_gets_every_answer(echo: Echo) -> None:
    """With high-water marks below 100, libzmq drops answers."""
    with Dealer(echo.path) as quick:
        for start in range(0, 5000, 500):
            for number in range(start, start + 500):
                quick.send([b"%d" % number])
            found = [quick.receive() for _ in range(500)]
            assert found == [[b"%d" % number] for number in range(start, start + 500)]


def test_above_the_held_bytes_nothing_is_received_until_some_are_released(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "HELD_BYTES", 10_000)
    with Dealer(echo.path) as hasty, Dealer(echo.path) as other:
        hasty.send([b"later", b"x" * 10_000])
        until(lambda: echo.later, "it came")
        other.send([b"y"])
        assert not other.socket.poll(200)
        echo.answer()
        assert other.receive() == [b"y"]
        assert hasty.receive() == [b"later", b"x" * 10_000]


def test_a_peer_that_left_holds_nothing_once_its_message_is_released(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "HELD_BYTES", 10_000)
    for _ in range(3):
        with Caller(echo.path) as leaving:
            leaving.greet().send([b"later", b"x" * 10_000])
            until(lambda: len(echo.later) == 1, "it came")
        echo.answer()
        until(lambda: not echo.later, "it was answered")
    with Dealer(echo.path) as shell:
        assert shell.ask(FRAMES) == FRAMES


def test_a_fault_of_the_receiver_ends_no_receiving(echo: Echo) -> None:
    """The messages behind it are in libzmq already, and nothing signals them again."""
    with Caller(echo.path) as caller:
        caller.greet().socket.sendall(zmtp.encode([b"fault"]) + WHOLE)
        assert caller.answer() == WHOLE
    assert len(echo.faults) == 1
    assert "a fault of the receiver" in echo.faults[0]


# --- peers of older protocols -----------------------------------------------------

ANONYMOUS_1_0 = b"\x01\x00"
"""The opening of ZMTP 1.0: a message with the name of the peer, which may be empty."""
SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
"""What libzmq sends before it knows the version of its peer."""
HELLO_1_0 = b"\x03\x01hi\x04\x00you"


def test_a_peer_of_an_older_protocol_is_answered(echo: Echo) -> None:
    with Caller(echo.path) as old, Dealer(echo.path) as shell:
        old.socket.sendall(ANONYMOUS_1_0 + HELLO_1_0 * 2)
        assert old._exactly(len(SIGNATURE) + 2 * len(HELLO_1_0)) == SIGNATURE + 2 * HELLO_1_0
        assert shell.ask(FRAMES) == FRAMES
    assert echo.pids[:2] == [0, 0]
    assert echo.faults == []


# --- the socket -------------------------------------------------------------------


def test_the_options_that_no_test_can_wait_for(home: Path) -> None:
    loop = uvloop.new_event_loop()
    endpoint = router.Endpoint(lambda _: None, loop)
    endpoint.listen(str(home / "sock"))
    found = endpoint._router.getsockopt
    patience = (zmq.HANDSHAKE_IVL, zmq.HEARTBEAT_IVL, zmq.HEARTBEAT_TIMEOUT)
    assert [found(option) for option in patience] == [5000] * 3
    assert (found(zmq.BACKLOG), found(zmq.SNDHWM), found(zmq.RCVHWM)) == (4096, 1000, 1000)
    endpoint.close()
    loop.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_process_at_the_other_end_is_known(echo: Echo) -> None:
    code = (
        "import sys, zmq; s = zmq.Context().socket(zmq.DEALER); s.connect('ipc://' + sys.argv[1])"
    )
    code += "; s.send(b'x'); s.recv()"
    with subprocess.Popen([sys.executable, "-c", code, str(echo.path)]) as other:
        assert other.wait(200) == 0
    with Dealer(echo.path) as dealer:
        dealer.ask([b"x"])
    assert echo.pids == [other.pid, os.getpid()]
    gone = Message(b"", [], 0, descriptor=-1)
    assert echo.endpoint.pid_of(gone) == 0


def test_it_makes_a_private_socket_and_removes_it(home: Path) -> None:
    with Echo(home / "sock") as echo:
        assert echo.path.stat().st_mode & 0o777 == 0o600
    assert not echo.path.exists()


def test_it_leaves_a_socket_that_is_not_its_own(home: Path) -> None:
    with Echo(home / "sock") as echo, socket.socket(socket.AF_UNIX) as other:
        echo.path.unlink()
        other.bind(str(echo.path))
    assert echo.path.is_socket()


def test_a_path_that_cannot_be_bound_is_refused(home: Path) -> None:
    loop = uvloop.new_event_loop()
    with pytest.raises(UnsafePath, match="cannot listen: "):
        router.Endpoint(lambda _: None, loop).listen(str(home / "missing/sock"))
    loop.close()


def test_an_adopted_descriptor_stays_open_and_its_path_in_place(home: Path) -> None:
    """The service manager listens on, and hands the descriptor to the next daemon."""
    path = home / "sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        for _ in range(2):
            with Caller(path) as early, Echo(path, listening.fileno()):
                assert early.greet().ask(FRAMES) == WHOLE
            assert path.is_socket()
