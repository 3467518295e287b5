"""`zdeferctl retry`: the work of a run that did not succeed, as it was claimed."""

import os

from shell.peer import wait_until
from support.daemon import Daemon, Peer, visit
from support.user import User, call

FAILS = "[build]\nrun = 'print -r -- $WORD; [[ -e $HOME/mended ]]'\n"


def test_the_work_is_as_it_was_claimed(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(FAILS + 'env = { WORD = "old" }\n')
    daemon.start()
    assert call("run", "build").code == 1
    daemon.write_jobs('[build]\nrun = "print new"\n')
    again = call("retry", "1")
    assert (again.code, "run 2" in again.out) == (1, True)
    (user.root / "mended").touch()
    assert call("retry", "build").code == 0
    assert call("log", "3").out == "old\n"
    assert call("show", "3", "--json").document["run"]["retry_of"] == 2
    assert daemon.rows("SELECT count(DISTINCT key) FROM runs") == [(3,)]


def test_what_is_not_kept_is_refused(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[good]\nrun = "true"\n' + FAILS)
    daemon.start()
    call("run", "good")
    refused = call("retry", "1")
    assert refused.code == 1
    assert "cannot retry run 1: its work is not kept; of each job the latest run" in refused.err
    call("pause")
    call("run", "good", "--no-wait")
    assert "cannot retry run 2: it has not ended" in call("retry", "2").err
    assert "no such run: 9" in call("retry", "9").err


def test_it_does_not_wait(user: User, daemon: Daemon) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"mine": "return 3"}))
    daemon.wait_for("SELECT outcome FROM runs", "failed")
    assert call("retry", "1", "--no-wait").out == "run 2 of mine is queued\n"
    daemon.wait_for("SELECT rc FROM runs WHERE id = 2", 3)


def test_of_runs_that_overlapped_the_one_that_ended_last_is_meant(
    user: User, daemon: Daemon
) -> None:
    gates = {}
    for number in (1, 2):
        os.mkfifo(user.root / f"gate{number}")
        gates[number] = os.open(user.root / f"gate{number}", os.O_RDWR)
    daemon.write_settings("jobs_at_once = 2\n")
    daemon.write_jobs(
        "[build]\nrun = 'n=2; mkdir $HOME/first 2>/dev/null && n=1; read <$HOME/gate$n; false'\n"
    )
    daemon.start()
    call("run", "build", "--no-wait")
    wait_until((user.root / "first").exists, "the first run waits at its gate")
    call("run", "build", "--no-wait")
    for run in (2, 1):
        os.write(gates[run], b"\n")
        daemon.wait_for(f"SELECT outcome FROM runs WHERE id = {run}", "failed")
        os.close(gates[run])
    call("pause")
    assert call("retry", "build", "--no-wait").code == 0
    assert call("show", "3", "--json").document["run"]["retry_of"] == 1
