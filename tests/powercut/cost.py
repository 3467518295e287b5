"""What it costs to flush a log before its lines are marked: `python -m powercut.cost FOLDER`.

Writes groups of lines through the real ledger and scribe, to a log in FOLDER, in turns with
and without the flush; prints the median time of a group, in milliseconds.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from zdeferd.ledger.store import Ledger
from zdeferd.machine.timers import Clock
from zdeferd.recording.committer import Committer
from zdeferd.recording.scribe import Scribe
from zdeferd.telemetry import logfile
from zdeferd.telemetry.journal import Journal

GROUPS = 200
SIZES = (1, 2, 20, 200)


async def group_ms(committer: Committer, scribe: Scribe, log: Path, lines: int) -> float:
    """The time from a wake-up to the mark of the last line."""

    def due(ledger: Ledger) -> None:
        for number in range(lines):
            ledger.add_line(str(log), b"DEFERRED id=job ms=%d rc=0" % number, None, 1.0)

    await committer.transact(due)
    began = time.perf_counter()
    await scribe.close()
    return (time.perf_counter() - began) * 1000


async def measure(folder: Path, lines: int) -> tuple[float, float]:
    """Median milliseconds of a group of `lines`: with the flush, and without."""
    committer = Committer(Ledger(str(folder / f"ledger-{lines}")), asyncio.get_running_loop())
    scribe = Scribe(committer, Journal(Clock()))
    with_it, without = [], []
    for _ in range(max(20, GROUPS // lines)):
        with_it.append(await group_ms(committer, scribe, folder / "log", lines))
        with patch.object(logfile, "_flush", lambda log: None):
            without.append(await group_ms(committer, scribe, folder / "log", lines))
    await committer.close()
    return statistics.median(with_it), statistics.median(without)


def main() -> None:
    """The program."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
        print("lines  with  without")
        for lines in SIZES:
            with_it, without = asyncio.run(measure(Path(folder), lines))
            print(f"{lines:5}  {with_it:4.2f}  {without:4.2f}")


if __name__ == "__main__":
    main()
