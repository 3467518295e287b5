"""The spawner: what it answers, what it survives, what dies with it and what does not."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.spawning import SPAWNER, Spawner, wait_gone

from zdeferd.judging import judge
from zdeferd.rules import verdicts


def test_each_request_is_answered_in_order(spawner: Spawner) -> None:
    asked = [spawner.request(run, script=f"exit {run}") for run in (1, 2, 3)]
    answers = [spawner.answer() for _ in asked]
    assert [answer["folder"] for answer in answers] == [run.folder for run in asked]
    assert len({answer["pid"] for answer in answers}) == 3
    assert [run.outcome()["rc"] for run in asked] == [1, 2, 3]


def test_without_a_run_to_start_it_says_so(spawner: Spawner) -> None:
    request = {"folder": str(spawner.runs / "none"), "attempt": 1}
    spawner.socket.sendall(json.dumps(request).encode() + b"\n")
    answer = spawner.answer()
    assert answer.pop("error").startswith("[Errno 2] No such file")
    assert answer == request


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'"\xff"', b'{"folder": "/"}'])
def test_a_malformed_request_is_answered_and_survived(spawner: Spawner, line: bytes) -> None:
    spawner.socket.sendall(line + b"\n")
    assert "malformed" in spawner.answer()["error"]
    assert spawner.start(script="exit 9").outcome()["rc"] == 9


def test_a_request_may_be_large_and_come_in_pieces(spawner: Spawner) -> None:
    script = "#" + "x" * 500_000 + "\nexit 6"
    assert spawner.start(script=script).outcome()["rc"] == 6


def test_signals_to_a_service_or_terminal_do_not_end_it(spawner: Spawner) -> None:
    assert spawner.start(script="exit 1").outcome()["rc"] == 1  # it is up
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        spawner.process.send_signal(number)
    assert spawner.start(2, script="exit 2").outcome()["rc"] == 2


def test_its_death_costs_nothing(spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = spawner.start(script=f"read line < {gate}; print {{1..100000}}; exit 8").wait_started()
    spawner.process.kill()
    spawner.process.wait()
    assert isinstance(judge.judge(run.folder, 1), verdicts.Running)
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.outcome()["rc"] == 8


def test_what_is_queued_for_a_daemon_that_is_gone_is_not_started(spawner: Spawner) -> None:
    phone = spawner.telephone()
    first = spawner.start(1, script=f"echo 1 >> {phone}")
    assert phone.line() == "1"
    first.outcome()
    spawner.process.send_signal(signal.SIGSTOP)
    queued = [spawner.request(run, script=f"echo {run} >> {phone}") for run in (2, 3, 4)]
    spawner.hang_up()
    spawner.process.send_signal(signal.SIGCONT)
    assert spawner.process.wait(200) == 0
    for run in queued:
        assert judge.judge(run.folder, 1) == verdicts.NeverStarted()


def test_it_leaves_when_the_daemon_does_not_listen_any_more(spawner: Spawner) -> None:
    spawner.process.send_signal(signal.SIGSTOP)
    spawner.socket.sendall(b"{}\n" * 3)
    spawner.hang_up()
    spawner.process.send_signal(signal.SIGCONT)
    assert spawner.process.wait(200) == 0


def test_runners_hold_nothing_of_the_spawners(spawner: Spawner) -> None:
    gate = spawner.telephone()
    run = spawner.start(script=f"read line < {gate}").wait_started()
    other = spawner.start(2, script=f"read line < {gate}").wait_started()
    fds = Path(f"/proc/{other.answer['pid']}/fd")
    held = [name for fd in fds.iterdir() if (name := link_target(fd))]
    assert not [name for name in held if name.startswith("socket:") or run.folder in name]
    assert {os.readlink(fds / str(fd)) for fd in (0, 1, 2)} == {"/dev/null"}
    holds = [os.pidfd_open(one.answer["pid"]) for one in (run, other)]
    assert judge.cancel(run.folder)
    assert judge.cancel(other.folder)
    for pidfd in holds:
        wait_gone(pidfd)


def link_target(fd: Path) -> str | None:
    """What a descriptor of a process at work is; None where it was closed in the meantime."""
    try:
        return os.readlink(fd)
    except FileNotFoundError:
        return None


def test_it_starts_light() -> None:
    """What it imports is the memory of every runner; these alone would add a half."""
    code = f"import runpy, sys; runpy.run_path({str(SPAWNER)!r}); print(*sorted(sys.modules))"
    command = [sys.executable, "-I", "-S", "-c", code]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    runpy_brings = {"typing", "importlib.machinery", "importlib.util", "pkgutil", "runpy"}
    assert "zdeferd.attempts.supervise" in loaded
    heavy = {"dataclasses", "inspect", "subprocess", "socket", "asyncio", "pathlib", "msgspec"}
    assert not loaded & heavy - runpy_brings
