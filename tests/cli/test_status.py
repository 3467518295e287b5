"""`zdeferctl status`: answers from the ledger, fast, with and without a daemon."""

import fcntl
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from support.daemon import Daemon
from support.documented import documented, keys
from support.user import SINK, User, call, claim, end, job

from zdeferd import __version__
from zdeferd.ledger import database
from zdeferd.ledger.packing import Shell
from zdeferd.ledger.store import Ledger
from zdeferd.model import Ending, Outcome, State

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
        nobody = {"running": False, "pid": None, "version": None}
        assert call("status", "--json").document["daemon"] == nobody
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, b"1234\n")
        told = {"running": True, "pid": 1234, "version": None}
        assert call("status", "--json").document["daemon"] == told
        assert "running, pid 1234" in call("status").out
    finally:
        os.close(lock)


def hold_lock(user: User, pid: int, version: str) -> int:
    lock = os.open(user.state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(lock, b"1234\n")
    (user.state / "lock.version").write_text(f"{pid} {version}\n")
    return lock


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (__version__, ""),
        ("0.0.9", f"! the daemon (0.0.9) is older than this zdeferctl ({__version__}); zdeferctl "),
        ("99.0", f"! the daemon (99.0) is newer than this zdeferctl ({__version__}); zdeferctl re"),
    ],
)
def test_the_daemon_s_version(user: User, version: str, says: str) -> None:
    lock = hold_lock(user, 1234, version)
    try:
        text = call("status").out
        assert f"running, pid 1234, version {version}\n" in text
        assert says in text
        assert ("than this zdeferctl" in text) == bool(says)
        assert call("status", "--json").document["daemon"]["version"] == version
    finally:
        os.close(lock)


def test_the_version_of_an_earlier_daemon_does_not_count(user: User) -> None:
    lock = hold_lock(user, 77, "0.0.9")
    try:
        assert "0.0.9" not in call("status").out
        assert call("status", "--json").document["daemon"]["version"] is None
    finally:
        os.close(lock)


def test_a_daemon_says_its_version(user: User, daemon: Daemon) -> None:
    daemon.start()
    assert daemon.process is not None
    told = {"running": True, "pid": daemon.process.pid, "version": __version__}
    assert call("status", "--json").document["daemon"] == told


def failed(ledger: Ledger, job_id: str, outcome: Outcome, rc: int, key: str = "ever") -> int:
    """A run that ended now."""
    run = claim(ledger, job_id, key, now=time.time())
    ledger.dispatch(run, "a-boot", time.time())
    ending = Ending(outcome=outcome, rc=rc, started_at=time.time(), ended_at=time.time())
    ledger.end_run(run, State.DISPATCHED, ending)
    return run


def test_the_jobs_that_failed_are_named_until_they_succeed(user: User) -> None:
    ledger = user.ledger()
    end(ledger, claim(ledger, "long-ago"), Outcome.FAILED, 1)
    failed(ledger, "build", Outcome.FAILED, 3)
    slow = failed(ledger, "slow", Outcome.TIMED_OUT, 124)
    failed(ledger, "well", Outcome.SUCCEEDED, 0)
    user.job_file("[build]\nrun = 'x'\n[slow]\nrun = 'x'\n")
    text = call("status").out
    more = f"zdeferctl log {slow}, zdeferctl runs --outcome failed,timed_out"
    assert f"! 2 jobs failed: slow (timed out), build (rc 3); {more}\n" in text
    runs = call("status", "--json").document["failed_runs"]
    assert [(run["job"], run["rc"]) for run in runs] == [("slow", 124), ("build", 3)]
    failed(ledger, "build", Outcome.CANCELLED, 143, "run:1")
    assert "build (rc 3)" in call("status").out
    for job_id in ("slow", "build"):
        failed(ledger, job_id, Outcome.SUCCEEDED, 0, "run:2")
    assert "failed:" not in call("status").out


