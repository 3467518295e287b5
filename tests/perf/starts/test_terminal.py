"""A program on a terminal: what counts of its start."""

import os
import time
from typing import Any, NamedTuple

import pytest

from zdeferd.perf.starts import terminal
from zdeferd.perf.starts.terminal import Late, Terminal


class Begun(NamedTuple):
    """When a program began by its terminal, and the instants around its spawn."""

    at: float
    before: float
    after: float
    looked: float


def start_late(late_s: float, monkeypatch: pytest.MonkeyPatch) -> Begun:
    """Start a program where this process waits so long for a processor when it is executed."""
    spawns: list[float] = []
    spawn = terminal._spawn

    def noted(*words: Any) -> int:
        pid = spawn(*words)
        spawns.append(time.monotonic())
        return pid

    def queued_s(process: int | str) -> float:
        return late_s * len(spawns) if process == terminal.HERE else 1000.0

    monkeypatch.setattr(terminal, "_spawn", noted)
    monkeypatch.setattr(terminal, "queued_s", queued_s)
    before = time.monotonic()
    with Terminal(["/bin/sh", "-c", "exit"], os.environ, 10.0) as program:
        looked = time.monotonic()
        assert program.end() >= program.started
        return Begun(program.started, before, spawns[0], looked)


def test_the_making_of_the_process_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = start_late(0.0, monkeypatch)
    assert begun.after <= begun.at <= begun.looked


def test_what_this_process_waits_after_the_execution_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = start_late(1e-6, monkeypatch)
    assert begun.after <= begun.at + 1e-6 <= begun.looked


def test_a_start_is_never_before_the_spawn(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = start_late(1000.0, monkeypatch)
    assert begun.before <= begun.at <= begun.after


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="no /proc/PID/schedstat")
def test_what_a_program_waited_counts_from_its_start() -> None:
    with Terminal(["/bin/sh", "-c", "read x"], os.environ, 10.0) as program:
        assert 0 <= program.waited_s() < time.monotonic() - program.started


def test_the_menu_for_new_users_is_no_prompt() -> None:
    """zsh shows it where a user, not root, has no start-up file."""
    menu = "echo This is ...; echo zsh-newuser-install.; read answer"
    with Terminal(["/bin/sh", "-c", menu], os.environ, 60.0) as program:
        with pytest.raises(Late, match="no start-up file, so zsh shows its menu for new users"):
            program.prompt()
        assert time.monotonic() - program.started < 30
