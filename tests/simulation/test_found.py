"""What the simulation has found, each as the shortest history that shows it.

Here nothing is left to chance: each line says who takes a step.
"""

from collections.abc import Iterator
from datetime import datetime
from random import Random

import pytest

from zdeferd.jobs.registrations import Register
from zdeferd.model import Code, Job, Scope, Trigger
from zdeferd.settings import Settings

from .away import Runner, Spawner
from .history import History
from .stage import Setup
from .world import World

RETRIED = Job(
    id="f0", run=Code("true"), once_per=Scope.BOOT, idempotent=True, attempts=2, source="/jobs.toml"
)
ONCE = Job(id="f0", run=Code("true"), once_per=Scope.BOOT, source="/jobs.toml")


class Script:
    """A history told by hand."""

    def __init__(self, *jobs: Job, may_leave: bool = False) -> None:
        setup = Setup({job.id: job for job in jobs}, Settings(), may_leave)
        self.history = History(setup, Random(0))
        self.world = self.history.machine

    def shell(self, *registered: Register, postprompt: bool = True) -> None:
        """One opens, and its visit arrives."""
        self.world.open_shell({"HOME": "/home"})
        self.world.type_key()
        self.world.shells[-1].prepare(registered, postprompt, idle=False)
        self.world.send(self.world.shells[-1])
        self.world.deliver(len(self.world.wire) - 1, keep=False)

    def daemon(self) -> None:
        """The daemon alone does all that it can do now."""
        world = self.world
        while (daemon := world.daemon) is not None:
            if daemon.loop.due():
                world._turn()
            elif daemon.committer.queued:
                world._commit()
            elif daemon.committer.committed:
                daemon.committer.tell()
            elif daemon.loop.pool:
                world._run_pooled()
            else:
                break
        self.history.raise_what_was_found()

    def new_daemon(self) -> None:
        """The one that runs is killed, and another takes over."""
        self.world.kill_daemon()
        self.world.start_daemon()
        self.daemon()

    def until_job_runs(self) -> None:
        """Spawner and runner alone, up to the job's start."""
        while not self.world.job_processes:
            away: list[Spawner | Runner] = [*self.world.spawners, *self.world.runners]
            next(one for one in away if not one.waits()).step()

    def end(self) -> World:
        self.history.finale()
        return self.world


@pytest.fixture
def play() -> Iterator[type[Script]]:
    """Makes scripts whose machine is in place until the test is over."""
    held: list[Script] = []

    class Playing(Script):
        def __init__(self, *jobs: Job, may_leave: bool = False) -> None:
            super().__init__(*jobs, may_leave=may_leave)
            self.place = self.history.played()
            self.place.__enter__()
            held.append(self)
            self.world.start_daemon()
            self.daemon()

    yield Playing
    for script in held:
        script.place.__exit__(None, None, None)  # type: ignore[attr-defined]


def outcomes(world: World) -> dict[int, str]:
    return {run: str(ending.outcome) for run, ending in world.witness.endings.items()}


def lines_of(world: World, run: int) -> list[bytes]:
    return [text for _, text, of in world.witness.lines.values() if of == run]


def test_an_idle_job_that_comes_during_a_commit_is_not_forgotten(play: type[Script]) -> None:
    script = play()
    script.shell()
    script.world._turn()  # the first visit is on its way to the ledger
    script.shell(Register(id="s0", call=("true",), on=Trigger.IDLE))
    script.daemon()
    assert script.world.daemon is not None
    assert script.world.daemon.alarm_at is not None
    assert outcomes(script.end()) == {1: "succeeded"}


def test_an_idle_job_that_could_not_be_seen_is_looked_for_again(play: type[Script]) -> None:
    script = play()
    script.shell()
    script.daemon()
    idle = Job(id="f0", run=Code("true"), on=(Trigger.IDLE,), once_per=Scope.BOOT, source="/j.toml")
    script.world.configure({"f0": idle}, 1)
    script.world.full.add("locked")
    assert script.world.daemon is not None
    script.world.daemon.dispatcher.reload()
    script.daemon()
    assert script.world.daemon.alarm_at is not None
    assert outcomes(script.end()) == {1: "succeeded"}


