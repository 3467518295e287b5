"""`zdeferctl doctor`: what is wrong is found, with its remedy."""

import os
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.user import User, call, claim, daemon_script

from zdeferd.doctor.machine import container_kind, is_wsl, version_of
from zdeferd.machine.mounts import file_system

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /run/user/1000 tmpfs rw 0 0
/dev/sdb1 /home/u/with\\040space ext4 rw 0 0
"""


@pytest.fixture(autouse=True)
def program(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`zdeferd` beside zdeferctl."""
    script = daemon_script(user)
    monkeypatch.setattr("sys.argv", [str(script.parent / "zdeferctl")])
    return script


def findings(level: str) -> dict[str, dict[str, Any]]:
    """The findings of a level, by what was looked at."""
    document = call("doctor", "--json").document
    return {f["check"]: f for f in document["findings"] if f["level"] == level}


def test_all_is_well(user: User, daemon: Daemon) -> None:
    daemon.start()
    assert call("install", "--zshrc").code == 0
    result = call("doctor")
    assert result.code == 0, result.out
    assert result.out.endswith("\nall is well\n")
    ok = findings("ok")
    assert {"socket", "daemon", "service", "shim", "zshrc", "jobs", "state", "log", "zsh"} <= set(
        ok
    )


def test_a_call_above_the_line_that_loads_the_plugin(user: User) -> None:
    zshrc = user.root / ".zshrc"
    zshrc.write_text("# zdefer add b -- c\nzdefer add a -- true\nsource x/zdeferd.plugin.zsh\n")
    assert "/.zshrc:2 calls the plugin above" in findings("bad")["zshrc"]["found"]


def test_nothing_installed(user: User) -> None:
    result = call("doctor")
    assert result.code == 1
    assert "nothing starts it" in findings("bad")["daemon"]["found"]
    assert {"service", "shim", "zshrc"} <= set(findings("warn"))


def test_every_finding_that_is_not_ok_has_a_remedy(user: User) -> None:
    user.job_file("[bad]\nrun = 7\n")
    user.state.chmod(0o755)
    for level in ("warn", "bad"):
        for finding in findings(level).values():
            assert finding["remedy"], finding


def test_what_is_ok_has_no_remedy(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("container", "lxc")
    assert "this is one" in findings("ok")["container"]["found"]
    assert not any(finding["remedy"] for finding in findings("ok").values())


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


def test_lines_that_were_lost(user: User) -> None:
    ledger = user.ledger()
    ledger.add_line("/nowhere/a.log", b"DEFERRED id=a ms=1 rc=0", claim(ledger, "a"), 0.0)
    ledger.lose_line(ledger.open_lines()[0].id, "the log it was begun in is gone")
    ledger.close()
    assert "lost 1 line" in findings("warn")["log"]["found"]


def test_runtime_dir_of_nobody(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{user.root}/absent")
    assert "No such file" in findings("bad")["runtime"]["found"]


def test_a_home_of_somebody_else(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:
        other = user.root / "other"
        other.mkdir()
        os.chown(other, 12345, 12345)
        monkeypatch.setenv("HOME", str(other))
    else:
        monkeypatch.setenv("HOME", "/")
    assert "belongs to uid" in findings("bad")["home"]["found"]


def test_a_daemon_that_holds_the_lock_and_listens_elsewhere(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.start()
    monkeypatch.setenv("ZDEFERD_SOCKET", f"{user.root}/run/zdeferd/other")
    assert "perhaps with another socket path" in findings("bad")["daemon"]["found"]


# --- rules ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x", "ext4"),
        ("/home/u/.local", "nfs4"),
        ("/home", "nfs4"),
        ("/homework", "ext4"),
        ("/run/user/1000/zdeferd", "tmpfs"),
        ("/home/u/with space/x", "ext4"),
    ],
)
def test_file_system(path: str, kind: str) -> None:
    assert file_system(path, MOUNTS) == kind


def test_small_rules() -> None:
    assert is_wsl("5.15.90.1-microsoft-standard-WSL2\n")
    assert not is_wsl("6.1.0-13-amd64")
    assert container_kind("", lambda path: path == "/.dockerenv") == "docker"
    assert container_kind("lxc", lambda path: False) == "lxc"
    assert container_kind("", lambda path: False) is None
    assert version_of("5.9") == (5, 9)
    assert version_of("5.8.1-dev") == (5, 8)
    assert version_of("") == (0, 0)
