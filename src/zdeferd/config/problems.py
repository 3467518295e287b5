"""A mistake in settings or in the declaration of a job, with its place.

Kept as fields until it is printed, so that readers can group, sort and filter it. Finds also
the cycles in `after`: a job that waits for itself, directly or through others.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..errors import ConfigError, ZdeferdError


class Problem(NamedTuple):
    """One mistake: its place, what stands there, and what may stand there."""

    key: str
    """Dotted where it is nested; empty: the job, or the file, as a whole."""
    found: str
    expected: str
    """Empty where the file is refused before it is read; then `found` names the path."""
    job: str = ""
    """Empty: a setting, or the file as a whole."""
    file: str = ""
    """Empty: declared by a shell."""
    line: int = 0
    """Counted from 1; 0: not known."""
    remedy: str = ""
    """The remedy, where the file is refused before it is read."""

    def __str__(self) -> str:
        if not self.expected:
            return f"{self.found}; {self.remedy}" if self.remedy else self.found
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = ".".join(filter(None, (self.job, self.key)))
        where = ": ".join(filter(None, (place, key)))
        return f"{where}: found {self.found}; expected {self.expected}"


class Refused(ConfigError):
    """A declaration or a file is refused for these problems, one or more."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(str(problems[0]))


def unreadable(file: str, error: ZdeferdError) -> Problem:
    """Return the problem of a file or folder that is refused before it is read."""
    return Problem("", error.found, "", file=file, remedy=error.remedy)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems by their lines, the files in the order in which they were read."""
    found = list(problems)
    files = list(dict.fromkeys(problem.file for problem in found))
    return sorted(found, key=lambda problem: (files.index(problem.file), problem.line))


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems without those that read the same: files share folders."""
    found: dict[str, Problem] = {}
    for problem in problems:
        found.setdefault(str(problem), problem)
    return list(found.values())


def shown(value: object) -> str:
    """Return a value as an error message shows it, cut to 60 characters.

    Of a table only what it is: it may be an `env` in the wrong place.
    """
    nested = isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
    if nested or isinstance(value, dict):
        return kind(value)
    text = repr(value)
    if isinstance(value, bool):
        text = str(value).lower()
    elif kind(value) == _TIME:
        text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def kind(value: object) -> str:
    """Return what a value is, without the value: `a table in which PORT is an integer`."""
    if isinstance(value, dict):
        odd = [f"{name} is {kind(item)}" for name, item in value.items() if type(item) is not str]
        return f"a table in which {' and '.join(odd)}" if odd else "a table"
    return _KINDS.get(type(value), _TIME)


def run_shown(value: object) -> str:
    """Return a bad value of `run`: of an array's strings only the first, the command."""
    if not isinstance(value, list):
        return shown(value)
    return shown(
        [item if not at or type(item) is not str else "…" for at, item in enumerate(value)]
    )


_TIME = "a date or time"
_KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number with a fraction",
    list: "an array",
}


def find_cycle(edges: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return the ids of one cycle, each waiting for the next, the last for the first; or None.

    `edges` maps a job to the jobs that it waits for; names that are no key have no edges.
    Deterministic in the order of `edges`, and not recursive: a chain may be long.
    """
    done: set[str] = set()
    for start in edges:
        if cycle := _cycle_from(start, edges, done):
            return cycle
    return None


def _cycle_from(start: str, edges: Mapping[str, Iterable[str]], done: set[str]) -> list[str] | None:
    """Return a cycle that `start` reaches; add the ids that reach none to `done`."""
    if start in done:
        return None
    path = {start: iter(edges.get(start, ()))}
    while path:
        current = next(reversed(path))
        after = next(path[current], None)
        if after is None:
            done.add(current)
            del path[current]
        elif after in path:
            ids = list(path)
            return ids[ids.index(after) :]
        elif after not in done:
            path[after] = iter(edges.get(after, ()))
    return None
