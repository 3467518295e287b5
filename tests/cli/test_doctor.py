"""`zdeferctl doctor`: findings and their remedies, printed."""

from pathlib import Path

import pytest
from support.daemon import Daemon
from support.user import User, call, daemon_script, findings


@pytest.fixture(autouse=True)
def program(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`zdeferd` beside zdeferctl."""
    script = daemon_script(user)
    monkeypatch.setattr("sys.argv", [str(script.parent / "zdeferctl")])
    return script


def test_all_is_well(user: User, daemon: Daemon) -> None:
    daemon.start()
    assert call("install", "--zshrc").code == 0
    result = call("doctor")
    assert result.code == 0, result.out
    assert result.out.endswith("\nall is well\n")
    ok = findings("ok")
    assert {"socket", "daemon", "service", "shim", "zshrc", "jobs", "state", "log", "zsh"} <= set(
        ok
    )


def test_nothing_installed(user: User) -> None:
    result = call("doctor")
    assert result.code == 1
    assert "nothing starts it" in findings("bad")["daemon"]["found"]
    assert {"service", "shim", "zshrc"} <= set(findings("warn"))


def test_every_finding_that_is_not_ok_has_a_remedy(user: User) -> None:
    user.job_file("[bad]\nrun = 7\n")
    user.state.chmod(0o755)
    for level in ("warn", "bad"):
        found = findings(level)
        assert found
        assert all(finding["remedy"] for finding in found.values()), found


def test_what_is_ok_has_no_remedy(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("container", "lxc")
    assert "this is one" in findings("ok")["container"]["found"]
    assert not any(finding["remedy"] for finding in findings("ok").values())
