"""One append per line, whatever dies, tears, rotates or fills up on the way."""

import asyncio
import os
import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from zdeferd.errors import LogUnavailable
from zdeferd.machine.paths import MEASURING
from zdeferd.telemetry import logfile
from zdeferd.telemetry.logfile import Intent, Settled, Synced, append, intent, open_log
from zdeferd.telemetry.sharedlog import PendingLine, flush

T = TypeVar("T")
LINE = b"DEFERRED id=a ms=12 rc=127"


class Crash(BaseException):
    """The daemon dies here."""


class Book:
    """A ledger of lines in memory, and a crash at the step that the test chooses."""

    def __init__(self, *lines: tuple[Path, bytes]) -> None:
        self.lines = {n: PendingLine(n, str(path), text) for n, (path, text) in enumerate(lines, 1)}
        self.problems: dict[int, str] = {}
        self.lost: list[int] = []
        self.transactions = 0
        self.synced: Synced = {}
        self.seen: list[str] = []
        """What happened, in its order."""
        self.steps_left: int | None = None

    async def flush(self) -> bool:
        """Flush; whether no line is left for another time."""
        await flush(self, list(self.lines.values()), self.synced)
        return not self.lines

    def step(self) -> None:
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Crash
            self.steps_left -= 1

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        self.step()
        result = function(*args)
        self.step()
        return result

    async def begin(self, line: int, where: Intent) -> None:
        self.step()
        self.transactions += 1
        self.seen.append(f"begin {line}")
        self.lines[line] = self.lines[line]._replace(intent=where)
        self.problems.pop(line, None)
        in_doubt = {(line.path, line.intent) for line in self.lines.values() if line.intent}
        paths = [path for path, _ in in_doubt]
        assert len(paths) == len(set(paths)), "more than one group of a file is in doubt"
        self.step()

    async def mark(self, lines: Sequence[int]) -> None:
        await self.settled(lines, (), (), "")

    async def settled(
        self, there: Sequence[int], absent: Sequence[int], lost: Sequence[int], problem: str
    ) -> None:
        self.step()
        self.transactions += 1
        self.seen.append("mark " + " ".join(map(str, there)))
        for line in absent:
            self.lines[line] = self.lines[line]._replace(intent=None)
        for line in (*there, *lost):
            del self.lines[line]
        self.lost += lost
        self.problems |= dict.fromkeys(lost, problem)
        self.step()

    async def put_back(self, line: int, problem: str) -> None:
        self.step()
        self.lines[line] = self.lines[line]._replace(intent=None)
        self.problems[line] = problem

    async def note(self, line: int, problem: str) -> None:
        self.problems[line] = problem


def settle(path: str, begun: Intent, text: bytes) -> Settled:
    """What became of a group of one line."""
    return logfile.settle(path, begun, [text])[0]


@pytest.fixture
def log(home: Path) -> Path:
    return home / "perf.log"


# --- without trouble -----------------------------------------------------------


@pytest.mark.asyncio
async def test_lines_in_order_and_one_transaction_more_than_lines(log: Path) -> None:
    book = Book(*((log, b"%d" % n) for n in range(5)))
    assert await book.flush()
    assert log.read_bytes() == b"0\n1\n2\n3\n4\n"
    assert (book.lines, book.transactions) == ({}, 6)
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.asyncio
async def test_files_have_nothing_to_do_with_each_other(home: Path) -> None:
    a, b, c = home / "a", home / "none/b", home / "c"
    book = Book((a, b"1"), (b, b"2"), (c, b"3"), (b, b"4"), (a, b"5"))
    assert not await book.flush()
    assert (a.read_bytes(), c.read_bytes()) == (b"1\n5\n", b"3\n")
    assert list(book.lines) == [2, 4]
    assert book.problems == {2: f"the log's folder is missing: {home}/none; make it"}
    b.parent.mkdir()
    assert await book.flush()
    assert b.read_bytes() == b"2\n4\n"


@pytest.mark.asyncio
async def test_nothing_to_do() -> None:
    assert await Book().flush()


