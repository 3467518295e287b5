"""Facts that `why` takes from the machine."""

import socket
from pathlib import Path

from support.user import User

from zdeferd.view.facts import listens


def test_a_listening_socket_starts_the_daemon(user: User) -> None:
    path = user.root / "run" / "sock"
    assert not listens(str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert listens(str(path)) is Path("/proc/net/unix").exists()
