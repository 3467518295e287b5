"""How answers look: tables, durations, sizes and instants as people read them.

Pure text: every function takes values (`now` and the width included) and returns
text. Colour is a Style that was decided once, by the program: on a terminal only,
never under NO_COLOR. Nothing here prints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

Document = Mapping[str, object]
"""What `--json` prints, by key."""

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}

OUTCOME_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "abandoned": "red",
    "cancelled": "yellow",
    "missed": "yellow",
    "running": "cyan",
    "waiting": "dim",
    "ended": "yellow",
    "vanished": "red",
    "cancelling": "yellow",
    "ok": "green",
    "warn": "yellow",
    "bad": "red",
}
"""The colour of every state word, outcome and finding."""


class Style:
    """Paints words, or leaves them as they are."""

    def __init__(self, colour: bool) -> None:
        self.colour = colour

    def paint(self, text: str, colour: str) -> str:
        """`text` in a colour of the table above."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour and text else text

    def bold(self, text: str) -> str:
        """What the eye should meet first."""
        return self.paint(text, "bold")

    def dim(self, text: str) -> str:
        """What is there for completeness."""
        return self.paint(text, "dim")

    def state(self, word: str) -> str:
        """A state, outcome or finding in its own colour, with spaces for underscores."""
        colour = OUTCOME_COLOURS.get(word)
        text = word.replace("_", " ")
        return self.paint(text, colour) if colour else text


PLAIN = Style(False)


def printable(text: str) -> str:
    """`text` on one line and without control characters: a terminal is not to be driven by data."""
    return "".join(c if c.isprintable() else "�" for c in text.replace("\n", " "))


def width(text: str) -> int:
    """Columns that `text` takes, colour left out."""
    columns, inside = 0, False
    for character in text:
        if character == "\x1b":
            inside = True
        elif not inside:
            columns += 1
        elif character == "m":
            inside = False
    return columns


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = PLAIN,
    right: frozenset[int] = frozenset(),
) -> str:
    """Columns two spaces apart under dim heads; columns in `right` end aligned."""
    widths = [max(width(cell) for cell in column) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = []
        for index, cell in enumerate(cells):
            gap = " " * (widths[index] - width(cell))
            padded.append(gap + cell if index in right else cell + gap)
        return "  ".join(padded).rstrip()

    return "\n".join([line([style.dim(head) for head in heads]), *map(line, rows)])


def fields(pairs: Sequence[tuple[str, str]], style: Style = PLAIN) -> str:
    """`name  value` lines with aligned values; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    broad = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{style.dim(name.ljust(broad))}  {value}" for name, value in shown)


def duration(ms: float | None) -> str:
    """Milliseconds as the two largest units that matter; empty for None."""
    if ms is None:
        return ""
    if ms < 1000:
        return f"{max(0, round(ms))} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


def ago(instant: float | None, now: float) -> str:
    """How long ago an instant was, in one unit; empty for None."""
    if instant is None:
        return ""
    seconds = now - instant
    for limit, divisor, unit in (
        (60, 1, "s"),
        (3600, 60, "min"),
        (86400 * 2, 3600, "h"),
        (float("inf"), 86400, "d"),
    ):
        if seconds < limit:
            return f"{max(0, int(seconds / divisor))} {unit} ago"
    return ""


def clock(instant: float | None, now: float) -> str:
    """Local time of an instant: today's as 14:03:07, others with their date."""
    if instant is None:
        return ""
    then, today = time.localtime(instant), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%Y-%m-%d %H:%M", then)


def kib(size: int | None) -> str:
    """KiB as a size; empty for None."""
    return "" if size is None else octets(size * 1024)


def octets(size: int | None) -> str:
    """Bytes as a size; empty for None."""
    if size is None:
        return ""
    if size < 1024:
        return f"{size} B"
    amount, unit = size / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if amount >= 1024:
            amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def count(number: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def home_short(text: str, home: str) -> str:
    """A path, or a text with paths in it, with the home folder as `~`."""
    if home in ("", "/"):
        return text
    return re.sub(rf"(?<![\w./~-]){re.escape(home)}(?![\w.-])", "~", text)


def cut(text: str, columns: int) -> str:
    """At most so many columns of a plain text."""
    return text if len(text) <= columns else text[: columns - 1].rstrip() + "…"
