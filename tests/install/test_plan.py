"""Installing as data: the plans, the units, the agent, the marker, the line in .zshrc."""

import os
import plistlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from zdeferd.install.plan import ADDED, LABEL, Host, install_plan, shim_files, uninstall_plan
from zdeferd.install.share import share
from zdeferd.install.steps import (
    AddLine,
    Command,
    Compile,
    MakeFolder,
    Remove,
    RemoveEmpty,
    RemoveLine,
    Step,
    StepFailed,
    Write,
    backup_of,
    carry_out,
    describe,
)
from zdeferd.machine.paths import locate

PROGRAM = "/opt/zdeferd/bin/zdeferd"


def host(home: Path, manager: str | None = None, **fields: Any) -> Host:
    env = {"HOME": str(home), "XDG_RUNTIME_DIR": f"{home}/run"} | fields.pop("env", {})
    platform = "darwin" if manager == "launchd" else "linux"
    known: dict[str, Any] = {"uid": 501, "program": PROGRAM, "zsh": None} | fields
    return Host(paths=locate(env, platform=platform), env=env, manager=manager, **known)


def written(plan: list[Step]) -> dict[str, bytes]:
    return {step.path: step.content for step in plan if isinstance(step, Write)}


def commands(plan: list[Step]) -> list[str]:
    return [" ".join(step.words) for step in plan if isinstance(step, Command)]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


# --- systemd -------------------------------------------------------------------


def unit(name: str, made: Host) -> dict[str, list[str]]:
    """A unit's settings: key -> values."""
    text = written(install_plan(made))[f"{made.units}/{name}"].decode()
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_units_are_as_designed(home: Path) -> None:
    made = host(home, "systemd")
    socket, service = unit("zdeferd.socket", made), unit("zdeferd.service", made)
    assert socket["ListenStream"] == ["%t/zdeferd/sock"]
    for key, value in {
        "SocketMode": "0600",
        "DirectoryMode": "0700",
        "Backlog": "4096",
        "StartLimitIntervalSec": "0",
    }.items():
        assert socket[key] == [value]
    for key, value in {
        "Type": "notify",
        "NotifyAccess": "main",
        "Restart": "on-failure",
        "RestartSec": "1",
        "StartLimitIntervalSec": "0",
        "KillMode": "process",
        "OOMPolicy": "continue",
        "WatchdogSec": "30",
        "ExecStart": f'"{PROGRAM}"',
    }.items():
        assert service[key] == [value]
    assert "Nice" not in service


def test_units_meet_shells_that_move_their_folders(home: Path) -> None:
    moved = {"XDG_CONFIG_HOME": f"{home}/my config", "ZDEFERD_SOCKET": f"{home}/100%/sock"}
    made = host(home, "systemd", env=moved, program="/a b/$x/100%/zdeferd")
    service = unit("zdeferd.service", made)
    assert service["ExecStart"] == ['"/a b/$$x/100%%/zdeferd"']
    assert f'"XDG_CONFIG_HOME={home}/my config"' in service["Environment"]
    assert unit("zdeferd.socket", made)["ListenStream"] == [f"{home}/100%%/sock"]
    assert made.units == f"{home}/my config/systemd/user"


def test_systemd_is_told_last(home: Path) -> None:
    plan = install_plan(host(home, "systemd"))
    assert commands(plan) == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now zdeferd.socket",
    ]
    assert isinstance(plan[-1], Command)
    assert Remove(f"{home}/.local/state/zdeferd/autostart") in plan


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_systemd_accepts_the_units(home: Path) -> None:
    made = host(home, "systemd", program="/bin/true")
    for path, content in written(install_plan(made)).items():
        if path.startswith(made.units):
            carry_out(Write(path, content))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", f"{made.units}/zdeferd.service"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": f"{home}"},
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "zdeferd" in line]
    assert complaints == []


# --- launchd -------------------------------------------------------------------


def test_the_agent(home: Path) -> None:
    made = host(home, "launchd", env={"XDG_STATE_HOME": f"{home}/s"})
    plan = install_plan(made)
    agent = plistlib.loads(written(plan)[made.agent])
    assert agent["Label"] == LABEL
    assert agent["ProgramArguments"] == [PROGRAM]
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] is True
    assert agent["ProcessType"] == "Background"
    assert agent["StandardErrorPath"] == f"{home}/s/zdeferd/zdeferd.log"
    assert agent["EnvironmentVariables"] == {"XDG_STATE_HOME": f"{home}/s"}
    assert commands(plan)[-1] == f"launchctl bootstrap gui/501 {made.agent}"
    assert MakeFolder(f"{home}/s/zdeferd") in plan


