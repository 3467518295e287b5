"""Decides what to do now and when to look again, from the picture and `now` alone.

There are two lanes, one for idle batches and one for all other runs, so that an idle job
never delays a postprompt job. Each lane runs at most `jobs_at_once` jobs, first in first
out by claim; a job that used no CPU for a while does not count. A run waits for live runs of
the jobs in its `after` that were claimed before it or in its own batch. Cycles inside a batch
are refused at declaration, so no two runs wait for each other. Idle batches that share a log
take turns. A run with conditions belongs to no batch, and while they do not hold it holds up no
other run in its lane.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from ..model import Batch, Run, State, Trigger
from . import conditions
from .backoff import RETRY_LONGEST_S
from .conditions import Condition, Senses

_Live = Mapping[str, Sequence[Run]]


class Picture(Struct, frozen=True, kw_only=True):
    """The values that a decision depends on, except the time."""

    waiting: Mapping[int, Run]
    """Claimed runs in the order in which they are to start."""
    running: Mapping[int, Run]
    """Dispatched runs."""
    batches: Mapping[int, Batch]
    """Batches that have not ended."""
    jobs_at_once: int
    retries: Collection[int] = ()
    """Waiting runs that have an instant to start at."""
    given_up: Container[int] = frozenset()
    """Running runs that have given up their place in the lane, because they use no CPU."""
    places_at: float | None = None
    """When to look next at what the running runs use; None: that is not known yet."""
    paused: Container[Trigger] = frozenset()
    """Lanes in which nothing starts."""
    conditioned: Mapping[int, Run] = {}
    """The runs of `waiting` that have conditions."""
    senses: Senses = Senses()
    """The values that conditions depend on."""
    idle_at: float | None = None
    """The earliest instant at which the user can have been quiet for long enough, as
    far as the last look at the ttys tells; None: no idle job waits."""
    day_ends_at: float | None = None
    """The next local midnight, where an idle job of scope day would be due then."""
    hold_until: float = 0.0
    """Starting runs failed: none of `held` is started before this instant."""
    held: Container[int] = frozenset()
    leave_at: float | None = None
    """The instant to exit at if nothing happens; None: never."""


class Decision(Struct, frozen=True, kw_only=True):
    """The result of `decide`."""

    dispatch: tuple[Run, ...] = ()
    miss: tuple[Run, ...] = ()
    """Runs that never start: past a budget or a deadline, or a later run does the same."""
    look_at_ttys: bool = False
    """`idle_at` has come: look, then fire the idle trigger or move `idle_at`."""
    new_day: bool = False
    crowded: bool = False
    """A run waits for a place in its lane, and for nothing else."""
    look_at_places: bool = False
    """`places_at` has come while it is crowded: look which running runs use no CPU."""
    leave: bool = False
    wake_at: float | None = None
    """The next instant at which something could become true."""


def lane(run: Run) -> Trigger:
    """Return the lane of `run`: that of its trigger, but never idle for `zdeferctl run`.

    A run that tries again, or that has conditions, has no batch.
    """
    by_trigger = run.batch is not None or run.retry or run.when is not None
    return run.trigger if by_trigger else Trigger.POSTPROMPT


def is_early(run: Run, now: float) -> bool:
    """Return whether `run` tries again what failed, and the instant for that has not come.

    One that is further away than the longest wait was computed before the clock was set back.
    """
    return now < run.retry_at <= now + RETRY_LONGEST_S


def decide(picture: Picture, now: float) -> Decision:
    """Return what to do at `now` (seconds since the epoch)."""
    waits = unmet(picture, now)
    in_vain = conditions.in_vain(picture.conditioned.values(), now)
    dispatch, miss, crowded = _starts(picture, now, waits.keys() | {run.id for run in in_vain})
    leave = picture.leave_at is not None and not (picture.waiting or picture.running)
    leave = leave and picture.idle_at is None
    instants = [picture.idle_at, picture.day_ends_at, *_of_conditions(picture, waits, now)]
    if picture.waiting and picture.hold_until > now:
        instants.append(picture.hold_until)
    retries = (picture.waiting[run] for run in picture.retries)
    instants += (run.retry_at for run in retries if is_early(run, now))
    if crowded:
        instants.append(picture.places_at)
    if leave:
        instants.append(picture.leave_at)
    return Decision(
        dispatch=dispatch,
        miss=(*miss, *in_vain),
        look_at_ttys=_has_come(picture.idle_at, now),
        new_day=_has_come(picture.day_ends_at, now),
        crowded=crowded,
        look_at_places=crowded and _has_come(picture.places_at, now),
        leave=leave and _has_come(picture.leave_at, now),
        wake_at=min((at for at in instants if at is not None and at > now), default=None),
    )


def _has_come(instant: float | None, now: float) -> bool:
    return instant is not None and instant <= now


def unmet(picture: Picture, now: float) -> dict[int, list[Condition]]:
    """Return the conditions that do not hold, of each run that has some."""
    found = (
        (run.id, conditions.unmet(run.when, picture.senses, now))
        for run in picture.conditioned.values()
        if run.when is not None
    )
    return {run: those for run, those in found if those}


def held_by_conditions(picture: Picture, now: float) -> list[Run]:
    """Return the waiting runs that nothing but their conditions and their turn can hold up."""
    runs = picture.conditioned.values()
    live = _by_job(picture, runs)
    return [run for run in runs if _is_ready(run, picture, now, live)]


def _of_conditions(
    picture: Picture, waits: Mapping[int, list[Condition]], now: float
) -> Iterator[float | None]:
    """Yield the instants at which a condition can hold, or a deadline passes."""
    for run in picture.conditioned.values():
        yield None if run.when is None else run.when.closes_at
    for run in held_by_conditions(picture, now):
        yield conditions.next_look(waits.get(run.id, ()))


def _starts(
    picture: Picture, now: float, waits: Container[int]
) -> tuple[tuple[Run, ...], tuple[Run, ...], bool]:
    """Return the runs to start, those to leave out, and whether one waits for a place alone.

    The lanes are filled first in first out. `waits`: runs whose conditions do not hold.
    """
    free = _free_places(picture)
    live = _by_job(picture, picture.waiting.values())
    crowded = False
    dispatch: list[Run] = []
    miss: list[Run] = []
    for run in picture.waiting.values():
        full = free.setdefault(lane(run), picture.jobs_at_once) <= 0
        if full and crowded:
            if max(free.values()) <= 0:
                break
            continue
        if run.id in waits or not _is_ready(run, picture, now, live):
            continue
        if any(_holds(other, run) for other in dispatch):  # a retry that starts now
            continue
        if full:
            crowded = True
        elif over_budget(run, picture.batches):
            miss.append(run)
        elif picture.hold_until <= now or run.id not in picture.held:
            dispatch.append(run)
            free[lane(run)] -= 1
    return tuple(dispatch), tuple(miss), crowded


def _free_places(picture: Picture) -> dict[Trigger, int]:
    """Return how many more jobs each lane can run now."""
    free = dict.fromkeys(_lanes(picture), picture.jobs_at_once)
    for run in picture.running.values():
        if run.id not in picture.given_up:
            free[lane(run)] = free.get(lane(run), picture.jobs_at_once) - 1
    return free


def _is_ready(run: Run, picture: Picture, now: float, live: _Live) -> bool:
    """Return whether `run` waits for nothing but a place in its lane."""
    stays = lane(run) in picture.paused or is_early(run, now)
    return not stays and _waits_for(run, picture, live) is None


def _lanes(picture: Picture) -> list[Trigger]:
    """Return the lanes in which a run may wait; in the idle one also without an open batch."""
    triggers = {batch.trigger for batch in picture.batches.values()}
    triggers |= {picture.waiting[run].trigger for run in picture.retries}
    triggers.update(map(lane, picture.conditioned.values()))
    return [Trigger.POSTPROMPT, *({Trigger.IDLE} & triggers)]


def waits_for(run: Run, picture: Picture) -> Run | Batch | None:
    """Return a run or an earlier idle batch that must end before `run`; None: its turn is all."""
    return _waits_for(run, picture, _by_job(picture, (run,)))


def _waits_for(run: Run, picture: Picture, live: _Live) -> Run | Batch | None:
    for job in run.after:
        for other in live.get(job, ()):
            if _precedes(other, run) and not _retries(other):
                return other
    if lane(run) is Trigger.IDLE:
        return _earlier_batch(run, picture.batches.values())
    return None


def _by_job(picture: Picture, runs: Iterable[Run]) -> _Live:
    """Return the live runs of each job, running ones first; empty where none of `runs` needs it."""
    found: dict[str, list[Run]] = {}
    if any(run.after for run in runs):
        for other in chain(picture.running.values(), picture.waiting.values()):
            found.setdefault(other.job, []).append(other)
    return found


def _holds(other: Run, run: Run) -> bool:
    """Return whether `run` comes after `other`."""
    return other.job in run.after and _precedes(other, run)


def ahead(run: Run, picture: Picture, now: float) -> tuple[Run, ...]:
    """Return the runs that hold up a waiting `run` in its lane, running ones first.

    Empty where the lane has room for `run`.
    """
    waits = unmet(picture, now)
    holding = (one for one in picture.running.values() if one.id not in picture.given_up)
    running = [other for other in holding if lane(other) is lane(run)]
    queue = (other for other in picture.waiting.values() if not _retries(other))
    waiting = (other for other in queue if lane(other) is lane(run) and other.id not in waits)
    before = (*running, *(other for other in waiting if other.id < run.id))
    return before if len(before) >= picture.jobs_at_once else ()


def surely_given_up(running: Iterable[Run], jobs_at_once: int) -> frozenset[int]:
    """Return the runs that have given up their place, as their number alone tells.

    `running`: in the order of their starts. Where a lane runs more jobs than it has places, those
    that were started last hold the places: each of them started because an earlier one gave up its
    own. Nothing is known of a run that gave up its place and was followed by none.
    """
    by_lane: dict[Trigger, list[int]] = {}
    for run in running:
        by_lane.setdefault(lane(run), []).append(run.id)
    return frozenset(chain.from_iterable(ids[:-jobs_at_once] for ids in by_lane.values()))


def _retries(run: Run) -> bool:
    """Return whether `run` waits to try again; no other run waits for that."""
    return run.retry > 0 and run.state is State.CLAIMED


def _precedes(other: Run, run: Run) -> bool:
    same_batch = run.batch is not None and other.batch == run.batch
    return other.id != run.id and (other.id < run.id or same_batch)


def _earlier_batch(run: Run, batches: Iterable[Batch]) -> Batch | None:
    """Return an open idle batch that shares the run's log and began before its own."""
    for batch in batches:
        earlier = run.batch is not None and batch.id < run.batch
        if earlier and batch.trigger is Trigger.IDLE and batch.sink.log == run.sink.log:
            return batch
    return None


def over_budget(run: Run, batches: Mapping[int, Batch]) -> bool:
    """Return whether the idle batch of `run` has used up its cumulative limit."""
    batch = batches.get(run.batch) if run.batch is not None else None
    if batch is None or batch.trigger is not Trigger.IDLE or not batch.sink.idle_budget_ms:
        return False
    return batch.spent_ms > batch.sink.idle_budget_ms
