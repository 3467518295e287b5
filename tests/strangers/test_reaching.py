"""A stranger connects, reads and writes: even where a folder's own door was left open."""

import os
import socket
from functools import partial
from pathlib import Path

import pytest
from faults.world import until
from shell.conftest import PLUGIN
from strangers.world import (
    as_stranger,
    everything,
    give,
    knock,
    message,
    mode,
    needs_root,
    open_doors,
)
from support.daemon import Daemon, Peer, visit
from support.listening import listening
from support.terminal import Terminal

from zdeferd.errors import UnsafePath
from zdeferd.wire import control
from zdeferd.wire.client import Client

pytestmark = needs_root


def connect(path: Path) -> str:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
    return "connected"


def test_a_stranger_cannot_connect(daemon: Daemon) -> None:
    daemon.start()
    assert as_stranger(lambda: connect(daemon.socket)) == "PermissionError"


def test_a_stranger_cannot_take_the_socket_or_its_folder_away(daemon: Daemon) -> None:
    daemon.start()
    for path in (daemon.socket.parent, daemon.socket):
        assert as_stranger(partial(reach, path)) == OUT_OF_REACH, path
    daemon.socket.parent.chmod(0o755)
    assert as_stranger(partial(replace, daemon.socket)) == "PermissionError"
    assert as_stranger(partial(remove, daemon.socket)) == "PermissionError"


@pytest.mark.parametrize("what", ["stop", "run", "visit"])
def test_a_stranger_who_gets_as_far_as_the_socket_is_hung_up_on(
    daemon: Daemon, home: Path, what: str
) -> None:
    daemon.write_jobs(f'[mine]\nrun = "touch {home}/ran"\non = ["postprompt"]\nonce_per = "ever"\n')
    daemon.start()
    daemon.socket.parent.chmod(0o755)
    daemon.socket.chmod(0o777)
    frames = {
        "stop": control.encode_request(control.Stop()),
        "run": control.encode_request(control.RunJob(job="mine", env={})),
        "visit": visit("stranger", 1, {"theirs": f"touch {home}/ran"}),
    }[what]
    assert as_stranger(lambda: connect(daemon.socket)) == "connected", "the doors are open"
    heard = as_stranger(lambda: knock(daemon.socket, message(frames)).hex())
    assert heard == "", "not even a greeting"
    refusal = "refused a connection of another user"
    until(lambda: refusal in daemon.errors.read_text())  # the thread of libzmq hung up before that
    assert daemon.process is not None
    assert daemon.process.poll() is None
    daemon.socket.parent.chmod(0o700)
    with Peer(daemon.socket) as peer:
        assert isinstance(peer.request(control.Ping()), control.Pong)
    assert daemon.errors.read_text().count(refusal) == 1, "said, and not for each time"
    assert daemon.rows("SELECT count(*) FROM runs") == [(0,)]
    assert daemon.rows("SELECT count(*) FROM shells") == [(0,)]
    assert not (home / "ran").exists()


def ran(daemon: Daemon, home: Path) -> Path:
    """A job that waits at a gate: its folder is full of everything there is."""
    os.mkfifo(home / "gate")
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": f"print secret; print on >> {home}/on; read < {home}/gate"}))
    daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'dispatched'", 1)
    until(lambda: (home / "on").exists() and (daemon.state / "runs/1/output").exists())
    return daemon.state / "runs/1"


OUT_OF_REACH = dict.fromkeys(("read", "write", "remove", "replace"), "refused")


def read(path: Path) -> None:
    if path.is_file():
        path.read_bytes()
    else:
        os.listdir(path)


def write(path: Path) -> None:
    if path.is_dir():
        (path / "new").touch()
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()


def replace(path: Path) -> None:
    path.rename(path.with_name("other"))


def reach(path: Path) -> dict[str, str]:
    """Return the stranger's results of reading it, changing it and replacing it."""
    found = {}
    for act in (read, write, remove, replace):
        try:
            act(path)
            found[act.__name__] = "done"
        except PermissionError:
            found[act.__name__] = "refused"
    return found


def test_ledger_runs_output_and_lock_are_out_of_reach(daemon: Daemon, home: Path) -> None:
    ran(daemon, home)
    names = {path.name for path in everything(daemon.state)}
    assert {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm", "lock"} <= names
    assert {"output", "script", "started.1", "alive", "job.lock"} <= names
    for path in everything(daemon.state):
        assert as_stranger(partial(reach, path)) == OUT_OF_REACH, path
    (home / "gate").write_text("go\n")
    daemon.wait_until_done(1)


def test_and_so_are_they_where_the_state_folder_was_opened_by_mistake(
    daemon: Daemon, home: Path
) -> None:
    folder = ran(daemon, home)
    for path in everything(daemon.state):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    daemon.state.chmod(0o755)
    for path in everything(daemon.state)[1:]:
        assert as_stranger(partial(reach, path)) == OUT_OF_REACH, path
    assert as_stranger(lambda: os.listdir(folder)) == "PermissionError"
    (home / "gate").write_text("go\n")
    daemon.state.chmod(0o700)
    daemon.wait_until_done(1)


def test_zdeferctl_does_not_talk_through_an_open_folder(daemon: Daemon) -> None:
    daemon.start()
    daemon.socket.parent.chmod(0o777)
    with pytest.raises(UnsafePath, match=r"open to others: .*; chmod 700"):
        Client(str(daemon.socket))
    daemon.socket.parent.chmod(0o700)


def test_zdeferctl_does_not_talk_to_a_strangers_socket(home: Path) -> None:
    open_doors(home)
    folder = home / "run/zdeferd"
    folder.mkdir(mode=0o700)
    with listening(folder / "sock"):
        give(folder / "sock")
        with pytest.raises(UnsafePath, match=r"not owned by you: .*/sock: uid 61574"):
            Client(str(folder / "sock"))
        give(folder)
        with pytest.raises(UnsafePath, match=r"not owned by you: .*/zdeferd: uid 61574"):
            Client(str(folder / "sock"))


@pytest.mark.parametrize("whose", ["socket", "folder"])
def test_a_shell_does_not_talk_to_a_strangers_socket(home: Path, whose: str) -> None:
    open_doors(home)
    folder = home / "run/zdeferd"
    folder.mkdir(mode=0o755)
    with listening(folder / "sock") as theirs:
        theirs.setblocking(False)
        give(folder if whose == "folder" else folder / "sock")
        zshrc = f"source {PLUGIN}\nzdefer add x -- true\n"
        with Terminal(home, zshrc) as shell:
            shell.prompt()
            # A visit was tried, and given up, when the shim has counted it.
            until(lambda: shell.ask("x$_zdeferd[tries]") != "x")
        with pytest.raises(BlockingIOError):
            theirs.accept()
