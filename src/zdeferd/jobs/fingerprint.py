"""Computes a short text of the watched inputs of a job, which differs when they do.

Of each file: its real path, size, modification time (ns) and inode; no content is read. A
glob is the files that it matches now, `command:NAME` the program in the shell's PATH,
behind all symlinks. A missing file is a state of its own.

Blocks on the file system; wide globs take longer.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping

from .environment import absolute_folders


def fingerprint(watch: tuple[str, ...], env: Mapping[str, str]) -> str:
    """Return 32 hexadecimal digits: the same for the same inputs in the same order."""
    digest = hashlib.blake2b(digest_size=16)
    for word in watch:
        for line in (word, *_states(word, env)):
            digest.update(os.fsencode(line) + b"\0")
    return digest.hexdigest()


def _states(word: str, env: Mapping[str, str]) -> Iterator[str]:
    scheme, colon, name = word.partition(":")
    if colon and scheme == "command":
        found = find_command(name, env.get("PATH", ""))
        yield _state(found) if found else "absent"
    elif glob.has_magic(word):
        # Hidden files too: `**` in a cache folder means all of it.
        for path in sorted(glob.glob(word, recursive=True, include_hidden=True)):
            yield _state(path)
    else:
        yield _state(word)


def _state(path: str) -> str:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return f"{path} absent"
    except OSError as error:
        return f"{path} {error.strerror}"
    real = os.path.realpath(path)
    return f"{real} {found.st_size} {found.st_mtime_ns} {found.st_ino}"


def find_command(name: str, path: str) -> str | None:
    """Return the first executable file `name` in the folders of `path` that are absolute."""
    return shutil.which(name, path=absolute_folders(path))
