"""A pseudo-terminal read in a tight loop: what a person at it would see, and when.

Owns one zsh and the master side of its terminal. Every instant is time.monotonic() in
seconds, taken right before a write and right after the read that brought the last byte
of what was waited for. The child is started with posix_spawn, whose time does not depend
on this process's size; opening the terminal as a session leader makes it the controlling
one. tests/terminal.py is the comfortable one; this one is for measuring.

Bounded: nothing is waited for without a limit.
"""

import contextlib
import fcntl
import os
import select
import shutil
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

LIMIT_S = 30.0
PROMPT = b"ready> "
COLUMNS = 200
ZSH = shutil.which("zsh") or "/bin/zsh"


class NotSeen(Exception):
    """What was waited for did not come up in time; the message has the end of the screen."""


class Screen:
    """One program in a terminal of its own, started when the `with` block is entered."""

    def __init__(self, env: Mapping[str, str], argv: Sequence[str] = (ZSH, "-d", "-i")) -> None:
        self._env, self._argv = dict(env), list(argv)
        self._seen = b""
        self.passed = b""
        """What the last `see` went past, its text included."""
        self._status: int | None = None
        self.fd, slave = os.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
        self._poll = select.poll()
        self._poll.register(self.fd, select.POLLIN)
        terminal = os.ttyname(slave)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ]
        self.started = time.monotonic()
        self.pid = os.posix_spawn(
            self._argv[0], self._argv, self._env, file_actions=actions, setsid=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def type(self, keys: bytes) -> float:
        """Type; the instant before."""
        at = time.monotonic()
        os.write(self.fd, keys)
        return at

    def see(self, text: bytes = PROMPT, limit_s: float = LIMIT_S) -> float:
        """When `text` was there, after what was seen last."""
        deadline = time.monotonic() + limit_s
        at = time.monotonic()
        while (found := self._seen.find(text)) < 0:
            if not self.read(deadline - time.monotonic()):
                raise NotSeen(f"{text!r} in {self._seen[-300:]!r}")
            at = time.monotonic()
        end = found + len(text)
        self.passed, self._seen = self._seen[:end], self._seen[end:]
        return at

    def drain(self, quiet_s: float = 0.003) -> None:
        """Take in and drop what is still printed, until nothing came for that long."""
        end = time.monotonic() + LIMIT_S
        while self.read(quiet_s) and time.monotonic() < end:
            pass
        self._seen = b""

    def read(self, limit_s: float) -> bytes:
        """What comes next within the limit; nothing at the limit or at the end."""
        if limit_s <= 0 or not self._poll.poll(limit_s * 1000):
            return b""
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # EIO: the last writer has closed it
            return b""
        self._seen += piece
        return piece

    def hang_up(self) -> None:
        """Close the terminal as its window does: SIGHUP to who is in it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def wait(self, limit_s: float = LIMIT_S) -> float:
        """When the shell had ended; it must be about to."""
        if self._status is not None:
            return time.monotonic()
        pidfd = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if self.fd >= 0:
                poll.register(self.fd, select.POLLIN)
            deadline = time.monotonic() + limit_s
            while True:
                ready = [fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
                if pidfd in ready:
                    at = time.monotonic()
                    self._status = os.waitpid(self.pid, 0)[1]
                    return at
                if not ready:
                    raise NotSeen("the shell's end")
                if not self.read(0.001):
                    poll.unregister(self.fd)
        finally:
            os.close(pidfd)

    def close(self) -> None:
        """End the shell and its session's processes, and close the terminal."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]
        self.hang_up()
