"""Takes, marks and reads the lock of the one daemon that a user has.

A flock(2) on a file in the state folder, held for the life of the process, so that the
kernel releases it however the process ends. It is taken before the socket is bound, because
a second bind would steal the path.
"""

import contextlib
import fcntl
import os
import signal

from ..errors import AlreadyRunning, UnsafePath, ZdeferdError
from .files import open_file, open_private

VERSION = ".version"
"""Appended to the lock's path: the file with the holder's pid and version."""
LOOK_S = 0.2
"""`zdeferctl status` shares the lock for a moment to see whether a daemon holds it."""


def take(path: str) -> int:
    """Return the descriptor that holds the lock; AlreadyRunning, UnsafePath, ZdeferdError."""
    try:
        lock = open_private(path, os.O_RDWR | os.O_CREAT)
        lock_within(lock, fcntl.LOCK_EX, LOOK_S)
    except TimeoutError:
        raise AlreadyRunning(
            "another zdeferd of this user holds the lock", "`zdeferctl status` shows it"
        ) from None
    except OSError as error:
        raise ZdeferdError(f"cannot lock: {path}: {error.strerror}") from None
    return lock


def write_pid(lock: int) -> None:
    """Write this process's number into the lock's file, as far as the disk has room."""
    with contextlib.suppress(OSError):  # only `status` and `stop` would show it
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def write_version(path: str, version: str) -> None:
    """Write the version of this daemon beside its lock `path`, as far as the disk has room."""
    with contextlib.suppress(OSError, UnsafePath):  # only `status` would show it
        beside = open_private(path + VERSION, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(beside, f"{os.getpid()} {version}\n".encode())
        finally:
            os.close(beside)


def daemon_version(path: str, pid: int) -> str:
    """Return the version that the daemon `pid` wrote beside its lock; empty: not known."""
    try:
        descriptor = open_file(path + VERSION, os.O_RDONLY)
    except OSError:
        return ""
    try:
        writer, _, version = os.read(descriptor, 64).decode("ascii", "replace").partition(" ")
        return version.strip() if writer == str(pid) else ""
    finally:
        os.close(descriptor)


def daemon_pid(path: str) -> int | None:
    """Return the pid of the daemon that holds the lock, 0 if it wrote none; None: none runs."""
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        text = os.read(descriptor, 32).strip()
        return int(text) if text.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)


def wait_until_free(path: str, limit_s: float) -> None:
    """Return once no daemon holds the lock; TimeoutError after the limit. OSError."""
    descriptor = open_file(path, os.O_RDONLY)
    try:
        lock_within(descriptor, fcntl.LOCK_SH, limit_s)
    finally:
        os.close(descriptor)


def lock_within(descriptor: int, how: int, limit_s: float) -> None:
    """Lock the file; TimeoutError where another process holds it for longer than the limit.

    Uses SIGALRM, so it is for the main thread only.
    """

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        fcntl.flock(descriptor, how)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
