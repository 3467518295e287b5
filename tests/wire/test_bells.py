"""Bells: FIFOs by which shells are woken, made, rung and removed."""

import os
import select
import time
from contextlib import suppress
from pathlib import Path

import pytest

from zdeferd.wire import bells
from zdeferd.wire.bells import Bells


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bells"


def rings(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_a_shell_that_has_its_bell_open_is_woken(folder: Path) -> None:
    made = Bells(str(folder))
    made.ring()  # there is no folder yet
    made.make("n1")
    made.make("n1")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "n1").stat().st_mode & 0o777 == 0o600
    fd = os.open(folder / "n1", os.O_RDWR)
    try:
        assert not rings(fd)
        made.ring()
        assert rings(fd)
        assert os.read(fd, 10) == b"\n"
    finally:
        os.close(fd)


def test_the_bell_of_a_shell_that_has_ended_goes_but_no_young_one(folder: Path) -> None:
    made = Bells(str(folder))
    for name in ("old", "young"):
        made.make(name)
    (folder / "file").touch()
    past = time.time() - bells.LEAST_AGE_S - 1
    for name in ("old", "file"):
        os.utime(folder / name, (past, past))
    made.ring()
    assert sorted(os.listdir(folder)) == ["file", "young"]


def test_a_shell_that_does_not_read_holds_nobody_up(folder: Path) -> None:
    made = Bells(str(folder))
    made.make("n1")
    fd = os.open(folder / "n1", os.O_RDWR | os.O_NONBLOCK)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(fd, b"x" * 4096)
        made.ring()
        assert rings(fd)
    finally:
        os.close(fd)


def test_many_shells_that_have_ended_leave_no_more_than_so_many(folder: Path) -> None:
    made = Bells(str(folder))
    past = time.time() - bells.LEAST_AGE_S - 1
    for number in range(2 * bells.SWEEP_EVERY + 5):
        made.make(f"n{number}")
        os.utime(folder / f"n{number}", (past, past))
    assert len(os.listdir(folder)) < bells.SWEEP_EVERY


@pytest.mark.parametrize("nonce", [".", "..", "taken"])
def test_a_bell_that_cannot_be_made_hurts_nothing(folder: Path, nonce: str) -> None:
    folder.mkdir()
    (folder / "taken").write_text("kept")
    Bells(str(folder)).make(nonce)
    assert (folder / "taken").read_text() == "kept"
    Bells(f"{folder}/taken").make("n1")
    Bells(f"{folder}/taken").ring()
