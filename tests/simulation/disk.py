"""A file system in memory: files, folders, FIFOs, symbolic links, locks and descriptors.

Owns what a crash leaves behind. It knows no processes and no chance; calls.py puts the
names of `os` and `fcntl` in front of it. Paths are absolute; there are no hard links.
"""

import errno
import os
from collections.abc import Iterable

FILE, FOLDER, FIFO, LINK = 0o100000, 0o040000, 0o010000, 0o120000
ACCESS = os.O_RDONLY | os.O_WRONLY | os.O_RDWR


class Node:
    """What a name leads to."""

    __slots__ = ("data", "inode", "kind", "locks", "opened", "synced", "target", "writers")

    def __init__(self, kind: int, inode: int, target: str = "") -> None:
        self.kind, self.inode, self.target = kind, inode, target
        self.data = bytearray()
        """Of a FIFO: what was written and not read."""
        self.synced = 0
        """How many bytes of `data` a power cut cannot take."""
        self.opened: list[Description] = []
        self.locks: dict[Description, bool] = {}
        """Who holds it by flock; True: alone."""
        self.writers = 0
        """How many of those that opened it can write."""


class Description:
    """An open file, shared by the descriptors that were inherited."""

    __slots__ = ("append", "node", "path", "position", "reads", "refs", "saw_writer", "writes")

    def __init__(self, node: Node, path: str, flags: int) -> None:
        self.node, self.path, self.position, self.refs = node, path, 0, 1
        self.reads = flags & ACCESS != os.O_WRONLY
        self.writes = flags & ACCESS != os.O_RDONLY
        self.append = bool(flags & os.O_APPEND)
        self.saw_writer = False
        """A FIFO's reader sees its end only if it saw somebody before."""


class Disk:
    """Folders by path, each a map of names to nodes."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._inodes, self._next_inode = list[int](), 10
        self.folders: dict[str, dict[str, Node]] = {folder: {} for folder in folders}
        self.unsynced: dict[str, list[tuple[str, Node | None]]] = {}
        """Of each folder below /home the names that changed since its flush, and what was there."""

    def node(self, path: str) -> Node | None:
        """What stands at `path`, links not followed; a folder is a node without contents."""
        folder, _, name = path.rpartition("/")
        return self.folders.get(folder, {}).get(name)

    def need(self, path: str) -> Node:
        found = self.node(path)
        if found is None:
            raise error(errno.ENOENT, path)
        return found

    def create(self, path: str, kind: int, target: str = "") -> Node:
        """A new node; OSError where the folder is missing or the name is taken."""
        folder, _, name = path.rpartition("/")
        if folder not in self.folders:
            raise error(errno.ENOENT, path)
        if name in self.folders[folder]:
            raise error(errno.EEXIST, path)
        self._change(folder, name)
        made = self.folders[folder][name] = Node(kind, self._inode(), target)
        if kind == FOLDER:
            self.folders[path] = {}
        return made

    def _inode(self) -> int:
        """The last one that came free, as many file systems do."""
        if self._inodes:
            return self._inodes.pop()
        self._next_inode += 1
        return self._next_inode

    def remove(self, path: str) -> Node:
        """Take the name away; what has the file open keeps it."""
        gone = self.need(path)
        if gone.kind == FOLDER:
            if self.folders[path]:
                raise error(errno.ENOTEMPTY, path)
            del self.folders[path]
        folder, _, name = path.rpartition("/")
        self._change(folder, name)
        del self.folders[folder][name]
        if not gone.opened:
            self._inodes.append(gone.inode)
        return gone

    def remove_tree(self, path: str) -> None:
        for name in list(self.folders.get(path, ())):
            self.remove(f"{path}/{name}")
        if path in self.folders:
            self.remove(path)

    def rename(self, old: str, new: str) -> None:
        node = self.need(old)
        folder, _, name = new.rpartition("/")
        if folder not in self.folders:
            raise error(errno.ENOENT, new)
        self._change(folder, name)
        self.folders[folder][name] = node
        folder, _, name = old.rpartition("/")
        self._change(folder, name)
        del self.folders[folder][name]

    def _change(self, folder: str, name: str) -> None:
        if folder.startswith("/home"):
            before = self.folders[folder].get(name)
            self.unsynced.setdefault(folder, []).append((name, before))

    def undo(self, folder: str, kept: int) -> None:
        """Take back what happened to the names of a folder after the first `kept` changes."""
        changes = self.unsynced.pop(folder, [])
        for name, before in reversed(changes[kept:]):
            self.folders[folder].pop(name, None)
            for inner in [one for one in self.folders if f"{one}/".startswith(f"{folder}/{name}/")]:
                del self.folders[inner]
                self.unsynced.pop(inner, None)
            if before is not None:
                self.folders[folder][name] = before

    def open(self, path: str, flags: int) -> Description:
        node = self.node(path)
        if node is None:
            if not flags & os.O_CREAT:
                raise error(errno.ENOENT, path)
            node = self.create(path, FILE)
        elif flags & os.O_EXCL:
            raise error(errno.EEXIST, path)
        elif node.kind == LINK:
            raise error(errno.ELOOP, path)
        elif node.kind == FOLDER:
            raise error(errno.EISDIR, path)
        if flags & os.O_TRUNC:
            node.data.clear()
        made = Description(node, path, flags)
        self._tell_readers(made)
        node.opened.append(made)
        node.writers += made.writes
        return made

    def open_folder(self, path: str) -> Description:
        if path not in self.folders:
            raise error(errno.ENOENT, path)
        made = Description(self.node(path) or Node(FOLDER, 0), path, os.O_RDONLY)
        made.node.opened.append(made)
        return made

    @staticmethod
    def unnamed() -> Description:
        made = Description(Node(FILE, 0), "", os.O_RDWR)
        made.node.opened.append(made)
        made.node.writers = 1
        return made

    @staticmethod
    def _tell_readers(made: Description) -> None:
        if made.writes:
            for reader in made.node.opened:
                reader.saw_writer = True
            made.saw_writer = True
        elif made.node.writers:
            made.saw_writer = True

    @staticmethod
    def close(one: Description) -> None:
        """One descriptor less; with the last, locks and a FIFO's contents go."""
        one.refs -= 1
        if one.refs:
            return
        one.node.opened.remove(one)
        one.node.writers -= one.writes
        one.node.locks.pop(one, None)
        if one.node.kind == FIFO and not one.node.opened:
            one.node.data.clear()

    @staticmethod
    def lock(one: Description, alone: bool) -> list[Description]:
        """Take the lock; or who is in the way, and nothing is changed but a lock given up."""
        held = one.node.locks
        others = [other for other in held if other is not one and (alone or held[other])]
        if not others:
            held[one] = alone
        return others

    @staticmethod
    def readable(one: Description) -> bool:
        """Whether a FIFO's reader has something to read, its end included."""
        return bool(one.node.data) or (one.saw_writer and not one.node.writers)


def error(number: int, path: str = "") -> OSError:
    """As the kernel's wrappers make it: FileNotFoundError and so on, by number."""
    return OSError(number, os.strerror(number), path or None)
