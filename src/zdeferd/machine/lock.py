"""The lock of the one daemon that a user has: taken, and marked with its number.

A flock(2) on a file in the state folder, held for the life of the process, so that the
kernel gives it back however that ends. It comes before the socket is bound, because a
second bind would steal the path. `view.daemon_pid` is how others look at it.
"""

import contextlib
import fcntl
import os
import signal

from ..errors import AlreadyRunning, ZdeferdError
from .paths import check_private_file

LOOK_S = 0.2
"""`zdeferctl status` shares the lock for a moment to see whether we hold it."""


def take(path: str) -> int:
    """The descriptor that holds the lock; AlreadyRunning, UnsafePath, ZdeferdError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if os.path.lexists(path):
        check_private_file(path)
    try:
        lock = os.open(path, flags, 0o600)
        lock_within(lock, LOOK_S)
    except TimeoutError:
        raise AlreadyRunning() from None
    except OSError as error:
        raise ZdeferdError(f"cannot lock: {path}: {error.strerror}") from None
    return lock


def lock_within(lock: int, limit_s: float) -> None:
    """Lock it, or TimeoutError: who holds it for longer is a daemon, not a look at us."""

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def write_pid(lock: int) -> None:
    """Say who holds it, as far as the disk has room: only `status` would like to know."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
