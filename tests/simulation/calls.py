"""`os`, `fcntl`, `open` and `time` as zdeferd's modules see them on the played machine.

Every call is an instant at which anything can happen: the process is killed, another one
runs in between, the disk is full. `before` is told of each and decides. A process that is
dead does nothing more: whatever it calls raises `Killed`, clean-up code included.
"""

import errno
import fcntl
import io
import os
import posixpath
import stat
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from .disk import FIFO, FILE, FOLDER, LINK, Description, Disk, error


class Killed(BaseException):
    """The process that was running is gone, in the middle of whatever it did."""


class WouldWait(BaseException):
    """The process sleeps until a lock is free; what it did so far is done again then."""


class Process:
    """Something that can hold descriptors, and die."""

    def __init__(self, name: str, pid: int) -> None:
        self.name, self.pid = name, pid
        self.dead = False
        self.told_to_end = False
        """SIGTERM is pending or has come."""
        self.files: dict[int, Description] = {}


class Stat(NamedTuple):
    """What of `os.stat_result` anybody asks for."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_size: int
    st_uid: int = 1000
    st_mtime_ns: int = 0


class Calls:
    """The system calls of one machine. `process`: who is running now."""

    def __init__(self, disk: Disk, before: Callable[[str, str], None]) -> None:
        self.disk = disk
        self._before = before
        self.process = Process("nobody", 0)
        self._next_fd = 2
        self.closing: list[tuple[Process, int]] = []
        """Descriptors of dead processes that the kernel has not closed yet."""
        self.short_write = -1
        """The next write to a log takes no more bytes than this, unless negative."""
        self.path = SimpleNamespace(
            join=posixpath.join,
            dirname=posixpath.dirname,
            basename=posixpath.basename,
            split=posixpath.split,
            exists=lambda path: self._look(path) is not None,
            lexists=lambda path: self._look(path) is not None,
            realpath=lambda path: path,
            samestat=lambda a, b: a.st_ino == b.st_ino,
        )

    # Constants and pure functions, as they are.
    O_RDONLY, O_WRONLY, O_RDWR = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
    O_CREAT, O_EXCL, O_TRUNC, O_APPEND = os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND
    O_NOFOLLOW, O_NONBLOCK, O_CLOEXEC = os.O_NOFOLLOW, os.O_NONBLOCK, os.O_CLOEXEC
    O_DIRECTORY = os.O_DIRECTORY
    SEEK_CUR, devnull, environ = os.SEEK_CUR, os.devnull, dict[str, str]()
    stat_result, fspath, defpath = os.stat_result, staticmethod(os.fspath), os.defpath

    # descriptors

    def _give(self, one: Description) -> int:
        self._next_fd += 1
        self.process.files[self._next_fd] = one
        return self._next_fd

    def _of(self, fd: int) -> Description:
        try:
            return self.process.files[fd]
        except KeyError:
            raise error(errno.EBADF) from None

    def inherit(self, fd: int, child: Process) -> int:
        """The same open file in a child."""
        one = self._of(fd)
        one.refs += 1
        child.files[fd] = one
        return fd

    def _at(self, path: str, dir_fd: int | None) -> str:
        return path if dir_fd is None else f"{self._of(dir_fd).path}/{path}"

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        path = self._at(path, dir_fd)
        if flags & os.O_DIRECTORY:
            self._before("open", path)
            return self._give(self.disk.open_folder(path))
        creates = flags & os.O_CREAT and self.disk.node(path) is None
        self._before("create" if creates else "open", path)
        return self._give(self.disk.open(path, flags))

    def close(self, fd: int) -> None:
        self._before("close", "")
        self.disk.close(self._of(fd))
        del self.process.files[fd]

    def kill(self, process: Process) -> None:
        """It runs no more; its descriptors are closed one by one, when their turn comes."""
        process.dead = True
        self.closing += [(process, fd) for fd in process.files]

    def close_one(self, index: int = 0) -> None:
        """The kernel closes a descriptor of a dead process."""
        if not self.closing:
            return
        process, fd = self.closing.pop(index)
        self.disk.close(process.files.pop(fd))

    def flock(self, fd: int, operation: int) -> None:
        self._before("flock", "")
        one = self._of(fd)
        if operation & fcntl.LOCK_UN:
            one.node.locks.pop(one, None)
            return
        in_the_way = self.disk.lock(one, bool(operation & fcntl.LOCK_EX))
        if not in_the_way:
            return
        if operation & fcntl.LOCK_NB:
            raise error(errno.EAGAIN)
        for index, (process, number) in reversed(list(enumerate(self.closing))):
            if process.files[number] in in_the_way:
                self.close_one(index)
        if self.disk.lock(one, bool(operation & fcntl.LOCK_EX)):
            raise WouldWait

    LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = (
        *(fcntl.LOCK_SH, fcntl.LOCK_EX),
        *(fcntl.LOCK_NB, fcntl.LOCK_UN),
    )

    # names

    def _look(self, path: str) -> Any:
        self._before("stat", path)
        return self.disk.node(path)

    def stat(self, path: str, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Stat:
        path = self._at(path, dir_fd)
        self._before("stat", path)
        if path in self.disk.folders:
            return Stat(FOLDER | 0o700, 0, 1, 0)
        return _stat(self.disk.need(path))

    lstat = stat

    def fstat(self, fd: int) -> Stat:
        self._before("fstat", "")
        return _stat(self._of(fd).node)

    def _before_creating(self, path: str) -> None:
        # What is there already needs no room.
        self._before("stat" if self.disk.node(path) else "create", path)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self._before_creating(path)
        self.disk.create(path, FOLDER)

    def makedirs(self, path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        if self._look(path) is None:
            self.mkdir(path, mode)

    def mkfifo(self, path: str, mode: int = 0o666) -> None:
        self._before_creating(path)
        self.disk.create(path, FIFO)

    def symlink(self, target: str, path: str) -> None:
        self._before_creating(path)
        self.disk.create(path, LINK, target)

    def readlink(self, path: str) -> str:
        self._before("stat", path)
        node = self.disk.need(path)
        if node.kind != LINK:
            raise error(errno.EINVAL, path)
        return node.target

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        path = self._at(path, dir_fd)
        self._before("unlink", path)
        self.disk.remove(path)

    def rmdir(self, path: str) -> None:
        self._before("unlink", path)
        self.disk.remove(path)

    def rename(
        self, old: str, new: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        old, new = self._at(old, src_dir_fd), self._at(new, dst_dir_fd)
        self._before("rename", new)
        self.disk.rename(old, new)

    def listdir(self, path: str | int) -> list[str]:
        path = self._of(path).path if isinstance(path, int) else path
        self._before("stat", path)
        if path not in self.disk.folders:
            raise error(errno.ENOENT, path)
        return list(self.disk.folders[path])

    def rmtree(self, path: str, ignore_errors: bool = False) -> None:
        self._before("unlink", path)
        self.disk.remove_tree(path)

    # contents

    def read(self, fd: int, size: int) -> bytes:
        self._before("read", "")
        one = self._of(fd)
        if one.node.kind == FIFO:
            return _read_fifo(one, size)
        data = bytes(one.node.data[one.position : one.position + size])
        one.position += len(data)
        return data

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._before("read", "")
        return bytes(self._of(fd).node.data[offset : offset + size])

    def write(self, fd: int, data: bytes) -> int:
        one = self._of(fd)
        self._before("write", one.path)
        node = one.node
        if one.append and 0 <= self.short_write < len(data):
            data, self.short_write = data[: self.short_write], -1
        if one.append or node.kind == FIFO:
            node.data += data
            one.position = len(node.data)
        else:
            node.data[one.position : one.position + len(data)] = data
            one.position += len(data)
        return len(data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        self._before("pwrite", "")
        self._of(fd).node.data[offset : offset + len(data)] = data
        return len(data)

    def fdatasync(self, fd: int) -> None:
        self._before("fdatasync", self._of(fd).path)
        node = self._of(fd).node
        node.synced = len(node.data)
        self.disk.unsynced.pop(self._of(fd).path, None)

    fsync = fdatasync

    def fchmod(self, fd: int, mode: int) -> None:
        self._before("fchmod", "")

    def utime(self, fd: int, ns: tuple[int, int]) -> None:
        self._before("utime", "")

    def set_blocking(self, fd: int, blocking: bool) -> None:
        """A pipe here never blocks."""

    def umask(self, mode: int) -> int:
        return 0o022

    def ftruncate(self, fd: int, size: int) -> None:
        self._before("ftruncate", "")
        del self._of(fd).node.data[size:]

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        return self._of(fd).position

    def open_python(self, path: str | int, mode: str = "r", closefd: bool = True) -> io.BytesIO:
        """The built-in `open`, for reading bytes."""
        if isinstance(path, int):
            return io.BytesIO(bytes(self._of(path).node.data))
        self._before("open", path)
        node = self.disk.need(path)
        if node.kind != FILE:  # a tombstone leads nowhere
            raise error(errno.ENOENT, path)
        return io.BytesIO(bytes(node.data))

    # the rest

    def getpid(self) -> int:
        return self.process.pid

    def getuid(self) -> int:
        return 1000

    def pipe(self) -> tuple[int, int]:
        nowhere = self.disk.unnamed()
        nowhere.refs = 2
        return self._give(nowhere), self._give(nowhere)


def _stat(node: Any) -> Stat:
    return Stat(node.kind | 0o600, node.inode, 1, len(node.data))


def _read_fifo(one: Description, size: int) -> bytes:
    data = bytes(one.node.data[:size])
    del one.node.data[:size]
    if not data and one.node.writers:
        raise error(errno.EAGAIN)
    return data


assert (stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFLNK) == (FILE, FOLDER, FIFO, LINK)
