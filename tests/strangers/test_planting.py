"""A link, a FIFO or a file of another user lies in the place of one of ours.

None is followed, waited for or written to, the message names it with a remedy, and what
the link points to stays as it was.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faults.world import doctor, status, until, wait_ended
from strangers.world import STRANGER, give, needs_root
from support.daemon import Daemon, Peer, visit

from zdeferd.machine.lock import daemon_pid

pytestmark = needs_root


def a_link(path: Path) -> str:
    target = path.parents[3] / "target"
    target.write_text("theirs")
    give(target)
    path.symlink_to(target)
    give(path)
    return "symlinks are not followed"


def a_fifo(path: Path) -> str:
    os.mkfifo(path)
    give(path)
    return "not a file"


def a_file(path: Path) -> str:
    path.write_text("theirs")
    path.chmod(0o666)
    give(path)
    return f"not owned by you: {path}: uid {STRANGER}"


Plant = Callable[[Path], str]
PLANTS = pytest.mark.parametrize(
    "plant", [a_link, a_fifo, a_file], ids=lambda plant: str(plant.__name__)
)


def untouched(home: Path, path: Path) -> None:
    """Assert that nothing was written through the planted file."""
    if (home / "target").exists():
        assert (home / "target").read_text() == "theirs"
    if path.is_file() and not path.is_symlink():
        assert path.read_text() == "theirs"


@PLANTS
@pytest.mark.parametrize("name", ["lock", "ledger.sqlite3", "ledger.sqlite3-wal"])
def test_where_the_daemons_own_files_go(
    daemon: Daemon, home: Path, name: str, plant: Plant
) -> None:
    daemon.state.mkdir(mode=0o700)
    path = daemon.state / name
    expected = plant(path)
    said = daemon.refusal()
    assert expected in said
    assert str(path) in said
    assert "; " in said, "and what to do"
    untouched(home, path)
    # Nor does anything that only looks wait at a FIFO.
    assert daemon_pid(str(path)) is None
    if name == "ledger.sqlite3":
        assert expected in doctor(daemon)


@PLANTS
def test_where_the_daemons_log_goes(daemon: Daemon, home: Path, plant: Plant) -> None:
    daemon.state.mkdir(mode=0o700)
    path = daemon.state / "zdeferd.log"
    expected = plant(path)
    said = daemon.refusal("--detach")
    assert expected in said
    untouched(home, path)


@PLANTS
def test_where_the_shared_log_goes(daemon: Daemon, home: Path, plant: Plant) -> None:
    daemon.start()
    path = daemon.state / "deferred.log"
    plant(path)
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"x": "true"}, {"PATH": os.environ["PATH"]}))
    assert wait_ended(daemon, "x") == [("succeeded", 0)]
    daemon.wait_for("SELECT count(*) > 0 FROM lines WHERE problem IS NOT NULL", 1)
    words: dict[Plant, str]
    words = {a_link: "is a symlink", a_fifo: "not a regular file", a_file: "is not yours"}
    assert words[plant] in status(daemon)
    untouched(home, path)


@PLANTS
@pytest.mark.parametrize("name", ["state", "socket"])
def test_where_a_folder_goes(daemon: Daemon, home: Path, name: str, plant: Plant) -> None:
    path = daemon.state if name == "state" else daemon.socket.parent
    if plant is a_file:
        path.mkdir(mode=0o777)
        give(path)
        expected = f"not owned by you: {path}"
    elif plant is a_link:
        (home / "target").mkdir(mode=0o777)
        path.symlink_to(give(home / "target"))
        expected = "symlinks are not followed"
    else:
        plant(path)
        expected = "not a folder"
    assert expected in daemon.refusal()
    if plant is not a_fifo:
        assert list(path.iterdir()) == []


# --- in a run's folder, should a stranger ever get there -------------------------


def run_all(daemon: Daemon, home: Path, jobs: int) -> None:
    """So many jobs at once, whose runs are numbered from 1 on; each notes that it ran."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    codes = {f"x{n}": f"print out; print x >> {home}/count{n}" for n in range(1, jobs + 1)}
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, codes, environ))


