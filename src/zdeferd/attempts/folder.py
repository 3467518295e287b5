"""Names and opens the files in a run's folder.

Owns the names that runner and judge share. `alive` is a FIFO: the runner has its writing
end open for life, the daemon reads it. `lock` is held by the runner, `job.lock` by the job
and what it starts. `cancelled` asks a runner that is about to start not to.
`started.<attempt>` says that an attempt's job may run, `outcome.json` how it ended.
The daemon makes `lock` with the folder, so a folder without it has lost its files.

Standard library only, and light: the spawner imports it.
"""

from __future__ import annotations

import os
import stat

ALIVE, LOCK, JOB_LOCK, CANCELLED = "alive", "lock", "job.lock", "cancelled"
SCRIPT, OUTPUT, OUTCOME = "script", "output", "outcome.json"
_STARTED = "started."
MOST_SAID = 512
"""Bytes of one line on `alive`: POSIX's least PIPE_BUF, so it arrives whole."""


def mark_of(folder: str, attempt: int) -> str:
    """Return the path of `started.<attempt>`."""
    return f"{folder}/{_STARTED}{attempt}"


def attempts_in(folder: str) -> list[int]:
    """Return the numbers of the attempts that have a mark. OSError."""
    marks = [name for name in os.listdir(folder) if name.startswith(_STARTED)]
    numbers = [mark.removeprefix(_STARTED) for mark in marks]
    return sorted(int(number) for number in numbers if number.isdecimal())


def open_file(path: str, flags: int) -> int:
    """Return a descriptor: private, not through a symlink, closed at exec. OSError.

    It never waits: a FIFO where a file belongs is an error, or reads as empty.
    """
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def open_regular(path: str, flags: int) -> int:
    """As `open_file`; OSError also where something other than a regular file is there."""
    fd = open_file(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"not a file: {path}")
    return fd


def open_alive(folder: str) -> int:
    """Return the writing end of a run's `alive`. OSError: there is no such run now."""
    # Open both ways it waits for no reader, and a write never meets a broken pipe.
    return open_file(f"{folder}/{ALIVE}", os.O_RDWR)


def say(alive: int, text: str) -> None:
    """Send a line to the daemon, if it reads; what is longer than MOST_SAID is cut."""
    try:
        os.write(alive, text.encode("utf-8", "replace")[:MOST_SAID])
    except OSError:
        pass  # full and unread; the end of `alive` is what counts


def write_all(fd: int, data: bytes) -> None:
    """Write `data`, whole. OSError."""
    while data:
        data = data[os.write(fd, data) :]
