"""Runs one zsh on a pseudo-terminal of its own, and leaves no process of it behind.

Owns the child, its session and the master side of the terminal. Every instant is
time.monotonic(), taken right after the read that brought the bytes. `started` is when the program
was executed: neither the making of its process nor a wait for a processor before that counts. A
prompt has been drawn when ZLE switches bracketed paste on, which it does right after it; where a
configuration has that off, when the terminal is in ZLE's mode and has been quiet. Every wait is
limited.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

from ...errors import ZdeferdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import psutil

PASTE_ON = b"\x1b[?2004h"
QUIET_S = 0.05
"""Silence after which a prompt without bracketed paste counts as drawn."""
KEPT = 1 << 16
"""Bytes of output to keep: a shell may print without end."""
END_S = 1.0
"""How long a shell may take to leave after its terminal has gone."""
TURN_S = 0.002
"""Longest wait for an end that no descriptor announces (macOS has no pidfd)."""
SIZE = (50, 200)
HERE = "thread-self"
_PR_SET_CHILD_SUBREAPER = 36
_WAITS = "start zsh in a terminal and see what it waits for; --timeout allows it more"


class Late(ZdeferdError):
    """The awaited output did not come in time."""


class Terminal:
    """A program on a terminal; a context manager that ends all of it."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], limit_s: float, errors: str = ""
    ) -> None:
        """Start it; `errors` is a file that gets its standard error."""
        self.pieces: list[tuple[float, int]] = []
        """The instant of each piece of output, and the total length after it."""
        self._text = bytearray()
        self._dropped = 0
        self._ended = False
        self.fd, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        actions = _actions(os.ttyname(inside), errors)
        self._others = _children()
        _adopt_orphans(True)
        late = -queued_s(HERE)
        asked = time.monotonic()
        self._deadline = asked + limit_s
        try:
            self.pid = _spawn(argv, env, actions)
            returned = time.monotonic()
        except OSError as error:
            os.close(self.fd)
            raise ZdeferdError(f"cannot start: {argv[0]}: {error.strerror}") from None
        finally:
            os.close(inside)
        late += queued_s(HERE)  # the spawn returned with the execution, or so much later
        self.started = max(asked, returned - late)
        # Before its execution it can have waited no longer than the execution took to come.
        self._waited_s = min(queued_s(self.pid), self.started - asked)
        self._end = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading and writing ---------------------------------------------------

    @property
    def output(self) -> bytes:
        """The output since the last keys, or the end of it."""
        return bytes(self._text)

    def type(self, keys: bytes) -> float:
        """Type; -> the instant before. Output so far is forgotten."""
        self.pieces, self._dropped = [], 0
        self._text.clear()
        at = time.monotonic()
        os.write(self.fd, keys)
        return at

    def see(self, text: bytes) -> float:
        """Wait for a text; -> the instant at which it was there. Late."""
        while text not in self._text:
            self._take(self._left(f"{text!r} did not come"))
        return self.pieces[-1][0]

    def prompt(self) -> float:
        """Wait until a prompt has been drawn; -> the instant. Late."""
        while PASTE_ON not in self._text:
            left = self._left("no prompt came")
            if b"zsh-newuser-install" in self._text:  # it asks, and waits for an answer
                raise Late("there is no start-up file, so zsh shows its menu for new users")
            if not self._take(min(left, QUIET_S)) and self.pieces and self._in_zle():
                break
        return self.pieces[-1][0]

    def settle(self, limit_s: float) -> None:
        """Read and keep what comes within the limit."""
        until = time.monotonic() + limit_s
        while (left := until - time.monotonic()) > 0 and not self._reaped():
            self._take(left)

    def end(self) -> float:
        """Wait for the program's end; -> the instant. Late."""
        while not self._reaped():
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise Late("it did not end in time")
            self._take(left if self._end >= 0 else min(left, TURN_S))
        return time.monotonic()

    def waited_s(self) -> float:
        """Return how long the program was ready but waited since its start; 0 if unknown."""
        return queued_s(self.pid) - self._waited_s

    def _left(self, what: str) -> float:
        """Return the seconds left; Late at the limit, or where the program has ended."""
        if self._reaped():
            raise Late(f"{what}: the shell ended", "start zsh in a terminal and see why")
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Late(f"{what} in time", _WAITS)
        return left

    def _take(self, limit_s: float) -> bool:
        """Keep the next output within the limit; -> whether there was some."""
        watched = [fd for fd in (self.fd, self._end) if fd >= 0]
        ready, _, _ = select.select(watched, [], [], limit_s)
        if self.fd not in ready:
            return False
        try:
            piece = os.read(self.fd, KEPT)
        except OSError:  # EIO: no program has the terminal now; its end is what is left to see
            select.select([self._end] if self._end >= 0 else [], [], [], min(limit_s, TURN_S))
            return False
        self._text += piece
        self.pieces.append((time.monotonic(), self._dropped + len(self._text)))
        if (extra := len(self._text) - KEPT) > 0:
            del self._text[:extra]
            self._dropped += extra
            self.pieces = self.pieces[-KEPT // 16 :]
        return True

    def output_at(self, length: int) -> bytes:
        """Return the output up to a total length that a piece has."""
        return bytes(self._text[: max(0, length - self._dropped)])

    def _in_zle(self) -> bool:
        """Return whether the terminal is as ZLE sets it; `read -q` leaves echo and Ctrl-\\ on."""
        with contextlib.suppress(termios.error):
            modes = termios.tcgetattr(self.fd)
            typed = modes[3] & (termios.ICANON | termios.ECHO)
            return not typed and modes[6][termios.VQUIT] in (b"\0", b"\xff")  # _POSIX_VDISABLE
        return False

    # --- the end ---------------------------------------------------------------

    def _reaped(self) -> bool:
        if not self._ended:
            self._ended = os.waitpid(self.pid, os.WNOHANG)[0] != 0
        return self._ended

    def close(self) -> None:
        """Take the terminal away, wait a little, and kill what is left, daemons of its own too."""
        os.close(self.fd)
        self.fd = -1
        until = time.monotonic() + END_S
        while not self._reaped() and (left := until - time.monotonic()) > 0:
            if self._end >= 0:
                select.select([self._end], [], [], left)
            else:
                time.sleep(TURN_S)
        _kill_session(self.pid)
        if not self._ended:
            os.waitpid(self.pid, 0)
            self._ended = True
        self._kill_orphans()
        if self._end >= 0:
            os.close(self._end)

    def _kill_orphans(self) -> None:
        """Kill what made itself a daemon, and what is below it, for a second at most."""
        until = time.monotonic() + END_S
        while orphans := [one for one in _children() if one not in self._others]:
            for one in orphans:
                _kill_tree(one)
            if time.monotonic() > until:
                break
        _adopt_orphans(False)


Action = tuple[int, ...] | tuple[int, int, str, int, int]


def _actions(terminal: str, errors: str) -> list[Action]:
    """Return what the new process does with its descriptors."""
    return [
        (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if errors
        else (os.POSIX_SPAWN_DUP2, 0, 2),
        *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
    ]


def _spawn(argv: Sequence[str], env: Mapping[str, str], actions: Sequence[Action]) -> int:
    """Start a program as the leader of a session whose terminal it is; -> its pid."""
    defaults = [signal.SIGPIPE, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP]
    return os.posix_spawn(
        argv[0], list(argv), dict(env), file_actions=actions, setsid=True, setsigdef=defaults
    )


def queued_s(process: int | str) -> float:
    """Return how long a process, or the thread HERE, waited for a processor; 0 if unknown."""
    try:
        with open(f"/proc/{process}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:  # macOS, or a kernel without it
        return 0.0


def _inheritable() -> list[int]:
    """Return descriptors of this process that no shell below it may get."""
    found = []
    for fd in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):  # the one that listed them
            if fd > 2 and os.get_inheritable(fd):
                found.append(fd)
    return found


def _kill_session(leader: int) -> None:
    """Kill the processes of a session until none is left, for a second at most."""
    until = time.monotonic() + END_S
    while (found := _session(leader)) and time.monotonic() < until:
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(TURN_S)  # a kill takes effect when the process is next scheduled


def _adopt_orphans(wanted: bool) -> None:
    """Have what leaves its session and its parent become a child of this process, or no more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def _kill_tree(process: psutil.Process) -> None:
    """Kill a child of this process with all below it, and reap it."""
    import psutil

    with contextlib.suppress(psutil.Error, ChildProcessError):
        for one in [*process.children(recursive=True), process]:
            one.kill()
        os.waitpid(process.pid, 0)


def _children() -> list[psutil.Process]:
    import psutil

    return psutil.Process().children()


def _session(leader: int) -> list[int]:
    """Return the processes of a session, but for those that only wait to be reaped."""
    import psutil

    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found
