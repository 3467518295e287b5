"""Set-ups of the tests of strangers: a second user, and a home that anyone can enter.

The stranger is a user id without a user here, taken on by a child of the test that
executes nothing: it needs no account and no program that others may run.
"""

import gc
import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.daemon import LIMIT_S

STRANGER = 61_574


NOBODY_ELSE = "becoming a second user needs root; nobody else can test this"


def _uid_map() -> list[str]:
    return Path("/proc/self/uid_map").read_text().splitlines()


def may_become(uid: int) -> bool:
    """Whether this process can make children of that user: as root, where there is such an id."""
    if os.geteuid() != 0:
        return False
    try:
        rows = [list(map(int, row.split())) for row in _uid_map()]
    except OSError:
        return True
    return any(first <= uid < first + count for first, _, count in rows)


needs_root = pytest.mark.skipif(not may_become(STRANGER), reason=NOBODY_ELSE)
GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL" + bytes(48)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"


def as_stranger(function: Callable[[], Any]) -> Any:
    """Call it in a child that is the stranger; -> its result (JSON), or the name of its OSError."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            gc.disable()  # the child must not clean up the objects of the test
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            os.umask(0)
            said = json.dumps(function())
        except OSError as error:
            said = json.dumps(type(error).__name__)
        except BaseException as error:  # noqa: BLE001 - a child of the test must not go on
            said = json.dumps(f"unforeseen {error!r}")
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, ended = os.waitpid(pid, 0)
    assert said, f"the stranger did not come to an end: wait status {ended}"
    return json.loads(said)


def give(path: Path) -> Path:
    """Make it the stranger's."""
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return path


def open_doors(home: Path) -> None:
    """Let every user enter the folders above zdeferd's own, as on most machines."""
    for folder in ("", ".local", ".local/state", ".config", "run"):
        (home / folder).mkdir(exist_ok=True)
        (home / folder).chmod(0o755)


def knock(path: Path, message: bytes) -> bytes:
    """Connect, greet and send `message`; -> all that comes back until they hang up."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(LIMIT_S)
        raw.connect(str(path))
        heard = b""
        try:
            raw.sendall(GREETING + READY + message)
            while data := raw.recv(4096):
                heard += data
        except ConnectionError:
            pass
        return heard


def message(frames: list[bytes]) -> bytes:
    """Frames as ZMTP sends them."""
    sent = b""
    for number, frame in enumerate(frames):
        more = number < len(frames) - 1
        sent += bytes([2 | more]) + len(frame).to_bytes(8, "big") + frame
    return sent


def everything(folder: Path) -> list[Path]:
    """All that is in a folder, and the folder."""
    return [folder, *sorted(folder.rglob("*"))]


def mode(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.lstat().st_mode)
