"""A program on a terminal: what counts of its start."""

import os
import threading
import time

import pytest

from zdeferd.perf.starts import terminal
from zdeferd.perf.starts.terminal import Terminal

DELAY_S = 0.2


def test_what_a_machine_needs_to_make_the_process_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spawn, asked = terminal._spawn, time.monotonic()

    def late(*words: object) -> int:
        threading.Event().wait(DELAY_S)
        return spawn(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(terminal, "_spawn", late)
    with Terminal(["/bin/sh", "-c", "exit"], os.environ, 10.0) as program:
        assert program.end() > program.started >= asked + DELAY_S


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="no /proc/PID/schedstat")
def test_what_ran_before_this_process_looked_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a busy machine, where this process gets a processor after the shell did."""
    spawn = terminal._spawn

    def late(*words: object) -> int:
        pid = spawn(*words)  # type: ignore[arg-type]
        while terminal._ran_s(pid) < DELAY_S and time.monotonic() < asked + 10:
            pass
        return pid

    monkeypatch.setattr(terminal, "_spawn", late)
    asked = time.monotonic()
    with Terminal(["/bin/sh", "-c", "while :; do :; done"], os.environ, 10.0) as program:
        looked = time.monotonic()
        assert asked <= program.started <= looked - DELAY_S
        assert 0 <= program.waited_s() < looked
