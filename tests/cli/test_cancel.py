"""`zdeferctl cancel`: ends what runs, and what waits before it starts."""

from ctl import User, call, claim, end, wait_for_file
from running import Daemon


def test_a_running_and_a_waiting_run(user: User, daemon: Daemon) -> None:
    daemon.write_jobs('[slow]\nrun = ["sleep", "600"]\n[next]\nrun = "true"\n')
    daemon.start()
    call("run", "slow", "--no-wait")
    call("run", "next", "--no-wait")
    wait_for_file(user.state / "runs/1/started.1")
    assert call("cancel", "2") == (0, "run 2 of next: cancelled\n", "")
    document = call("cancel", "1", "--json").document
    assert document["outcome"] == "cancelled"
    assert document["rc"] == 143
    again = call("cancel", "1")
    assert again.code == 1
    assert "run has ended before: 1 (cancelled)" in again.err


def test_unknown_run(user: User) -> None:
    result = call("cancel", "7")
    assert result.code == 1
    assert "no such run: 7" in result.err


def test_no_daemon(user: User) -> None:
    ledger = user.ledger()
    run = claim(ledger, "build")
    assert call("cancel", str(run)).code == 3
    end(ledger, run)
    assert call("cancel", str(run)).code == 1
