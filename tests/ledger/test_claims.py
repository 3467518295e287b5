"""Claims on a real ledger: scopes, redelivery, second prompts, idle triggers, refusals."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as with_

from zdeferd.inputs import Inputs
from zdeferd.ledger import claims, outcomes
from zdeferd.ledger.packing import Declaration, DoneHere, Refusal, Report
from zdeferd.ledger.store import Ledger
from zdeferd.machine.paths import MEASURING
from zdeferd.machine.processes import process_of
from zdeferd.model import (
    Claimed,
    Code,
    Ending,
    Facts,
    Job,
    Outcome,
    Scope,
    State,
    Trigger,
    inputs_of,
)
from zdeferd.telemetry import projection

SHELL = {"HOME": "/h", "PATH": "/bin"}


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    opened = Ledger(str(home / "ledger"))
    yield opened
    opened.close()


def facts(*jobs: Job, **fields: Any) -> Facts:
    values: dict[str, Any] = {
        "now": 1000.0,
        "boot": "b1",
        "day": "2026-01-02",
        "jobs": {job.id: job for job in jobs},
        "default_log": "/log",
        "inputs": sees("same"),
    }
    return Facts(**(values | fields))


def sees(fingerprint: str, **fields: Any) -> Callable[[Job, Mapping[str, str]], Inputs]:
    return lambda job, env: Inputs(fingerprint, **fields)


def job(name: str, once_per: Scope = Scope.BOOT, *, idle: bool = False, **fields: Any) -> Job:
    on = (Trigger.IDLE,) if idle else (Trigger.POSTPROMPT,)
    return Job(id=name, run=Code("true"), on=on, once_per=once_per, source="/j.toml", **fields)


def visit(nonce: str = "n1", seq: int = 1, *ids: str, **fields: Any) -> Report:
    """A postprompt of the shell `nonce` that declares the jobs `ids`, of scope shell."""
    on = fields.pop("on", Trigger.POSTPROMPT)
    env = SHELL | fields.pop("env", {})
    jobs = (Job(id=name, run=Code("true"), on=(on,)) for name in ids)
    values: dict[str, Any] = {
        "nonce": nonce,
        "seq": seq,
        "env": env,
        "sink": projection.sink(env, "/log"),
        "declared": tuple(map(Declaration, jobs)),
        "postprompt": True,
    }
    return Report(**(values | fields))


def names(claimed: Claimed) -> list[str]:
    return [run.job for run in claimed.runs]


def keys(claimed: Claimed) -> list[str]:
    return [run.key for run in claimed.runs]


def test_files_first_then_what_the_shell_registered_in_order(ledger: Ledger) -> None:
    taken = claims.take_visit(ledger, visit("n1", 1, "z", "a"), facts(job("file")))
    assert names(taken) == ["file", "z", "a"]
    assert {run.batch for run in taken.runs} == {taken.batches[0].id}
    assert ledger.live_runs() == taken.runs


def test_a_redelivered_visit_changes_nothing(ledger: Ledger) -> None:
    claims.take_visit(ledger, visit("n1", 1, "a"), facts(job("f", Scope.DAY)))
    tomorrow = facts(job("f", Scope.DAY), day="2026-01-03")
    assert claims.take_visit(ledger, visit("n1", 1, "a"), tomorrow) == Claimed()


def test_work_done_in_the_shell_is_a_run_that_has_ended_with_its_line(ledger: Ledger) -> None:
    done = DoneHere("a-b", 12, 0), DoneHere("a-b", 3, 7)
    report = visit("n1", 2, done=done, postprompt=False)
    for _ in range(2):  # a redelivered one changes nothing
        assert claims.take_visit(ledger, report, facts()) == Claimed()
    lines = [line.text for line in ledger.open_lines()]
    assert lines == [b"DEFERRED id=a-b ms=12 rc=0", b"DEFERRED id=a-b ms=3 rc=7"]
    assert not ledger.live_runs()
    assert [ledger.is_claimed("a-b", f"here:n1:2:{number}") for number in (1, 2, 3)] == [
        *(True, True, False)
    ]


def test_a_second_postprompt_starts_only_what_was_registered_since(ledger: Ledger) -> None:
    claims.take_visit(ledger, visit("n1", 1, "a"), facts(job("f")))
    again = claims.take_visit(ledger, visit("n1", 2), facts(job("f"), job("new")))
    assert again == Claimed()
    later = claims.take_visit(ledger, visit("n1", 3, "b"), facts(job("new")))
    assert names(later) == ["b"]


def test_registrations_wait_for_the_event_of_a_later_message(ledger: Ledger) -> None:
    first = claims.take_visit(ledger, visit("n1", 1, "a", postprompt=False), facts(job("f")))
    assert first == Claimed()
    second = claims.take_visit(ledger, visit("n1", 2, "b"), facts(job("f")))
    assert names(second) == ["f", "a", "b"]


@pytest.mark.parametrize(
    ("scope", "same", "other"),
    [
        (Scope.BOOT, {"day": "2026-01-03"}, {"boot": "b2"}),
        (Scope.DAY, {"boot": "b2"}, {"day": "2026-01-03"}),
        (Scope.EVER, {"boot": "b2", "day": "2026-01-03"}, None),
        (Scope.CHANGE, {"boot": "b2"}, {"inputs": sees("other")}),
    ],
)
def test_a_scope_is_claimed_once_and_again_in_the_next_span(
    ledger: Ledger, scope: Scope, same: dict[str, Any], other: dict[str, Any] | None
) -> None:
    f = job("f", scope)
    assert names(claims.take_visit(ledger, visit("n1"), facts(f))) == ["f"]
    assert names(claims.take_visit(ledger, visit("n2"), facts(f))) == []
    assert names(claims.take_visit(ledger, visit("n3"), facts(f, **same))) == []
    if other:
        assert names(claims.take_visit(ledger, visit("n4"), facts(f, **other))) == ["f"]


def test_the_statement_decides_where_the_look_before_it_is_wrong(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt, idle = job("p"), job("i", idle=True)
    claims.take_visit(ledger, visit("n1", idle=True), facts(prompt, idle))
    claims.take_visit(ledger, visit("n2"), facts(prompt, idle))
    before = ledger.live_runs(), ledger.open_batches()
    monkeypatch.setattr(Ledger, "is_claimed", lambda self, job, key: False)
    taken = claims.take_visit(ledger, visit("n2", 2, idle=True), facts(prompt, idle))
    assert (taken.runs, taken.batches) == ([], [])
    assert claims.take_visit(ledger, visit("n3"), facts(prompt)).runs == []
    assert ledger.live_runs() == before[0]
    assert [batch.id for batch in ledger.open_batches()] == [1, 2, 3, 5]


def test_scope_shell_runs_in_every_shell(ledger: Ledger) -> None:
    f = job("f", Scope.SHELL)
    assert keys(claims.take_visit(ledger, visit("n1"), facts(f))) == ["shell:n1"]
    assert keys(claims.take_visit(ledger, visit("n2"), facts(f))) == ["shell:n2"]


def test_going_back_to_an_old_version_is_a_change_too(ledger: Ledger) -> None:
    f, found = job("f", Scope.CHANGE, watch=("/x",)), []
    for number, version in enumerate(["v1", "v2", "v1", "v1"]):
        seen = facts(f, inputs=sees(version))
        found += keys(claims.take_visit(ledger, visit(f"n{number}"), seen))
    assert found == ["change:1", "change:2", "change:3"]


def test_the_inputs_are_those_for_the_shells_environment(ledger: Ledger) -> None:
    asked: list[tuple[Job, str]] = []

    def look(job: Job, env: Mapping[str, str]) -> Inputs:
        asked.append((job, env["PATH"]))
        return Inputs("v")

    f = job("f", Scope.CHANGE, watch=("command:git",))
    claims.take_visit(ledger, visit(), facts(f, inputs=look))
    assert asked == [(f, "/bin")]


def test_a_claim_keeps_what_it_saw_and_which_input_changed(ledger: Ledger) -> None:
    f = job("f", Scope.CHANGE, watch=("/x", "/y"))
    for number, size in enumerate("12"):
        states = (("/x", (("/x", size, "1", "1"),)), ("/y", (("/y", "absent"),)))
        seen = facts(f, inputs=sees(size, states=states))
        claims.take_visit(ledger, visit(f"n{number}"), seen)
    (row,) = ledger._db.execute("SELECT cause, inputs FROM fingerprints").fetchall()
    assert row["cause"] == "this changed: /x (other size)"
    assert '["/x",' in row["inputs"].replace(" ", "")


OUTCOMES = [
    (None, 1000.0, False, "a run that is on its way makes it"),
    (Outcome.SUCCEEDED, 1001.0, True, "it was there and is gone"),
    (Outcome.SUCCEEDED, 999.0, False, "it was looked for before the run had published"),
    (Outcome.FAILED, 1030.0, False, "what fails is not repeated in each shell"),
    (Outcome.FAILED, 1060.0, True, "but after a pause"),
    (Outcome.FAILED, 900.0, True, "the clock was set back"),
]


@pytest.mark.parametrize(("outcome", "looked_at", "due", "why"), OUTCOMES)
def test_a_missing_output_makes_a_job_due(
    ledger: Ledger, outcome: Outcome | None, looked_at: float, due: bool, why: str
) -> None:
    f = job("f", Scope.CHANGE, output="/h/made")
    (run,) = claims.take_visit(ledger, visit("n1"), facts(f)).runs
    if outcome:
        outcomes.begin(ledger, run, "b1", 1000.0)
        outcomes.end(
            ledger, with_(run, state=State.DISPATCHED), Ending(outcome=outcome, ended_at=1e3)
        )
    there = facts(f, inputs=sees("same", seen_at=looked_at))
    assert names(claims.take_visit(ledger, visit("n2"), there)) == []
    missing = facts(f, inputs=sees("same", missing="/h/made", seen_at=looked_at))
    assert keys(claims.take_visit(ledger, visit("n3"), missing)) == ["change:2"] * due, why
    cause = ledger._db.execute("SELECT cause FROM fingerprints").fetchone()["cause"]
    assert cause == ("its output was missing: /h/made" if due else "")


def test_a_job_that_changes_its_own_input_is_not_due_for_idle_while_it_runs(ledger: Ledger) -> None:
    f = job("f", Scope.CHANGE, idle=True, watch=("/x",))
    first = claims.take_visit(ledger, visit(idle=True), facts(f))
    changed = facts(f, inputs=sees("changed"))
    assert names(first) == ["f"]
    assert not claims.idle_waits(ledger, changed)
    assert names(claims.take_idle(ledger, changed, Claimed())) == []
    ending = Ending(outcome=Outcome.SUCCEEDED, rc=0, started_at=1.0, ended_at=1001.0)
    outcomes.begin(ledger, first.runs[0], "b1", 1000.0)
    outcomes.end(ledger, with_(first.runs[0], state=State.DISPATCHED), ending)
    assert names(claims.take_idle(ledger, changed, Claimed())) == ["f"]


def test_a_change_of_the_definition_is_a_change(ledger: Ledger) -> None:
    def look(job: Job, env: Mapping[str, str]) -> Inputs:
        return Inputs(repr(inputs_of(job)))

    found = []
    f = job("f", Scope.CHANGE, watch=("/x",))
    changed = (f, f, with_(f, run=Code("other")), with_(f, output="/y"))
    for number, one in enumerate(changed):
        seen = facts(one, inputs=look)
        found.append(keys(claims.take_visit(ledger, visit(f"n{number}"), seen)))
    assert found == [["change:1"], [], ["change:2"], ["change:3"]]


def test_an_empty_postprompt_batch_is_still_a_batch(ledger: Ledger) -> None:
    taken = claims.take_visit(ledger, visit(), facts())
    assert (taken.runs, len(taken.batches)) == ([], 1)
    assert outcomes.close_batch(ledger, taken.batches[0], 1001.0)
    assert [line.text for line in ledger.open_lines()] == [
        b"SEGMENT name=deferred_total ms=0 phase=postprompt sample=unknown"
    ]


# --- idle ----------------------------------------------------------------------


def test_the_idle_trigger_takes_file_jobs_and_registrations(ledger: Ledger) -> None:
    idle = facts(job("f", idle=True))
    for nonce in ("n1", "n2"):
        claims.take_visit(ledger, visit(nonce, 1, "tidy", on=Trigger.IDLE), idle)
    assert claims.idle_waits(ledger, idle)
    taken = claims.take_idle(ledger, idle, Claimed())
    assert [(r.job, r.key) for r in taken.runs] == [
        ("f", "boot:b1"),
        ("tidy", "shell:n1"),
        ("tidy", "shell:n2"),
    ]
    assert len(taken.batches) == 1
    assert not claims.idle_waits(ledger, idle)
    assert claims.take_idle(ledger, idle, Claimed()) == Claimed()


def test_each_sink_gets_its_own_idle_batch_with_runs_in_a_row(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        env = {"PERF_SEGMENT_LOG": f"/log{number % 2}"}
        arrival = visit(f"n{number}", 1, "tidy", on=Trigger.IDLE, env=env)
        claims.take_visit(ledger, arrival, facts())
    taken = claims.take_idle(ledger, facts(), Claimed())
    assert [(r.shell, r.sink.log) for r in taken.runs] == [
        ("n1", "/log1"),
        ("n3", "/log1"),
        ("n2", "/log0"),
    ]
    assert [run.batch for run in taken.runs] == sorted(run.batch or 0 for run in taken.runs)


def test_a_daily_idle_job_waits_again_the_next_day(ledger: Ledger) -> None:
    f = job("f", Scope.DAY, idle=True)
    claims.take_visit(ledger, visit(), facts(f))
    claims.take_idle(ledger, facts(f), Claimed())
    assert not claims.idle_waits(ledger, facts(f))
    assert claims.idle_waits(ledger, facts(f, day="2026-01-03"))


def test_a_shell_with_idle_work_switched_off_lends_its_name_to_none(ledger: Ledger) -> None:
    f = job("f", idle=True)
    claims.take_visit(ledger, visit(env={"ZSH_IDLE_ENABLE": "0"}), facts(f))
    assert not claims.idle_waits(ledger, facts(f))


def test_an_idle_event_of_a_shell_is_the_same_trigger(ledger: Ledger) -> None:
    arrival = visit("n1", 1, idle=True, postprompt=False)
    assert names(claims.take_visit(ledger, arrival, facts(job("f", idle=True)))) == ["f"]


# --- refusals ------------------------------------------------------------------


def test_a_refused_declaration_is_kept_with_its_reason_and_claims_nothing(ledger: Ledger) -> None:
    declared = Declaration(job("f"), "declared in /j.toml, which stands"), Declaration(job("g"))
    taken = claims.take_visit(ledger, visit(declared=declared), facts())
    assert names(taken) == ["g"]
    assert taken.refused == ["f: declared in /j.toml, which stands"]
    assert refused(ledger) == [("f", "declared in /j.toml, which stands"), ("g", None)]


def test_what_is_no_job_is_kept_by_its_id_where_that_is_valid(ledger: Ledger) -> None:
    bad = Refusal("bad", "bad.on: found 1"), Refusal(None, "../x: found that")
    taken = claims.take_visit(ledger, visit(refused=bad), facts())
    assert (taken.runs, taken.refused) == ([], ["bad.on: found 1", "../x: found that"])
    assert refused(ledger) == [("bad", "bad.on: found 1")]


def refused(ledger: Ledger) -> list[tuple[str, str | None]]:
    return [tuple(row) for row in ledger._db.execute("SELECT id, refused FROM jobs ORDER BY id")]


def test_what_a_shell_corrects_is_for_a_run_by_hand(ledger: Ledger) -> None:
    """Its own turn is spent; `zdefer add` says so, and what to do."""
    wrong, right = (Job(id="a", run=Code(f"print {word}")) for word in ("wrong", "right"))
    first = visit("n1", 1, declared=(Declaration(wrong),))
    assert len(claims.take_visit(ledger, first, facts()).runs) == 1
    second = visit("n1", 2, declared=(Declaration(right),))
    assert claims.take_visit(ledger, second, facts()).runs == []
    assert ledger.declared_job("a") == right


# --- by hand, and ends ---------------------------------------------------------


def test_a_run_by_hand_has_a_key_of_its_own_and_the_last_shells_environment(
    ledger: Ledger,
) -> None:
    f = job("f", Scope.EVER)
    claims.take_visit(ledger, visit(), facts(f))
    first = claims.claim_by_hand(ledger, f, {}, facts(f, now=1001.0))
    second = claims.claim_by_hand(ledger, f, {"PATH": "/mine"}, facts(f, now=1002.0))
    assert first.key != second.key
    assert first.batch is None
    assert ledger.work(first.id).env == {"HOME": "/h", "PATH": "/bin"}
    assert ledger.work(second.id).env == {"PATH": "/mine"}


def test_the_last_end_of_a_batch_writes_its_total(ledger: Ledger) -> None:
    taken = claims.take_visit(ledger, visit("n1", 1, "a", "b"), facts())
    ending = Ending(outcome=Outcome.FAILED, rc=3, started_at=1.0, ended_at=2.0)
    for run, wall_ms in zip(taken.runs, (5, 7), strict=True):
        outcomes.begin(ledger, run, "b1", 1.0)
        cost = with_(ending.cost, wall_ms=wall_ms)
        outcomes.end(ledger, with_(run, state=State.DISPATCHED), with_(ending, cost=cost))
    assert [line.text for line in ledger.open_lines()] == [
        b"DEFERRED id=a ms=5 rc=3",
        b"DEFERRED id=b ms=7 rc=3",
        b"SEGMENT name=deferred_total ms=12 phase=postprompt sample=unknown",
    ]
    assert (ledger.live_runs(), ledger.open_batches()) == ([], [])


def test_a_run_that_is_dispatched_already_is_begun_all_the_same(ledger: Ledger) -> None:
    """An earlier daemon's spawner started it just before its cancellation."""
    (run,) = claims.take_visit(ledger, visit("n1", 1, "a"), facts()).runs
    outcomes.begin(ledger, run, "b1", 1.0)
    outcomes.begin(ledger, with_(run, state=State.DISPATCHED), "b1", 2.0)
    (live,) = ledger.live_runs()
    assert (live.state, live.boot) == (State.DISPATCHED, "b1")


