"""Floods by peers of the same user that the daemon survives, and that visits do not notice.

Those that end the daemon are in daemon/test_systemd.py, with what comes after.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
from floods import zmtp
from floods.crowd import Bystander, Caller, Signs, callers, until
from support.daemon import Daemon, Peer, visit

from zdeferd.attempts import records
from zdeferd.daemon.reception import MOST_WAITING
from zdeferd.wire import control

GROWTH_KIB = 24 << 10
"""Far less than the limit of 512 MiB, and than an unbounded flood brings."""


def signs(daemon: Daemon) -> Signs:
    assert daemon.process is not None
    return Signs(daemon.process.pid)


def serves(daemon: Daemon) -> bool:
    with Peer(daemon.socket) as peer:
        return isinstance(peer.request(control.Ping()), control.Pong)


@contextlib.contextmanager
def repeating(action: Callable[[threading.Event], object], times: int = 2) -> Iterator[None]:
    """Repeat `action` in threads of its own; it returns soon after its event is set."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                action(over)

    threads = [threading.Thread(target=repeat) for _ in range(times)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


def test_silent_peers_within_the_descriptors_are_not_noticed(daemon: Daemon) -> None:
    daemon.start()
    with callers(daemon.socket, 1000) as silent, Bystander(daemon.socket) as shells:
        assert len(silent) == 1000
        until(lambda: len(shells.times) >= 30, "others are answered")
        assert all(caller.hung_up() for caller in silent)
    assert shells.answers().unanswered == 0
    until(lambda: signs(daemon).descriptors() < 100, "their descriptors are closed")


def test_a_peer_that_never_reads_is_not_noticed(daemon: Daemon) -> None:
    """libzmq keeps 1,000 answers for it and drops the others."""
    daemon.start()
    before = signs(daemon).rss_kib()

    def ask_and_never_read(over: threading.Event) -> None:
        with Caller(daemon.socket, limit_s=2.0) as deaf:
            deaf.greet()
            while not over.is_set():
                deaf.socket.sendall(zmtp.encode([b"hullo"]) * 100)

    with repeating(ask_and_never_read), Bystander(daemon.socket) as shells:
        until(lambda: len(shells.times) >= 30, "others are answered")
    assert shells.answers().unanswered == 0
    assert signs(daemon).peak_kib() - before < GROWTH_KIB


def test_a_flood_of_pings_is_answered_and_costs_no_memory(daemon: Daemon) -> None:
    daemon.start()
    before = signs(daemon).rss_kib()
    with Caller(daemon.socket) as pinging:
        pinging.greet()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(200):
                pinging.socket.sendall(zmtp.PING * 1000)
        assert serves(daemon)
    assert signs(daemon).peak_kib() - before < GROWTH_KIB


# --- requests -----------------------------------------------------------------------


AWAIT = control.encode_request(control.AwaitRun(run=1))


def begin_a_long_job(daemon: Daemon) -> None:
    daemon.start()
    with Caller(daemon.socket) as shell:
        shell.greet().ask(visit("n1", 1, {"x": "sleep 10000"}))
    folder = str(daemon.state / "runs/1")
    until(lambda: "job_pid" in records.marks(folder, 1), "the job has begun")


def cancel(daemon: Daemon) -> object:
    with Peer(daemon.socket) as ctl:
        return ctl.request(control.CancelRun(run=1))


def test_of_too_many_waiting_requests_the_oldest_is_refused(daemon: Daemon) -> None:
    begin_a_long_job(daemon)
    half = MOST_WAITING // 2  # libzmq keeps no more than 1000 answers at once for one connection
    with Peer(daemon.socket) as oldest, Peer(daemon.socket) as one, Peer(daemon.socket) as other:
        oldest.send(AWAIT)
        assert not oldest.socket.poll(200)
        for _ in range(half):
            one.send(AWAIT)
            other.send(AWAIT)
        assert oldest.receive() == [b"refused", b"1024 newer requests wait; ask again"]
        refused = one.socket.poll(100) or other.socket.poll(0)
        assert not refused, "no other is refused"
        assert cancel(daemon) == control.Done(outcome="cancelled", rc=143)
        answers = (
            control.decode_reply(peer.receive()) for peer in (one, other) for _ in range(half)
        )
        found = Counter(map(str, answers))
    # To cancel the run took the place of the oldest that was left.
    done = str(control.Done(outcome="cancelled", rc=143))
    assert found == {"1024 newer requests wait; ask again": 1, done: MOST_WAITING - 1}


def test_large_requests_that_wait_hold_up_nothing(daemon: Daemon) -> None:
    begin_a_long_job(daemon)
    padded = {"verb": "await", "run": 1, "padding": bytes((1 << 18) - 100)}
    frames = [b"request", msgspec.msgpack.encode(padded)]
    with Peer(daemon.socket) as peer:
        for _ in range(100):  # 25 MiB
            peer.send(frames)
        assert serves(daemon)
        assert not peer.socket.poll(0), "they wait"
        assert cancel(daemon)


def test_requests_of_clients_that_left_leave_no_room_for_more(daemon: Daemon) -> None:
    begin_a_long_job(daemon)
    before = signs(daemon).rss_kib()
    for _ in range(2 * MOST_WAITING):
        with Caller(daemon.socket) as leaving:
            leaving.greet().send(AWAIT)
    assert serves(daemon)
    assert signs(daemon).rss_kib() - before < GROWTH_KIB
    assert cancel(daemon)


# --- what the daemon says -----------------------------------------------------------


def test_a_quoted_message_of_any_bytes_can_be_told(daemon: Daemon) -> None:
    daemon.start()
    with Caller(daemon.socket) as rude:
        assert b"error" in rude.greet().ask([b"hu\xffllo"])
    assert serves(daemon), "doctor asks the daemon for what it has to say"


def test_a_rude_peer_does_not_fill_the_daemons_log(daemon: Daemon) -> None:
    daemon.start()
    with Caller(daemon.socket) as rude:
        rude.greet()
        for number in range(5000):
            assert b"error" in rude.ask([b"%d" % number + b"x" * 1000])
    assert len(daemon.errors.read_bytes()) < 1 << 18
    assert serves(daemon)


def test_the_socket_of_a_killed_daemon_is_taken_over(daemon: Daemon) -> None:
    daemon.start().kill()
    assert daemon.socket.is_socket()
    daemon.start().stop()
    assert not daemon.socket.exists()
    daemon.socket.mkdir()
    env = daemon.env | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        daemon.command, env=env, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"zdeferd: not a socket: {daemon.socket}; ")
    assert daemon.socket.is_dir()
