"""Lock, ledger, socket or folder are removed under the daemon: it begins anew by itself."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from faults.world import doctor, ended, heals, needs_linux, prompt, until, wait_ended
from support.daemon import Daemon, Peer, visit

import zdeferd
from zdeferd.machine.lock import daemon_pid

pytestmark = needs_linux


def begun_anew(daemon: Daemon) -> None:
    """Until the daemon has said so and serves again, in the same process."""
    assert daemon.process is not None
    pid = daemon.process.pid

    def serves_again() -> bool:
        said = daemon.errors.read_text()
        # More than once where it began before the last file of the old folder was removed.
        begun = said.count("zdeferd begins anew")
        serves = said.count(f"serves {daemon.socket}")
        places = (daemon.socket, daemon.state / "ledger.sqlite3")  # else it begins once more
        is_there = daemon_pid(str(daemon.state / "lock")) == pid and all(p.exists() for p in places)
        return 0 < begun == serves - 1 and is_there

    until(serves_again, "it did not come back")


def fresh(daemon: Daemon, job: str) -> None:
    """A new shell's job runs, in the ledger that is at the path now."""
    prompt(daemon, job, "true")
    assert wait_ended(daemon, job) == [("succeeded", 0)]
    assert "bad state" not in doctor(daemon)


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_the_state_folder_is_taken_away(daemon: Daemon, how: str) -> None:
    daemon.start()
    fresh(daemon, "before")
    if how == "removed":
        shutil.rmtree(daemon.state, ignore_errors=True)
    else:
        daemon.state.rename(daemon.home / "elsewhere")
    begun_anew(daemon)
    fresh(daemon, "after")
    assert ended(daemon, "before") == []
    assert (daemon.state / "lock").read_text() == f"{daemon.process.pid}\n"  # type: ignore[union-attr]


def test_the_program_is_replaced_before_its_first_job(daemon: Daemon) -> None:
    """An upgrade removes the files of the version that runs; the job is that of the next."""
    library = daemon.home / "lib"
    shutil.copytree(Path(zdeferd.__file__).parent, library / "zdeferd")
    code = f"import sys; sys.path.insert(0, {str(library)!r}); from zdeferd.daemon.main import main"
    daemon.command = [sys.executable, "-c", f"{code}; sys.exit(main())"]
    daemon.start()
    shutil.copytree(library, daemon.home / "new")
    shutil.rmtree(library)
    (daemon.home / "new").rename(library)
    prompt(daemon, "job", "true")
    begun_anew(daemon)
    assert wait_ended(daemon, "job") == [("succeeded", 0)]
    assert f"gone or replaced: {library}" in daemon.errors.read_text()


def test_a_folder_further_up_is_moved_away(daemon: Daemon) -> None:
    """No event announces this one: the next visit finds it, and is sent again."""
    daemon.start()
    fresh(daemon, "before")
    (daemon.home / ".local").rename(daemon.home / "elsewhere")
    with Peer(daemon.socket) as peer:
        peer.send(visit("n1", 1, {"lost": "true"}))
        begun_anew(daemon)
        assert not peer.socket.poll(0), "what is not durable is not answered"
    fresh(daemon, "after")


def test_the_ledger_is_moved_away(daemon: Daemon) -> None:
    daemon.start()
    fresh(daemon, "before")
    kept = daemon.home / "kept.sqlite3"
    (daemon.state / "ledger.sqlite3").rename(kept)
    begun_anew(daemon)
    fresh(daemon, "after")
    assert kept.stat().st_size > 0


def test_the_socket_is_removed(daemon: Daemon) -> None:
    daemon.start()
    fresh(daemon, "before")
    daemon.socket.unlink()
    begun_anew(daemon)
    fresh(daemon, "after")
    assert ended(daemon, "before") == [("succeeded", 0)]


def test_the_socket_is_replaced(daemon: Daemon) -> None:
    daemon.start()
    other = daemon.home / "other"
    other.write_text("")
    other.rename(daemon.socket)
    begun_anew(daemon)
    fresh(daemon, "after")


def test_a_job_outlives_the_state_folder_and_is_not_run_twice(daemon: Daemon, home: Path) -> None:
    os.mkfifo(home / "gate")
    daemon.start()
    prompt(daemon, "slow", f"echo x >> {home}/count; read < {home}/gate")
    until((home / "count").exists)
    shutil.rmtree(daemon.state, ignore_errors=True)
    begun_anew(daemon)
    (home / "gate").write_text("go\n")
    fresh(daemon, "after")
    assert (home / "count").read_text() == "x\n"
    assert daemon.rows("SELECT count(*) FROM runs WHERE job = 'slow'") == [(0,)]


@pytest.mark.parametrize("restarted", [False, True])
def test_the_runs_folder_is_removed_under_a_job(
    daemon: Daemon, home: Path, restarted: bool
) -> None:
    """Its outcome cannot be known any more: abandoned, and not started again."""
    os.mkfifo(home / "gate")
    daemon.start()
    prompt(daemon, "slow", f"echo x >> {home}/count; read < {home}/gate")
    until((home / "count").exists)
    if restarted:
        daemon.kill()
    shutil.rmtree(daemon.state / "runs")
    if restarted:
        daemon.start()
    (home / "gate").write_text("go\n")
    assert wait_ended(daemon, "slow") == [("abandoned", 255)]
    fresh(daemon, "after")
    assert (home / "count").read_text() == "x\n"
    heals(daemon)
