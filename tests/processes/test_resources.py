"""Limits: what the daemon takes for itself, and that it gives back what it found."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon, Peer, visit

from zdeferd.attempts import launch
from zdeferd.processes import resources

UNLIMITED = resource.RLIM_INFINITY
LOOK = """
import json, resource
from zdeferd.processes import resources
before = resources.set_limits()
own = {name: resource.getrlimit(number) for name, number in resources._NUMBERS.items()}
resources.give_back(before)
again = {name: resource.getrlimit(number) for name, number in resources._NUMBERS.items()}
assert again == before
print(*own["nofile"], *own["data"])
"""


def own_limits(nofile: tuple[int, int], data: tuple[int, int]) -> list[int]:
    """Soft and hard of both, in a process that began with these."""

    def begin() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, nofile)
        resource.setrlimit(resource.RLIMIT_DATA, data)

    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, preexec_fn=begin, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_descriptors_up_to_the_hard_limit_and_half_a_gibibyte() -> None:
    found = own_limits((256, 512), (UNLIMITED, UNLIMITED))
    assert found == [512, 512, resources.DATA_BYTES, UNLIMITED]


def test_a_lower_limit_of_data_stays() -> None:
    most = 300 << 20
    assert own_limits((256, 512), (most, 1 << 30)) == [512, 512, most, 1 << 30]
    assert own_limits((256, 512), (most, most)) == [512, 512, most, most]


@pytest.mark.parametrize(
    ("platform", "before", "soft"),
    [
        ("linux", (1024, 524_288), 524_288),
        ("linux", (1024, UNLIMITED), 10_240),
        ("darwin", (256, UNLIMITED), 10_240),
        ("darwin", (256, 2560), 2560),
        ("darwin", (256, 1 << 20), 10_240),
        ("darwin", (20_000, UNLIMITED), 20_000),
        ("darwin", (UNLIMITED, UNLIMITED), UNLIMITED),
    ],
)
def test_an_unlimited_hard_limit_is_not_asked_for(
    platform: str, before: tuple[int, int], soft: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[int, tuple[int, int]] = {}
    found = {resource.RLIMIT_NOFILE: before, resource.RLIMIT_DATA: (UNLIMITED, UNLIMITED)}
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrlimit", found.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", asked.__setitem__)
    others = dict.fromkeys(("fsize", "cpu", "as"), (7, 9))
    found |= {resources._NUMBERS[name]: limits for name, limits in others.items()}
    assert resources.set_limits() == {"nofile": before, "data": (UNLIMITED, UNLIMITED)} | others
    assert asked == {
        resource.RLIMIT_NOFILE: (soft, before[1]),
        resource.RLIMIT_DATA: (resources.DATA_BYTES, UNLIMITED),
    } | {resources._NUMBERS[name]: (9, 9) for name in others}


def test_the_daemon_has_them_and_its_jobs_do_not(daemon: Daemon) -> None:
    limited = 'for one in "n 300" "d 900000" "f 500" "t 600" "v 30000000"; do ulimit -S -$one; done'
    limited += '; exec "$@"'
    daemon.command = ["sh", "-c", limited, "sh", *daemon.command]
    process = daemon.start().process
    assert process is not None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    assert resource.prlimit(process.pid, resource.RLIMIT_DATA)[0] == resources.DATA_BYTES
    for number in resources._OF_SHELLS.values():
        soft, hard = resource.prlimit(process.pid, number)
        assert soft == hard
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "for one in n d f t v; do ulimit -$one; done"}))
    daemon.wait_until_done(1)
    found = (daemon.state / "runs/1/output").read_text().split()
    assert found == ["300", "900000", "500", "600", "30000000"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_standard_streams_that_the_caller_closed(daemon: Daemon, closed: str) -> None:
    daemon.command = ["sh", "-c", f'exec "$@" {closed}', "sh", *daemon.command]
    process = daemon.start().process
    assert process is not None
    for fd in range(3):
        at = os.readlink(f"/proc/{process.pid}/fd/{fd}")
        assert at in ("/dev/null", str(daemon.errors)) or not at.startswith(str(daemon.home))
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "print out; print -u2 err; read -r line || print end"}))
    daemon.wait_until_done(1)
    assert (daemon.state / "runs/1/output").read_text() == "out\nerr\nend\n"
    assert daemon.stop() == 0


def test_nothing_of_the_caller_stays_open(daemon: Daemon, home: Path) -> None:
    """Neither a lock of the shell that started the daemon, nor a file of it in a job."""
    lock = os.open(home / "locked", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    daemon.write_jobs('[look]\nrun = ["ls", "/proc/self/fd"]\n')
    daemon.launch(lock)
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1"))
    daemon.wait_until_done(1)
    os.close(lock)
    assert daemon.process is not None
    kept = os.listdir(f"/proc/{daemon.process.pid}/fd")
    files = [os.readlink(f"/proc/{daemon.process.pid}/fd/{fd}") for fd in kept]
    assert str(home / "locked") not in files
    printed = (daemon.state / "runs/1/output").read_text().split()
    assert sorted(map(int, printed))[:3] == [0, 1, 2]
    assert len(printed) == 5  # `ls` reads the folder by one more
    assert "200" in printed


def test_jobs_go_first_where_memory_runs_out(daemon: Daemon) -> None:
    code = "cat /proc/self/oom_score_adj"
    daemon.write_jobs(f'[look]\nrun = "{code}"\n')
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1"))
    daemon.wait_until_done(1)
    assert (daemon.state / "runs/1/output").read_text() == f"{resources.JOBS_OOM_SCORE}\n"


def test_an_oom_score_is_never_lowered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "score").write_text("800")
    monkeypatch.setattr(resources, "_OOM_SCORE", str(home / "score"))
    monkeypatch.setattr(launch, "_posix_spawn", lambda *_: 7)
    monkeypatch.chdir(home)
    request: Any = {"argv": ["true"], "env": {"PATH": os.environ["PATH"]}, "cwd": str(home)}
    before = os.umask(0o022)
    launch.launch(request | {"limits": {"nofile": [-1, -1]}}, (1, 1), 2)
    os.umask(before)
    assert (home / "score").read_text() == "800"


def test_a_sandbox_that_allows_no_priorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job runs all the same, as with `SystemCallFilter=~@resources` in a unit of systemd."""
    asked = []

    def refused(*call: int) -> int:
        asked.append(call)
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "setpriority", refused)
    monkeypatch.setattr(resources, "_syscall", lambda *_: -1)
    resources.lower_priority()
    assert asked == [(os.PRIO_PROCESS, 0, 19)]
