"""Runs with conditions: a dispatcher in this process on a machine whose senses are the test's."""

import time
from pathlib import Path

import pytest
from support.dispatching import Bench, PlayedClock, dispatching
from support.sensors import PlayedSensors

from zdeferd.conditions import Power
from zdeferd.machine.quiet import Clocks, Probe
from zdeferd.runs.asked import RunAsked

RUNS = "SELECT job, state, outcome FROM runs ORDER BY id"
ENDED = [("needy", "ended", "succeeded")]
WAITING = [("needy", "claimed", None)]


def declared(when: str, more: str = "") -> str:
    return f'[needy]\nrun = ["true"]\nonce_per = "ever"\nwhen = {{ {when} }}\n{more}'


def on_battery() -> PlayedSensors:
    sensors = PlayedSensors()
    sensors.values["power"] = Power.BATTERY
    return sensors


async def lines(made: Bench) -> list[bytes]:
    """All lines that were ever due, in order."""
    return [text for (text,) in await made.rows("SELECT text FROM lines ORDER BY id")]


@pytest.mark.asyncio
async def test_a_run_starts_once_the_kernel_reports_what_it_waits_for(home: Path) -> None:
    sensors = on_battery()
    async with dispatching(home, jobs=declared('power = "ac"'), sensors=sensors) as made:
        await made.visit()
        await made.until(RUNS, WAITING)
        assert await made.next_instant(lambda at: True) is None
        sensors.becomes("power", Power.AC)
        await made.until(RUNS, ENDED)
        assert sensors.listening == {}


@pytest.mark.asyncio
async def test_others_pass_it_and_its_batch_does_not_wait_for_it(home: Path) -> None:
    log, sensors = home / "log", on_battery()
    later = '[other]\nrun = ["true"]\nonce_per = "ever"\n'
    jobs = declared('power = "ac"', later)
    async with dispatching(home, settings=f'log = "{log}"', jobs=jobs, sensors=sensors) as made:
        await made.visit()
        await made.until(RUNS, [*WAITING, ("other", "ended", "succeeded")])
        assert await made.rows("SELECT batch FROM runs ORDER BY id") == [(None,), (1,)]
        await made.until("SELECT count(*) FROM lines", [(0,)])
        assert [line.split()[0] for line in log.read_text().splitlines()] == ["DEFERRED", "SEGMENT"]


@pytest.mark.asyncio
async def test_past_its_deadline_it_is_missed_without_a_line(home: Path) -> None:
    jobs, clock = declared('power = "ac", deadline = "30s"'), PlayedClock()
    async with dispatching(home, jobs=jobs, sensors=on_battery(), clock=clock) as made:
        await made.visit()
        at = await made.next_instant(lambda at: at is not None)
        assert at == clock.now + 30
        clock.now += 30.01
        made.dispatcher.wake()
        await made.until(RUNS, [("needy", "ended", "missed")])
        assert [line for line in await lines(made) if line.startswith(b"DEFERRED")] == []


@pytest.mark.asyncio
async def test_quiet_is_looked_for_at_computed_instants(home: Path) -> None:
    touched = [time.time()]
    probe = Probe(lambda: Clocks(time.time(), 0.0, 0.0), lambda: list(touched))
    async with dispatching(home, probe, jobs=declared('quiet = "5m"')) as made:
        await made.visit()
        at = await made.next_instant(lambda at: at is not None)
        assert at == touched[0] + 8 + 300
        assert await made.rows(RUNS) == WAITING


@pytest.mark.asyncio
async def test_a_run_by_hand_asks_for_no_conditions(home: Path) -> None:
    async with dispatching(home, jobs=declared('power = "ac"'), sensors=on_battery()) as made:
        await made.dispatcher.ask(RunAsked, "needy", {"HOME": str(home)})
        await made.until(RUNS, ENDED)


@pytest.mark.asyncio
async def test_the_next_daemon_waits_for_the_same_conditions(home: Path) -> None:
    jobs, sensors = declared('power = "ac", deadline = "1h"'), on_battery()
    async with dispatching(home, jobs=jobs, sensors=sensors) as made:
        await made.visit()
        await made.until(RUNS, WAITING)
        [before] = made.dispatcher._parts.live.conditioned.values()
    assert sensors.listening == {}
    async with dispatching(home, jobs=jobs, sensors=sensors) as made:
        await made.next_instant(lambda at: at is not None)
        assert list(made.dispatcher._parts.live.conditioned.values()) == [before]
        sensors.becomes("power", Power.AC)
        await made.until(RUNS, ENDED)


@pytest.mark.asyncio
async def test_an_idle_job_with_conditions_has_no_batch(home: Path) -> None:
    probe = Probe(lambda: Clocks(time.time(), 0.0, 0.0), list)
    jobs, sensors = declared('power = "ac"', 'on = ["idle"]\n'), on_battery()
    async with dispatching(home, probe, jobs=jobs, sensors=sensors) as made:
        await made.visit(idle=True)
        await made.until(RUNS, WAITING)
        assert await made.rows("SELECT count(*) FROM batches WHERE ended_at IS NULL") == [(0,)]
        sensors.becomes("power", Power.AC)
        await made.until(RUNS, ENDED)
        assert [line for line in await lines(made) if line.startswith(b"IDLE")] == []
