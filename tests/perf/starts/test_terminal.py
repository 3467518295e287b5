"""A program on a terminal: what counts of its start."""

import os
import time

import pytest

from zdeferd.perf.starts import terminal
from zdeferd.perf.starts.terminal import Late, Terminal


def start_after(waited_s: float, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float, float]:
    """Start a program whose process waited so long for a processor; -> its start between two."""
    monkeypatch.setattr(terminal, "_waited_s", lambda _pid: waited_s)
    before = time.monotonic()
    with Terminal(["/bin/sh", "-c", "exit"], os.environ, 10.0) as program:
        looked = time.monotonic()
        assert program.end() >= program.started
        return before, program.started, looked


def test_what_the_new_process_waited_for_a_processor_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, started, looked = start_after(1e-5, monkeypatch)
    assert before + 1e-5 < started <= looked


def test_a_start_is_never_in_the_future(monkeypatch: pytest.MonkeyPatch) -> None:
    before, started, looked = start_after(1000.0, monkeypatch)
    assert before < started <= looked


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
