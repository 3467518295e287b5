"""One story for each named crash point: what must happen so that it is reached, and the end.

Owns the table of all points (`STORIES`) that test_points.py compares with the code. Every
story ends alike: whoever died at the point, a daemon is there again, everything comes to
rest, and audit.py finds nothing. A runner that dies between its mark and its record dooms
its run, and no other story dooms any.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from kills import audit, prey
from kills.arena import Arena

KILL, STOP, COUNT_ONLY = int(signal.SIGKILL), int(signal.SIGSTOP), 0
DOOMING = {
    "runner.marked",
    "runner.spawned",
    "runner.told",
    "runner.job-ended",
    "runner.output-whole",
    "runner.output-due",
    "runner.zwc-removed",
    "runner.output-renamed",
    "runner.zwc-renamed",
    "runner.outcome-written",
}
"""A runner that dies there has started and will not record."""
OUTPUT_STEPS = (
    *("runner.output-whole", "runner.output-due", "runner.zwc-removed"),
    *("runner.output-renamed", "runner.zwc-renamed"),
)
"""The second pass replaces an output that is there."""


@dataclass(frozen=True)
class Story:
    """How to get to a point."""

    point: str
    count: int = 1
    """The pass that is the last."""
    also: tuple[tuple[str, int], ...] = ()
    """(point, signal) of others that bring it about, each at its first pass."""
    act: Callable[[Arena], None] | None = None
    """What the user does meanwhile."""

    @property
    def name(self) -> str:
        """For people."""
        also = "".join(f"+{point}" for point, _ in self.also)
        return f"{self.point}{also}" + (f"#{self.count}" if self.count > 1 else "")


def two_shells(arena: Arena) -> None:
    """Jobs of both triggers for each of two shells."""
    arena.shell(0, 3)
    arena.shell(5, trigger="idle")
    arena.shell(0)
    arena.settle()


def one_by_one(arena: Arena) -> None:
    """Two shells, so that no output is older than the one that is there."""
    for _ in range(2):
        arena.shell(0)
        arena.settle()


def cancel_first(arena: Arena, when: str) -> None:
    """A job that lasts; it is cancelled when `when` is reached."""
    arena.shell(0, trigger="idle", lasts_s=30)
    arena.until(when)
    arena.cancel(1)


def cancel_running(arena: Arena) -> None:
    """The runner supervises a job that lasts."""
    cancel_first(arena, "runner.told")
    arena.settle()


def cancel_starting(arena: Arena) -> None:
    """The runner has the lock and was stopped there; the daemon dies meanwhile."""
    cancel_first(arena, "runner.locked")
    arena.until("daemon.cancel-marked")
    go_on(arena)
    arena.settle()


def cancel_asked(arena: Arena) -> None:
    """The spawner was stopped with the request in its hands."""
    cancel_first(arena, "spawner.asked")
    arena.until("daemon.tombstone-made")
    go_on(arena)
    arena.settle()


def cancel_waiting_again(arena: Arena) -> None:
    """Its runner died before the start, so it waits again, and its folder is there."""
    cancel_first(arena, "daemon.recall-committed")
    arena.settle()


def go_on(arena: Arena) -> None:
    """All that was stopped goes on."""
    for pid in prey.stopped(arena.home):
        prey.Frozen(pid).go_on()


ONE_AFTER_THE_OTHER = ("daemon.commit-due", "daemon.commit-done", "daemon.line-appended")
"""Points that transactions of many kinds pass through."""
STORIES = (
    *(
        Story(point)
        for point in (
            *("daemon.locked", "daemon.listening", "daemon.visit-arrived", "daemon.commit-due"),
            *("daemon.commit-done", "daemon.visit-committed", "daemon.visit-answered"),
            *("daemon.dispatch-decided", "daemon.dispatch-committed", "daemon.start-prepared"),
            *(
                "daemon.start-asked",
                "daemon.end-seen",
                "daemon.end-decided",
                "daemon.end-committed",
            ),
            *("daemon.discarding", "daemon.discarded", "daemon.line-due", "daemon.line-intended"),
            *("daemon.line-appended", "daemon.line-flushed", "daemon.line-marked"),
            *("daemon.log-ready", "daemon.leaving"),
            *("spawner.asked", "spawner.ready", "spawner.forked", "spawner.answered"),
            *("runner.forked", "runner.locked", "runner.reserved", "runner.marking"),
            *("runner.marked", "runner.spawned", "runner.told", "runner.job-ended"),
            *OUTPUT_STEPS,
            *("runner.outcome-written", "runner.outcome-renamed", "runner.unlocked"),
        )
    ),
    *(Story(point, 2, act=one_by_one) for point in OUTPUT_STEPS),
    *(Story(point, count) for point in ONE_AFTER_THE_OTHER for count in (2, 5)),
    Story("daemon.recovering", also=(("daemon.start-asked", KILL),)),
    Story("daemon.adopted", also=(("daemon.start-asked", KILL),)),
    Story("daemon.adopted", also=(("daemon.dispatch-committed", KILL),)),
    Story("daemon.line-settled", also=(("daemon.line-appended", KILL),)),
    Story("daemon.line-settled", also=(("daemon.line-intended", KILL),)),
    Story("daemon.recall-decided", also=(("runner.locked", KILL),)),
    Story("daemon.recall-committed", also=(("runner.marking", KILL),)),
    Story("daemon.leftovers-ended", also=(("runner.told", KILL),)),
    Story("daemon.end-seen", also=(("runner.spawned", KILL),)),
    Story("daemon.cancel-committed", also=(("runner.told", COUNT_ONLY),), act=cancel_running),
    Story("daemon.cancel-marked", also=(("runner.told", COUNT_ONLY),), act=cancel_running),
    Story("daemon.cancel-marked", also=(("runner.locked", STOP),), act=cancel_starting),
    Story("daemon.tombstone-made", also=(("spawner.asked", STOP),), act=cancel_asked),
    Story(
        "daemon.tombstone-made",
        also=(("runner.locked", KILL), ("daemon.recall-committed", COUNT_ONLY)),
        act=cancel_waiting_again,
    ),
)
BESIDE_A_NEW_DAEMON = tuple(
    Story(point)
    for point in (
        *("spawner.asked", "spawner.ready", "spawner.forked", "spawner.answered"),
        *("runner.forked", "runner.locked", "runner.reserved", "runner.marking"),
        *("runner.marked", "runner.spawned", "runner.told", "runner.job-ended"),
        *OUTPUT_STEPS,
        *("runner.outcome-written", "runner.outcome-renamed", "runner.unlocked"),
    )
)
"""Who is stopped at the point, and goes on when another daemon has taken over."""


def tell(story: Story) -> list[str]:
    """Die at the point; the breaches that are found afterwards."""

    def told(arena: Arena) -> list[str]:
        arena.arm((story.point, story.count, KILL), *((p, 1, number) for p, number in story.also))
        (story.act or two_shells)(arena)
        arena.stop()
        if arena.passes(story.point) < story.count:
            return [f"{story.point} was passed {arena.passes(story.point)} times only"]
        doom(arena, DOOMING & {story.point, *(p for p, number in story.also if number == KILL)})
        return audit.breaches(arena)

    return _in_an_arena(told)


def take_over(story: Story) -> list[str]:
    """Stop at the point, kill the daemon, let another one adopt what it finds, go on."""

    def told(arena: Arena) -> list[str]:
        arena.arm((story.point, 1, STOP))
        arena.shell(0, 3)
        arena.shell(0)
        arena.until(story.point)
        arena.arm()
        arena.kill_daemon()
        arena.until_it_answers()
        go_on(arena)
        arena.settle()
        arena.stop()
        return audit.breaches(arena)

    return _in_an_arena(told)


FULL = 30
"""Requests in a stopped spawner's queue."""
ONE_HOLD_S = 30.0
"""A first failure to start holds for a second; the thirtieth in a row for a minute."""
QUEUES = ("goes on first", "goes on beside the next", "goes on last", "is killed")


