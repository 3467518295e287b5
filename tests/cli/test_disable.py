"""`zdeferctl disable`: no event claims the job, whatever restarts."""

from support.daemon import Daemon, Peer, visit
from support.user import User, call

from zdeferd.wire import control

JOBS = '[daily]\nrun = "true"\nonce_per = "day"\n[rest]\nrun = "true"\non = ["idle"]\n'


def test_no_event_claims_it_and_a_restart_changes_nothing(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    assert call("disable", "daily", "rest").out == "daily: disabled\nrest: disabled\n"
    daemon.kill()
    daemon.start()
    assert call("disable", "rest", "--json").document["jobs"] == [
        {"job": "rest", "enabled": False, "changed": False}
    ]
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("n1", 1, {"mine": "true"}))[0] == b"ok"
        assert peer.ask(visit("n1", 2, {}, event=b"idle"))[0] == b"ok"
    daemon.wait_for("SELECT group_concat(job) FROM runs WHERE state = 'ended'", "mine")
    status = call("status")
    assert "daily, rest" in status.out
    assert call("why", "daily", "--json").document["code"] == "disabled"
    assert {job["job"]: job["enabled"] for job in call("jobs", "--json").document["jobs"]} == {
        "daily": False, "rest": False, "mine": True,
    }  # fmt: skip


def test_a_job_that_is_refused_is_told_so_and_the_ones_before_are_named(
    user: User, daemon: Daemon
) -> None:
    daemon.write_jobs(JOBS + "[bad]\nrun = 7\n")
    daemon.start()
    result = call("disable", "daily", "bad", "rest")
    assert result.code == 1
    assert result.err.startswith("zdeferctl: job is refused: bad: ~/.config/zdeferd/jobs.d/")
    assert result.err.endswith("as an array; disabled before: daily; mend it first\n")
    assert call("disable", "nope").err == (
        "zdeferctl: no such job: nope; `zdeferctl jobs` lists them\n"
    )


def test_a_run_by_hand_goes_all_the_same(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("disable", "daily")
    assert call("run", "daily").code == 0


def test_a_job_of_a_shell_is_passed_over(user: User, daemon: Daemon) -> None:
    daemon.start()
    with Peer(daemon.socket) as peer:
        peer.ask(visit("n1", 1, {"mine": "true"}))
        daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'ended'", 1)
        peer.request(control.Switch(job="mine", enabled=False))
        assert peer.ask(visit("n2", 1, {"mine": "true", "other": "true"}))[0] == b"ok"
    daemon.wait_for("SELECT group_concat(job) FROM runs WHERE state = 'ended'", "mine,other")
