"""Where no service manager is: the shell starts the daemon, and visits when it answers."""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer, asleep, wait_for_visit, wait_until
from shell.test_harmless import ASK, HOSTILE, STATE, tell
from shell.test_sick_daemon import works
from support.terminal import Terminal

from zdeferd.machine.lock import daemon_pid

JOB = "build() { : }; zf::defer::register build build postprompt Build"

Program = Callable[[str], Path]


@pytest.fixture
def install(home: Path) -> Program:
    """Writes a program of sh code, and the marker that names it."""

    def write(code: str) -> Path:
        program = home / "zdeferd"
        program.write_text(f"#!/bin/sh\n{code}\n")
        program.chmod(0o700)
        marker = home / ".local/state/zdeferd/autostart"
        marker.parent.mkdir(mode=0o700, parents=True)
        marker.write_text(f"{program}\n")
        return program

    return write


@pytest.fixture
def go(home: Path, install: Program) -> Iterator[Path]:
    """A program that says in `started` that it runs, and ends when `go` is written."""
    path = home / "go"
    os.mkfifo(path)
    install(f'echo "$@" >>{home}/started; read -r line <{path} && echo ends >>{home}/started')
    yield path
    with contextlib.suppress(OSError):  # nobody reads: it has ended
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def said(home: Path) -> list[str]:
    """What the program has written."""
    path = home / "started"
    return path.read_text().split() if path.exists() else []


def started(home: Path, shell: Terminal) -> None:
    """Wait until the prompt is up and the program runs."""
    shell.prompt()
    wait_until(lambda: said(home) == ["--detach"], "the program runs")


def test_autostart_only_with_the_marker(install: Program, start: Start, home: Path) -> None:
    shell = start(JOB)
    shell.prompt()
    works(shell)
    assert shell.ask("${_zdeferd[started]-no}") == "no"
    shell.close()
    install(f'echo "$@" >>{home}/started')
    shell = start(JOB)
    started(home, shell)
    for _ in range(3):
        works(shell)
    assert shell.run("jobs") == ""
    assert said(home) == ["--detach"]


@pytest.mark.parametrize("kind", ["link", "relative", "not executable"])
def test_no_autostart_from_a_doubtful_marker(
    kind: str, install: Program, start: Start, home: Path
) -> None:
    program = install(f">{home}/started")
    marker = home / ".local/state/zdeferd/autostart"
    if kind == "not executable":
        program.chmod(0o600)
    if kind == "relative":
        marker.write_text("zdeferd\n")
    if kind == "link":
        marker.rename(home / "marker")
        marker.symlink_to(home / "marker")
    shell = start(JOB)
    shell.prompt()
    works(shell)
    assert shell.ask("${_zdeferd[started]-no}") == "no"


def test_a_running_daemon_is_not_started_again(
    install: Program, start: Start, home: Path, peer: Peer
) -> None:
    install(f">{home}/started")
    shell = start(JOB)
    shell.prompt()
    peer.take()
    works(shell)
    assert shell.ask("${_zdeferd[started]-no}") == "no"


NO_RUNTIME = ": >~/file; export XDG_RUNTIME_DIR=~/file/run"
"""The daemon's socket is in the state folder then, and the shell finds it there."""


@pytest.mark.parametrize("before", ["", NO_RUNTIME])
def test_jobs_start_without_a_key(before: str, home: Path, install: Program, start: Start) -> None:
    path = os.pathsep.join(sys.path)
    install(f"PYTHONPATH='{path}' exec '{sys.executable}' -m zdeferd.daemon \"$@\"")
    shell = start(f"zdefer add a -- touch {home}/done", before=before)
    try:
        shell.prompt()
        wait_until((home / "done").exists, "the job has run")
    finally:
        lock = home / ".local/state/zdeferd/lock"
        os.kill(int(lock.read_text()), signal.SIGTERM)
        wait_until(lambda: daemon_pid(str(lock)) is None, "the daemon has left")
    assert shell.ask("${_zdeferd[tries]} $precmd_functions") == "0"


def test_the_visit_waits_for_the_daemon(home: Path, go: Path, socket: Path, start: Start) -> None:
    shell = start(JOB)
    started(home, shell)
    with Peer(socket) as peer:
        assert peer.silent(0.05)
        go.write_text("\n")
        assert [job.id for job in peer.take().jobs] == ["build"]
        wait_for_visit(socket, shell)
        assert shell.ask("${_zdeferd[tries]} $precmd_functions $preexec_functions") == "0"


def test_the_start_is_the_only_fork(
    home: Path, install: Program, socket: Path, start: Start
) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = home / "trace"
    install(f"echo --detach >>{home}/started")
    calls = "trace=clone,clone3,fork,vfork"
    shell = start(JOB, argv=["strace", "-e", calls, "-o", trace, "zsh", "-d", "-i"])
    started(home, shell)
    for _ in range(3):
        works(shell)
    assert len([line for line in trace.read_text().splitlines() if "(" in line]) == 1


