"""Wait until something changes at a path: inotify on Linux, kqueue elsewhere.

A `FileWatch` is told what to look at before each wait; what does not exist is left
out. Watch first, look second: a change between the two then ends the next wait at
once, so nothing is missed and nothing is polled.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_MODIFY, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF = 0x2, 0x80, 0x100, 0x200, 0x400
_EVENTS = _MODIFY | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF
"""inotify(7); on a folder they also tell of the files in it."""


class Inotify:
    """Linux: the kernel queues what happened, so a watch stays between waits."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_CLOEXEC)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "inotify")

    def look_at(self, paths: Iterable[str]) -> None:
        """Watch these paths; one that is watched already stays as it is."""
        for path in paths:
            self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _EVENTS)

    def wait(self) -> None:
        """Return after the next change."""
        os.read(self._descriptor, 65536)

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._descriptor)


class Kqueue:
    """macOS: a file's own descriptor tells of it; folders tell of names only."""

    def __init__(self) -> None:
        kq: Any = select
        self._kq = kq
        self._queue = kq.kqueue()
        self._open: dict[str, int] = {}

    def look_at(self, paths: Iterable[str]) -> None:
        """Watch these paths; one that is watched already stays as it is."""
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

    def wait(self) -> None:
        """Return after the next change."""
        self._queue.control(None, 16, None)

    def close(self) -> None:
        """Watch nothing any more."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._queue.close()


def file_watch() -> Inotify | Kqueue:
    """What this platform has."""
    return Inotify() if sys.platform == "linux" else Kqueue()
