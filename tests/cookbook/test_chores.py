"""The recipes of docs/cookbook/chores.md: real git and ssh-agent, stand-ins of package managers."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cookbook.book import Reader, code, place
from support.daemon import Daemon, attempts

from zdeferd.jobs import files
from zdeferd.machine import paths


@pytest.fixture
def agents(home: Path) -> Iterator[Path]:
    """The file that has the pid of each agent; all end with the test."""
    started = home / "agents"
    started.touch()
    place(home, "ssh-agent", f'/usr/bin/env -i ssh-agent "$@" -s | tee -a {started}')
    yield started
    for pid in pids(started):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def pids(started: Path) -> list[int]:
    """The agents that were started."""
    said = started.read_text().split(";")
    return [int(part.split("=")[1]) for part in said if "SSH_AGENT_PID=" in part]


def runs(pid: int) -> bool:
    """Return whether it has not ended; a container's first process may reap nobody."""
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_all_shells_have_one_agent(agents: Path, daemon: Daemon) -> None:
    reader = Reader(daemon.start(), code("ssh-agent"))
    for _ in range(3):
        assert reader.says("$(ssh-add -l)", runs=1) == "The agent has no identities."
    [pid] = pids(agents)
    os.kill(pid, signal.SIGKILL)
    assert any(not runs(pid) for _ in attempts())
    assert reader.says("$(ssh-add -l)", runs=1) == "The agent has no identities."
    assert len(pids(agents)) == 2
    assert reader.outcomes() == {"ssh-agent": {"succeeded"}}


def git(folder: Path, *words: str) -> None:
    """Run git in a folder as somebody."""
    who = ("-c", "user.name=n", "-c", "user.email=n@n")
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


def test_dotfiles_are_fetched_and_the_next_shell_says_how_far_they_are(daemon: Daemon) -> None:
    origin, clone = daemon.home / "origin", daemon.home / ".dotfiles"
    origin.mkdir()
    git(origin, "init", "-q")
    git(origin, "commit", "-q", "--allow-empty", "-m", "one")
    git(daemon.home, "clone", "-q", str(origin), str(clone))
    for name in ("two", "three"):
        git(origin, "commit", "-q", "--allow-empty", "-m", name)
    reader = Reader(daemon.start(), code("Dotfiles"))
    assert reader.says("is:$behind", runs=1) == "is:"
    assert reader.says("is:$behind") == "is:2"
    assert reader.outcomes() == {"dotfiles": {"succeeded"}}


@pytest.mark.parametrize(
    ("program", "prints", "count"),
    [
        ("apt-get", "echo Inst zsh; echo Conf zsh; echo Inst git", 2),
        ("apt-get", "echo Inst zsh", 1),
        ("apt-get", ":", 0),
        ("dnf", "echo Available upgrades; echo zsh.x86_64 5.9 updates", 1),
        ("brew", "echo zsh; echo git; echo fzf", 3),
    ],
)
def test_updates_are_counted(program: str, prints: str, count: int, daemon: Daemon) -> None:
    place(daemon.home, program, prints)
    recipe = code("Package updates")
    for other in ("apt-get", "dnf"):
        if other != program:
            recipe = recipe.replace(f"$+commands[{other}]", "0")
    reader = Reader(daemon.start(), recipe)
    assert reader.says("is:$updates", runs=1) == "is:"
    assert reader.says("is:$updates") == f"is:{count}"
    assert reader.outcomes() == {"updates": {"succeeded"}}


def test_a_package_manager_that_fails_is_a_failure(daemon: Daemon) -> None:
    place(daemon.home, "apt-get", "echo Inst zsh; exit 100")
    reader = Reader(daemon.start(), code("Package updates"))
    reader.says("x", runs=1)
    assert reader.outcomes() == {"updates": {"failed"}}


def test_git_maintenance_of_every_repository(daemon: Daemon) -> None:
    for name in ("one", "two"):
        folder = daemon.home / "src" / name
        folder.mkdir(parents=True)
        git(folder, "init", "-q")
        git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    daemon.write_jobs(code("Git maintenance", "toml"))
    loaded = files.load(paths.locate(daemon.env))
    assert (list(loaded.jobs), loaded.problems) == (["git-maintenance"], ())
    daemon.start()
    assert daemon.run("zdeferd.cli", "run", "git-maintenance").returncode == 0
    daemon.wait_until_done(1)
    assert daemon.rows("SELECT outcome FROM runs") == [("succeeded",)]
    for name in ("one", "two"):
        graphs = daemon.home / "src" / name / ".git/objects/info"
        assert any("commit-graph" in path.name for path in graphs.iterdir())
