"""A socket that listens in place of a daemon's, and speaks no protocol."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BACKLOG = 16


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listening socket at `path`; its folder is made where it is missing (0700)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(BACKLOG)
        yield listener
