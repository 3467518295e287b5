"""How long the endpoint waits for its peers, with its patience turned down to a moment."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import uvloop
from floods import zmtp
from floods.crowd import GREETING, READY, Caller, until
from support.daemon import LIMIT_S
from support.daemon import Peer as Dealer

from zdeferd.wire import router
from zdeferd.wire.router import Peer

PATIENCE_S = 0.4
MESSAGE = [b"hello", b"x" * 300, b""]


class Echo:
    """An endpoint, in a thread of its own, that answers every message with itself.

    Not at once those that begin with `later`: `answer` does that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.endpoint = router.Endpoint(self._arrived, self.loop)
        self.later: list[tuple[Peer, list[bytes]]] = []
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self.endpoint.listen(str(self.path))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self.endpoint.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _arrived(self, peer: Peer, frames: list[bytes]) -> None:
        if frames[0] == b"later":
            self.later.append((peer, frames))
        else:
            self.endpoint.send(peer, frames)

    def answer(self) -> None:
        """The oldest message that waits for it."""
        self.loop.call_soon_threadsafe(lambda: self.endpoint.send(*self.later.pop(0)))

    @contextlib.contextmanager
    def asleep(self) -> Iterator[None]:
        """Nothing is done in the block, as if the process had been stopped."""
        asleep, over = threading.Event(), threading.Event()
        self.loop.call_soon_threadsafe(asleep.set)
        self.loop.call_soon_threadsafe(over.wait)
        assert asleep.wait(LIMIT_S)
        try:
            yield
        finally:
            over.set()


@pytest.fixture
def echo(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Echo]:
    monkeypatch.setattr(router, "PATIENCE_MS", int(PATIENCE_S * 1000))
    with Echo(home / "sock") as made:
        yield made


WHOLE = zmtp.encode(MESSAGE)


@pytest.mark.parametrize(
    "said",
    [b"", GREETING[:11], GREETING, GREETING + READY[:9], GREETING + READY,
     GREETING + READY + WHOLE[:-1], GREETING + READY + b"\x01\x01a" * 3,
     GREETING + READY + WHOLE + WHOLE[:1]],
    ids=["nothing", "half a greeting", "greeting", "half of READY", "READY",
         "half a message", "never the last frame", "one message and a half"],
)  # fmt: skip
def test_who_says_no_more_is_let_go(echo: Echo, said: bytes) -> None:
    with Caller(echo.path) as caller:
        caller.socket.sendall(said)
        assert caller.hung_up()
    until(lambda: True, "no timer is left")


def test_a_byte_now_and_then_is_not_enough(echo: Echo) -> None:
    with Caller(echo.path) as slow:
        slow.greet().socket.settimeout(PATIENCE_S / 20)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in WHOLE:
                slow.socket.send(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    assert slow.socket.recv(1) == b"", "only its end"
                    return
        raise AssertionError("it took all of it")


def test_a_message_in_pieces_has_its_time_from_its_first_byte(echo: Echo) -> None:
    with Caller(echo.path) as slow:
        slow.greet()
        for _ in range(4):  # longer in all than one message may take
            slow.socket.settimeout(PATIENCE_S / 2)
            slow.socket.send(WHOLE[:50])
            with pytest.raises(TimeoutError):
                slow.socket.recv(1)
            slow.socket.send(WHOLE[50:])
            slow.socket.settimeout(LIMIT_S)
            assert slow.answer() == WHOLE


def test_who_answers_pings_may_wait_for_long(echo: Echo) -> None:
    with Dealer(echo.path) as patient:
        patient.send([b"later", b"x"])
        for _ in range(2):
            with Caller(echo.path) as silent:  # this takes more than one look at all of them
                assert silent.greet().hung_up()
        echo.answer()
        assert patient.receive() == [b"later", b"x"]


def test_who_slept_hears_first_and_judges_then(echo: Echo) -> None:
    with Caller(echo.path) as shell, Caller(echo.path) as silent:
        shell.greet()
        with echo.asleep():
            shell.send(MESSAGE)
            shell.socket.settimeout(PATIENCE_S * 3)
            with pytest.raises(TimeoutError):
                shell.answer()
        shell.socket.settimeout(LIMIT_S)
        assert shell.answer() == WHOLE
        assert silent.hung_up()


def test_one_peer_may_have_few_unanswered_messages(echo: Echo) -> None:
    with Caller(echo.path) as hasty, Caller(echo.path) as other:
        hasty.greet()
        for number in range(4 + 5):
            hasty.send([b"later", b"%d" % number])
            until(lambda: len(echo.later) > min(number, 4 - 1), "it came")  # noqa: B023
        assert other.greet().ask(MESSAGE) == WHOLE
        assert len(echo.later) == 4
        echo.answer()
        until(lambda: len(echo.later) == 4, "the next one is read")


def test_many_unanswered_bytes_stop_all_reading_until_they_are_answered(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "OWED_BYTES", 10_000)
    with Caller(echo.path) as hasty, Caller(echo.path) as next_one:
        hasty.greet().send([b"later", b"x" * 10_000])
        until(lambda: echo.later, "it came")
        next_one.greet().send([b"later", b"y"])
        until(lambda: len(echo.later) == 2, "one more of each is taken in")
        next_one.send([b"z"])
        next_one.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            next_one.answer()
        echo.answer()
        next_one.socket.settimeout(LIMIT_S)
        assert next_one.answer() == zmtp.encode([b"z"])
        assert hasty.answer()


def test_who_leaves_is_owed_nothing_in_the_end(echo: Echo) -> None:
    for _ in range(3):
        with Caller(echo.path) as leaving:
            leaving.greet().send([b"later"])
            until(lambda: len(echo.later) == 1, "it came")
        until(lambda: True, "it is gone")
        echo.answer()
        until(lambda: not echo.later, "it was answered")
    with Caller(echo.path) as shell:
        assert shell.greet().ask(MESSAGE) == WHOLE
