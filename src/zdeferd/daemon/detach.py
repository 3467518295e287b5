"""Moves the daemon to the background (`zdeferd --detach`)."""

import os
import sys
from collections.abc import Callable

from ..errors import ZdeferdError
from ..machine.files import open_private

LOG_LIMIT_BYTES = 1 << 20
"""At the next start a longer daemon log is emptied."""


def detach(log: str) -> Callable[[], None]:
    """Fork twice and return in the grandchild; the result is to be called once ready.

    The calling process exits with 0 then, or with 1 where the grandchild ended first. Must be
    called before any thread exists.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os._exit(0 if os.read(reading, 1) else 1)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    opened = _open_log(log)

    def ready() -> None:
        sys.stderr.flush()
        null = os.open(os.devnull, os.O_RDWR)
        for number, fd in enumerate((null, null, opened)):
            os.dup2(fd, number)
        os.write(writing, b"r")
        os.close(writing)

    return ready


def _open_log(path: str) -> int:
    try:
        fd = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        if os.fstat(fd).st_size > LOG_LIMIT_BYTES:
            os.ftruncate(fd, 0)
    except OSError as error:
        raise ZdeferdError(f"cannot write the daemon's log: {path}: {error.strerror}") from None
    return fd
