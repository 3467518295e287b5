"""decide(): lanes, order, `after`, budgets and instants, from literal pictures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from zdeferd.model import Batch, Run, Sink, State, Trigger
from zdeferd.rules import places, schedule
from zdeferd.rules.schedule import Picture, decide

LOG = Sink(log="/log")
OTHER_LOG = Sink(log="/other")
NOW = 1000.0


def run(number: int, job: str = "", batch: int | None = 1, **fields: Any) -> Run:
    values: dict[str, Any] = {"trigger": Trigger.POSTPROMPT, "sink": LOG, "claimed_at": NOW}
    return Run(id=number, job=job or f"job-{number}", key="ever", batch=batch, **(values | fields))


def idle(number: int, batch: int = 9, sink: Sink = LOG, **fields: Any) -> Run:
    return run(number, batch=batch, trigger=Trigger.IDLE, sink=sink, **fields)


def batch(number: int, sink: Sink = LOG, spent_ms: int = 0) -> Batch:
    return Batch(id=number, trigger=Trigger.IDLE, sink=sink, spent_ms=spent_ms)


def picture(
    waiting: list[Run], running: list[Run] | None = None, batches: Any = (), **fields: Any
) -> Picture:
    values: dict[str, Any] = {"jobs_at_once": 1} | fields
    return Picture(
        waiting={r.id: r for r in waiting},
        running={r.id: r for r in running or ()},
        batches={b.id: b for b in batches},
        **values,
    )


def started(p: Picture, now: float = NOW) -> list[int]:
    return [r.id for r in decide(p, now).dispatch]


def test_first_in_first_out_up_to_the_limit() -> None:
    waiting = [run(1), run(2), run(3)]
    assert started(picture(waiting)) == [1]
    assert started(picture(waiting, jobs_at_once=2)) == [1, 2]
    assert started(picture(waiting, [run(0)])) == []


def test_an_idle_job_never_holds_up_a_postprompt_job() -> None:
    assert started(picture([run(5)], [idle(1)], [batch(9)])) == [5]
    assert started(picture([idle(1), run(5)], batches=[batch(9)])) == [1, 5]


def test_a_run_asked_for_by_hand_does_not_wait_in_the_idle_lane() -> None:
    by_hand = run(5, batch=None, trigger=Trigger.IDLE)
    assert started(picture([by_hand], [idle(1)], [batch(9)])) == [5]


def test_a_job_that_gave_up_its_place_does_not_count() -> None:
    waiting, running = [run(2), run(3)], [run(1)]
    assert started(picture(waiting, running, given_up={1})) == [2]
    assert started(picture(waiting, running, given_up={9})) == []
    again = picture(waiting, [run(0), run(1)], given_up={0})
    assert started(again) == [], "the lane is full again"


def test_the_running_jobs_are_looked_at_while_a_run_waits_for_a_place_alone() -> None:
    crowded = picture([run(2)], [run(1)], places_at=NOW + 5)
    decision = decide(crowded, NOW)
    assert (decision.crowded, decision.look_at_places, decision.wake_at) == (True, False, NOW + 5)
    assert decide(crowded, NOW + 5).look_at_places
    for alone in (
        picture([], [run(1)], places_at=NOW),
        picture([run(2, after=("job-1",))], [run(1)], places_at=NOW),
        picture([run(2)], [run(1)], places_at=NOW, paused={Trigger.POSTPROMPT}),
        picture([retries(2, NOW + 9)], [run(1)], places_at=NOW, retries={2}),
    ):
        decision = decide(alone, NOW)
        assert (decision.crowded, decision.look_at_places) == (False, False)


def test_what_uses_no_cpu() -> None:
    before = places.Use(5.0)
    assert places.is_quiet(before, places.Use(5.01))
    assert not places.is_quiet(before, places.Use(5.2))
    assert not places.is_quiet(before, places.Use(4.0)), "a process that was at work has ended"
    assert not places.is_quiet(before, places.Use(5.0, ready=1)), "on a busy machine"


def retries(number: int, at: float, **fields: Any) -> Run:
    return run(number, batch=None, retry=1, retry_at=at, **fields)


def test_a_retry_starts_at_its_instant_and_holds_up_no_other() -> None:
    early = picture([retries(1, NOW + 30), run(5)], retries={1})
    decision = decide(early, NOW)
    assert ([r.id for r in decision.dispatch], decision.wake_at) == ([5], NOW + 30)
    assert started(early, NOW + 30) == [1]
    behind = picture([retries(1, NOW + 30), run(5, after=("job-1",))], retries={1})
    assert started(behind) == [5], "what comes after a job does not wait for its retry"
    assert schedule.ahead(run(5), early, NOW) == ()


def test_what_comes_after_a_job_starts_not_beside_its_retry() -> None:
    due = [retries(1, NOW), run(5, after=("job-1",))]
    assert started(picture(due, retries={1}, jobs_at_once=2)) == [1]


def test_a_retry_stays_in_the_lane_of_its_trigger() -> None:
    waiting = [retries(1, NOW, trigger=Trigger.IDLE), run(5)]
    assert started(picture(waiting, retries={1})) == [1, 5]
    assert started(picture(waiting, [idle(0)], [batch(9)], retries={1})) == [5]


def test_a_retry_does_not_wait_longer_than_an_hour_when_the_clock_is_set_back() -> None:
    assert started(picture([retries(1, NOW)], retries={1}), NOW - 3600) == []
    assert started(picture([retries(1, NOW)], retries={1}), NOW - 3601) == [1]


def test_a_paused_lane_starts_nothing_and_holds_up_no_other() -> None:
    waiting = [idle(1), run(5)]
    both = picture(waiting, batches=[batch(9)], paused={Trigger.IDLE})
    assert started(both) == [5]
    assert started(replace(both, paused={Trigger.POSTPROMPT})) == [1]
    assert decide(replace(both, paused=set(Trigger)), NOW).wake_at is None
    spent = batch(9, sink=Sink(log="/log", idle_budget_ms=1), spent_ms=2)
    assert decide(picture([idle(1)], batches=[spent], paused={Trigger.IDLE}), NOW).miss == ()


def test_after_waits_for_earlier_runs_and_for_its_own_batch() -> None:
    later_in_batch = [run(1, after=("folder",)), run(2, "folder")]
    assert started(picture(later_in_batch)) == [2]
    assert started(picture([run(1, after=("folder",))], [run(2, "folder")], jobs_at_once=2)) == []
    claimed_later = [run(1, after=("folder",)), run(2, "folder", batch=2)]
    assert started(picture(claimed_later)) == [1]
    assert started(picture([run(3, after=("nobody",))])) == [3]


def test_a_job_that_waits_is_passed_by_others() -> None:
    assert started(picture([run(1, after=("job-2",)), run(3), run(2)])) == [3]


def test_idle_batches_of_one_log_take_turns() -> None:
    two = [idle(1, batch=9), idle(2, batch=10)]
    batches = [batch(9), batch(10)]
    assert started(picture(two, batches=batches, jobs_at_once=4)) == [1]
    two[1] = idle(2, batch=10, sink=OTHER_LOG)
    batches[1] = batch(10, OTHER_LOG)
    assert started(picture(two, batches=batches, jobs_at_once=4)) == [1, 2]


def test_past_its_budget_a_batch_starts_nothing_more() -> None:
    sink = Sink(log="/log", idle_budget_ms=50)
    waiting = [idle(1, sink=sink), idle(2, sink=sink)]
    spent = decide(picture(waiting, batches=[batch(9, sink, 51)]), NOW)
    assert [r.id for r in spent.miss] == [1, 2]
    assert spent.dispatch == ()
    assert started(picture(waiting, batches=[batch(9, sink, 50)])) == [1]


def test_a_hold_starts_none_that_failed_and_says_when_to_look_again() -> None:
    held = picture([run(1)], hold_until=NOW + 4, held={1})
    decision = decide(held, NOW)
    assert (decision.dispatch, decision.wake_at) == ((), NOW + 4)
    assert decide(held, NOW + 4).dispatch == (run(1),)


def test_a_hold_keeps_no_other_run_back() -> None:
    decision = decide(picture([run(2), run(1)], hold_until=NOW + 4, held={1}), NOW)
    assert (decision.dispatch, decision.wake_at) == ((run(2),), NOW + 4)


def test_the_next_instant_is_the_earliest_that_can_matter() -> None:
    decision = decide(picture([], idle_at=NOW + 50, day_ends_at=NOW + 9, leave_at=NOW + 5), NOW)
    assert decision.wake_at == NOW + 9, "an idle job that waits keeps the daemon here"
    assert decide(picture([], leave_at=NOW + 5), NOW).wake_at == NOW + 5
    assert decide(picture([]), NOW).wake_at is None, "with nothing pending nothing wakes it"
    assert decide(picture([run(1)], [run(0)], leave_at=NOW - 5), NOW).wake_at is None


def test_leaving_looking_and_the_new_day_come_at_their_instants() -> None:
    assert decide(picture([], leave_at=NOW), NOW).leave
    assert not decide(picture([], [run(1)], leave_at=NOW), NOW).leave
    assert decide(picture([], idle_at=NOW), NOW).look_at_ttys
    assert decide(picture([], day_ends_at=NOW), NOW).new_day


runs = st.lists(
    st.builds(
        run,
        st.integers(1, 30),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([None, 1, 2, 3]),
        trigger=st.sampled_from(Trigger),
    ),
    max_size=12,
    unique_by=lambda r: r.id,
)


@given(runs, st.integers(1, 4))
def test_no_set_of_runs_without_cycles_stands_still(waiting: list[Run], limit: int) -> None:
    """`a` before `b` before `c` before `d`: whatever is live, something can start."""
    order = ["a", "b", "c", "d"]
    # As claims.py numbers them: batch by batch, those asked for by hand at any point.
    numbered = [replace(r, id=i) for i, r in enumerate(sorted(waiting, key=lambda r: r.batch or 2))]
    chained = [
        run(r.id, r.job, r.batch, trigger=r.trigger, after=tuple(order[: order.index(r.job)]))
        for r in numbered
    ]
    batches = [
        batch(b) for b in {r.batch for r in chained if r.trigger is Trigger.IDLE and r.batch}
    ]
    live = picture(chained, batches=batches, jobs_at_once=limit)
    while live.waiting:
        decision = decide(live, NOW)
        assert decision.dispatch
        for trigger in Trigger:
            assert sum(schedule.lane(r) is trigger for r in decision.dispatch) <= limit
        done = {r.id for r in decision.dispatch}
        rest = [r for r in live.waiting.values() if r.id not in done]
        open_ones = {r.batch for r in rest}
        live = picture(rest, batches=[b for b in batches if b.id in open_ones], jobs_at_once=limit)


def test_a_dispatched_run_counts_where_it_runs() -> None:
    assert started(picture([idle(2)], [idle(1, state=State.DISPATCHED)], [batch(9)])) == []


# --- what a run waits for ------------------------------------------------------


def test_a_run_waits_for_a_run_or_for_a_batch() -> None:
    first, second = run(1, "folder"), run(2, after=("folder",))
    assert schedule.waits_for(second, picture([second], [first])) is first
    assert schedule.waits_for(second, picture([second])) is None
    open_batch, later = batch(8), idle(3, batch=9)
    assert schedule.waits_for(later, picture([later], batches=[open_batch])) is open_batch
    assert schedule.waits_for(later, picture([later], batches=[batch(8, OTHER_LOG)])) is None


def test_runs_ahead_are_those_of_a_full_lane() -> None:
    waiting = [run(2), run(3), idle(4)]
    seen = picture(waiting, [run(1)], batches=[batch(9)])
    assert [other.id for other in schedule.ahead(waiting[1], seen, NOW)] == [1, 2]
    assert schedule.ahead(waiting[2], seen, NOW) == ()
    beside = picture(waiting, [run(0), run(1)], batches=[batch(9)], given_up={0})
    assert [other.id for other in schedule.ahead(waiting[1], beside, NOW)] == [1, 2]
    assert schedule.ahead(waiting[0], picture(waiting, [run(0)], given_up={0}), NOW) == ()
    roomy = picture(waiting, [run(1)], batches=[batch(9)], jobs_at_once=3)
    assert schedule.ahead(waiting[1], roomy, NOW) == ()


def test_of_more_runs_than_places_the_last_ones_started_hold_them() -> None:
    running = [run(3), run(1), idle(4), run(7)]
    assert schedule.surely_given_up(running, 1) == {3, 1}
    assert schedule.surely_given_up(running, 2) == {3}
    assert schedule.surely_given_up(running, 3) == frozenset()


def test_a_run_is_compared_only_with_runs_of_the_jobs_that_it_comes_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = [run(1), *(run(number, after=(f"job-{number - 1}",)) for number in range(2, 102))]
    compared: list[int] = []

    def precedes(other: Run, later: Run) -> bool:
        compared.append(later.id)
        return other.id < later.id

    monkeypatch.setattr(schedule, "_precedes", precedes)
    assert [one.id for one in decide(picture(chain[1:], chain[:1]), NOW).dispatch] == []
    assert compared == [one.id for one in chain[1:]]
