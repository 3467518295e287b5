"""Errors of ours as findings: values stay whole, whatever characters are in them."""

import sqlite3
import subprocess

import pytest
from support.user import User, call, findings

from zdeferd.doctor.findings import Finding, Level, refused
from zdeferd.errors import LedgerLocked, ZdeferdError
from zdeferd.ledger.reading import reading


def test_a_value_with_a_semicolon_is_not_cut() -> None:
    error = ZdeferdError("not a socket: /tmp/a; b", "move it out of the way")
    assert str(error) == "not a socket: /tmp/a; b; move it out of the way"
    wanted = Finding(Level.BAD, "socket", "not a socket: /tmp/a; b", "move it out of the way")
    assert refused("socket", error) == wanted


def test_a_folder_with_a_semicolon(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    place = user.root / "a; b"
    (place / "zdeferd").mkdir(parents=True, mode=0o755)
    (place / "zdeferd").chmod(0o755)
    monkeypatch.setenv("XDG_STATE_HOME", str(place))
    found = call("doctor", "--json").document["findings"]
    [state] = [f for f in found if f["check"] == "state"]
    assert state["found"] == f"open to others: {place}/zdeferd: mode 0755"
    assert state["remedy"] == f"chmod 700 {place}/zdeferd"


def test_a_locked_ledger_is_told_from_a_damaged_one(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.ledger().close()
    path = str(user.state / "ledger.sqlite3")
    error = sqlite3.OperationalError("the disk is busy")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY

    def busy(path: str, options: str) -> None:
        raise error

    monkeypatch.setattr("zdeferd.ledger.database._connect_with", busy)
    with pytest.raises(LedgerLocked), reading(path):
        pass
    assert findings("bad")["state"]["found"] == f"ledger is locked: {path}"
    assert findings("bad")["state"]["remedy"].startswith("end the other program")
    pipe = subprocess.PIPE
    with open(path) as file, subprocess.Popen(["cat"], stdin=pipe, stdout=file) as other:
        assert f"end pid {other.pid} (cat, of " in findings("bad")["state"]["remedy"]
