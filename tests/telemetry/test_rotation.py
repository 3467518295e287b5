"""The daemon's own log is moved aside by size; each line is once in one of the files."""

import asyncio
import itertools
import os
from pathlib import Path

import pytest
from support.daemon import Daemon, Peer, visit
from telemetry.test_sharedlog import Book, Crash

from zdeferd.jobs.files import Configuration
from zdeferd.machine.paths import locate
from zdeferd.settings import Rotation
from zdeferd.telemetry.lines import parse
from zdeferd.telemetry.rotation import rotate
from zdeferd.telemetry.sharedlog import flush

LIMIT = 20


def rotation(log: Path, keep: int = 3) -> Rotation:
    return Rotation(frozenset({str(log)}), LIMIT, keep)


def files(log: Path) -> dict[str, bytes]:
    """The log and what was moved aside, by name."""
    return {path.name: path.read_bytes() for path in log.parent.iterdir()}


@pytest.fixture
def log(home: Path) -> Path:
    folder = home / "state"
    folder.mkdir()
    return folder / "deferred.log"


def test_a_full_log_is_moved_and_the_oldest_is_dropped(log: Path) -> None:
    for number in range(5):
        log.write_bytes(b"%d" % number * LIMIT)
        assert rotate(str(log), rotation(log))
    assert files(log) == {f"deferred.log.{age}": b"%d" % (5 - age) * LIMIT for age in (1, 2, 3)}


def test_a_smaller_count_removes_what_is_beyond_it(log: Path) -> None:
    others = ("deferred.log.x", "deferred.logs", "deferred.jsonl.9")
    for name in ("deferred.log", "deferred.log.1", "deferred.log.2", "deferred.log.17", *others):
        (log.parent / name).write_bytes(b"x" * LIMIT)
    assert rotate(str(log), rotation(log, keep=1))
    assert set(files(log)) == {"deferred.log.1", *others}


@pytest.mark.parametrize("kind", ["small", "missing", "another's", "link", "folder"])
def test_what_is_not_moved(kind: str, log: Path) -> None:
    due = rotation(log)
    match kind:
        case "small":
            log.write_bytes(b"x" * (LIMIT - 1))
        case "another's":
            log.write_bytes(b"x" * LIMIT)
            due = rotation(log.with_name("other.log"))
        case "link":
            log.symlink_to(log.parent)
        case "folder":
            log.mkdir()
    before = sorted(os.listdir(log.parent))
    assert not rotate(str(log), due)
    assert sorted(os.listdir(log.parent)) == before


def test_where_it_cannot_be_moved_it_goes_on(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    log.write_bytes(b"x" * LIMIT)
    monkeypatch.setattr(os, "rename", refuse)
    assert not rotate(str(log), rotation(log))
    assert files(log) == {"deferred.log": b"x" * LIMIT}


@pytest.mark.parametrize("stop", range(1, 4))
def test_a_death_between_two_renames_loses_nothing(
    stop: int, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {f"deferred.log{end}": f"<{end}>".encode() for end in ("", ".1", ".2")}
    for name, text in whole.items():
        (log.parent / name).write_bytes(text * LIMIT)
    left = itertools.count(1)
    rename = os.rename

    def die(*ends: str) -> None:
        if next(left) == stop:
            raise Crash
        rename(*ends)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", die)
        with pytest.raises(Crash):
            rotate(str(log), rotation(log))
    assert sorted(files(log).values()) == sorted(text * LIMIT for text in whole.values())
    assert rotate(str(log), rotation(log, keep=4))
    assert sorted(files(log).values()) == sorted(text * LIMIT for text in whole.values())


@pytest.mark.asyncio
async def test_a_death_at_any_step_costs_no_line_and_doubles_none(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes = 0
    while True:
        for path in log.parent.iterdir():
            path.unlink()
        log.write_bytes(b"old\n" * 10)
        book = Book(*((log, text) for text in (b"a" * 30, b"same", b"same")))
        monkeypatch.setattr(asyncio, "to_thread", book.in_thread)
        book.steps_left = crashes
        due = rotation(log, keep=9)

        async def write(book: Book = book, due: Rotation = due) -> None:
            for _ in range(2):
                await flush(book, list(book.lines.values()), book.synced, due)

        try:
            await write()
        except Crash:
            book.steps_left = None
            await write()
            crashes += 1
            died = True
        else:
            died = False
        found = b"".join(files(log).values()).splitlines()
        assert sorted(found) == sorted([b"old"] * 10 + [b"a" * 30, b"same", b"same"])
        assert (book.lines, book.lost) == ({}, [])
        if not died:
            break
    assert crashes > 15


@pytest.mark.asyncio
async def test_lines_that_are_in_doubt_hold_the_log_where_it_is(log: Path) -> None:
    book = Book((log, b"x" * 30), (log, b"y"))
    book.steps_left = 3  # begun, and not appended

    with pytest.raises(Crash):
        await flush(book, list(book.lines.values()), book.synced, rotation(log))
    log.write_bytes(b"x" * 30 + b"\n")
    book.steps_left = None
    await flush(book, list(book.lines.values()), book.synced, rotation(log))
    assert book.lines == {}
    assert sorted(b"".join(files(log).values()).splitlines()) == [b"x" * 30, b"y"]


def test_a_shell_that_has_the_file_open_loses_no_line(log: Path) -> None:
    """Its line is one open and one write, as in shell/features/segments.zsh."""
    due = rotation(log, keep=9)
    lines = [b"SEGMENT %d of a shell\n" % number for number in range(6)]
    for line in lines:
        with open(log, "ab", buffering=0) as shell:
            rotate(str(log), due)
            shell.write(line)
    assert b"".join(sorted(files(log).values())) == b"".join(lines)
    assert len(files(log)) == 3


def test_only_the_daemons_own_files(home: Path) -> None:
    found = Configuration(locate({"HOME": str(home)})).rotation()
    state = home / ".local/state/zdeferd"
    assert found == Rotation(
        frozenset({f"{state}/deferred.log", f"{state}/deferred.jsonl"}), 10 << 20, 5
    )


def test_the_daemon_rotates_its_log_and_sidecar(daemon: Daemon) -> None:
    config = daemon.home / ".config/zdeferd/config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('log_limit = "4KiB"\nlog_keep = 2\n')
    config.chmod(0o600)
    daemon.start()
    daemon.state.mkdir(exist_ok=True)
    for name in ("deferred.log", "deferred.jsonl"):
        (daemon.state / name).write_text("# full\n" * 1000)
    env = {"ZSH_LOG_STRUCTURED": "1"}
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "true"}, env))
    daemon.wait_until_done(1)
    for name in ("deferred.log", "deferred.jsonl"):
        assert (daemon.state / f"{name}.1").read_text() == "# full\n" * 1000
        assert len((daemon.state / name).read_text().splitlines()) == 2
    lines = (daemon.state / "deferred.log").read_text().splitlines()
    assert all(parse(line) is not None for line in lines)
