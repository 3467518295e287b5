"""A dispatcher in this process whose alarm, clocks and terminals are the test's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.daemon import LIMIT_S, environment, visit
from support.sensors import PlayedSensors

from zdeferd.jobs.files import Configuration
from zdeferd.ledger.store import Ledger
from zdeferd.machine import paths
from zdeferd.machine.processes import UNKNOWN, Process
from zdeferd.machine.quiet import Probe
from zdeferd.machine.timers import Clock
from zdeferd.recording.committer import Committer
from zdeferd.runs.dispatcher import Dispatcher
from zdeferd.runs.executor import Executor
from zdeferd.runs.followers import Caller
from zdeferd.senses.sensors import Sensors
from zdeferd.telemetry.journal import Journal
from zdeferd.wire import messages


class Bench:
    """A dispatcher that serves, and the instants at which it asks to be woken."""

    def __init__(
        self, dispatcher: Dispatcher, journal: Journal, armed: "asyncio.Queue[float | None]"
    ) -> None:
        self.dispatcher, self.journal, self._armed = dispatcher, journal, armed
        self._shells = 0

    async def visit(
        self, jobs: dict[str, str] | None = None, process: Process = UNKNOWN, **fields: Any
    ) -> None:
        """A new shell visits and is answered."""
        self._shells += 1
        answered = asyncio.Event()
        frames = visit(f"n{self._shells}", 1, jobs or {}, **fields)
        caller = Caller(lambda _: answered.set())
        self.dispatcher.visit(messages.decode_visit(frames), caller, process)
        await asyncio.wait_for(answered.wait(), LIMIT_S)

    async def rows(self, sql: str) -> list[Any]:
        """Return the rows of a query of the ledger."""
        found: list[Any] = await self.dispatcher.read(
            lambda ledger: [tuple(row) for row in ledger._db.execute(sql).fetchall()]
        )
        return found

    async def until(self, sql: str, expected: list[Any]) -> None:
        """Until the ledger says that."""
        async with asyncio.timeout(LIMIT_S):
            while await self.rows(sql) != expected:
                pass  # each look is a turn of the loop and of the ledger's thread

    async def next_instant(self, wanted: Callable[[float | None], bool]) -> float | None:
        """The first instant that the dispatcher asks to be woken at and that is `wanted`."""
        while not wanted(at := await asyncio.wait_for(self._armed.get(), LIMIT_S)):
            pass
        return at


class PlayedClock(Clock):
    """A wall clock that stands, until the test turns it."""

    def __init__(self) -> None:
        self.now = time.time()

    def wall(self) -> float:
        """Return the instant that the test has set."""
        return self.now


def prepared(home: Path, settings: str, jobs: str) -> paths.Paths:
    """The folders and files of a user with these settings and jobs."""
    where = paths.locate(environment(home))
    for folder in (where.state, where.runs, where.jobs_dir):
        paths.ensure_private_dir(folder)
    for path, text in ((where.config_file, settings), (f"{where.jobs_dir}/jobs.toml", jobs)):
        Path(path).write_text(text)
        Path(path).chmod(0o600)
    return where


@asynccontextmanager
async def dispatching(
    home: Path,
    probe: Probe | None = None,
    settings: str = "",
    jobs: str = "",
    kind: type[Executor] = Executor,
    sensors: Sensors | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Bench]:
    """A dispatcher that serves until the block's end, with an executor of the given kind."""
    where = prepared(home, settings, jobs)
    loop = asyncio.get_running_loop()
    clock, committer = clock or Clock(), Committer(Ledger(where.ledger), loop)
    executor, journal = kind(where.runs, {"nofile": (256, 256)}, loop), Journal(clock)
    dispatcher = Dispatcher(
        Configuration(where),
        executor,
        committer,
        journal,
        loop=loop,
        boot="b1",
        clock=clock,
        probe=probe or Probe(),
        sensors=sensors or PlayedSensors(),
    )
    armed: asyncio.Queue[float | None] = asyncio.Queue()
    serving = asyncio.ensure_future(dispatcher.serve(armed.put_nowait, lambda busy: None))
    try:
        yield Bench(dispatcher, journal, armed)
    finally:
        dispatcher.stop()
        await serving
        await dispatcher.finish()
        await executor.close()
        await committer.close()
