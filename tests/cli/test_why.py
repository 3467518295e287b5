"""`zdeferctl why`: the facts from a real ledger, and what is printed."""

import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator

import pytest
from support.user import NOW, User, call, claim, end, job

from zdeferd.conditions import Conditions, Power
from zdeferd.inputs import Inputs
from zdeferd.ledger.packing import Shell
from zdeferd.machine.boot import boot_id
from zdeferd.model import Code, Job, Outcome, Run, Sink, Trigger, Work, inputs_of
from zdeferd.senses.power import power


@pytest.fixture
def running(user: User) -> Iterator[None]:
    """The lock is held, as by a daemon."""
    lock = os.open(user.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield
    os.close(lock)


def code_of(name: str) -> str:
    return str(call("why", name, "--json").document["code"])


def test_unknown_job_is_no(user: User) -> None:
    user.job_file('[built]\nrun = "true"\n')
    result = call("why", "build")
    assert result.code == 1
    assert "did you mean built?" in result.out


def test_a_bad_file_names_its_place(user: User) -> None:
    path = user.job_file('[build]\nrun = "true"\nonce_per = "week"\n')
    result = call("why", "build")
    assert result.code == 1
    assert f"~/{path.relative_to(user.root)}:3: build.once_per" in result.out


def test_a_file_beats_a_shell_and_why_says_so(user: User) -> None:
    path = user.job_file('[build]\nrun = "true"\n')
    user.ledger().declare_job(job("build"), "shell-1", NOW, f"declared in {path}, which stands")
    result = call("why", "build")
    assert result.code == 0
    assert "waits for the first prompt" in result.out
    assert "A shell's declaration of the same id, at 2023-11-14 22:13, was refused:" in result.out
    assert "declared in ~/.config/zdeferd/jobs.d/mine.toml, which stands." in result.out


def test_spent_scopes(user: User) -> None:
    for scope in ("boot", "day", "ever"):
        user.job_file(f'[by-{scope}]\nrun = "true"\nonce_per = "{scope}"\n', f"{scope}.toml")
    ledger = user.ledger()
    now = time.time()
    day = time.strftime("day:%Y-%m-%d")
    for name, key in (("by-boot", f"boot:{boot_id()}"), ("by-day", day), ("by-ever", "ever")):
        assert code_of(name) == "waits_for_prompt"
        end(ledger, claim(ledger, name, key, now))
        assert code_of(name) == "already_ran"


def test_the_last_shell_has_spent_the_scope_shell(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.job_file('[build]\nrun = "true"\n')
    ledger = user.ledger()
    end(ledger, claim(ledger, "build", "shell:old"), Outcome.FAILED, 1)
    for number, nonce in enumerate(("old", "new")):
        shell = Shell(nonce=nonce, seq=1, prompted=True, env={}, sink=Sink(log="/x"))
        ledger.save_shell(shell, NOW + number)
    assert code_of("build") == "waits_for_prompt"
    monkeypatch.setenv("ZDEFERD_NONCE", "old")  # `zdefer why` in that shell
    assert code_of("build") == "already_ran"
    monkeypatch.setenv("ZDEFERD_NONCE", "")
    end(ledger, claim(ledger, "build", "shell:new"))
    assert code_of("build") == "already_ran"


def test_unchanged_inputs(user: User) -> None:
    from zdeferd.jobs.fingerprint import look_at

    watched = user.root / "watched"
    watched.write_text("one")
    user.job_file(f'[build]\nrun = "true"\nonce_per = "change"\nwatch = ["{watched}"]\n')
    ledger = user.ledger()
    end(ledger, claim(ledger, "build", "change:1"))
    inputs = inputs_of(Job(id="build", run=Code("true"), watch=(str(watched),)))
    seen = look_at(inputs, user.env)
    ledger.save_fingerprint("build", seen.fingerprint, 1)
    ledger.save_inputs("build", json.dumps(seen.states), "this changed: command:tool (/tool: new)")
    assert code_of("build") == "inputs_unchanged"
    assert "made because this changed: command:tool (/tool: new)." in call("why", "build").out
    watched.write_text("another")
    assert code_of("build") == "waits_for_prompt"
    differs = f"{watched} (other size)"
    said = call("why", "build").out.replace(f"~/{watched.name}", str(watched))
    assert f"Changed since its last claim: {differs}." in said
    assert call("why", "build", "--json").document["changed"] == [differs]


@pytest.mark.usefixtures("running")
def test_live_runs(user: User) -> None:
    ledger = user.ledger()
    batch = ledger.new_batch(Trigger.POSTPROMPT, "shell-1", Sink(log="/x"), NOW)
    first = claim(ledger, "first", now=time.time(), batch=batch)
    claim(ledger, "second", now=time.time(), batch=batch)
    claim(ledger, "third", now=time.time(), batch=batch, after=("first",))
    assert code_of("first") == "next"
    ledger.dispatch(first, "a-boot", time.time() - 5)
    assert code_of("first") == "running"
    assert "2nd in the postprompt lane, behind first (run 1)" in call("why", "second").out
    assert "third (run 3) waits for first (run 1) to end" in call("why", "third").out
    ledger.set_cancelling(first)
    assert code_of("first") == "cancelling"


@pytest.mark.usefixtures("running")
def test_registrations_and_refusals_of_shells(user: User) -> None:
    ledger = user.ledger()
    declared = job("from-shell", on=(Trigger.IDLE,))
    ledger.declare_job(declared, "shell-1", NOW)
    assert code_of("from-shell") == "waits_for_prompt"
    ledger.register("shell-1", Trigger.IDLE, declared)
    assert code_of("from-shell") == "waits_for_idle"
    ledger.declare_job(job("taken"), "shell-1", NOW, "declared in mine.toml, which stands")
    result = call("why", "taken")
    assert result.code == 1
    assert "declared in mine.toml, which stands" in result.out


def test_no_daemon(user: User) -> None:
    claim(user.ledger(), "build")
    assert code_of("build") == "waits_for_daemon"


def test_what_cannot_be_looked_at(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from zdeferd.jobs import fingerprint
    from zdeferd.view import facts

    user.job_file(f'[build]\nrun = "true"\nonce_per = "change"\nwatch = ["{user.root}/**"]\n')
    user.ledger()
    monkeypatch.setattr(fingerprint, "MOST_FILES", 1)
    assert code_of("build") == "waits_for_look"
    assert "(more than 1 files: " in call("why", "build").out
    gate = threading.Event()
    monkeypatch.setattr(fingerprint, "look_at", lambda watch, env: Inputs(str(gate.wait(20))))
    monkeypatch.setattr(facts, "LOOK_S", 0.05)
    assert "(no answer in 0.05 s: " in call("why", "build").out
    gate.set()


def test_a_command_that_this_path_lacks(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from zdeferd.ledger import outcomes
    from zdeferd.model import Ending, Run, State, Work

    user.job_file('[build]\nrun = "tool"\nonce_per = "ever"\n')
    ledger = user.ledger()
    run = Run(
        id=ledger.next_run(), job="build", key="ever", trigger=Trigger.POSTPROMPT, batch=None,
        sink=Sink(log="/x"), claimed_at=NOW, state=State.DISPATCHED,
    )  # fmt: skip
    ledger.claim("build", "ever", run.id, NOW)
    ledger.add_run(run, Work(job=job("build"), env={"PATH": "/bare"}))
    ledger.dispatch(run.id, "b1", NOW)
    outcomes.end(ledger, run, Ending(outcome=Outcome.FAILED, rc=127, ended_at=NOW))
    assert code_of("build") == "waits_for_prompt"
    monkeypatch.setenv("PATH", "/bare")
    assert code_of("build") == "already_ran"
    assert "in a shell whose PATH has its command" in call("why", "build").out


@pytest.mark.usefixtures("running")
def test_a_run_that_gave_up_its_place_is_not_ahead(user: User) -> None:
    """Another one runs in its place, which is how the ledger shows it."""
    ledger, now = user.ledger(), time.time()
    hangs, works = claim(ledger, "hangs", now=now), claim(ledger, "works", now=now)
    claim(ledger, "waits", now=now)
    ledger.dispatch(hangs, "a-boot", now - 20)
    assert "3rd in the postprompt lane, behind hangs (run 1), works" in call("why", "waits").out
    ledger.dispatch(works, "a-boot", now - 5)
    assert "2nd in the postprompt lane, behind works (run 2);" in call("why", "waits").out
    (shown,) = call("top", "--json").document["waiting"]
    assert "2nd in the postprompt lane, behind works (run 2);" in shown["sentence"]


@pytest.mark.usefixtures("running")
def test_a_run_that_waits_names_each_condition_and_its_value(user: User) -> None:
    now = time.time()
    other = Power.BATTERY if power() is Power.AC else Power.AC
    when = Conditions(power=other, load_below=1e6, closes_at=now + 3600)
    ledger = user.ledger()
    run = Run(
        id=ledger.next_run(), job="needy", key="ever", trigger=Trigger.POSTPROMPT, batch=None,
        sink=Sink(log="/nowhere"), claimed_at=now, when=when,
    )  # fmt: skip
    ledger.add_run(run, Work(job=job("needy", when=when), env={}))
    claim(ledger, "behind", now=now)
    made = call("why", "needy", "--json").document
    assert made["code"] == "waits_for_condition"
    [first, second] = made["conditions"]
    assert first | {"found": 0} == {
        "condition": "power",
        "wanted": other,
        "found": 0,
        "holds": False,
        "at_s": None,
    }
    assert (second["condition"], second["holds"]) == ("load_below", True)
    assert f"power {other} (now {power()}; seen when it changes)" in made["sentence"]
    assert "; missed at " in made["sentence"]
    assert code_of("behind") == "next", "it holds up nobody"


def test_a_job_that_is_not_due_names_the_conditions_of_its_next_run(user: User) -> None:
    user.job_file('[build]\nrun = "true"\nwhen = { not_before = "2h" }\n')
    made = call("why", "build").out
    assert "Its conditions: not before " in made