def full_queue(what: str) -> list[str]:
    """A spawner is stopped, its queue fills, the daemon dies: what becomes of the queue."""

    def told(arena: Arena) -> list[str]:
        arena.shell(0, trigger="idle")
        arena.settle()
        frozen = prey.Frozen(prey.look(arena.home).spawners[0])
        arena.shell(*([3] * FULL), trigger="idle")
        while arena.ask("SELECT count(*) FROM runs WHERE state = 'dispatched'") != FULL:
            arena.turn()
        began = time.monotonic()
        if what == "is killed":
            frozen.kill()
        else:
            if what == "goes on first":
                frozen.go_on()
            arena.kill_daemon()
            if what == "goes on last":
                arena.settle()
            if what == "goes on beside the next":
                arena.until_it_answers()
            if what != "goes on first":
                frozen.go_on()
        arena.settle()
        took_s = time.monotonic() - began
        assert took_s < ONE_HOLD_S, f"one death held up the next start for {took_s:.0f} s"
        arena.stop()
        return audit.breaches(arena)

    return _in_an_arena(told, at_once=FULL)


def doom(arena: Arena, at: set[str]) -> None:
    """One run was doomed for each of these points: the one that the ledger names."""
    if at:
        rows = arena.daemon.rows("SELECT id, attempt FROM runs WHERE outcome = 'abandoned'")
        arena.doomed |= {(run, attempt) for run, attempt in rows[: len(at)]}


def _in_an_arena(told: Callable[[Arena], list[str]], at_once: int = 4) -> list[str]:
    arena = Arena(at_once)
    try:
        return told(arena)
    except AssertionError as error:
        return [f"the story ended: {error}"]
    finally:
        go_on(arena)
        arena.close()
