"""What a ledger is, whoever keeps it: one suite for SQLite and for the twin in memory.

First the promises by name, over both; then the same random statements to both, in
transactions that are committed or rolled back, and every read compared.
"""

import inspect
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace
from support.ledger import MemoryLedger, as_ledger

from zdeferd.errors import LedgerError, WrongTransition
from zdeferd.ledger.contract import Claims
from zdeferd.ledger.database import load_statements
from zdeferd.ledger.packing import Shell, pack, pack_work, unpack
from zdeferd.ledger.store import Ledger
from zdeferd.machine.processes import UNKNOWN, Process, process_of
from zdeferd.model import Code, Cost, Ending, Job, Outcome, Run, Sink, State, Trigger, Work
from zdeferd.rules.lifecycle import OUTCOMES, TRANSITIONS

SINK = Sink(log="/log", sample="s", idle_budget_ms=5)
JOB = Job(id="a", run=Code("true"), watch=("/x",), env={"K": "v"})
WORK = Work(job=JOB, env={"HOME": "/h", "odd": "\udcff"})


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request: pytest.FixtureRequest, home: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        made = Ledger(str(home / "ledger"))
    else:
        made = as_ledger(MemoryLedger())
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "memory"])
def claims(request: pytest.FixtureRequest, home: Path) -> Iterator[Claims]:
    made = Ledger(str(home / "ledger")) if request.param == "sqlite" else MemoryLedger()
    yield made
    made.close()


def run(job: str = "a", key: str = "ever", **fields: Any) -> Run:
    values: dict[str, Any] = {
        "id": 0,
        "job": job,
        "key": key,
        "trigger": Trigger.POSTPROMPT,
        "batch": None,
        "sink": SINK,
        "claimed_at": 1.0,
        "after": ("b", "c"),
        "shell": "n1",
    }
    return Run(**(values | fields))


def claimed(ledger: Ledger, **fields: Any) -> Run:
    made = run(id=ledger.next_run(), **fields)
    assert ledger.claim(made.job, made.key, made.id, made.claimed_at)
    ledger.add_run(made, WORK)
    return made


def in_state(ledger: Ledger, state: State, **fields: Any) -> Run:
    """A run that has come to `state`."""
    one = claimed(ledger, **fields)
    if state is not State.CLAIMED:
        ledger.dispatch(one.id, "boot", 2.0)
    if state is State.ENDED:
        ledger.end_run(one.id, State.DISPATCHED, ending())
    return one


