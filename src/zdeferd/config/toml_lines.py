"""Parses the text of a TOML file, and finds the line of a key in it.

tomllib keeps no line numbers, so headers and assignments are read a second time here, line
by line. It also takes more than TOML has: integers beyond 64 bits and tables without a limit
of depth, on which other code fails (the text of such an integer, recursion). These are
refused here, as a problem like any other.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator

from .problems import Problem, Refused

DEEPEST = 32
"""Levels of tables and arrays; no key needs more than three."""
BOM = "\ufeff"
"""A byte order mark, as Windows puts it in front."""

_NAME = r"(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')"
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
# tomllib has int() read it, which refuses more than 4,300 digits with a plain ValueError.
_LONG_NUMBER = re.compile(r"[=\[,]\s*[+-]?[0-9][0-9_]{4000}")
_TOO_LARGE = Problem("", "an integer beyond 64 bits", "a smaller number")
_TOO_DEEP = Problem("", "values nested too deeply", "plain tables")


def parse(text: str) -> dict[str, object]:
    """Return the table that `text` is; Refused has the mistake, with its key and line."""
    if text.startswith(BOM):
        raise Refused(Problem("", "a byte order mark (BOM)", "UTF-8 without it", line=1))
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(_syntax_error(str(error), text)) from None
    except ValueError:
        raise Refused(_long_number(text)) from None
    except RecursionError:
        raise Refused(_placed(_TOO_DEEP, text, _end_of_depth(text))) from None
    _check(table, text)
    return table


def _syntax_error(message: str, text: str) -> Problem:
    """Return the problem of a text that is no TOML, from tomllib's message."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message)
    if match is None:
        return Problem("", message, "valid TOML")
    line = int(match[2] or text.count("\n") + 1)
    return Problem("", f"a TOML error, {match[1]}", "valid TOML", line=line)


def _long_number(text: str) -> Problem:
    match = _LONG_NUMBER.search(text)
    return _placed(_TOO_LARGE, text, match.end()) if match else _TOO_LARGE


def _end_of_depth(text: str) -> int:
    """Return where brackets are nested too deeply; those in strings count too."""
    depth = 0
    for match in re.finditer(r"[\[{]|[\]}]", text):
        depth += 1 if match[0] in "[{" else -1
        if depth > DEEPEST:
            return match.end()
    return len(text)


def _placed(problem: Problem, text: str, end: int) -> Problem:
    """Return the problem with the line of the place `end`, and the key that is set there."""
    line = text.count("\n", 0, end) + 1
    before = [path for number, path in _places(text) if number <= line]
    return problem._replace(key=".".join(before[-1]) if before else "", line=line)


def _check(table: dict[str, object], text: str) -> None:
    """Raise Refused at the first integer that is too large, or table that is too deep."""
    left: list[tuple[tuple[str, ...], int, object]] = [((), 0, table)]
    while left:
        keys, depth, value = left.pop()
        if depth > DEEPEST:
            raise Refused(_at(_TOO_DEEP, keys[:2], text))
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise Refused(_at(_TOO_LARGE, keys, text))
        if isinstance(value, dict):
            left += (((*keys, name), depth + 1, item) for name, item in value.items())
        elif isinstance(value, list):
            left += ((keys, depth + 1, item) for item in value)


def _at(problem: Problem, keys: tuple[str, ...], text: str) -> Problem:
    return problem._replace(key=".".join(keys), line=line_of(text, keys) or 0)


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
