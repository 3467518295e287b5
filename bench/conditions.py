"""Times `zdeferctl simulate` over a week with 50 jobs, and counts wake-ups while a run waits.

The jobs have every scope, both triggers, and conditions. The run that
waits asks for the power that the machine does not have, so that no report of the kernel is due.
Wake-ups are context switches of the daemon's and its spawner's threads, as in rest.py.
"""

import os
import sys
import time
from contextlib import ExitStack

from support.daemon import Peer, visit

from zdeferd.conditions import Power
from zdeferd.senses.power import power

from .contestants import US
from .control import BARE_PYTHON, process, status_words
from .rest import family, used
from .stage import Stage, compare, until
from .values import Figure

WEEK_LIMIT_MS = 500.0
JOBS = 50
SCOPES = ("shell", "day", "ever", "change", "boot")
WHEN = '{ power = "ac", load_below = 50, quiet = "2m", not_before = "09:00", deadline = "20:00" }'


def measure(stage: Stage) -> list[Figure]:
    """Return a figure of each."""
    return [_week(stage), _waiting(stage)]


def jobs() -> str:
    """A job file of 50 jobs."""
    text = []
    for number in range(JOBS):
        scope = SCOPES[number % len(SCOPES)]
        text += [f"[job-{number}]", 'run = ["true"]', f'once_per = "{scope}"']
        text += ['watch = ["command:ls", "/etc/*"]'] if scope == "change" else []
        text += ['on = ["idle"]'] if number % 3 == 0 else []
        text += [f"when = {WHEN}"] if number % 4 == 0 else []
        text += [f'after = ["job-{number - 1}"]'] if number % 7 == 6 else []
    return "\n".join(text) + "\n"


def _week(stage: Stage) -> Figure:
    figure = Figure(
        "simulate",
        f"`zdeferctl simulate --for 7d` with {JOBS} jobs",
        "ms",
        "the whole process, its output to /dev/null",
    )
    with ExitStack() as stack:
        daemon = stage.daemon(start=False)
        daemon.write_jobs(jobs())
        daemon.start()
        stack.callback(stage.close, daemon)
        with Peer(daemon.socket) as peer:
            peer.ask(visit("week"))
        words = [*status_words()[:-1], "simulate", "--for", "7d"]
        ways = {
            BARE_PYTHON: process([sys.executable, "-I", "-c", "pass"], os.environ),
            US: process(words, daemon.env),
        }
        for name, values in compare(stage, ways, stage.size.programs).items():
            figure.add(name, values)
    figure.goal("p50, ms", figure.p50(US), WEEK_LIMIT_MS)
    return figure


def _waiting(stage: Stage) -> Figure:
    figure = Figure(
        "waiting-wake-ups",
        "A run waits for power: wake-ups",
        "switches",
        f"{stage.size.rest_s:g} s",
        counts=True,
    )
    other = Power.BATTERY if power() is Power.AC else Power.AC
    daemon = stage.daemon(start=False)
    daemon.write_jobs(f'[needy]\nrun = ["true"]\nwhen = {{ power = "{other}" }}\n')
    daemon.start()
    assert daemon.process is not None
    with Peer(daemon.socket) as peer:
        peer.ask(visit("waits"))
    until(lambda: daemon.rows("SELECT state FROM runs") == [("claimed",)], 20.0, 0.05)
    until(lambda: daemon.rows("SELECT count(*) FROM lines") == [(0,)], 20.0, 0.05)
    time.sleep(min(3.0, stage.size.rest_s))  # the work of the visit is over
    processes = family(daemon.process.pid)
    before = used(processes)
    time.sleep(stage.size.rest_s)
    figure.add(US, [used(processes).switches - before.switches])
    figure.goal("wake-ups", figure.p50(US), 0)
    stage.close(daemon)
    return figure
