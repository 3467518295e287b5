"""Shells that wait for an output: what a daemon tells them, and when."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon, Peer, visit

SOURCE = "print -r -- 'typeset -g made=1'"


def ask(
    home: Path,
    nonce: str,
    *waits: str,
    seq: int = 1,
    jobs: dict[str, str] | None = None,
    **fields: Any,
) -> list[bytes]:
    """The frames of a visit of a shell that began long ago and can wait."""
    frames = visit(nonce, seq, jobs, {"HOME": str(home)}, **fields)
    said = "\0".join(("1", *waits)).encode()
    return [*frames[:6], b"apply=" + said, *frames[6:]]


def apply(home: Path, run: int) -> list[bytes]:
    path = os.fsencode(f"{home}/made.zsh")
    return [b"apply", b"id=slow", f"run={run}".encode(), b"path=" + path]


def follow(home: Path, run: int, job: str = "slow", file: str = "made.zsh") -> bytes:
    """The field of an answer by which a shell follows the output."""
    return os.fsencode(f"follow={job}:{run}:{home}/{file}")


def with_output(daemon: Daemon, code: str = SOURCE, more: str = "") -> Path:
    """Start a daemon whose job `slow` has an output and waits for a line in the FIFO; -> that."""
    gate = daemon.home / "go"
    os.mkfifo(gate)
    job = [f"run = '''{code}; read <{gate}'''", 'output = "~/made.zsh"', "apply = true"]
    daemon.write_jobs("\n".join(["[slow]", *job, 'once_per = "ever"', more]))
    daemon.start()
    return gate


@contextlib.contextmanager
def peers(daemon: Daemon, count: int) -> Iterator[list[Peer]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Peer(daemon.socket)) for _ in range(count)]


def test_each_shell_that_asked_is_told_of_the_one_run(home: Path, daemon: Daemon) -> None:
    gate = with_output(daemon)
    with peers(daemon, 6) as (old, *shells):
        for number, shell in enumerate(shells):
            answer = shell.ask(ask(home, f"n{number}"))
            assert answer == [b"ok", b"seq=1", b"wait=slow:1", follow(home, 1)]
        assert old.ask(visit("old")) == [b"ok", b"seq=1"]
        gate.write_text("\n")
        for shell in shells:
            assert shell.receive() == apply(home, 1)
            assert shell.receive() == [b"over", b"id=slow"]
        assert not old.socket.poll(0)
    assert daemon.rows("SELECT count(*) FROM runs WHERE job = 'slow'") == [(1,)]


def test_what_was_published_meanwhile_is_told_at_once(home: Path, daemon: Daemon) -> None:
    gate = with_output(daemon)
    with peers(daemon, 3) as (first, again, later):
        assert first.ask(ask(home, "n1"))[2:] == [b"wait=slow:1", follow(home, 1)]
        gate.write_text("\n")
        daemon.wait_until_done(1)
        found = again.ask(ask(home, "n1", "slow=1", seq=2))[2:]
        assert found == [b"wait=slow:1", follow(home, 1)]
        assert again.receive() == apply(home, 1)
        assert again.receive() == [b"over", b"id=slow"]
        # one that began after that has found it, and one that has it waits for the next
        frames = ask(home, "n2")
        frames[6] = f"apply={time.time_ns()}".encode()
        assert later.ask(frames) == [b"ok", b"seq=1", follow(home, 2)]
        found = later.ask(ask(home, "n1", "slow=2", seq=3))[2:]
        assert found == [b"over=slow", follow(home, 2)]


@pytest.mark.parametrize("step", ["seen", "decided", "committed"])
def test_a_daemon_that_ends_before_it_has_said_so_says_so_when_asked(
    home: Path, daemon: Daemon, step: str
) -> None:
    tally = home / "tally"
    daemon.env["ZDEFERD_CRASH_AT"] = f"daemon.end-{step}:1:9:{tally}"
    gate = with_output(daemon)
    with peers(daemon, 1) as (shell,):
        assert shell.ask(ask(home, "n1"))[2:] == [b"wait=slow:1", follow(home, 1)]
        gate.write_text("\n")
        assert daemon.process is not None
        assert daemon.process.wait(200) == -9
    daemon.start()
    with peers(daemon, 1) as (shell,):
        found = shell.ask(ask(home, "n1", "slow=1", seq=2))[2:]
        assert found == [b"wait=slow:1", follow(home, 1)]
        assert shell.receive() == apply(home, 1)
        assert shell.receive() == [b"over", b"id=slow"]


@pytest.mark.parametrize("code", ["false", "true"])
def test_a_run_that_publishes_nothing_is_over(home: Path, daemon: Daemon, code: str) -> None:
    gate = with_output(daemon, code="setopt err_exit", more="")
    with peers(daemon, 1) as (shell,):
        jobs = {"mine": f"read <{gate}; {code}"}
        fields: dict[str, Any] = {"output": f"{home}/mine", "apply": "true"}
        answer = shell.ask(ask(home, "n1", jobs=jobs, **fields))
        follows = [follow(home, 1, "mine", "mine"), follow(home, 1)]
        assert sorted(answer[2:]) == [*follows, b"wait=mine:1", b"wait=slow:1"]
        gate.write_text("\n")
        assert shell.receive() == [b"over", b"id=slow"]
        gate.write_text("\n")
        assert shell.receive() == [b"over", b"id=mine"]


def test_a_shell_waits_for_a_job_that_is_not_claimed_yet(home: Path, daemon: Daemon) -> None:
    daemon.write_settings('idle_after = "30d"\n')
    jobs = {"mine": SOURCE}
    fields: dict[str, Any] = {"on": "idle", "output": f"{home}/made.zsh", "apply": "true"}
    daemon.start()
    with peers(daemon, 2) as (shell, other):
        answer = shell.ask(ask(home, "n1", jobs=jobs, **fields))
        assert answer[2:] == [b"wait=mine:1", follow(home, 1, "mine")]
        other.ask(visit("n2", event=b"idle"))
        assert shell.receive()[:2] == [b"apply", b"id=mine"]
        assert shell.receive() == [b"over", b"id=mine"]


@pytest.mark.parametrize("said", [b"x", b"-1", b"1\0slow=x", b"1\0slow=-1", b"9" * 40, b"\xff"])
def test_a_shell_that_asks_wrongly_is_answered_all_the_same(
    home: Path, daemon: Daemon, said: bytes
) -> None:
    with_output(daemon)
    with peers(daemon, 1) as (shell,):
        frames = ask(home, "n1")
        frames[6] = b"apply=" + said
        assert shell.ask(frames) == [b"ok", b"seq=1"]
