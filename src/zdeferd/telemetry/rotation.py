"""Rotates the daemon's own logs: `deferred.log` becomes `deferred.log.1`, that `.2`, and so on.

The writer of the lines (sharedlog.py) asks for it before a group, when no line of the file is
begun and not marked. Each step is one rename, the oldest file first, so a crash between two of
them leaves a gap in the numbers and loses no line. A shell that has the file open appends to what
is `.1` now. The folder is flushed before the next line is begun, which logfile.make_durable does.

Assumes that only the daemon renames these files.
"""

import os
import stat

from ..settings import Rotation


def rotate(path: str, rotation: Rotation) -> bool:
    """Move a log of the daemon's that has reached its size aside; return whether it was moved.

    Where it cannot be moved it goes on to grow: a full log is better than a lost line.
    """
    if path not in rotation.paths or _size(path) < rotation.limit_bytes:
        return False
    try:
        for number in range(rotation.keep - 1, 0, -1):
            _move(f"{path}.{number}", f"{path}.{number + 1}")
        _move(path, f"{path}.1")
        _remove_beyond(path, rotation.keep)
    except OSError:
        return False
    return True


def _size(path: str) -> int:
    """Return the size of a regular file; 0 for anything else, which is not moved."""
    try:
        found = os.lstat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _move(path: str, target: str) -> None:
    try:
        os.rename(path, target)
    except FileNotFoundError:
        pass


def _remove_beyond(path: str, keep: int) -> None:
    """Remove older files than are kept: `log_keep` may have been larger before."""
    folder, name = os.path.split(path)
    for entry in os.listdir(folder):
        number = entry.removeprefix(f"{name}.")
        if entry != number and number.isascii() and number.isdigit() and int(number) > keep:
            os.unlink(f"{folder}/{entry}")
