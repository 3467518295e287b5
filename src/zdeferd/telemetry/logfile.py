"""Opens the file of a shared log, appends one line, flushes it, looks for lines in it.

A line is one write(2) with its newline, on a descriptor with O_APPEND. Two cases add to that:

* The file does not end in a newline, because another program left a torn line. Ours begins
  with a newline then, in the same write: the torn line stays one defect and ours stays whole.
* A full disk makes the write a short one. The rest is written, or the piece is cut off as long
  as no other program has appended behind it. No lock covers the instant between that check and
  the cut, because the shells that write to the log take none.

Only regular files of the user are opened, and no symlink is followed. Assumes that telemetry
lines are short and hold no newline.
"""

import os
import stat
import sys
import zlib
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from ..errors import LogUnavailable
from ..machine.files import open_file
from ..machine.paths import MEASURING, sync_folder

LOOKS = 50
"""About 0.1 ms: far longer than a write takes from one page to the next."""
COMPARED_BYTES = 1024
"""The bytes before the offset of an intent by which a file is recognised."""
SYNCED_LIMIT = 64
"""Files that are remembered as flushed; a forgotten one is flushed once more."""
_FLAGS = os.O_RDWR | os.O_APPEND


class Intent(NamedTuple):
    """The file to which lines are about to be appended, and its size before that."""

    inode: int
    """Without the device: another boot may number the same disk differently."""
    offset: int
    before: int | None
    """A checksum of the bytes before the offset; None: begun by an earlier version."""


class Settled(StrEnum):
    """The fate of a line that was begun and not marked."""

    THERE = "there"
    ABSENT = "absent"
    """Certainly not in the file."""
    GONE = "gone"
    """The file is gone, or was emptied: the line may have been in it."""


class Kept(NamedTuple):
    """A log as it was when it was last flushed."""

    device: int
    inode: int
    size: int
    folder_changed_ns: int


Synced = dict[str, Kept]
"""The files that this process has flushed, by path."""


def is_measured(path: str) -> bool:
    """Return whether `path` is the log of a shell that `zdeferctl perf` started."""
    return os.path.basename(os.path.dirname(path)).startswith(MEASURING)


def discards(path: str) -> bool:
    """Return whether no lines are wanted: the null device, or a log of a past measurement."""
    if is_measured(path):
        return not os.path.lexists(os.path.dirname(path))
    try:
        null, found = os.stat(os.devnull), os.lstat(path)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == null.st_rdev


def open_log(path: str) -> int:
    """Open `path` for appending, with mode 0600 where it is new; LogUnavailable."""
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
    """Return what must be durable before the next append to `log`; LogUnavailable."""
    try:
        found = os.fstat(log)
        return Intent(found.st_ino, found.st_size, _checksum(log, found.st_size))
    except OSError as error:
        raise _unavailable("read", "the log", error) from None


def make_durable(log: int, path: str, synced: Synced) -> None:
    """Flush the log and its name in its folder; LogUnavailable.

    Does nothing where neither has changed since this process did it last.
    """
    folder = os.path.dirname(path)
    try:
        found = os.fstat(log)
        now = Kept(found.st_dev, found.st_ino, found.st_size, os.stat(folder).st_mtime_ns)
        before = synced.get(path)
        if now == before:
            return
        _flush(log)
        if before is None or now._replace(size=0) != before._replace(size=0):
            sync_folder(folder)
    except OSError as error:
        raise _unavailable("flush", path, error) from None
    if len(synced) >= SYNCED_LIMIT:
        synced.clear()
    synced[path] = now


def _flush(log: int) -> None:
    if sys.platform == "darwin":  # which has no fdatasync
        os.fsync(log)
    else:
        os.fdatasync(log)


def append(log: int, text: bytes) -> None:
    """Append one line; LogUnavailable: it is not in the file as a whole line."""
    try:
        data = text + b"\n" if _ends_whole(log) else b"\n" + text + b"\n"
        written = os.write(log, data)
        if written == len(data):
            return
        # The end of our piece, even where another program has written since.
        end = os.lseek(log, 0, os.SEEK_CUR)
        whole = _complete(log, end - written, end, data[written:])
    except OSError as error:
        raise _unavailable("write", "the log", error) from None
    if not whole:
        raise LogUnavailable("cannot write the log: it took a part of a line", "free disk space")


