"""`zdeferctl restart`: another daemon, the same jobs."""

import os
from collections.abc import Iterator

import pytest
from support.daemon import attempts
from support.user import User, call, daemon_script, wait_for_file

from zdeferd.machine.lock import daemon_pid


@pytest.fixture(autouse=True)
def started(user: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`zdeferd` is in PATH, and what it started ends with the test."""
    monkeypatch.setenv("PATH", f"{daemon_script(user).parent}:{user.env['PATH']}")
    yield
    call("stop")
    assert daemon_pid(str(user.state / "lock")) is None


def test_another_daemon_takes_over(user: User) -> None:
    user.job_file('[slow]\nrun = "read line <$HOME/gate"\n')
    gate = user.root / "gate"
    os.mkfifo(gate)
    assert call("start").code == 0
    before = daemon_pid(str(user.state / "lock"))
    assert call("run", "slow", "--no-wait").code == 0
    wait_for_file(user.state / "runs/1/started.1")
    result = call("restart")
    assert result.code == 0, result.err
    after = daemon_pid(str(user.state / "lock"))
    assert result.out == f"zdeferd started again, pid {after}\n"
    assert before != after
    gate.write_text("on\n")
    show = ("show", "1", "--json")
    assert any(call(*show).document["run"]["outcome"] == "succeeded" for _ in attempts())


def test_without_a_daemon_it_starts_one(user: User) -> None:
    document = call("restart", "--json").document
    assert document["stopped"] is None
    assert document["pid"] == daemon_pid(str(user.state / "lock"))
    again = call("restart", "--json").document
    assert again["stopped"] == document["pid"]


def test_shells_may_start_it_again(user: User) -> None:
    (user.state / "autostart").write_text("/nowhere/zdeferd\n")
    assert call("stop").code == 0
    assert call("restart").code == 0
    assert (user.state / "autostart").read_text() == "/nowhere/zdeferd\n"
