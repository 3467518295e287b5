"""A file system in memory that knows what a power cut takes away.

Owns two images of each file and folder: what programs see, and what is *durable*. `sync` makes
a file's contents durable, `sync_folder` a folder's names. All else is a pending change, and
`cut` decides by chance which of these the disk had got to: none, some, or all, names in the
order they were made or in another (but of one name in its own), contents torn at sectors of 512
bytes. Nothing orders
contents and names with each other: a file that was renamed into its place can be empty after
a cut, and a new file can be gone although its contents were synced.

Modes, owners and times are taken for durable at once. It knows no processes and no protocol;
server.py puts it behind a mount.
"""

import errno
import stat
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

SECTOR = 512
RATES = (0.0, 0.3, 0.7, 1.0)
"""How much of what was not synced a cut leaves."""
ROOT = 1


class Refused(Exception):
    """An operation fails; the one argument is an error number."""


@dataclass
class Inode:
    """A file, folder, FIFO or symbolic link."""

    number: int
    mode: int
    uid: int
    gid: int
    target: bytes = b""
    changed_ns: int = 0
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list["Change"] = field(default_factory=list)
    names: dict[bytes, int] = field(default_factory=dict)
    durable_names: dict[bytes, int] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        """Whether it holds names."""
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True)
class Change:
    """Bytes written at an offset; without bytes, a new size."""

    offset: int
    data: bytes | None = None

    def apply(self, data: bytearray) -> None:
        """Make the change; a hole before the offset is zeros."""
        if self.data is None:
            del data[self.offset :]
        data.extend(bytes(max(0, self.offset - len(data))))
        if self.data is not None:
            data[self.offset : self.offset + len(self.data)] = self.data

    def sectors(self) -> list["Change"]:
        """The change as the disk takes it in, piece by piece."""
        if self.data is None:
            return [self]
        ends = range(SECTOR - self.offset % SECTOR, len(self.data), SECTOR)
        cuts = [0, *ends, len(self.data)]
        pieces = pairwise(cuts)
        return [Change(self.offset + a, self.data[a:b]) for a, b in pieces]


@dataclass(frozen=True)
class Naming:
    """Names that change together: (folder, name, inode; None: the name goes)."""

    names: tuple[tuple[int, bytes, int | None], ...]


class ForgetfulDisk:
    """All inodes, and the changes of names that are not durable."""

    def __init__(self) -> None:
        root = Inode(ROOT, stat.S_IFDIR | 0o700, 0, 0)
        self.inodes = {ROOT: root}
        self.namings: list[Naming] = []
        self.lies = False
        """It says that it has synced, and has not: to show that the audit sees it."""
        self._last = ROOT

    def find(self, folder: int, name: bytes) -> Inode:
        """The inode of a name."""
        number = self.inodes[folder].names.get(name)
        if number is None:
            raise Refused(errno.ENOENT)
        return self.inodes[number]

    def make(self, folder: int, name: bytes, made: Inode) -> Inode:
        """A new name for a new inode, which gets its number here."""
        if name in self.inodes[folder].names:
            raise Refused(errno.EEXIST)
        self._last += 1
        made.number = self._last
        self.inodes[made.number] = made
        self._name((folder, name, made.number))
        return made

    def remove(self, folder: int, name: bytes) -> None:
        """A name goes; what has the file open keeps it."""
        if self.find(folder, name).names:
            raise Refused(errno.ENOTEMPTY)
        self._name((folder, name, None))

    def rename(self, folder: int, name: bytes, to: int, new: bytes) -> None:
        """Both names change at once, also after a cut."""
        moved = self.find(folder, name)
        if (folder, name) != (to, new):
            self._name((to, new, moved.number), (folder, name, None))

    def _name(self, *names: tuple[int, bytes, int | None]) -> None:
        for folder, name, number in names:
            _set(self.inodes[folder].names, name, number)
        self.namings.append(Naming(names))

    def write(self, file: Inode, offset: int, data: bytes) -> None:
        """Bytes that programs see at once."""
        self._change(file, Change(offset, data))

    def truncate(self, file: Inode, size: int) -> None:
        """A new size."""
        self._change(file, Change(size))

    @staticmethod
    def _change(file: Inode, change: Change) -> None:
        change.apply(file.data)
        file.pending.append(change)

    def sync(self, file: Inode) -> None:
        """The file's contents are durable; its name is not."""
        if self.lies:
            return
        for change in file.pending:
            change.apply(file.durable)
        file.pending.clear()

    def sync_folder(self, folder: int) -> None:
        """The folder's names are durable, and with a renamed one its other name."""
        if self.lies:
            return
        kept = []
        for naming in self.namings:
            if any(number == folder for number, _, _ in naming.names):
                self._make_durable(naming)
            else:
                kept.append(naming)
        self.namings = kept

    def _make_durable(self, naming: Naming) -> None:
        for folder, name, number in naming.names:
            _set(self.inodes[folder].durable_names, name, number)

    def cut(self, chance: Random) -> None:
        """The power is gone, and comes back: what is seen now is what the disk had got to."""
        rate = chance.choice(RATES)
        for naming in self._survivors(rate, chance):
            self._make_durable(naming)
        for inode in self.inodes.values():
            _tear(inode, rate, chance)
        self.namings = []
        self._drop_the_unreachable()

    def _survivors(self, rate: float, chance: Random) -> list[Naming]:
        """In their order, or in any in which the changes of one name keep theirs."""
        if chance.random() < 0.5:
            return self.namings[: round(rate * len(self.namings))]
        lost: set[tuple[int, bytes]] = set()
        kept = []
        for naming in self.namings:
            places = {(folder, name) for folder, name, _ in naming.names}
            if places & lost or chance.random() >= rate:
                lost |= places
            else:
                kept.append(naming)
        return kept

    def _drop_the_unreachable(self) -> None:
        reached, todo = set[int](), [ROOT]
        while todo:
            number = todo.pop()
            reached.add(number)
            todo += set(self.inodes[number].names.values()) - reached
        self.inodes = {number: self.inodes[number] for number in reached}


def _tear(inode: Inode, rate: float, chance: Random) -> None:
    for change in inode.pending:
        for piece in change.sectors():
            if chance.random() < rate:
                piece.apply(inode.durable)
    inode.pending = []
    inode.data = bytearray(inode.durable)
    inode.names = dict(inode.durable_names)


def _set(names: dict[bytes, int], name: bytes, number: int | None) -> None:
    if number is None:
        names.pop(name, None)
    else:
        names[name] = number
