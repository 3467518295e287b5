"""Watches the daemon's lock, ledger, socket and program for removal or replacement.

Where the state folder is removed, a daemon that went on would record claims in a file that
no shell and no other daemon can see; without its socket's path no shell can reach it. So
each path is watched (inotify on Linux; nothing runs while nothing changes), and compared
when a visit comes. Where a path cannot be watched, because the user's inotify instances or
watches are used up or the system has none, a slow timer compares too: a lost socket brings
no visit. The caller decides what a loss means.
"""

import asyncio
import os
import sys
from collections.abc import Callable

from ..errors import ZdeferdError
from ..machine.filewatch import MOVED, UNLINKED, Inotify

LOOK_EVERY_S = 60.0
NOTHING = (0, 0)
"""Stands for a file that is not there."""


class Anchors:
    """Calls back when a path that was given to `hold` leads to that file no longer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_loss: Callable[[str], None]) -> None:
        self._loop, self._on_loss = loop, on_loss
        self._held: dict[str, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._watch = _watch()
        if self._watch:
            loop.add_reader(self._watch.fileno(), self._compare)
        else:
            self._look_later()

    def hold(self, path: str, opened: tuple[int, int] | None = None) -> None:
        """Watch that `path` leads to the file `opened` (device, inode).

        Without `opened` the file that is there now counts. A path that is wrong already is
        reported by the next look.
        """
        self._held[path] = opened or _identity(path) or NOTHING
        if self._watch:
            watched = self._watch.look_at((path,), UNLINKED)
            # The folder too: moved away as a whole it leaves the file's own inode alone.
            watched = self._watch.look_at((os.path.dirname(path),), MOVED) and watched
            if not watched:
                self._look_later()

    def lost(self) -> str | None:
        """Return a path that leads to another file than it did, or to none."""
        for path, was in self._held.items():
            found = _identity(path)
            if found is not None and (found != was or was == NOTHING):
                return path
        return None

    def close(self) -> None:
        """End the watch."""
        self._held.clear()
        if self._timer:
            self._timer.cancel()
        if self._watch:
            self._loop.remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._timer = None
        self._look_later()
        self._compare()

    def _compare(self) -> None:
        if self._watch:
            self._watch.clear()
        if path := self.lost():
            self._on_loss(path)


class Program:
    """Calls back where the program has been replaced or removed since it started.

    A daemon that has started no job yet would take the spawner of another version, or none.
    """

    def __init__(self, path: str, on_loss: Callable[[str], None]) -> None:
        self._path, self._on_loss = path, on_loss
        self._was = self._look()

    def check(self) -> None:
        """Raise ZdeferdError, and call back, where the file is not the one of the start."""
        found = self._look()
        if self._was and found is not None and found != self._was:
            self._on_loss(self._path)
            raise ZdeferdError(f"gone or replaced: {self._path}")

    def _look(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _watch() -> Inotify | None:
    """Return a watch; None where the system has none to give."""
    try:
        return Inotify() if sys.platform == "linux" else None
    except OSError:
        return None


def _identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a file; None where it cannot be looked at now."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except OSError:
        return None
    return found.st_dev, found.st_ino
