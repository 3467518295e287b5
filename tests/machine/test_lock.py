"""The lock of the one daemon: taken, looked at and waited for, each within its limit."""

import fcntl
import os
import signal
import threading
from pathlib import Path

import pytest

from zdeferd.errors import AlreadyRunning, UnsafePath
from zdeferd.machine import lock


@pytest.fixture
def path(home: Path) -> str:
    return f"{home}/lock"


def test_the_holder_is_known_by_its_pid(path: str) -> None:
    assert lock.daemon_pid(path) is None
    held = lock.take(path)
    assert lock.daemon_pid(path) == 0
    lock.write_pid(held)
    assert lock.daemon_pid(path) == os.getpid()
    os.close(held)
    assert lock.daemon_pid(path) is None


def test_a_second_one_is_refused(path: str) -> None:
    held = lock.take(path)
    with pytest.raises(AlreadyRunning):
        lock.take(path)
    os.close(held)
    os.close(lock.take(path))


def test_a_look_at_the_lock_keeps_no_daemon_from_starting(path: str) -> None:
    looking = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(looking, fcntl.LOCK_SH)
    held = os.open(path, os.O_RDWR)
    with pytest.raises(TimeoutError):
        lock.lock_within(held, fcntl.LOCK_EX, 0.01)
    released = threading.Timer(0.01, os.close, (looking,))
    released.start()
    lock.lock_within(held, fcntl.LOCK_EX, 20)
    released.join()
    os.close(held)


def test_waiting_has_a_limit_and_leaves_the_alarm_as_it_was(path: str) -> None:
    before = signal.getsignal(signal.SIGALRM)
    held = lock.take(path)
    with pytest.raises(TimeoutError):
        lock.wait_until_free(path, 0.01)
    os.close(held)
    lock.wait_until_free(path, 20)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_what_is_no_lock_file_is_refused(path: str) -> None:
    os.mkfifo(path)
    with pytest.raises(UnsafePath, match=f"not a file: {path}"):
        lock.take(path)
    assert lock.daemon_pid(path) is None
