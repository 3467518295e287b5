"""No daemon, a stopped one, one that dies, one that talks nonsense: the shell stays quick."""

import contextlib
import os
import signal
import socket as sockets
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer, Stub, asleep, connections, wait_for_visit, wait_until
from support.listening import listening
from support.terminal import LIMIT_S, Terminal

JOB = "build() { : }; zf::defer::register build build postprompt Build"
VISITS = 4000
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"


def works(shell: Terminal) -> None:
    """The shell answers: one that a connection or a write holds up never does."""
    assert shell.run("print $((6*7))") == "42"
    wait_until(partial(asleep, shell.pid), "what follows the prompt has had its turns")


@pytest.fixture
def process(socket: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A bound ROUTER in a process of its own, which reads nothing."""
    socket.parent.mkdir(mode=0o700, parents=True)
    code = (
        "import sys, zmq; router = zmq.Context().socket(zmq.ROUTER)\n"
        "router.setsockopt(zmq.BACKLOG, 4096); router.bind('ipc://' + sys.argv[1])\n"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(socket)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        yield started
        started.kill()


def test_no_daemon(start: Start, home: Path) -> None:
    shell = start(JOB)
    shell.prompt()
    for _ in range(6):
        works(shell)
    assert shell.ask("$precmd_functions $preexec_functions $_zdeferd[tries]") == "4"


def test_a_socket_that_nobody_listens_on(start: Start, socket: Path) -> None:
    with listening(socket):
        pass
    shell = start(JOB)
    shell.prompt()
    for _ in range(6):
        works(shell)
    with_daemon = start(JOB)  # the next shell finds a daemon
    socket.unlink()
    with Peer(socket) as peer:
        with_daemon.prompt()
        with_daemon.run(":")
        assert len(peer.take().jobs) == 1


@pytest.mark.parametrize("kind", ["file", "link", "fifo", "folder of others"])
def test_what_is_not_our_socket_is_left_alone(kind: str, start: Start, socket: Path) -> None:
    socket.parent.mkdir(mode=0o700, parents=True)
    if kind == "file":
        socket.touch()
    elif kind == "link":
        socket.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(socket)
    elif os.getuid() == 0:
        os.chown(socket.parent, 12345, 12345)
    else:
        pytest.skip("only root can give a folder away")
    if kind == "folder of others":
        with Stub(socket) as stub:
            works_quietly(start)
            assert not stub.waiting()
    else:
        works_quietly(start)


def works_quietly(start: Start) -> None:
    """A shell starts, works, and its screen shows no more than that."""
    shell = start(JOB)
    shell.prompt()
    works(shell)
    assert "zdeferd" not in shell.screen
    assert "zsocket" not in shell.screen


def test_a_socket_path_that_is_too_long(start: Start, home: Path) -> None:
    shell = start(JOB, env={"ZDEFERD_SOCKET": f"{home}/{'x' * 120}"})
    shell.prompt()
    works(shell)


def test_a_stopped_daemon_and_4000_visits(
    start: Start, socket: Path, process: subprocess.Popen[bytes]
) -> None:
    if int(Path("/proc/sys/net/core/somaxconn").read_text()) < 4096:
        pytest.skip("this kernel allows no backlog of 4096")
    process.send_signal(signal.SIGSTOP)
    for _ in range(VISITS):
        with sockets.socket(sockets.AF_UNIX) as visit:
            visit.setblocking(False)
            visit.connect(str(socket))
            visit.sendall(GREETING + READY)
    shells = [start(JOB) for _ in range(3)]
    for shell in shells:
        shell.prompt()
        wait_until(partial(asleep, shell.pid), "it waits for keys")
        for _ in range(6):
            works(shell)
    shells[0].type("\x03")
    shells[0].prompt()
    works(shells[0])


def test_a_daemon_that_stops_after_its_greeting(start: Start, socket: Path) -> None:
    with Stub(socket) as stub:
        shell = start(
            'functions[big]="print ${(l:60000::x:)}"; zf::defer::register big big postprompt Big'
        )
        shell.prompt()
        for _ in range(4):
            with stub.accept() as connection:
                connection.sendall(GREETING + READY)  # and never reads what is sent
                works(shell)


def test_a_daemon_that_dies_in_a_visit(
    start: Start, socket: Path, process: subprocess.Popen[bytes]
) -> None:
    shell = start(JOB)
    shell.prompt()
    wait_until(lambda: connections(socket) > 0, "the visit has begun")
    process.kill()
    process.wait()
    works(shell)
    socket.unlink()
    with Peer(socket) as peer:
        shell.run(":")
        visit = peer.take()
        assert (visit.hello.seq, len(visit.jobs)) == (1, 1)


def test_a_daemon_that_dies_after_it_was_told(start: Start, socket: Path) -> None:
    with Peer(socket) as peer:
        shell = start(JOB)
        shell.prompt()
        _, told = peer.receive()
    works(shell)
    with Peer(socket) as peer:
        works(shell)
        assert peer.take() == told
        wait_for_visit(socket, shell)
        works(shell)
        assert peer.silent(0.05)


RUBBISH = {
    "noise": b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10,
    "zeros": bytes(200),
    "half a greeting": GREETING[:20],
    "old version": GREETING[:10] + b"\x01" + GREETING[11:],
    "other mechanism": GREETING.replace(b"NULL", b"PLAI") + READY,
    "no READY": GREETING + b"\x00\x02ok",
    "ERROR": GREETING + b"\x04\x07\x05ERROR\x00",
    "reserved flags": GREETING + READY + b"\xf0\x02ok",
    "endless frame": GREETING + READY + b"\x02" + b"\xff" * 8 + b"x" * 100,
    "flood": GREETING + READY + b"\x01\xff" + b"x" * 60000,
    "unknown answer": GREETING + READY + b"\x01\x05maybe\x00\x05seq=1",
    "wrong seq": GREETING + READY + b"\x01\x02ok\x00\x06seq=99",
    "empty frames": GREETING + READY + b"\x01\x00" * 50 + b"\x00\x00",
}


def read_to_the_end(connection: sockets.socket) -> None:
    """Read what the shell sends until it closes."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass


def hear_visit(connection: sockets.socket) -> None:
    """Read until the shell has said what it came for."""
    heard = b""
    while not heard.endswith(b"\0\3end"):
        piece = connection.recv(65536)
        assert piece, "the shell hangs up"
        heard += piece


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish(kind: str, start: Start, socket: Path) -> None:
    with Stub(socket) as stub:
        shell = start(JOB)
        shell.prompt()
        with stub.accept() as connection:
            said = RUBBISH[kind]
            if said.startswith(GREETING + READY):  # it is the answer
                connection.sendall(GREETING + READY)
                hear_visit(connection)
                said = said.removeprefix(GREETING + READY)
            with contextlib.suppress(BrokenPipeError):  # it may hang up at the first piece
                connection.sendall(said)
            if kind == "half a greeting":
                shell.run(":")
            read_to_the_end(connection)
        works(shell)
        assert stub.waiting(LIMIT_S)  # tried again
    assert "x" * 20 not in shell.screen


def test_an_answer_with_the_greeting(start: Start, socket: Path) -> None:
    """Whether it counts depends on what had been said by then; it ends the visit."""
    with Stub(socket) as stub:
        shell = start(JOB)
        shell.prompt()
        with stub.accept() as connection:
            connection.sendall(GREETING + READY + b"\x01\x02ok\x00\x05seq=1")
            read_to_the_end(connection)
        works(shell)


def test_pings_are_skipped_and_answers_may_come_in_pieces(start: Start, socket: Path) -> None:
    answer = GREETING + READY
    with Stub(socket) as stub:
        shell = start(JOB)
        shell.prompt()
        with stub.accept() as connection:
            for at in range(len(answer)):
                connection.sendall(answer[at : at + 1])
            hear_visit(connection)
            for byte in b"\x04\x07\x04PING\x00\x00\x01\x02ok\x02" + bytes(7) + b"\x05seq=1":
                connection.sendall(bytes([byte]))
            read_to_the_end(connection)
        works(shell)
        assert not stub.waiting()


def test_a_flood_of_pings_ends(start: Start, socket: Path) -> None:
    with Stub(socket) as stub:
        shell = start(JOB)
        shell.prompt()
        with stub.accept() as connection:
            connection.sendall(GREETING + READY + b"\x04\x07\x04PING\x00\x00" * 500)
            works(shell)
