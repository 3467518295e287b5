"""Wakes shells that follow outputs: each has a bell, a FIFO that is written to at each publication.

A shell opens its own for reading and writing, so that nothing blocks and no end of file comes, and
ZLE watches it. Nothing is kept of the shells here: a FIFO that no shell has open is of one that
has ended, and removed once it rings. What is written means no more than: look.
"""

import errno
import os
import stat
import time
from contextlib import suppress

SWEEP_EVERY = 256
"""FIFOs made between two removals of those that no shell has open."""
LEAST_AGE_S = 60.0
"""A younger FIFO may be of a shell that is about to open it."""


class Bells:
    """The FIFOs of all shells."""

    def __init__(self, folder: str) -> None:
        self._folder, self._made = folder, 0

    def make(self, nonce: str) -> None:
        """Make the FIFO of a shell; without one it looks at its next prompt."""
        with suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            os.mkfifo(f"{self._folder}/{nonce}", 0o600)
            self._made += 1
        if self._made >= SWEEP_EVERY:
            self._made = 0
            self.ring()

    def ring(self) -> None:
        """Wake all shells; remove the FIFOs of those that have ended."""
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(self._folder)
        for name in names:
            with suppress(OSError):
                _ring(f"{self._folder}/{name}")


def _ring(path: str) -> None:
    found = os.lstat(path)
    if not stat.S_ISFIFO(found.st_mode):
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO and time.time() - found.st_mtime > LEAST_AGE_S:
            os.unlink(path)
        return
    try:
        os.write(fd, b"\n")
    finally:
        os.close(fd)
