"""`zdefer eval` from the first shell to the newer cache: real shells, a real daemon."""

import os
import sys
from pathlib import Path

import pytest
from shell.conftest import PLUGIN
from support.daemon import PATIENT, Daemon
from support.terminal import Terminal


@pytest.fixture
def daemon(daemon: Daemon) -> Daemon:
    """A daemon by which all that a visit makes due is claimed when it is answered."""
    daemon.command = [sys.executable, "-c", PATIENT]
    return daemon


@pytest.fixture
def tool(daemon: Daemon) -> Path:
    """A program on the PATH of the shells that prints the file `code`, once it has said `ran`."""
    folder = daemon.home / "bin"
    folder.mkdir()
    path = folder / "tool"
    path.write_text(f'#!/bin/sh\necho ran >>{daemon.home}/ran\ncat "{daemon.home}/code"\n')
    path.chmod(0o755)
    return path


def shell_says(daemon: Daemon, tool: Path, what: str, line: str = "zdefer eval tool init") -> str:
    """Start a shell whose .zshrc has the line; what it answers, once its visit has ended."""
    visits = daemon.rows("SELECT count(*) FROM shells")[0][0]
    zshrc = f"path=({tool.parent} $path)\nsource {PLUGIN}\n{line}\n"
    with Terminal(daemon.home, zshrc) as shell:
        shell.prompt()
        answer = shell.ask(what)
        daemon.wait_for("SELECT count(*) FROM shells", visits + 1)
        daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
    return answer


def ran(daemon: Daemon) -> int:
    """How often the program ran."""
    path = daemon.home / "ran"
    return len(path.read_text().split()) if path.exists() else 0


def runs(daemon: Daemon) -> list[tuple[str, int, str | None]]:
    """The runs of the job."""
    return daemon.rows("SELECT outcome, rc, refusal FROM runs WHERE job = 'eval-tool-init'")


def test_from_the_first_shell_to_a_newer_cache(daemon: Daemon, tool: Path) -> None:
    daemon.start()
    (daemon.home / "code").write_text("version=1; f() { print one }\n")
    cache = daemon.home / ".cache/zdeferd/init/tool-init.zsh"
    assert "1" in shell_says(daemon, tool, "$version")
    assert (ran(daemon), cache.read_text()) == (2, "version=1; f() { print one }\n")
    assert cache.with_suffix(".zsh.zwc").exists()
    assert cache.stat().st_mode & 0o777 == 0o600
    assert cache.parent.stat().st_mode & 0o777 == 0o700
    assert "1" in shell_says(daemon, tool, "$version")
    assert (ran(daemon), len(runs(daemon))) == (2, 1)
    (daemon.home / "code").write_text("version=2; typeset -A t=(a b)\n")
    os.utime(tool, ns=(1, 1))
    assert "1" in shell_says(daemon, tool, "$version")  # the older one, for this shell
    assert ran(daemon) == 3
    assert "2 association" in shell_says(daemon, tool, "$version ${(t)t}")
    assert cache.stat().st_mode & 0o777 == 0o700
    assert (ran(daemon), runs(daemon)) == (3, [("succeeded", 0, None)] * 2)


@pytest.mark.parametrize("line", ["zdefer eval tool init", "zdefer eval -n tool-init tool"])
def test_code_that_defines_a_function_of_the_program_s_name(
    line: str, daemon: Daemon, tool: Path
) -> None:
    daemon.start()
    code = "tool() { print -r -- no=code }; version=1\n"
    (daemon.home / "code").write_text(code)
    assert "1" in shell_says(daemon, tool, "$version", line)
    assert (daemon.home / ".cache/zdeferd/init/tool-init.zsh").read_text() == code
    assert "1" in shell_says(daemon, tool, "$version", line)
    assert runs(daemon) == [("succeeded", 0, None)]


def test_a_function_without_a_program_of_its_name(daemon: Daemon, tool: Path) -> None:
    daemon.start()
    line = "made() { print -r -- version=$1 }; zdefer eval made 7"
    assert "7" in shell_says(daemon, tool, "$version", line)
    assert (daemon.home / ".cache/zdeferd/init/made-7.zsh").read_text() == "version=7\n"


@pytest.mark.parametrize("damage", ["cut", "empty", "compiled"])
def test_a_damaged_cache_is_made_again(damage: str, daemon: Daemon, tool: Path) -> None:
    daemon.start()
    (daemon.home / "code").write_text("version=1; f() { print one }\n")
    cache = daemon.home / ".cache/zdeferd/init/tool-init.zsh"
    compiled = cache.with_suffix(".zsh.zwc")
    shell_says(daemon, tool, "$version")
    whole = cache.read_bytes(), compiled.read_bytes()
    damaged = compiled if damage == "compiled" else cache
    damaged.write_bytes(b"" if damage == "empty" else damaged.read_bytes()[:20])
    shell_says(daemon, tool, "$version")
    assert (cache.read_bytes(), compiled.read_bytes()) == whole
    assert ran(daemon) == 3  # for the first shell, its cache, and the cache anew


