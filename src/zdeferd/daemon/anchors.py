"""The files that the daemon stands on: its lock and its socket, while they are in place.

Whoever removes the state folder takes the lock and the ledger away, and a daemon that
went on would record claims in a file that nobody can see, beside a second daemon; without
its socket's path no shell can reach it. So each is watched (inotify on Linux; nothing
runs while nothing happens), and looked at when a visit comes, which serves elsewhere too.
What is to be done about a loss is the caller's business.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable

IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF = 0x4, 0x400, 0x800
"""Linux: <sys/inotify.h>. An unlinked file that is still open tells it by IN_ATTRIB."""


NOTHING = (0, 0)
"""Stands for a file that is not there."""


class Anchors:
    """Calls back when a path that was given to `hold` leads to that file no longer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_loss: Callable[[str], None]) -> None:
        self._loop, self._on_loss = loop, on_loss
        self._held: dict[str, tuple[int, int]] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._begin()
        if self._fd >= 0:
            loop.add_reader(self._fd, self._heard)

    def hold(self, path: str, opened: tuple[int, int] | None = None) -> None:
        """`path` leads to the file that is in use: `opened` (device, inode), else what is there.

        Where it does not by now, the next look tells.
        """
        self._held[path] = opened or _identity(path)
        if self._fd >= 0:
            # The folder too: moved away as a whole it leaves the file's own inode alone.
            self._watch(path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)
            self._watch(os.path.dirname(path), IN_DELETE_SELF | IN_MOVE_SELF)

    def lost(self) -> str | None:
        """A path that leads to another file than it did, or to none."""
        for path, was in self._held.items():
            if _identity(path) != was or was == NOTHING:
                return path
        return None

    def close(self) -> None:
        """Watch no longer."""
        self._held.clear()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _begin(self) -> int:
        start = getattr(self._libc, "inotify_init1", None)
        return int(start(os.O_NONBLOCK | os.O_CLOEXEC)) if start else -1

    def _watch(self, path: str, mask: int) -> None:
        self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)

    def _heard(self) -> None:
        try:
            os.read(self._fd, 4096)  # that something happened is enough
        except BlockingIOError:
            return
        if path := self.lost():
            self._on_loss(path)


def _identity(path: str) -> tuple[int, int]:
    try:
        found = os.lstat(path)
    except OSError:
        return NOTHING
    return found.st_dev, found.st_ino
