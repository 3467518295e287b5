"""Opens and replaces files with care, and finds what other users could change on the way to one.

Every open closes the descriptor at exec, follows no symlink in the last part of the
path, and never waits: a FIFO in a file's place must not hold the program up. New files get
mode 0600.
"""

import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache

from ..errors import UnsafePath, ZdeferdError
from .paths import check_private_file, sync_folder

_CAREFUL = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
MOST_LINKS = 40
"""Symlinks on the way to one file; Linux refuses more (path_resolution(7))."""
MOST_CHARACTERS = 8 << 20
"""Of a text that is read whole. The largest completion functions have some hundred thousand."""
_STORE = re.compile(r"/(nix|gnu)/store(/|$)")
"""Only the package manager changes what is below."""


def open_file(path: str, flags: int) -> int:
    """Return a descriptor of `path`, whose kind and owner the caller checks. OSError."""
    return os.open(path, flags | _CAREFUL, 0o600)


def open_private(path: str, flags: int) -> int:
    """Return a descriptor of a regular file that is this user's alone. OSError, UnsafePath."""
    if os.path.lexists(path):
        check_private_file(path)  # before: to open a device can have effects
    return open_file(path, flags)


def open_regular(path: str, flags: int) -> int:
    """Return a descriptor of a regular file, perhaps behind a link, for `open`. OSError.

    A FIFO would wait for a writer, and a device may have no end.
    """
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is not a regular file", path)


def read_text(
    path: str,
    errors: str = "strict",
    newline: str | None = None,
    opener: Callable[[str, int], int] | None = None,
) -> str:
    """Return the text of a file that the user names, as `open` reads it. OSError, ValueError.

    A device or a file that has no end is refused, before it takes all memory.
    """
    with open(path, encoding="utf-8", errors=errors, newline=newline, opener=opener) as file:
        text = file.read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise OSError(errno.EFBIG, f"more than {MOST_CHARACTERS >> 20} MiB", path)
    return text


def replace_whole(path: str, content: bytes, new_mode: int) -> None:
    """Replace a file, whole or not at all; its mode stays, a new one has `new_mode`. OSError."""
    import tempfile  # slow to import, and most verbs write nothing

    folder = os.path.dirname(path) or "."
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        mode = new_mode
    descriptor, fresh = tempfile.mkstemp(dir=folder, prefix=".zdeferd-")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(fresh, path)
    except OSError:
        with suppress(OSError):
            os.unlink(fresh)
        raise
    sync_folder(folder)


def write_whole(path: str, text: str) -> None:
    """Replace a file as `replace_whole`, also behind a link; write to a device. ZdeferdError.

    A new file is as open as umask and folder are.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8") as device:
                device.write(text)
            return
        place = os.path.realpath(path)
        umask = os.umask(0o077)
        os.umask(umask)
        new_mode = 0o666 & ~umask & os.stat(os.path.dirname(place)).st_mode
        replace_whole(place, text.encode(), new_mode)
    except OSError as error:
        raise ZdeferdError(f"cannot write: {path}: {error.strerror}") from None


def way_to(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield each folder, symlink and file that an absolute path leads through, with its lstat.

    The last one is what the path means. OSError where one of them is missing or closed.
    """
    left, at, links = path.split("/"), "", 0
    while left:
        name = left.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at).rstrip("/")
            continue
        here = f"{at}/{name}"
        found = os.lstat(here)
        yield here, found
        if not stat.S_ISLNK(found.st_mode):
            at = here
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(here)
        left = target.split("/") + left
        at = "" if target.startswith("/") else at


def stamps(path: str) -> Iterator[tuple[object, ...]]:
    """Yield values that differ whenever what stands at `path`, or the way to it, has changed.

    They cover names, links, modes and owners, and the contents of files; of a folder not what
    is in it.
    """
    try:
        for here, found in way_to(path):
            yield _stamp(here, found)
    except OSError as error:
        yield path, error.errno


def _stamp(path: str, found: os.stat_result) -> tuple[object, ...]:
    inode = found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid
    if stat.S_ISDIR(found.st_mode):  # its times change with every file in it
        return path, *inode
    return path, *inode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def stamp(path: str) -> tuple[object, ...]:
    """Return as `stamps` a value for `path` alone, which leads through the folders of another."""
    if os.path.islink(path):
        return tuple(stamps(path))
    try:
        return _stamp(path, os.lstat(path))
    except OSError as error:
        return path, error.errno


def untrusted(path: str, home: str) -> Iterator[UnsafePath]:
    """Yield each reason why another user could change what stands at `path`. OSError.

    Each link, folder and file on the way must belong to this user or root (a packaged or
    generated one), and others may not write to it. In a sticky folder they may: they cannot
    exchange what they do not own. The folders above `home` are the administrator's concern.
    """
    homes = (home.rstrip("/"), os.path.realpath(home))
    way = [step for step in way_to(path) if not _is_above(step[0], homes)]
    for step in way:
        is_last = step is way[-1]
        if reason := _reason(path if is_last else step[0], step[1], is_last):
            yield reason


_OF_YOUR_OWN = "name a folder that only you can write to (XDG_STATE_HOME)"


def check_way(path: str, home: str) -> None:
    """Raise UnsafePath where another user could exchange a private folder: `untrusted` says how."""
    try:
        for reason in untrusted(path, home):
            ours = reason.remedy.startswith("chmod")
            raise UnsafePath(reason.found, reason.remedy if ours else _OF_YOUR_OWN)
    except OSError as error:
        raise UnsafePath(f"cannot look at folder: {path}: {error.strerror}") from None


def _is_above(folder: str, homes: tuple[str, ...]) -> bool:
    return any(home.startswith(f"{folder}/") for home in homes)


def _reason(path: str, found: os.stat_result, is_last: bool) -> UnsafePath | None:
    if found.st_uid not in (os.getuid(), 0):
        remedy = "replace it by a file of your own"
        return UnsafePath(f"not owned by you: {path}: uid {found.st_uid}", remedy)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode) or not _others_write(mode, found.st_gid):
        return None
    if stat.S_ISDIR(found.st_mode) and mode & stat.S_ISVTX and not is_last:
        return None
    ours = found.st_uid == os.getuid() and not _STORE.search(path)
    remedy = f"chmod go-w {path}" if ours else "put a copy of your own in the place of the link"
    return UnsafePath(f"others can write to it: {path}: mode {mode:04o}", remedy)


def _others_write(mode: int, gid: int) -> bool:
    """Return whether a mode lets others write; a group of this user alone is no other."""
    return bool(mode & 0o002 or (mode & 0o020 and gid != private_group()))


@lru_cache(maxsize=1)
def private_group() -> int | None:
    """Return the gid of the group that is this user's alone; None: there is no such group.

    The group has the user's name, is the user's primary one, and lists no other member. The first
    two are the rule by which pam_umask gives such users the umask 002. Another user whose primary
    group it is would be found only in a list of all users, which a directory (LDAP, SSSD) takes
    seconds to give or refuses. Two entries are asked for, once a process: the user's, and the
    group's by that name, because a primary group that many share can have thousands of members.
    A directory that is away can hold up even these, so the daemon asks before its loop runs.
    """
    try:
        user = pwd.getpwuid(os.getuid())
        group = grp.getgrnam(user.pw_name)
    except KeyError:
        return None
    is_own = group.gr_gid == user.pw_gid and {*group.gr_mem} <= {user.pw_name}
    return group.gr_gid if is_own else None
