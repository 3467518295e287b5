"""`zdeferctl forget`: a job's runs, claims and files go; a run that lives keeps them."""

import io

import pytest
from support.daemon import Daemon, Peer, visit
from support.terminal import Terminal
from support.user import User, call, ctl_script, wait_for_file

JOBS = '[slow]\nrun = ["sh", "-c", ": >here; exec sleep 600"]\n'
JOBS += '[once]\nrun = "true"\nonce_per = "ever"\n'


def test_runs_claims_and_files_go_and_it_is_due_again(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[once]\nrun = "print here"\nonce_per = "ever"\n[other]\nrun = "print 2"\n')
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {}))
        daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'ended'", 2)
        assert call("forget", "once", "--yes") == (0, "forgot once: 1 run\n", "")
        assert daemon.rows("SELECT job FROM runs") == [("other",)]
        assert daemon.rows("SELECT count(*) FROM claims WHERE job = 'once'") == [(0,)]
        assert [path.name for path in (user.state / "runs").iterdir()] == ["2"]
        peer.ask(visit("n2", 1, {}))
        daemon.wait_for("SELECT count(*) FROM runs WHERE job = 'once' AND state = 'ended'", 1)
    assert daemon.rows("SELECT min(id) FROM runs WHERE job = 'once'")[0][0] > 2, "a new number"


def test_a_run_that_lives_is_refused_unless_forced(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    for _ in range(2):
        call("run", "slow", "--no-wait")
    wait_for_file(user.root / "here")
    refused = call("forget", "slow", "--yes")
    assert refused.code == 1
    assert "slow has runs that have not ended: 1, 2; `--force` cancels them first" in refused.err
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]
    done = call("forget", "slow", "--yes", "--force", "--json").document
    assert done["runs"] == 2
    assert daemon.rows("SELECT count(*) FROM runs") == [(0,)]
    assert list((user.state / "runs").iterdir()) == []


def test_a_job_of_a_shell_is_no_longer_known(user: User, daemon: Daemon) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"mine": "true"}))
    daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'ended'", 1)
    call("disable", "mine")
    assert call("forget", "mine", "-y").code == 0
    assert "no such job: mine" in call("forget", "mine", "-y").err
    assert daemon.rows("SELECT count(*) FROM disabled") == [(0,)]


def test_a_file_keeps_its_job_disabled(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("disable", "once")
    call("forget", "once", "-y")
    assert daemon.rows("SELECT job FROM disabled") == [("once",)]


def test_without_a_terminal_it_wants_yes(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.job_file(JOBS)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    refused = call("forget", "once")
    assert (refused.code, "say --yes" in refused.err) == (1, True)


def test_on_a_terminal_it_asks(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("run", "once")
    with Terminal(user.root, f"path=({ctl_script(user).parent} $path)\n") as shell:
        shell.prompt()
        shell.line("zdeferctl forget once")
        shell.expect(r"\[y/N\]")
        shell.line("n")
        shell.expect("nothing was deleted")
    assert daemon.rows("SELECT count(*) FROM runs") == [(1,)]
