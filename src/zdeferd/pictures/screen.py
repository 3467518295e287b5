"""Takes over a terminal for a picture that stays, and gives it back as it was.

Draws on the alternate screen in plain control sequences. Signals are noted as they come and acted
upon by `wait`: a new size, Ctrl-Z (the terminal is given back, taken again when the program goes
on), Ctrl-C, SIGTERM and SIGHUP. Wakes up for keys, signals and the given descriptors only.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import Any, Protocol, Self

    class _Descriptor(Protocol):
        def fileno(self) -> int:
            """Return the descriptor."""
            ...


_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The alternate screen, no cursor, long lines are cut, clear."""
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_KEY = re.compile(rb"\x1b[\[O][0-9;]*([A-Za-z~])|(.)", re.DOTALL)
_ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
_SIGNALS = (
    *(signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT),
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
)


class Screen:
    """A terminal that is ours within a `with` block."""

    def __init__(self) -> None:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._before: list[Any] = []
        self._noted: list[int] = []
        self._shown: list[str] = []
        self._handlers: dict[int, Any] = {}
        self._ring, self._bell = os.pipe()
        """A byte in this pipe ends `wait`."""

    def __enter__(self) -> Self:
        for end in (self._ring, self._bell):
            os.set_blocking(end, False)
        self._handlers = {number: signal.signal(number, self._note) for number in _SIGNALS}
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, termios.error):  # the terminal may have gone
            self._give_back()
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._ring)
        os.close(self._bell)

    @property
    def size(self) -> tuple[int, int]:
        """The columns and rows of the terminal now."""
        try:
            columns, rows = os.get_terminal_size(self._out)
        except OSError:
            columns, rows = 80, 24
        return columns or 80, rows or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines from the top on; nothing is written where they are shown already."""
        if (made := list(lines)) == self._shown:
            return
        self._shown = made
        self._write("\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")

    def wait(self, watched: Sequence[_Descriptor], limit_s: float | None) -> list[str]:
        """Wait for a key, a signal, a descriptor or the limit; -> the keys that were typed.

        KeyboardInterrupt for Ctrl-C; SystemExit for SIGTERM, SIGHUP and a terminal that has gone.
        """
        ready = select.select([self._in, self._ring, *watched], [], [], limit_s)[0]
        if self._ring in ready:
            with suppress(BlockingIOError):
                os.read(self._ring, 4096)
        self._act()
        return self._keys() if self._in in ready else []

    def wake(self) -> None:
        """End the `wait` of this moment, or the next one; from any thread."""
        with suppress(OSError):  # full: it ends anyway; closed: nothing waits
            os.write(self._bell, b"\0")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted.append(number)

    def _act(self) -> None:
        """Act upon the signals that have come."""
        while self._noted:
            number = self._noted.pop(0)
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            if number in (signal.SIGTERM, signal.SIGHUP):
                raise SystemExit(128 + number)
            if number == signal.SIGTSTP:
                self._stop()
            self._shown = []

    def _stop(self) -> None:
        """Give the terminal back and stop, as Ctrl-Z asks; go on where the shell says so."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._note)
        self._take()

    def _take(self) -> None:
        self._before = termios.tcgetattr(self._in)
        tty.setcbreak(self._in)
        self._shown = []
        self._write(_ENTER)

    def _give_back(self) -> None:
        if self._before:
            self._write(_LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)

    def _keys(self) -> list[str]:
        data = b""
        with suppress(OSError):  # EIO: the terminal has gone
            data = os.read(self._in, 1024)
        if not data:
            raise SystemExit(128 + signal.SIGHUP)
        return [_key(found) for found in _KEY.finditer(data)]

    def _write(self, text: str) -> None:
        data = plain(text, self._encoding).encode(self._encoding, "replace")
        while data:
            data = data[os.write(self._out, data) :]


def plain(text: str, encoding: str) -> str:
    """Return a text that the encoding has, with `~` for an ellipsis that it lacks."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.replace("…", "~")
    return text


def _key(found: re.Match[bytes]) -> str:
    """Return the name of an arrow, the letter of a key, `escape`; empty for other keys."""
    if found[1]:
        return _ARROWS.get(found[1], "")
    return "escape" if found[2] == b"\x1b" else found[2].decode("ascii", "replace")
