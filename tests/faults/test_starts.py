"""A run that cannot be started holds up itself, and no other; old folders stay unused."""

import os
import shutil
from pathlib import Path

from faults.world import lines_of, prompt, until, wait_ended
from support.daemon import Daemon, Peer, visit


def blocked(daemon: Daemon, number: int) -> Path:
    """Something in the way of that run's folder."""
    path = daemon.state / f"runs/{number}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text("in the way")
    return path


def test_one_run_that_cannot_start_starves_no_other(daemon: Daemon, home: Path) -> None:
    daemon.start()
    way = blocked(daemon, 1)
    with Peer(daemon.socket) as peer:
        environ = {"PATH": os.environ["PATH"]}
        peer.ask(visit("n1", 1, {"first": "true", "second": "true", "third": "true"}, environ))
        assert wait_ended(daemon, "third") == [("succeeded", 0)]
        assert wait_ended(daemon, "second") == [("succeeded", 0)]
        assert wait_ended(daemon, "first", 0) == []
        # A run that is claimed while it is put off does not wait with it.
        assert peer.ask(visit("n2", 1, {"fourth": "true"}, environ))[0] == b"ok"
        assert wait_ended(daemon, "fourth") == [("succeeded", 0)]
    way.unlink()
    assert wait_ended(daemon, "first") == [("succeeded", 0)]
    daemon.wait_until_done(4)


def test_a_new_ledger_takes_no_run_folder_of_an_old_one(daemon: Daemon, home: Path) -> None:
    """The ledger went while a job ran: its outcome is not the outcome of a later run."""
    os.mkfifo(home / "gate")
    log = home / "seg.log"
    daemon.start()
    prompt(daemon, "old", f"print x >> {home}/old; read < {home}/gate; exit 9", log)
    until((home / "old").exists)
    daemon.kill()
    (home / "gate").write_text("go\n")
    until((daemon.state / "runs/1/outcome.json").exists)
    for path in daemon.state.glob("ledger.sqlite3*"):
        path.unlink()
    daemon.start()
    prompt(daemon, "new", f"print x >> {home}/new", log)
    assert wait_ended(daemon, "new") == [("succeeded", 0)]
    assert (home / "new").read_text() == "x\n"
    assert daemon.rows("SELECT id FROM runs") == [(2,)]
    daemon.wait_until_done(1)
    assert lines_of(log, job="old") == []
    shutil.rmtree(daemon.state / "runs/1")
