"""The connection of zdeferctl: sockets of others, dead ones, silent daemons."""

import os
import signal
from pathlib import Path

import pytest
from support.daemon import Daemon, Peer
from support.listening import listening
from support.user import User

from zdeferd.errors import NoDaemon, RequestRefused, UnsafePath
from zdeferd.wire import control
from zdeferd.wire.client import Client, check_socket, request


@pytest.fixture
def place(user: User) -> Path:
    """The path of a socket in a folder of its own."""
    folder = user.root / "run" / "zdeferd"
    folder.mkdir(mode=0o700)
    return folder / "sock"


def test_nothing_there(place: Path) -> None:
    with pytest.raises(NoDaemon, match="no daemon listens"):
        check_socket(str(place))


def test_a_file_is_no_socket(place: Path) -> None:
    place.touch()
    with pytest.raises(UnsafePath, match="not a socket"):
        check_socket(str(place))


def test_a_folder_open_to_others(place: Path) -> None:
    with listening(place):
        place.parent.chmod(0o755)
        with pytest.raises(UnsafePath, match="open to others"):
            check_socket(str(place))


def test_a_path_that_is_too_long(user: User) -> None:
    with pytest.raises(UnsafePath, match="too long"):
        check_socket(f"{user.root}/{'x' * 120}")


def test_a_stale_socket_is_no_daemon_at_once(place: Path) -> None:
    with listening(place):
        pass
    with pytest.raises(NoDaemon, match="no daemon answers"):
        request(str(place), control.Ping(), timeout_s=30)


def test_a_silent_daemon_is_given_a_limit(place: Path) -> None:
    with listening(place), pytest.raises(NoDaemon, match="does not answer"):
        request(str(place), control.Ping(), timeout_s=0.2)


def test_a_stopped_daemon_is_given_a_limit(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(NoDaemon, match="does not answer"):
            request(str(daemon.socket), control.Ping(), timeout_s=0.2)
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_ping(daemon: Daemon) -> None:
    daemon.start()
    pong = request(str(daemon.socket), control.Ping())
    assert isinstance(pong, control.Pong)
    assert daemon.process is not None
    assert pong.pid == daemon.process.pid


def test_a_refusal(daemon: Daemon) -> None:
    daemon.start()
    with Client(str(daemon.socket)) as client:
        with pytest.raises(RequestRefused, match="no such run"):
            client.ask(control.AwaitRun(run=99))
        assert isinstance(client.ask(control.Ping()), control.Pong)


def test_a_daemon_that_dies_during_a_long_wait(daemon: Daemon) -> None:
    daemon.write_jobs('[slow]\nrun = ["sleep", "600"]\n')
    daemon.start()
    with Client(str(daemon.socket)) as client:
        claimed = client.ask(control.RunJob(job="slow"))
        assert isinstance(claimed, control.RunClaimed)
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGKILL)
        with pytest.raises(NoDaemon):
            client.ask(control.AwaitRun(run=claimed.run), timeout_s=None)
    daemon.process.wait(200)
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.request(control.CancelRun(run=claimed.run))
