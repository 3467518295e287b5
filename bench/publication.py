"""Reads a file again and again while it is made anew a thousand times; looks at watched files.

A hundred zsh source the file, at random intervals, as a `.zshrc` does. Each version says its number
in its first line and in its last: where one of them is absent, or they differ, the read was torn
or found nothing. A reader that crashes counts too. zdeferd publishes by a job with `compile`;
evalcache as its users do, by a clearing after which the readers themselves make it; the third
way is the two lines that many write by hand. Each ends after LIMIT_S at the latest.
"""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import uvloop
from support.daemon import Daemon, Peer
from support.pty import ZSH

from zdeferd.jobs.fingerprint import look_at
from zdeferd.model import Code, Job, Scope
from zdeferd.processes import resources
from zdeferd.runs.looks import Looks, look_of
from zdeferd.wire import control

from .contestants import EVALCACHE, US
from .stage import Stage, compare, until
from .values import Figure

BY_HAND = "tool >FILE; zcompile FILE"
FUNCTIONS = 300
"""As many as a large tool prints: some 10 KB, which take more than one write."""
LIMIT_S = 150.0
WATCHED = 100
WAITED = f"{US}, as a visit waits for it"
TOOL = """integer -g version=${EPOCHREALTIME/./}
print first=$version
local -i i; for (( i = 0; i < FUNCTIONS; ++i )) do print "made$i() { print -r -- $i }"; done
print last=$version
"""
READER = """zmodload zsh/zselect zsh/datetime
BEFORE
integer reads torn older newest
print -n x >>READY
while [[ ! -e STOP ]]; do
  unset first last
  { READ } >/dev/null 2>&1
  (( ++reads ))
  if [[ -z ${first-} || $first != ${last-} ]]; then
    (( ++torn ))
  else
    (( first < newest && ++older ))
    newest=$first
  fi
  zselect -t $(( 10 + RANDOM % 40 ))
done
print $reads $torn $older >RESULTS/$$
"""


class Counted(NamedTuple):
    """The reads of one contestant's readers, and the count of its publications."""

    published: int
    reads: int
    torn: int
    older: int
    crashed: int


class Way(NamedTuple):
    """How one contestant is read, and how it publishes once."""

    read: str
    publish: Callable[[], object]
    before: str = ""


def measure(stage: Stage) -> list[Figure]:
    """Return the figure of torn reads and that of a look."""
    with ThreadPoolExecutor(1, initializer=resources.answer_soon) as thread:
        look = thread.submit(_look, stage).result()  # scheduled as the daemon and its threads
    return [_torn(stage), look]


def _torn(stage: Stage) -> Figure:
    figure = Figure(
        "torn-reads",
        "Reads that find a part of a file, or nothing",
        "reads of 1,000",
        f"{stage.size.readers} zsh source a file that is published {stage.size.publications} times",
        skipped=stage.peers.missing(EVALCACHE),
        counts=True,
    )
    with contextlib.ExitStack() as stack:
        for name, way in _ways(stage, stack).items():
            seen = _count(stage, way)
            figure.add(name, [1000 * (seen.torn + seen.crashed) / max(1, seen.reads)])
            figure.notes.append(
                f"{name}: {seen.published} publications, {seen.reads} reads, {seen.torn} torn or"
                f" missing, {seen.older} older than one before, {seen.crashed} readers crashed"
            )
            if name == US:
                figure.goal("torn or missing, reads", seen.torn + seen.crashed, 0)
                figure.goal("an older version behind a newer one, reads", seen.older, 0)
    return figure


