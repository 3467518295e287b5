"""The kernel's FUSE protocol on /dev/fuse: requests in, replies out, one at a time.

Owns the layout of the messages that server.py needs (fuse.h of Linux, protocol 7.31), the
mount, and nothing of what the file system means. Locks, caches and FIFOs are the kernel's: a
connection that announces neither POSIX locks nor flock gets local ones. Needs root.
"""

import ctypes
import os
import struct
from typing import NamedTuple

VERSION = (7, 31)
BUFFER = 1 << 20
MAX_WRITE = 1 << 17
VALID_S = 3600
"""How long the kernel may keep names and attributes: nobody else changes them."""

LOOKUP, FORGET, GETATTR, SETATTR, READLINK, SYMLINK = 1, 2, 3, 4, 5, 6
MKNOD, MKDIR, UNLINK, RMDIR, RENAME = 8, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 14, 15, 16, 17, 18, 20
INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR = 26, 27, 28, 29, 30
CREATE, INTERRUPT, DESTROY, BATCH_FORGET, RENAME2 = 35, 36, 38, 42, 45
WITHOUT_REPLY = {FORGET, BATCH_FORGET, INTERRUPT, DESTROY}
CHANGES = {
    *(SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, WRITE, FSYNC, FSYNCDIR),
    *(CREATE, RENAME2),
}
"""What a power cut is counted by."""

BIG_WRITES = 1 << 5
SET_MODE, SET_UID, SET_GID, SET_SIZE = 1, 2, 4, 8

_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_ATTR = struct.Struct("<6Q10I")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI7I")
NODEV_NOSUID = 2 | 4


class Request(NamedTuple):
    """One request of the kernel."""

    opcode: int
    unique: int
    node: int
    uid: int
    gid: int
    body: bytes

    def ints(self, layout: str) -> tuple[int, ...]:
        """The fixed part of the body."""
        found: tuple[int, ...] = struct.unpack_from(layout, self.body)
        return found

    def rest(self, layout: str) -> bytes:
        """What follows the fixed part."""
        return self.body[struct.calcsize(layout) :]

    def names(self, layout: str = "<") -> list[bytes]:
        """The names behind the fixed part."""
        return self.rest(layout).split(b"\0")[:-1]


class Connection:
    """One mount, from here to `close`, which aborts whatever still waits for an answer."""

    def __init__(self, where: str) -> None:
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,default_permissions"
        libc = ctypes.CDLL(None, use_errno=True)
        source, kind = b"forgetful", b"fuse"
        if libc.mount(source, where.encode(), kind, NODEV_NOSUID, options.encode()):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), where)

    def receive(self) -> Request | None:
        """The next request; None: it was unmounted."""
        try:
            message = os.read(self.fd, BUFFER)
        except OSError:
            return None
        size, opcode, unique, node, uid, gid, *_ = _IN.unpack_from(message)
        return Request(opcode, unique, node, uid, gid, message[_IN.size : size])

    def reply(self, request: Request, data: bytes = b"", error: int = 0) -> None:
        """Answer; the kernel may have given the request up meanwhile."""
        head = _OUT.pack(_OUT.size + len(data), -error, request.unique)
        try:
            os.write(self.fd, head + data)
        except FileNotFoundError:
            pass  # interrupted: nobody waits for it any more

    def greet(self, request: Request) -> None:
        """The answer to INIT."""
        flags = BIG_WRITES
        sizes = (0, flags, 12, 9, MAX_WRITE, 1, 0, 0, 0)
        self.reply(request, _INIT_OUT.pack(*VERSION, *sizes, *[0] * 7))

    def close(self) -> None:
        """The server is gone: every call that waits for it fails."""
        os.close(self.fd)


def attributes(number: int, size: int, mode: int, uid: int, gid: int, at_ns: int) -> bytes:
    """`struct fuse_attr`."""
    seconds, rest = divmod(at_ns, 10**9)
    blocks = (size + 511) // 512
    wide = (number, size, blocks, seconds, seconds, seconds)
    return _ATTR.pack(*wide, rest, rest, rest, mode, 1, uid, gid, 0, 4096, 0)


def attribute_reply(attribute: bytes) -> bytes:
    """`struct fuse_attr_out`."""
    return struct.pack("<QII", VALID_S, 0, 0) + attribute


def entry_reply(number: int, attribute: bytes) -> bytes:
    """`struct fuse_entry_out`."""
    return struct.pack("<4Q2I", number, 0, VALID_S, VALID_S, 0, 0) + attribute


def open_reply() -> bytes:
    """`struct fuse_open_out`: no handle, nothing special."""
    return struct.pack("<QIi", 0, 0, 0)


def statistics_reply() -> bytes:
    """`struct fuse_statfs_out`: a disk with room."""
    blocks = 1 << 20
    return struct.pack("<5Q4I24x", blocks, blocks, blocks, blocks, blocks, 4096, 255, 4096, 0)


def folder_entry(number: int, offset: int, kind: int, name: bytes) -> bytes:
    """`struct fuse_dirent`, padded."""
    head = struct.pack("<QQII", number, offset, len(name), kind)
    return head + name + bytes(-len(name) % 8)
