"""Reads what `top` shows: what runs and its use of the machine now, what waits and why, last ends.

`Looks` keeps the CPU time of the look before, so that the next one can say how much was used
meanwhile. Only reads: the ledger, the folders of runs, the process table.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..machine.files import stamp
from ..machine.lock import daemon_pid
from ..view.live import as_found, live_cost, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..jobs.files import Loaded
    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths
    from ..machine.processes import LiveCost

INTERVAL_S = 2.0
"""Between two looks at the cost of a run."""
AGAIN_S = (0.1, 1.0)
"""After a change, further looks. SQLite writes a commit to a file, flushes it, and only then lets
others read it, by memory that they share: the kernel reports the write alone."""
MOST_ENDED = 30
DAY_S = 86400


class Running(NamedTuple):
    """A run that has a process, and what that and all below it use."""

    row: RunRow
    cost: LiveCost | None
    """None: the process has just gone."""
    cpu_percent: float | None
    """Of one core, since the look before; at the first look since its start."""


class Waiting(NamedTuple):
    """A live run that has no process, and why."""

    row: RunRow
    code: str
    sentence: str


class Seen(NamedTuple):
    """The picture at one instant."""

    at: float
    pid: int | None
    """The daemon's; None: no daemon runs."""
    running: list[Running]
    waiting: list[Waiting]
    ended: list[RunRow]
    """The latest first."""
    outcomes: dict[str, int]
    """How many runs of the last 24 hours ended so."""
    paused: dict[str, float]

    @property
    def rows(self) -> list[RunRow]:
        """All runs of the picture, in its order."""
        live = [*(one.row for one in self.running), *(one.row for one in self.waiting)]
        return live + self.ended


class _Used(NamedTuple):
    """The use of a run up to an instant."""

    at: float
    cost: LiveCost | None
    cpu_percent: float | None


class Looks:
    """Takes one picture after another."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._used: dict[int, _Used] = {}
        self._loaded: tuple[object, Loaded] | None = None

    def look(self, now: float) -> Seen:
        """Return the picture as of `now`."""
        from ..ledger.reading import reading

        with reading(self._paths.ledger) as view:
            live = as_found(view.live_runs(), self._paths)
            works = [row for row in live if running(row)]
            ended = [row for row in view.runs(limit=MOST_ENDED) if row["ended_at"] is not None]
            seen = Seen(
                at=now,
                pid=daemon_pid(self._paths.lock),
                running=[self._running(row, now) for row in works],
                waiting=self._waiting(live, view, now),
                ended=ended,
                outcomes=view.outcomes(now - DAY_S),
                paused=view.paused(),
            )
        self._used = {row["id"]: self._used[row["id"]] for row in works}
        return seen

    def _running(self, row: RunRow, now: float) -> Running:
        before = self._used.get(row["id"])
        if before is None or not 0 <= now - before.at < INTERVAL_S * 0.9:
            before = self._used[row["id"]] = self._use(row, before, now)
        return Running(row, before.cost, before.cpu_percent)

    def _use(self, row: RunRow, before: _Used | None, now: float) -> _Used:
        cost = live_cost(row, self._paths)
        if cost is None:
            return _Used(now, None, None)
        then, cpu_s = float(row["dispatched_at"] or now), 0.0
        if before is not None and before.cost is not None:
            then, cpu_s = before.at, before.cost.cpu_s
        percent = max(0.0, cost.cpu_s - cpu_s) / max(now - then, 0.1) * 100
        return _Used(now, cost, percent)

    def _waiting(self, live: list[RunRow], view: View, now: float) -> list[Waiting]:
        """Return why each live run without a process waits."""
        if all(map(running, live)):
            return []
        from ..view.facts import why_live
        from ..view.why import why

        facts = why_live(live, view, self._paths, self._configuration(), now)
        answers = [(row, why(one)) for row, one in zip(live, facts, strict=True)]
        return [
            Waiting(row, str(answer.code), answer.sentence.removeprefix(f"(run {row['id']}) "))
            for row, answer in answers
            if not running(row)
        ]

    def _configuration(self) -> Loaded:
        """Return the settings and jobs; read again where the settings' file has changed."""
        from ..jobs.files import load

        as_it_is = stamp(self._paths.config_file)
        if self._loaded is None or self._loaded[0] != as_it_is:
            self._loaded = as_it_is, load(self._paths)
        return self._loaded[1]


class Due:
    """Decides when files are to be read again, from stamps of them."""

    def __init__(self) -> None:
        self._stamps: object = None
        self._again: list[float] = []
        """Instants at which to read whatever the stamps are."""

    def is_due(self, stamps: object, now: float) -> bool:
        """Return whether to read at `now`, an instant of a clock that only goes on."""
        if stamps != self._stamps:
            self._stamps, self._again = stamps, [now + delay_s for delay_s in AGAIN_S]
            return True
        if self._again and now >= self._again[0]:
            self._again.pop(0)
            return True
        return False

    def left_s(self, now: float) -> float | None:
        """Return how long to wait for a change at most; None: for ever."""
        return max(0.0, self._again[0] - now) if self._again else None


def ledger_stamps(paths: Paths) -> list[object]:
    """Return values that differ whenever daemon or ledger may say something else.

    Reading the ledger changes files, too: an empty log of SQLite counts as none, and times of
    attributes do not count, because of root's files SQLite sets the owner even to read them.
    """
    return [
        daemon_pid(paths.lock),
        content_stamp(paths.ledger),
        content_stamp(f"{paths.ledger}-wal"),
    ]


def content_stamp(path: str) -> tuple[int, ...]:
    """Return a value for the content of a file; empty: there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns) if found.st_size else ()
