"""A daemon with a run that waits for power: it rests, and leaves that to the kernel."""

import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from support.daemon import Daemon, Peer, visit

from zdeferd.conditions import Power
from zdeferd.senses.power import power

REST_S = 2.0


def switches(pid: int) -> int:
    """Context switches of all threads of a process so far."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for line in (thread / "status").read_text().splitlines():
            total += int(line.split()[1]) if "ctxt_switches" in line else 0
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="the count of switches is Linux's")
def test_a_run_that_waits_for_power_wakes_up_nobody(daemon: Daemon) -> None:
    other = Power.BATTERY if power() is Power.AC else Power.AC
    when = f'when = {{ power = "{other}", load_below = 99 }}'
    daemon.write_jobs(f'[needy]\nrun = ["true"]\nonce_per = "ever"\n{when}\n')
    daemon.start()
    assert daemon.process is not None
    with Peer(daemon.socket) as peer:
        assert peer.ask(visit("n1"))[0] == b"ok"
    daemon.wait_for("SELECT state FROM runs", "claimed")
    daemon.wait_for("SELECT count(*) FROM lines", 0)
    counts = [switches(daemon.process.pid)]
    for _ in range(3):  # the work of the visit may still be ending in the first span
        time.sleep(REST_S)  # a span of time is what is measured
        counts.append(switches(daemon.process.pid))
    assert min(after - before for before, after in pairwise(counts)) == 0
    assert daemon.rows("SELECT state, outcome FROM runs") == [("claimed", None)]
