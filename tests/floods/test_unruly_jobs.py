"""Jobs that print without end, multiply, do not listen, hide, let go of all, or stop themselves."""

import contextlib
import os
from pathlib import Path

from floods.crowd import Bystander, Signs, until
from support.daemon import Daemon, Peer, visit

PRINTED = 1 << 28
"""Bytes; the campaign has a job print 1 GiB."""
OUTPUT_LIMIT = 1 << 20
GROWTH_KIB = 16 << 10
CLOSE_ALL = "import os; os.closerange(0, 4096); os.execvp('sleep', ['sleep', '0.1'])"

JOBS = {
    "prints": (f"head -c {PRINTED} /dev/zero", "10m", "succeeded"),
    "multiplies": ("for i in {1..300}; do sleep 300 & done; return 0", "10m", "succeeded"),
    "does-not-listen": ("trap '' TERM HUP INT; while :; do sleep 300; done", "300ms", "timed_out"),
    "hides": ("( ( trap '' TERM; sleep 300 ) & ) ; setsid sleep 300 &!", "10m", "succeeded"),
    "lets-go": (f'python3 -c "{CLOSE_ALL}"', "10m", "succeeded"),
    "stops-itself": ("kill -STOP $$", "300ms", "timed_out"),
}


def processes_of(home: Path) -> list[int]:
    """Whose environment has this home, but the daemon's own."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HOME={home}/of-jobs".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def test_unruly_jobs(daemon: Daemon) -> None:
    daemon.write_settings('jobs_at_once = 4\nkill_grace = "200ms"\noutput_limit = "1MiB"')
    daemon.start()
    (daemon.home / "of-jobs").mkdir()
    assert daemon.process is not None
    signs = Signs(daemon.process.pid)
    before = signs.rss_kib()
    environ = {"HOME": f"{daemon.home}/of-jobs", "PATH": os.environ["PATH"]}
    with Peer(daemon.socket) as peer, Bystander(daemon.socket, pause_s=0.01) as shells:
        for number, (name, (code, limit, _)) in enumerate(JOBS.items()):
            peer.ask(visit(f"n{number}", 1, {name: code}, environ, timeout=limit))
        daemon.wait_until_done(len(JOBS))
    outcomes = dict(daemon.rows("SELECT job, outcome FROM runs"))
    assert outcomes == {name: outcome for name, (_, _, outcome) in JOBS.items()}
    until(lambda: not processes_of(daemon.home), "nothing of them is left")
    (run, printed), *_ = daemon.rows("SELECT id, output_bytes FROM runs WHERE job = 'prints'")
    assert printed == PRINTED
    assert (daemon.state / f"runs/{run}/output").stat().st_size < OUTPUT_LIMIT + 100
    answers = shells.answers()
    assert answers.unanswered == 0 < answers.asked
    assert signs.peak_kib() - before < GROWTH_KIB
    assert signs.wake_ups_at_rest(0.5) == 0