def test_an_idle_batch_is_opened_by_its_first_start_and_closed_by_its_last_end(
    ledger: Ledger,
) -> None:
    claims.take_visit(ledger, visit("n1", 1, "a", "b", on=Trigger.IDLE), facts())
    first, second = claims.take_idle(ledger, facts(), Claimed()).runs
    outcomes.begin(ledger, first, "b1", 10.0)
    ending = Ending(outcome=Outcome.SUCCEEDED, rc=0, started_at=10.0, ended_at=12.0)
    outcomes.end(ledger, with_(first, state=State.DISPATCHED), ending)
    outcomes.end(ledger, second, Ending(outcome=Outcome.MISSED, ended_at=12.5))
    texts = [line.text for line in ledger.open_lines() if not line.text.startswith(b"SEG")]
    assert texts == [
        b"IDLE:START budget=0ms tasks=2",
        b"DEFERRED id=a ms=0 rc=0",
        b"IDLE:TASK id=a ms=0 rc=0",
        b"IDLE:SUMMARY tasks=2 ok=1 err=0 elapsed=2500 budget_exceeded=1",
    ]


# --- a command that a shell's PATH lacks ---------------------------------------------


def visit_of(nonce: str, path: str) -> Report:
    return visit(nonce, env={"PATH": path})