@pytest.mark.skipif(not shutil.which("plistutil"), reason="no plistutil here")
def test_another_parser_reads_the_agent(home: Path) -> None:
    made = host(home, "launchd")
    path = home / "agent.plist"
    for content in (
        Path(share("launchd", f"{LABEL}.plist")).read_bytes(),
        written(install_plan(made))[made.agent],
    ):
        path.write_bytes(content)
        binary = home / "agent.bin"
        subprocess.run(["plistutil", "-i", str(path), "-o", str(binary)], check=True)
        assert binary.read_bytes().startswith(b"bplist")
        assert plistlib.loads(binary.read_bytes()) == plistlib.loads(content)


# --- neither -------------------------------------------------------------------


def install_and_uninstall(home: Path, made: Host, **options: bool) -> set[str]:
    """Both plans, carried out; -> what uninstall left."""
    for step in install_plan(made, zshrc=True):
        carry_out(step)
    assert not any(carry_out(step) for step in install_plan(made, zshrc=True)), "not idempotent"
    for step in uninstall_plan(made, **options):
        carry_out(step)
    assert not any(carry_out(step) for step in uninstall_plan(made, **options))
    return files(home)


def test_the_marker_names_the_program(home: Path) -> None:
    plan = install_plan(host(home))
    marker = f"{home}/.local/state/zdeferd/autostart"
    assert written(plan)[marker] == PROGRAM.encode() + b"\n"
    assert commands(plan) == []


def test_uninstall_leaves_the_users_own_files(home: Path) -> None:
    zshrc = home / ".zshrc"
    zshrc.write_text("alias ll='ls -l'")
    zshrc.chmod(0o600)
    job = home / ".config/zdeferd/jobs.d/mine.toml"
    job.parent.mkdir(parents=True)
    job.write_text("[a]\nrun = 'true'\n")
    ledger = home / ".local/state/zdeferd/ledger.sqlite3"
    ledger.parent.mkdir(parents=True)
    ledger.touch()
    kept = {".zshrc", ".zshrc.before-zdeferd", ".config/zdeferd/jobs.d/mine.toml"}
    made = host(home, zsh=shutil.which("zsh"))
    assert install_and_uninstall(home, made) == kept | {".local/state/zdeferd/ledger.sqlite3"}
    assert zshrc.read_text() == "alias ll='ls -l'\n"
    assert zshrc.stat().st_mode & 0o777 == 0o600
    assert not (home / ".local/share/zdeferd").exists()
    assert install_and_uninstall(home, made, purge=True) == kept


def test_a_zshrc_that_install_made_goes_again(home: Path) -> None:
    assert install_and_uninstall(home, host(home)) == set()


def test_purge_leaves_what_is_not_zdeferds(home: Path) -> None:
    state = home / ".local/state/zdeferd"
    (state / "runs/1").mkdir(parents=True)
    for name in (
        "ledger.sqlite3",
        "ledger.sqlite3-wal",
        "lock",
        "runs/1/output",
        "mine",
        "deferred.log.2",
    ):
        (state / name).touch()
    for step in uninstall_plan(host(home), purge=True):
        carry_out(step)
    assert files(home) == {".local/state/zdeferd/mine"}


# --- the shim ------------------------------------------------------------------


def test_the_whole_shim_is_installed(home: Path) -> None:
    made = host(home)
    plan = written(install_plan(made))
    names = shim_files(share("shell"))
    assert "zdeferd.plugin.zsh" in names
    assert "functions/_zdeferctl" in names
    assert {path for path in plan if path.startswith(made.shim)} == {
        f"{made.shim}/{name}" for name in names
    }


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
def test_the_shim_is_compiled_after_it_is_written(home: Path) -> None:
    zsh = shutil.which("zsh")
    assert zsh is not None
    home /= "é✓à"
    home.mkdir()
    source = home / "plugin.zsh"
    carry_out(Write(str(source), b"print loaded\n"))
    assert carry_out(Compile(zsh, str(source)))
    assert not carry_out(Compile(zsh, str(source)))
    assert files(home) == {"plugin.zsh", "plugin.zsh.zwc"}
    assert (home / "plugin.zsh.zwc").stat().st_mtime_ns >= source.stat().st_mtime_ns
    done = subprocess.run([zsh, "-fc", f"source {source}"], capture_output=True, check=True)
    assert done.stdout == b"loaded\n"


