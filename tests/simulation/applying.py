"""Keeps the outputs that a shell is to source, as answers and later messages change them.

Owns the promises of shell/live/apply.zsh as the daemon can rely on them: a shell names what it
waits for, sources the output of each run once, and asks again at a prompt where the file is
another one.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .disk import Node

Which = Callable[[str], Node | None]
"""The file at a path."""


class Due(NamedTuple):
    """An output that is queued to be sourced, and the run that has published it."""

    job: str
    run: int
    path: str


class Follower:
    """One shell's part of `apply`."""

    def __init__(self, born_at: float, has: dict[str, int]) -> None:
        self.born_ns = int(born_at * 1e9)
        self.has = has
        """Of each place the number of the version that the shell has sourced, 0 for none."""
        self.awaited: dict[str, int] = {}
        self.applied: dict[str, int] = {}
        self.followed: dict[str, str] = {}
        self.seen: dict[str, Node | None] = {}
        self.queue: list[Due] = []
        self.asked: set[str] = set()
        """Jobs with `apply` that were in force at a visit which was answered."""

    def says(self) -> str:
        """The field `apply` of a visit."""
        asked = (f"{job}={run}" for job, run in self.awaited.items())
        return "\0".join((str(self.born_ns), *asked))

    def note(self, notes: Iterable[bytes], which: Which, is_young: Callable[[str], bool]) -> None:
        """Take in the fields of an answer."""
        for word in notes:
            kind, _, rest = word.decode().partition("=")
            job, *more = rest.split(":", 2)
            if kind == "wait":
                self.awaited[job] = int(more[0])
            elif kind == "over":
                self.awaited.pop(job, None)
            elif kind == "follow" and self.followed.get(job) != more[1]:
                self.applied.setdefault(job, int(more[0]) - 1)
                self.followed[job] = more[1]
                self.seen[job] = None if is_young(more[1]) else which(more[1])

    def told(self, frames: list[bytes], which: Which) -> Due | None:
        """Take in a message behind an answer; return what is queued for it."""
        kind, job, *more = (frame.decode().rpartition("=")[2] for frame in frames)
        if kind == "over":
            self.awaited.pop(job, None)
            return None
        due = Due(job, int(more[0]), more[1])
        if job in self.awaited:
            self.awaited[job] = due.run + 1
        if due.run <= self.applied.get(job, 0):
            return None
        self.applied[job] = due.run
        self.seen[job] = which(due.path)
        self.queue.append(due)
        return due

    def look(self, which: Which) -> None:
        """A prompt: ask for each output whose file is another one."""
        for job, path in self.followed.items():
            found = which(path)
            if found is not None and found is not self.seen[job]:
                self.seen[job] = found
                self.awaited.setdefault(job, self.applied[job] + 1)
