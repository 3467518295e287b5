"""The storm: a hundred shells at once, each with the same twenty jobs to do once per boot.

A terminal multiplexer does this when it restores its panes after a reboot: every cache is
cold. CPU is counted by a cgroup, which counts every process, reaped or not; the stage
for one contestant runs in a process of its own, inside that cgroup, until all is done and
gone. `floor` is the same hundred shells with nothing to do.
"""

import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from support.daemon import Daemon

from . import contestants
from .contestants import EVALCACHE, FLOOR, FORKS, US, ZSH_ASYNC, ZSH_DEFER
from .handover import WRAP
from .screen import Screen
from .stage import Meter, Stage, settled, size_of, until
from .values import Figure

JOB_MS = 20.0
CONTESTANTS = (FLOOR, US, ZSH_DEFER, ZSH_ASYNC, FORKS, EVALCACHE)
LIMIT_S = 150.0
QUIET_S = 10.0
FROM_PROMPT = f"{US}, from the first precmd"
SENT = """functions[.bench-exchange]=$functions[.zdeferd-exchange]
  .zdeferd-exchange() {
    .bench-exchange || return
    (( $+functions[.bench-send] )) && return
    functions[.bench-send]=$functions[.zdeferd-send]
    .zdeferd-send() { .bench-send "$@" && : ${bench_sent:=$EPOCHREALTIME} }
  }"""
"""Wraps the function that sends, once it is there: when the message was out, the first time."""


def measure(stage: Stage) -> list[Figure]:
    """CPU, runs, and the time to an answer."""
    shells, jobs = stage.size.storm_shells, stage.size.storm_jobs
    what = f"{shells} shells at once x {jobs} jobs of 20 ms CPU, all caches cold"
    skipped = stage.peers.missing(*CONTESTANTS)
    cpu = Figure("storm-cpu", "The storm: CPU in all", "s", what, skipped=skipped, counts=True)
    runs = Figure("storm-runs", "The storm: runs", "runs", what, skipped=skipped, counts=True)
    answer = Figure(
        "storm-answer",
        "The storm: time to an answer",
        "ms",
        what + "; from the message's last byte to its answer, as the shell sees it",
    )
    meter = Meter()
    if not meter.usable:
        cpu.skipped = dict.fromkeys(CONTESTANTS, "no cgroup to count CPU in: needs root")
        return [cpu]
    try:
        for name in contestants.available(stage, CONTESTANTS):
            seconds, count, answers = _storm(stage, meter, name)
            cpu.add(name, [seconds])
            if name != FLOOR:
                runs.add(name, [count])
            for as_row, values in answers.items():
                answer.add(as_row, values)
    finally:
        meter.leave()
    lost = {ZSH_ASYNC} if runs.p50(ZSH_ASYNC) < shells * jobs else set()
    others = [row.p50 for row in cpu.rows if row.contestant not in {US, FLOOR} | lost]
    if lost:
        cpu.notes.append("zsh-async lost jobs, and is not compared with")
    cpu.goal("total, s, beside 1/20 of the best peer", cpu.p50(US), min(others) / 20)
    runs.goal("at most, runs", runs.p50(US), jobs)
    runs.goal("at least, runs", runs.p50(US), jobs, at_least=True)
    row = answer.row(US)
    if row is not None:
        answer.goal("p99, ms", row.p99, 50.0)
    return [cpu, runs, answer]


def _storm(stage: Stage, meter: Meter, name: str) -> tuple[float, int, dict[str, list[float]]]:
    """CPU seconds, runs, and each visit's milliseconds: to its answer, and in all."""
    home, env = stage.home()
    done, jobs = home / "done", stage.size.storm_jobs
    if name == US:
        env |= {"ZDEFERD_SOCKET": f"{home}/daemon/run/zdeferd/sock"}
    (home / ".zshrc").write_text(_zshrc(stage, name, jobs, done))
    before = meter.read_s()
    pid = os.fork()
    if pid == 0:
        _inside(stage, meter, name, env, done)
    os.waitpid(pid, 0)
    until(meter.empty, 10.0)
    answers: dict[str, list[float]] = {US: [], FROM_PROMPT: []}
    for line in (home / "answers").read_text().splitlines() if name == US else ():
        word, prompted, sent, ended = line.split()
        if word == "answered":
            answers[US].append((float(ended) - float(sent)) * 1000)
            answers[FROM_PROMPT].append((float(ended) - float(prompted)) * 1000)
    return meter.read_s() - before, size_of(done), answers


def _zshrc(stage: Stage, name: str, jobs: int, done: Path) -> str:
    """Once per boot for us; evalcache's jobs also leave their byte, so that they count."""
    text = contestants.zshrc(stage, name, jobs, JOB_MS, done)
    if name == EVALCACHE:
        text = text.replace("; print job", f"; print -n x >>{done}; print job")
    if name != US:
        return text
    for number in range(1, jobs + 1):
        text = text.replace(
            f"zf::defer::register job{number} job{number} postprompt 'what job{number} does'",
            f"zdefer add job{number} --once-per boot -- job{number}",
        )
    answer = "print $1 $bench_prompted $bench_sent $EPOCHREALTIME >>$HOME/answers"
    wrap = WRAP.replace("print $1 $EPOCHREALTIME >>$HOME/visits", answer)
    wrap = wrap.replace("  functions[.bench-end]", f"  {SENT}\n  functions[.bench-end]")
    stamp = "bench-stamp() { : ${bench_prompted:=$EPOCHREALTIME} }\nprecmd_functions+=(bench-stamp)"
    return f"{text}zmodload zsh/datetime\ntypeset -g bench_prompted bench_sent\n{stamp}\n{wrap}"


def _inside(stage: Stage, meter: Meter, name: str, env: dict[str, str], done: Path) -> None:
    """One contestant's storm, in a process of its own; never returns."""
    code = 1
    try:
        meter.join()
        daemon = _daemon(Path(env["HOME"])) if name == US else None
        screens = [Screen(env) for _ in range(stage.size.storm_shells)]
        try:
            _wait(stage, name, screens, env, done)
        finally:
            for screen in screens:
                screen.close()
            if daemon is not None:
                daemon.stop()
                daemon.close()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may come back from this fork
        traceback.print_exc()
    finally:
        os._exit(code)


def _daemon(home: Path) -> Daemon:
    own = home / "daemon"
    own.mkdir(mode=0o700)
    return Daemon(own).start()


def _wait(
    stage: Stage, name: str, screens: Sequence[Screen], env: dict[str, str], done: Path
) -> None:
    """Until every prompt is up and every job is done."""
    for screen in screens:
        screen.see(limit_s=LIMIT_S)
    if name == US:
        answers = Path(env["HOME"]) / "answers"
        until(lambda: _lines(answers) >= len(screens), 30.0, 0.05)
        settled(done, stage.size.storm_jobs, quiet_s=2.0)
    elif name not in (FLOOR, EVALCACHE):
        _wait_for_jobs(screens, done, len(screens) * stage.size.storm_jobs)


def _wait_for_jobs(screens: Sequence[Screen], done: Path, wanted: int) -> None:
    """Until all are done, or no more come: zsh-async loses some where many start at once."""
    end, last, since = time.monotonic() + LIMIT_S, 0, time.monotonic()
    while last < wanted and time.monotonic() < min(end, since + QUIET_S):
        for screen in screens:
            screen.read(0.0001)  # no shell may wait for a full terminal
        time.sleep(0.05)
        if size_of(done) > last:
            last, since = size_of(done), time.monotonic()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