def ended(ledger: Ledger, taken: Claimed, rc: int) -> None:
    """The one run that was claimed has ended with this exit code."""
    [run] = taken.runs
    ledger.dispatch(run.id, "b1", 1000.0)
    outcome = Outcome.FAILED if rc else Outcome.SUCCEEDED
    dispatched = with_(run, state=State.DISPATCHED)
    outcomes.end(ledger, dispatched, Ending(outcome=outcome, rc=rc, ended_at=1001.0))


WIDE = [
    job("f", Scope.BOOT),
    job("f", Scope.DAY),
    job("f", Scope.EVER),
    job("f", Scope.CHANGE, watch=("/x",)),
]


@pytest.mark.parametrize("f", WIDE, ids=lambda f: f.once_per)
def test_a_command_that_is_not_found_leaves_the_claim_to_another_path(
    ledger: Ledger, f: Job
) -> None:
    ended(ledger, claims.take_visit(ledger, visit_of("n1", "/bare"), facts(f)), 127)
    assert names(claims.take_visit(ledger, visit_of("n2", "/bare"), facts(f))) == []
    other = claims.take_visit(ledger, visit_of("n3", "/poor"), facts(f))
    assert names(claims.take_visit(ledger, visit_of("n4", "/rich"), facts(f))) == [], "one at once"
    ended(ledger, other, 127)
    assert names(claims.take_visit(ledger, visit_of("n5", "/bare"), facts(f))) == []
    assert names(claims.take_visit(ledger, visit_of("n6", "/poor"), facts(f))) == []
    ended(ledger, claims.take_visit(ledger, visit_of("n7", "/rich"), facts(f)), 0)
    for path in ("/bare", "/poor", "/rich", "/new"):
        assert names(claims.take_visit(ledger, visit_of(path[1:], path), facts(f))) == []


