"""What the executor makes of a runner's last words, read from the FIFO of its run's folder."""

import asyncio
import fcntl
import os
from pathlib import Path

import pytest
from support.daemon import LIMIT_S

from zdeferd.attempts.folder import open_alive, say
from zdeferd.rules.verdicts import NeverStarted, Vanished, Verdict
from zdeferd.runs import judge
from zdeferd.runs.executor import Executor

FAULT = "internal error of its runner, please report: KeyError('x')"


async def verdict_after(home: Path, said: str, mark: bool = False) -> Verdict:
    """The verdict on a runner that said this and then ended."""
    loop = asyncio.get_running_loop()
    executor = Executor(str(home), {}, loop)
    found: asyncio.Future[Verdict] = loop.create_future()
    executor.on_end = lambda run, attempt, verdict: found.set_result(verdict)
    os.close(judge.prepare(executor.folder(7)))
    if mark:
        (home / "7/started.1").write_bytes(b'{"pid": 1, "started_at": 1.0}\n')
    alive = open_alive(executor.folder(7))
    lock = os.open(home / "7/lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    executor.adopt(7, 1)
    say(alive, said)
    os.close(lock)
    os.close(alive)
    verdict = await asyncio.wait_for(found, LIMIT_S)
    await executor.close()
    return verdict


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "mark", "verdict"),
    [
        ("", False, NeverStarted()),
        ("refused cancelled\n", False, NeverStarted("cancelled")),
        ("broke KeyError('x')\n", False, NeverStarted(FAULT)),
        ("started\n", False, Vanished()),
        ("started\nbroke KeyError('x')\n", False, Vanished(FAULT)),
        ("broke KeyError('x')\n", True, Vanished(FAULT)),
    ],
)
async def test_a_runners_last_words(home: Path, said: str, mark: bool, verdict: Verdict) -> None:
    assert await verdict_after(home, said, mark) == verdict
