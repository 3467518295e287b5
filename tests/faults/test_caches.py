"""Bad input of `zdefer eval`: a command that hangs, too many files, sick disks and clocks."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faults.world import fill, needs_mounts, small_disk, until, wait_ended
from shell.conftest import PLUGIN
from support.daemon import Daemon
from support.pty import PROMPT
from support.terminal import Terminal

DAY_NS = 86_400 * 10**9
JOB = "eval-tool-init"


@pytest.fixture
def tool(home: Path) -> Path:
    """A program that prints the file `code`, for a PATH of its own."""
    path = home / "bin/tool"
    path.parent.mkdir()
    write(path, f'cat "{home}/code"')
    return path


@pytest.fixture
def disks(daemon: Daemon) -> Iterator[ExitStack]:
    """Small disks, which go after the daemon has."""
    with ExitStack() as stack:
        yield stack
        daemon.close()


def write(path: Path, code: str) -> None:
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)


def make_read_only(disk: Path) -> None:
    words = ["mount", "-o", "remount,ro", str(disk)]
    until(lambda: subprocess.run(words, capture_output=True, check=False).returncode == 0)


def cache_of(home: Path) -> Path:
    return home / ".cache/zdeferd/init/tool-init.zsh"


def version(daemon: Daemon, tool: Path, line: str = "zdefer eval tool init") -> str:
    """The version that the code of a new shell has, and what its .zshrc printed."""
    visits = daemon.rows("SELECT count(*) FROM shells")[0][0]
    zshrc = f"path=({tool.parent} $path)\nsource {PLUGIN}\n{line}\n"
    with Terminal(daemon.home, zshrc) as shell:
        shell.prompt()
        said = shell.screen.partition(PROMPT)[0].strip("#% ")  # zsh's mark of an empty line
        number = shell.ask("$version")
        daemon.wait_for("SELECT count(*) FROM shells", visits + 1)
    return f"{number}{said}"


def test_a_command_that_hangs_holds_up_no_shell_with_a_cache(daemon: Daemon, tool: Path) -> None:
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    assert version(daemon, tool) == "1"
    assert wait_ended(daemon, JOB) == [("succeeded", 0)]
    write(tool, f"echo x >>{daemon.home}/began; exec tail -f /dev/null")
    assert version(daemon, tool) == "1"
    until((daemon.home / "began").exists)
    assert version(daemon, tool) == "1"
    assert daemon.run("zdeferd.cli", "cancel", JOB).returncode == 0
    assert wait_ended(daemon, JOB, 2) == [("succeeded", 0), ("cancelled", 143)]
    assert (daemon.home / "began").read_text() == "x\n"
    assert cache_of(daemon.home).read_text() == "version=1\n"


def test_too_many_watched_files_are_said_and_the_cache_stays(daemon: Daemon, tool: Path) -> None:
    many = daemon.home / "many"
    (many / "files").mkdir(parents=True)
    for number in range(300):
        (many / f"files/{number}").touch()
        (many / f"link{number}").symlink_to("files")  # 90,000 names for 600
    cache_of(daemon.home).parent.mkdir(mode=0o700, parents=True)
    cache_of(daemon.home).write_text("version=1\n")
    (daemon.home / "code").write_text("version=2\n")
    daemon.start()
    line = f"zdefer eval --watch '{many}/*/*' tool init"
    assert version(daemon, tool, line) == "1"
    until(lambda: "cannot look at what a job watches" in daemon.errors.read_text())
    why = " ".join(daemon.run("zdeferd.cli", "why", JOB).stdout.split())
    assert "more than 50000 files: ~/many/*/*" in why
    assert daemon.rows("SELECT count(*) FROM runs") == [(0,)]
    assert version(daemon, tool) == "1"  # without that, it is made anew
    assert wait_ended(daemon, JOB) == [("succeeded", 0)]
    assert version(daemon, tool) == "2"


@needs_mounts
def test_a_full_disk_leaves_the_older_cache_whole(
    daemon: Daemon, disks: ExitStack, tool: Path
) -> None:
    disk = disks.enter_context(small_disk(daemon.home / ".cache", "1m"))
    daemon.env["PATH"] = f"{tool.parent}:{daemon.env['PATH']}"  # of `cache refresh`
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    assert version(daemon, tool) == "1"
    wait_ended(daemon, JOB)
    filler = fill(disk)
    (daemon.home / "code").write_text("version=2\n" + "# much\n" * 20_000)
    os.utime(tool, ns=(1, 1))
    assert version(daemon, tool) == "1"
    assert wait_ended(daemon, JOB, 2)[-1] == ("failed", 65)
    ((refusal,),) = daemon.rows("SELECT refusal FROM runs WHERE rc = 65")
    assert "No space left on device" in refusal
    names = {path.name for path in cache_of(daemon.home).parent.iterdir()}
    assert names == {"tool-init.zsh", "tool-init.zsh.zwc"}
    assert version(daemon, tool) == "1"
    filler.unlink()
    assert daemon.run("zdeferd.cli", "cache", "refresh", "tool-init").returncode == 0
    assert version(daemon, tool) == "2"


@needs_mounts
@pytest.mark.parametrize("cached", [True, False], ids=["cached", "none yet"])
def test_a_read_only_cache_folder(
    daemon: Daemon, disks: ExitStack, tool: Path, cached: bool
) -> None:
    disk = disks.enter_context(small_disk(daemon.home / ".cache", "1m"))
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    if cached:
        version(daemon, tool)
        wait_ended(daemon, JOB)
    make_read_only(disk)
    (daemon.home / "code").write_text("version=2\n")
    os.utime(tool, ns=(1, 1))
    assert version(daemon, tool) == ("1" if cached else "2")
    assert wait_ended(daemon, JOB, 1 + cached)[-1] == ("failed", 65)
    ((refusal,),) = daemon.rows("SELECT refusal FROM runs WHERE rc = 65")
    assert "Read-only file system" in refusal


@needs_mounts
def test_a_read_only_home_without_a_daemon(home: Path, tool: Path) -> None:
    (home / "code").write_text("version=1\n")
    with small_disk(home / "user", "1m") as user:
        zshrc = f"path=({tool.parent} $path)\nsource {PLUGIN}\nzdefer eval tool init\n"
        (user / "run").mkdir(mode=0o700)
        with Terminal(user, zshrc):
            pass  # it has written the files of its home
        make_read_only(user)
        with Terminal(user, None) as shell:
            assert shell.prompt()
            assert shell.ask("$version") == "1"
            assert "zdefer" not in shell.screen.replace("zdefer eval", "")


def test_a_cache_from_the_future_is_replaced(daemon: Daemon, tool: Path) -> None:
    """As after the clock was set back: zsh takes a `.zwc` that is at least as new as its text."""
    daemon.start()
    (daemon.home / "code").write_text("version=1\n")
    assert version(daemon, tool) == "1"
    wait_ended(daemon, JOB)
    tomorrow = time.time_ns() + DAY_NS
    for path in (cache_of(daemon.home), Path(f"{cache_of(daemon.home)}.zwc")):
        os.utime(path, ns=(tomorrow, tomorrow))
    (daemon.home / "code").write_text("version=2\n")
    os.utime(tool, ns=(1, 1))
    assert version(daemon, tool) == "1"
    assert wait_ended(daemon, JOB, 2) == [("succeeded", 0)] * 2
    assert version(daemon, tool) == "2"
    assert cache_of(daemon.home).stat().st_mtime_ns < tomorrow
