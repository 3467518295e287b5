"""What jobs make, and when that is due again: with a real daemon."""

from support.daemon import Daemon, Peer, visit

JOBS = """
[made]
run = ["/bin/echo", "made"]
output = "$XDG_CACHE_HOME/made"
once_per = "change"
watch = ["env:XDG_CACHE_HOME"]

[nothing]
run = ["true"]
output = "~/nothing"
"""


def test_an_output_is_published_and_a_refusal_is_in_the_ledger(daemon: Daemon) -> None:
    daemon.write_jobs(JOBS)
    daemon.start()
    home = str(daemon.home)
    with Peer(daemon.socket) as peer:
        for number, cache in enumerate(("one", "one", "two"), 1):
            env = {"HOME": home, "XDG_CACHE_HOME": f"{home}/{cache}"}
            assert peer.ask(visit(f"n{number}", 1, {}, env))[0] == b"ok"
            daemon.wait_for("SELECT count(*) FROM runs WHERE state != 'ended'", 0)
    for cache in ("one", "two"):
        assert (daemon.home / cache / "made").read_text() == "made\n"
    made = daemon.rows("SELECT key, outcome, rc, refusal FROM runs WHERE job = 'made'")
    assert made == [("change:1", "succeeded", 0, None), ("change:2", "succeeded", 0, None)]
    refused = daemon.rows("SELECT DISTINCT outcome, rc, refusal FROM runs WHERE job = 'nothing'")
    assert refused == [("failed", 65, "it is empty; `empty = true` allows that")]
    assert not (daemon.home / "nothing").exists()
