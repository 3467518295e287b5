"""zdeferd with one promise broken: what the simulation must catch, or it proves nothing.

Each mutation is a context in which the real code does one thing wrong, and the names of
the invariants that may be the first to say so.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from zdeferd.attempts import publish, records, runner
from zdeferd.judging import judge
from zdeferd.ledger import outcomes
from zdeferd.ledger.due import Event
from zdeferd.model import Outcome, Scope
from zdeferd.rules import changes, conditions, lifecycle, schedule, verdicts
from zdeferd.runs import dispatcher, followers, idle
from zdeferd.runs.followers import Caller
from zdeferd.senses import watch
from zdeferd.telemetry import logfile, sharedlog

from .calls import Calls
from .disk import FOLDER
from .promises import Invariant
from .stage import Stage
from .watched import WatchedLedger

Mutation = Callable[[], AbstractContextManager[Any]]
MUTATIONS: dict[str, tuple[Mutation, set[Invariant]]] = {}


def _breaks(*names: Invariant) -> Callable[[Mutation], Mutation]:
    def add(mutation: Mutation) -> Mutation:
        MUTATIONS[mutation.__name__] = (mutation, set(names))
        return mutation

    return add


def _instead(owner: Any, name: str, other: Any) -> AbstractContextManager[Any]:
    return patch.object(owner, name, other)


# --- what a user decides


@_breaks(Invariant.PAUSED)
def a_pause_that_a_crash_ends() -> AbstractContextManager[Any]:
    return _instead(WatchedLedger, "paused", lambda self: frozenset())


@_breaks(Invariant.DISABLED)
def a_disabled_job_that_is_claimed() -> AbstractContextManager[Any]:
    return _instead(WatchedLedger, "disabled", lambda self: frozenset())


@_breaks(Invariant.RETRIED)
def a_run_that_is_cancelled_is_tried_again() -> AbstractContextManager[Any]:
    return _instead(outcomes, "TRIED_AGAIN", frozenset(Outcome))


# --- outputs


@_breaks(Invariant.NEWER_OUTPUT)
def outputs_have_no_order() -> AbstractContextManager[Any]:
    return _instead(publish._Order, "publish", lambda self, number: None)


@_breaks(Invariant.PUBLISHED)
def a_success_without_its_output() -> AbstractContextManager[Any]:
    return _instead(publish.Publication, "_publish", lambda self: None)


@_breaks(Invariant.WHOLE_OUTPUT)
def an_output_that_is_removed_first() -> AbstractContextManager[Any]:
    rename = publish.Publication._rename

    def slow(self: Any, old: str, new: str) -> None:
        self._unlink(new)
        rename(self, old, new)

    return _instead(publish.Publication, "_rename", slow)


@_breaks(Invariant.WHOLE_OUTPUT)
def a_compiled_file_that_stays() -> AbstractContextManager[Any]:
    unlink = publish.Publication._unlink

    def keeps(self: Any, name: str) -> None:
        if name != f"{self._name}.zwc":
            unlink(self, name)

    return _instead(publish.Publication, "_unlink", keeps)


def _flushes_only(wanted: Callable[[Any], bool]) -> AbstractContextManager[Any]:
    """Flush an open file or folder only where it is `wanted`."""
    flush = Calls.fsync

    def some(self: Calls, fd: int) -> None:
        if wanted(self._of(fd)):
            flush(self, fd)

    return _instead(Calls, "fsync", some)


@_breaks(Invariant.WHOLE_OUTPUT, Invariant.PUBLISHED)
def an_output_that_is_not_flushed() -> AbstractContextManager[Any]:
    return _flushes_only(
        lambda opened: not opened.path.startswith("/home") or opened.node.kind == FOLDER
    )


@_breaks(Invariant.PUBLISHED)
def a_new_folder_that_is_not_flushed() -> AbstractContextManager[Any]:
    return _instead(publish, "flush_above", lambda folder, root: None)


@_breaks(Invariant.PUBLISHED)
def a_folder_that_is_not_flushed() -> AbstractContextManager[Any]:
    return _flushes_only(lambda opened: opened.node.kind != FOLDER)


@_breaks(Invariant.MADE_AGAIN)
def a_removed_output_that_is_not_missed() -> AbstractContextManager[Any]:
    return _instead(changes, "is_lost", lambda seen_at, last: False)


@_breaks(Invariant.APPLIED)
def a_run_that_failed_is_applied() -> AbstractContextManager[Any]:
    ended = followers.Followers.ended

    def rosy(self: Any, run: Any, published: bool, live: Any) -> None:
        ended(self, run, True, live)

    return _instead(followers.Followers, "ended", rosy)


@_breaks(Invariant.LEFT_BEHIND)
def only_shells_that_wait_hear_of_an_output() -> AbstractContextManager[Any]:
    return _instead(followers, "_paths", lambda found, room: ())


@_breaks(Invariant.LEFT_BEHIND)
def a_shell_that_asks_is_not_told_what_was_published() -> AbstractContextManager[Any]:
    return _instead(WatchedLedger, "last_published", lambda self, job: (0, 0.0))


# --- claims


@_breaks(Invariant.ONE_CLAIM)
def a_claim_is_not_unique() -> AbstractContextManager[Any]:
    claim = WatchedLedger.claim

    def anyway(self: WatchedLedger, job: str, key: str, run: int, now: float) -> bool:
        claim(self, job, key, run, now)
        return True

    return _instead(WatchedLedger, "claim", anyway)


@_breaks(Invariant.ANSWERED_IS_KEPT)
def an_answer_before_the_commit() -> AbstractContextManager[Any]:
    visit = dispatcher.Dispatcher.visit

    def hasty(self: dispatcher.Dispatcher, visited: Any, caller: Caller) -> None:
        caller.answer([])
        visit(self, visited, Caller(lambda _: None))

    return _instead(dispatcher.Dispatcher, "visit", hasty)


@_breaks(Invariant.ANSWERED_IS_KEPT)
def registrations_are_forgotten() -> AbstractContextManager[Any]:
    return _instead(WatchedLedger, "register", lambda self, shell, trigger, job: None)


# --- starts


@_breaks(Invariant.ONE_START)
@contextmanager
def a_start_without_o_excl() -> Iterator[None]:
    """And without the look before it."""

    def reserve(self: Any) -> int:
        return int(self._write_new(f"{records.OUTCOME}.tmp", b" "))

    with (
        _instead(Calls, "O_EXCL", 0),
        _instead(runner.Attempt, "_reserve", reserve),
        _instead(judge, "judge", _judge_by_the_lock_alone),
    ):
        yield


def _judge_by_the_lock_alone(folder: str, attempt: int) -> verdicts.Verdict:
    with judge._judging(folder) as free:
        if not free or judge._has_writer(folder):
            return verdicts.Running()
        if outcome := records.outcome(folder, attempt):
            return verdicts.Ended(outcome)
        return verdicts.NeverStarted()


@_breaks(Invariant.TRULY_ABANDONED, Invariant.NO_LOST_OUTCOME, Invariant.NO_LEFTOVERS)
def a_runner_without_a_lock() -> AbstractContextManager[Any]:
    def no_lock(self: Any) -> int:
        return records.open_file(f"{self._folder}/lock", Calls.O_RDWR | Calls.O_CREAT)

    return _instead(runner.Attempt, "_take_lock", no_lock)


@_breaks(Invariant.NO_LATE_START, Invariant.NO_LEFTOVERS, Invariant.TRULY_UNSTARTED)
def no_tombstone() -> AbstractContextManager[Any]:
    return _instead(judge, "tombstone", lambda folder, attempt: True)


@_breaks(Invariant.ATTEMPTS, Invariant.ONE_START)
def a_recall_counts_as_an_attempt() -> AbstractContextManager[Any]:
    recall = WatchedLedger.recall
    return _instead(WatchedLedger, "recall", lambda self, run, at: recall(self, run, at + 1))


@_breaks(Invariant.ATTEMPTS)
def whatever_vanished_is_tried_again() -> AbstractContextManager[Any]:
    settle = verdicts.settle

    def again(run: Any, verdict: Any, boot: str, now: float) -> Any:
        event, ending = settle(run, verdict, boot, now)
        return (
            (lifecycle.RunEvent.RETRY, None)
            if event is lifecycle.RunEvent.VANISH
            else (event, ending)
        )

    return _instead(verdicts, "settle", again)


# --- outcomes


@_breaks(Invariant.TRUE_OUTCOME, Invariant.PUBLISHED)
def every_end_is_a_success() -> AbstractContextManager[Any]:
    finished = verdicts._finished

    def rosy(record: Any) -> Any:
        return finished(dict(record) | {"rc": 0, "ended_by": "exit"})

    return _instead(verdicts, "_finished", rosy)


@_breaks(Invariant.NO_LOST_OUTCOME, Invariant.TRULY_ABANDONED)
def the_next_daemon_takes_all_for_lost() -> AbstractContextManager[Any]:
    settle = verdicts.settle

    def gloomy(run: Any, verdict: Any, boot: str, now: float) -> Any:
        lost = verdicts.Vanished() if isinstance(verdict, verdicts.Ended) else verdict
        return settle(run, lost, boot, now)

    return _instead(verdicts, "settle", gloomy)


@_breaks(Invariant.NO_LEFTOVERS)
def leftovers_are_left() -> AbstractContextManager[Any]:
    return _instead(Stage, "LEFTOVERS_END", False)


# --- lines


@_breaks(Invariant.NO_LOST_LINE, Invariant.NO_WAITING_LINE)
def a_mark_before_the_append() -> AbstractContextManager[Any]:
    append_all = sharedlog._Group._append_all

    async def hasty(self: Any, log: int, lines: Any) -> None:
        await self._ledger.mark([line.id for line in lines])
        await append_all(self, log, lines)

    return _instead(sharedlog._Group, "_append_all", hasty)


@_breaks(Invariant.NO_LOST_LINE)
def a_mark_before_the_flush() -> AbstractContextManager[Any]:
    return _instead(logfile, "_flush", lambda log: None)


@_breaks(Invariant.ONE_LINE)
def no_look_for_what_was_begun() -> AbstractContextManager[Any]:
    def hasty(path: str, begun: Any, texts: Any) -> list[logfile.Settled]:
        return [logfile.Settled.ABSENT] * len(texts)

    return _instead(sharedlog, "settle", hasty)


@_breaks(Invariant.ONE_LINE)
def a_line_twice_in_the_ledger() -> AbstractContextManager[Any]:
    add = outcomes._add

    def twice(ledger: Any, lines: Any, run: Any, now: float) -> None:
        add(ledger, lines * 2, run, now)

    return _instead(outcomes, "_add", twice)


# --- decisions


@_breaks(Invariant.LANES)
def lanes_without_a_limit() -> AbstractContextManager[Any]:
    decide = schedule.decide

    def greedy(picture: Any, now: float) -> Any:
        return decide(schedule.Picture(**_fields(picture) | {"jobs_at_once": 5}), now)

    return _instead(schedule, "decide", greedy)


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@_breaks(Invariant.AFTER, Invariant.WHOLE_BATCHES)
def nobody_waits_for_anybody() -> AbstractContextManager[Any]:
    return _instead(schedule, "_waits_for", lambda run, picture, live: None)


@_breaks(Invariant.BUDGET)
def a_budget_without_a_bottom() -> AbstractContextManager[Any]:
    return _instead(schedule, "over_budget", lambda run, batches: False)


@_breaks(Invariant.QUIET)
def a_user_who_never_types() -> AbstractContextManager[Any]:
    return _instead(idle.IdleWatch, "_quiet_at", lambda self, idle_after_s: 0.0)


@_breaks(Invariant.ALARM)
def no_alarm() -> AbstractContextManager[Any]:
    return _instead(dispatcher.Dispatcher, "serve", _serving_without_an_alarm())


def _serving_without_an_alarm() -> Any:
    serve = dispatcher.Dispatcher.serve

    @functools.wraps(serve)
    async def deaf(self: Any, arm: Any, busy: Any) -> None:
        await serve(self, lambda at: arm(None), busy)

    return deaf


@_breaks(Invariant.NOTHING_PENDING, Invariant.ALARM)
def one_start_a_wake_up() -> AbstractContextManager[Any]:
    """The loop does not look again after it has started something."""
    settle, decide = dispatcher.Dispatcher._settle, schedule.decide
    started: list[Any] = []

    async def lazy(self: Any) -> Any:
        started.clear()
        return await settle(self)

    def one_at_most(picture: Any, now: float) -> Any:
        found = decide(picture, now)
        first = () if started else found.dispatch[:1]
        started.extend(first)
        return schedule.Decision(**_fields(found) | {"dispatch": first})

    @contextmanager
    def both() -> Iterator[None]:
        with (
            _instead(dispatcher.Dispatcher, "_settle", lazy),
            _instead(schedule, "decide", one_at_most),
        ):
            yield

    return both()


@_breaks(Invariant.LEAVES_NOTHING)
def it_leaves_with_work_on_its_hands() -> AbstractContextManager[Any]:
    decide = schedule.decide

    def hasty(picture: Any, now: float) -> Any:
        found = decide(picture, now)
        gone = picture.leave_at is not None and picture.leave_at <= now
        return schedule.Decision(**_fields(found) | {"leave": gone})

    return _instead(schedule, "decide", hasty)


@_breaks(Invariant.RUNS_END, Invariant.QUIET, Invariant.ALARM)
def an_idle_look_that_is_not_asked_for() -> AbstractContextManager[Any]:
    return _instead(idle.IdleWatch, "ask", lambda self: None)


@_breaks(Invariant.ONE_CLAIM)
def every_day_is_another() -> AbstractContextManager[Any]:
    decide = Event.due

    def newer(event: Event, job: Any, shell: Any) -> Any:
        found = decide(event, job, shell)
        if found is None or job.once_per is not Scope.DAY:
            return found
        return found._replace(key=f"{found.key}.{event.facts.now}")

    return _instead(Event, "due", newer)


# --- conditions


@_breaks(Invariant.CONDITIONS)
def conditions_that_always_hold() -> AbstractContextManager[Any]:
    return _instead(schedule, "unmet", lambda picture, now: {})


@_breaks(Invariant.NOTHING_PENDING, Invariant.CONDITIONS)
def a_deadline_that_passes_unseen() -> AbstractContextManager[Any]:
    return _instead(conditions, "is_over", lambda when, now: False)


@_breaks(Invariant.CONDITIONS, Invariant.NOTHING_PENDING, Invariant.ALARM, Invariant.RUNS_END)
def reports_of_the_kernel_that_are_passed_over() -> AbstractContextManager[Any]:
    return _instead(watch.Watch, "_has_changed", lambda self, name: None)
