"""The telemetry lines of the ledger, until each is known to be in its file.

The statements of ledger.sql behind methods, as in store.py. recording/scribe.py says in which order
they are called.
"""

import os

from msgspec import Struct

from .database import Database, stored_path


class Line(Struct, frozen=True):
    """A telemetry line that is not yet known to be in its file."""

    id: int
    path: str
    text: bytes
    state: str
    inode: int | None
    offset: int | None
    before: int | None


class LineStore(Database):
    """The part of the store that keeps lines."""

    def add_line(self, path: str, text: bytes, run: int | None, now: float) -> None:
        """Insert a line that is due."""
        self._run("add_line", path=stored_path(path), text=text, run=run, now=now)

    def open_lines(self) -> list[Line]:
        """Return the lines that are not marked, in order; at most 200 of each file."""
        rows = self._run("open_lines")
        return [Line(**{**dict(row), "path": os.fsdecode(row["path"])}) for row in rows]

    def begin_line(self, line: int, inode: int, offset: int, before: int | None) -> None:
        """Record that a line is about to be appended to that file, at `offset` or behind it.

        telemetry/logfile.py has the meaning of the places.
        """
        self._run("begin_line", id=line, inode=inode, offset=offset, before=before)

    def put_back_line(self, line: int, problem: str | None) -> None:
        """Record that a line is not in its file, and why it cannot be written now."""
        self._run("put_back_line", id=line, problem=problem)

    def mark_line(self, line: int) -> None:
        """Delete a line that is in its file."""
        self._run("mark_line", id=line)

    def note_line(self, line: int, problem: str) -> None:
        """Record why it cannot be found out now whether a line is in its file."""
        self._run("note_line", id=line, problem=problem)

    def lose_line(self, line: int, problem: str) -> None:
        """Record that a line may have reached a file that is gone; it is never appended again."""
        self._run("lose_line", id=line, problem=problem)
