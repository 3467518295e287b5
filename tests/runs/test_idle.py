"""The automatic idle trigger: a dispatcher in this process, and ttys that the test touches."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.daemon import environment, visit

from zdeferd.ledger.committer import Committer
from zdeferd.ledger.store import Ledger
from zdeferd.machine import paths
from zdeferd.machine.journal import Journal
from zdeferd.machine.quiet import Clocks, Probe
from zdeferd.runs.dispatcher import Dispatcher
from zdeferd.wire import messages


class Bench:
    """A dispatcher whose alarm and ttys are the test's."""

    def __init__(self, dispatcher: Dispatcher, armed: "asyncio.Queue[float | None]") -> None:
        self.dispatcher, self.armed = dispatcher, armed

    async def visit(self, *arguments: Any, **fields: Any) -> None:
        """A visit, answered."""
        answered = asyncio.Event()
        self.dispatcher.visit(messages.decode_visit(visit(*arguments, **fields)), answered.set)
        await asyncio.wait_for(answered.wait(), 20)

    async def rows(self, sql: str) -> list[Any]:
        """What the ledger says."""
        found: list[Any] = await self.dispatcher.read(
            lambda ledger: [tuple(row) for row in ledger._db.execute(sql).fetchall()]
        )
        return found

    async def next_instant(self, wanted: Callable[[float | None], bool]) -> float | None:
        """The first instant that the dispatcher asks to be woken at and that is `wanted`."""
        while True:
            at = await asyncio.wait_for(self.armed.get(), 20)
            if wanted(at):
                return at


def prepared(home: Path, settings: str) -> paths.Paths:
    where = paths.locate(environment(home))
    for folder in (where.state, where.runs, where.jobs_dir):
        paths.ensure_private_dir(folder)
    Path(where.config_file).write_text(settings)
    Path(where.config_file).chmod(0o600)
    return where


@asynccontextmanager
async def bench(home: Path, touched: list[float], settings: str) -> AsyncIterator[Bench]:
    where = prepared(home, settings)
    loop = asyncio.get_running_loop()
    committer = Committer(Ledger(where.ledger), loop)
    probe = Probe(lambda: Clocks(time.time(), 0.0, 0.0), lambda: list(touched))
    dispatcher = Dispatcher(where, committer, "b1", {"nofile": (256, 256)}, Journal(), loop, probe)
    armed: asyncio.Queue[float | None] = asyncio.Queue()
    serving = asyncio.ensure_future(dispatcher.serve(armed.put_nowait, lambda busy: None))
    try:
        yield Bench(dispatcher, armed)
    finally:
        dispatcher.stop()
        await serving
        await dispatcher.finish()
        await dispatcher.executor.close()
        await committer.close()


@pytest.mark.asyncio
async def test_it_looks_at_the_computed_instant_and_fires_when_quiet(home: Path) -> None:
    now = time.time()
    touched = [now]
    async with bench(home, touched, 'idle_after = "60s"') as made:
        await made.visit("n1", 1, {"tidy": "true"}, on="idle")
        at = await made.next_instant(lambda at: at is not None)
        assert at == now + 8 + 60, "the resolution of a tty, and idle_after"
        touched[0] = now - 3600
        made.dispatcher.wake()
        made.dispatcher.reload()  # asks again where nothing waits to be looked at before
        await made.next_instant(lambda at: at is None)
        assert await made.rows("SELECT job, trigger FROM runs") == [("tidy", "idle")]


@pytest.mark.asyncio
async def test_a_touch_moves_the_instant_and_nothing_fires(home: Path) -> None:
    touched = [time.time() - 68.0 + 0.3]
    async with bench(home, touched, 'idle_after = "60s"') as made:
        await made.visit("n1", 1, {"tidy": "true"}, on="idle")
        first = await made.next_instant(lambda at: at is not None)
        touched[0] = time.time()
        passed = asyncio.Event()
        asyncio.get_running_loop().call_later((first or 0) - time.time() + 0.01, passed.set)
        await passed.wait()
        made.dispatcher.wake()
        second = await made.next_instant(lambda at: at != first)
        assert second == touched[0] + 68
        assert await made.rows("SELECT count(*) FROM runs") == [(0,)]


@pytest.mark.asyncio
async def test_with_no_idle_job_the_ttys_are_never_looked_at(home: Path) -> None:
    async with bench(home, [], "") as made:
        made.dispatcher._idle._probe = None  # type: ignore[assignment]
        await made.visit("n1", 1)
        await made.next_instant(lambda at: at is None)
