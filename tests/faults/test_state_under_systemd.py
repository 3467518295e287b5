"""The same under systemd: the socket that it listens on goes from one daemon to the next."""

import shutil

import pytest
from faults.world import until
from support import systemd
from support.daemon import Peer, visit
from support.systemd import UserManager

from zdeferd.machine.lock import daemon_pid

pytestmark = pytest.mark.skipif(bool(systemd.why_not()), reason=systemd.why_not())


def ask(manager: UserManager, nonce: str) -> None:
    with Peer(manager.socket) as peer:
        assert peer.ask(visit(nonce, 1, {nonce: "true"}))[0] == b"ok"


def test_state_and_socket_are_taken_away(manager: UserManager) -> None:
    ask(manager, "before")
    manager.wait_until_done(1)
    pid = manager.property("MainPID")
    shutil.rmtree(manager.state, ignore_errors=True)
    until(lambda: str(daemon_pid(str(manager.state / "lock"))) == pid)
    until((manager.state / "ledger.sqlite3").exists)
    ask(manager, "after")
    manager.wait_until_done(1)
    manager.socket.unlink()  # from now on no shell reaches the manager's socket
    until(manager.socket.exists)
    ask(manager, "again")
    manager.wait_until_done(2)
    assert manager.property("ActiveState") == "active"
    assert (manager.property("MainPID"), manager.property("NRestarts")) == (pid, "0")
