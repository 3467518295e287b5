"""Conditions: which do not hold, when to look again, and which runs wait in vain."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.conditions import Conditions, Power
from zdeferd.machine.boot import clock_at
from zdeferd.model import Run, Sink, Trigger
from zdeferd.rules.conditions import (
    AGAIN_S,
    Senses,
    conditions,
    in_vain,
    needs_load,
    next_look,
    opened,
    said,
    unmet,
)
from zdeferd.rules.schedule import Picture, ahead, decide, lane

NOW = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))
HOUR = 3600.0
AC = Conditions(power=Power.AC)


def run(number: int, when: Conditions | None = AC, **fields: Any) -> Run:
    values: dict[str, Any] = {
        "job": f"job-{number}",
        "key": "ever",
        "trigger": Trigger.POSTPROMPT,
        "batch": None if when else 1,
        "sink": Sink(log="/log"),
        "claimed_at": NOW,
    }
    return Run(id=number, when=when, **(values | fields))


def picture(*waiting: Run, senses: Senses | None = None, **fields: Any) -> Picture:
    values: dict[str, Any] = {"running": {}, "batches": {}, "jobs_at_once": 1} | fields
    return Picture(
        waiting={r.id: r for r in waiting},
        conditioned={r.id: r for r in waiting if r.when},
        senses=senses or Senses(),
        **values,
    )


# --- instants ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "opens", "closes"),
    [
        (Conditions(not_before=600.0, deadline=7200.0), 600.0, 7200.0),
        (Conditions(not_before="13:00"), HOUR, None),
        (Conditions(not_before="11:00"), -HOUR, None),
        (Conditions(deadline="13:00"), None, HOUR),
        (Conditions(deadline="11:00"), None, 23 * HOUR),
        (Conditions(not_before="09:00", deadline="17:00"), -3 * HOUR, 5 * HOUR),
        (Conditions(not_before="09:00", deadline="11:00"), 21 * HOUR, 23 * HOUR),
        (Conditions(not_before="22:00", deadline="13:00"), -14 * HOUR, HOUR),
        (Conditions(not_before="22:00", deadline="06:00"), 10 * HOUR, 18 * HOUR),
    ],
)
def test_times_of_day_and_durations_have_their_instants(
    when: Conditions, opens: float | None, closes: float | None
) -> None:
    made = opened(when, NOW, clock_at)
    assert made.opens_at == (0.0 if opens is None else NOW + opens)
    assert made.closes_at == (None if closes is None else NOW + closes)


@given(st.integers(0, 1439), st.integers(0, 1439), st.floats(0, 400 * 86400))
def test_a_window_has_not_ended_and_is_no_longer_than_a_day(
    opens: int, closes: int, later: float
) -> None:
    if opens == closes:
        return
    texts = [f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (opens, closes)]
    made = opened(Conditions(not_before=texts[0], deadline=texts[1]), NOW + later, clock_at)
    assert made.closes_at is not None
    assert NOW + later < made.closes_at
    assert 0 < made.closes_at - made.opens_at <= 25 * HOUR


def clock_with_summer_time(now: float, text: str, days: int) -> float:
    """A clock on which the hour from 02:00 is left out on the day after NOW's."""
    at = clock_at(now, text, days)
    left_out = clock_at(NOW, "00:00", 1) + 2 * HOUR
    return at if at < left_out else max(left_out, at - HOUR)


@pytest.mark.parametrize(
    ("texts", "opens", "closes"),
    [(("02:50", "03:10"), 14, 14 + 1 / 6), (("01:50", "02:50"), 14 - 1 / 6, 14),
     (("02:00", "03:00"), 37, 38), (("02:10", "02:40"), 37 + 1 / 6, 37 + 2 / 3)],
)  # fmt: skip
def test_a_window_at_the_beginning_of_summer_time(
    texts: tuple[str, str], opens: float, closes: float
) -> None:
    when = Conditions(not_before=texts[0], deadline=texts[1])
    made = opened(when, NOW, clock_with_summer_time)
    assert made.opens_at == pytest.approx(NOW + opens * HOUR)
    assert made.closes_at == pytest.approx(NOW + closes * HOUR)


# --- what holds ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "senses", "expected"),
    [
        (AC, Senses(power=Power.AC), []),
        (AC, Senses(power=Power.BATTERY), [("power", None)]),
        (AC, Senses(), [("power", None)]),
        (AC, Senses(power=Power.BATTERY, power_again_at=NOW + 15), [("power", NOW + 15)]),
        (Conditions(online=True), Senses(online=True), []),
        (Conditions(online=True), Senses(online=False), [("online", None)]),
        (Conditions(load_below=1.0), Senses(load=0.99, load_again_at=NOW + 15), []),
        (
            Conditions(load_below=1.0),
            Senses(load=1.0, load_again_at=NOW + 15),
            [("load_below", NOW + 15)],
        ),
        (Conditions(quiet_s=30.0), Senses(quiet_since=NOW - 30), []),
        (Conditions(quiet_s=30.0), Senses(quiet_since=NOW - 29), [("quiet", NOW + 1)]),
        (Conditions(opens_at=NOW), Senses(), []),
        (Conditions(opens_at=NOW + 1), Senses(), [("not_before", NOW + 1)]),
    ],
)
def test_each_condition_holds_or_says_when_it_can(
    when: Conditions, senses: Senses, expected: list[tuple[str, float | None]]
) -> None:
    assert [(one.name, one.at) for one in unmet(when, senses, NOW)] == expected


