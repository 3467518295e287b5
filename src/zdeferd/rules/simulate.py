"""Plays what would run: `schedule.decide` again and again, over an assumed clock and machine.

Pure. Assumes that new shells show their prompts at the given instants, and that nobody types in
between; that power, network and load stay as they are; that each job takes as long as it is said
to and keeps its place for as long; and that no run fails, so that none is tried again. Runs that
wait at the beginning to try again do so.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ..model import Batch, Job, Run, Scope, Sink, Trigger
from . import schedule
from .conditions import ClockAt, Condition, Senses, conditions, opened
from .scopes import change_key, scope_key

MOST_STEPS = 200_000
"""So many instants at most are looked at."""
NO_SINK = Sink(log="")


class Candidate(Struct, frozen=True, kw_only=True):
    """A job that may become due."""

    job: Job
    lasts_s: float
    spent: frozenset[str] = frozenset()
    """The scope keys of the job that have a claim."""
    has_changed: bool = True
    """Scope change: what it watches differs from what its last claim saw."""


class Assumed(Struct, frozen=True, kw_only=True):
    """The assumptions about the machine, its user and the time."""

    begins_at: float
    ends_at: float
    prompts: tuple[float, ...]
    """The instants at which a new shell shows its first prompt."""
    senses: Senses
    """Where `quiet_since` is later than a prompt, the user typed then."""
    boot: str
    jobs_at_once: int
    idle_after_s: float
    day_of: Callable[[float], str]
    """Returns the local date of an instant, ISO 8601."""
    clock_at: ClockAt
    paused: frozenset[Trigger] = frozenset()
    waiting: tuple[Run, ...] = ()
    """Runs that wait at the beginning."""
    running: Mapping[int, tuple[Run, float]] = {}
    """Runs that run at the beginning, and when each ends."""
    given_up: frozenset[int] = frozenset()
    """Numbers of running runs that hold no place in their lane."""


class Start(NamedTuple):
    """A run that would start."""

    at: float
    run: Run
    lasts_s: float


class Played(NamedTuple):
    """The result: what starts and what is missed, in order; and what waits at the end."""

    starts: list[Start]
    missed: list[tuple[float, Run]]
    picture: schedule.Picture
    ended_at: float


class Rest(NamedTuple):
    """A job that does not start, and why."""

    job: str
    code: str
    """As the codes of `why`, and `missed`."""
    conditions: tuple[Condition, ...] = ()
    waits_for: str = ""
    """The job that it comes after."""
    at: float | None = None
    """When it was missed, or is tried again."""


def simulate(candidates: Iterable[Candidate], assumed: Assumed) -> Played:
    """Return what would happen."""
    return _Play(list(candidates), assumed).play()


def rest(candidates: Iterable[Candidate], played: Played) -> Iterator[Rest]:
    """Yield each job that does not start, and why; in the order of the candidates."""
    started = {start.run.job for start in played.starts}
    missed = {run.job: at for at, run in played.missed}
    waits = {run.job: run for run in played.picture.waiting.values()}
    running = {run.job for run in played.picture.running.values()}
    for candidate in candidates:
        name = candidate.job.id
        if name in started or name in running:
            continue
        if run := waits.get(name):
            yield _waits(run, played)
        elif name in missed:
            yield Rest(name, "missed", at=missed[name])
        else:
            yield Rest(name, _not_due(candidate))


def _waits(run: Run, played: Played) -> Rest:
    picture, now = played.picture, played.ended_at
    if schedule.lane(run) in picture.paused:
        return Rest(run.job, "paused")
    if schedule.is_early(run, now):
        return Rest(run.job, "waits_to_retry", at=run.retry_at)
    if run.when is not None and run.id in schedule.unmet(picture, now):
        found = tuple(conditions(run.when, picture.senses, now))
        return Rest(run.job, "waits_for_condition", found)
    other = schedule.waits_for(run, picture)
    if isinstance(other, Run):
        return Rest(run.job, "waits_for_job", waits_for=other.job)
    return Rest(run.job, "waits_for_turn")


def _not_due(candidate: Candidate) -> str:
    if candidate.job.once_per is Scope.CHANGE and not candidate.has_changed:
        return "inputs_unchanged"
    return "already_ran" if candidate.spent else "waits_for_idle"


class _Play:
    """The state of a simulation, which moves from instant to instant."""

    def __init__(self, candidates: list[Candidate], assumed: Assumed) -> None:
        self._assumed, self._senses = assumed, assumed.senses
        self._by_trigger = {on: [one for one in candidates if on in one.job.on] for on in Trigger}
        self._lasts = {one.job.id: one.lasts_s for one in candidates}
        self._claimed = {(one.job.id, key) for one in candidates for key in one.spent}
        self._waiting = {run.id: run for run in assumed.waiting}
        self._retries = {run.id for run in assumed.waiting if run.retry_at}
        self._conditioned = {run.id: run for run in assumed.waiting if run.when is not None}
        self._running = dict(assumed.running)
        self._batches: dict[int, Batch] = {}
        self._unended: dict[int, int] = {}
        """How many runs of each batch have not ended."""
        self._is_idle_due: tuple[object, bool] = (None, False)
        """The answer of `_awaits_idle`, and what it depends on."""
        self._last_run = max([0, *self._waiting, *self._running])
        self._prompts = sorted(assumed.prompts, reverse=True)
        self._shells = 0
        self._is_daily = any(
            one.job.once_per is Scope.DAY for one in self._by_trigger[Trigger.IDLE]
        )
        self._starts: list[Start] = []
        self._missed: list[tuple[float, Run]] = []

    def play(self) -> Played:
        """Go from instant to instant until the end, or until nothing more can happen."""
        now: float | None = self._assumed.begins_at
        at = self._assumed.begins_at
        picture = self._picture(at)
        for _ in range(MOST_STEPS):
            if now is None or now > self._assumed.ends_at:
                break
            at = now
            self._end_runs(at)
            self._prompt(at)
            picture = self._picture(at)
            decision = schedule.decide(picture, at)
            now = at if self._act(decision, at) else self._next(decision.wake_at)
        return Played(self._starts, self._missed, picture, max(at, self._assumed.ends_at))

    def _picture(self, now: float) -> schedule.Picture:
        idle_at = None
        if self._awaits_idle(now):
            idle_at = (self._senses.quiet_since or 0.0) + self._assumed.idle_after_s
        return schedule.Picture(
            waiting=self._waiting,
            running={run: each for run, (each, _) in self._running.items()},
            batches=self._batches,
            jobs_at_once=self._assumed.jobs_at_once,
            retries=self._retries,
            given_up=self._assumed.given_up,
            conditioned=self._conditioned,
            senses=self._senses,
            paused=self._assumed.paused,
            idle_at=idle_at,
            day_ends_at=self._assumed.clock_at(now, "00:00", 1) if self._is_daily else None,
        )

    def _act(self, decision: schedule.Decision, now: float) -> bool:
        """Do what was decided; False where that is nothing."""
        for run in decision.miss:
            self._leave(run)
            self._end(run)
            self._missed.append((now, run))
        for run in decision.dispatch:
            lasts_s = self._lasts.get(run.job, 0.0)
            self._leave(run)
            self._running[run.id] = (run, now + lasts_s)
            self._starts.append(Start(now, run, lasts_s))
        if decision.look_at_ttys:
            self._claim(Trigger.IDLE, now)
        return bool(decision.miss or decision.dispatch or decision.look_at_ttys)

    def _leave(self, run: Run) -> None:
        """Take a run from those that wait."""
        del self._waiting[run.id]
        self._retries.discard(run.id)
        self._conditioned.pop(run.id, None)

    def _next(self, wake_at: float | None) -> float | None:
        """Return the next instant at which something happens; None: never."""
        instants = [end for _, end in self._running.values()] + self._prompts[-1:]
        return min(instants if wake_at is None else [*instants, wake_at], default=None)

    def _end_runs(self, now: float) -> None:
        for run in [run for run, (_, end) in self._running.items() if end <= now]:
            self._end(self._running.pop(run)[0])

    def _end(self, run: Run) -> None:
        """Close the batch whose last run this was."""
        if run.batch in self._unended:
            self._unended[run.batch] -= 1
            if not self._unended[run.batch]:
                del self._unended[run.batch], self._batches[run.batch]

    def _prompt(self, now: float) -> None:
        """Show the prompts that are due: their shells claim, and somebody has typed."""
        while self._prompts and self._prompts[-1] <= now:
            at = self._prompts.pop()
            self._shells += 1
            if at > self._assumed.begins_at:
                self._senses = replace(self._senses, quiet_since=at)
            self._claim(Trigger.POSTPROMPT, now)

    def _due(self, trigger: Trigger, now: float) -> Iterator[tuple[Candidate, str]]:
        """Yield the candidates that the trigger would claim now, each with its scope key."""
        candidates = self._by_trigger[trigger]
        day = self._assumed.day_of(now) if candidates else ""
        for one in candidates:
            scope, nonce = one.job.once_per, f"simulated-{self._shells}"
            key = scope_key(scope, nonce, self._assumed.boot, day)
            if scope is Scope.CHANGE:
                key = change_key(0)  # no generation is 0: it stands for the next one
            unchanged = scope is Scope.CHANGE and not one.has_changed
            if not unchanged and (one.job.id, key) not in self._claimed:
                yield one, key

    def _awaits_idle(self, now: float) -> bool:
        """Return whether the idle trigger would claim a job now."""
        day = self._assumed.day_of(now) if self._by_trigger[Trigger.IDLE] else ""
        depends_on = day, self._shells, len(self._claimed)
        if self._is_idle_due[0] != depends_on:
            self._is_idle_due = depends_on, any(self._due(Trigger.IDLE, now))
        return self._is_idle_due[1]

    def _claim(self, trigger: Trigger, now: float) -> None:
        due = list(self._due(trigger, now))
        batch = Batch(id=self._last_run + 1, trigger=trigger, sink=NO_SINK)
        for one, key in due:
            self._last_run += 1
            job = one.job
            self._claimed.add((job.id, key))
            when = job.when and opened(job.when, now, self._assumed.clock_at)
            run = Run(
                id=self._last_run,
                job=job.id,
                key=key,
                trigger=trigger,
                batch=None if when else batch.id,
                sink=NO_SINK,
                claimed_at=now,
                after=job.after,
                when=when,
            )
            self._waiting[run.id] = run
            if when is not None:
                self._conditioned[run.id] = run
            if run.batch is not None:
                self._batches[batch.id] = batch
                self._unended[batch.id] = self._unended.get(batch.id, 0) + 1
