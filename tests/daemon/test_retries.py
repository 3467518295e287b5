"""The key `retry`: a job that fails is tried again, each time as a run of its own."""

from pathlib import Path

from support.daemon import Daemon, Peer, environment, visit
from support.user import User, call

from zdeferd.rules.backoff import SPREAD

ENDED = "SELECT count(*) FROM runs WHERE state = 'ended'"
FAILS = '[fails]\nrun = "exit 3"\nonce_per = "boot"\n'


def begin(daemon: Daemon, jobs: str) -> None:
    """A daemon with these jobs, and a shell that makes them due."""
    daemon.write_jobs(jobs)
    daemon.start()
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("n1", 1, {}, environment(daemon.home)))[0] == b"ok"


def test_three_runs_and_a_line_of_each(daemon: Daemon) -> None:
    begin(daemon, FAILS + 'retry = { attempts = 3, backoff = "0.1s" }\n')
    daemon.wait_for(ENDED, 3)
    rows = daemon.rows("SELECT retry, retry_of, rc, batch IS NULL FROM runs ORDER BY id")
    assert rows == [(0, None, 3, 0), (1, 1, 3, 1), (2, 2, 3, 1)]
    keys = [row[0] for row in daemon.rows("SELECT key FROM claims ORDER BY run")]
    assert [key.partition(":")[0] for key in keys] == ["boot", "retry", "retry"]
    waits = daemon.rows(
        "SELECT next.retry_at - runs.ended_at, next.started_at >= next.retry_at FROM runs"
        " JOIN runs AS next ON next.retry_of = runs.id ORDER BY runs.id"
    )
    for (wait_s, in_time), least in zip(waits, (0.1, 0.2), strict=True):
        assert least <= wait_s <= least * (1 + SPREAD) + 0.001
        assert in_time
    daemon.wait_until_done(3)
    lines = [line for line in daemon.log() if line.startswith("DEFERRED id=fails")]
    assert len(lines) == 3


def test_it_ends_where_a_run_succeeds(daemon: Daemon) -> None:
    code = "[[ -e $HOME/again ]] || { : >$HOME/again; sleep 600 }"
    begin(daemon, f'[slow]\nrun = "{code}"\ntimeout = "3s"\nretry = "5:0.1s"\n')
    daemon.wait_for("SELECT group_concat(outcome) FROM runs", "timed_out,succeeded")
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]


def test_it_survives_a_crash_and_why_and_show_say_when(user: User, daemon: Daemon) -> None:
    begin(daemon, FAILS + 'retry = { attempts = 2, backoff = "10m" }\n')
    daemon.wait_for(ENDED, 1)
    daemon.kill()
    daemon.start()
    why = call("why", "fails", "--json").document
    assert why["code"] == "waits_to_retry"
    assert "failed 1 time and is tried again at " in why["sentence"]
    run = call("show", "2", "--json").document["run"]
    assert (run["retry"], run["retry_of"], run["state"]) == (1, 1, "claimed")
    assert "number 1, of run 1, at " in call("show", "2").out
    assert call("cancel", "fails").out == "run 2 of fails: cancelled\n"
    assert daemon.rows("SELECT count(*) FROM runs") == [(2,)]


def test_a_run_that_is_cancelled_or_of_a_disabled_job_is_not_tried_again(
    user: User, daemon: Daemon
) -> None:
    begin(
        daemon,
        f'[slow]\nrun = ["sh", "-c", ": >here; read x <gate"]\n{FAILS}retry = "9:0.1s"\n',
    )
    daemon.wait_for("SELECT count(*) FROM runs WHERE state = 'dispatched'", 1)
    call("disable", "fails")
    call("cancel", "slow")
    daemon.wait_for(ENDED, 2)
    assert daemon.rows("SELECT job, outcome FROM runs ORDER BY id") == [
        ("slow", "cancelled"),
        ("fails", "failed"),
    ]


def test_a_run_by_hand_says_when_it_is_tried_again(user: User, home: Path, daemon: Daemon) -> None:
    daemon.write_jobs(FAILS + 'retry = "2:10m"\n')
    daemon.start()
    ran = call("run", "fails")
    assert ran.code == 1
    assert "tried again at " in ran.out
    assert "as run 2" in ran.out
