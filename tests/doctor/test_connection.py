"""Checks of the way from a shell to its daemon."""

import os
import re

import pytest
from support.daemon import Daemon
from support.user import User, findings


def test_runtime_dir_of_nobody(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{user.root}/absent")
    assert "No such file" in findings("warn")["runtime"]["found"]


def test_a_home_of_somebody_else(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:
        other = user.root / "other"
        other.mkdir()
        os.chown(other, 12345, 12345)
        monkeypatch.setenv("HOME", str(other))
        assert "belongs to uid" in findings("bad")["home"]["found"]
    else:
        monkeypatch.setenv("HOME", "/")
        assert findings("bad")["home"]["found"] == "/ cannot be written"


def test_a_daemon_that_holds_the_lock_and_listens_elsewhere(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start()
    monkeypatch.setenv("ZDEFERD_SOCKET", f"{user.root}/run/zdeferd/other")
    found = findings("bad")["daemon"]["found"]
    pid = (user.state / "lock").read_text().strip()
    assert re.search(rf"; pid {pid} \(.+, of .+\) holds the lock, perhaps with another", found)
