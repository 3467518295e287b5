"""Signals reach exactly the process that was meant, with pidfds and without."""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from zdeferd.processes import tree

NO_PIDFD = [errno.ENOSYS, errno.EPERM, errno.EMFILE]


@pytest.fixture
def sleeper() -> Iterator[tree.Process]:
    pid = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
    found = tree.look_at(pid)
    assert found is not None
    yield found
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def without_pidfd(number: int) -> Callable[..., int]:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", NO_PIDFD)
@pytest.mark.parametrize("call", ["pidfd_open", "pidfd_send_signal"])
def test_without_pidfds_a_signal_goes_by_number_and_start(
    sleeper: tree.Process, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    monkeypatch.setattr(os if call == "pidfd_open" else signal, call, without_pidfd(number))
    assert tree.signal_processes([sleeper], signal.SIGSTOP) == 1
    os.waitpid(sleeper.pid, os.WUNTRACED)
    later = tree.Process(sleeper.pid, "S", 1, 1, sleeper.started + 1)
    assert tree.signal_processes([later], signal.SIGKILL) == 0
    assert os.waitpid(sleeper.pid, os.WNOHANG) == (0, 0)


@pytest.mark.parametrize("pidfds", [True, False])
def test_an_end_is_waited_for(
    sleeper: tree.Process, monkeypatch: pytest.MonkeyPatch, pidfds: bool
) -> None:
    if not pidfds:
        monkeypatch.setattr(os, "pidfd_open", without_pidfd(errno.ENOSYS))
    began = time.monotonic()
    assert not tree.wait_ended([sleeper], 0.05)
    assert time.monotonic() - began >= 0.05
    os.kill(sleeper.pid, signal.SIGKILL)
    assert tree.wait_ended([sleeper], 20.0)


def test_all_are_stopped_before_one_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process turns up in the search after the first was stopped."""

    def look(*pids: int) -> list[tree.Process]:
        return [tree.Process(pid, "S", 1, 1, 1) for pid in pids]

    sent: list[tuple[int, int]] = []

    def note(target: tree.Process, numbers: tuple[int, ...]) -> bool:
        sent.extend((target.pid, number) for number in numbers)
        return True

    monkeypatch.setattr(tree, "_signal", note)
    found = iter([look(11), look(11, 12), look(11, 12)])
    assert tree.kill_all(lambda: next(found)) == 2
    stop, kill = signal.SIGSTOP, signal.SIGKILL
    assert sent == [(11, stop), (12, stop), (11, kill), (12, kill)]
