"""`zdeferctl pause`: nothing starts, across crashes; what runs goes on."""

import os

from support.daemon import Daemon
from support.user import User, call, wait_for_file

JOBS = (
    '[slow]\nrun = ["sh", "-c", ": >here; read x <gate"]\n[next]\nrun = "true"\n'
    '[rest]\nrun = "true"\non = ["idle"]\n'
)


def test_what_runs_goes_on_and_nothing_starts_after_a_crash(user: User, daemon: Daemon) -> None:
    os.mkfifo(user.root / "gate")
    daemon.write_jobs(JOBS)
    daemon.start()
    call("run", "slow", "--no-wait")
    wait_for_file(user.root / "here")
    assert call("pause").out == "postprompt lane: paused\nidle lane: paused\n"
    assert call("pause", "idle").out == "idle lane: already paused\n"
    (user.root / "gate").write_text("go\n")
    daemon.wait_for("SELECT outcome FROM runs WHERE id = 1", "succeeded")
    call("run", "next", "--no-wait")
    daemon.kill()
    daemon.start()
    call("run", "next", "--no-wait")
    assert "postprompt lane since" in call("status").out
    assert set(call("status", "--json").document["paused"]) == {"idle", "postprompt"}
    why = call("why", "next")
    assert "waits in the postprompt lane, which is paused" in why.out
    call("resume", "postprompt")
    daemon.wait_for("SELECT count(*) FROM runs WHERE outcome = 'succeeded'", 3)
    assert list(call("status", "--json").document["paused"]) == ["idle"]


def test_a_run_by_hand_says_why_it_waits(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("pause", "idle")
    assert call("run", "rest", "--no-wait").err == ""
    call("pause")
    result = call("run", "next", "rest", "--no-wait")
    assert result.code == 0
    assert result.err == (
        "zdeferctl: postprompt lane is paused: runs 2, 3 wait; zdeferctl resume postprompt\n"
    )


def test_a_lane_that_there_is_not(user: User) -> None:
    wrong = call("pause", "fast")
    assert wrong.code == 2
    assert "invalid choice: 'fast'" in wrong.err


def test_no_daemon(user: User) -> None:
    assert call("pause").code == 3
