"""How long a fault is listed; and a log that is tried again without an event."""

import asyncio
import time
from pathlib import Path

import pytest
from support.daemon import LIMIT_S

from zdeferd.ledger.store import Ledger
from zdeferd.machine.timers import Clock
from zdeferd.recording import scribe
from zdeferd.recording.committer import Committer
from zdeferd.recording.scribe import Scribe
from zdeferd.telemetry.journal import Journal


def test_a_fault_is_news_again_an_hour_after_it_struck_last(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = time.monotonic()
    clock = Clock()
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    said = Journal(clock)
    for _ in range(3):
        said.once("the disk is sick")
        now += 3000
    assert said.problems == ["the disk is sick"]
    assert capfd.readouterr().err.count("sick") == 1
    now += 1000
    assert said.problems == [], "for all that is known it is well"
    said.once("the disk is sick")
    assert capfd.readouterr().err.count("sick") == 1
    assert said.problems == ["the disk is sick"]


@pytest.mark.asyncio
async def test_a_log_that_could_not_be_written_is_tried_again_by_itself(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe, "AGAIN_S", (0.01, 0.02))
    log = home / "logs/seg.log"

    committer = Committer(Ledger(str(home / "ledger.sqlite3")), asyncio.get_running_loop())
    line = b"DEFERRED id=a ms=1 rc=0"
    await committer.transact(lambda ledger: ledger.add_line(str(log), line, None, 0.0))
    said = Journal(Clock())
    made = Scribe(committer, said)
    made.wake()
    assert made._writing is not None
    await made._writing
    assert said.problems
    log.parent.mkdir()
    async with asyncio.timeout(LIMIT_S):
        while await committer.transact(lambda ledger: ledger.open_lines()):
            pass
    assert log.read_bytes() == line + b"\n"
    await made._writing
    assert said.problems == [], "it is mended"
    await made.close()
    await committer.close()
