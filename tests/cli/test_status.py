"""`zdeferctl status`: answers from the ledger, fast, with and without a daemon."""

import fcntl
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from support.user import User, call, claim, end, job

from zdeferd.ledger import reading
from zdeferd.model import Outcome

EXAMPLES = Path(__file__).parents[2] / "examples/jobs.d"


def test_no_ledger_is_an_empty_answer(user: User) -> None:
    result = call("status")
    assert result.code == 0
    assert "not running" in result.out
    assert "none has visited yet" in result.out
    assert result.err == ""


def test_live_runs_and_outcomes(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "done", now=time.time()))
    claim(ledger, "waits", now=time.time())
    document = call("status", "--json").document
    assert document["schema_version"] == 1
    assert document["verb"] == "status"
    assert [run["job"] for run in document["live_runs"]] == ["waits"]
    text = call("status").out
    assert "1 waiting" in text
    assert "waits" in text


def test_held_lock_is_a_running_daemon(user: User) -> None:
    lock = os.open(user.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        assert call("status", "--json").document["daemon"] == {"running": False, "pid": None}
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, b"1234\n")
        assert call("status", "--json").document["daemon"] == {"running": True, "pid": 1234}
        assert "running, pid 1234" in call("status").out
    finally:
        os.close(lock)


def test_stuck_and_lost_lines_are_problems(user: User) -> None:
    ledger = user.ledger()
    run = claim(ledger, "noisy")
    end(ledger, run, Outcome.FAILED, 3)
    for path in ("/nowhere/a.log", "/nowhere/b.log"):
        ledger.add_line(path, b"DEFERRED id=noisy ms=1 rc=3", run, 0.0)
    first, second = ledger.open_lines()
    ledger.note_line(first.id, "No such file or directory")
    ledger.lose_line(second.id, "the file is gone")
    problems = call("status", "--json").document["problems"]
    assert any("cannot be written: /nowhere/a.log" in problem for problem in problems)
    assert any("lost 1 line: /nowhere/b.log" in problem for problem in problems)


def test_refused_declarations_are_problems(user: User) -> None:
    user.job_file("[bad]\nrun = 7\n[worse]\n")
    ledger = user.ledger()
    ledger.declare_job(job("build"), "shell-1", time.time(), "declared in a file, which stands")
    ledger.declare_job(job("old"), "shell-1", time.time() - 90000, "declared in a file")
    text = call("status").out
    assert "! 2 problems in job files; zdeferctl check\n" in text
    assert "! 1 job of shells refused: build; zdeferctl why build\n" in text


def test_state_dir_setting_is_followed(user: User) -> None:
    elsewhere = user.root / "else"
    (user.config / "config.toml").write_text(f'state_dir = "{elsewhere}"\n')
    assert call("status", "--json").document["state_dir"] == str(elsewhere)


def test_a_ledger_that_was_closed_cleanly(user: User) -> None:
    ledger = user.ledger()
    claim(ledger, "waits")
    ledger.close()
    document = call("status", "--json").document
    assert [run["job"] for run in document["live_runs"]] == ["waits"]


def test_a_ledger_on_a_file_system_that_cannot_be_written(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There SQLite cannot make the file that it reads a write-ahead log with."""
    ledger = user.ledger()
    claim(ledger, "waits")
    ledger.close()
    connect = reading._connect_with

    def cannot_write(path: str, options: str) -> tuple[sqlite3.Connection, int]:
        if "immutable" not in options:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(path, options)

    monkeypatch.setattr(reading, "_connect_with", cannot_write)
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    document = call("status", "--json").document
    assert [run["job"] for run in document["live_runs"]] == ["waits"]
    assert "state folder cannot be written" in document["problems"][0]


def test_imports_only_what_is_quick(user: User) -> None:
    """What it costs is measured by `make bench FIGURES=control`; here is what it must not load."""
    ledger = user.ledger()
    claim(ledger, "waits")
    probe = (
        "import sys; from zdeferd.cli import main; main(['status']);"
        "print(sorted({'zmq', 'msgspec', 'psutil', 'uvloop', 'asyncio'} & set(sys.modules)))"
    )
    assert user.python(probe).out.endswith("[]\n")
    shutil.copytree(EXAMPLES, user.config / "jobs.d", dirs_exist_ok=True)
    assert "['msgspec']" in user.python(probe).out
