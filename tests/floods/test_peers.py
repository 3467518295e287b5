"""Peers that are no use to anybody: silent, slow, endless, deaf. The others must not notice."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from floods import zmtp
from floods.conftest import FEW_DESCRIPTORS
from floods.crowd import GREETING, READY, Bystander, Caller, Signs, callers, until
from support.daemon import Daemon, Peer, visit

from zdeferd.wire import messages

MOST_PEERS, UNFINISHED_BYTES = 1024, 16 << 20

P99_MS = 250.0
"""Of a visit, beside a flood, on two busy cores; the campaign shows what it is at rest."""
GROWTH_KIB = 24 << 10
"""More than the limits of wire/router.py come to, and far less than a flood brings."""
ENDLESS_FRAME = b"\x03" + (200_000).to_bytes(8, "big") + bytes(200_000)


def signs(daemon: Daemon) -> Signs:
    assert daemon.process is not None
    return Signs(daemon.process.pid)


def serves(daemon: Daemon) -> bool:
    with Peer(daemon.socket) as peer:
        return isinstance(peer.request(messages.Ping()), messages.Pong)


@contextlib.contextmanager
def repeating(action: Callable[[], object], times: int = 2) -> Iterator[None]:
    """`action`, again and again in threads of its own, while the block lasts."""
    over = threading.Event()

    def repeat() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                action()

    threads = [threading.Thread(target=repeat) for _ in range(times)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


# --- descriptors --------------------------------------------------------------------


def test_descriptors_never_run_out(poor: Daemon) -> None:
    """A thousand silent peers where there are descriptors for a quarter of them."""
    poor.start()
    with callers(poor.socket, 1000) as silent, Bystander(poor.socket) as shells:
        assert len(silent) == 1000
        with Caller(poor.socket) as shell:
            assert shell.greet().ask(visit("n1", 1, {"x": "true"})) == zmtp.encode(
                [b"ok", b"seq=1"]
            )
        poor.wait_until_done(1)
        assert signs(poor).descriptors() < FEW_DESCRIPTORS
    answers = shells.answers()
    assert (answers.unanswered, answers.asked > 0) == (0, True)
    assert serves(poor)
    assert poor.errors.read_text().count("make room") == 1, "said once"


def test_who_is_owed_an_answer_makes_no_room(poor: Daemon) -> None:
    poor.start()
    with Caller(poor.socket) as shell:
        shell.greet().ask(visit("n1", 1, {"x": "sleep 60"}))
    with contextlib.ExitStack() as stack:
        await_end = messages.encode_request(messages.AwaitRun(run=1))
        waiting = [stack.enter_context(Caller(poor.socket)).greet() for _ in range(100)]
        for one in waiting:
            one.send(await_end)
        assert serves(poor), "all that was sent before is taken in"
        with callers(poor.socket, 400):
            assert serves(poor)
        with Caller(poor.socket) as ctl:
            ctl.greet().ask(messages.encode_request(messages.CancelRun(run=1)))
        for one in waiting:
            assert b"cancelled" in one.answer()


def test_where_nobody_can_make_room_the_next_one_waits_its_turn(poor: Daemon) -> None:
    poor.start()
    with Caller(poor.socket) as shell:
        shell.greet().ask(visit("n1", 1, {"x": "sleep 60"}))
    with contextlib.ExitStack() as stack:
        await_end = messages.encode_request(messages.AwaitRun(run=1))
        for _ in range(FEW_DESCRIPTORS):  # more than there is room for
            caller = stack.enter_context(Caller(poor.socket))
            caller.socket.settimeout(0.3)
            try:
                caller.greet().send(await_end)
            except TimeoutError:
                break
        else:
            raise AssertionError("there was room for all")
        leaving = stack.pop_all()
        caller.socket.settimeout(10)
        leaving.callback(caller.close)
        with leaving, Caller(poor.socket) as late:
            threading.Thread(target=leaving.close).start()
            assert late.greet().ask(visit("n2", event=b"")) == zmtp.encode([b"ok", b"seq=1"])


# --- memory -------------------------------------------------------------------------


def test_a_message_without_end_is_cut_off(daemon: Daemon) -> None:
    daemon.start()
    before = signs(daemon).rss_kib()

    def send_for_ever() -> None:
        with Caller(daemon.socket) as endless:
            endless.greet()
            while True:
                endless.socket.sendall(ENDLESS_FRAME)

    with repeating(send_for_ever), Bystander(daemon.socket) as shells:
        until(lambda: len(shells.times) >= 30, "others are answered")
    answers = shells.answers()
    assert (answers.unanswered, answers.p99_ms < P99_MS) == (0, True), answers
    assert signs(daemon).peak_kib() - before < GROWTH_KIB


def test_many_unfinished_messages_are_bounded_together(daemon: Daemon) -> None:
    daemon.start()
    before = signs(daemon).rss_kib()
    almost = (GREETING + READY + ENDLESS_FRAME * 5)[: zmtp.MAX_MESSAGE_BYTES - 60_000]
    with contextlib.ExitStack() as stack:
        for _ in range(3 * UNFINISHED_BYTES // len(almost)):
            caller = stack.enter_context(Caller(daemon.socket))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                caller.socket.sendall(almost)
        assert serves(daemon)
    assert signs(daemon).peak_kib() - before < 2 * UNFINISHED_BYTES >> 10
    assert "the largest was dropped" in daemon.errors.read_text()


def test_who_never_reads_is_let_go(daemon: Daemon) -> None:
    daemon.start()
    before = signs(daemon).rss_kib()

    def ask_and_never_read() -> None:
        with Caller(daemon.socket) as deaf:
            deaf.greet()
            deaf.socket.settimeout(2.0)
            while True:
                deaf.socket.sendall(zmtp.encode([b"hullo"]) * 100)

    with repeating(ask_and_never_read), Bystander(daemon.socket) as shells:
        until(lambda: len(shells.times) >= 30, "others are answered")
    answers = shells.answers()
    assert (answers.unanswered, answers.p99_ms < P99_MS) == (0, True), answers
    assert signs(daemon).peak_kib() - before < GROWTH_KIB


def test_a_flood_of_pings_is_answered_and_costs_no_memory(daemon: Daemon) -> None:
    daemon.start()
    before = signs(daemon).rss_kib()
    with Caller(daemon.socket) as pinging:
        pinging.greet().socket.settimeout(5.0)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(200):
                pinging.socket.sendall(zmtp.PING * 1000)
        assert serves(daemon)
    assert signs(daemon).peak_kib() - before < GROWTH_KIB


def test_who_asks_and_leaves_leaves_nothing_behind(daemon: Daemon) -> None:
    """Requests that wait for a run's end, by clients that do not."""
    daemon.start()
    with Caller(daemon.socket) as shell:
        shell.greet().ask(visit("n1", 1, {"x": "sleep 60"}))
    before = signs(daemon).rss_kib()
    requests = zmtp.encode(messages.encode_request(messages.AwaitRun(run=1))) * 16
    for _ in range(2 * MOST_PEERS):
        with Caller(daemon.socket) as leaving:
            leaving.greet().socket.sendall(requests)
    assert serves(daemon), "those that have left make room"
    assert signs(daemon).rss_kib() - before < GROWTH_KIB
    with Caller(daemon.socket) as ctl:
        assert b"cancelled" in ctl.greet().ask(messages.encode_request(messages.CancelRun(run=1)))


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
        daemon.command, env=env, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 1
    assert done.stderr.startswith("zdeferd: cannot listen: ")
    assert daemon.socket.is_dir()