def test_commands_typed_while_the_daemon_starts_are_no_tries(
    home: Path, go: Path, socket: Path, start: Start
) -> None:
    """As when several lines are pasted into the first shell of all."""
    shell = start(JOB)
    started(home, shell)
    for _ in range(6):
        works(shell)
    with Peer(socket) as peer:
        works(shell)
        assert [job.id for job in peer.take().jobs] == ["build"]


def test_a_start_in_vain_is_one_try(home: Path, go: Path, start: Start) -> None:
    shell = start(JOB)
    started(home, shell)
    go.write_text("\n")
    wait_until(lambda: said(home)[1:] == ["ends"], "the program has ended")
    wait_until(lambda: not shell_pipes(shell), "the shell has seen that")
    for _ in range(6):
        works(shell)
    assert said(home) == ["--detach", "ends"]
    assert shell.ask("${_zdeferd[fd]} $precmd_functions $_zdeferd[tries]").split() == ["4"]


def test_no_command_inherits_the_pipe(home: Path, go: Path, socket: Path, start: Start) -> None:
    shell = start(f"{JOB}\nlook() {{ ls -l /proc/self/fd >fds.precmd }}; precmd_functions+=(look)")
    started(home, shell)
    fd = wait_for_fd(shell)
    assert fd >= 10
    shell.line("")  # a hook before the next prompt forks too
    shell.prompt()
    assert not pipes(Path(home, "fds.precmd").read_text())
    with Peer(socket) as peer:
        assert not pipes(shell.run("ls -l /proc/self/fd"))
        assert [job.id for job in peer.take().jobs] == ["build"]


@pytest.mark.parametrize("way", ["command", "unload"])
def test_the_pipe_is_closed_by(way: str, home: Path, go: Path, start: Start) -> None:
    shell = start(JOB)
    started(home, shell)
    wait_for_fd(shell)
    if way == "unload":
        shell.run("zdeferd_plugin_unload")
    else:
        shell.run(":")
    assert not shell_pipes(shell)


def shell_pipes(shell: Terminal) -> list[int]:
    """The descriptors of the shell that are pipes."""
    folder = Path(f"/proc/{shell.pid}/fd")
    found = []
    for link in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(link.readlink()).startswith("pipe:"):
                found.append(int(link.name))
    return found


def wait_for_fd(shell: Terminal) -> int:
    """The descriptor by which the shell waits for the daemon's start."""
    wait_until(lambda: len(shell_pipes(shell)) == 1, "the shell waits at a pipe")
    wait_until(lambda: asleep(shell.pid), "the turn that opened it is over")
    return shell_pipes(shell)[0]


def pipes(listing: str) -> list[str]:
    """The lines of `ls -l /proc/self/fd` that are pipes."""
    return [line for line in listing.splitlines() if "pipe:" in line]


def test_interrupt_during_the_start(home: Path, go: Path, socket: Path, start: Start) -> None:
    shell = start(JOB)
    started(home, shell)
    wait_for_fd(shell)
    shell.type("half a line\x03")
    shell.prompt()
    go.write_text("\n")
    wait_until(lambda: said(home)[1:] == ["ends"], "Ctrl-C did not end the program")
    with Peer(socket) as peer:
        works(shell)
        assert len(peer.take().jobs) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_start_is_not_noticed(
    name: str, home: Path, go: Path, socket: Path, start: Start
) -> None:
    traced = "tra" in name or "DEBUG" in name
    rest = f"REPLY=mine; match=(a b); MATCH=c; mbegin=(1)\n{HOSTILE[name]}\n(exit 5)\n"
    ask = f"{ASK} $!"
    commands = [ask, "(exit 5)" if traced else "(exit 3) | builtin true", ask, STATE]
    without = start(f"{JOB}\n{rest}", before="zf::defer::register() { : }", plugin=False)
    without.prompt()
    expected = tell(without, commands)
    shell = start(f"{JOB}\n{rest}")
    started(home, shell)
    with Peer(socket) as peer:
        go.write_text("\n")
        assert [job.id for job in peer.take().jobs] == ["build"]
        wait_for_visit(socket, shell)
    assert tell(shell, commands) == expected


def test_python_settings_of_the_shell_do_not_reach_it(
    install: Program, start: Start, home: Path
) -> None:
    install(f'echo "${{PYTHONPATH-none}}" "${{KEPT-none}}" >>{home}/started')
    shell = start(JOB, before="export PYTHONPATH=/evil PYTHONHOME=/evil KEPT=kept")
    shell.prompt()
    wait_until(lambda: said(home) == ["none", "kept"], "the program runs")
    assert shell.ask("$PYTHONPATH") == "/evil"
