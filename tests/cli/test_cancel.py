"""`zdeferctl cancel`: ends what runs, and what waits before it starts."""

from support.daemon import Daemon
from support.user import User, call, claim, end, wait_for_file

JOBS = '[slow]\nrun = ["sh", "-c", ": >here; exec sleep 600"]\n[next]\nrun = "true"\n'
"""The first says that it runs by a file in its home."""


def test_a_running_and_a_waiting_run(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("run", "slow", "--no-wait")
    call("run", "next", "--no-wait")
    wait_for_file(user.root / "here")
    assert call("cancel", "2") == (0, "run 2 of next: cancelled\n", "")
    document = call("cancel", "1", "--json").document
    assert document["runs"][0] == {
        "run": 1, "job": "slow", "ended_before": False, "outcome": "cancelled", "rc": 143,
    }  # fmt: skip
    again = call("cancel", "1")
    assert again == (1, "run 1 of slow had ended before: cancelled\n", "")


def test_several_and_all_of_a_job(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    for job in ("slow", "slow", "slow", "next", "next"):
        call("run", job, "--no-wait")
    wait_for_file(user.root / "here")
    assert call("cancel", "4", "5", "4").out == (
        "run 5 of next: cancelled\nrun 4 of next: cancelled\n"
    )
    assert call("cancel", "slow").out == "".join(
        f"run {run} of slow: cancelled\n" for run in (3, 2, 1)
    )
    assert daemon.rows("SELECT count(*) FROM runs WHERE started_at IS NOT NULL") == [(1,)]
    none = call("cancel", "slow")
    assert none.code == 1
    assert "no run of slow waits or runs" in none.err
    assert "no such job: slaw; did you mean slow?" in call("cancel", "slaw").err


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
