"""Checks of zdeferd's own files: installed, configured and written."""

import time

import pytest
from support.user import User, call, claim, findings, job


def test_a_call_above_the_line_that_loads_the_plugin(user: User) -> None:
    zshrc = user.root / ".zshrc"
    zshrc.write_text("# zdefer add b -- c\nzdefer add a -- true\nsource x/zdeferd.plugin.zsh\n")
    assert "/.zshrc:2 calls the plugin above" in findings("bad")["zshrc"]["found"]


def test_modes(user: User) -> None:
    user.state.chmod(0o750)
    bad = findings("bad")["state"]
    assert "open to others" in bad["found"]
    assert bad["remedy"] == f"chmod 700 {user.state}"


def test_a_damaged_ledger(user: User) -> None:
    ledger = user.state / "ledger.sqlite3"
    ledger.write_text("no database " * 100)
    ledger.chmod(0o600)
    assert "ledger cannot be read" in findings("bad")["state"]["found"]


def test_bad_jobs(user: User) -> None:
    user.job_file("[bad]\nrun = 7\n[worse]\n")
    bad = [f for f in call("doctor", "--json").document["findings"] if f["level"] == "bad"]
    bad = [f for f in bad if f["check"] == "jobs"]
    assert [(f["found"], f["remedy"]) for f in bad] == [
        ("2 problems in job files", "zdeferctl check says where and what")
    ]
    text = call("doctor").out
    assert "1 valid job in" not in text
    assert str(user.root) not in text
    assert "~/.config/zdeferd/jobs.d" in text


def test_an_old_shim(user: User) -> None:
    call("install")
    (user.root / ".local/share/zdeferd/shell/zdeferd.plugin.zsh").write_text("# old\n")
    assert "zdeferctl install" in findings("bad")["shim"]["remedy"]


def test_a_marker_that_names_nothing(user: User) -> None:
    (user.state / "autostart").write_text("/nowhere/zdeferd\n")
    assert "/nowhere/zdeferd" in findings("bad")["service"]["found"]


def test_a_log_without_its_folder(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_SEGMENT_LOG", f"{user.root}/absent/perf.log")
    assert findings("bad")["log"]["remedy"] == f"mkdir -p {user.root}/absent"


@pytest.mark.parametrize("log", ["perf.log", "~/perf.log", "/tmp/a\nb.log"])
def test_a_log_that_the_daemon_does_not_use(
    user: User, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERF_SEGMENT_LOG", log)
    assert findings("warn")["log"]["found"].startswith("not an absolute path of printable text: ")


def test_no_log_is_wanted(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_SEGMENT_LOG", "/dev/null")
    assert findings("ok")["log"]["found"] == "/dev/null: no log is wanted"


def test_jobs_of_shells_that_were_refused(user: User) -> None:
    user.ledger().declare_job(job("build"), "shell-1", time.time(), "declared in a file")
    warned = findings("warn")["jobs"]
    assert warned["found"] == "1 job of shells refused: build"
    assert warned["remedy"] == "zdeferctl why build"


def test_lines_that_were_lost(user: User) -> None:
    ledger = user.ledger()
    ledger.add_line("/nowhere/a.log", b"DEFERRED id=a ms=1 rc=0", claim(ledger, "a"), 0.0)
    ledger.lose_line(ledger.open_lines()[0].id, "the log it was begun in is gone")
    ledger.close()
    assert "lost 1 line" in findings("warn")["log"]["found"]
