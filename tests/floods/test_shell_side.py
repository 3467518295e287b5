"""The shell's side of a visit that goes wrong: nothing shown, nothing leaked, nothing spinning."""

import contextlib
import os
import socket as sockets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from floods import zmtp
from floods.crowd import Signs, until
from shell.peer import Stub, asleep
from support.terminal import LIMIT_S, Terminal

SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"
JOB = "build() { : }; zf::defer::register build build postprompt Build"
ANSWER = zmtp.encode([b"ok", b"seq=1"])
WHOLE = zmtp.OPENING + ANSWER
END = b"\0\3end"
"""The last frame of a visit."""


@pytest.fixture
def stub(home: Path) -> Iterator[Stub]:
    with Stub(home / "run/zdeferd/sock") as bound:
        yield bound


@pytest.fixture
def shell(home: Path, stub: Stub) -> Iterator[Terminal]:
    with Terminal(home, f"source {SHIM}\n{JOB}") as opened:
        opened.prompt()
        yield opened


def open_files(shell: Terminal) -> list[str]:
    """What its descriptors lead to."""
    found = []
    for name in os.listdir(f"/proc/{shell.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{shell.pid}/fd/{name}"))
    return sorted(found)


def sockets_of(shell: Terminal) -> list[str]:
    return [found for found in open_files(shell) if found.startswith("socket:")]


def unharmed(shell: Terminal) -> None:
    """It answers, shows what was asked for, has no connection and no handler, and rests."""
    assert shell.run("print $((6*7))") == "42"
    shell.run(":")
    until(lambda: not sockets_of(shell) and asleep(shell.pid), "it rests")
    assert shell.run("zle -FL") == ""
    assert Signs(shell.pid).wake_ups_at_rest(0.2) == 0
    for word in ("zdefer", "zsh:", "broken", "error", "bad", "not found"):
        assert word not in shell.screen


def hear(connection: sockets.socket, count: int) -> None:
    """Read that many bytes of what the shell says, or all of it, or until it hangs up."""
    heard = b""
    while len(heard) < count and not heard.endswith(END):
        piece = connection.recv(min(count - len(heard), 65536))
        if not piece:
            return
        heard += piece


STEPS = {
    "at once": (0, b""),
    "in its greeting": (64, zmtp.OPENING[:11]),
    "after its greeting": (64, zmtp.OPENING[:64]),
    "in READY": (64, zmtp.OPENING[:-3]),
    "after READY": (92, zmtp.OPENING),
    "in the middle of what it is told": (200, zmtp.OPENING),
    "after all was said": (1 << 20, zmtp.OPENING),
    "in its answer": (1 << 20, WHOLE[:-4]),
    "after its answer": (1 << 20, WHOLE),
}


@contextlib.contextmanager
def served(stub: Stub, serve: Callable[[sockets.socket], None]) -> Iterator[threading.Event]:
    """Each connection is served in turn while the block lasts; the event: one has been."""
    over, done = threading.Event(), threading.Event()

    def serve_all() -> None:
        while not over.is_set():
            if stub.waiting():
                with stub.accept() as connection, contextlib.suppress(OSError):
                    serve(connection)
                done.set()

    daemon = threading.Thread(target=serve_all)
    daemon.start()
    try:
        yield done
    finally:
        over.set()
        daemon.join()


def use_until_it_gives_up(shell: Terminal) -> None:
    """Commands, each once the visit of its prompt is over."""
    for _ in range(5):
        until(lambda: not sockets_of(shell), "the visit is over")
        shell.run(":")


@pytest.mark.parametrize("step", STEPS)
def test_a_daemon_that_dies(step: str, shell: Terminal, stub: Stub) -> None:
    """At each step of a visit, and at each of its repetitions."""
    count, said = STEPS[step]

    def die(connection: sockets.socket) -> None:
        connection.sendall(said[: len(zmtp.OPENING)])
        hear(connection, count)
        connection.sendall(said[len(zmtp.OPENING) :])

    with served(stub, die) as done:
        assert done.wait(LIMIT_S)
        use_until_it_gives_up(shell)
        unharmed(shell)
        assert shell.ask("${_zdeferd[given_up]-no}") == ("no" if said == WHOLE else "1")


def noise() -> Iterator[bytes]:
    while True:
        yield os.urandom(4096)


def pings() -> Iterator[bytes]:
    yield zmtp.OPENING
    while True:
        yield zmtp.PING * 400


def drip() -> Iterator[bytes]:
    yield zmtp.OPENING
    while True:
        yield zmtp.PING


def empty_frames() -> Iterator[bytes]:
    yield zmtp.OPENING
    while True:
        yield b"\x01\x00" * 2000


def one_frame() -> Iterator[bytes]:
    yield zmtp.OPENING + b"\x02" + (60_000).to_bytes(8, "big")
    while True:
        yield bytes(1024)


@pytest.mark.parametrize("speak", [noise, pings, drip, empty_frames, one_frame])
def test_a_daemon_that_answers_for_ever(
    speak: Callable[[], Iterator[bytes]], shell: Terminal, stub: Stub
) -> None:
    """The shell hangs up by itself, whether or not anybody types."""

    taken = []

    def answer_for_ever(connection: sockets.socket) -> None:
        taken.append(0)
        for piece in speak():
            connection.sendall(piece)
            taken[-1] += len(piece)

    with served(stub, answer_for_ever) as hung_up:
        assert hung_up.wait(LIMIT_S), "it listened for ever"
        assert taken[0] < 1 << 20, "with what the kernel keeps for it"
        use_until_it_gives_up(shell)
        unharmed(shell)
