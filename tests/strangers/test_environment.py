"""The environment leads elsewhere: to another user's runtime folder, home or programs."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from faults.world import doctor, wait_ended
from strangers.world import STRANGER, give, needs_root
from support.daemon import Daemon, Peer, visit
from support.user import SOURCE, call

from zdeferd.cli.host import daemon_program

PATH = os.environ["PATH"]


def program(path: Path, text: str) -> None:
    """An executable script."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@needs_root
def test_a_runtime_folder_of_somebody_else(daemon: Daemon, home: Path) -> None:
    (home / "run").chmod(0o777)
    give(home / "run")
    said = daemon.refusal()
    assert f"$XDG_RUNTIME_DIR is not yours: {home}/run: uid {STRANGER}" in said
    assert "unset it" in said
    assert not daemon.socket.parent.exists()
    assert f"{home}/run belongs to uid {STRANGER}" in doctor(daemon)


@needs_root
def test_a_state_folder_below_one_of_somebody_else(daemon: Daemon, home: Path) -> None:
    (home / "theirs").mkdir()
    give(home / "theirs")
    daemon.env["XDG_STATE_HOME"] = f"{home}/theirs/state"
    said = daemon.refusal()
    assert f"not owned by you: {home}/theirs: uid {STRANGER}; name a folder that only you" in said


@needs_root
def test_a_home_of_somebody_else_is_said(daemon: Daemon, home: Path) -> None:
    give(home)
    assert f"{home} belongs to uid {STRANGER}" in doctor(daemon)
    os.chown(home, 0, 0)


@needs_root
def test_a_socket_among_everybodys_files(daemon: Daemon, home: Path) -> None:
    shared = home / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    daemon.env["ZDEFERD_SOCKET"] = f"{shared}/sock"
    assert f"open to others: {shared}: mode 1777" in daemon.refusal()
    assert list(shared.iterdir()) == []


def test_programs_of_the_folder_one_is_in_are_never_meant(daemon: Daemon, home: Path) -> None:
    """A relative folder of PATH leads elsewhere for a job, which runs in the home folder."""
    for folder in (home, home / "bin"):
        for name in ("zsh", "planted", "sleep"):
            program(folder / name, f"echo evil >> {home}/evil")
    planted = ":".join([".", "", "bin", "./bin", "../" * 9 + str(home)[1:]])
    daemon.start()
    code = f"planted; sleep 0; print -r -- $PATH > {home}/path"
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": code}, {"PATH": f"{planted}:{PATH}", "HOME": str(home)}))
    assert wait_ended(daemon, "x") == [("succeeded", 0)]
    assert not (home / "evil").exists()
    assert (home / "path").read_text() == f"{PATH}\n"


def test_nor_does_zdeferctl_take_a_program_from_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(home / "zdeferd", f"echo evil >> {home}/evil")
    program(home / "systemctl", f"echo evil >> {home}/evil")
    program(home / "zsh", f"echo evil >> {home}/evil")
    monkeypatch.chdir(home)
    monkeypatch.setenv("PATH", f".:{PATH}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("sys.argv", ["/nowhere/zdeferctl"])
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    call("doctor", "--json")
    assert os.environ["PATH"] == PATH
    assert daemon_program(os.environ) != str(home / "zdeferd")
    assert not (home / "evil").exists()


def test_a_folder_of_path_that_anybody_can_write_is_said(daemon: Daemon, home: Path) -> None:
    shared = home / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    daemon.env["PATH"] = f"{shared}:{PATH}"
    said = doctor(daemon)
    assert f"anybody can put programs into {shared}" in said
    assert f"chmod o-w {shared}" in said
    assert stat.S_IMODE(shared.stat().st_mode) == 0o777, "doctor changes nothing"


def test_what_the_daemon_was_started_with_reaches_no_job(daemon: Daemon, home: Path) -> None:
    """Neither its PATH nor a variable that changes how programs are loaded."""
    program(home / "planted/zsh", f"echo evil >> {home}/evil")
    daemon.env |= {"PATH": f"{home}/planted:{PATH}", "LD_LIBRARY_PATH": "/x", "PERL5LIB": "/x"}
    daemon.env |= {"ENV": "/x", "BASH_ENV": "/x", "ZDEFERD_SECRET": "1"}
    daemon.start()
    with Peer(daemon.socket) as peer:
        environ = {"PATH": PATH, "HOME": str(home)}
        peer.ask(visit("n1", 1, {"x": f"env > {home}/env"}, environ))
    assert wait_ended(daemon, "x") == [("succeeded", 0)]
    names = {line.partition("=")[0] for line in (home / "env").read_text().splitlines()}
    assert not names & {"LD_LIBRARY_PATH", "PERL5LIB", "ENV", "BASH_ENV", "ZDEFERD_SECRET"}
    assert "PYTHONPATH" not in names
    assert not (home / "evil").exists()


def test_python_settings_reach_no_program(daemon: Daemon, home: Path) -> None:
    """A module of a name that our programs import, where PYTHONPATH leads and in the folder."""
    for name in ("argparse", "sqlite3", "zmq", "msgspec"):
        (home / f"{name}.py").write_text(f"open('{home}/evil', 'a').write('{name} ')\n")
    env = daemon.env | {"PYTHONPATH": f"{home}:", "PYTHONINSPECT": "1"}
    for program in ("zdeferd", "zdeferctl"):
        script = Path(sys.executable).parent / program
        done = subprocess.run(
            [script, "--version"], env=env, cwd=home, capture_output=True, text=True, timeout=200,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(program)
    assert not (home / "evil").exists()


@pytest.mark.parametrize("setting", ["PYTHONOPTIMIZE=2", "PYTHONWARNDEFAULTENCODING=1"])
def test_python_settings_change_no_text(daemon: Daemon, setting: str) -> None:
    """A help is made of docstrings, and what zsh prints for `install` is read as text."""
    program = Path(sys.executable).parent / "zdeferctl"
    for words in (["run", "--help"], ["install", "--dry-run"]):
        plain, other = (
            subprocess.run(
                [program, *words], env=env, capture_output=True, text=True, timeout=200,
                stdin=subprocess.DEVNULL, check=False,
            )
            for env in (daemon.env, daemon.env | dict([setting.split("=")]))
        )  # fmt: skip
        assert (other.stdout, other.stderr) == (plain.stdout, plain.stderr)
        assert plain.stdout


def test_a_checkout_is_found_by_pythonpath(daemon: Daemon) -> None:
    """Without an installation PYTHONPATH is how our own modules are found, so it stays."""
    code = "from zdeferd.programs import isolate; isolate('zdeferd.cli'); print('stays')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=daemon.env | {"PYTHONPATH": os.pathsep.join(["/nowhere", str(SOURCE)])},
        capture_output=True, text=True, timeout=200, check=True,
    )  # fmt: skip
    assert done.stdout == "stays\n"
