"""A ledger that cannot be read is said in one line, by every reading verb."""

import sqlite3

import pytest
from support.user import User, call

READING = [("status",), ("runs",), ("show", "1"), ("log", "1"), ("why", "a"), ("jobs",)]


@pytest.mark.parametrize("words", READING)
def test_newer_ledger(user: User, words: tuple[str, ...]) -> None:
    with sqlite3.connect(user.state / "ledger.sqlite3") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    result = call(*words)
    assert result.code == 1
    assert "ledger is from a newer zdeferd" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("words", READING)
def test_file_that_is_no_ledger(user: User, words: tuple[str, ...]) -> None:
    (user.state / "ledger.sqlite3").write_text("not a database, " * 100)
    result = call(*words)
    assert result.code == 1
    assert "ledger cannot be read" in result.err
    assert result.err.count("\n") == 1


def test_empty_file_is_an_empty_ledger(user: User) -> None:
    (user.state / "ledger.sqlite3").touch()
    assert call("runs") == (0, "no runs yet\n", "")


def test_a_path_with_two_slashes_in_front(user: User) -> None:
    """Where HOME is the root, as in some containers."""
    user.ledger().close()
    assert user.program("runs", "--json", XDG_STATE_HOME=f"/{user.root}/.local/state").code == 0