@pytest.mark.asyncio
async def test_each_line_is_one_write(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        writes.append(data)
        return real(fd, data)

    log.write_bytes(b"torn")
    monkeypatch.setattr(os, "write", write)
    await Book((log, b"1"), (log, b"2")).flush()
    assert writes == [b"\n1\n", b"2\n"]


def test_lines_of_others_in_between_are_left_alone(log: Path) -> None:
    fd = open_log(str(log))
    append(fd, b"1")
    with log.open("ab") as other:
        other.write(b"SEGMENT\n")
    append(fd, b"2")
    os.close(fd)
    assert log.read_bytes() == b"1\nSEGMENT\n2\n"


# --- crashes -------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", b"old\n", b"torn"])
@pytest.mark.asyncio
async def test_a_crash_at_any_step_costs_no_line_and_doubles_none(
    log: Path, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    texts = [b"same", b"same", b"other"]
    expected = before + b"\n" * (before == b"torn") + b"same\nsame\nother\n"
    crashes = 0
    while True:
        log.write_bytes(before)
        book = Book(*((log, text) for text in texts))
        monkeypatch.setattr(asyncio, "to_thread", book.in_thread)
        book.steps_left = crashes
        try:
            assert await book.flush()
        except Crash:
            book.steps_left = None
            assert await book.flush()
            crashes += 1
            assert log.read_bytes() == expected
            assert not book.lines
        else:
            break
    assert log.read_bytes() == expected
    assert crashes > 15


def begun(log: Path) -> Intent:
    fd = open_log(str(log))
    where = intent(fd)
    os.close(fd)
    return where


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (b"", b"", Settled.ABSENT),
        (b"", LINE + b"\n", Settled.THERE),
        (LINE + b"\n", b"", Settled.ABSENT),
        (b"", b"SEGMENT\n" + LINE + b"\nSEGMENT\n", Settled.THERE),
        (b"", b"x" + LINE + b"\n", Settled.ABSENT),
        (b"", LINE + b"8\n", Settled.ABSENT),
        (b"torn", b"\n" + LINE + b"\n", Settled.THERE),
        (b"torn", LINE + b"\n", Settled.ABSENT),
        (b"torn", b"", Settled.ABSENT),
    ],
)
def test_a_line_in_doubt_is_looked_for(
    log: Path, before: bytes, after: bytes, found: Settled
) -> None:
    log.write_bytes(before)
    where = begun(log)
    log.write_bytes(before + after)
    assert settle(str(log), where, LINE) is found
    assert log.read_bytes() == before + after


@pytest.mark.parametrize("cut", range(1, len(LINE) + 1))
@pytest.mark.parametrize("before", [b"", b"old\n", b"torn"])
def test_a_piece_of_a_line_is_completed(log: Path, before: bytes, cut: int) -> None:
    log.write_bytes(before)
    where = begun(log)
    newline = b"\n" if before == b"torn" else b""
    log.write_bytes(before + newline + LINE[:cut])
    assert settle(str(log), where, LINE) is Settled.THERE
    assert log.read_bytes() == before + newline + LINE + b"\n"


def test_a_piece_with_something_behind_it_is_left(log: Path) -> None:
    where = begun(log)
    log.write_bytes(LINE[:9] + b"SEGMENT\n")
    assert settle(str(log), where, LINE) is Settled.ABSENT
    assert log.read_bytes() == LINE[:9] + b"SEGMENT\n"


def test_a_rotated_log_is_found(log: Path) -> None:
    where = begun(log)
    log.write_bytes(LINE + b"\n")
    log.rename(log.with_name("perf.log.1"))
    log.write_bytes(b"new\n")
    assert settle(str(log), where, LINE) is Settled.THERE
    log.with_name("perf.log.1").rename(log.with_name("perf-20260101.log"))
    assert settle(str(log), where, LINE) is Settled.THERE


@pytest.mark.asyncio
async def test_a_line_missing_from_a_rotated_log_goes_to_the_new_one(log: Path) -> None:
    book = Book((log, LINE))
    book.lines[1] = book.lines[1]._replace(intent=begun(log))
    log.rename(log.with_name("perf.log.1"))
    assert await book.flush()
    assert log.read_bytes() == LINE + b"\n"
    assert log.with_name("perf.log.1").read_bytes() == b""


def emptied(log: Path) -> None:
    log.write_bytes(b"")


def deleted(log: Path) -> None:
    log.rename(log.with_name("elsewhere"))


def with_its_folder(log: Path) -> None:
    log.parent.rename(log.parent.with_name("gone"))


@pytest.mark.parametrize("fate", [emptied, deleted, with_its_folder])
@pytest.mark.asyncio
async def test_where_nobody_can_tell_the_line_is_not_written_again(
    home: Path, fate: Callable[[Path], None]
) -> None:
    log = home / "logs/perf.log"
    log.parent.mkdir()
    log.write_bytes(b"old\n")
    book = Book((log, LINE), (log, b"next"))
    book.lines[1] = book.lines[1]._replace(intent=begun(log))
    fate(log)
    await book.flush()
    assert book.lost == [1]
    assert book.problems[1] == f"the log it was begun in is gone: {log}"
    assert not log.exists() or log.read_bytes() == b"next\n"