def ended(ledger: Ledger, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Run:
    """A run that has ended; one that was missed was never dispatched."""
    ends = ending(outcome, fields.pop("at", 9.0), fields.pop("ms", 7))
    before = State.CLAIMED if outcome is Outcome.MISSED else State.DISPATCHED
    one = in_state(ledger, before, **fields)
    ledger.end_run(one.id, before, ends)
    return one


def ending(outcome: Outcome = Outcome.SUCCEEDED, at: float = 9.0, ms: int = 7) -> Ending:
    started = None if outcome is Outcome.MISSED else at - 1
    rc = None if started is None else int(outcome is not Outcome.SUCCEEDED)
    cost = Cost(wall_ms=ms, max_rss_kib=3)
    return Ending(outcome=outcome, rc=rc, started_at=started, ended_at=at, cost=cost)


def test_the_twin_has_every_method_with_its_signature() -> None:
    public = {name for name in dir(Ledger) if not name.startswith("_")}
    assert {"transaction", "savepoint", "close", "claim"} < public
    for name in public:
        theirs = inspect.signature(getattr(MemoryLedger, name))
        assert inspect.signature(getattr(Ledger, name)) == theirs, name


# --- claims: what ledger/contract.py promises --------------------------------------


def test_a_key_is_claimed_once(claims: Claims) -> None:
    assert claims.claim("a", "day:1", 1, 1.0)
    assert not claims.claim("a", "day:1", 1, 1.0)
    assert not claims.claim("a", "day:1", 2, 2.0)
    assert claims.claim("a", "day:2", 2, 2.0)
    assert claims.claim("b", "day:1", 3, 3.0)


def test_a_claim_that_is_set_aside_frees_its_key(claims: Claims) -> None:
    assert claims.claim("a", "day:1", 1, 1.0)
    claims.set_aside("a", "day:1", 2, "other")  # the claim is of run 1
    assert not claims.claim("a", "day:1", 3, 1.0)
    claims.set_aside("a", "day:1", 1, "aside")
    assert not claims.claim("a", "aside", 3, 1.0)
    assert claims.claim("a", "day:1", 4, 1.0)
    claims.set_aside("a", "day:1", 4, "aside")  # taken: nothing changes
    assert not claims.claim("a", "day:1", 5, 1.0)


def test_a_fingerprint_is_the_last_that_was_saved(claims: Claims) -> None:
    assert claims.fingerprint("a") == ("", 0)
    claims.save_fingerprint("a", "x", 1)
    claims.save_fingerprint("a", "y", 2)
    assert (claims.fingerprint("a"), claims.fingerprint("b")) == (("y", 2), ("", 0))


def test_old_claims_are_pruned_but_not_those_whose_key_can_come_back(claims: Claims) -> None:
    keys = ["ever", "change:1", "change:2", "boot:now", "boot:old", "day:1", "shell:n1", "run:x"]
    keys.append("here:n1:2:1")
    for key in keys:
        assert claims.claim("a", key, 1, 5.0)
    assert claims.claim("a", "run:y", 2, 9.0)
    claims.save_fingerprint("a", "f", 2)
    claims.prune_claims(8.0, "now")
    free = [key for key in (*keys, "run:y") if claims.claim("a", key, 3, 10.0)]
    assert free == ["change:1", "boot:old", "shell:n1", "run:x", "here:n1:2:1"]


def test_the_last_32_dates_of_a_job_stay_claimed(claims: Claims) -> None:
    """Not those of the last days: a clock that is set, or a time zone, brings a date back."""
    for job in ("a", "b"):
        for number in range(1, 41):
            assert claims.claim(job, f"day:{number}", number, 5.0)
    claims.prune_claims(8.0, "now")
    free = [number for number in range(1, 41) if claims.claim("a", f"day:{number}", 50, 10.0)]
    assert free == list(range(1, 9))


# --- runs --------------------------------------------------------------------------


def test_runs_are_numbered_in_order_and_never_again(ledger: Ledger) -> None:
    first = ended(ledger, key="day:1", at=5.0)
    assert ledger.prune(8.0, "now") == [first.id]
    assert claimed(ledger, key="day:2").id == first.id + 1
    ledger.number_runs_after(7)
    assert claimed(ledger, key="day:3").id == 8
    assert ledger.is_claimed("a", "day:3")
    assert not ledger.is_claimed("b", "day:3")


def test_work_is_packed_as_anything_else_is() -> None:
    """From parts that are kept: none may be forgotten when Work has another one."""
    work = Work(job=WORK.job, env={"A": "\udcff"})
    assert pack_work(work) == pack_work(work) == pack(work)
    assert unpack(pack_work(work), Work) == work


def test_a_claim_outlives_its_run(ledger: Ledger) -> None:
    one = ended(ledger)
    assert not ledger.claim(one.job, one.key, one.id + 1, 9.0)
    assert ledger.live_runs() == []


def test_what_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    with suppress(ZeroDivisionError), ledger.transaction():
        claimed(ledger)
        ledger.add_line("/log", b"x", None, 1.0)
        raise ZeroDivisionError
    assert (ledger.live_runs(), ledger.open_lines()) == ([], [])
    assert claimed(ledger).id == 1


def test_a_part_fails_alone(ledger: Ledger) -> None:
    with ledger.transaction():
        claimed(ledger, job="before")
        with suppress(ZeroDivisionError), ledger.savepoint():
            claimed(ledger, job="inside")
            raise ZeroDivisionError
        claimed(ledger, job="behind")
    assert [one.job for one in ledger.live_runs()] == ["before", "behind"]


def test_a_run_through_its_life(ledger: Ledger) -> None:
    one = claimed(ledger, attempts=2)
    ledger.dispatch(one.id, "boot", 2.0)
    (live,) = ledger.live_runs()
    assert (live.state, live.boot, live.attempt) == (State.DISPATCHED, "boot", 1)
    ledger.set_cancelling(one.id)
    ledger.recall(one.id, 2)
    (live,) = ledger.live_runs()
    assert (live.state, live.attempt, live.cancelling) == (State.CLAIMED, 2, True)
    assert ledger.work(one.id) == WORK
    assert ledger.ended_run(one.id) is None
    ledger.dispatch(one.id, "boot", 3.0)
    ledger.end_run(one.id, State.DISPATCHED, ending(Outcome.SUCCEEDED))
    assert ledger.ended_run(one.id) == ("succeeded", 0)
    with pytest.raises(LedgerError):
        ledger.work(one.id)


def failed(ledger: Ledger, **fields: Any) -> Run:
    """A run that has failed."""
    one = claimed(ledger, **fields)
    ledger.dispatch(one.id, "boot", 2.0)
    ledger.end_run(one.id, State.DISPATCHED, ending(Outcome.FAILED))
    return one


def test_of_each_job_the_latest_run_that_did_not_succeed_can_be_repeated(ledger: Ledger) -> None:
    first, other = failed(ledger, key="boot:1"), failed(ledger, job="b")
    assert ledger.repeatable(first.id) == (first.trigger, first.after, first.attempts, WORK)
    second = failed(ledger, key="boot:2")
    live = claimed(ledger, key="boot:3")
    here = failed(ledger, job="c", key="here:n:1:1")
    found = {run.id for run in (first, other, second, live, here) if ledger.repeatable(run.id)}
    assert found == {other.id, second.id}
    assert ledger.work(live.id) == WORK, "what is to run is kept"


def test_what_is_switched_off_stays_so_until_it_is_switched_on(ledger: Ledger) -> None:
    assert (ledger.disable("a", 1.0), ledger.disable("a", 2.0)) == (True, False)
    assert ledger.disabled() == {"a"}
    assert (ledger.enable("a"), ledger.enable("a")) == (True, False)
    assert ledger.disabled() == set()
    assert (ledger.pause(Trigger.IDLE, 1.0), ledger.pause(Trigger.IDLE, 2.0)) == (True, False)
    assert ledger.paused() == {Trigger.IDLE}
    assert (ledger.resume(Trigger.IDLE), ledger.resume(Trigger.IDLE)) == (True, False)
    assert ledger.paused() == set()
    assert ledger.pause(Trigger.IDLE, 3.0), "and off again"


def test_a_job_that_is_forgotten_leaves_nothing_of_its_own(ledger: Ledger) -> None:
    gone, kept = failed(ledger), failed(ledger, job="b")
    ledger.save_fingerprint("a", "f", 3)
    ledger.declare_job(JOB, "n", 1.0)
    ledger.register("n", Trigger.IDLE, JOB)
    assert ledger.runs_of("a") == ([], [gone.id])
    ledger.forget("a")
    assert ledger.runs_of("a") == ([], [])
    assert ledger.runs_of("b") == ([], [kept.id])
    assert not ledger.is_claimed("a", "ever")
    assert ledger.is_claimed("b", "ever")
    assert ledger.fingerprint("a") == ("", 0)
    assert ledger.declared_job("a") is None
    assert ledger.registrations(Trigger.IDLE) == []
    assert _or_error(ledger.work, gone.id) is not WORK


Made = Callable[[Ledger, int], None]


def _changes() -> Iterator[tuple[str, Made, set[State]]]:
    """Every change that the store offers, and the states in which the table has it."""
    yield "dispatch", lambda ledger, run: ledger.dispatch(run, "b2", 3.0), {State.CLAIMED}
    yield "recall", lambda ledger, run: ledger.recall(run, 5), {State.DISPATCHED}
    for before in State:
        for outcome in Outcome:
            events = [event for state, event in TRANSITIONS if state is before]
            possible = any(outcome in OUTCOMES.get(event, ()) for event in events)
            yield (
                f"{outcome} after {before}",
                _end(before, outcome),
                {before} if possible else set(),
            )


def _end(before: State, outcome: Outcome) -> Made:
    return lambda ledger, run: ledger.end_run(run, before, ending(outcome))


CHANGES = list(_changes())


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    ("change", "possible"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_a_change_that_the_table_does_not_have_is_refused(
    ledger: Ledger, state: State, change: Made, possible: set[State]
) -> None:
    one = in_state(ledger, state)
    before = ledger.live_runs(), ledger.ended_run(one.id), _or_error(ledger.work, one.id)
    if state in possible:
        change(ledger, one.id)
        return
    with pytest.raises(WrongTransition):
        change(ledger, one.id)
    assert before == (ledger.live_runs(), ledger.ended_run(one.id), _or_error(ledger.work, one.id))


def test_a_change_of_a_run_that_is_not_there_is_refused(ledger: Ledger) -> None:
    with pytest.raises(WrongTransition):
        ledger.dispatch(1, "boot", 2.0)


def test_every_statement_that_changes_a_state_is_guarded() -> None:
    changes = [
        sql for sql in load_statements().values() if re.search(r"UPDATE runs\s.*state =", sql)
    ]
    assert len(changes) == 3
    for sql in changes:
        assert "SET state = :state" in sql
        assert "AND state = :before;" in sql


def test_a_batch_adds_up(ledger: Ledger) -> None:
    batch = ledger.new_batch(Trigger.IDLE, "n1", SINK, 1.0)
    outcomes = (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.MISSED)
    for number, outcome in enumerate(outcomes):
        ms = 7 if number < 2 else 0
        ended(ledger, outcome, batch=batch.id, key=f"day:{number}", ms=ms)
    claimed(ledger, batch=batch.id)
    assert ledger.batch_totals(batch.id) == (1, 4, 1, 1, 1, 14)
    assert ledger.start_batch(batch.id, 3.0)
    assert not ledger.start_batch(batch.id, 4.0)
    (opened,) = ledger.open_batches()
    assert (opened.started_at, opened.spent_ms, opened.sink) == (3.0, 14, SINK)
    ledger.end_batch(batch.id, 5.0)
    assert (ledger.open_batches(), ledger.batch(batch.id)) == ([], None)


def test_the_latest_run_that_succeeded_has_published(ledger: Ledger) -> None:
    assert ledger.last_published("a") == (0, 0.0)
    first = ended(ledger, Outcome.SUCCEEDED, key="day:1")
    ended(ledger, Outcome.FAILED, key="day:2")
    ended(ledger, Outcome.SUCCEEDED, key="here:n1:1:1")
    assert ledger.last_published("a") == (first.id, ending(Outcome.SUCCEEDED).ended_at)


def test_a_registration_is_kept_once_and_in_order(ledger: Ledger) -> None:
    for name in ("b", "a", "b"):
        ledger.register("n1", Trigger.IDLE, Job(id=name, run=Code("true")))
    ledger.register("n2", Trigger.IDLE, JOB)
    ledger.register("n1", Trigger.POSTPROMPT, JOB)
    idle = ledger.registrations(Trigger.IDLE)
    assert [(one.shell, one.job.id) for one in idle] == [("n1", "b"), ("n1", "a"), ("n2", "a")]
    ledger.drop_registration(idle[0].id)
    assert [one.job.id for one in ledger.registrations(Trigger.IDLE, "n1")] == ["a"]
    assert ledger.registrations(Trigger.POSTPROMPT, "n2") == []


def test_the_shell_heard_of_last_comes_first(ledger: Ledger) -> None:
    for number, name in enumerate(("n1", "n2", "n3")):
        ledger.save_shell(Shell(name, 1, False, {}, SINK), float(number))
    again = Shell("n1", 2, True, {"HOME": "/h"}, SINK)
    ledger.save_shell(again, 9.0)
    assert [shell.nonce for shell in ledger.latest_shells()] == ["n1", "n3", "n2"]
    assert ledger.shell("n1") == again
    assert ledger.shell("n4") is None


def test_a_line_until_it_is_marked(ledger: Ledger) -> None:
    for text in (b"one", b"two", b"three"):
        ledger.add_line("/log", text, None, 1.0)
    first, second, third = ledger.open_lines()
    ledger.begin_line(first.id, 1, 2, 3)
    begun = ledger.open_lines()[0]
    assert (begun.state, begun.inode, begun.offset, begun.before) == ("writing", 1, 2, 3)
    ledger.put_back_line(first.id, "full")
    assert ledger.open_lines()[0].state == "pending"
    ledger.mark_line(first.id)
    ledger.lose_line(second.id, "gone")
    assert [line.text for line in ledger.open_lines()] == [b"three"]
    ledger.note_line(third.id, "cannot look")
    assert ledger.open_lines() == [third]


def test_no_file_holds_up_another(ledger: Ledger) -> None:
    with ledger.transaction():
        for number in range(201):
            ledger.add_line("/stuck", b"%d" % number, None, 1.0)
        ledger.add_line("/free", b"x", None, 1.0)
    lines = ledger.open_lines()
    assert len(lines) == 201
    assert lines[-1].path == "/free"


def test_pruning_forgets_what_can_never_matter_again(ledger: Ledger) -> None:
    for key in ("ever", "day:1", "shell:n1", "boot:old", "boot:now", "run:x", "change:1"):
        ended(ledger, key=key, at=5.0)
    kept = claimed(ledger, key="day:2")
    ledger.register("n1", Trigger.IDLE, JOB)
    assert ledger.prune(8.0, "now") == list(range(1, kept.id))
    spent = ("ever", "day:1", "shell:n1", "boot:old", "boot:now", "run:x")
    assert [key for key in spent if ledger.is_claimed("a", key)] == ["ever", "day:1", "boot:now"]
    assert [one.id for one in ledger.live_runs()] == [kept.id]
    assert ledger.registrations(Trigger.IDLE) == []


OWN = process_of(os.getpid())
GONE = OWN._replace(begun=OWN.begun + 1)
"""A process that had this number before, or will have it."""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is known")
@pytest.mark.parametrize(
    ("boot", "process", "stays"),
    [
        ("now", OWN, True),
        ("now", UNKNOWN, True),
        ("", UNKNOWN, True),
        ("now", GONE, False),
        ("before", OWN, False),
        ("before", UNKNOWN, False),
    ],
)
def test_a_shell_that_may_be_open_keeps_its_row_and_claims(
    ledger: Ledger, boot: str, process: Process, stays: bool
) -> None:
    shell = Shell("n1", 3, True, {"HOME": "/h"}, SINK, boot, process)
    ledger.save_shell(shell, 5.0)
    ledger.register("n1", Trigger.IDLE, JOB)
    ended(ledger, key="shell:n1", at=5.0)
    assert ledger.prune(8.0, "now") == [1]
    assert ledger.shell("n1") == (shell._replace(boot="now") if stays else None)
    assert ledger.is_claimed("a", "shell:n1") is stays
    assert bool(ledger.registrations(Trigger.IDLE)) is stays


def test_a_definition_goes_with_its_last_run(ledger: Ledger) -> None:
    ledger.declare_job(JOB, "n1", 5.0)
    kept = ended(ledger, key="day:1", at=9.0)
    ledger.prune(8.0, "now")
    assert ledger.declared_job(JOB.id) == JOB
    ledger.register("n1", Trigger.IDLE, JOB)
    ledger.save_shell(Shell("n1", 1, True, {}, SINK, "now"), 9.5)
    assert ledger.prune(9.1, "now") == [kept.id]
    assert ledger.declared_job(JOB.id) == JOB
    ledger.drop_registration(1)
    ledger.prune(9.1, "now")
    assert ledger.declared_job(JOB.id) is None


def test_nothing_of_a_pruned_definition_is_left_in_the_file(home: Path) -> None:
    ledger = Ledger(str(home / "ledger"))
    with ledger.transaction():
        ledger.declare_job(replace(JOB, env={"TOKEN": "hunter2" * 999}), "n1", 5.0)
        ledger.prune(8.0, "now")
    ledger.close()
    assert b"hunter2" not in (home / "ledger").read_bytes()


# --- the same statements to both ---------------------------------------------------

NAMES, NONCES, NUMBERS = st.sampled_from("abc"), st.sampled_from(["n1", "n2"]), st.integers(1, 6)
KEYS = st.sampled_from(
    ["ever", "day:1", "day:2", "boot:b1", "boot:b2", "shell:n1", "run:1", "change:1", "change:2"]
)
TRIGGERS, INSTANTS = st.sampled_from(Trigger), st.integers(1, 20).map(float)
ENDINGS = st.builds(ending, st.sampled_from(Outcome), INSTANTS, st.integers(0, 50))
RUNS = st.builds(run, NAMES, KEYS, batch=st.none() | NUMBERS, claimed_at=INSTANTS)
JOBS = st.builds(lambda name: Job(id=name, run=Code("true")), NAMES)
SHELLS = st.builds(
    lambda nonce, seq, boot: Shell(nonce, seq, seq > 1, {"HOME": "/h"}, SINK, boot),
    NONCES,
    st.integers(1, 3),
    st.sampled_from(["", "b1", "b2"]),
)
TEXT = st.sampled_from([b"x", b"y"])
PATHS = st.sampled_from(["/l1", "/l2"])
PROBLEMS = st.just("why")


def _call(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), *arguments)


WRITES = st.one_of(
    _call("save_shell", SHELLS, INSTANTS),
    _call("declare_job", JOBS, NONCES, INSTANTS, st.none() | st.just("refused")),
    _call("register", NONCES, TRIGGERS, JOBS),
    _call("drop_registration", NUMBERS),
    _call("claim", NAMES, KEYS, NUMBERS, INSTANTS),
    _call("add_run", RUNS, st.just(WORK)),
    _call("save_fingerprint", NAMES, st.sampled_from(["f", "g"]), NUMBERS),
    _call("save_inputs", NAMES, st.sampled_from(["[1]", "[2]"]), st.just("why")),
    _call("new_batch", TRIGGERS, NONCES, st.just(SINK), INSTANTS),
    _call("start_batch", NUMBERS, INSTANTS),
    _call("end_batch", NUMBERS, INSTANTS),
    _call("dispatch", NUMBERS, st.just("b1"), INSTANTS),
    _call("recall", NUMBERS, NUMBERS),
    _call("set_cancelling", NUMBERS),
    _call("end_run", NUMBERS, st.sampled_from(State), ENDINGS),
    _call("add_line", PATHS, TEXT, st.none() | NUMBERS, INSTANTS),
    _call("begin_line", NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    _call("put_back_line", NUMBERS, PROBLEMS),
    _call("mark_line", NUMBERS),
    _call("note_line", NUMBERS, PROBLEMS),
    _call("lose_line", NUMBERS, PROBLEMS),
    _call("prune", INSTANTS, st.just("b1")),
)


class SameStatements(RuleBasedStateMachine):
    """Both ledgers, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="zd.", dir="/tmp")
        self.real = Ledger(f"{self._folder.name}/ledger")
        self.twin = as_ledger(MemoryLedger())

    @rule(calls=st.lists(WRITES, min_size=1, max_size=8), commit=st.booleans())
    def transaction(self, calls: list[tuple[Any, ...]], commit: bool) -> None:
        assert self._played(self.real, calls, commit) == self._played(self.twin, calls, commit)

    def _played(self, ledger: Ledger, calls: list[tuple[Any, ...]], commit: bool) -> list[Any]:
        results: list[Any] = []
        with suppress(ZeroDivisionError), ledger.transaction():
            for number, (name, *arguments) in enumerate(calls):
                with suppress(KeyError), ledger.savepoint():
                    if name == "add_run":
                        arguments[0] = replace(arguments[0], id=ledger.next_run())
                    results.append(_or_error(getattr(ledger, name), *arguments))
                    if number % 3 == 2:
                        raise KeyError("this part fails")
            if not commit:
                raise ZeroDivisionError
        return results

    @invariant()
    def they_read_the_same(self) -> None:
        assert _everything(self.real) == _everything(self.twin)

    def teardown(self) -> None:
        self.real.close()
        self._folder.cleanup()


def _everything(ledger: Ledger) -> dict[str, Any]:
    numbers = range(1, 7)
    return {
        "shells": ledger.latest_shells(),
        "jobs": [ledger.declared_job(name) for name in "abc"],
        "registrations": [ledger.registrations(on, of) for on in Trigger for of in (None, "n1")],
        "runs": [ledger.next_run(), *ledger.live_runs()],
        "ended": [ledger.ended_run(number) for number in numbers],
        "published": [ledger.last_published(job) for job in ("a", "b", "c")],
        "payloads": [_or_error(ledger.work, number) for number in numbers],
        "batches": ledger.open_batches(),
        "totals": [ledger.batch_totals(number) for number in numbers],
        "fingerprints": [ledger.fingerprint(name) for name in "abc"],
        "inputs": [ledger.inputs(name) for name in "abc"],
        "last": [ledger.last_of(name) for name in "abc"],
        "lines": ledger.open_lines(),
    }


def _or_error(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except LedgerError as error:
        return type(error)


TestSameStatements = SameStatements.TestCase
TestSameStatements.settings = settings(max_examples=40, stateful_step_count=10)
