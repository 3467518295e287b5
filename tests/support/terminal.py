"""A real zsh in a real terminal, for tests and measurements: type, and read the screen.

The shell lives in a private home (HOME, ZDOTDIR and the XDG folders below the given one)
and inherits nothing else of the caller's environment but PATH. Its output is kept
whole, each piece with the instant at which it was read, and never waited for without a
limit.

    with Terminal(home, zshrc="source …") as shell:
        shell.prompt()
        assert shell.ask("$(( 6 * 7 ))") == "42"

Assumes zsh on the PATH. Standard library only.
"""

import contextlib
import os
import re
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from support.pty import PROLOGUE, PROMPT, Pty

LIMIT_S = 100.0
"""How long anything may take before a test fails."""
_CONTROL = re.compile(rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78DMEHc])|\x1b\][^\a]*\a")
_REDRAWN = re.compile(r"(.)\x08\1")
"""zsh draws a line's first letter once more where the second is typed later."""


class Seen(NamedTuple):
    """A pattern that came up on the screen."""

    text: str
    at: float
    """When it had been read whole: time.monotonic()."""
    match: re.Match[str]


def private_environment(home: Path) -> dict[str, str]:
    """The environment of a shell whose every folder is below `home`; makes the folders."""
    folders = {
        "HOME": home,
        "ZDOTDIR": home,
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_STATE_HOME": home / ".local/state",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_RUNTIME_DIR": home / "run",
    }
    for folder in folders.values():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "xterm",
        **{name: str(folder) for name, folder in folders.items()},
    }


class Terminal(Pty):
    """One zsh (or another program, `argv`), whose screen is read as text.

    `zshrc` is written to the private home; None leaves the file as it is. `env` is added to
    the private environment. Leaving the `with` block ends the process group.
    """

    def __init__(
        self,
        home: Path,
        zshrc: str | None = "",
        env: Mapping[str, str] | None = None,
        argv: Sequence[str] = ("zsh", "-d", "-i"),
    ) -> None:
        environment = private_environment(home) | dict(env or {})
        if zshrc is not None:
            fresh = home / ".zshrc.new"  # another shell may be reading the old one
            fresh.write_text(PROLOGUE + zshrc)
            fresh.rename(home / ".zshrc")
        self._pieces: list[tuple[float, bytes]] = []
        self._from = 0
        super().__init__(environment, argv, (40, 250), home)

    # --- writing ---

    def type(self, keys: str) -> None:
        """Type `keys` as they are; `\\r` is Enter, `\\x03` Ctrl-C.

        When it returns the program can read them: the kernel hands keys on in a thread of its
        own, and finishes that before it answers a poll of the terminal.
        """
        self.write(keys.encode("utf-8", "surrogateescape"))
        with contextlib.suppress(OSError):  # the program has left and closed the terminal
            inside = os.open(self.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            try:
                select.select([inside], [], [], 0)
            finally:
                os.close(inside)

    def line(self, command: str) -> None:
        """Type a command and Enter."""
        self.type(command + "\r")

    # --- reading ---

    def read(self, limit_s: float = 0.0) -> bytes:
        """Read and keep the next output within the limit; empty where none came."""
        if piece := self.take(limit_s):
            self._pieces.append((time.monotonic(), piece))
        return piece

    def drain(self) -> None:
        """Read and keep all output that is there now."""
        while self.read():
            pass

    @property
    def raw(self) -> bytes:
        """All output so far."""
        return b"".join(piece for _, piece in self._pieces)

    @property
    def screen(self) -> str:
        """All output so far, without control sequences, carriage returns and bells.

        A letter that was drawn over itself is there once.
        """
        return _plain(self.raw)

    @property
    def unread(self) -> str:
        """The screen behind the text that was expected last."""
        return self.screen[self._from :]

    def expect(self, pattern: str, limit_s: float = LIMIT_S) -> Seen:
        """Read until `pattern` (a regular expression) follows the text that was expected last."""
        deadline = time.monotonic() + limit_s
        while True:
            screen = self.screen
            if match := re.compile(pattern).search(screen, self._from):
                self._from = match.end()
                return Seen(match[0], self._instant_of(match.end()), match)
            left = deadline - time.monotonic()
            if left <= 0 or not (self.read(left) or time.monotonic() >= deadline or self.alive):
                raise AssertionError(f"not seen: {pattern!r}; the screen says:\n{screen[-2000:]}")

    def prompt(self, limit_s: float = LIMIT_S) -> Seen:
        """Read until the next prompt."""
        return self.expect(re.escape(PROMPT), limit_s)

    def run(self, command: str, limit_s: float = LIMIT_S) -> str:
        """Run `command` at the prompt; -> its output, once the next prompt is up."""
        self.line(f"{command}; print -r -- 'e'nd:$?")
        self.expect(re.escape("'e'nd:$?") + r"\s*\n", limit_s)
        start = self._from
        seen = self.expect(r"end:\d+\n", limit_s)
        printed = self.screen[start : self._from - len(seen.text)]
        self.prompt(limit_s)
        return printed.strip("\n")

    def ask(self, words: str, limit_s: float = LIMIT_S) -> str:
        """Return the output of `print -r -- WORDS` in the shell."""
        return self.run(f"print -r -- {words}", limit_s)

    def _instant_of(self, position: int) -> float:
        so_far = b""
        for at, piece in self._pieces:
            so_far += piece
            if len(_plain(so_far)) >= position:
                return at
        return self._pieces[-1][0]

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """The status with which the shell ends: its exit code, or minus a signal's number."""
        if self.ended(limit_s) is None:
            raise AssertionError(f"still running; the screen says:\n{self.screen[-2000:]}")
        self.drain()
        assert self.status is not None
        return os.waitstatus_to_exitcode(self.status)


def _plain(data: bytes) -> str:
    data = _CONTROL.sub(b"", data)
    text = data.replace(b"\r", b"").replace(b"\a", b"").decode("utf-8", "replace")
    return _REDRAWN.sub(r"\1", text)
