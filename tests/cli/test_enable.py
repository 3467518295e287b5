"""`zdeferctl enable`: events claim the job again."""

from support.daemon import Daemon, Peer, visit
from support.user import User, call

JOBS = '[daily]\nrun = "true"\nonce_per = "day"\n[other]\nrun = "true"\nonce_per = "shell"\n'
RUNS = "SELECT group_concat(job) FROM runs WHERE state = 'ended'"


def prompt(daemon: Daemon, nonce: str) -> None:
    """A new shell shows its prompt."""
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit(nonce, 1, {}))[0] == b"ok"


def test_it_is_claimed_again(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("disable", "daily")
    prompt(daemon, "n1")
    daemon.wait_for(RUNS, "other")
    assert call("enable", "daily") == (0, "daily: enabled\n", "")
    assert call("enable", "daily").out == "daily: already enabled\n"
    prompt(daemon, "n2")
    daemon.wait_for("SELECT count(*) FROM runs WHERE job = 'daily' AND state = 'ended'", 1)


def test_unknown_job_and_no_daemon(user: User, daemon: Daemon) -> None:
    assert call("enable", "nothing").code == 3
    daemon.start()
    refused = call("enable", "nothing")
    assert (refused.code, refused.out) == (1, "")
    assert "no such job: nothing; `zdeferctl jobs` lists them" in refused.err