def settle(path: str, begun: Intent, texts: Sequence[bytes]) -> list[Settled]:
    """Return, for each line of a group that was begun, whether it is in its file.

    The lines that are there are flushed. A piece of a line at the end of the file is
    completed, or cut off. LogUnavailable: the file cannot be read now.
    """
    try:
        found = _find(path, begun)
        if found is None:
            return [Settled.GONE] * len(texts)
        log = open_file(found, _FLAGS)
    except OSError as error:
        raise _unavailable("look into", path, error) from None
    try:
        if os.fstat(log).st_ino != begun.inode:
            return [Settled.GONE] * len(texts)
        return _settle_in(log, begun, texts)
    except OSError as error:
        raise _unavailable("read", path, error) from None
    finally:
        os.close(log)


def _settle_in(log: int, begun: Intent, texts: Sequence[bytes]) -> list[Settled]:
    # A file that was emptied since may hold the lines from its beginning on. A line that it
    # does not hold is not absent: it may have been there before.
    same = _is_continued(log, begun)
    there = _look_for(log, begun.offset if same else 0, texts)
    if there:
        _flush(log)
    missing = Settled.ABSENT if same else Settled.GONE
    return [Settled.THERE if number in there else missing for number in range(len(texts))]


def _is_continued(log: int, begun: Intent) -> bool:
    """Return whether the file still holds what it held when the group was begun."""
    if os.fstat(log).st_size < begun.offset:
        return False
    return begun.before is None or begun.before == _checksum(log, begun.offset)


def _checksum(log: int, offset: int) -> int:
    start = max(0, offset - COMPARED_BYTES)
    return zlib.crc32(os.pread(log, offset - start, start))


def _look_for(log: int, offset: int, texts: Sequence[bytes]) -> set[int]:
    """Return the numbers of the lines that stand behind `offset`, each found line counted once."""
    missing: dict[bytes, list[int]] = {}
    for number, text in enumerate(texts):
        missing.setdefault(text + b"\n", []).append(number)
    there: set[int] = set()
    at = offset
    with open(log, "rb", closefd=False) as file:
        file.seek(offset)
        if not _line_begins(log, offset):
            at += len(file.readline())
        for found in file:
            line = found
            if not found.endswith(b"\n"):
                line = _completed(log, at, found, [one for one in missing if missing[one]])
            if numbers := missing.get(line):
                there.add(numbers.pop(0))
            at += len(found)
    return there


def _completed(log: int, at: int, piece: bytes, lines: Sequence[bytes]) -> bytes:
    """Complete the piece at the end of the file; return that line, empty where it is none."""
    line = next((line for line in lines if line.startswith(piece)), b"")
    whole = line and _complete(log, at, at + len(piece), line[len(piece) :])
    return line if whole else b""


def _complete(log: int, begin: int, end: int, missing: bytes) -> bool:
    """Complete the piece of a line from `begin` to `end`, or cut it off; return if it is whole.

    Does neither where another program has appended behind it.
    """
    while missing:
        if os.fstat(log).st_size != end:
            return False
        try:
            written = os.write(log, missing)
        except OSError:
            break
        end, missing = end + written, missing[written:]
    if missing and os.fstat(log).st_size == end:
        os.ftruncate(log, begin)
    return not missing


def _find(path: str, begun: Intent) -> str | None:
    """Return the path of the file of that inode: `path`, or a name like it after a rotation."""
    folder, name = os.path.split(path)
    stem = name.split(".")[0] or name
    try:
        siblings = [entry for entry in os.listdir(folder) if entry.startswith(stem)]
    except FileNotFoundError:
        return None
    for candidate in (name, *siblings):
        found = _lstat(f"{folder}/{candidate}")
        if found and stat.S_ISREG(found.st_mode) and found.st_ino == begun.inode:
            return f"{folder}/{candidate}"
    return None


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _ends_whole(log: int) -> bool:
    """Return whether the last line has its newline."""
    # A write that crosses a page is visible in two pieces: a torn line may be whole in a moment.
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
