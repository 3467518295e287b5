"""A job that uses no CPU gives up its place; one that computes keeps it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.daemon import environment
from support.dispatching import Bench, dispatching

from zdeferd.model import Run, Sink, State, Trigger
from zdeferd.rules.places import Use
from zdeferd.runs import live

pytestmark = pytest.mark.usefixtures("soon")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other in a second."""
    monkeypatch.setattr(live, "FIRST_LOOK_S", 0.2)
    monkeypatch.setattr(live, "LOOK_EVERY_S", 1.0)


def run(number: int) -> Run:
    """A run that is dispatched."""
    values: dict[str, Any] = {"trigger": Trigger.POSTPROMPT, "batch": None, "sink": Sink("/log")}
    return Run(id=number, job="x", key="ever", claimed_at=0.0, state=State.DISPATCHED, **values)


@contextmanager
def woken(bench: Bench) -> Iterator[None]:
    """While it lasts, the dispatcher is woken at the instants that it asks for."""

    async def wake() -> None:
        while True:
            at = await bench.next_instant(lambda at: at is not None)
            await asyncio.sleep(max(0.0, (at or 0.0) - time.time()))
            bench.dispatcher.wake()

    waking = asyncio.ensure_future(wake())
    try:
        yield
    finally:
        waking.cancel()


async def _both(home: Path, first: str) -> str:
    """Which of two jobs ends first; the second one ends at once."""
    async with dispatching(home) as bench:
        with woken(bench):
            jobs = {"first": first, "next": "true"}
            await bench.visit(jobs, environ=environment(home))
            await bench.until("SELECT count(*) FROM runs WHERE state = 'ended'", [(1,)])
            rows = await bench.rows("SELECT job FROM runs WHERE state = 'ended'")
            for (run,) in await bench.rows("SELECT id FROM runs WHERE state != 'ended'"):
                bench.dispatcher.endings.cancel(run)
            await bench.until("SELECT count(*) FROM runs WHERE state != 'ended'", [(0,)])
    return str(rows[0][0])


def test_a_job_that_hangs_holds_up_no_other(home: Path) -> None:
    assert asyncio.run(_both(home, "sleep 600")) == "next"


def test_a_job_that_computes_holds_up_the_next_one(home: Path) -> None:
    computes = "integer n; while (( SECONDS < 5 )) do (( n++ )); done"
    assert asyncio.run(_both(home, f"typeset -F SECONDS=0; {computes}")) == "first"


def test_a_job_that_computes_again_takes_its_place_again(monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"1": Use(1.0)}
    monkeypatch.setattr(live, "_used", lambda run: ((run[0], run[2]), used.get(str(run[0]))))

    async def looked() -> list[frozenset[int]]:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        places = live.Places(loop, str, changed.set)
        found = []
        for one in (1.0, 1.0, 1.5, 1.5):
            used["1"] = Use(one)
            places._seen_at -= 60.0
            changed.clear()
            places.look([run(1), run(3)], 0.0)
            await changed.wait()
            found.append(places.given_up([run(1), run(3)]))
            assert not places.given_up([replace(run(1), attempt=2)]), "it has begun again"
        places._seen_at -= 60.0
        changed.clear()
        places.look([], 0.0)
        await changed.wait()
        return [*found, places.given_up([run(1)])]

    assert asyncio.run(looked()) == [set(), {1}, set(), {1}, set()]


def test_the_instant_to_look() -> None:
    loop = asyncio.new_event_loop()
    places = live.Places(loop, str, lambda: None)
    loop.close()
    assert places.crowded(True, 100.0)
    assert places.look_at == 100.2
    assert not places.crowded(True, 100.1)
    assert places.crowded(True, 50.0), "the clock was set back"
    assert not places.crowded(False, 50.0)
    assert places.look_at is None
