"""Reads a terminal in a tight loop, with the instant of each text that comes up.

Every instant is time.monotonic() in seconds, taken right before a write and right after
the read that brought the last byte of the awaited text. tests/support/pty.py starts
the program; nothing is waited for without a limit.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from support.pty import PROMPT as PROMPT_TEXT
from support.pty import Pty

from .stage import Stage, settled
from .values import Figure

LIMIT_S = 30.0
PROMPT = PROMPT_TEXT.encode()


class NotSeen(Exception):
    """The awaited text did not come up in time; the message has the end of the screen."""


class Screen(Pty):
    """One program in a terminal of its own, whose bytes are looked for in order."""

    passed = b""
    """Output before the end of the text that `see` found last."""
    _seen = b""

    def see(self, text: bytes = PROMPT, limit_s: float = LIMIT_S) -> float:
        """Read until `text` comes after the text found last; -> the instant it was there."""
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
        """Read and drop output until none came for that long."""
        end = time.monotonic() + LIMIT_S
        while self.read(quiet_s) and time.monotonic() < end:
            pass
        self._seen = b""

    def read(self, limit_s: float = 0.0) -> bytes:
        """Read the next output within the limit; empty at the limit or at the end."""
        piece = self.take(limit_s)
        self._seen += piece
        return piece

    def wait(self, limit_s: float = LIMIT_S) -> float:
        """Wait for the shell's end; -> its instant."""
        at = self.ended(limit_s)
        if at is None:
            raise NotSeen("the shell's end")
        return at


def number_from(env: Mapping[str, str], out: Path) -> float:
    """Start a shell that writes one number to `out` and ends; -> the number."""
    with Screen(env) as screen:
        settled(out, 3)
        screen.wait()
    value = float(out.read_text())
    out.unlink()
    return value


def add_numbers(
    figure: Figure, stage: Stage, ways: Mapping[str, tuple[Mapping[str, str], Path]], rounds: int
) -> None:
    """Start a shell of each way in each round, in turns, and add their numbers to the figure."""
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for name in stage.rounds(list(ways), rounds):
        samples[name].append(number_from(*ways[name]))
    for name, values in samples.items():
        figure.add(name, values)
