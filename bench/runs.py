"""Times the way from a claim to a running job, and the cost of a run.

A job says when it runs by printing the time (`date`, the same program for everybody), so
each figure includes that program's own start. Throughput is `true`, many times, each run
recorded before it starts and after it ends where the contestant records anything at all.
A bare spawn and tsp are not durable: they forget their jobs at a crash.
"""

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from support import systemd
from support.daemon import Daemon, Peer, visit
from support.systemd import UserManager

from .contestants import US
from .handover import SYSTEMD_RUN
from .stage import Stage, until
from .values import Figure

NOW = ["date", "+%s.%N"]
CLAIMED = f"{US}, from the claim"
OURS_CODE = f"{US}, as zsh code"
BARE = "spawn and wait"
BARE_DURABLE = "bare spawn and wait"
LANES = 4
JOBS_A_SHELL = 100


def measure(stage: Stage) -> list[Figure]:
    """Latency, cost of a run, runs a second."""
    with ExitStack() as stack:
        manager = None
        if not systemd.why_not():
            home, _ = stage.home()
            (home / ".config").rmdir()
            manager = UserManager(home)
            stack.callback(manager.close)
        return [_latency(stage, manager), *_throughput(stage, manager)]


# --- claim to running job ------------------------------------------------------


def _latency(stage: Stage, manager: UserManager | None) -> Figure:
    figure = Figure(
        "start",
        "Claim to running job",
        "ms",
        "from the claim, or from the call that submits the job, to the time that it prints",
        skipped=stage.peers.missing("tsp", "nq"),
    )
    samples: dict[str, list[float]] = {}
    with ExitStack() as stack:
        ways = _starters(stage, stack, manager)
        for name in stage.rounds(list(ways), stage.size.starts):
            if name != SYSTEMD_RUN or len(samples.get(name, [])) < stage.size.few_runs // 2:
                for as_row, value in ways[name]().items():
                    samples.setdefault(as_row or name, []).append(value * 1000)
    for name, values in samples.items():
        figure.add(name, values)
    row = figure.row(CLAIMED)
    if row is not None:
        figure.goal("p50, ms (aim: 3)", row.p50, 5.0)
        figure.goal("p99, ms (aim: 10)", row.p99, 20.0)
    return figure


def _starters(
    stage: Stage, stack: ExitStack, manager: UserManager | None
) -> dict[str, Callable[[], dict[str, float]]]:
    """For each contestant a function that starts a job once: seconds, by row."""
    ways: dict[str, Callable[[], dict[str, float]]] = {BARE: _bare_start}
    for name, job in {US: f"[now]\nrun = {NOW}\n", OURS_CODE: ""}.items():
        daemon = stage.daemon(start=False)
        daemon.write_jobs(job)
        stack.callback(stage.close, daemon.start())
        peer = stack.enter_context(Peer(daemon.socket))
        ways[name] = _our_starter(daemon, peer, code=name == OURS_CODE)
    if "tsp" in stage.peers.programs:
        ways["tsp"] = _tsp_starter(stage)
    if "nq" in stage.peers.programs:
        ways["nq"] = _nq_starter(stage)
    if manager is not None:
        ways[SYSTEMD_RUN] = _systemd_starter(manager)
    return ways


def _our_starter(daemon: Daemon, peer: Peer, code: bool) -> Callable[[], dict[str, float]]:
    numbers = itertools.count(1)

    def sample() -> dict[str, float]:
        number = next(numbers)
        jobs = {f"job{number}": f"exec {' '.join(NOW)}"} if code else {}
        sent = time.time()
        peer.ask(visit(f"start-{number}", jobs=jobs, environ=_path()))
        ended = f"SELECT count(*) FROM runs WHERE id = {number} AND state = 'ended'"
        until(lambda: daemon.rows(ended) == [(1,)], pause_s=0.002)
        until(lambda: daemon.rows("SELECT count(*) FROM lines") == [(0,)], pause_s=0.002)
        claimed = daemon.rows("SELECT claimed_at FROM runs WHERE id = ?", number)[0][0]
        ran = float((daemon.state / f"runs/{number}/output").read_text())
        return {"": ran - sent} if code else {"": ran - sent, CLAIMED: ran - claimed}

    return sample