def test_a_failed_job_that_was_taken_away_is_not_named(user: User) -> None:
    failed(user.ledger(), "build", Outcome.FAILED, 3)
    file = user.job_file("[build]\nrun = 'x'\n")
    assert "! 1 job failed: build (rc 3)" in call("status").out
    file.write_text("[build\n")  # nobody can say what it declares
    assert "! 1 job failed: build (rc 3)" in call("status").out
    file.unlink()
    assert "failed:" not in call("status").out
    assert call("status", "--json").document["failed_runs"] == []


def test_of_many_runs_that_wait_some_are_shown(user: User) -> None:
    ledger = user.ledger()
    for number in range(23):
        claim(ledger, f"wait-{number}", now=time.time())
    text = call("status").out
    assert "wait-19" in text
    assert "wait-20" not in text
    assert "\nand 3 more: zdeferctl runs -n 23\n" in text
    assert len(call("status", "--json").document["live_runs"]) == 23


def test_a_log_that_can_be_opened_again_is_no_problem(user: User) -> None:
    """Before the daemon has tried again."""
    ledger = user.ledger()
    log = user.root / "logs/seg.log"
    ledger.add_line(str(log), b"DEFERRED id=noisy ms=1 rc=3", None, 0.0)
    (line,) = ledger.open_lines()
    ledger.put_back_line(line.id, f"the log's folder is missing: {log.parent}; make it")
    assert "! shared log cannot be written" in call("status").out
    log.parent.mkdir()
    assert "shared log" not in call("status").out
    log.mkdir()
    assert "! shared log cannot be written" in call("status").out
    log.rmdir()
    ledger.put_back_line(line.id, f"cannot flush the log: {log}: Input/output error")
    assert "! shared log cannot be written" in call("status").out


def test_a_refusal_is_gone_with_the_next_shell_that_does_not_meet_it(user: User) -> None:
    ledger = user.ledger()
    now = time.time()
    ledger.declare_job(job("build"), "shell-1", now - 9, "declared in a file, which stands")
    ledger.save_shell(Shell("shell-1", 1, True, {}, SINK), now - 5)
    assert "refused: build" in call("status").out
    ledger.save_shell(Shell("shell-2", 1, True, {}, SINK), now - 1)
    assert "refused" not in call("status").out


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
    connect = database._connect_with

    def cannot_write(path: str, options: str) -> tuple[sqlite3.Connection, int]:
        if "immutable" not in options:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(path, options)

    monkeypatch.setattr(database, "_connect_with", cannot_write)
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


def test_the_command_that_it_names_lists_what_failed(user: User) -> None:
    failed(user.ledger(), "build", Outcome.FAILED, 3)
    user.job_file("[build]\nrun = 'x'\n")
    line = call("status").out.splitlines()[-1]
    command = line.rpartition(", zdeferctl ")[2]
    assert "build" in call(*command.split()).out


def test_one_job(user: User) -> None:
    user.job_file("[build]\nrun = 'make'\ndescription = 'the documents'\nonce_per = 'day'\n")
    ledger = user.ledger()
    run = failed(ledger, "build", Outcome.FAILED, 3)
    folder = user.state / f"runs/{run}"
    folder.mkdir(parents=True)
    (folder / "output").write_bytes(b"".join(b"line %d\n" % n for n in range(30)) + b"\x1b[2J")
    result = call("status", "build")
    assert result.code == 0
    assert result.out.startswith("build ")
    assert "about     the documents\n" in result.out
    assert "once per  day\n" in result.out
    assert result.out.endswith("line 28\nline 29\n^[[2J\n")
    assert "line 20\n" not in result.out
    document = call("status", "build", "--json").document
    assert document["runs"][0]["run"] == run
    assert document["declared"]["description"] == "the documents"
    listed = documented("cli-json.md", "One job's status")
    listed |= {f"runs[].{key}" for key in documented("cli-json.md", "A run")} | {"runs[].after[]"}
    (listed_job,) = call("jobs", "--json").document["jobs"]
    assert document.pop("declared").items() <= listed_job.items()
    document["declared"] = None
    assert set(keys(document, {})) <= listed | {"schema_version", "verb"}


def test_a_job_that_nobody_declared(user: User) -> None:
    user.ledger()
    result = call("status", "nothing")
    assert result.code == 1
    assert "nothing " in result.out
