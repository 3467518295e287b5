"""One append per line, exactly once, to files that others append to as well.

Before a line is appended, its *intent* is committed: to which file (device, inode) and
not before which offset. Afterwards it is marked. So after a crash at most one line of a
file is in doubt, and `settle` looks for it from that offset on, in the file or in its
rotated sibling. `flush` drives this for all lines that are due, each file's lines in
their order; the mark of one line and the intent of the next share a transaction.

A line is one write(2) with its newline, on a descriptor with O_APPEND. Two cases add to
that. Where the file does not end in a newline (somebody's torn line), ours begins with
one, in the same write: a torn line stays one defect and does not swallow ours. And a short
write, which a full disk brings, is completed, or cut back as long as nobody has appended
behind it; the instant between the look and the cut is the one that no lock covers,
because the shells that write here take none.

Regular files only, symlinks not followed. Assumes that telemetry lines are short and
hold no newline, and that one process flushes at a time.
"""

import asyncio
import os
import stat
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol

from ..crashpoints import reached
from ..errors import LogUnavailable
from ..machine.files import open_file

LOOKS = 50
"""About 0.1 ms: far longer than a write takes from one page to the next."""
_FLAGS = os.O_RDWR | os.O_APPEND


class Intent(NamedTuple):
    """To which file a line is about to be appended, and where it ends until then."""

    device: int
    inode: int
    offset: int


class Settled(StrEnum):
    """What became of a line that was begun and not marked."""

    THERE = "there"
    ABSENT = "absent"
    """Certainly not in the file."""
    GONE = "gone"
    """Nobody can tell: the file is gone or was emptied."""


class PendingLine(NamedTuple):
    """A line that is due; `text` without its newline."""

    id: int
    path: str
    text: bytes
    intent: Intent | None = None
    """Set where it was begun and not marked."""


class LineLedger(Protocol):
    """What `flush` asks of the ledger; each call returns when it is durable."""

    async def advance(self, marked: int | None, begun: tuple[int, Intent] | None) -> None:
        """In one transaction: the first line is in its file, the second is about to be."""

    async def put_back(self, line: int, problem: str) -> None:
        """It is certainly not in its file, and cannot be written now."""

    async def note(self, line: int, problem: str) -> None:
        """Whether it is in its file cannot be seen now; it stays begun."""

    async def lose(self, line: int, problem: str) -> None:
        """It may or may not have reached a file that is gone: never append it again."""