def test_the_next_look_is_when_all_can_hold() -> None:
    when = Conditions(quiet_s=60.0, opens_at=NOW + 10)
    assert next_look(unmet(when, Senses(quiet_since=NOW), NOW)) == NOW + 60
    plugged_in_first = Conditions(quiet_s=60.0, power=Power.AC)
    senses = Senses(quiet_since=NOW, power=Power.BATTERY)
    assert next_look(unmet(plugged_in_first, senses, NOW)) is None


def test_the_load_is_read_only_where_nothing_else_is_in_the_way() -> None:
    when = Conditions(load_below=1.0, power=Power.AC, closes_at=NOW + 10)
    assert needs_load(when, Senses(power=Power.AC), NOW)
    assert not needs_load(when, Senses(power=Power.BATTERY), NOW)
    assert not needs_load(when, Senses(power=Power.AC), NOW + 10)
    assert not needs_load(AC, Senses(power=Power.AC), NOW)


def test_past_the_deadline_or_before_a_later_run_of_a_day_waiting_is_in_vain() -> None:
    late, early = run(1, Conditions(closes_at=NOW)), run(2, Conditions(closes_at=NOW + 1))
    assert in_vain([late, early], NOW) == [late]
    assert in_vain([late], NOW + 100 * 86400) == [late]  # the clock jumped over it
    monday, tuesday = (run(n, job="j", key=f"day:2026-03-0{n}") for n in (2, 3))
    assert in_vain([monday, tuesday], NOW) == [monday]
    assert in_vain([run(1, job="j", key="shell:a"), run(2, job="j", key="shell:b")], NOW) == []


# --- what decide makes of it ---------------------------------------------------


def test_a_run_whose_conditions_do_not_hold_holds_up_nobody() -> None:
    first, second = run(1), run(2, None)
    on_battery = picture(first, second, senses=Senses(power=Power.BATTERY))
    assert decide(on_battery, NOW).dispatch == (second,)
    assert ahead(second, on_battery, NOW) == ()
    on_mains = picture(first, second, senses=Senses(power=Power.AC))
    assert decide(on_mains, NOW).dispatch == (first,)
    assert ahead(second, on_mains, NOW) == (first,)


def test_an_idle_run_with_conditions_waits_in_the_idle_lane_without_a_batch() -> None:
    idle, by_hand = run(1, trigger=Trigger.IDLE), run(2, None, trigger=Trigger.IDLE, batch=None)
    assert [lane(idle), lane(by_hand)] == [Trigger.IDLE, Trigger.POSTPROMPT]
    busy = picture(idle, senses=Senses(power=Power.AC), running={9: run(9, None)})
    assert decide(busy, NOW).dispatch == (idle,)


def test_the_daemon_wakes_up_at_the_instants_of_conditions_only_where_they_matter() -> None:
    quiet = Senses(quiet_since=NOW, power=Power.BATTERY)
    waiting = run(1, Conditions(quiet_s=60.0, closes_at=NOW + 600))
    assert decide(picture(waiting, senses=quiet), NOW).wake_at == NOW + 60
    assert decide(picture(run(1), senses=quiet), NOW).wake_at is None
    paused = picture(waiting, senses=quiet, paused={Trigger.POSTPROMPT})
    assert decide(paused, NOW).wake_at == NOW + 600
    loaded = Senses(load=9.0, load_again_at=NOW + AGAIN_S)
    low = run(1, Conditions(load_below=1.0))
    assert decide(picture(low, senses=loaded), NOW).wake_at == NOW + AGAIN_S


def test_a_run_past_its_deadline_is_missed_whatever_it_waits_for() -> None:
    late = run(1, Conditions(closes_at=NOW))
    for senses in (Senses(), Senses(power=Power.AC)):
        decision = decide(picture(late, senses=senses), NOW)
        assert (decision.dispatch, decision.miss) == ((), (late,))
    assert decide(picture(late, running={9: run(9, None)}), NOW).miss == (late,)


def test_a_machine_without_a_terminal_has_no_quiet_time() -> None:
    """The last key is at the epoch then: no duration is told."""
    (one,) = conditions(Conditions(quiet_s=300.0), Senses(quiet_since=8.0), 1_700_000_000.0)
    words = said(one, lambda seconds: f"{seconds:g} s", lambda instant: f"{instant:g}")
    assert words == "quiet for 300 s (now without a terminal: holds)"
