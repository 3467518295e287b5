"""`zdeferctl resume`: runs that waited start, in the order of their claims."""

from support.daemon import Daemon
from support.user import User, call

JOBS = '[one]\nrun = "true"\n[two]\nrun = "true"\n'


def test_what_waited_starts_in_order(user: User, daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    call("pause", "postprompt")
    for job in ("two", "one"):
        call("run", job, "--no-wait")
    assert call("resume", "--json").document["lanes"] == [
        {"lane": "postprompt", "paused": False, "changed": True},
        {"lane": "idle", "paused": False, "changed": False},
    ]
    daemon.wait_for("SELECT count(*) FROM runs WHERE outcome = 'succeeded'", 2)
    rows = daemon.rows("SELECT job FROM runs ORDER BY dispatched_at")
    assert rows == [("two",), ("one",)]
    assert call("resume", "idle").out == "idle lane: was not paused\n"
