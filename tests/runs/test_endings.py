"""How runs end, with the dispatcher in this process and an executor that the test plays."""

import asyncio
import errno
from pathlib import Path

import pytest
from support.daemon import LIMIT_S
from support.dispatching import Bench, dispatching

from zdeferd.model import Ending, Work
from zdeferd.rules.verdicts import NeverStarted, Vanished
from zdeferd.runs import endings
from zdeferd.runs.executor import Executor
from zdeferd.settings import Settings


class Played(Executor):
    """Starts nothing; notes what is asked of it."""

    made: "Played"

    def __init__(
        self, runs: str, limits: dict[str, tuple[int, int]], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(runs, limits, loop)
        Played.made = self
        self.sick = False
        self.refused: asyncio.Queue[int] = asyncio.Queue()
        self.started: asyncio.Queue[int] = asyncio.Queue()
        self.graces: list[float] = []

    async def start(self, run: int, attempt: int, work: Work, settings: Settings) -> None:
        self.started.put_nowait(run)

    def withdraw(self, run: int, attempt: int) -> bool:
        if self.sick:
            self.refused.put_nowait(run)
            raise OSError(errno.EIO, "Input/output error", self.folder(run))
        return super().withdraw(run, attempt)

    def end_leftovers(self, run: int, grace_s: float) -> "asyncio.Future[bool]":
        self.graces.append(grace_s)
        done: asyncio.Future[bool] = self._loop.create_future()
        done.set_result(True)
        return done


async def ended(made: Bench, run: int) -> Ending:
    waiting = made.dispatcher.endings.when_ended(run)
    assert waiting is not None
    return await asyncio.wait_for(waiting, LIMIT_S)


@pytest.mark.asyncio
async def test_no_end_is_recorded_before_its_tombstone_stands(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "AGAIN_S", 0.01)
    async with dispatching(home, kind=Played) as made:
        await made.visit({"first": "true", "second": "true"})
        played = Played.made
        await asyncio.wait_for(played.started.get(), LIMIT_S)
        played.sick = True
        made.dispatcher.endings.cancel(2)
        for _ in range(2):  # it is tried again
            assert await asyncio.wait_for(played.refused.get(), LIMIT_S) == 2
        assert await made.rows("SELECT state, outcome FROM runs WHERE id = 2") == [
            ("claimed", None)
        ]
        assert any("cannot change a run folder" in fault for fault in made.journal.problems)
        waiting = made.dispatcher.endings.when_ended(2)
        played.sick = False
        assert waiting is not None
        assert (await asyncio.wait_for(waiting, LIMIT_S)).outcome == "cancelled"


@pytest.mark.asyncio
async def test_leftovers_get_the_grace_of_the_settings(home: Path) -> None:
    async with dispatching(home, settings='kill_grace = "7s"', kind=Played) as made:
        await made.visit({"first": "true"})
        played = Played.made
        run = await asyncio.wait_for(played.started.get(), LIMIT_S)
        waiting = ended(made, run)
        played.on_end(run, 1, Vanished())
        assert (await waiting).outcome == "abandoned"
        assert played.graces == [7.0]


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [Vanished, NeverStarted])
async def test_the_fault_of_a_runner_is_logged(
    home: Path, kind: type[Vanished | NeverStarted]
) -> None:
    async with dispatching(home, kind=Played) as made:
        await made.visit({"first": "true"})
        run = await asyncio.wait_for(Played.made.started.get(), LIMIT_S)
        Played.made.on_end(run, 1, kind("internal error of its runner, please report: KeyError"))
        await made.next_instant(lambda at: True)
        assert any("please report: KeyError" in fault for fault in made.journal.problems)
