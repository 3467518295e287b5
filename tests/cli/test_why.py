"""`zdeferctl why`: the rules as a table, and the facts from a real ledger."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.user import User, call, claim, end, job

from zdeferd.cli.why import listens
from zdeferd.ledger.store import Shell
from zdeferd.machine.boot import boot_id
from zdeferd.model import Job, Outcome, Scope, Sink, Trigger
from zdeferd.view.why import Code, Facts, Live, Past, ordinal, why

NOW = 1_700_000_000.0
PAST = Past(run=7, at=NOW - 60, outcome="succeeded", rc=0)
FILE = {"source": "/home/u/.config/zdeferd/jobs.d/mine.toml"}


def a_job(**fields: Any) -> Job:
    return job("build", **(FILE | fields))


def live(**fields: Any) -> Live:
    return Live(**({"run": 9, "running": False, "since": NOW - 12} | fields))


TABLE: list[tuple[dict[str, Any], Code, str]] = [
    ({"live": live(running=True)}, Code.RUNNING, "(run 9) has been running for 12.0 s."),
    ({"live": live(running=True, cancelling=True)}, Code.CANCELLING, "(run 9) is being cancelled"),
    ({"live": live()}, Code.NEXT, "(run 9) is next and about to start"),
    (
        {"live": live(ahead=("a", "b"))},
        Code.WAITS_FOR_TURN,
        "3rd in the postprompt lane, behind a, b; queued 12.0 s ago",
    ),
    (
        {"live": live(ahead=("a", "b", "c", "d", "e"))},
        Code.WAITS_FOR_TURN,
        "behind a, b, c and 2 more",
    ),
    (
        {"live": live(waits_for="folder (run 8)")},
        Code.WAITS_FOR_JOB,
        "(run 9) waits for folder (run 8) to end; queued 12.0 s ago.",
    ),
    (
        {"live": live(ended=True), "daemon": False},
        Code.WAITS_FOR_DAEMON,
        "has ended, which the next daemon takes in",
    ),
    ({"live": live(), "daemon": False}, Code.WAITS_FOR_DAEMON, "starts when the daemon is back"),
    ({"job": None}, Code.UNKNOWN, "not a job that zdeferd has heard of; `zdeferctl jobs`"),
    ({"job": None, "nearest": "built"}, Code.UNKNOWN, "did you mean built?"),
    (
        {
            "job": None,
            "source": "/x.toml",
            "refused": "/x.toml:3: build.run: found 1; expected a string",
        },
        Code.REFUSED,
        "/x.toml:3",
    ),
    ({"job": None, "refused": "waits for itself"}, Code.REFUSED, "waits for itself"),
    ({"job": None, "last": PAST}, Code.UNDECLARED, "no longer declared"),
    (
        {"job": a_job(once_per=Scope.BOOT), "spent": PAST},
        Code.ALREADY_RAN,
        "ran this boot as run 7",
    ),
    ({"job": a_job(once_per=Scope.DAY), "spent": PAST}, Code.ALREADY_RAN, "due again tomorrow"),
    ({"job": a_job(once_per=Scope.EVER), "spent": PAST}, Code.ALREADY_RAN, "never runs again"),
    ({"job": a_job(once_per=Scope.SHELL), "spent": PAST}, Code.ALREADY_RAN, "each new shell"),
    ({"job": a_job(), "spent": PAST}, Code.ALREADY_RAN, "ran for the last shell as run 7"),
    (
        {"job": a_job(), "spent": PAST, "this_shell": True},
        Code.ALREADY_RAN,
        "ran for this shell as run 7",
    ),
    (
        {
            "job": a_job(once_per=Scope.EVER),
            "spent": Past(run=7, at=NOW, outcome="failed", rc=3),
        },
        Code.ALREADY_RAN,
        "(failed, rc 3)",
    ),
    (
        {"job": a_job(once_per=Scope.CHANGE, watch=("/x",)), "spent": PAST},
        Code.INPUTS_UNCHANGED,
        "inputs are unchanged since run 7",
    ),
    (
        {"job": a_job()},
        Code.WAITS_FOR_PROMPT,
        "waits for the first prompt of a new shell; no shell",
    ),
    ({"job": a_job(), "prompted_at": NOW}, Code.WAITS_FOR_PROMPT, "the last shell's came at"),
    ({"job": a_job(), "last": PAST}, Code.WAITS_FOR_PROMPT, "it last ran as run 7"),
    ({"job": a_job(), "daemon": False}, Code.WAITS_FOR_PROMPT, "the daemon does not run"),
    (
        {"job": a_job(on=(Trigger.IDLE,)), "quiet_s": 12.0},
        Code.WAITS_FOR_IDLE,
        "waits for idle: 1 min without a key pressed (so far 12.0 s).",
    ),
    (
        {"job": a_job(on=(Trigger.IDLE, Trigger.POSTPROMPT))},
        Code.WAITS_FOR_IDLE,
        "or for the first prompt",
    ),
    (
        {"job": a_job(), "daemon": False, "activated": True},
        Code.WAITS_FOR_PROMPT,
        "no shell has shown one to zdeferd yet.",
    ),
    ({"job": a_job(on=(Trigger.IDLE,)), "daemon": False}, Code.WAITS_FOR_DAEMON, "none runs"),
    ({"job": job("build")}, Code.WAITS_FOR_PROMPT, "waits for the next shell that declares it"),
    (
        {"job": job("build"), "registered": frozenset({Trigger.POSTPROMPT})},
        Code.WAITS_FOR_PROMPT,
        "registered and waits for its shell",
    ),
    (
        {
            "job": job("build", on=(Trigger.IDLE,)),
            "registered": frozenset({Trigger.IDLE}),
            "quiet_s": 90.0,
        },
        Code.WAITS_FOR_IDLE,
        "without a key pressed.",
    ),
]


@pytest.mark.parametrize(("fields", "code", "part"), TABLE)
def test_the_rules(fields: dict[str, Any], code: Code, part: str) -> None:
    known: dict[str, Any] = {"id": "build", "now": NOW, "daemon": True, "job": a_job()}
    answer = why(Facts(**(known | fields)))
    assert answer.code is code
    assert part in answer.sentence
    assert answer.sentence[-1] in ".?"


def test_every_code_is_in_the_table() -> None:
    assert {code for _, code, _ in TABLE} == set(Code)


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip


# --- the facts -----------------------------------------------------------------


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


def test_a_listening_socket_starts_the_daemon(user: User) -> None:
    path = user.root / "run" / "sock"
    assert not listens(str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert listens(str(path)) is Path("/proc/net/unix").exists()


def test_unchanged_inputs(user: User) -> None:
    from zdeferd.jobs.fingerprint import fingerprint

    watched = user.root / "watched"
    watched.write_text("one")
    user.job_file(f'[build]\nrun = "true"\nonce_per = "change"\nwatch = ["{watched}"]\n')
    ledger = user.ledger()
    end(ledger, claim(ledger, "build", "change:1"))
    ledger.save_fingerprint("build", fingerprint((str(watched),), user.env), 1)
    assert code_of("build") == "inputs_unchanged"
    watched.write_text("another")
    assert code_of("build") == "waits_for_prompt"


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
