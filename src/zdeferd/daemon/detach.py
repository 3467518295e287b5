"""Leave the terminal and the caller behind (`zdeferd --detach`)."""

import os
import sys
from collections.abc import Callable

from ..errors import ZdeferdError
from ..machine.files import open_private

LOG_LIMIT_BYTES = 1 << 20
"""A longer daemon log is begun anew at the next start."""


def detach(log: str) -> Callable[[], None]:
    """Go on in a child of init; call the result once ready.

    The caller's process waits for that and exits 0, or 1 where the child ended
    first (it has said why). Must be called before any thread exists.
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
