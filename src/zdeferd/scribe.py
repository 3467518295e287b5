"""Writes the ledger's telemetry lines to their files, in the background.

Owns the one flush at a time that sharedlog.py asks for. Woken when lines may be due;
what cannot be written stays in the ledger with its reason and is tried again when new
lines are due, or by the next daemon.
"""

import asyncio

from .committer import Committer
from .journal import Journal
from .ledger import Ledger, Line
from .sharedlog import Intent, PendingLine, flush


class Scribe:
    """The background writer of the shared logs."""

    def __init__(self, committer: Committer, journal: Journal) -> None:
        self._ledger, self._committer = _Lines(committer, journal), committer
        self._journal = journal
        self._due = False
        self._writing: asyncio.Future[None] | None = None

    @property
    def resting(self) -> bool:
        """Nothing is being written."""
        return self._writing is None or self._writing.done()

    def wake(self) -> None:
        """There may be lines to write."""
        self._due = True
        if self.resting:
            self._writing = asyncio.ensure_future(self._write())

    async def close(self) -> None:
        """Write what is due, as far as that is possible now."""
        self.wake()
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._due:
            self._due = False
            try:
                await self._write_all()
            except Exception as error:  # noqa: BLE001 - telemetry must never stop the daemon
                self._journal.fault(error)

    async def _write_all(self) -> None:
        """Turn by turn (each takes 200 lines a file), until a turn changes nothing."""
        before: list[Line] = []
        while True:
            lines = await self._committer.transact(lambda ledger: ledger.open_lines())
            if not lines or lines == before:
                return
            await flush(self._ledger, map(_pending, lines))
            before = lines


class _Lines:
    """What `flush` asks of the ledger (sharedlog.LineLedger)."""

    def __init__(self, committer: Committer, journal: Journal) -> None:
        self._committer, self._journal = committer, journal

    async def advance(self, marked: int | None, begun: tuple[int, Intent] | None) -> None:
        def transaction(ledger: Ledger) -> None:
            if marked is not None:
                ledger.mark_line(marked)
            if begun is not None:
                ledger.begin_line(begun[0], *begun[1])

        await self._committer.transact(transaction)

    async def put_back(self, line: int, problem: str) -> None:
        self._journal.once(problem)
        await self._committer.transact(lambda ledger: ledger.put_back_line(line, problem))

    async def note(self, line: int, problem: str) -> None:
        self._journal.once(problem)
        await self._committer.transact(lambda ledger: ledger.note_line(line, problem))

    async def lose(self, line: int, problem: str) -> None:
        self._journal.once(problem)
        await self._committer.transact(lambda ledger: ledger.lose_line(line, problem))


def _pending(line: Line) -> PendingLine:
    begun = None
    if line.state == "writing" and line.device is not None:
        begun = Intent(line.device, line.inode or 0, line.offset or 0)
    return PendingLine(line.id, line.path, line.text, begun)