@pytest.mark.asyncio
async def test_a_line_that_cannot_be_looked_for_stays_in_doubt(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book((log, LINE), (log, b"next"))
    book.lines[1] = book.lines[1]._replace(intent=begun(log))

    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        assert not await book.flush()
    assert book.lines[1].intent
    assert book.problems == {1: f"cannot look into the log: {log}: Permission denied"}
    assert await book.flush()
    assert log.read_bytes() == LINE + b"\nnext\n"


# --- what is durable before a mark ---------------------------------------------


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Each flush of a file or folder: its path, and how many bytes it held."""
    seen: list[tuple[str, int]] = []

    def note(fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        seen.append((path, os.fstat(fd).st_size if os.path.isfile(path) else 0))

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(os, "fsync", note)
    return seen


@pytest.mark.asyncio
async def test_many_lines_are_flushed_once_and_then_marked(
    log: Path, flushes: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(*((log, b"%d" % n) for n in range(5)))
    note = os.fdatasync

    def seen(fd: int) -> None:
        book.seen.append("flush")
        note(fd)

    monkeypatch.setattr(os, "fdatasync", seen)
    assert await book.flush()
    begun = [f"begin {n}" for n in range(1, 6)]
    assert book.seen == ["flush", *begun, "flush", "mark 1 2 3 4 5"]
    assert flushes == [(f"{log}", 0), (f"{log.parent}", 0), (f"{log}", 10)]


@pytest.mark.asyncio
async def test_what_is_durable_already_is_not_flushed_again(
    log: Path, flushes: list[tuple[str, int]]
) -> None:
    book = Book((log, b"1"))
    await book.flush()
    flushes.clear()
    book.lines[2] = PendingLine(2, str(log), b"2")
    await book.flush()
    assert flushes == [(f"{log}", 4)]
    with log.open("ab") as other:
        other.write(b"SEGMENT\n")
    flushes.clear()
    book.lines[3] = PendingLine(3, str(log), b"3")
    await book.flush()
    assert flushes == [(f"{log}", 12), (f"{log}", 14)]
    log.rename(log.with_suffix(".1"))
    flushes.clear()
    book.lines[4] = PendingLine(4, str(log), b"4")
    await book.flush()
    assert flushes == [(f"{log}", 0), (f"{log.parent}", 0), (f"{log}", 2)]


@pytest.mark.asyncio
async def test_a_line_that_cannot_be_flushed_is_not_marked(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book((log, LINE))
    real = os.fdatasync

    def fdatasync(fd: int) -> None:
        if os.fstat(fd).st_size:
            raise OSError(5, "Input/output error")
        real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fdatasync)
        assert not await book.flush()
        assert not await book.flush()
    assert book.lines[1].intent
    assert book.problems[1] == f"cannot read the log: {log}: Input/output error"
    assert await book.flush()
    assert log.read_bytes() == LINE + b"\n"


@pytest.mark.asyncio
async def test_lines_found_after_a_crash_are_flushed_before_they_are_marked(
    log: Path, flushes: list[tuple[str, int]]
) -> None:
    book = Book((log, LINE))
    book.lines[1] = book.lines[1]._replace(intent=begun(log))
    log.write_bytes(LINE + b"\n")
    assert await book.flush()
    assert flushes == [(f"{log}", len(LINE) + 1)]


# --- a group in doubt ----------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "there"),
    [
        (b"", []),
        (b"a\n", [0]),
        (b"a\nSEGMENT\na\n", [0, 1]),
        (b"a\na\nb\n", [0, 1, 2]),
        (b"\0\0\0\nb\n", [2]),
        (b"\0\0a\na\n", [0]),
    ],
)
def test_of_equal_lines_each_is_found_as_often_as_it_is_there(
    log: Path, after: bytes, there: list[int]
) -> None:
    log.write_bytes(b"old\n")
    where = begun(log)
    log.write_bytes(b"old\n" + after)
    found = logfile.settle(str(log), where, [b"a", b"a", b"b"])
    assert [n for n, fate in enumerate(found) if fate is Settled.THERE] == there
    assert set(found) <= {Settled.THERE, Settled.ABSENT}


@pytest.mark.asyncio
async def test_what_a_power_cut_took_is_appended_again(log: Path) -> None:
    log.write_bytes(b"old\n")
    book = Book((log, b"1"), (log, b"2"), (log, b"3"))
    where = begun(log)
    for number in (1, 2):
        book.lines[number] = book.lines[number]._replace(intent=where)
    log.write_bytes(b"old\n\0\0\n2\n")
    assert await book.flush()
    assert log.read_bytes() == b"old\n\0\0\n2\n1\n3\n"
    assert not book.lost


@pytest.mark.parametrize("again", [b"", LINE + b"\n"])
def test_a_log_that_was_emptied_and_has_grown_again(log: Path, again: bytes) -> None:
    """Copied and emptied while no daemon was there, and longer than the offset by now."""
    log.write_bytes(b"SEGMENT name=old ms=1\n")
    where = begun(log)
    log.write_bytes(b"SEGMENT name=new ms=2\n" * 3 + again)
    assert settle(str(log), where, LINE) is (Settled.THERE if again else Settled.GONE)


def test_a_line_that_an_earlier_version_began(log: Path) -> None:
    log.write_bytes(b"old\n" + LINE + b"\n")
    assert settle(str(log), Intent(log.stat().st_ino, 4, None), LINE) is Settled.THERE


# --- what is no log ------------------------------------------------------------


def test_symlinks_are_not_followed(log: Path) -> None:
    log.with_name("real").touch()
    log.symlink_to("real")
    with pytest.raises(LogUnavailable, match="is a symlink"):
        open_log(str(log))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_only_regular_files(log: Path, make: Callable[[Path], None]) -> None:
    make(log)
    with pytest.raises(LogUnavailable, match="not a regular file"):
        open_log(str(log))


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/dev/null", "/dev/../dev//null"])
async def test_lines_for_the_null_device_are_dropped_as_written(path: str) -> None:
    book = Book((Path("/"), LINE), (Path("/"), LINE))
    book.lines = {n: line._replace(path=path) for n, line in book.lines.items()}
    assert await book.flush()
    assert (book.transactions, book.problems) == (1, {})


@pytest.mark.asyncio
async def test_lines_for_a_measurement_that_is_over_are_dropped_as_written(tmp_path: Path) -> None:
    folder = tmp_path / f"{MEASURING}x"
    folder.mkdir()
    book = Book((folder / "1", LINE))
    assert await book.flush()
    assert (folder / "1").read_bytes() == LINE + b"\n"
    shutil.rmtree(folder)
    book = Book((folder / "1", LINE), (folder / "1.jsonl", LINE))
    assert await book.flush()
    assert (book.problems, folder.exists()) == ({}, False)


def test_devices_are_not_even_opened() -> None:
    with pytest.raises(LogUnavailable, match="not a regular file: /dev/null"):
        open_log("/dev/null")


def test_a_log_that_became_something_else_between_the_looks(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(log)
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    with pytest.raises(LogUnavailable, match="not a regular file"):
        open_log(str(log))


# --- short writes --------------------------------------------------------------


@contextmanager
def full_disk(log: Path, room: int) -> Iterator[None]:
    """The file can grow by `room` bytes and no more (EFBIG instead of ENOSPC).

    For the moment only: the limit is the whole process's, the test run's own report included.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("before", [b"old\n", b"torn"])
@pytest.mark.parametrize("room", [0, 1, 5])
@pytest.mark.asyncio
async def test_a_full_disk_leaves_no_piece(log: Path, before: bytes, room: int) -> None:
    log.write_bytes(before)
    book = Book((log, LINE))
    with full_disk(log, room):
        assert not await book.flush()
    assert log.read_bytes() == before
    assert "cannot write the log" in book.problems[1]
    assert book.lines[1].intent is None


def short_then(monkeypatch: pytest.MonkeyPatch, then: Callable[[int, bytes], int]) -> None:
    """The first write takes 5 bytes; the second is `then`."""
    real, done = os.write, []

    def write(fd: int, data: bytes) -> int:
        done.append(data)
        return real(fd, data[:5]) if len(done) == 1 else then(fd, data)

    monkeypatch.setattr(os, "write", write)


@pytest.mark.asyncio
async def test_a_short_write_is_completed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short_then(monkeypatch, os.write)
    assert await Book((log, LINE)).flush()
    assert log.read_bytes() == LINE + b"\n"


@pytest.mark.asyncio
async def test_a_line_is_completed_however_short_each_write_is(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[: max(1, len(data) // 2)]))
    assert await Book((log, LINE), (log, LINE)).flush()
    assert log.read_bytes() == (LINE + b"\n") * 2


@pytest.mark.asyncio
async def test_nothing_of_others_is_cut(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.lseek

    def lseek(fd: int, offset: int, whence: int) -> int:
        found = real(fd, offset, whence)
        with log.open("ab") as other:
            other.write(b"SEGMENT\n")
        return found

    short_then(monkeypatch, os.write)
    monkeypatch.setattr(os, "lseek", lseek)
    book = Book((log, LINE))
    assert not await book.flush()
    assert log.read_bytes() == LINE[:5] + b"SEGMENT\n"
    monkeypatch.undo()
    assert await book.flush()
    assert log.read_bytes() == LINE[:5] + b"SEGMENT\n" + LINE + b"\n"