def _path() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def _bare_start() -> dict[str, float]:
    began = time.time()
    said = subprocess.run(NOW, capture_output=True, check=True).stdout
    return {"": float(said) - began}


def _tsp_starter(stage: Stage) -> Callable[[], dict[str, float]]:
    tsp, env = stage.peers.programs["tsp"], _queue_env(stage, "tsp")

    def sample() -> dict[str, float]:
        began = time.time()
        job = _said([tsp, *NOW], env).strip()
        _said([tsp, "-w", job], env)
        return {"": float(_said([tsp, "-c", job], env)) - began}

    return sample


def _nq_starter(stage: Stage) -> Callable[[], dict[str, float]]:
    nq, env = stage.peers.programs["nq"], _queue_env(stage, "nq")

    def sample() -> dict[str, float]:
        began = time.time()
        job = _said([nq, *NOW], env).strip()
        _said([nq, "-w", job], env)
        output = Path(env["NQDIR"], job)
        ran = next(line for line in output.read_text().splitlines() if line[:1].isdigit())
        output.unlink()
        return {"": float(ran) - began}

    return sample


def _systemd_starter(manager: UserManager) -> Callable[[], dict[str, float]]:
    output = manager.home / "now"
    run = f"systemd-run --user --quiet --wait -p StandardOutput=file:{output} {' '.join(NOW)}"

    def sample() -> dict[str, float]:
        began = float(manager.inside("sh", "-c", f"{' '.join(NOW)}; {run}"))
        ran = float(output.read_text())
        output.unlink()
        return {"": ran - began}

    return sample