def ran_once(daemon: Daemon, home: Path, jobs: int) -> None:
    """Until all have, and none twice."""
    for number in range(1, jobs + 1):
        assert wait_ended(daemon, f"x{number}") == [("succeeded", 0)]
        assert (home / f"count{number}").read_text() == "x\n"


def plant_in_runs(daemon: Daemon, names: list[tuple[str, Plant]]) -> list[Path]:
    """Something in the way in the folder of each run to come."""
    daemon.write_settings("jobs_at_once = 16\n")
    daemon.start()
    target = daemon.home / "target"
    target.write_text("theirs")
    planted = []
    for number, (name, plant) in enumerate(names, 1):
        path = daemon.state / f"runs/{number}/{name}"
        path.parent.mkdir(mode=0o700)
        if plant is a_link:
            path.symlink_to(target)
        else:
            plant(path)
        planted.append(path)
    return planted


def both(*names: str) -> list[tuple[str, Plant]]:
    return [(name, plant) for name in names for plant in (a_link, a_fifo)]


def test_what_does_not_matter_is_put_aside(daemon: Daemon, home: Path) -> None:
    """The run goes on without it, once, with its own outcome."""
    plant_in_runs(daemon, both("output", "started.1", "outcome.json"))
    run_all(daemon, home, 6)
    ran_once(daemon, home, 6)
    untouched(home, home / "target")


def test_what_matters_holds_the_run_up_until_it_is_gone(daemon: Daemon, home: Path) -> None:
    planted = plant_in_runs(daemon, [*both("script", "outcome.json.tmp"), ("job.lock", a_link)])
    run_all(daemon, home, 5)
    for path in planted:
        reason = "cannot make a process" if path.name == "job.lock" else str(path)
        until(lambda reason=reason: reason in daemon.errors.read_text())  # type: ignore[misc]
    assert str(planted[0]) in doctor(daemon)
    assert list(home.glob("count*")) == []
    untouched(home, home / "target")
    for path in planted:
        path.unlink()
    ran_once(daemon, home, 5)


def test_a_run_folder_that_is_not_ours(daemon: Daemon, home: Path) -> None:
    daemon.write_settings("jobs_at_once = 16\n")
    daemon.start()
    link, theirs = daemon.state / "runs/1", daemon.state / "runs/2"
    (home / "target").mkdir(mode=0o777)
    link.symlink_to(give(home / "target"))
    theirs.mkdir(mode=0o700)
    give(theirs)
    run_all(daemon, home, 2)
    until(lambda: "of yours" in daemon.errors.read_text())
    assert f"not a folder of yours: {link}" in doctor(daemon)
    assert list((home / "target").iterdir()) == []
    link.unlink()
    until(lambda: f"not a folder of yours: {theirs}" in daemon.errors.read_text())
    assert list(theirs.iterdir()) == []
    theirs.rmdir()
    ran_once(daemon, home, 2)


def test_a_strangers_fifo_is_not_listened_to(daemon: Daemon, home: Path) -> None:
    daemon.start()
    alive = daemon.state / "runs/1/alive"
    alive.parent.mkdir(mode=0o700)
    os.mkfifo(alive)
    give(alive)
    run_all(daemon, home, 1)
    until(lambda: f"not a FIFO of yours: {alive}" in daemon.errors.read_text())
    alive.unlink()
    ran_once(daemon, home, 1)


def test_zdeferctl_status_does_not_wait_at_a_fifo(daemon: Daemon) -> None:
    daemon.state.mkdir(mode=0o700)
    os.mkfifo(daemon.state / "ledger.sqlite3")
    os.mkfifo(daemon.state / "lock")
    done = daemon.run("zdeferd.cli", "status")
    assert done.returncode == 1
    assert "not a file" in done.stderr
    assert done.stderr.count("\n") == 1
