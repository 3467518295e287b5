"""The process behind the mount: serves a ForgetfulDisk, and cuts the power when it is told to.

Owns the disk for as long as it lives, over all cuts. Its orders come as lines of JSON on a
socket: `{"mount": FOLDER, "cut_at": N, "seed": S, "lies": false}` mounts, and cuts the power
at the N-th change (0: never); `{"cut": S}` cuts it now. After a cut it says `off`, after a
mount `on`.
"""

import errno
import json
import select
import socket
import stat
import sys
import time
from collections.abc import Callable
from random import Random

from powercut import fuse
from powercut.disk import ForgetfulDisk, Inode, Refused
from powercut.fuse import Connection, Request

RENAME_NOREPLACE = 1


class Server:
    """One disk, and at most one mount of it."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders, self._lines = orders, orders.makefile("rw")
        self._disk = ForgetfulDisk()
        self._mount: Connection | None = None
        self._changes = self._cut_at = self._seed = 0
        self._answers: dict[int, Callable[[Request], bytes]] = {
            fuse.LOOKUP: self._lookup,
            fuse.GETATTR: self._getattr,
            fuse.SETATTR: self._setattr,
            fuse.READLINK: lambda request: self._node(request).target,
            fuse.SYMLINK: self._symlink,
            fuse.MKNOD: lambda request: self._make(request, "<4I"),
            fuse.MKDIR: lambda request: self._make(request, "<2I", stat.S_IFDIR),
            fuse.UNLINK: self._remove,
            fuse.RMDIR: self._remove,
            fuse.RENAME: lambda request: self._rename(request, "<Q"),
            fuse.RENAME2: lambda request: self._rename(request, "<QII"),
            fuse.OPEN: lambda request: fuse.open_reply(),
            fuse.OPENDIR: lambda request: fuse.open_reply(),
            fuse.CREATE: self._create,
            fuse.READ: self._read,
            fuse.WRITE: self._write,
            fuse.READDIR: self._readdir,
            fuse.STATFS: lambda request: fuse.statistics_reply(),
            fuse.RELEASE: lambda request: b"",
            fuse.RELEASEDIR: lambda request: b"",
            fuse.FSYNC: self._fsync,
            fuse.FSYNCDIR: self._fsyncdir,
        }

    def serve(self) -> None:
        """Until nobody can give orders any more."""
        while True:
            waiting = [self._orders] + ([self._mount.fd] if self._mount else [])
            ready = select.select(waiting, [], [])[0]
            if self._mount and self._mount.fd in ready:
                self._take(self._mount)
            elif self._orders in ready:
                line = self._lines.readline()
                if not line:
                    return
                self._obey(json.loads(line))

    def _obey(self, order: dict[str, int | str]) -> None:
        if "cut" in order:
            self._seed = int(order["cut"])
            self._cut()
            return
        self._changes, self._cut_at = 0, int(order["cut_at"])
        self._seed = int(order["seed"])
        self._disk.lies = bool(order["lies"])
        self._mount = Connection(str(order["mount"]))
        self._say("on")

    def _cut(self) -> None:
        # Said first: a daemon that ends because its disk is gone has not ended by itself.
        self._say("off")
        if self._mount:
            self._mount.close()
            self._mount = None
        self._disk.cut(Random(self._seed))

    def _say(self, word: str) -> None:
        self._lines.write(word + "\n")
        self._lines.flush()

    def _take(self, mount: Connection) -> None:
        request = mount.receive()
        if request is None:
            mount.close()
            self._mount = None
            return
        if request.opcode in fuse.CHANGES:
            self._changes += 1
        if self._changes == self._cut_at > 0:
            # Odd seeds: the change was made, and nobody was told.
            if self._seed % 2:
                self._answer(request)
            self._cut()
        elif request.opcode == fuse.INIT:
            mount.greet(request)
        elif request.opcode not in fuse.WITHOUT_REPLY:
            mount.reply(request, *self._answer(request))

    def _answer(self, request: Request) -> tuple[bytes, int]:
        answer = self._answers.get(request.opcode)
        if answer is None:
            return b"", errno.ENOSYS
        try:
            return answer(request), 0
        except Refused as refusal:
            return b"", refusal.args[0]

    # --- names

    def _node(self, request: Request) -> Inode:
        return self._disk.inodes[request.node]

    @staticmethod
    def _attributes(inode: Inode) -> bytes:
        size = len(inode.target or inode.data)
        owner = (inode.uid, inode.gid)
        return fuse.attributes(inode.number, size, inode.mode, *owner, inode.changed_ns)

    def _entry(self, inode: Inode) -> bytes:
        return fuse.entry_reply(inode.number, self._attributes(inode))

    def _lookup(self, request: Request) -> bytes:
        return self._entry(self._disk.find(request.node, request.names()[0]))

    def _make(self, request: Request, layout: str, kind: int = 0) -> bytes:
        return self._entry(self._new(request, request.ints(layout)[0] | kind, layout))

    def _new(self, request: Request, mode: int, layout: str) -> Inode:
        made = Inode(0, mode, request.uid, request.gid, changed_ns=time.time_ns())
        self._touch(request)
        return self._disk.make(request.node, request.names(layout)[0], made)

    def _create(self, request: Request) -> bytes:
        layout = "<4I"
        made = self._new(request, request.ints(layout)[1] | stat.S_IFREG, layout)
        return self._entry(made) + fuse.open_reply()

    def _symlink(self, request: Request) -> bytes:
        name, target = request.names()
        made = Inode(0, stat.S_IFLNK | 0o777, request.uid, request.gid, target)
        return self._entry(self._disk.make(request.node, name, made))

    def _remove(self, request: Request) -> bytes:
        self._disk.remove(request.node, request.names()[0])
        self._touch(request)
        return b""

    def _rename(self, request: Request, layout: str) -> bytes:
        to, *flags = request.ints(layout)
        old, new = request.names(layout)
        if flags and flags[0] & ~RENAME_NOREPLACE:
            raise Refused(errno.EINVAL)
        self._disk.rename(request.node, old, to, new)
        self._touch(request)
        self._disk.inodes[to].changed_ns = time.time_ns()
        return b""

    def _touch(self, request: Request) -> None:
        self._node(request).changed_ns = time.time_ns()

    def _readdir(self, request: Request) -> bytes:
        _, offset, size = request.ints("<QQI")
        reply = b""
        names = list(self._node(request).names.items())
        for position, (name, number) in enumerate(names[offset:], offset + 1):
            kind = stat.S_IFMT(self._disk.inodes[number].mode) >> 12
            entry = fuse.folder_entry(number, position, kind, name)
            if len(reply) + len(entry) > size:
                break
            reply += entry
        return reply

    # --- attributes and contents

    def _getattr(self, request: Request) -> bytes:
        return fuse.attribute_reply(self._attributes(self._node(request)))

    def _setattr(self, request: Request) -> bytes:
        fields = request.ints("<II6Q8I")
        valid, size, mode, uid, gid = fields[0], fields[3], fields[11], fields[13], fields[14]
        inode = self._node(request)
        if valid & fuse.SET_MODE:
            inode.mode = stat.S_IFMT(inode.mode) | stat.S_IMODE(mode)
        if valid & fuse.SET_UID:
            inode.uid = uid
        if valid & fuse.SET_GID:
            inode.gid = gid
        if valid & fuse.SET_SIZE:
            self._disk.truncate(inode, size)
        self._touch(request)
        return self._getattr(request)

    def _read(self, request: Request) -> bytes:
        _, offset, size = request.ints("<QQI")
        return bytes(self._node(request).data[offset : offset + size])

    def _write(self, request: Request) -> bytes:
        layout = "<QQIIQII"
        _, offset, size, *_ = request.ints(layout)
        self._disk.write(self._node(request), offset, request.rest(layout)[:size])
        self._touch(request)
        return size.to_bytes(8, "little")

    def _fsync(self, request: Request) -> bytes:
        self._disk.sync(self._node(request))
        return b""

    def _fsyncdir(self, request: Request) -> bytes:
        self._disk.sync_folder(request.node)
        return b""


def main() -> None:
    """The program: `python -m powercut.server FD`."""
    with socket.socket(fileno=int(sys.argv[1])) as orders:
        Server(orders).serve()


if __name__ == "__main__":
    main()
