"""Quiet time as a pure function, the clocks that spoil it, and the real ttys."""

import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pty import Pty

from zdeferd.machine import quiet
from zdeferd.machine.processes import UNKNOWN, process_of
from zdeferd.machine.quiet import Clocks, Probe, has_jumped, has_resumed, quiet_s

NOW = 1_000_000.0


def test_quiet_since_the_latest_of_all() -> None:
    assert quiet_s(NOW, [NOW - 100, NOW - 60], 0.0, 0.0) == 52
    assert quiet_s(NOW, [NOW - 100], NOW - 30, 0.0) == 22
    assert quiet_s(NOW, [NOW - 100], NOW - 30, NOW - 20) == 12


def test_within_the_resolution_of_the_kernel_it_is_not_quiet() -> None:
    assert quiet_s(NOW, [NOW - 7.9], 0.0, 0.0) == 0


def test_without_a_tty_it_has_always_been_quiet() -> None:
    assert quiet_s(NOW, [], 0.0, 0.0) == NOW - 8


def test_access_times_of_before_the_clock_was_set_back_do_not_count() -> None:
    assert quiet_s(NOW, [NOW + 3600, NOW - 500], 0.0, NOW - 100) == 92


def test_a_slightly_early_access_time_is_now() -> None:
    assert quiet_s(NOW, [NOW + 1], 0.0, 0.0) == 0


instants = st.floats(0, 2 * NOW)


@given(instants, st.lists(instants), instants, instants)
def test_last_activity_is_never_ahead_and_never_before_what_is_known(
    now: float, atimes: list[float], resumed_at: float, jumped_at: float
) -> None:
    found = quiet.last_activity(now, atimes, resumed_at, jumped_at)
    assert found <= now
    assert all(found >= min(now, at) for at in (resumed_at, jumped_at))
    assert all(found >= at for at in atimes if at <= now)


START = Clocks(real=NOW, awake=100.0, since_boot=100.0)


def later(real: float = 0.0, awake: float = 0.0, since_boot: float = 0.0) -> Clocks:
    return Clocks(START.real + real, START.awake + awake, START.since_boot + since_boot)


def test_time_that_passes_is_neither_a_resume_nor_a_jump() -> None:
    after = later(60.2, 60.0, 60.1)
    assert not has_resumed(START, after)
    assert not has_jumped(START, after)


def test_suspend_is_a_resume_and_no_jump() -> None:
    after = later(3600, 10, 3600)
    assert has_resumed(START, after)
    assert not has_jumped(START, after)


def test_a_clock_that_was_set_is_a_jump_and_no_resume() -> None:
    for moved in (-3600, 3600):
        after = later(10 + moved, 10, 10)
        assert has_jumped(START, after)
        assert not has_resumed(START, after)


class Turned:
    """Clocks and ttys that the test turns."""

    def __init__(self) -> None:
        self.clocks = START
        self.atimes: list[float] = []
        self.probe = Probe(lambda: self.clocks, lambda: self.atimes)


def test_a_resume_counts_as_activity_from_when_it_is_noticed() -> None:
    turned = Turned()
    turned.atimes = [NOW - 1000]
    assert turned.probe.quiet_s() == 992
    turned.clocks = later(3600, 10, 3600)
    assert turned.probe.last_activity() == NOW + 3600
    turned.clocks = later(3660, 70, 3660)
    assert turned.probe.quiet_s() == 52


def test_a_jump_counts_as_activity_in_the_new_time() -> None:
    turned = Turned()
    turned.atimes = [NOW - 5]
    turned.clocks = later(-3590, 10, 10)
    assert turned.probe.quiet_s() == 0
    turned.clocks = later(-3530, 70, 70)
    assert turned.probe.quiet_s() == 52


def test_a_resume_before_a_jump_back_is_not_ahead_of_all_that_follows() -> None:
    turned = Turned()
    turned.clocks = later(3600, 10, 3600)
    assert turned.probe.quiet_s() == 0
    turned.clocks = later(3610 - 86400, 20, 3610)
    turned.probe.last_activity()
    turned.clocks = later(3670 - 86400, 80, 3670)
    assert turned.probe.quiet_s() == 52


def test_a_jump_back_before_the_first_look_counts_from_then_on() -> None:
    turned = Turned()
    turned.atimes = [NOW + 3600]
    assert turned.probe.last_activity() == NOW
    turned.clocks = later(60, 60, 60)
    assert turned.probe.quiet_s() == 52


def test_real_clocks_and_a_real_tty() -> None:
    ours, theirs = os.openpty()
    try:
        name, now = os.ttyname(theirs), int(time.time())
        for accessed in (now - 1_000_003, now):  # other terminals come and go meanwhile
            os.utime(name, (accessed, accessed))
            assert accessed in quiet.tty_atimes(os.getuid())
        assert Probe().last_activity() >= now
    finally:
        os.close(ours)
        os.close(theirs)


def test_no_ttys_where_there_is_no_such_folder() -> None:
    assert quiet.tty_atimes(os.getuid(), "/nowhere") == []


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@LINUX
def test_the_terminal_of_a_shell_whoever_owns_it(home: Path) -> None:
    with Pty({"PATH": os.environ["PATH"], "HOME": str(home)}, ("sleep", "600")) as shell:
        os.utime(os.readlink(f"/proc/{shell.pid}/fd/0"), (1_000_000_000.0, 1.0))
        process = process_of(shell.pid)
        assert quiet.shell_atime(process) == 1_000_000_000.0
        assert quiet.shell_atime(process._replace(begun=1)) is None, "a later one of that number"
        now = 1_000_000_100.0
        probe = Probe(lambda: Clocks(now, 0.0, 0.0), list)  # no terminal of this user
        assert probe.last_activity([process]) == 1_000_000_000.0
        assert probe.quiet_s([process, UNKNOWN]) == 92.0
    assert quiet.shell_atime(process) is None


@pytest.mark.parametrize(
    ("major", "minor", "name"),
    [(136, 7, "pts/7"), (137, 1, "pts/257"), (4, 2, "tty2"), (4, 64, None), (5, 0, None)],
)
def test_terminals_by_their_number(major: int, minor: int, name: str | None) -> None:
    assert quiet.terminal(os.makedev(major, minor)) == name
