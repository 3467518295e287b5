"""The witness of a history: compares what became durable with what was done in the world.

It is told of both, as plain facts; it asks the daemon nothing and trusts none of its
memory. Where a fault of the world takes a promise back (a log that was cut
short), the relaxation stands beside the invariant.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from datetime import date
from typing import Any

from support.ledger import Tables

from zdeferd.conditions import Conditions
from zdeferd.model import Ending, Job, Outcome, Run, Scope, State, Trigger
from zdeferd.rules.schedule import lane

from .applying import Due
from .promises import Invariant, Violation

Attempt = tuple[int, int]
"""A run's id, and which of its attempts."""
COMPILED = b"compiled "


def text_of(run: int, attempt: int) -> bytes:
    """What an attempt's job prints."""
    return f"{run}.{attempt}\n".encode() * 3


class Witness:
    """Facts, in the order in which they became true."""

    def __init__(self) -> None:
        self.runs: dict[int, Run] = {}
        self.endings: dict[int, Ending] = {}
        self.spans: dict[tuple[str, str], int] = {}
        self.starts: Counter[Attempt] = Counter()
        self.records: dict[Attempt, dict[str, Any]] = {}
        """What runners wrote down of the attempts that they saw through."""
        self.lines: dict[int, tuple[str, bytes, int | None]] = {}
        self.outputs: dict[str, dict[Attempt, int]] = {}
        """Of each place the attempts that began to publish there, and their numbers."""
        self.published: dict[str, int] = {}
        """The highest number that was seen at each place."""
        self.there: dict[str, int] = {}
        """The number of what is at each place; none where nothing is."""
        self.without: set[int] = set()
        """Runs that were claimed without an output."""
        self.tellings = 0
        """How often a shell was told of a publication."""
        self.cancelled: set[int] = set()
        """Runs whose end somebody asked for."""
        self.died: set[Attempt] = set()
        """Attempts whose runner was killed, by a signal or a reboot, before its record."""

    # --- one claim a scope

    def claimed(self, run: Run, scope: Scope | None, boot: str) -> None:
        """A claim is durable. `scope` None: asked for by hand."""
        self.runs[run.id] = run
        if scope is None or scope is Scope.CHANGE:
            span = run.key
        else:
            spans = {
                Scope.SHELL: run.shell,
                Scope.BOOT: boot,
                Scope.DAY: date.fromtimestamp(run.claimed_at).isoformat(),
                Scope.EVER: "",
            }
            span = f"{scope} {spans[scope]}"
        other = self.spans.setdefault((run.job, span), run.id)
        if other != run.id:
            raise Violation(Invariant.ONE_CLAIM, f"{run.job} in {span}: runs {other} and {run.id}")

    def forgotten(self, job: str) -> None:
        """The user has the job forgotten: each of its spans is free."""
        self.spans = {span: run for span, run in self.spans.items() if span[0] != job}

    def tried_again(self, run: Run, job: Job) -> None:
        """A run is claimed, maybe one that tries again what failed."""
        if not run.retry:
            return
        before = self.endings[run.retry_of or 0].outcome
        most = job.retry.attempts if job.retry else 1
        if before not in (Outcome.FAILED, Outcome.TIMED_OUT) or run.retry >= most:
            raise Violation(Invariant.RETRIED, f"run {run.id}, number {run.retry}: {before}")

    # --- one start an attempt, and of what may start

    def started(self, at: Attempt, tables: Tables) -> None:
        """A job's process was made."""
        self.starts[at] += 1
        if self.starts[at] > 1:
            raise Violation(Invariant.ONE_START, f"run {at[0]}, attempt {at[1]}")
        row = tables.runs.get(at[0])
        if row is None or row.ending is not None:
            raise Violation(Invariant.NO_LATE_START, f"run {at[0]}")
        if row.run.attempt != at[1]:
            raise Violation(Invariant.ONE_START, f"run {at[0]}: {at[1]} beside {row.run.attempt}")
        if at[1] > row.run.attempts:
            raise Violation(Invariant.ATTEMPTS, f"run {at[0]}")
        before_it = (run for run in _before(row.run, tables))
        if blocking := next(before_it, None):
            raise Violation(Invariant.AFTER, f"run {at[0]}, run {blocking.id}")

    def quiet(self, run: Run, quiet_s: float, wanted_s: float) -> None:
        """An idle trigger fired by itself claimed `run` after that much quiet."""
        if quiet_s < wanted_s - 0.001:
            raise Violation(Invariant.QUIET, f"run {run.id}: {quiet_s:.1f} s")

    def dispatched(self, run: int, tables: Tables, boot: str) -> None:
        """The decision to start it is durable."""
        row = tables.runs[run].run
        if tables.lanes.get(lane(row)) is not None:
            raise Violation(Invariant.PAUSED, f"run {run} in {lane(row)}")
        batch = tables.batches.get(row.batch) if row.batch is not None else None
        budget = batch.batch.sink.idle_budget_ms if batch else 0
        if not budget or row.trigger is not Trigger.IDLE:
            return
        spent = sum(r.wall_ms for r in tables.runs.values() if r.run.batch == row.batch)
        if spent > budget:
            raise Violation(Invariant.BUDGET, f"run {run}: {spent} of {budget} ms")

    def may_start(self, run: Run, senses: Mapping[str, object], now: float) -> None:
        """The daemon has decided to start it; `senses`: power and network, as they are."""
        when = run.when
        if when is None:
            return
        powered = when.power in (None, senses["power"])
        connected = senses["online"] or not when.online
        in_time = when.opens_at <= now < (when.closes_at or float("inf"))
        if not (powered and connected and in_time):
            raise Violation(Invariant.CONDITIONS, f"run {run.id}: {when}, {senses}, {now}")

    def lanes(self, alive: Iterable[int], jobs_at_once: int) -> None:
        """`alive`: runs whose job and runner live, the newest included."""
        full = Counter(lane(self.runs[run]) for run in alive)
        for name, count in full.items():
            if count > jobs_at_once:
                raise Violation(Invariant.LANES, f"{count} in {name}")

    # --- one outcome a run, and a true one

    def ended(self, run: int, ending: Ending, job_lives: bool) -> None:
        """An outcome is durable."""
        if run in self.endings:
            before = self.endings[run].outcome
            raise Violation(Invariant.ONE_OUTCOME, f"run {run}: {before}, then {ending.outcome}")
        self.endings[run] = ending
        self._has_published(run, ending)
        if job_lives:
            raise Violation(Invariant.NO_LEFTOVERS, f"run {run}: {ending.outcome}")
        self._is_true(run, ending)

    def _is_true(self, run: int, ending: Ending) -> None:
        ran = [attempt for (number, attempt) in self.starts if number == run]
        recorded = [self.records[run, attempt] for attempt in ran if (run, attempt) in self.records]
        died = any(attempt[0] == run for attempt in self.died)
        seen = f"run {run}: {ending.outcome} rc={ending.rc}; {len(ran)} starts, records {recorded}"
        if ending.rc is None:
            asked = ending.outcome is Outcome.MISSED or run in self.cancelled
            if ran or not asked:
                raise Violation(Invariant.TRULY_UNSTARTED, seen)
        elif ending.outcome is Outcome.ABANDONED:
            if recorded:
                raise Violation(Invariant.NO_LOST_OUTCOME, seen)
            if not died:
                raise Violation(Invariant.TRULY_ABANDONED, seen)
        elif ending.outcome in (Outcome.CANCELLED, Outcome.MISSED) and not recorded:
            if not died or (ending.outcome is Outcome.CANCELLED and run not in self.cancelled):
                raise Violation(Invariant.TRULY_STARTED, seen)
        elif not recorded or not _same(recorded[-1], ending):
            raise Violation(Invariant.TRUE_OUTCOME, seen)

    # --- outputs

    def output_begun(self, path: str, at: Attempt, number: int) -> None:
        """An attempt has its number in the order of that place."""
        self.outputs.setdefault(path, {})[at] = number

    def output(self, path: str, data: bytes | None, compiled: bytes | None, removed: bool) -> None:
        """Take in what a reader finds there now; `removed`: by the user."""
        if data is None:
            if path in self.published and not removed:
                raise Violation(Invariant.WHOLE_OUTPUT, f"{path} is gone")
            return
        number = self._number(path, data)
        if not number or compiled not in (None, COMPILED + data):
            raise Violation(Invariant.WHOLE_OUTPUT, f"{path}: {data!r}, compiled {compiled!r}")
        if number < self.published.get(path, 0):
            raise Violation(Invariant.NEWER_OUTPUT, f"{path}: {data!r}")
        self.published[path] = self.there[path] = number

    def cut(self, path: str, data: bytes) -> None:
        """The power was cut, and this is there; empty: nothing, or nothing in it."""
        number = self._number(path, data)
        for at, published in self.outputs[path].items():
            ending = self.endings.get(at[0])
            succeeded = ending is not None and ending.outcome is Outcome.SUCCEEDED
            if number < published <= self.there.get(path, 0) and succeeded:
                raise Violation(Invariant.PUBLISHED, f"run {at[0]}: {path}, after a power cut")
        if number < self.there.pop(path, 0):  # what a user has removed was published all the same
            self.published[path] = number
        if number:
            self.there[path] = number

    def _number(self, path: str, data: bytes) -> int:
        """The number of the attempt that has printed `data`; 0: none has."""
        begun = self.outputs.get(path, {})
        return next((begun[at] for at in begun if text_of(*at) == data), 0)

    def told(self, nonce: str, due: Due) -> None:
        """A shell is told that a run has published."""
        ending = self.endings.get(due.run)
        begun = [at for at in self.outputs.get(due.path, {}) if at[0] == due.run]
        if due.run in self.without:  # the job has its output since: that shell sources nothing new
            return
        if ending is None or ending.outcome is not Outcome.SUCCEEDED or not begun:
            raise Violation(Invariant.APPLIED, f"{nonce}, {due}: {ending}")
        self.tellings += 1

    def sourced(self, due: Due, data: bytes | None, removed: bool) -> int:
        """A shell sources what it finds there; return its number, 0 for nothing."""
        if data is None:
            if not removed and due.run not in self.without:
                raise Violation(Invariant.APPLIED, f"{due}: nothing is there")
            return 0
        number = self._number(due.path, data)
        begun = self.outputs.get(due.path, {})
        told = max((number for at, number in begun.items() if at[0] == due.run), default=0)
        if number < told:
            raise Violation(Invariant.APPLIED, f"{due}: {data!r}")
        return number

    def has_the_newest(self, nonce: str, has: Mapping[str, int], jobs: Container[str]) -> None:
        """At the end: a shell has what is there, if that is of one of these jobs."""
        for path, number in self.there.items():
            run = next(at[0] for at, other in self.outputs[path].items() if other == number)
            ending = self.endings.get(run)
            if run not in self.runs or self.runs[run].job not in jobs:
                continue
            if ending is None or ending.outcome is not Outcome.SUCCEEDED:
                continue  # of no success any shell is told
            if has.get(path, 0) != number:
                raise Violation(Invariant.LEFT_BEHIND, f"{nonce}: {has}, not run {run}: {number}")

    def _has_published(self, run: int, ending: Ending) -> None:
        for path, begun in self.outputs.items():
            numbers = [number for at, number in begun.items() if at[0] == run]
            if not numbers or ending.outcome is not Outcome.SUCCEEDED:
                continue
            if self.published.get(path, 0) < max(numbers):
                raise Violation(Invariant.PUBLISHED, f"run {run}: {path}")

    # --- one line a run a log

    def line_due(self, line: int, path: str, text: bytes, run: int | None) -> None:
        """A line is durable in the ledger."""
        self.lines[line] = (path, text, run)
        if run is None or not text.startswith(b"DEFERRED "):
            return
        same = [other for other in self.lines.values() if other[2] == run]
        if sum(text.startswith(b"DEFERRED ") for _, text, _ in same) > 1:
            raise Violation(Invariant.ONE_LINE, f"run {run}: {text!r}")

    def logs(
        self,
        path: str,
        found: Counter[bytes],
        unsure: Counter[bytes],
        strangers: Counter[bytes],
        torn: int,
    ) -> None:
        """At the end. `found`: whole lines in all files that ever were at `path`; `unsure`:
        lines that the ledger gave up or still keeps; `strangers`: what others wrote."""
        due = Counter(text for where, text, _ in self.lines.values() if where == path)
        for text, count in found.items():
            if count > due[text] + strangers[text] and (due[text] or not torn):
                raise Violation(Invariant.ONE_LINE, f"{text!r} {count} times in {path}")
        for text, count in due.items():
            if found[text] < count - unsure[text]:
                raise Violation(Invariant.NO_LOST_LINE, f"{text!r} is not in {path}")

    # --- at rest

    def at_rest(
        self,
        tables: Tables,
        jobs_at_once: int,
        busy: Mapping[int, bool],
        senses: Mapping[str, object],
        now: float,
    ) -> None:
        """Nothing moves, the daemon is well, and nothing but time keeps a run from starting.

        `busy`: dispatched runs, and whether a runner is at work for them. `senses`: the machine's.
        """
        live = [row.run for row in tables.runs.values() if row.ending is None]
        running = Counter(lane(run) for run in live if run.state is State.DISPATCHED)
        for run in live:
            if run.state is State.DISPATCHED and not busy.get(run.id):
                raise Violation(Invariant.NOT_FORGOTTEN, f"run {run.id} has no runner")
            if run.state is State.CLAIMED and _is_over(run, now):
                raise Violation(Invariant.NOTHING_PENDING, f"run {run.id} is past its time")
            if run.state is not State.CLAIMED or running[lane(run)] >= jobs_at_once:
                continue
            if run.when is not None and _may_wait(run.when, senses):
                continue
            if tables.lanes.get(lane(run)) is not None or run.retry:
                continue
            if not any(_before(run, tables)) and not _waits_its_turn(run, tables):
                raise Violation(Invariant.NOTHING_PENDING, f"run {run.id}, {run.job}")

    def at_the_end(self, tables: Tables) -> None:
        """The faults are over, and time enough has passed."""
        for row in tables.runs.values():
            if row.ending is None:
                raise Violation(Invariant.RUNS_END, f"run {row.run.id}: {row.run.state}")
        for run, ending in self.endings.items():
            lines = [text for _, text, of in self.lines.values() if of == run]
            count = sum(text.startswith(b"DEFERRED ") for text in lines)
            if count != (ending.rc is not None):
                raise Violation(Invariant.ONE_LINE, f"run {run}: {count} lines")
        for number, batch in tables.batches.items():
            if batch.ended_at is None:
                raise Violation(Invariant.BATCHES_END, f"batch {number}")
        for path in {where for where, _, _ in self.lines.values()}:
            self._batches_in_order(path)

    def _batches_in_order(self, path: str) -> None:
        """As the ledger has its lines; that files have them in this order is sharedlog's."""
        opened = 0
        for _, (where, text, _) in sorted(self.lines.items()):
            if where == path and text.startswith(b"IDLE:"):
                opened += text.startswith(b"IDLE:START") - text.startswith(b"IDLE:SUMMARY")
                if opened not in (0, 1) or (text.startswith(b"IDLE:TASK") and not opened):
                    raise Violation(Invariant.WHOLE_BATCHES, repr(text))


