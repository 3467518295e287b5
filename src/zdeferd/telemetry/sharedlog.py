"""Appends telemetry lines exactly once, to files that other programs append to as well.

The due lines of a file go together, as a *group*. First the file is flushed as it is. Its
identity and its size then are the *intent* of the group: no line of it lies before that offset.
Before each line is appended, that intent is committed for it. After the last one the file is
flushed, once for all of them, and only then are they marked. So after a crash or a power cut
the begun lines of one group are in doubt, and `settle` looks for them from that offset on, in
the file or in its rotated sibling; a line that is missing there is appended again.

`flush` drives this for all lines that are due, each file's lines in their order. Lines for the
null device are marked without more, which is how a user switches a log off, and so are those
for a measurement that is over. logfile.py has the files themselves. Assumes that one process
flushes at a time.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ..crashpoints import reached
from ..errors import LogUnavailable
from ..settings import Rotation
from .logfile import (
    Intent,
    Settled,
    Synced,
    append,
    discards,
    intent,
    is_measured,
    make_durable,
    open_log,
    settle,
)
from .rotation import rotate


class PendingLine(NamedTuple):
    """A line that is due; `text` without its newline."""

    id: int
    path: str
    text: bytes
    intent: Intent | None = None
    """Set where it was begun and not marked."""


class LineLedger(Protocol):
    """The ledger as `flush` uses it; each call returns when it is durable."""

    async def begin(self, line: int, where: Intent) -> None:
        """Record that the line is about to be appended, with the intent of its group."""

    async def mark(self, lines: Sequence[int]) -> None:
        """Record that the lines are in their file, which is flushed."""

    async def settled(
        self, there: Sequence[int], absent: Sequence[int], lost: Sequence[int], problem: str
    ) -> None:
        """Record in one transaction which begun lines are marked, pending again, or lost.

        Lost: the file is gone, and the line may be in it, so it is not appended again.
        """

    async def put_back(self, line: int, problem: str) -> None:
        """Record that the line is not in its file, and why it cannot be written now."""

    async def note(self, line: int, problem: str) -> None:
        """Record why its file cannot be read or flushed now; the line stays begun."""


async def flush(
    ledger: LineLedger,
    lines: Iterable[PendingLine],
    synced: Synced,
    rotation: Rotation | None = None,
) -> None:
    """Append all lines that can be appended now.

    Files are written side by side, each in the order of its lines. A line that cannot be
    written holds up the rest of its file. `synced` is what this daemon has flushed, kept from
    call to call; `rotation` says which files are moved aside. Must not be cancelled half-way.
    """
    files: dict[str, list[PendingLine]] = {}
    for line in lines:
        files.setdefault(line.path, []).append(line)
    results = await asyncio.gather(
        *(_flush_file(ledger, path, group, synced, rotation) for path, group in files.items()),
        return_exceptions=True,  # no file may still be written to when this returns
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _flush_file(
    ledger: LineLedger,
    path: str,
    lines: list[PendingLine],
    synced: Synced,
    rotation: Rotation | None,
) -> None:
    may_discard = path.startswith("/dev/") or is_measured(path)
    if may_discard and await asyncio.to_thread(discards, path):
        await ledger.mark([line.id for line in lines])
        return
    begun = [line for line in lines if line.intent is not None]
    due = [line for line in lines if line.intent is None]
    absent = await _settle(ledger, path, begun)
    if absent is not None and (absent or due):
        if rotation and path in rotation.paths:  # no line of the file is in doubt here
            await asyncio.to_thread(rotate, path, rotation)
        reached("daemon.log-ready")
        await _Group(ledger, path, synced).append(absent + due)


async def _settle(
    ledger: LineLedger, path: str, begun: list[PendingLine]
) -> list[PendingLine] | None:
    """Return the begun lines that are not in the file; None: the file cannot be read now."""
    if not begun:
        return []
    where, texts = begun[0].intent, [line.text for line in begun]
    assert where is not None
    try:
        found = await asyncio.to_thread(settle, path, where, texts)
    except LogUnavailable as problem:
        await ledger.note(begun[0].id, str(problem))
        return None
    reached("daemon.line-settled")
    by_fate: dict[Settled, list[PendingLine]] = {fate: [] for fate in Settled}
    for line, fate in zip(begun, found, strict=True):
        by_fate[fate].append(line)
    there, absent, lost = ([line.id for line in by_fate[fate]] for fate in Settled)
    await ledger.settled(there, absent, lost, f"the log it was begun in is gone: {path}")
    return by_fate[Settled.ABSENT]


class _Group:
    """One group of lines on its way into one file."""

    def __init__(self, ledger: LineLedger, path: str, synced: Synced) -> None:
        self._ledger, self._path, self._synced = ledger, path, synced
        self._appended: list[int] = []
        """Lines that are in the file and not marked."""

    async def append(self, lines: list[PendingLine]) -> None:
        """Append, flush and mark the lines, up to the first that cannot be written now."""
        try:
            log = await asyncio.to_thread(open_log, self._path)
        except LogUnavailable as problem:
            await self._ledger.put_back(lines[0].id, str(problem))
            return
        try:
            await self._append_all(log, lines)
            await self._mark(log)
        finally:
            os.close(log)

    async def _append_all(self, log: int, lines: list[PendingLine]) -> None:
        line = lines[0]
        try:
            begun = await asyncio.to_thread(self._begin, log)
            for line in lines:
                reached("daemon.line-due")
                await self._ledger.begin(line.id, begun)
                reached("daemon.line-intended")
                await asyncio.to_thread(append, log, line.text)
                reached("daemon.line-appended")
                self._appended.append(line.id)
        except LogUnavailable as problem:
            await self._ledger.put_back(line.id, str(problem))

    def _begin(self, log: int) -> Intent:
        make_durable(log, self._path, self._synced)
        return intent(log)

    async def _mark(self, log: int) -> None:
        if not self._appended:
            return
        try:
            await asyncio.to_thread(make_durable, log, self._path, self._synced)
        except LogUnavailable as problem:
            await self._ledger.note(self._appended[0], str(problem))
            return
        reached("daemon.line-flushed")
        await self._ledger.mark(self._appended)
        reached("daemon.line-marked")