def test_a_daily_idle_job_of_a_shell_is_due_on_the_next_day(play: type[Script]) -> None:
    script = play()
    daily = Register(id="s0", call=("true",), on=Trigger.IDLE, once_per=Scope.DAY)
    script.shell(daily)
    script.daemon()
    script.world.pass_to_next_instant()
    script.history.rest()
    script.world.finish_job(0, 0)
    script.shell(daily)  # today's has been claimed
    script.history.rest()
    assert outcomes(script.world) == {1: "succeeded"}
    assert outcomes(script.end()) == {1: "succeeded"}  # not before midnight
    script.world.start_daemon()
    script.history.rest()
    script.world.pass_to_next_instant()
    assert datetime.fromtimestamp(script.world.now).hour == 0
    script.history.rest()
    assert outcomes(script.end()) == {1: "succeeded", 2: "succeeded"}


def test_a_retry_that_is_cancelled_keeps_the_line_of_its_start(play: type[Script]) -> None:
    script = play(RETRIED)
    script.shell()
    script.daemon()
    script.until_job_runs()
    script.world.kill_runner(0)
    while script.world.calls.closing:
        script.world.calls.close_one()
    script.world.no_processes = True  # so that it waits
    script.world.kill_spawner(0)
    script.daemon()
    script.world.cancel(0)
    script.daemon()
    assert outcomes(script.world) == {1: "cancelled"}
    assert lines_of(script.world, 1) == [b"DEFERRED id=f0 ms=0 rc=143"]
    script.end()


def test_a_withdrawn_attempt_stays_withdrawn_after_a_crash(play: type[Script]) -> None:
    script = play(ONCE)
    script.world.no_processes = True
    script.shell()
    script.daemon()
    script.world.full.add("ledger")
    script.world.cancel(0)
    script.daemon()
    script.world.full.clear()
    script.world.no_processes = False
    script.new_daemon()
    assert outcomes(script.end()) == {1: "cancelled"}


def test_what_cannot_be_looked_into_is_not_said_never_to_have_run(play: type[Script]) -> None:
    script = play(ONCE)
    script.shell()
    script.daemon()
    script.until_job_runs()
    script.world.full.add("files")
    script.world.cancel(0)
    script.daemon()
    script.new_daemon()
    assert outcomes(script.world) == {}
    world = script.end()
    assert len(world.witness.endings) == 1
    assert len(lines_of(world, 1)) == 1


def test_the_end_of_what_could_not_be_looked_into_is_still_seen(play: type[Script]) -> None:
    """The spawner's end has its runs looked at; nothing could be opened just then."""
    script = play(ONCE)
    script.shell()
    script.daemon()
    script.until_job_runs()
    script.world.full.add("files")
    script.world.kill_spawner(0)
    script.daemon()
    script.world.full.clear()
    script.world.pass_to_next_instant()
    script.daemon()
    script.world.finish_job(0, 0)
    script.history.rest()
    assert outcomes(script.world) == {1: "succeeded"}
    script.end()


def test_a_cancel_that_could_not_be_recorded_is_not_forgotten(play: type[Script]) -> None:
    script = play(ONCE)
    script.shell()
    script.daemon()
    script.until_job_runs()
    script.world.full.add("ledger")
    script.world.cancel(0)
    script.daemon()
    script.world.full.clear()
    script.world.pass_time(1.5)
    script.daemon()
    (runner,) = script.world.runners
    assert runner.cancelled
    assert outcomes(script.end()) == {1: "cancelled"}


def test_a_late_spawner_and_a_cancel_leave_no_job_behind(play: type[Script]) -> None:
    script = play(ONCE)
    script.shell()
    script.daemon()
    spawner = script.world.spawners[0]
    spawner.step()  # it has looked: its daemon is there
    script.world.no_processes = True
    script.new_daemon()  # finds that the run never started, and cannot start it yet
    script.world.no_processes = False
    script.until_job_runs()
    script.world.cancel(0)
    script.daemon()
    world = script.end()
    assert outcomes(world) == {1: "cancelled"}
    assert lines_of(world, 1) == [b"DEFERRED id=f0 ms=1011 rc=143"]
