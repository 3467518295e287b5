"""Writes the ledger's telemetry lines to their files, in the background.

Owns the one flush at a time that sharedlog.py asks for. It is woken when lines may be due. A
line that cannot be written stays in the ledger with its reason. It is tried again when new
lines are due, after a wait (AGAIN_S, doubled each time), or by the next daemon.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from ..ledger.lines import Line
from ..ledger.store import Ledger
from ..rules.backoff import Backoff
from ..settings import Rotation
from ..telemetry.journal import Journal
from ..telemetry.logfile import Intent, Synced
from ..telemetry.sharedlog import PendingLine, flush
from .committer import Committer

AGAIN_S = (30.0, 3600.0)
"""The first and the longest wait for a log that could not be written."""


class Scribe:
    """The background writer of the shared logs."""

    def __init__(
        self,
        committer: Committer,
        journal: Journal,
        rotation: Callable[[], Rotation | None] = lambda: None,
    ) -> None:
        self._ledger, self._committer = _Lines(committer, journal), committer
        self._journal, self._rotation = journal, rotation
        self._synced: Synced = {}
        self._due = False
        self._writing: asyncio.Future[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._backoff = Backoff(*AGAIN_S)

    @property
    def resting(self) -> bool:
        """True while no line is being written."""
        return self._writing is None or self._writing.done()

    def wake(self) -> None:
        """Write the lines that are due, after those that are being written."""
        self._due = True
        self._forget_again()
        if self.resting:
            self._writing = asyncio.ensure_future(self._write())

    async def close(self) -> None:
        """Write what is due, as far as that is possible now."""
        self.wake()
        if self._writing is not None:
            await self._writing
        self._forget_again()

    async def _write(self) -> None:
        written = True
        while self._due:
            self._due = False
            try:
                written = await self._write_all()
            except Exception as error:  # noqa: BLE001 - telemetry must never stop the daemon
                self._journal.fault(error)
                written = False
        if written:
            self._backoff.worked()
        else:
            wait_s = self._backoff.failed()
            self._again = asyncio.get_running_loop().call_later(wait_s, self.wake)

    def _forget_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    async def _write_all(self) -> bool:
        """Flush at most 200 lines a file a turn, until a turn changes nothing.

        False: lines are left for another time.
        """
        before: list[Line] = []
        while True:
            lines = await self._committer.transact(lambda ledger: ledger.open_lines())
            self._ledger.look_at(lines)
            if not lines or lines == before:
                return not lines
            await flush(self._ledger, map(_pending, lines), self._synced, self._rotation())
            before = lines


class _Lines:
    """The ledger as `flush` uses it (sharedlog.LineLedger)."""

    def __init__(self, committer: Committer, journal: Journal) -> None:
        self._committer, self._journal = committer, journal
        self._paths: dict[int, str] = {}
        self._problems: dict[str, str] = {}
        """The problems that keep lines out of a file, by its path."""

    def look_at(self, lines: Sequence[Line]) -> None:
        """Note which lines are open. A file that has none any more is mended."""
        self._paths = {line.id: line.path for line in lines}
        for path in self._problems.keys() - set(self._paths.values()):
            self._journal.mended(self._problems.pop(path))

    def _tell(self, line: int, problem: str) -> None:
        self._problems[self._paths[line]] = problem
        self._journal.once(problem)

    async def begin(self, line: int, where: Intent) -> None:
        await self._committer.transact(lambda ledger: ledger.begin_line(line, *where))

    async def mark(self, lines: Sequence[int]) -> None:
        await self.settled(lines, (), (), "")

    async def settled(
        self, there: Sequence[int], absent: Sequence[int], lost: Sequence[int], problem: str
    ) -> None:
        if lost:
            self._journal.once(problem)
        transaction = partial(_settle, there=there, absent=absent, lost=lost, problem=problem)
        await self._committer.transact(transaction)

    async def put_back(self, line: int, problem: str) -> None:
        self._tell(line, problem)
        await self._committer.transact(lambda ledger: ledger.put_back_line(line, problem))

    async def note(self, line: int, problem: str) -> None:
        self._tell(line, problem)
        await self._committer.transact(lambda ledger: ledger.note_line(line, problem))


def _settle(
    ledger: Ledger, there: Sequence[int], absent: Sequence[int], lost: Sequence[int], problem: str
) -> None:
    for line in there:
        ledger.mark_line(line)
    for line in absent:
        ledger.put_back_line(line, None)
    for line in lost:
        ledger.lose_line(line, problem)


def _pending(line: Line) -> PendingLine:
    begun = None
    if line.state == "writing" and line.inode is not None:
        begun = Intent(line.inode, line.offset or 0, line.before)
    return PendingLine(line.id, line.path, line.text, begun)