def test_the_line_for_zshrc(home: Path) -> None:
    plugin = "~/.local/share/zdeferd/shell/zdeferd.plugin.zsh"
    assert host(home).line == f"[[ -r {plugin} ]] && source {plugin}"
    data = host(home, env={"XDG_DATA_HOME": "/x y"})
    plugin = "'/x y/zdeferd/shell/zdeferd.plugin.zsh'"
    assert data.line == f"[[ -r {plugin} ]] && source {plugin}"


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here")
@pytest.mark.parametrize("name", ["it's", 'a"b', "=c", "d$e`f`", "g\\h", "{i,j}*?[k]~", "é"])
def test_zsh_reads_the_line_as_the_path(home: Path, name: str) -> None:
    made = host(home, env={"XDG_DATA_HOME": f"{home}/{name}"})
    plugin = Path(f"{made.shim}/zdeferd.plugin.zsh")
    plugin.parent.mkdir(parents=True)
    plugin.write_text("print loaded\n")
    zsh = ["zsh", "-f", "-o", "extended_glob", "-c", made.line]
    done = subprocess.run(zsh, env={"HOME": str(home)}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("loaded\n", "")
    plugin.unlink()
    done = subprocess.run(zsh, env={"HOME": str(home)}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", ""), "removed: shells start as ever"
    assert host(home, zdotdir=f"{home}/z").zshrc == f"{home}/z/.zshrc"


def test_a_line_of_the_users_own_is_enough(home: Path) -> None:
    zshrc = home / ".zshrc"
    zshrc.write_text(f"# zdeferd.plugin.zsh\n{host(home).line}\n")
    before = zshrc.read_text()
    assert not carry_out(AddLine(str(zshrc), host(home).line, ADDED))
    assert not carry_out(RemoveLine(str(zshrc), ADDED))
    assert zshrc.read_text() == before


def test_a_zshrc_that_is_a_link_stays_one(home: Path) -> None:
    real = home / "dotfiles" / "zshrc"
    real.parent.mkdir()
    real.write_bytes(b"one\n\xff\n")
    (home / ".zshrc").symlink_to(real)
    assert carry_out(AddLine(str(home / ".zshrc"), "two", ADDED))
    assert (home / ".zshrc").is_symlink()
    assert real.read_bytes() == f"one\n\udcff\ntwo  {ADDED}\n".encode(errors="surrogateescape")
    assert Path(backup_of(str(real))).read_bytes() == b"one\n\xff\n"
    assert carry_out(RemoveLine(str(home / ".zshrc"), ADDED))
    assert real.read_bytes() == b"one\n\xff\n"


# --- steps ---------------------------------------------------------------------


def test_steps_say_what_they_do_and_what_failed(home: Path) -> None:
    missing = home / "missing"
    missing.touch()
    step = Write(f"{missing}/file", b"")
    assert describe(step) == f"write {missing}/file"
    with pytest.raises(StepFailed, match=f"cannot write {missing}/file: "):
        carry_out(step)
    with pytest.raises(StepFailed, match="command failed: false: 1"):
        carry_out(Command(("false",)))
    with pytest.raises(StepFailed, match="No such file or directory"):
        carry_out(Command(("zdeferd-no-such-command",)))
    assert not carry_out(Command(("false",), must=False))


@pytest.mark.parametrize("name", [".zshrc.zdeferd-new", ".zshrc.before-zdeferd"])
def test_a_planted_link_is_not_followed(home: Path, name: str) -> None:
    (home / ".zshrc").write_text("one\n")
    (home / name).symlink_to(home / "target")
    assert carry_out(AddLine(f"{home}/.zshrc", "two", ADDED))
    assert not (home / "target").exists()
    assert not (home / ".zshrc").is_symlink()
    assert (home / ".zshrc").read_text() == f"one\ntwo  {ADDED}\n"


def test_folders_are_private_whatever_the_umask(home: Path) -> None:
    umask = os.umask(0o002)
    try:
        for step in install_plan(host(home)):
            carry_out(step)
    finally:
        os.umask(umask)
    made = [path for path in home.rglob("*") if path.is_dir()]
    assert home / ".config/zdeferd/jobs.d" in made
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}


def test_a_link_in_the_place_of_a_file_is_replaced(home: Path) -> None:
    target = home / "target"
    target.write_bytes(b"theirs")
    (home / "file").symlink_to(target)
    assert carry_out(Write(str(home / "file"), b"ours"))
    assert target.read_bytes() == b"theirs"
    assert not (home / "file").is_symlink()


def test_a_folder_in_use_is_left(home: Path) -> None:
    (home / "full").mkdir()
    (home / "full" / "file").touch()
    assert not carry_out(RemoveEmpty(str(home / "full")))
    assert not carry_out(Remove(str(home / "absent"), tree=True))
