"""CPU and wake-ups of `zdeferctl top` while four jobs run, and while none does.

Both tops are in terminals that are read, side by side. A job is a shell and two sleepers, so that
there is a tree to look at. CPU is the scheduler's own count in nanoseconds.
"""

import os
import select
import time
from collections.abc import Sequence
from pathlib import Path

from support.daemon import Daemon
from support.pty import Pty

from zdeferd.wire import control
from zdeferd.wire.client import request

from .contestants import US
from .control import status_words
from .stage import SOURCE, Stage
from .values import Figure

JOBS = 4
SETTLES_S = 4.0
"""Until it has imported, started and looked twice."""
BUSY, IDLE = f"{US}: {JOBS} jobs run", f"{US}: nothing runs"
CPU_PERCENT = 1.0


def measure(stage: Stage) -> list[Figure]:
    """Return both figures."""
    how = f"{stage.size.rest_s:g} s"
    cpu = Figure("top-cpu", "CPU of `zdeferctl top`", "% of a core", how, counts=True)
    wakes = Figure("top-wake-ups", "Wake-ups of `zdeferctl top`", "switches", how, counts=True)
    daemons = {BUSY: _busy(stage), IDLE: stage.daemon()}
    tops = {name: _top(daemon) for name, daemon in daemons.items()}
    try:
        _read(list(tops.values()), min(SETTLES_S, stage.size.rest_s * 4))
        before = {name: _used(top.pid) for name, top in tops.items()}
        took_s = _read(list(tops.values()), stage.size.rest_s)
        for name, top in tops.items():
            cpu_s, switches = (
                now - then for now, then in zip(_used(top.pid), before[name], strict=True)
            )
            cpu.add(name, [cpu_s / took_s * 100])
            wakes.add(name, [switches])
    finally:
        for top in tops.values():
            top.close()
        for daemon in daemons.values():
            stage.close(daemon)
    cpu.goal("%", cpu.p50(BUSY), CPU_PERCENT)
    wakes.goal("wake-ups with nothing running", wakes.p50(IDLE), 0)
    return [cpu, wakes]


def _busy(stage: Stage) -> Daemon:
    daemon = stage.daemon(f"jobs_at_once = {JOBS}\n", start=False)
    names = [f"sleeps-{n}" for n in range(JOBS)]
    daemon.write_jobs("".join(f'[{name}]\nrun = "sleep 600 & sleep 600"\n' for name in names))
    daemon.start()
    for name in names:
        request(str(daemon.socket), control.RunJob(job=name, env={"PATH": os.environ["PATH"]}))
    return daemon


def _top(daemon: Daemon) -> Pty:
    env = daemon.env | {"TERM": "xterm", "PYTHONPATH": str(SOURCE)}
    return Pty(env, (*status_words()[:-1], "top"))


def _read(tops: Sequence[Pty], limit_s: float) -> float:
    """Read what they draw for so long; -> seconds that it took."""
    began = time.monotonic()
    by_fd = {top.fd: top for top in tops}
    while (left := began + limit_s - time.monotonic()) > 0:
        for fd in select.select(list(by_fd), [], [], left)[0]:
            by_fd[fd].take(0)
    return time.monotonic() - began


def _used(pid: int) -> tuple[float, int]:
    """CPU seconds and context switches of a process so far."""
    cpu_s, switches = 0.0, 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        cpu_s += int((thread / "schedstat").read_text().split()[0]) / 1e9
        for line in (thread / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                switches += int(line.split()[1])
    return cpu_s, switches
