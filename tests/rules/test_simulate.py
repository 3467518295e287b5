"""What would run: literal jobs on an assumed machine, and properties of what is played."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.conditions import Conditions, Power
from zdeferd.machine.boot import clock_at
from zdeferd.model import Argv, Job, Run, Scope, Sink, Trigger
from zdeferd.rules import scopes
from zdeferd.rules.conditions import Senses
from zdeferd.rules.scopes import change_key
from zdeferd.rules.simulate import Assumed, Candidate, rest, simulate

NOON = time.mktime((2026, 3, 4, 12, 0, 0, 0, 0, -1))
HOUR, DAY = 3600.0, 86400.0


def day_of(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def candidate(name: str, lasts_s: float = 10.0, **fields: Any) -> Candidate:
    spent = fields.pop("spent", ())
    has_changed = fields.pop("has_changed", True)
    job = Job(id=name, run=Argv(("true",)), **fields)
    return Candidate(job=job, lasts_s=lasts_s, spent=frozenset(spent), has_changed=has_changed)


def assumed(**fields: Any) -> Assumed:
    values: dict[str, Any] = {
        "begins_at": NOON,
        "ends_at": NOON + DAY,
        "prompts": (NOON,),
        "senses": Senses(quiet_since=NOON, power=Power.AC, online=True, load=0.5),
        "boot": "b1",
        "jobs_at_once": 1,
        "idle_after_s": 60.0,
        "day_of": day_of,
        "clock_at": clock_at,
    }
    return Assumed(**(values | fields))


def played(*candidates: Candidate, **fields: Any) -> list[tuple[str, float]]:
    """The jobs that start, and when, in seconds after noon."""
    made = simulate(candidates, assumed(**fields))
    return [(start.run.job, start.at - NOON) for start in made.starts]


def reasons(*candidates: Candidate, **fields: Any) -> list[tuple[str, str]]:
    made = simulate(candidates, assumed(**fields))
    return [(one.job, one.code) for one in rest(candidates, made)]


IDLE = (Trigger.IDLE,)


def test_jobs_start_in_their_order_and_one_after_another() -> None:
    jobs = candidate("a"), candidate("b", after=("c",)), candidate("c"), candidate("d")
    assert played(*jobs) == [("a", 0), ("c", 10), ("b", 20), ("d", 30)]
    assert played(*jobs, jobs_at_once=2) == [("a", 0), ("c", 0), ("b", 10), ("d", 10)]


def test_scopes_decide_how_often_in_days() -> None:
    jobs = [candidate(str(scope), once_per=scope) for scope in Scope]
    made = played(*jobs, ends_at=NOON + 2.5 * DAY, prompts=(NOON, NOON + DAY, NOON + 2 * DAY))
    counts = {scope: sum(job == scope for job, _ in made) for scope in map(str, Scope)}
    assert counts == {"shell": 3, "boot": 1, "day": 3, "change": 1, "ever": 1}


def test_idle_jobs_start_once_it_is_quiet_and_those_of_a_day_after_midnight() -> None:
    jobs = candidate("tidy", on=IDLE, once_per=Scope.DAY), candidate("now")
    assert played(*jobs) == [("now", 0), ("tidy", 60), ("tidy", 12 * HOUR)]
    quiet = Senses(quiet_since=NOON - 300)
    assert played(*jobs, senses=quiet)[:2] == [("now", 0), ("tidy", 0)]


@pytest.mark.parametrize(
    ("when", "starts"),
    [
        (Conditions(power=Power.AC), [0.0]),
        (Conditions(power=Power.BATTERY), []),
        (Conditions(load_below=1.0), [0.0]),
        (Conditions(load_below=0.5), []),
        (Conditions(online=True, quiet_s=300.0), [300.0]),
        (Conditions(not_before="22:00", deadline="06:00"), [10 * HOUR]),
        (Conditions(not_before=60.0, quiet_s=30.0), [60.0]),
        (Conditions(quiet_s=300.0, deadline=200.0), []),
    ],
)
def test_conditions_hold_at_their_instants(when: Conditions, starts: list[float]) -> None:
    assert [at for _, at in played(candidate("a", when=when))] == starts


def test_the_rest_has_its_reason() -> None:
    jobs = (
        candidate("spent", once_per=Scope.EVER, spent=("ever",)),
        candidate("same", once_per=Scope.CHANGE, has_changed=False, spent=(change_key(0),)),
        candidate("powered", when=Conditions(power=Power.BATTERY)),
        candidate("behind", after=("powered",)),
        candidate("late", when=Conditions(power=Power.BATTERY, deadline=60.0)),
        candidate("runs"),
    )
    assert reasons(*jobs) == [
        ("spent", "already_ran"),
        ("same", "inputs_unchanged"),
        ("powered", "waits_for_condition"),
        ("behind", "waits_for_job"),
        ("late", "missed"),
    ]
    assert reasons(candidate("tidy", on=IDLE), ends_at=NOON + 30) == [("tidy", "waits_for_idle")]
    assert reasons(candidate("a"), paused=frozenset({Trigger.POSTPROMPT})) == [("a", "paused")]
    assert reasons(candidate("a", 60.0), candidate("b"), ends_at=NOON + 30) == [
        ("b", "waits_for_turn")
    ]


def test_runs_that_are_there_already_come_first() -> None:
    values: dict[str, Any] = {"trigger": Trigger.POSTPROMPT, "batch": 1, "sink": Sink(log="")}
    runs = [Run(id=n, job=f"old-{n}", key="ever", claimed_at=0.0, **values) for n in (1, 2)]
    made = played(candidate("new"), running={1: (runs[0], NOON + 5)}, waiting=(runs[1],))
    assert made == [("old-2", 5), ("new", 5)]
    hangs = {1: (runs[0], NOON + HOUR)}
    made = played(candidate("new"), running=hangs, waiting=(runs[1],), given_up=frozenset({1}))
    assert made == [("old-2", 0), ("new", 0)], "it holds no place"


def test_a_run_that_waits_to_try_again_does_so_at_its_instant() -> None:
    again = Run(
        id=1, job="fetch", key="retry:0", trigger=Trigger.POSTPROMPT, batch=None, sink=Sink(log=""),
        claimed_at=NOON - 9, retry=1, retry_at=NOON + 90,
    )  # fmt: skip
    assert played(candidate("new"), waiting=(again,)) == [("new", 0), ("fetch", 90)]
    job = candidate("fetch", on=(), spent={"x"})
    short = {"ends_at": NOON + 60, "prompts": (), "waiting": (again,)}
    assert played(job, **short) == []
    assert reasons(job, **short) == [("fetch", "waits_to_retry")]


@given(
    st.lists(
        st.builds(
            candidate,
            st.sampled_from(["a", "b", "c", "d", "e"]),
            st.floats(0.0, 2 * DAY),
            on=st.sampled_from([(Trigger.POSTPROMPT,), IDLE, tuple(Trigger)]),
            once_per=st.sampled_from(list(Scope)),
            when=st.none()
            | st.builds(
                Conditions,
                quiet_s=st.none() | st.sampled_from([1.0, 600.0]),
                power=st.none() | st.sampled_from(Power),
                deadline=st.none() | st.sampled_from(["06:00", "13:00"]),
            ),
        ),
        unique_by=lambda one: one.job.id,
        max_size=5,
    )
)
def test_it_ends_in_order_and_says_something_of_each_job(jobs: list[Candidate]) -> None:
    week = assumed(ends_at=NOON + 7 * DAY, prompts=tuple(NOON + n * DAY for n in range(7)))
    made = simulate(jobs, week)
    instants = [start.at for start in made.starts]
    assert instants == sorted(instants)
    assert all(NOON <= at <= week.ends_at for at in instants)
    started = {start.run.job for start in made.starts}
    assert started | {one.job for one in rest(jobs, made)} == {one.job.id for one in jobs}


def test_an_idle_job_is_looked_at_when_something_was_claimed_and_not_at_each_instant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys: list[Scope] = []

    def scope_key(scope: Scope, *facts: str) -> str:
        keys.append(scope)
        return scopes.scope_key(scope, *facts)

    monkeypatch.setattr("zdeferd.rules.simulate.scope_key", scope_key)
    jobs = [candidate(f"job-{number}", on=IDLE, once_per=Scope.DAY) for number in range(50)]
    made = simulate(jobs, assumed(ends_at=NOON + 2 * DAY))
    assert len(made.starts) == 150
    assert len(keys) < 10 * len(jobs)
