"""Looks at a folder of fpath as compinit and compaudit do.

compinit reads the names in a folder, and the first line of each file; compaudit the owner, group
and mode of the folder and of the one above it, and the owner of its digest, `FOLDER.zwc`. A new
or removed file changes the folder's time. Files of a folder of this user are edited in place, so
each of them counts; the others belong to the system or to packages, which replace files.

Blocks on the file system, like jobs/fingerprint.py, its only caller.
"""

import glob
import os
import stat
from collections.abc import Iterator

from ..inputs import InputFile


def folder_states(folder: str) -> Iterator[InputFile]:
    """Yield what counts of `folder`, itself first; in place of a content owner, group and mode."""
    path = folder.rstrip("/") or "/"
    yield _state(path, timed=True)
    yield _state(os.path.dirname(path), timed=False)
    yield _state(f"{path}.zwc", timed=False)


def own_functions(folder: str) -> str:
    """Return a glob of the completion functions in `folder`; empty: it is another user's."""
    try:
        is_own = os.stat(folder).st_uid == os.getuid()
    except OSError:
        return ""
    return os.path.join(glob.escape(folder), "_*") if is_own else ""


def _state(path: str, *, timed: bool) -> InputFile:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (path, "absent")
    except OSError as error:
        return (path, error.strerror or "")
    owners = f"{found.st_uid}:{found.st_gid} {stat.S_IMODE(found.st_mode):o}"
    real = os.path.realpath(path)
    size, time = (str(found.st_size), str(found.st_mtime_ns)) if timed else ("", "")
    return (real, size, time, str(found.st_ino), owners)
