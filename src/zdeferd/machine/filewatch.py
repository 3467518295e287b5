"""Reports changes at paths: inotify on Linux, kqueue elsewhere.

The paths are given before each wait; one that does not exist is left out. Watch first and
look at the files second: a change between the two then ends the next wait at once, so that
no change is missed and nothing polls. Where other programs have used up all that a user may have of
inotify, zdeferctl looks each half second instead.
"""

from __future__ import annotations

import errno
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MODIFY, _ATTRIB, CLOSED, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x8, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
CONTENT = _MODIFY | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF
"""inotify(7): new content; of a folder also that of the files in it.

CLOSED: a file that was open for writing was closed, also by the end of its process.
"""
MOVED = _DELETE_SELF | _MOVE_SELF
"""The path leads to another file now, or to none."""
UNLINKED = MOVED | _ATTRIB
"""As MOVED, also for a file that is still open: its count of links is an attribute."""
LOOK_S = 0.5
"""Between two looks where inotify has no instance or watch left."""


class Inotify:
    """Linux: the kernel queues what happened, so a watch stays between waits."""

    def __init__(self) -> None:
        import ctypes

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._errno = ctypes.get_errno
        self._is_full = False
        self._descriptor = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "inotify")

    def fileno(self) -> int:
        """Return the descriptor, which is readable once something has changed."""
        return int(self._descriptor)

    def look_at(self, paths: Iterable[str], events: int = CONTENT) -> bool:
        """Watch these paths; one that is watched already gets these events.

        False: one could not be watched, because no watch was left or it is not there.
        """
        added = True
        for path in paths:
            if self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), events) < 0:
                added = False
                self._is_full = self._is_full or self._errno() == errno.ENOSPC
        return added

    def wait(self, limit_s: float | None = None) -> None:
        """Return after the next change, or at the limit."""
        select.select([self], [], [], limit_s)
        self.clear()

    def clear(self) -> None:
        """Take the changes up to now out of the queue. Never waits."""
        try:
            os.read(self._descriptor, 65536)
        except BlockingIOError:
            pass  # none

    def close(self) -> None:
        """End every watch."""
        os.close(self._descriptor)


class InotifyOrTimer(Inotify):
    """As Inotify; without an instance or a watch it reports a change each LOOK_S."""

    def __init__(self) -> None:
        try:
            super().__init__()
        except OSError:
            self._descriptor = self._timer()

    def look_at(self, paths: Iterable[str], events: int = CONTENT) -> bool:
        """Watch these paths."""
        added = super().look_at(paths, events)
        if self._is_full:
            self._is_full = False
            timer = self._timer()
            os.dup2(timer, self._descriptor, inheritable=False)
            os.close(timer)
        return added

    def _timer(self) -> int:
        """Return a timer that is readable each LOOK_S (timerfd_create(2))."""
        import ctypes
        import time

        timer = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK)
        span = (0, int(LOOK_S * 1e9))
        self._libc.timerfd_settime(timer, 0, (ctypes.c_long * 4)(*span, *span), None)
        return int(timer)


class Kqueue:
    """macOS: events come from a descriptor of the file itself; a folder's are about names only."""

    def __init__(self) -> None:
        kq: Any = select
        self._kq = kq
        self._queue = kq.kqueue()
        self._open: dict[str, int] = {}

    def look_at(self, paths: Iterable[str], _events: int = CONTENT) -> None:
        """Watch these paths for all that kqueue reports; one that is watched stays as it is."""
        kq = self._kq
        what = kq.KQ_NOTE_WRITE | kq.KQ_NOTE_EXTEND | kq.KQ_NOTE_DELETE | kq.KQ_NOTE_RENAME
        for path in set(paths) - self._open.keys():
            try:
                descriptor = os.open(path, getattr(os, "O_EVTONLY", os.O_RDONLY) | os.O_CLOEXEC)
            except OSError:
                continue
            self._open[path] = descriptor
            flags = kq.KQ_EV_ADD | kq.KQ_EV_CLEAR
            event = kq.kevent(descriptor, kq.KQ_FILTER_VNODE, flags, what)
            self._queue.control([event], 0, 0)

    def fileno(self) -> int:
        """Return the descriptor, which is readable once something has changed."""
        return int(self._queue.fileno())

    def wait(self, limit_s: float | None = None) -> None:
        """Return after the next change, or at the limit."""
        self._queue.control(None, 16, limit_s)

    def clear(self) -> None:
        """Take the changes up to now out of the queue. Never waits."""
        self._queue.control(None, 16, 0)

    def close(self) -> None:
        """End every watch."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._queue.close()


def file_watch() -> Inotify | Kqueue:
    """Return the watch that this platform has."""
    return InotifyOrTimer() if sys.platform == "linux" else Kqueue()
