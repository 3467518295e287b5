"""Names, opens, reads and writes the files in a run's folder.

Owns the names that runner and judge share. `alive` is a FIFO: the runner has its writing
end open for life, the daemon reads it. `lock` is held by the runner, `job.lock` by the job
and what it starts. `cancelled` asks a runner that is about to start not to.
`started.<attempt>` says that an attempt's job may run, `outcome.json` how it ended.
The daemon makes `lock` with the folder, so a folder without it has lost its files.

Owns also the content of `started.<attempt>` (lines of JSON: the runner's pid and instant, then
the job's pid and its start in clock ticks) and of `outcome.json`. Neither need be whole:
a crash may have come at any byte. A record that is not whole counts as absent; so does one
that is no regular file. A record that cannot be read is not absent: that is an OSError.

Standard library only, and light: the spawner imports it.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ALIVE, LOCK, JOB_LOCK, CANCELLED = "alive", "lock", "job.lock", "cancelled"
SCRIPT, OUTPUT, OUTCOME = "script", "output", "outcome.json"
_STARTED = "started."
MOST_SAID = 512
"""Bytes of one line on `alive`: POSIX's least PIPE_BUF, so it arrives whole."""
COUNTS = (
    *("rc", "wall_ms", "cpu_user_ms", "cpu_system_ms", "max_rss_kib", "block_in", "block_out"),
    *("switches_voluntary", "switches_involuntary", "output_bytes", "output_dropped_bytes"),
)
SIZE_LIMIT = 1 << 16
"""Bytes; a runner writes less than 1 KiB."""
_NO_FILE = (errno.ENOENT, errno.ELOOP, errno.ENXIO, None)
"""No such file; a symbolic link (a tombstone), a socket, another kind (`open_regular`)."""


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


def copy(source: int, target: int) -> None:
    """Write all of the file `source` to `target`."""
    at = 0
    while data := os.pread(source, 1 << 16, at):
        write_all(target, data)
        at += len(data)


def marks(folder: str, attempt: int) -> dict[str, Any]:
    """Return what the runner noted of its start; empty: it has not started the job. OSError."""
    found: dict[str, Any] = {}
    for line in _read(mark_of(folder, attempt)).split(b"\n")[:-1]:
        try:
            found |= json.loads(line)
        except (ValueError, TypeError):
            continue
    return found


def runner(folder: str, attempt: int) -> int | None:
    """Return the pid of the attempt's runner; None: it has not started the job. OSError."""
    return marks(folder, attempt).get("pid")


def latest(folder: str) -> int:
    """Return the last attempt that has a mark; 0: none. OSError."""
    return max(attempts_in(folder), default=0)


def outcome(folder: str, attempt: int) -> dict[str, Any] | None:
    """Return the attempt's record; None: there is none that is whole. OSError."""
    try:
        found = json.loads(_read(f"{folder}/{OUTCOME}"))
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("attempt") != attempt:
        return None
    return found if _whole(found) else None


def write_over(fd: int, data: bytes) -> None:
    """Make `data` the whole content of a file that is longer. OSError."""
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], done)
    os.ftruncate(fd, len(data))


def cost() -> dict[str, object]:
    """Return model.Cost without wall_ms: of all processes that were reaped below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_user_ms": round(used.ru_utime * 1000),
        "cpu_system_ms": round(used.ru_stime * 1000),
        "max_rss_kib": used.ru_maxrss // (1024 if sys.platform == "darwin" else 1),
        "block_in": used.ru_inblock,
        "block_out": used.ru_oublock,
        "switches_voluntary": used.ru_nvcsw,
        "switches_involuntary": used.ru_nivcsw,
    }


def is_file(path: str) -> bool:
    """Return whether a regular file is there. OSError: it cannot be looked at."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _read(path: str) -> bytes:
    """Return the file's content; nothing where there is no regular file. OSError."""
    try:
        fd = open_regular(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FILE:
            return b""
        raise
    try:
        return os.read(fd, SIZE_LIMIT)
    finally:
        os.close(fd)


def _whole(outcome: dict[str, Any]) -> bool:
    counts = [outcome.get(name) for name in COUNTS]
    counts.append(outcome.get("ended_behind", 0))  # an older runner did not count
    instants = [outcome.get(name) for name in ("started_at", "ended_at")]
    return (
        outcome.get("version") == 1
        and outcome.get("ended_by") in ("exit", "timeout", "cancel")
        and all(type(count) is int and count >= 0 for count in counts)
        and all(type(instant) in (int, float) for instant in instants)
        and outcome["rc"] <= 255
        and isinstance(outcome.get("refusal", ""), str)
    )


def flush_above(folder: str, root: str) -> None:
    """Flush the folders above `folder`, up to `root`: each may have a new one in it."""
    while folder != root:
        folder = os.path.dirname(folder)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
