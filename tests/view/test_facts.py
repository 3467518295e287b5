"""Facts that `why` takes from the machine."""

from pathlib import Path

from support.listening import listening
from support.user import User

from zdeferd.view.facts import listens


def test_a_listening_socket_starts_the_daemon(user: User) -> None:
    path = user.root / "run" / "sock"
    assert not listens(str(path))
    with listening(path):
        assert listens(str(path)) is Path("/proc/net/unix").exists()