@pytest.mark.parametrize("rc", [0, 1, 126])
def test_any_other_end_has_spent_the_claim(ledger: Ledger, rc: int) -> None:
    f = job("f", Scope.DAY)
    ended(ledger, claims.take_visit(ledger, visit_of("n1", "/bare"), facts(f)), rc)
    assert names(claims.take_visit(ledger, visit_of("n2", "/rich"), facts(f))) == []


def test_a_job_with_a_path_of_its_own_has_spent_its_claim(ledger: Ledger) -> None:
    f = job("f", Scope.DAY, env={"PATH": "/own"})
    ended(ledger, claims.take_visit(ledger, visit_of("n1", "/bare"), facts(f)), 127)
    assert names(claims.take_visit(ledger, visit_of("n2", "/rich"), facts(f))) == []


def test_a_path_that_the_shell_has_given_to_its_job_is_the_one_that_counts(ledger: Ledger) -> None:
    """As zdefer eval gives it: the one from before its code has added to it."""
    bare, rich = (
        job("f", Scope.CHANGE, watch=("/x",), env={"PATH": path}) for path in ("/bare", "/rich")
    )
    ended(ledger, claims.take_visit(ledger, visit_of("n1", "/more"), facts(bare)), 127)
    assert names(claims.take_visit(ledger, visit_of("n2", "/other"), facts(bare))) == []
    ended(ledger, claims.take_visit(ledger, visit_of("n3", "/more"), facts(rich)), 0)
    assert names(claims.take_visit(ledger, visit_of("n4", "/more"), facts(bare))) == []