def _is_over(run: Run, now: float) -> bool:
    return run.when is not None and (run.when.closes_at or float("inf")) <= now


def _may_wait(when: Conditions, senses: Mapping[str, object]) -> bool:
    """Return whether a condition can keep a run waiting; load and keys are looked at later."""
    later = when.opens_at or when.quiet_s is not None or when.load_below is not None
    unplugged = when.power not in (None, senses["power"])
    return bool(later) or unplugged or (when.online and not senses["online"])


def _before(run: Run, tables: Tables) -> Iterable[Run]:
    """Live runs that `run` comes after."""
    for row in tables.runs.values() if run.after else ():
        other = row.run
        together = run.batch is not None and other.batch == run.batch
        precedes = other.id < run.id or (together and other.id != run.id)
        waits = other.retry and other.state is State.CLAIMED  # no run waits for that
        if precedes and row.ending is None and other.job in run.after and not waits:
            yield other


def _waits_its_turn(run: Run, tables: Tables) -> bool:
    """An earlier idle batch of the same log is not over."""
    return lane(run) is Trigger.IDLE and any(
        batch.ended_at is None
        and batch.batch.trigger is Trigger.IDLE
        and batch.batch.id < (run.batch or 0)
        and batch.batch.sink.log == run.sink.log
        for batch in tables.batches.values()
    )


def _same(record: Mapping[str, Any], ending: Ending) -> bool:
    by = {"timeout": Outcome.TIMED_OUT, "cancel": Outcome.CANCELLED}
    exited = Outcome.FAILED if record["rc"] else Outcome.SUCCEEDED
    codes = {"timeout": 124, "cancel": 143}
    return (
        ending.outcome is by.get(record["ended_by"], exited)
        and ending.rc == codes.get(record["ended_by"], record["rc"])
        and ending.cost.wall_ms == record["wall_ms"]
        and ending.cost.max_rss_kib == record["max_rss_kib"]
    )
