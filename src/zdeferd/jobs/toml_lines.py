"""Finds the line of a key in the text of a TOML file.

tomllib keeps no line numbers, so headers and assignments are read a second time here, line
by line. Assumes a text that tomllib has accepted.
"""

import re
from collections.abc import Iterable, Iterator

_NAME = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Return the number of the line of `keys`, or of the inline table around it.

    None where they are written in a way that this reading does not find.
    """
    if not keys:
        return None
    around: tuple[int, int] | None = None
    for number, path in _places(text):
        if path[: len(keys)] == keys:
            return number
        if keys[: len(path)] == path and (around is None or len(path) > around[0]):
            around = len(path), number
    return around[1] if around else None


def _places(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield line numbers and key paths of all headers and assignments."""
    table: tuple[str, ...] = ()
    for number, line in _outside_strings(text.split("\n")):
        if header := _HEADER.fullmatch(line):
            table = _split(header[1])
            yield number, table
        elif assignment := _ASSIGNMENT.match(line):
            yield number, (*table, *_split(assignment[1]))


def _outside_strings(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that do not begin inside a multi-line string."""
    inside = ""
    for number, line in enumerate(lines, 1):
        if not inside:
            yield number, line
        for quote in re.findall(r'"""|' + "'''", line):
            inside = {"": quote, quote: ""}.get(inside, inside)


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in re.findall(_NAME, dotted))
