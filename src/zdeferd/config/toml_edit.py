"""Sets a key of a TOML text, or takes it out, and leaves every other line as it is.

tomllib only reads. So the lines of an assignment are found by trying which of them are TOML by
themselves; and the result counts only where it reads as the table before, but for the key.
"""

import json
import tomllib
from collections.abc import Mapping

from .problems import Problem, Refused
from .toml_lines import line_of, parse


def with_key(text: str, key: str, value: object) -> str:
    """Return the text with the key of its top table set; Refused where that cannot be done."""
    wanted = {**parse(text), key: value}
    made = _with_ends_of(text, _replaced(_bare(text), key, f"{key} = {written(value)}"))
    return _checked(made, wanted, key, text)


def without_key(text: str, key: str) -> str:
    """Return the text without the key of its top table; Refused where that cannot be done."""
    wanted = {name: value for name, value in parse(text).items() if name != key}
    return _checked(_with_ends_of(text, _replaced(_bare(text), key, None)), wanted, key, text)


def _bare(text: str) -> str:
    """Return the text with line ends of Unix, which mean the same in TOML as those of Windows."""
    return text.replace("\r\n", "\n")


def _with_ends_of(text: str, made: str) -> str:
    """Return `made` with the line ends of Windows where `text` has them."""
    return made.replace("\n", "\r\n") if "\r\n" in text else made


def written(value: object) -> str:
    """Return a value as TOML: a text, a number, true or false, an array, a table in one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(name))} = {written(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return json.dumps(value, ensure_ascii=False)


def _replaced(text: str, key: str, assignment: str | None) -> str:
    """Return the text with the assignment in the place of the key's, or before all tables."""
    lines = text.split("\n")
    first = line_of(text, (key,))
    if first is None:
        return text if assignment is None else "\n".join(_added(lines, assignment))
    start, end = first - 1, _end(lines, first - 1)
    kept = [] if assignment is None else [assignment + _comment("\n".join(lines[start:end]))]
    return "\n".join([*lines[:start], *kept, *lines[end:]])


def _end(lines: list[str], start: int) -> int:
    """Return the number of the line behind an assignment, which may have several."""
    for end in range(start + 1, len(lines) + 1):
        if _table("\n".join(lines[start:end])) is not None:
            return end
    return start + 1


def _comment(assignment: str) -> str:
    """Return the comment at the end of an assignment, with the blanks before it; or nothing."""
    whole = _table(assignment)
    for at, character in enumerate(assignment):
        if character == "#" and whole is not None and _table(assignment[:at]) == whole:
            blanks = len(assignment[:at]) - len(assignment[:at].rstrip(" \t"))
            return assignment[at - blanks :].rpartition("\n")[2]
    return ""


def _added(lines: list[str], assignment: str) -> list[str]:
    """Return the lines with a new assignment: before the first table, else at the end."""
    at = next((at for at, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    while at > 0 and not lines[at - 1].strip():
        at -= 1
    return [*lines[:at], assignment, *(lines[at:] or [""])]


def _table(text: str) -> Mapping[str, object] | None:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return None


def _checked(made: str, wanted: Mapping[str, object], key: str, before: str) -> str:
    if _table(made) != wanted:
        line = line_of(before, (key,)) or 0
        found, expected = "a way of writing it that cannot be changed here", "a line of its own"
        raise Refused(Problem(key, found, f"{expected}: edit the file", line=line))
    return made
