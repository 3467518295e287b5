"""One daemon a socket, and the pointer file that leads other sessions to it."""

import grp
import os
import pwd
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from support.daemon import Daemon, Peer, visit
from support.user import User, call, findings

from zdeferd.daemon import places
from zdeferd.errors import AlreadyRunning
from zdeferd.jobs.files import Configuration
from zdeferd.machine.files import private_group
from zdeferd.machine.lock import take
from zdeferd.wire import control


def pointer(daemon: Daemon) -> Path:
    return daemon.state / "socket"


def without_runtime(daemon: Daemon) -> None:
    """From here on what is run is of a session without XDG_RUNTIME_DIR."""
    del daemon.env["XDG_RUNTIME_DIR"]


def test_a_daemon_with_another_state_folder_leaves_the_socket_alone(daemon: Daemon) -> None:
    daemon.start()
    before = daemon.socket.stat().st_ino
    daemon.env["XDG_STATE_HOME"] = f"{daemon.home}/state2"
    refused = daemon.run("zdeferd.daemon")
    assert refused.returncode == 3
    assert refused.stderr.startswith(
        f"zdeferd: another zdeferd serves this socket: {daemon.socket};"
    )
    assert daemon.socket.stat().st_ino == before
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("n1")) == [b"ok", b"seq=1"]
    assert "begins anew" not in daemon.errors.read_text()


def test_the_socket_of_a_killed_daemon_is_taken(daemon: Daemon) -> None:
    daemon.start()
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_socket_is_not_replaced(daemon: Daemon, kind: str) -> None:
    """ZDEFERD_SOCKET may name, by mistake, a file of the user's."""
    daemon.socket.parent.mkdir(mode=0o700)
    if kind == "file":
        daemon.socket.write_text("mine\n")
    else:
        daemon.socket.mkdir()
    refused = daemon.refusal()
    assert refused == f"zdeferd: not a socket: {daemon.socket}; move it out of the way\n"
    assert kind == "folder" or daemon.socket.read_text() == "mine\n"


def test_a_listener_that_never_greets_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "ANSWER_S", 0.05)
    path = str(home / "sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        places.check_alone(path)  # nobody listens yet
        listener.listen()
        with pytest.raises(AlreadyRunning, match=path):
            places.check_alone(path)


def test_the_pointer_is_there_while_the_daemon_is(daemon: Daemon) -> None:
    daemon.start()
    assert pointer(daemon).read_text() == f"{daemon.socket}\n"
    assert stat.S_IMODE(pointer(daemon).stat().st_mode) == 0o600
    daemon.stop()
    assert not pointer(daemon).exists()


def test_the_pointer_of_another_daemon_stays(daemon: Daemon) -> None:
    daemon.start()
    pointer(daemon).write_text("/elsewhere\n")
    daemon.stop()
    assert pointer(daemon).read_text() == "/elsewhere\n"


def test_a_dead_socket_that_the_pointer_led_to_goes(daemon: Daemon) -> None:
    daemon.start()
    daemon.kill()
    without_runtime(daemon)
    daemon.launch()
    other = daemon.home / ".local/state/zdeferd/run/sock"
    with Peer(other) as peer:
        peer.request(control.Ping())
    assert not daemon.socket.exists(), "shells whose rule gives it would not look at the pointer"
    assert pointer(daemon).read_text() == f"{other}\n"


def test_a_pointer_that_cannot_be_written_stops_no_daemon(daemon: Daemon) -> None:
    pointer(daemon).mkdir(parents=True)
    daemon.state.chmod(0o700)
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.request(control.Ping())
    assert pointer(daemon).is_dir()
    assert not pointer(daemon).with_name("socket.new").exists()


def test_another_session_meets_the_daemon(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.write_jobs("[a]\nrun = 'true'\n")
    daemon.start()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert call("run", "a").code == 0
    assert call("status", "--json").document["socket"] == str(daemon.socket)
    assert "another session's" in findings("ok")["socket"]["found"]
    assert not findings("bad").keys() & {"socket", "daemon", "runtime"}
    assert not findings("warn").keys() & {"socket", "daemon", "runtime"}
    assert call("stop").code == 0
    assert daemon.process is not None
    assert daemon.process.wait(200) == 0


def test_a_runtime_folder_that_cannot_be_made(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is in the state folder then, and the pointer leads to it."""
    (user.root / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{user.root}/file/run")
    daemon.env["XDG_RUNTIME_DIR"] = f"{user.root}/file/run"
    daemon.socket = user.root / ".local/state/zdeferd/run/sock"
    daemon.write_jobs("[a]\nrun = 'true'\n")
    daemon.start()
    assert call("run", "a").code == 0
    assert call("status", "--json").document["socket"] == str(daemon.socket)
    assert not findings("bad").keys() & {"socket", "daemon", "runtime"}
    found = findings("warn")["runtime"]["found"]
    assert "Not a directory; while it cannot be made, the socket is in the state folder" in found


def test_stop_ends_the_holder_of_the_lock_whose_socket_is_elsewhere(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start()
    monkeypatch.setenv("ZDEFERD_SOCKET", f"{user.root}/run/zdeferd/other")
    started = call("start")
    assert started.code == 3
    assert "holds the lock; `zdeferctl stop` ends it" in started.err
    assert call("stop").code == 0
    assert daemon.process is not None
    assert daemon.process.wait(200) == 0


def test_stop_signals_no_process_that_does_not_hold_the_lock(user: User) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    lock = take(str(user.state / "lock"))
    try:
        (user.state / "lock").write_text(f"{stranger.pid}\n")
        assert call("stop").code == 3
        assert stranger.poll() is None
    finally:
        os.close(lock)
        stranger.kill()
        stranger.wait()


def test_why_counts_by_the_daemon_s_zone(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.env["TZ"] = "EAST-14"
    daemon.write_jobs("[daily]\nrun = 'true'\nonce_per = 'day'\n")
    daemon.start()
    assert pointer(daemon).read_text() == f"{daemon.socket}\nTZ=EAST-14\n"
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1"))
    daemon.wait_until_done(1)
    for zone in ("WEST12", "UTC", "EAST-14"):  # between the first and the last are 26 hours
        monkeypatch.setenv("TZ", zone)
        assert call("why", "daily", "--json").document["code"] == "already_ran"
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n2", 1, environ={"TZ": "WEST12"}))
    daemon.wait_for("SELECT count(*) FROM runs", 1)
    daemon.stop()
    assert not pointer(daemon).exists()


def test_the_user_database_is_asked_before_the_loop_runs_and_not_again(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in user.env.items():
        monkeypatch.setenv(name, value)
    private_group.cache_clear()
    where = places.locate()
    for module, name in ((pwd, "getpwuid"), (grp, "getgrnam")):
        monkeypatch.delattr(module, name)  # whatever asks now fails
    file = Path(where.jobs_dir) / "a.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[a]\nrun = 'x'\n")
    file.chmod(0o664)
    taken = private_group() == file.stat().st_gid
    assert ("a" in Configuration(where).jobs) is taken