BAD = {
    "nothing": (":", "it is empty"),
    "no zsh": ("echo 'if ('", "zsh does not accept it"),
    "PATH": ('echo "export PATH=/new:$PATH"', "it contains the value of PATH"),
    "fails": ("echo x=1; exit 3", None),
    "cut short": ("head -c 70000000 /dev/zero", "more than 64 MiB"),
    "asks": ("read answer || exit 5; echo x=$answer", None),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_good_leaves_the_cache(name: str, daemon: Daemon, tool: Path) -> None:
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    assert "1" in shell_says(daemon, tool, "$version")
    code, refusal = BAD[name]
    tool.write_text(f"#!/bin/sh\n{code}\n")
    assert "1" in shell_says(daemon, tool, "$version")
    assert "1" in shell_says(daemon, tool, "$version")
    assert (daemon.home / ".cache/zdeferd/init/tool-init.zsh").read_text() == "version=1\n"
    last = runs(daemon)[-1]
    assert last[0] == "failed"
    assert (last[2] is None) == (refusal is None)
    assert (refusal or "") in (last[2] or "")
    assert "empty =" not in (last[2] or "")  # zdefer eval has no such option
    assert len(runs(daemon)) == 2


def test_another_path_than_the_shell_s_is_no_fault(daemon: Daemon, tool: Path) -> None:
    daemon.start()
    (daemon.home / "code").write_text("path+=(/opt/tool/bin)\n")
    assert "/opt/tool/bin" in shell_says(daemon, tool, "$path")
    assert runs(daemon) == [("succeeded", 0, None)]


def test_a_folder_of_somebody_else_is_no_place(daemon: Daemon, tool: Path) -> None:
    folder = daemon.home / ".cache/zdeferd/init"
    folder.mkdir(mode=0o700, parents=True)
    folder.chmod(0o777)
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    assert "1" in shell_says(daemon, tool, "$version")
    [(outcome, rc, refusal)] = runs(daemon)
    assert (outcome, rc) == ("failed", 65)
    assert refusal is not None
    assert "another user can change this folder" in refusal
    assert not list(folder.iterdir())


BEFORE = "export TOOL_ROOT=/opt/t TOOL_TOKEN=secret; unset COLORTERM"
PRINTS = "echo \"made='$TERM:$COLORTERM:$TOOL_ROOT:$TOOL_TOKEN'\""


def test_what_a_tool_goes_by_is_as_in_the_shell(daemon: Daemon, tool: Path) -> None:
    tool.write_text(f"#!/bin/sh\n{PRINTS}\n")
    daemon.start()
    line = f"{BEFORE}; zdefer eval tool init"
    assert "xterm::/opt/t:secret" in shell_says(daemon, tool, "$made", line)
    assert "xterm::/opt/t:" in shell_says(daemon, tool, "$made", line)
    cache = daemon.home / ".cache/zdeferd/init/tool-init.zsh"
    assert cache.read_text() == "made='xterm::/opt/t:'\n"
    shell_says(daemon, tool, "$made", line.replace("/opt/t", "/opt/u"))
    assert cache.read_text() == "made='xterm::/opt/u:'\n"


def test_a_tool_that_adds_to_path_has_the_path_from_before(daemon: Daemon, tool: Path) -> None:
    adds = "case $PATH in /opt/t:*) ;; *) echo 'PATH=/opt/t:$PATH' ;; esac; echo made=1"
    tool.write_text(f"#!/bin/sh\n{adds}\n")
    daemon.start()
    line = "zdefer eval tool init; zdefer eval tool init"
    assert "1 /opt/t" in shell_says(daemon, tool, "$made $path[1]", line)
    assert "1 /opt/t" in shell_says(daemon, tool, "$made $path[1]", line)
    assert runs(daemon) == [("succeeded", 0, None)]


def test_a_shell_that_has_what_the_program_needs_makes_the_cache(
    daemon: Daemon, tool: Path
) -> None:
    """In another PATH `env` did not find the interpreter: exit code 127."""
    folder = daemon.home / "more"
    folder.mkdir()
    (folder / "interpreter").symlink_to("/bin/sh")
    tool.write_text("#!/usr/bin/env interpreter\necho version=1\n")
    daemon.start()
    for line in ("", "", "path=(~/more $path); "):
        shell_says(daemon, tool, "$version", f"{line}zdefer eval tool init")
    assert runs(daemon) == [("failed", 127, None), ("succeeded", 0, None)]


def test_code_about_a_process_that_ends_with_the_job_is_no_cache(
    daemon: Daemon, tool: Path
) -> None:
    tool.write_text("#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho made=$!\n")
    daemon.start()
    line = "zdefer eval tool init; kill -0 $made && said=lives && kill $made"
    assert "lives" in shell_says(daemon, tool, "$said", line)
    assert "lives" in shell_says(daemon, tool, "$said", line)
    [(outcome, rc, refusal)] = runs(daemon)
    assert (outcome, rc) == ("failed", 65)
    assert "it is about a process that was ended with the job" in (refusal or "")


def test_a_process_behind_the_job_is_no_fault_of_other_code(daemon: Daemon, tool: Path) -> None:
    tool.write_text("#!/bin/sh\nsleep 600 >/dev/null 2>&1 &\necho $! >~/pid\necho made=1\n")
    daemon.start()
    shell_says(daemon, tool, "$made", "zdefer eval tool init; kill $(<~/pid)")
    assert runs(daemon) == [("succeeded", 0, None)]