def _ways(stage: Stage, stack: contextlib.ExitStack) -> dict[str, Way]:
    daemon = stage.daemon()
    stack.callback(stage.close, daemon)
    code = TOOL.replace("FUNCTIONS", str(FUNCTIONS))
    tool = daemon.home / "tool"
    tool.write_text(f"#!{ZSH} -f\nzmodload zsh/datetime\n() {{\n{code}}}\n")
    tool.chmod(0o755)
    plain = daemon.home / "plain.zsh"
    by_hand = f'{tool} >{plain}; zcompile -- "{plain}"'
    ways = {
        US: Way(f"source {daemon.home}/made.zsh", _publisher(daemon, tool, stack)),
        BY_HAND: Way(f"source {plain}", lambda: _zsh(by_hand)),
    }
    if EVALCACHE in stage.peers.plugins:
        cache = daemon.home / "evalcache"
        before = f"ZSH_EVALCACHE_DIR={cache}; source {stage.peers.plugins[EVALCACHE]}"
        read = f"_evalcache {tool}"
        anew = f"{before}; rm -f {cache}/init-*; {read}"
        ways[EVALCACHE] = Way(read, lambda: _zsh(anew), before)
    return ways


def _zsh(code: str) -> None:
    subprocess.run([ZSH, "-fc", code], capture_output=True, check=False, timeout=20)


def _publisher(daemon: Daemon, tool: Path, stack: contextlib.ExitStack) -> Callable[[], object]:
    """Return a function that runs the job and waits for its end."""
    daemon.write_jobs(f'[made]\nrun = ["{tool}"]\noutput = "~/made.zsh"\ncompile = true\n')
    peer = stack.enter_context(Peer(daemon.socket))
    peer.request(control.Reload())

    def publish() -> None:
        run = peer.request(control.RunJob(job="made", env=daemon.env)).run
        done = peer.request(control.AwaitRun(run=run))
        assert done.rc == 0, done

    return publish


def _count(stage: Stage, way: Way) -> Counted:
    way.publish()
    published, end = 1, time.monotonic() + LIMIT_S
    with _readers(stage, way) as folder:
        while published < stage.size.publications and time.monotonic() < end:
            way.publish()
            published += 1
    told = [file.read_text().split() for file in folder.iterdir()]
    reads, torn, older = (sum(int(words[place]) for words in told) for place in range(3))
    return Counted(published, reads, torn, older, stage.size.readers - len(told))


@contextlib.contextmanager
def _readers(stage: Stage, way: Way) -> Iterator[Path]:
    """Read for as long as the block lasts; the folder has a file of each reader then."""
    home, env = stage.home()
    results, ready, stop = home / "results", home / "ready", home / "stop"
    results.mkdir()
    text = READER.replace("BEFORE", way.before).replace("READY", str(ready))
    for name, value in (("STOP", stop), ("RESULTS", results), ("READ", way.read)):
        text = text.replace(name, str(value))
    script = home / "reader"
    script.write_text(text)
    words, count = [ZSH, "-f", str(script)], stage.size.readers
    readers = [subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL) for _ in range(count)]
    try:
        until(lambda: ready.exists() and ready.stat().st_size == count, 30.0)
        yield results
        stop.touch()
        for reader in readers:
            reader.wait(30.0)
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def _look(stage: Stage) -> Figure:
    figure = Figure(
        "look",
        f"A look at {WATCHED} watched files",
        "ms",
        "each a word of `watch`; ours is CPU, of the loop and of the thread; else elapsed time",
    )
    home, _ = stage.home()
    files = tuple(str(home / f"file{number}") for number in range(WATCHED))
    for file in files:
        Path(file).write_text(file)
    job = Job(id="a", run=Code("true"), once_per=Scope.CHANGE, watch=files)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        looks = Looks(runner.get_loop(), lambda seen, missed: None, stage.say)
        wanted = {look_of(job, {})}
        ways: dict[str, Callable[[], object]] = {
            "lstat": lambda: [os.lstat(file) for file in files],
            "what its thread does": lambda: look_at(job.watch, {}),
            WAITED: lambda: runner.run(looks.see(wanted)),
        }
        timed = {name: _timed(way, time.perf_counter) for name, way in ways.items()}
        timed[US] = _timed(ways[WAITED], time.process_time)
        for name, values in compare(stage, timed, stage.size.looks).items():
            figure.add(name, values)
    figure.goal("CPU in the daemon, p50, ms", figure.p50(US), 1.0)
    return figure


def _timed(way: Callable[[], object], clock: Callable[[], float]) -> Callable[[], float]:
    def sample() -> float:
        began = clock()
        way()
        return (clock() - began) * 1000

    return sample
