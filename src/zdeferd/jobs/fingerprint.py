"""The watched inputs of a job of scope `change`, as one short text that differs when they do.

Of each file: its real path, size, modification time (ns) and inode; no content is
read. A glob stands for what it matches now, `command:NAME` for the program that the
shell's PATH leads to, behind all symlinks. What is missing is a state of its own.

Blocks on the file system, for as long as the globs are wide.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping

from .environment import absolute_folders


def fingerprint(watch: tuple[str, ...], env: Mapping[str, str]) -> str:
    """32 hexadecimal digits; the same for the same inputs, in the order they are given."""
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
        # The pattern's own files, hidden ones too: `**` in a cache folder means all of it.
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
