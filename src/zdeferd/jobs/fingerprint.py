"""Looks at the watched inputs of a job, and computes a short text which differs when they do.

Of each file: its real path, size, modification time (ns) and inode. A time in whole seconds comes
from an archive, a store of packages or a file system without fractions, and may stay the same when
the content changes: of such a file the content counts too, as far as MOST_READ_IN_ALL goes. A
glob is the files that it matches now, of `{a,b}` both. `command:NAME` is the program in the shell's
PATH, behind all symlinks and shims, `env:NAME` the value of a variable, `fpath:FOLDER` a folder as
compinit sees it. A missing file is a state.

Blocks on the file system, on a dead mount for ever: runs/looks.py has it done by another
thread. A glob that goes on for too long, or through too many files, raises Unseen. `**` goes
into each folder once, and follows no link to a folder above its own.
"""

import fnmatch
import glob
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping

from ..errors import ZdeferdError
from ..inputs import InputFile, Inputs
from .completions import folder_states, own_functions
from .environment import absolute_folders
from .shims import behind, zsh_versions

MOST_FILES = 50_000
"""Names that the globs of one job may have to look at."""
LIMIT_S = 5.0
MOST_READ = 1 << 20
"""Bytes of one file."""
MOST_READ_IN_ALL = 16 << 20
_LEAST_READ = 4096
"""As much counts for each file, so that their number is bounded too."""
MOST_KEPT = 256
"""Files, and words, that a claim keeps one by one, so that a change can be named."""


_BRACES = re.compile(r"(.*)\{([^{}]*,[^{}]*)\}(.*)", re.DOTALL)


class Unseen(ZdeferdError):
    """The inputs of a job cannot be looked at."""


def look_at(watch: tuple[str, ...], env: Mapping[str, str]) -> Inputs:
    """Return the inputs as they are: the same fingerprint for the same in the same order. Unseen.

    The fingerprint has 32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    walk, states, room = _Walk(), [], MOST_KEPT
    for word in watch:
        name = "zsh" if word.startswith("zsh:") else word
        digest.update(_line((name,)))
        kept = _Kept(word, room)
        for file in _files(word, env, walk):
            digest.update(_line(file))
            kept.add(file)
        states.append((name, kept.files()))
        room -= len(states[-1][1])
    return Inputs(digest.hexdigest(), tuple(states[:MOST_KEPT]))


def _line(file: InputFile) -> bytes:
    return os.fsencode(" ".join(file)) + b"\0"


class _Kept:
    """The files of one word as the ledger keeps them: one by one, or their number and a digest."""

    def __init__(self, word: str, room: int) -> None:
        self._is_secret, self._room = word.startswith("env:"), room
        self._files: list[InputFile] = []
        self._more, self._digest = 0, hashlib.blake2b(digest_size=8)

    def add(self, file: InputFile) -> None:
        if self._is_secret:
            file = (file[0], *map(_digest_of, file[1:]))
        if len(self._files) < self._room:
            self._files.append(file)
        else:
            self._more += 1
            self._digest.update(_line(file))

    def files(self) -> tuple[InputFile, ...]:
        if not self._more:
            return tuple(self._files)
        for file in self._files:
            self._digest.update(_line(file))
        number = len(self._files) + self._more
        return ((f"{number} files", "", "", "", self._digest.hexdigest()),)


def _digest_of(value: str) -> str:
    return hashlib.blake2b(os.fsencode(value), digest_size=8).hexdigest()


def _files(word: str, env: Mapping[str, str], walk: "_Walk") -> Iterator[InputFile]:
    scheme, colon, name = word.partition(":")
    if colon and scheme == "command":
        found = find_command(name, env.get("PATH", ""))
        yield _file(found, walk) if found else ("absent",)
        yield from _behind(found or "", walk)
    elif colon and scheme == "env":
        yield ("set", env[name]) if name in env else ("not set",)
    elif colon and scheme == "fpath":
        yield from folder_states(name)
        for path in sorted(walk.matches(own) if (own := own_functions(name)) else ()):
            yield _file(path, walk)
    elif colon and scheme == "definition":
        return  # the word itself counts
    elif colon and scheme == "zsh":
        yield "versions", " ".join(zsh_versions(name))
    else:
        yield from _paths(word, walk)


def _paths(word: str, walk: "_Walk") -> Iterator[InputFile]:
    words = _alternatives(word)
    if words and not os.path.lexists(word):
        for one in words:
            walk.count(word)
            yield from _paths(one, walk)
    elif glob.has_magic(word):
        for path in sorted(walk.matches(word)):
            yield _file(path, walk)
    else:
        yield _file(word, walk)
        if "/shims/" in word:
            yield from _behind(word, walk)


def _alternatives(word: str) -> tuple[str, ...]:
    """Return the words of `a{b,c}d` as zsh makes them of its last braces; none without braces."""
    found = _BRACES.fullmatch(word)
    return tuple(f"{found[1]}{part}{found[3]}" for part in found[2].split(",")) if found else ()


def _behind(program: str, walk: "_Walk") -> Iterator[InputFile]:
    for word in behind(program):
        for path in sorted(walk.matches(word)) if glob.has_magic(word) else (word,):
            yield _file(path, walk)


def _file(path: str, walk: "_Walk") -> InputFile:
    try:
        found = os.lstat(path)
        if is_link := stat.S_ISLNK(found.st_mode):
            found = os.stat(path)
    except FileNotFoundError:
        return (path, "absent")
    except OSError as error:
        return (path, error.strerror or "")
    real = os.path.realpath(path) if is_link else walk.real(path)
    state = (real, str(found.st_size), str(found.st_mtime_ns), str(found.st_ino))
    has_fraction = found.st_mtime_ns % 1_000_000_000
    if stat.S_ISREG(found.st_mode) and not has_fraction and walk.may_read(found.st_size):
        return (*state, _content(real))
    return state


def _content(path: str) -> str:
    """Return a digest of the first MOST_READ bytes of a file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return f"{error.strerror}"
    try:
        return hashlib.blake2b(os.read(fd, MOST_READ), digest_size=16).hexdigest()
    except OSError as error:
        return f"{error.strerror}"
    finally:
        os.close(fd)


