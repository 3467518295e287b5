"""Handing ten jobs over: from the prompt on the screen to the answered visit.

The end of a visit shows nowhere, so the shell that is measured wraps the one function
that ends it, and writes down when. The others are called from a function at the prompt,
ten times each, and timed by zsh itself: a `( … )` there would cost them a fork that their
users do not pay. The Python client is a whole process, with one visit of ten jobs.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from support import systemd
from support.daemon import Daemon
from support.systemd import UserManager

from . import contestants
from .contestants import PROLOGUE, US, ZSH_ASYNC
from .screen import PROMPT, Screen
from .stage import Stage, settled, until
from .values import Figure

JOBS = 10
CLIENT = "a Python client"
SYSTEMD_RUN = "systemd-run"
OURS_WARM, OURS_COLD = US, f"{US}, cold"
WRAP = """zmodload zsh/parameter
bench-wrap() {
  zle -F $1
  functions[.bench-end]=$functions[.zdeferd-end]
  .zdeferd-end() { .bench-end "$@"; print $1 $EPOCHREALTIME >>$HOME/visits }
}
bench-arm() { zle -F 950 bench-wrap; precmd_functions=(${precmd_functions:#bench-arm}) }
precmd_functions+=(bench-arm)
"""
"""950 is not open: its handler is called right behind the plugin's own, which loads it."""
PARTS = {
    "hold": "the prompt's pause, and connecting",
    "pack": "the greeting, and reading the rest of the shim",
    "send": "packing",
    "answer": "the daemon's answer",
    "end": "hearing it, and the end",
}
"""A function of the shim -> the work done in the time before it."""
STAMPS = """typeset -ga bench_at
bench-stamp() {
  local code='() { bench_at+=(NAME $EPOCHREALTIME); .bench-NAME "$@" }' name
  for name; do
    functions[.bench-$name]=$functions[.zdeferd-$name]
    eval ".zdeferd-$name${code//NAME/$name}"
  done
}
"""
STAMPED = """  bench-stamp hold
  functions[.bench-exchange]=$functions[.zdeferd-exchange]
  .zdeferd-exchange() {
    .bench-exchange && { (( $+functions[.bench-pack] )) || bench-stamp pack send answer }
  }
"""
"""Follows `zle -F` in WRAP: exchange.zsh has the other functions, and is read later."""
PYTHON_CLIENT = """import sys, time, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.connect("ipc://" + sys.argv[1])
frames = [b"hello", b"protocol=2", b"nonce=bench-%d" % time.time_ns(), b"seq=1", b"context"]
jobs = [b"words\\0add\\0job%d\\0--\\0true" % number for number in range(int(sys.argv[2]))]
jobs = b"\\0".join(b"%d\\0%s" % (len(job), job) for job in jobs)
socket.send_multipart([*frames, b"jobs", b"list=" + jobs, b"postprompt"])
socket.recv_multipart()
"""


def measure(stage: Stage) -> list[Figure]:
    """Warm, and cold through socket activation."""
    with ExitStack() as stack:
        manager = None if systemd.why_not() else _manager(stage, stack)
        return [*_warm(stage, manager), _cold(stage, manager)]


# --- warm ----------------------------------------------------------------------


def _warm(stage: Stage, manager: UserManager | None) -> list[Figure]:
    figure = Figure(
        "hand-over",
        "Hand-over of ten jobs",
        "ms",
        "ours: the prompt on the screen to the answered visit, the shell free meanwhile;"
        " the others: ten submissions of `true` at the prompt, the shell waiting",
        skipped=stage.peers.missing(ZSH_ASYNC, "tsp", "nq"),
    )
    daemon = stage.daemon()
    _, env = stage.home(_our_zshrc(stage))
    env |= {"ZDEFERD_SOCKET": str(daemon.socket)}
    visits: list[list[float]] = []

    def visit() -> float:
        visits.append(_visit(env))
        return sum(visits[-1])

    ways: dict[str, Callable[[], float]] = {OURS_WARM: visit}
    for name, lines in _asked(stage, daemon).items():
        ways[name] = _asker(stage, *lines)
    if manager is not None:
        ways[SYSTEMD_RUN] = _inside_asker(manager)
    else:
        figure.skipped[SYSTEMD_RUN] = systemd.why_not()
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for name in stage.rounds(list(ways), stage.size.visits):
        samples[name].append(ways[name]())
        time.sleep(0.1)  # the jobs that were handed over are done by then
    for name, values in samples.items():
        figure.add(name, values)
    figure.goal("p50, ms", figure.p50(OURS_WARM), 3.0)
    stage.close(daemon)
    spent = Figure(
        "hand-over-parts",
        "Where a visit's time goes",
        "ms",
        "the same visits, from inside the shell; a stamp costs it about 0.02 ms",
    )
    for part, times in zip(PARTS.values(), zip(*visits, strict=True), strict=True):
        spent.add(part, times)
    return [figure, spent]


def _our_zshrc(stage: Stage) -> str:
    jobs = "\n".join(f"job{number}() {{ : }}" for number in range(1, JOBS + 1))
    lines = "\n".join(contestants.hand_over(stage, US, JOBS))
    wrap = WRAP.replace("zle -F $1\n", f"zle -F $1\n{STAMPED}")
    wrap = wrap.replace("print $1 $EPOCHREALTIME", "print $1 $EPOCHREALTIME $bench_at")
    return f"{PROLOGUE}zmodload zsh/datetime\n{jobs}\n{lines}\n{STAMPS}{wrap}"


def _visit(env: dict[str, str]) -> list[float]:
    """Milliseconds of each part of an answered visit; together, from the prompt to its end."""
    visits = Path(env["HOME"]) / "visits"
    ahead = time.time() - time.monotonic()
    with Screen(env) as screen:
        prompt = screen.see(PROMPT) + ahead
        settled(visits, 20, quiet_s=10.0)
    outcome, ended, *stamps = visits.read_text().split()
    visits.unlink()
    assert outcome == "answered", stamps
    first = dict(zip(reversed(stamps[::2]), reversed(stamps[1::2]), strict=True)) | {"end": ended}
    instants = [prompt, *(float(first[name]) for name in PARTS)]
    return [(after - before) * 1000 for before, after in pairwise(instants)]


def _asked(stage: Stage, daemon: Daemon) -> dict[str, tuple[str, str]]:
    """Return for each peer the text of its .zshrc, and the command at the prompt."""
    repeat = f"repeat {JOBS}; do %s; done"
    client = stage.root / "client.py"
    client.write_text(PYTHON_CLIENT)
    path = ":".join(sys.path)
    ask = f"PYTHONPATH={path} {sys.executable} {client} {daemon.socket} {JOBS}"
    found = {CLIENT: ("", ask)}
    if "tsp" in stage.peers.programs:
        found["tsp"] = (f"export TS_SOCKET={stage.root}/ts", repeat % "tsp true >/dev/null")
    if "nq" in stage.peers.programs:
        found["nq"] = (f"export NQDIR={stage.root}/nq", repeat % "nq -q true")
    if ZSH_ASYNC in stage.peers.plugins:
        source = f"source {stage.peers.plugins[ZSH_ASYNC]}; async_init"
        start = "async_start_worker bench -n; "
        found[ZSH_ASYNC] = (source, start + repeat % "async_job bench true")
    return found


def _asker(stage: Stage, before: str, asked: str) -> Callable[[], float]:
    home, env = stage.home()
    (home / ".zshrc").write_text(
        f"{PROLOGUE}zmodload zsh/datetime\n{before}\nask() {{\n  typeset -F 9 t=$EPOCHREALTIME\n"
        f"  {asked}\n  print took=$(( (EPOCHREALTIME - t) * 1000 ))=\n}}\n"
    )

    def sample() -> float:
        with Screen(env) as screen:
            screen.see(PROMPT)
            screen.write(b"ask\r")
            screen.see(b"took=")
            screen.see(b"=")
            return float(screen.passed.rstrip(b"="))

    return sample


def _inside_asker(manager: UserManager) -> Callable[[], float]:
    """`systemd-run --user`, in a zsh inside the manager's mount namespace."""
    run = "systemd-run --user --quiet --collect true"
    code = (
        f"zmodload zsh/datetime; typeset -F 9 t=$EPOCHREALTIME; repeat {JOBS}; do {run}; done;"
        " print $(( (EPOCHREALTIME - t) * 1000 ))"
    )
    return lambda: float(manager.inside("zsh", "-fc", code))


# --- cold ----------------------------------------------------------------------


def _cold(stage: Stage, manager: UserManager | None) -> Figure:
    figure = Figure(
        "hand-over-cold",
        "Hand-over to a daemon that does not run",
        "ms",
        "the same visit; systemd's socket is connected to, and starts the daemon",
    )
    if manager is None:
        figure.skipped[OURS_COLD] = systemd.why_not()
        return figure
    _, env = stage.home(_our_zshrc(stage))
    env |= {"ZDEFERD_SOCKET": str(manager.socket)}
    samples = []
    for _ in range(stage.size.cold_visits):
        manager.systemctl("stop", "zdeferd.service")
        until(lambda: manager.property("ActiveState") in ("inactive", "failed"))
        samples.append(sum(_visit(env)))
    figure.add(OURS_COLD, samples)
    figure.goal("p50, ms", figure.p50(OURS_COLD), 250.0)
    return figure


def _manager(stage: Stage, stack: ExitStack) -> UserManager:
    home, _ = stage.home()
    (home / ".config").rmdir()
    manager = UserManager(home)
    stack.callback(manager.close)
    manager.install()
    manager.env["HOME"] = os.fspath(home)
    return manager
