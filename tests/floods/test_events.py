"""Many shells and many events at once, with the daemon awake and with the daemon stopped."""

import contextlib
import signal
import threading
from pathlib import Path

import pytest
from floods import zmtp
from floods.crowd import GREETING, READY, Bystander, Caller, Signs, callers, until
from support.daemon import Daemon, visit
from support.terminal import Terminal

SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"
SHELLS = 200
EVENTS, PEERS = 10_000, 20
VISITS = 5000
GROWTH_KIB = 16 << 10
OK = zmtp.encode([b"ok", b"seq=1"])


def signs(daemon: Daemon) -> Signs:
    assert daemon.process is not None
    return Signs(daemon.process.pid)


def test_200_shells_at_once(daemon: Daemon) -> None:
    daemon.write_settings("jobs_at_once = 4")
    daemon.write_jobs('[shared]\nrun = ["true"]\nonce_per = "boot"')
    daemon.start()
    before = signs(daemon).rss_kib()
    with contextlib.ExitStack() as stack:
        shells = [stack.enter_context(Caller(daemon.socket)).greet() for _ in range(SHELLS)]
        for number, shell in enumerate(shells):
            shell.send(visit(f"n{number}", 1, {"own": "true"} if number % 4 == 0 else {}))
        assert [shell.answer() for shell in shells] == [OK] * SHELLS
    daemon.wait_until_done(1 + SHELLS // 4)
    jobs = daemon.rows("SELECT job, count(*) FROM runs GROUP BY job ORDER BY job")
    assert jobs == [("own", SHELLS // 4), ("shared", 1)]
    totals = [line for line in daemon.log() if line.startswith("SEGMENT name=deferred_total ")]
    assert len(totals) == SHELLS, "one a batch, however empty"
    assert len(daemon.log()) == 1 + SHELLS // 4 + SHELLS
    assert signs(daemon).peak_kib() - before < GROWTH_KIB
    assert signs(daemon).wake_ups_at_rest(0.5) == 0


def test_10_000_events_in_a_burst(daemon: Daemon) -> None:
    daemon.start()
    before = signs(daemon).rss_kib()

    def shells(peer: int) -> None:
        with Caller(daemon.socket) as caller:
            caller.greet()
            for number in range(EVENTS // PEERS):
                assert caller.ask(visit(f"n{peer}-{number}", event=b"idle")) == OK

    threads = [threading.Thread(target=shells, args=(peer,)) for peer in range(PEERS)]
    with Bystander(daemon.socket, pause_s=0.02) as bystander:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert daemon.rows("SELECT count(*) FROM shells WHERE nonce LIKE 'n%'") == [(EVENTS,)]
    answers = bystander.answers()
    assert answers.unanswered == 0 < answers.asked
    assert signs(daemon).peak_kib() - before < GROWTH_KIB
    assert signs(daemon).wake_ups_at_rest(0.5) == 0


@pytest.fixture
def stopped(daemon: Daemon) -> Daemon:
    """A daemon that was stopped, with as many visits behind it as the kernel takes."""
    if int(Path("/proc/sys/net/core/somaxconn").read_text()) < 4096:
        pytest.skip("this kernel allows no backlog of 4096")
    daemon.start()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    until(lambda: signs(daemon).state() == "T", "it has stopped")
    refused = 0
    for _ in range(VISITS):
        try:
            with Caller(daemon.socket) as shell:
                shell.socket.sendall(GREETING + READY)
        except BlockingIOError:
            refused += 1
    assert refused, "the kernel's queue is full: a connect that waits would wait for ever"
    return daemon


def test_no_shell_waits_for_a_stopped_daemon(stopped: Daemon) -> None:
    zshrc = f"source {SHIM}\nzdefer add own -- true"
    environ = stopped.env | {"XDG_STATE_HOME": str(stopped.state.parent)}
    with contextlib.ExitStack() as stack:
        shells = [
            stack.enter_context(Terminal(stopped.home, zshrc if first else None, environ))
            for first in (True, False, False)
        ]
        for shell in shells:
            shell.prompt()
            for _ in range(2):
                assert shell.run("print $((6*7))") == "42"
        assert stopped.process is not None
        stopped.process.send_signal(signal.SIGCONT)
        for shell in shells:
            until(lambda: signs(stopped).state() == "S", "it has dealt with what had come")
            assert shell.run("print $((6*7))") == "42"
        stopped.wait_until_done(3)
        assert all("zdeferd" not in shell.unread for shell in shells)


def test_what_came_while_it_was_stopped_is_dealt_with(stopped: Daemon) -> None:
    before = signs(stopped).rss_kib()
    with callers(stopped.socket, 3):
        assert stopped.process is not None
        stopped.process.send_signal(signal.SIGCONT)
        until(lambda: answered(stopped), "it serves again")
    assert signs(stopped).peak_kib() - before < GROWTH_KIB
    assert signs(stopped).wake_ups_at_rest(0.5) == 0


def answered(daemon: Daemon) -> bool:
    with contextlib.suppress(BlockingIOError), Caller(daemon.socket) as shell:
        return shell.greet().ask(visit("late", event=b"")) == OK
    return False