async def flush(ledger: LineLedger, lines: Iterable[PendingLine]) -> bool:
    """Append all lines that can be; True if none of them is left for another time.

    Files are written side by side, each in the order of its lines, and a line that
    cannot be written holds up the rest of its file. Must not be cancelled half-way.
    """
    files: dict[str, list[PendingLine]] = {}
    for line in lines:
        files.setdefault(line.path, []).append(line)
    results = await asyncio.gather(
        *(_flush_file(ledger, path, pending) for path, pending in files.items()),
        return_exceptions=True,  # none may still be at work when this returns
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return all(results)


async def _flush_file(ledger: LineLedger, path: str, lines: list[PendingLine]) -> bool:
    file = _File(ledger, path)
    try:
        for line in lines:
            if not await file.take(line):
                return False
        return True
    finally:
        await file.close()


class _File:
    """One file during a flush. What was appended last is marked with the next line's intent."""

    def __init__(self, ledger: LineLedger, path: str) -> None:
        self._ledger, self._path = ledger, path
        self._log: int | None = None
        self._appended: int | None = None
        """The line that is in the file and not marked."""

    async def take(self, line: PendingLine) -> bool:
        """Append `line` if that has not been done; False if the file's lines must wait."""
        if line.intent is not None:
            try:
                found = await asyncio.to_thread(settle, self._path, line.intent, line.text)
            except LogUnavailable as problem:
                await self._ledger.note(line.id, str(problem))
                return False
            reached("daemon.line-settled")
            if found is not Settled.ABSENT:
                await self._conclude(line, found)
                return True
        try:
            await self._append(line)
        except LogUnavailable as problem:
            await self._ledger.put_back(line.id, str(problem))
            return False
        return True

    async def close(self) -> None:
        """Mark what is left to mark, and let go of the file."""
        if self._log is not None:
            os.close(self._log)
            self._log = None
        if self._appended is not None:
            await self._ledger.advance(self._appended, None)
            reached("daemon.line-marked")

    async def _append(self, line: PendingLine) -> None:
        begun = await asyncio.to_thread(self._begin)
        reached("daemon.line-due")
        assert self._log is not None
        await self._ledger.advance(self._appended, (line.id, begun))
        self._appended = None
        reached("daemon.line-intended")
        await asyncio.to_thread(append, self._log, line.text)
        reached("daemon.line-appended")
        self._appended = line.id

    def _begin(self) -> Intent:
        if self._log is None:
            self._log = open_log(self._path)
        return intent(self._log)

    async def _conclude(self, line: PendingLine, found: Settled) -> None:
        if found is Settled.THERE:
            await self._ledger.advance(line.id, None)
        else:
            await self._ledger.lose(line.id, f"the log it was begun in is gone: {self._path}")


# --- files ---------------------------------------------------------------------


def open_log(path: str) -> int:
    """A descriptor that appends to `path`, made with mode 0600; LogUnavailable says why not."""
    try:
        if os.path.lexists(path):
            _check_regular(path, os.lstat(path))  # opening a device can have effects
        log = open_file(path, _FLAGS | os.O_CREAT)
    except FileNotFoundError:
        folder = os.path.dirname(path)
        raise LogUnavailable(f"the log's folder is missing: {folder}", "make it") from None
    except OSError as error:
        raise _unavailable("open", path, error) from None
    try:
        _check_regular(path, os.fstat(log))
    except LogUnavailable:
        os.close(log)
        raise
    return log


def intent(log: int) -> Intent:
    """What must be durable before the next append to `log`."""
    found = os.fstat(log)
    return Intent(found.st_dev, found.st_ino, found.st_size)


def append(log: int, text: bytes) -> None:
    """One line, whole; LogUnavailable: it is not in the file as a whole line."""
    try:
        data = text + b"\n" if _ends_whole(log) else b"\n" + text + b"\n"
        written = os.write(log, data)
        if written == len(data):
            return
        end = os.lseek(log, 0, os.SEEK_CUR)  # where our piece ends, whoever wrote since
        whole = _complete(log, end - written, end, data[written:])
    except OSError as error:
        raise _unavailable("write", "the log", error) from None
    if not whole:
        raise LogUnavailable("cannot write the log: it took a part of a line", "free disk space")


def settle(path: str, begun: Intent, text: bytes) -> Settled:
    """Whether a line that was begun is in its file; LogUnavailable: cannot be seen now.

    A piece of it at the end of the file is completed, or cut off.
    """
    try:
        found = _find(path, begun)
        if found is None:
            return Settled.GONE
        log = open_file(found, _FLAGS)
    except OSError as error:
        raise _unavailable("look into", path, error) from None
    try:
        if intent(log)[:2] != begun[:2] or intent(log).offset < begun.offset:
            return Settled.GONE
        return _settle_in(log, begun.offset, text + b"\n")
    except OSError as error:
        raise _unavailable("read", path, error) from None
    finally:
        os.close(log)


def _settle_in(log: int, offset: int, line: bytes) -> Settled:
    at = offset
    with open(log, "rb", closefd=False) as file:
        file.seek(offset)
        if not _line_begins(log, offset):
            at += len(file.readline())
        for found in file:
            if found == line:
                return Settled.THERE
            if not found.endswith(b"\n") and line.startswith(found):
                whole = _complete(log, at, at + len(found), line[len(found) :])
                return Settled.THERE if whole else Settled.ABSENT
            at += len(found)
    return Settled.ABSENT


def _complete(log: int, begin: int, end: int, missing: bytes) -> bool:
    """Complete the piece of a line from `begin` to `end`, or cut it back; whether it is whole.

    Neither where somebody has appended behind it.
    """
    if os.fstat(log).st_size != end:
        return False
    try:
        written = os.write(log, missing)
    except OSError:
        written = 0
    if written == len(missing):
        return True
    if os.fstat(log).st_size == end + written:
        os.ftruncate(log, begin)
    return False


def _find(path: str, begun: Intent) -> str | None:
    """Where the file of that inode is now: at `path`, or rotated to a name like it."""
    folder, name = os.path.split(path)
    stem = name.split(".")[0] or name
    try:
        siblings = [entry for entry in os.listdir(folder) if entry.startswith(stem)]
    except FileNotFoundError:
        return None
    for candidate in (name, *siblings):
        found = _lstat(f"{folder}/{candidate}")
        if found and stat.S_ISREG(found.st_mode) and found.st_ino == begun.inode:
            return f"{folder}/{candidate}" if found.st_dev == begun.device else None
    return None


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _ends_whole(log: int) -> bool:
    """Whether the last line has its newline.

    Looked at again where it has none: a write that crosses a page is visible in two pieces,
    and what looks torn may be whole in a moment.
    """
    return any(_line_begins(log, os.fstat(log).st_size) for _ in range(LOOKS))


def _line_begins(log: int, offset: int) -> bool:
    return offset == 0 or os.pread(log, 1, offset - 1) == b"\n"


def _check_regular(path: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise LogUnavailable(f"the log is a symlink: {path}", "name the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise LogUnavailable(f"the log is not a regular file: {path}", "name another")
    if found.st_uid != os.getuid():
        raise LogUnavailable(f"the log is not yours: {path}: uid {found.st_uid}", "name another")


def _unavailable(doing: str, path: str, error: OSError) -> LogUnavailable:
    return LogUnavailable(f"cannot {doing} the log: {path}: {error.strerror}")
