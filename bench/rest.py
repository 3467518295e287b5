"""Counts wake-ups, CPU and memory at rest, and processes left after the idle exit.

All contestants rest at the same time, side by side, so that each has the same machine.
Wake-ups are context switches of every thread (/proc/PID/task/*/status), CPU is the
scheduler's own count in nanoseconds, memory is PSS: private pages plus a fair share of
the shared ones. Reading these costs the measured process nothing.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from support import systemd
from support.daemon import Peer, visit
from support.systemd import UserManager

from .contestants import US
from .stage import Stage, until
from .values import Figure

ROUTER = "a bare uvloop + pyzmq ROUTER"
ROUTER_CODE = """import asyncio, sys, uvloop, zmq
socket = zmq.Context().socket(zmq.ROUTER)
socket.bind("ipc://" + sys.argv[1])
def read():
    try:
        while True:
            socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        pass
async def main():
    asyncio.get_running_loop().add_reader(socket.getsockopt(zmq.FD), read)
    read()
    await asyncio.Event().wait()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""
SUPERVISORD_CONF = """[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={root}/supervisord.pid
[unix_http_server]
file={root}/supervisord.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
CIRCUS_INI = """[circus]
endpoint = ipc://{root}/circus.e
pubsub_endpoint = ipc://{root}/circus.p
"""


@dataclass(frozen=True)
class Used:
    """The use of a set of processes so far."""

    switches: int
    cpu_ms: float


def measure(stage: Stage) -> list[Figure]:
    """Wake-ups, CPU, memory; and processes after the idle exit."""
    how = f"{stage.size.rest_s:g} s, nothing pending, {stage.size.rest_shells} shells known"
    skipped = stage.peers.missing("supervisord", "circusd")
    figures = [
        Figure(f"rest-{name}", f"At rest: {title}", unit, how, skipped=dict(skipped), counts=True)
        for name, title, unit in (
            ("wake-ups", "wake-ups", "switches"),
            ("cpu", "CPU", "ms"),
            ("memory", "memory (PSS) of all processes", "MB"),
        )
    ]
    with ExitStack() as stack:
        roots = _contestants(stage, stack)
        time.sleep(min(3.0, stage.size.rest_s))  # the work of starting is over, runners are gone
        pids = {name: family(root) for name, root in roots.items()}
        before = {name: used(processes) for name, processes in pids.items()}
        time.sleep(stage.size.rest_s)
        for name, processes in pids.items():
            after = used(processes)
            figures[0].add(name, [after.switches - before[name].switches])
            figures[1].add(name, [after.cpu_ms - before[name].cpu_ms])
            figures[2].add(name, [sum(map(_pss_mb, processes))])
    figures[0].goal("wake-ups", figures[0].p50(US), 0)
    figures[2].goal("MB", figures[2].p50(US), 45.0)
    return [*figures, _after_idle_exit(stage)]


def _contestants(stage: Stage, stack: ExitStack) -> dict[str, int]:
    daemon = stage.daemon()
    stack.callback(stage.close, daemon)
    assert daemon.process is not None
    with Peer(daemon.socket) as peer:
        for number in range(stage.size.rest_shells):
            peer.ask(visit(f"rest-{number}", jobs={"job": "true"} if not number else {}))
    daemon.wait_until_done(1)
    router = stage.root / "router.py"
    router.write_text(ROUTER_CODE)
    python = [sys.executable, str(router), f"{stage.root}/router.sock"]
    found = {US: daemon.process.pid, ROUTER: _start(stage, stack, python)}
    for name, path in stage.peers.supervisors.items():
        conf = stage.root / f"{name}.conf"
        text = SUPERVISORD_CONF if name == "supervisord" else CIRCUS_INI
        conf.write_text(text.format(root=stage.root))
        words = [path, *(["-c"] if name == "supervisord" else []), str(conf)]
        found[name] = _start(stage, stack, words)
    return found


def _start(stage: Stage, stack: ExitStack, words: list[str]) -> int:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)}
    if words[0] != sys.executable:
        del env["PYTHONPATH"]
    process = subprocess.Popen(
        words, env=env, cwd=stage.root, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def end() -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    stack.callback(end)
    return process.pid


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def used(pids: Iterable[int]) -> Used:
    """The context switches and the CPU of these processes so far."""
    switches, cpu_ns = 0, 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if "ctxt_switches" in line:
                    switches += int(line.split()[1])
            cpu_ns += int((task / "schedstat").read_text().split()[0])
    return Used(switches, cpu_ns / 1e6)


def _pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _after_idle_exit(stage: Stage) -> Figure:
    figure = Figure(
        "rest-processes",
        "Processes after the idle exit",
        "processes",
        "socket-activated by one visit, with `exit_after` of 1 s",
        counts=True,
    )
    if reason := systemd.why_not():
        figure.skipped[US] = reason
        return figure
    home, _ = stage.home()
    (home / ".config").rmdir()
    manager = UserManager(home)
    try:
        manager.write_settings('exit_after = "1s"\n')
        manager.install()
        with Peer(manager.socket) as peer:
            peer.ask(visit("rest", jobs={"job": "true"}))
        processes = family(int(manager.property("MainPID")))
        until(lambda: not any(map(_alive, processes)), 15.0, 0.05)
        figure.add(US, [sum(map(_alive, processes))])
    finally:
        manager.close()
    figure.goal("processes", figure.p50(US), 0)
    return figure


def _alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
