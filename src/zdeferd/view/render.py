"""Formats answers: tables, durations, sizes and instants as people read them.

Pure text: every function takes values (`now` and the width included) and returns
text. Colour is a Style that was decided once, by the program: on a terminal only,
never under NO_COLOR. Nothing here prints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence

Document = Mapping[str, object]
"""The keys and values that `--json` prints."""

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
        """Return `text` in a colour of _CODES; as it is where that is empty."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.colour and text and colour else text

    def bold(self, text: str) -> str:
        """Return `text` in bold: names that a reader looks for."""
        return self.paint(text, "bold")

    def dim(self, text: str) -> str:
        """Return `text` in grey: labels and side remarks."""
        return self.paint(text, "dim")

    def state(self, word: str) -> str:
        """Return a state, outcome or level in its colour, with spaces for underscores."""
        return self.paint(word.replace("_", " "), OUTCOME_COLOURS.get(word, ""))


PLAIN = Style(False)


def printable(text: str) -> str:
    """Return `text` on one line, without control characters, which could drive a terminal."""
    return "".join(c if c.isprintable() else "�" for c in text.replace("\n", " "))


_OURS = frozenset(f"\x1b[{code}m" for code in ("0", *_CODES.values()))
_CONTROL = re.compile(r"\x1b\[[0-9]*m|[^\n -~]")


def safe(text: str, colour: bool = False) -> str:
    """Return `text` without control characters, but for newlines and, with `colour`, our own."""

    def shown(found: re.Match[str]) -> str:
        if found[0] in _OURS:
            return found[0] if colour else "�" + found[0][1:]
        return "".join(c if c.isprintable() else "�" for c in found[0])

    return _CONTROL.sub(shown, text)


def width(text: str) -> int:
    """Return how many columns `text` takes, colour left out."""
    columns, inside = 0, False
    for character in text:
        if character == "\x1b":
            inside = True
        elif not inside:
            columns += 1
        elif character == "m":
            inside = False
    return columns


def wrapped(text: str, columns: int | None, indent: int = 0) -> str:
    """Return `text` in lines of at most so many columns, all but the first indented.

    A word that is longer stays whole: it may be a path or a command to copy. None: one line.
    """
    if columns is None or width(text) <= columns:
        return text
    lines: list[str] = []
    for word in text.split(" "):
        if lines and width(f"{lines[-1]} {word}") <= columns:
            lines[-1] += f" {word}"
        else:
            lines.append(" " * (indent if lines else 0) + word)
    return "\n".join(lines)


def marked(mark: str, texts: Iterable[str], columns: int | None, home: str = "") -> list[str]:
    """Return each text behind a mark, wrapped at so many columns, with `~` for the home folder."""
    shown = (printable(home_short(text, home)) for text in texts)
    return [wrapped(f"{mark} {text}", columns, width(mark) + 1) for text in shown]


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    style: Style = PLAIN,
    right: frozenset[int] = frozenset(),
) -> str:
    """Return rows under dim heads, two spaces apart; columns in `right` are right-aligned."""
    widths = [max(width(cell) for cell in column) for column in zip(heads, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = []
        for index, cell in enumerate(cells):
            gap = " " * (widths[index] - width(cell))
            padded.append(gap + cell if index in right else cell + gap)
        return "  ".join(padded).rstrip()

    return "\n".join([line([style.dim(head) for head in heads]), *map(line, rows)])


def fields(pairs: Sequence[tuple[str, str]], style: Style = PLAIN) -> str:
    """Return `name  value` lines with aligned values; empty values are left out."""
    shown = [(name, value) for name, value in pairs if value]
    broad = max((len(name) for name, _ in shown), default=0)
    return "\n".join(f"{style.dim(name.ljust(broad))}  {value}" for name, value in shown)


def duration(ms: float | None) -> str:
    """Return milliseconds in their two largest units; empty for None."""
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
    """Return how long ago an instant was, in one unit; empty for None."""
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
    """Return the local time of an instant: 14:03:07 of today, else with its date."""
    if instant is None:
        return ""
    then, today = time.localtime(instant), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%Y-%m-%d %H:%M", then)


def kib(size: int | None) -> str:
    """Return a number of KiB as a size; empty for None."""
    return "" if size is None else octets(size * 1024)


def octets(size: int | None) -> str:
    """Return a number of bytes as a size; empty for None."""
    if size is None:
        return ""
    if size < 1024:
        return f"{size} B"
    amount, unit = size / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if amount >= 1024:
            amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return `1 run`, `2 runs`; `plural` where an `s` does not make it."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def home_short(text: str, home: str) -> str:
    """Return a text with the home folder as `~` in each path."""
    if home in ("", "/"):
        return text
    return re.sub(rf"(?<![\w./~-]){re.escape(home)}(?![\w.-])", "~", text)


def cut(text: str, columns: int) -> str:
    """Return at most so many columns of a plain text."""
    return text if len(text) <= columns else text[: columns - 1].rstrip() + "…"


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th … 11th."""
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}" + {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
