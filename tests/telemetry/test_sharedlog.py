"""One append per line, whatever dies, tears, rotates or fills up on the way."""

import asyncio
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from zdeferd.errors import LogUnavailable
from zdeferd.telemetry.sharedlog import (
    Intent,
    PendingLine,
    Settled,
    append,
    flush,
    intent,
    open_log,
    settle,
)

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
        self.steps_left: int | None = None

    async def flush(self) -> bool:
        return await flush(self, list(self.lines.values()))

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

    async def advance(self, marked: int | None, begun: tuple[int, Intent] | None) -> None:
        self.step()
        self.transactions += 1
        if marked is not None:
            del self.lines[marked]
        if begun is not None:
            line, where = begun
            self.lines[line] = self.lines[line]._replace(intent=where)
            self.problems.pop(line, None)
        in_doubt = [line.path for line in self.lines.values() if line.intent]
        assert len(in_doubt) == len(set(in_doubt)), "more than one line of a file is in doubt"
        self.step()

    async def put_back(self, line: int, problem: str) -> None:
        self.step()
        self.lines[line] = self.lines[line]._replace(intent=None)
        self.problems[line] = problem

    async def note(self, line: int, problem: str) -> None:
        self.problems[line] = problem

    async def lose(self, line: int, problem: str) -> None:
        self.step()
        del self.lines[line]
        self.lost.append(line)
        self.problems[line] = problem


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
