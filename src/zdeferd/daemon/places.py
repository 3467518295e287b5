"""Finds and checks where the daemon lives, and says at which socket it can be reached.

A living daemon at the socket is left alone: with another state folder it has another lock,
and a second bind would steal the path. The pointer file in the state folder leads a shell
whose own rule gives another path (no `XDG_RUNTIME_DIR`, an editor's own) to the socket in
force. It is a convenience: where it cannot be written the daemon serves all the same.
"""

import contextlib
import os
import socket
import stat

from ..errors import AlreadyRunning, UnsafePath
from ..jobs import files
from ..machine import mounts, paths
from ..machine.files import check_way, private_group

ANSWER_S = 2.0
"""A daemon that is starting, or very busy, has greeted by then."""


def locate() -> paths.Paths:
    """Return the paths, the setting `state_dir` included, and make their folders."""
    private_group()  # now: a reload of the configuration in the loop would wait for it
    where = paths.locate(os.environ)
    settings = files.load(where).settings
    where = paths.locate(os.environ, settings.state_dir)
    paths.check_home(os.environ)
    paths.check_runtime_dir(os.environ)
    where = where._replace(socket=_possible_socket(where.socket))
    paths.check_socket_path(where.socket)
    _check_place(where.socket)
    mounts.check_local(where.state, paths.STATE_SETTING)
    mounts.check_local(where.socket, paths.SOCKET_SETTING)
    for folder in (where.state, where.runs, os.path.dirname(where.socket)):
        paths.ensure_private_dir(folder)
    check_way(where.state, where.home)
    return where


def _possible_socket(path: str) -> str:
    """Return `path`, or the socket in the state folder where $XDG_RUNTIME_DIR can hold none.

    It names a folder that is missing (WSL, a session that has ended) or read-only. The pointer
    file leads shells and zdeferctl from there.
    """
    try:
        paths.make_dirs(os.path.dirname(path))
    except OSError:
        rest = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        return paths.socket_path(rest)
    return path


def _check_place(path: str) -> None:
    """Raise UnsafePath where the socket would replace a file with content, or cannot: a folder."""
    try:
        found = os.lstat(path)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_size):
        raise UnsafePath(f"not a socket: {path}", "move it out of the way")


def check_alone(path: str) -> None:
    """Raise AlreadyRunning where a process listens at the socket `path`."""
    if _listens(path):
        raise AlreadyRunning(
            f"another zdeferd serves this socket: {path}",
            "`zdeferctl stop` ends it; for a second one set ZDEFERD_SOCKET to another path",
        )


def _listens(path: str) -> bool:
    """Return whether a process listens there and does not hang up before it has greeted.

    A stopped daemon greets nobody, and goes on later; a dead one's socket refuses at once, or
    hangs up where the kernel is still closing it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(ANSWER_S)
        try:
            peer.connect(path)
            return bool(peer.recv(1))
        except TimeoutError:
            return True
        except BlockingIOError:  # its queue is full
            return True
        except OSError:
            return False


def point(where: paths.Paths) -> None:
    """Write the pointer file, and remove the dead socket that the one before led to."""
    with contextlib.suppress(OSError, UnsafePath):
        before = paths.pointed_socket(where.pointer)
        paths.ensure_private_dir(os.path.dirname(where.pointer))
        zone = os.environ.get("TZ")
        _write(where.pointer, where.socket + ("" if zone is None else f"\nTZ={zone}"))
        # While it is there, shells whose rule gives it would not look at the pointer.
        if before not in ("", where.socket) and not _listens(before):
            os.unlink(before)


def _write(path: str, text: str) -> None:
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(os.fsencode(f"{text}\n"))
        os.rename(new, path)
    except OSError:  # the disk is full
        os.unlink(new)
        raise


def withdraw(where: paths.Paths) -> None:
    """Remove the pointer file if it leads to the socket of `where`."""
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.lstat(where.pointer).st_mode):
            with open(where.pointer, "rb") as file:
                ours = file.readline() == os.fsencode(f"{where.socket}\n")
            if ours:
                os.unlink(where.pointer)
