"""`zdeferctl start`: detached where no service is installed; once."""

from collections.abc import Iterator

import pytest
from support.user import User, call, daemon_script

from zdeferd.machine.lock import daemon_pid


@pytest.fixture
def started(user: User, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`zdeferd` is in PATH, and what it started ends with the test."""
    monkeypatch.setenv("PATH", f"{daemon_script(user).parent}:{user.env['PATH']}")
    yield
    call("stop")
    assert daemon_pid(str(user.state / "lock")) is None


@pytest.mark.usefixtures("started")
def test_start_twice_and_stop(user: User) -> None:
    first = call("start")
    assert first.code == 0, first.err
    assert first.out.startswith("zdeferd started, pid ")
    again = call("start", "--json").document
    assert again["started"] is False
    assert f"pid {again['pid']}" in first.out
    found = call("status", "--json").document["daemon"]
    assert (found["running"], found["pid"]) == (True, again["pid"])
    assert call("stop") == (0, "zdeferd has stopped\n", "")
    assert call("stop").code == 3


@pytest.mark.usefixtures("started")
def test_a_daemon_that_cannot_have_its_socket_in_the_runtime_folder(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is in the state folder, which the pointer says once it runs."""
    (user.root / "file").touch()
    monkeypatch.delenv("ZDEFERD_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{user.root}/file/run")
    first = call("start")
    assert first.code == 0, first.err
    assert call("start").out.startswith("zdeferd is running already, pid ")


@pytest.mark.usefixtures("started")
def test_shells_may_start_it_again(user: User) -> None:
    (user.state / "autostart").write_text("/nowhere/zdeferd\n")
    assert call("stop").code == 0
    assert call("start").code == 0
    assert (user.state / "autostart").read_text() == "/nowhere/zdeferd\n"


@pytest.mark.usefixtures("started")
def test_a_daemon_that_cannot_start_says_why(user: User) -> None:
    user.state.chmod(0o755)
    result = call("start")
    user.state.chmod(0o700)
    assert result.code == 1
    assert "daemon did not start: zdeferd: open to others" in result.err
    assert result.err.count("\n") == 1


def test_no_program(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sys.argv", ["/nowhere/zdeferctl"])
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    result = call("start")
    assert result.code == 1
    assert "program not found: zdeferd" in result.err