def test_inputs_that_change_make_it_due_under_the_same_path(ledger: Ledger) -> None:
    f = job("f", Scope.CHANGE, watch=("/x",))
    ended(ledger, claims.take_visit(ledger, visit_of("n1", "/bare"), facts(f)), 127)
    changed = facts(f, inputs=sees("changed"))
    assert names(claims.take_visit(ledger, visit_of("n2", "/bare"), changed)) == ["f"]


# --- the shell of an idle job ---------------------------------------------------------


def idle_env(ledger: Ledger, **fields: Any) -> str:
    """PATH of the shell for which the idle trigger claims `f`."""
    taken = claims.take_idle(ledger, facts(job("f", idle=True), **fields), Claimed())
    return ledger.work(taken.runs[0].id).env["PATH"]


def test_an_idle_job_runs_for_the_latest_shell_that_is_still_there(ledger: Ledger) -> None:
    here = process_of(os.getpid())
    for number, process in enumerate([here, here._replace(begun=1), here._replace(begun=2)]):
        report = visit(f"n{number}", process=process, env={"PATH": f"/{number}"})
        claims.take_visit(ledger, report, facts(now=1000.0 + number))
    assert idle_env(ledger) == ("/0" if here.pid else "/2")


def test_a_shell_whose_agent_is_dead_comes_last(ledger: Ledger, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as dead:
        living.bind(f"{home}/living")
        living.listen()
        dead.bind(f"{home}/dead")
        for number, agent in enumerate(["living", "dead", "none"]):
            env = {"PATH": f"/{number}", "SSH_AUTH_SOCK": f"{home}/{agent}"}
            claims.take_visit(ledger, visit(f"n{number}", env=env), facts(now=1000.0 + number))
        assert idle_env(ledger) == "/0"


def test_a_shell_that_is_measured_comes_last(ledger: Ledger) -> None:
    for number, log in enumerate(["/home/u/log", f"/tmp/{MEASURING}x/1"]):
        env = {"PATH": f"/{number}", "PERF_SEGMENT_LOG": log}
        claims.take_visit(ledger, visit(f"n{number}", env=env), facts(now=1000.0 + number))
    assert idle_env(ledger) == "/0"


def test_where_no_shell_is_left_the_latest_counts(ledger: Ledger, home: Path) -> None:
    for number in range(2):
        env = {"PATH": f"/{number}", "SSH_AUTH_SOCK": f"{home}/none"}
        claims.take_visit(ledger, visit(f"n{number}", env=env), facts(now=1000.0 + number))
    assert idle_env(ledger) == "/1"
    assert idle_env(ledger, boot="b2") == "/1"
