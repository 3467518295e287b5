"""When the ledger is read again: at a change, and twice more soon after it."""

import os
from pathlib import Path

import pytest

from zdeferd.pictures.look import AGAIN_S, Due, content_stamp


def test_a_change_is_due_at_once_and_twice_more() -> None:
    due = Due()
    assert due.is_due("a", 0.0)
    assert not due.is_due("a", 0.0)
    assert due.left_s(0.0) == AGAIN_S[0]
    assert due.is_due("a", AGAIN_S[0])
    assert due.is_due("a", AGAIN_S[1])
    assert not due.is_due("a", 99.0)
    assert due.left_s(99.0) is None


def test_a_further_change_begins_anew() -> None:
    due = Due()
    assert due.is_due("a", 0.0)
    assert due.is_due("b", 0.05)
    assert due.left_s(0.05) == pytest.approx(AGAIN_S[0])
    assert due.left_s(20.0) == 0.0


def test_the_stamp_is_of_the_content_alone(home: Path) -> None:
    path = home / "file"
    assert content_stamp(str(path)) == ()
    path.touch()
    assert content_stamp(str(path)) == ()  # SQLite makes an empty one in order to read
    path.write_text("a")
    before = content_stamp(str(path))
    path.chmod(0o640)
    assert content_stamp(str(path)) == before
    os.utime(path, (1, 1))
    assert content_stamp(str(path)) != before
