"""One program on a pseudo-terminal of its own: start it, write, read bytes, see its end.

Owns one child process and the master side of its terminal. The child is started with
posix_spawn, whose time does not depend on this process's size; opening the terminal as a
session leader makes it the controlling one. `terminal.Terminal` reads text from it, for
tests; `bench.screen.Screen` measures with it. Standard library only.
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
from pathlib import Path
from typing import Self

PROMPT = "ready> "
ZSH = shutil.which("zsh") or "/bin/zsh"
TURN_S = 0.02
"""Longest wait for an end that no descriptor announces (macOS has no pidfd)."""
PROLOGUE = f"""\
PROMPT='{PROMPT}'
unset zle_bracketed_paste
# After 5.9, zsh queries the terminal and marks its prompt (OSC 133), unless told otherwise.
[[ $ZSH_VERSION == (5.9.9*|5.<10->*|<6->*) ]] && eval \
  'typeset -ga .term.extensions; .term.extensions=(-query -integration -bracketed-paste)'
"""
"""Begins a .zshrc: zsh prints its prompt, the typed keys and the output of commands only."""


class Pty:
    """A program in a terminal of `size` rows and columns, started in `folder`."""

    def __init__(
        self,
        env: Mapping[str, str],
        argv: Sequence[str] = (ZSH, "-d", "-i"),
        size: tuple[int, int] = (50, 200),
        folder: Path | None = None,
    ) -> None:
        self.fd, inside = os.openpty()
        # Before the program looks: a change would have it draw its prompt again.
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.status: int | None = None
        """How it ended, as waitpid gives it; None while that has not been asked."""
        program = shutil.which(argv[0], path=env.get("PATH")) or argv[0]
        self.name = os.ttyname(inside)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, self.name, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
            *((os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()),
        ]
        with contextlib.chdir(folder) if folder else contextlib.nullcontext():
            self.started = time.monotonic()
            self.pid = os.posix_spawn(
                program, list(argv), dict(env), file_actions=actions, setsid=True
            )
        os.close(inside)
        self._end = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self._poll = select.poll()
        for fd in (self.fd, self._end):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, keys: bytes) -> float:
        """Type; -> the instant before."""
        at = time.monotonic()
        os.write(self.fd, keys)
        return at

    def take(self, limit_s: float) -> bytes:
        """Read the next output within the limit; empty at the limit or at the program's end."""
        ready = self._poll.poll(max(0.0, limit_s) * 1000)
        if self.fd not in [fd for fd, _ in ready]:
            return b""
        try:
            return os.read(self.fd, 65536)
        except OSError:  # EIO: the last writer has closed it
            if self._end >= 0:  # else nothing would be left to wait on
                self._poll.unregister(self.fd)
            return b""

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        if self.status is not None:
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def ended(self, limit_s: float) -> float | None:
        """Wait for the end; -> the instant after it, or None at the limit."""
        deadline = time.monotonic() + limit_s
        while self.alive:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.read(left if self._end >= 0 else min(left, TURN_S))
        at = time.monotonic()
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        return at

    def read(self, limit_s: float = 0.0) -> bytes:
        """As `take`; a subclass keeps the output."""
        return self.take(limit_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal as its window does: SIGHUP to the session."""
        if self.fd >= 0:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self.fd)
            os.close(self.fd)
            self.fd = -1

    def close(self) -> None:
        """End the program, its process group and the terminal's; close the terminal."""
        groups = {_foreground(self.fd)}
        if self.status is None:
            groups.add(self.pid)
        for group in groups:
            if group > 1:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
        if self.status is None:
            self.status = os.waitpid(self.pid, 0)[1]
        self.hang_up()
        if self._end >= 0:
            os.close(self._end)
            self._end = -1


def _inheritable() -> list[int]:
    """Descriptors that this process was started with and that no program below it may get."""
    found = []
    for fd in map(int, os.listdir("/dev/fd")):
        with contextlib.suppress(OSError):  # the one that listed them
            if fd > 2 and os.get_inheritable(fd):
                found.append(fd)
    return found


def _foreground(fd: int) -> int:
    """The process group that has the terminal, or 0."""
    try:
        return os.tcgetpgrp(fd)
    except OSError:
        return 0
