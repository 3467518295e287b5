"""A job in a cgroup of its own: all of it is ended and counted, and nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import cgroups
from support.daemon import Daemon, Peer, visit
from support.spawning import Spawner, Started, until, wait_gone

from zdeferd.judging import leftovers
from zdeferd.processes import cgroup, tree
from zdeferd.rules.verdicts import Vanished

pytestmark = pytest.mark.skipif(bool(cgroups.why_not()), reason=cgroups.why_not())
HIDDEN = """
import os, sys
os.closerange(3, 1024)
os.setsid()
if os.fork() == 0:
    with open(sys.argv[1], "a") as phone: phone.write(f"{os.getpid()}\\n")
    os.execvp("sleep", ["sleep", "1000"])
"""
"""A process without the job's lock, in a session of its own, that nobody waits for."""


@pytest.fixture
def base() -> Iterator[Path]:
    with cgroups.delegated() as base:
        for name in (cgroup.OWN, cgroup.RUNS):
            (base / name).mkdir()
        yield base


def start(spawner: Spawner, base: Path, script: str, **fields: Any) -> Started:
    return spawner.start(script=script, cgroup=str(base), **fields)


def test_a_job_is_in_its_own_and_its_runner_is_not(spawner: Spawner, base: Path) -> None:
    phone, gate = spawner.telephone(), spawner.telephone()
    run = start(spawner, base, f"echo $$ >> {phone}; read line < {gate}").wait_started()
    job, runner = int(phone.line()), run.answer["pid"]
    assert cgroup.members(str(base / "runs/1.1")) == [job]
    until(lambda: str(runner) in (base / "zdeferd/cgroup.procs").read_text().split())
    with gate.path.open("w") as opened:
        opened.write("go\n")
    assert run.outcome()["rc"] == 0
    until(lambda: not (base / "runs/1.1").exists())


def test_what_a_vanished_runner_leaves_is_ended_whole(spawner: Spawner, base: Path) -> None:
    phone = spawner.telephone()
    (spawner.base / "hidden.py").write_text(HIDDEN)
    hide = f"{sys.executable} -I -S {spawner.base}/hidden.py {phone}"
    run = start(spawner, base, f"{hide}; sleep 1000").wait_started()
    hidden = phone.pidfd()
    bystander = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ, setsid=True)
    os.kill(run.answer["pid"], signal.SIGKILL)
    assert run.verdict() == Vanished()
    assert leftovers.end(run.folder, 0.2)
    wait_gone(hidden)
    assert not (base / "runs/1.1").exists()
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)


def test_all_is_killed_at_once(
    spawner: Spawner, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree that forks without end, at its time limit."""
    code = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); [os.fork() for _ in range(4)]"
    )
    # Each of the 16 waits before it forks: else the machine has no process left for others.
    chain = "while True:\n  time.sleep(0.02)\n  os.fork() or os._exit(0)"
    argv = [sys.executable, "-I", "-S", "-c", f"{code}\n{chain}"]
    run = spawner.start(argv=argv, cgroup=str(base), timeout_ms=500, grace_ms=100)
    assert run.outcome()["ended_by"] == "timeout"
    until(lambda: not (base / "runs/1.1").exists())


def test_children_that_nobody_waits_for_are_counted(spawner: Spawner, base: Path) -> None:
    """A parent that ignores SIGCHLD takes its children out of getrusage's cost."""
    burn = "import os\nwhile sum(os.times()[:2]) < 0.3: sum(range(9999))"
    code = (
        f"import os, signal; signal.signal(17, signal.SIG_IGN)\nif not os.fork():\n exec({burn!r})"
    )
    code += "\nelse:\n try: os.wait()\n except OSError: pass"
    run = spawner.start(argv=[sys.executable, "-I", "-S", "-c", code], cgroup=str(base))
    outcome = run.outcome()
    assert outcome["cpu_user_ms"] + outcome["cpu_system_ms"] >= 290


def test_an_older_jobs_cgroup_is_not_used(spawner: Spawner, base: Path) -> None:
    """The state folder was removed, numbers begin anew, and something of then still runs."""
    (base / "runs/1.1").mkdir()
    words = cgroups.into(base / "runs/1.1", "sleep", "1000")
    with subprocess.Popen(words) as older:
        until(lambda: cgroup.members(str(base / "runs/1.1")) == [older.pid])
        run = start(spawner, base, "sleep 1000", timeout_ms=100, grace_ms=50)
        assert run.outcome()["ended_by"] == "timeout"
        assert run.marks()["cgroup"] == ""
        assert older.poll() is None
        older.kill()


def test_without_a_working_cgroup_the_tree_is_followed(spawner: Spawner, home: Path) -> None:
    """A folder that is no cgroup: a process cannot be moved into it."""
    (home / "base/runs").mkdir(parents=True)
    script = "sleep 1000 & sleep 1000"
    run = start(spawner, home / "base", script, timeout_ms=100, grace_ms=50)
    assert run.outcome()["ended_by"] == "timeout"
    assert tree.session_of(run.marks()["job_pid"]) == []


def test_the_daemon_divides_what_is_its_own(daemon: Daemon) -> None:
    """As a unit with Delegate=yes, also when it begins anew; the next daemon finds it divided."""
    daemon.write_jobs('[look]\nrun = "cat /proc/self/cgroup"\n')
    with cgroups.delegated() as base:
        (base / "runs/7.1").mkdir(parents=True)
        daemon.command = cgroups.into(base, *daemon.command)
        for run in (1, 2):
            daemon.start()
            with Peer(daemon.socket) as peer:
                peer.ask(visit(f"n{run}"))
            daemon.wait_until_done(run)
            printed = (daemon.state / f"runs/{run}/output").read_text()
            assert f"0::/{base.name}/runs/{run}.1\n" in printed
            assert not (base / "runs/7.1").exists()
            assert daemon.process is not None
            assert cgroup.members(str(base / "zdeferd"))[0] == daemon.process.pid
            daemon.kill()


def test_a_cgroup_with_other_processes_is_not_divided(daemon: Daemon) -> None:
    with cgroups.delegated() as base:
        words = cgroups.into(base, "sleep", "1000")
        with subprocess.Popen(words) as other:
            until(lambda: cgroup.members(str(base)) == [other.pid])
            daemon.command = cgroups.into(base, *daemon.command)
            daemon.start()
            assert not (base / "runs").exists()
            daemon.stop()
            other.kill()