def _said(words: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def _queue_env(stage: Stage, name: str) -> dict[str, str]:
    own = (
        {"TS_SOCKET": f"{stage.root}/ts", "TMPDIR": str(stage.root), "TS_MAXFINISHED": "20"}
        if name == "tsp"
        else {"NQDIR": f"{stage.root}/nq"}
    )
    return dict(os.environ) | own


# --- throughput ----------------------------------------------------------------


def _throughput(stage: Stage, manager: UserManager | None) -> list[Figure]:
    cost = Figure(
        "run-cost",
        "What a run costs, one at a time",
        "ms",
        f"{stage.size.runs} x `true` ({stage.size.few_runs} where a run costs much),"
        " submitted and run to the end, divided by their number",
        skipped=stage.peers.missing("tsp", "nq"),
    )
    rate = Figure(
        "run-rate",
        "Runs a second",
        "1/s",
        f"the same with {LANES} at once where the contestant can",
        skipped=dict(cost.skipped),
    )
    ways = _batches(stage, manager)
    times: dict[tuple[str, int], list[float]] = {}
    for name in stage.rounds(list(ways), stage.size.run_rounds):
        for lanes in (1, LANES):
            if (seconds := ways[name](lanes)) > 0:
                times.setdefault((name, lanes), []).append(seconds)
    for name in ways:
        cost.add(name, [seconds * 1000 for seconds in times.get((name, 1), [])])
        best = times.get((name, LANES)) or times.get((name, 1), [])
        rate.add(name, [1 / seconds for seconds in best])
    cost.goal("over a bare spawn, ms", cost.p50(US) - cost.p50(BARE_DURABLE), 5.0)
    rate.goal("with 4 at once (aim: 300)", rate.p50(US), 200.0, at_least=True)
    for peer in (SYSTEMD_RUN, "nq"):
        rate.goal(f"beside {peer}", rate.p50(US), rate.p50(peer), at_least=True)
    rate.notes.append(
        "What each has on the disk: zdeferd the claim, the decision to start and the outcome,"
        " each before it acts on it; nq one line before a job starts, and no outcome; tsp and"
        " systemd's transient units nothing. After a power cut only zdeferd goes on."
    )
    return [cost, rate]


def _batches(stage: Stage, manager: UserManager | None) -> dict[str, Callable[[int], float]]:
    """For each contestant: so many at once -> seconds a run; 0 where it cannot."""
    ways: dict[str, Callable[[int], float]] = {
        US: lambda lanes: _our_batch(stage, lanes),
        BARE_DURABLE: lambda lanes: _bare_batch(stage.size.runs) if lanes == 1 else 0.0,
    }
    if "tsp" in stage.peers.programs:
        ways["tsp"] = lambda lanes: _tsp_batch(stage, lanes)
    if "nq" in stage.peers.programs:
        ways["nq"] = lambda lanes: _nq_batch(stage) if lanes == 1 else 0.0
    if manager is not None:
        ways[SYSTEMD_RUN] = lambda lanes: _systemd_batch(stage, manager) if lanes == 1 else 0.0
    return ways


def _our_batch(stage: Stage, lanes: int) -> float:
    """A hundred jobs, due in as many new shells as it takes; to the last line in the log."""
    shells = max(1, stage.size.runs // JOBS_A_SHELL)
    jobs = stage.size.runs // shells
    daemon = stage.daemon(f"jobs_at_once = {lanes}\n", start=False)
    daemon.write_jobs("".join(f'[job-{number}]\nrun = ["true"]\n' for number in range(jobs)))
    daemon.start()
    try:
        began = time.monotonic()
        with Peer(daemon.socket) as peer:
            for number in range(shells):
                peer.ask(visit(f"runs-{number}", environ=_path()))
        ended = "SELECT count(*) FROM runs WHERE state = 'ended'"
        until(lambda: daemon.rows(ended)[0][0] >= shells * jobs, 120.0, 0.02)
        until(lambda: daemon.rows("SELECT count(*) FROM lines")[0][0] == 0, 60.0, 0.02)
        return (time.monotonic() - began) / (shells * jobs)
    finally:
        stage.close(daemon)


def _bare_batch(count: int) -> float:
    true = shutil.which("true") or "/bin/true"
    began = time.monotonic()
    for _ in range(count):
        os.waitpid(os.posix_spawn(true, ["true"], _path(), setsid=True), 0)
    return (time.monotonic() - began) / count


def _tsp_batch(stage: Stage, lanes: int) -> float:
    tsp, env = stage.peers.programs["tsp"], _queue_env(stage, "tsp")
    env["TS_SOCKET"] += f".{time.monotonic_ns()}"
    count = stage.size.few_runs * 5
    subprocess.run([tsp, "-S", str(lanes)], env=env, check=True)
    began = time.monotonic()
    for _ in range(count):
        subprocess.run([tsp, "-n", "true"], env=env, stdout=subprocess.DEVNULL, check=True)
    subprocess.run([tsp, "-w"], env=env, stdout=subprocess.DEVNULL, check=False)
    took = time.monotonic() - began
    subprocess.run([tsp, "-K"], env=env, check=False)
    return took / count


def _nq_batch(stage: Stage) -> float:
    nq, folder = stage.peers.programs["nq"], Path(f"{stage.root}/nq.{time.monotonic_ns()}")
    env = dict(os.environ) | {"NQDIR": str(folder)}
    began = time.monotonic()
    for _ in range(stage.size.few_runs):
        subprocess.run([nq, "-q", "true"], env=env, check=True)
    subprocess.run([nq, "-w"], env=env, check=True, timeout=60)
    return (time.monotonic() - began) / stage.size.few_runs


def _systemd_batch(stage: Stage, manager: UserManager) -> float:
    count = max(2, stage.size.few_runs // 2)
    run = "systemd-run --user --quiet --wait --collect true"
    code = f"i=0; while [ $i -lt {count} ]; do {run}; i=$((i+1)); done"
    began = time.monotonic()
    manager.inside("sh", "-c", code)
    return (time.monotonic() - began) / count
