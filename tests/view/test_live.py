"""Runs whose daemon is gone: read from their folders, without a trace left there."""

import fcntl
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon, attempts
from support.user import NOW, User, call, claim, end

from zdeferd.attempts.records import COUNTS

OUTCOME = {"version": 1, "attempt": 1, "ended_by": "exit"} | dict.fromkeys(COUNTS, 7)
OUTCOME |= {"started_at": NOW, "ended_at": NOW + 2, "wall_ms": 2000}


@pytest.fixture
def folder(user: User) -> Path:
    """The folder of a dispatched run whose runner has begun and ended."""
    ledger = user.ledger()
    ledger.dispatch(claim(ledger, "build"), "a-boot", NOW)
    made = user.state / "runs/1"
    made.mkdir(parents=True)
    for name in ("lock", "job.lock"):
        (made / name).touch()
    (made / "started.1").write_text(json.dumps({"pid": 1}) + "\n")
    return made


@pytest.fixture
def held(folder: Path) -> Iterator[None]:
    """Its runner lives."""
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def found() -> str:
    run = call("show", "1", "--json").document["run"]
    assert run["outcome"] is None
    return str(run["found"])


@pytest.mark.usefixtures("held")
def test_what_a_running_run_costs(folder: Path) -> None:
    def cost(verb: str, *words: str) -> Any:
        document = call(verb, *words, "--json").document
        return (document["live_runs"][0] if verb == "status" else document["run"])["live_cost"]

    assert cost("show", "1") is None  # nothing says when its runner began
    pipe, command = subprocess.PIPE, ["sh", "-c", "cat; true"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, bufsize=0) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        runner.stdin.write(b"ready\n")
        assert runner.stdout.readline() == b"ready\n"  # so its child, cat, runs
        mark = {"pid": runner.pid, "started_at": time.time()}
        (folder / "started.1").write_text(json.dumps(mark) + "\n")
        for found in (cost("show", "1"), cost("status")):
            assert set(found) == {"cpu_ms", "memory_kib", "processes"}
            assert found["processes"] == 1
        text = call("show", "1").out
        assert re.search(r"^so far +cpu \d.*, memory \d.*, 1 process$", text, re.MULTILINE)


def test_an_ended_run_has_its_own_cost_only(user: User) -> None:
    end(user.ledger(), claim(user.ledger(), "build"))
    assert call("show", "1", "--json").document["run"]["live_cost"] is None
    assert "so far" not in call("show", "1").out


@pytest.mark.usefixtures("held")
def test_a_runner_that_lives(user: User) -> None:
    assert found() == "running"
    assert "1 running" in call("status").out
    refused = call("uninstall", "--purge", "--dry-run")
    assert "jobs are running: run 1" in refused.err


def test_a_job_that_outlived_its_runner_runs(folder: Path) -> None:
    with (folder / "job.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert found() == "running"


def test_a_recorded_end(user: User, folder: Path) -> None:
    user.job_file('[build]\nrun = "true"\n')
    (folder / "outcome.json").write_text(json.dumps(OUTCOME))
    before = sorted(path.stat().st_mtime_ns for path in (folder, *folder.iterdir()))
    assert found() == "ended"
    for verb in ("status", "runs"):
        text = call(verb).out
        assert "2.0 s" in text
        assert "ended, not recorded yet" in text
        assert "running" not in text.replace("not running", "")
    assert "ended" in call("jobs").out
    assert "has ended, which the next daemon records" in call("why", "build").out
    assert before == sorted(path.stat().st_mtime_ns for path in (folder, *folder.iterdir()))
    assert call("uninstall", "--purge", "--dry-run").code == 0


def test_an_end_without_a_record(folder: Path) -> None:
    assert found() == "vanished"
    assert "1 vanished" in call("status").out


def test_a_start_that_never_came(folder: Path) -> None:
    (folder / "started.1").unlink()
    assert found() == "not_started"
    (folder / "lock").unlink()
    assert found() == "not_started"
    assert "1 waiting" in call("status").out


@pytest.mark.usefixtures("folder")
def test_with_a_daemon_the_ledger_is_believed(user: User) -> None:
    with (user.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert call("show", "1", "--json").document["run"]["found"] is None


def test_a_real_run_that_ends_after_its_daemon(user: User, daemon: Daemon) -> None:
    fifo = daemon.start_gated("print one")
    call("run", "slow", "--no-wait")
    output = user.state / "runs/1/output"
    assert any(output.exists() and output.read_text() for _ in attempts())
    daemon.stop()
    assert found() == "running"
    fifo.write_text("on\n")
    assert any(found() == "ended" for _ in attempts())
    daemon.start()
    daemon.wait_until_done(1)
    assert call("show", "1", "--json").document["run"]["outcome"] == "succeeded"
