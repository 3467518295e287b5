"""Processes that run now: what they cost, open and listen at."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.listening import listening
from support.user import User

from zdeferd.machine.processes import (
    UNKNOWN,
    listens,
    live_cost,
    may_live,
    named,
    openers,
    process_of,
)

CHILD = """
import time
end = time.process_time() + 0.1
while time.process_time() < end: pass
print("ready", flush=True)
input()
"""
RUNNER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


@pytest.fixture
def runner() -> Iterator[subprocess.Popen[str]]:
    """A process whose one child has used 100 ms of CPU, and waits."""
    command = [sys.executable, "-c", RUNNER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as made:
        assert made.stdout is not None
        assert made.stdin is not None
        assert made.stdout.readline() == "ready\n"
        yield made
        made.stdin.write("\n")  # the child reads it and leaves


def test_the_cost_is_that_of_the_children(runner: subprocess.Popen[str]) -> None:
    cost = live_cost(runner.pid, time.time())
    assert cost is not None
    assert cost.processes == 1
    assert 0.05 <= cost.cpu_s < 10  # the kernel counts in ticks of 10 ms
    assert cost.memory_bytes > 1 << 20


@pytest.mark.parametrize("listed", [True, False])
def test_all_that_is_below_counts(listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel's list of children, and without one by a look at each process."""
    if not listed:
        monkeypatch.setattr("zdeferd.machine.processes.os.path.exists", lambda path: False)
    inner = "import subprocess; subprocess.run(['sh', '-c', 'echo ready; read line; true'])"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    command, pipe = [sys.executable, "-c", outer], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as top:
        assert top.stdout is not None
        assert top.stdin is not None
        assert top.stdout.readline() == "ready\n"
        cost = live_cost(top.pid, time.time())
        top.stdin.write("\n")
    assert cost is not None
    assert cost.processes == 2


def test_a_younger_process_has_only_the_number(runner: subprocess.Popen[str]) -> None:
    assert live_cost(runner.pid, time.time() - 3600) is None


def test_a_process_that_has_gone() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait(timeout=200)
    assert live_cost(gone.pid, time.time()) is None
    assert named(gone.pid) == f"pid {gone.pid}"


def test_the_daemon_starts_without_psutil(user: User) -> None:
    probe = "import sys, zdeferd.daemon.main; print('psutil' in sys.modules)"
    assert user.python(probe).out == "False\n"


def test_a_name_and_an_owner() -> None:
    found = named(os.getpid())
    assert found.startswith(f"pid {os.getpid()} (")
    assert ", of " in found


def test_openers_are_other_processes(home: Path) -> None:
    path = home / "ledger"
    path.touch()
    with path.open() as file, subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat:
        assert openers(str(path)) == [cat.pid]
    with path.open():
        assert openers(str(path)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is known")
def test_a_process_is_told_from_a_later_one_of_its_number(
    runner: subprocess.Popen[str],
) -> None:
    process = process_of(runner.pid)
    assert (process.pid, may_live(process)) == (runner.pid, True)
    assert not may_live(process._replace(begun=process.begun - 1))
    runner.kill()
    runner.wait()
    assert not may_live(process)
    assert process_of(runner.pid) == UNKNOWN


def test_an_unknown_process_may_live() -> None:
    assert may_live(UNKNOWN)


def test_a_socket_at_which_a_process_listens(user: User) -> None:
    path = user.root / "run" / "sock"
    assert not listens(str(path))
    with listening(path):
        assert listens(str(path)) is Path("/proc/net/unix").exists()