def find_command(name: str, path: str) -> str | None:
    """Return the first executable file `name` in the folders of `path` that are absolute."""
    return shutil.which(name, path=absolute_folders(path))


class _Walk:
    """Finds what globs match, hidden files too, within the limits of one job."""

    def __init__(self) -> None:
        self._files, self._end, self._word = 0, time.monotonic() + LIMIT_S, ""
        self._room = MOST_READ_IN_ALL
        self._folders_behind: dict[str, str] = {}

    def real(self, path: str) -> str:
        """Return the real path of a file that is no link; each folder is followed once."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return os.path.realpath(path)
        if (behind := self._folders_behind.get(folder)) is None:
            behind = self._folders_behind[folder] = os.path.realpath(f"{folder}/").rstrip("/")
        return f"{behind}/{name}"

    def may_read(self, size: int) -> bool:
        """Take the bytes of a file from what may be read; False: too few are left."""
        bytes_read = max(_LEAST_READ, min(size, MOST_READ))
        if bytes_read > self._room:
            return False
        self._room -= bytes_read
        return True

    def matches(self, word: str) -> set[str]:
        """Return the paths that the absolute glob `word` matches. Unseen."""
        self._word = word
        return set(self._below("/", word.strip("/").split("/")))

    def _below(self, folder: str, parts: list[str]) -> Iterator[str]:
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self._at_any_depth(folder, rest)
            return
        if not glob.has_magic(part):
            found = [part] if os.path.lexists(os.path.join(folder, part)) else []
        else:
            fits = re.compile(fnmatch.translate(part)).match
            found = [entry.name for entry in self._entries(folder) if fits(entry.name)]
        for name in found:
            path = os.path.join(folder, name)
            if not rest:
                yield path
            elif os.path.isdir(path):
                yield from self._below(path, rest)

    def _at_any_depth(self, folder: str, rest: list[str]) -> Iterator[str]:
        while rest[:1] == ["**"]:
            rest = rest[1:]
        if not rest:
            yield f"{folder}/"
        for below in self._folders(folder):
            if rest:
                yield from self._below(below, rest)
            else:
                yield from (entry.path for entry in self._entries(below))

    def _folders(self, top: str) -> Iterator[str]:
        """Yield `top` and all folders below it, each once."""
        seen = set(_above(top))
        left = [top]
        while left:
            folder = left.pop()
            if (identity := _identity(folder)) is None or identity in seen:
                continue
            seen.add(identity)
            yield folder
            below = sorted(entry.path for entry in self._entries(folder) if _is_folder(entry))
            left += reversed(below)

    def _entries(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        """Yield what is in a folder; nothing where it cannot be read."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self.count(self._word)
                    yield entry
        except OSError:
            return

    def count(self, word: str) -> None:
        """Count one more name that `word` leads to. Unseen: there are too many, or it took long."""
        self._files += 1
        if self._files > MOST_FILES:
            raise Unseen(f"more than {MOST_FILES} files: {word}", "watch fewer of them")
        if time.monotonic() > self._end:
            raise Unseen(f"not seen in {LIMIT_S:g} s: {word}", "watch fewer files")


def _above(folder: str) -> Iterator[tuple[int, int]]:
    """Yield the identities of all folders above `folder`."""
    path = os.path.realpath(folder)
    while path != "/":
        path = os.path.dirname(path)
        if identity := _identity(path):
            yield identity


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
