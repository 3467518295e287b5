"""Asks the spawner for runners, and sees their ends.

Owns the spawner process and, for each dispatched run, a reading end of the FIFO `alive` in
its run's folder. The runner holds the other end for its life, so its end is seen as end of
file, also where an earlier daemon's spawner forked it. The verdict is then read from the run's
folder alone (judging/judge.py). A spawner that dies is replaced at the next start.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import crashpoints
from ..attempts import records
from ..errors import UnsafePath, ZdeferdError
from ..jobs.outputs import wanted_output
from ..jobs.script import headed
from ..judging import judge, leftovers
from ..model import Argv, Job, Work
from ..rules import verdicts
from ..rules.backoff import Backoff
from ..settings import Settings

OnEnd = Callable[[int, int, verdicts.Verdict], None]
"""Called with (run, attempt, verdict) when a run's runner is gone or never came."""
JUDGE_AGAIN_S = (0.01, 1.0)
"""The first and the longest wait before a run folder that could not be judged is judged again."""
SPAWNER = str(Path(__file__).parents[1] / "attempts/spawner.py")
SPAWNER_ENDS_S = 2.0
"""How long `close` waits for the spawner; a stopped one ends when it is continued."""


@dataclass
class _Watched:
    """A dispatched run's `alive`, as long as a runner may hold it."""

    attempt: int
    fd: int
    started: bool = False
    """True once the runner wrote, here or in its mark, that the job was started."""
    reason: str = ""
    """Why its runner did not start the job, or the fault by which the runner itself ended."""
    again: Backoff = field(default_factory=lambda: Backoff(*JUDGE_AGAIN_S))
    """The waits between looks while there is no verdict."""

    def note(self, written: bytes) -> None:
        """Note what the runner wrote to `alive`."""
        for line in written.decode(errors="replace").splitlines():
            word, _, rest = line.partition(" ")
            if word == "started":
                self.started = True
            elif word == "refused":
                self.reason = rest
            elif word == "interrupted":
                self.reason = f"its runner was interrupted: {rest}"
            elif word == "broke":
                self.reason = f"internal error of its runner, please report: {rest}"


class Executor:
    """Starts, adopts and cancels runs. All methods belong to the event loop's thread."""

    on_end: OnEnd
    """Set before the first run."""

    def __init__(
        self,
        runs: str,
        limits: dict[str, tuple[int, int]],
        loop: asyncio.AbstractEventLoop,
        cgroup: str = "",
        check_program: Callable[[], None] = lambda: None,
    ) -> None:
        self._runs, self._limits, self._loop, self._cgroup = runs, limits, loop, cgroup
        self._check_program = check_program
        self._alive: dict[int, _Watched] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Future[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closed = False

    def folder(self, run: int) -> str:
        """Return the folder of the run's locks, its output and its outcome."""
        return os.path.join(self._runs, str(run))

    def make_folder(self, run: int) -> None:
        """Make the run's folder, before the run is recorded as dispatched; OSError, UnsafePath.

        So the folder of a dispatched run is missing only where it was removed.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._runs, 0o700)
        judge.make(self.folder(run))

    async def start(self, run: int, attempt: int, work: Work, settings: Settings) -> None:
        """Ask for a runner; `on_end` gets its end, or its failure to start."""
        try:
            self._watch(run, attempt)
            crashpoints.reached("daemon.start-prepared")
            writer = await self._spawner()
            request = self._request(run, attempt, work, settings)
            writer.write(json.dumps(request).encode() + b"\n")
            crashpoints.reached("daemon.start-asked")
        except (OSError, ZdeferdError) as error:
            verdict = verdicts.NeverStarted(f"cannot start a process: {error}")
            self._loop.call_soon(self._ended, run, attempt, verdict)

    def adopt(self, run: int, attempt: int) -> None:
        """Take over a run dispatched by an earlier daemon of this boot."""
        if self._closed:
            return
        try:
            verdict = self._adopted(run, attempt)
            crashpoints.reached("daemon.adopted")
        except OSError:
            # Whether it runs cannot be seen now, so there is no verdict yet.
            self._loop.call_later(JUDGE_AGAIN_S[1], self.adopt, run, attempt)
            return
        if not isinstance(verdict, verdicts.Running):
            self._loop.call_soon(self._ended, run, attempt, verdict)

    def _adopted(self, run: int, attempt: int) -> verdicts.Verdict:
        try:
            return self._verdict(run, self._watch(run, attempt))
        except FileNotFoundError:
            return verdicts.Vanished()  # `make_folder` made it, so it was removed
        except UnsafePath:
            return judge.judge(self.folder(run), attempt)  # no FIFO of ours: no runner is watched

    def cancel(self, run: int, attempt: int) -> None:
        """End a dispatched run; `on_end` gets how it ended. OSError."""
        crashpoints.reached("daemon.cancel-committed")
        if judge.tombstone(self.folder(run), attempt):
            self._loop.call_soon(self._ended, run, attempt, verdicts.Withdrawn())
        else:
            judge.cancel(self.folder(run))

    def withdraw(self, run: int, attempt: int) -> bool:
        """Keep the attempt from ever starting; False: it has started. OSError."""
        return judge.tombstone(self.folder(run), attempt)

    def end_leftovers(self, run: int, grace_s: float) -> asyncio.Future[bool]:
        """End what a vanished runner's job left running; False where a process is left."""
        return self._loop.run_in_executor(None, leftovers.end, self.folder(run), grace_s)

    def discard(self, run: int) -> None:
        """Remove the files of a run that has ended, its output excepted. OSError."""
        judge.discard(self.folder(run))

    async def close(self) -> None:
        """Close all files and the spawner's channel; the runners live on.

        A stopped spawner is left behind: it finds its channel closed and starts nothing.
        """
        self._closed = True
        for run in list(self._alive):
            self._unwatch(run)
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), SPAWNER_ENDS_S)

    # runners

    def _watch(self, run: int, attempt: int) -> _Watched:
        self._unwatch(run)
        watched = _Watched(attempt, judge.prepare(self.folder(run)))
        self._alive[run] = watched
        self._loop.add_reader(watched.fd, self._readable, run, watched)
        return watched

    def _unwatch(self, run: int) -> None:
        watched = self._alive.pop(run, None)
        if watched is not None:
            self._loop.remove_reader(watched.fd)
            os.close(watched.fd)

    def _readable(self, run: int, watched: _Watched) -> None:
        with contextlib.suppress(BlockingIOError):  # read by `judge` already
            if written := os.read(watched.fd, 4096):
                watched.note(written)
            else:
                self._judge(run, watched)

    def _judge(self, run: int, watched: _Watched) -> None:
        if self._alive.get(run) is not watched:
            return
        verdict = self._verdict(run, watched)
        if not isinstance(verdict, verdicts.Running):
            self._ended(run, watched.attempt, verdict)

    def _look_again(self, run: int, watched: _Watched) -> None:
        if self._alive.get(run) is watched:
            self._loop.add_reader(watched.fd, self._readable, run, watched)  # it may be at work
            self._judge(run, watched)

    def _verdict(self, run: int, watched: _Watched) -> verdicts.Verdict:
        try:
            verdict = judge.judge(self.folder(run), watched.attempt)
        except OSError:
            # No descriptor is left, the disk is sick, or a runner has the lock and not this
            # `alive`. The end of `alive` stays readable, so stop reading it until the next try.
            self._loop.remove_reader(watched.fd)
            self._loop.call_later(watched.again.failed(), self._look_again, run, watched)
            return verdicts.Running()
        if isinstance(verdict, verdicts.Running):
            watched.started |= self._has_job(run, watched.attempt)
        elif isinstance(verdict, verdicts.NeverStarted) and watched.started:
            return verdicts.Vanished(watched.reason)  # the folder is gone, with the mark in it
        elif isinstance(verdict, verdicts.NeverStarted | verdicts.Vanished) and watched.reason:
            return type(verdict)(watched.reason)
        return verdict

    def _has_job(self, run: int, attempt: int) -> bool:
        try:
            return "job_pid" in records.marks(self.folder(run), attempt)
        except OSError:
            return False

    def _ended(self, run: int, attempt: int, verdict: verdicts.Verdict) -> None:
        watched = self._alive.get(run)
        if watched is not None and watched.attempt != attempt:
            return
        self._unwatch(run)
        self.on_end(run, attempt, verdict)

    # the spawner

    async def _spawner(self) -> asyncio.StreamWriter:
        if self._writer is not None and not self._writer.is_closing():
            return self._writer
        self._check_program()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                SPAWNER,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", os.defpath)} | crashpoints.environment(),
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.ensure_future(self._answers(reader, self._writer))
        return self._writer

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the spawner's failures to fork; at its end judge all runs."""
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                answer = json.loads(line)
                if "error" in answer:
                    run = int(os.path.basename(answer["folder"]))
                    self._ended(run, answer["attempt"], verdicts.NeverStarted(answer["error"]))
        writer.close()
        for run, watched in list(self._alive.items()):
            self._judge(run, watched)

    def _request(self, run: int, attempt: int, work: Work, settings: Settings) -> dict[str, Any]:
        job = work.job
        env = work.env | job.env
        timeout_s = settings.default_timeout_s if job.timeout_s is None else job.timeout_s
        return {
            "folder": self.folder(run),
            "attempt": attempt,
            **_command(job, env),
            "env": env,
            "cwd": work.env.get("HOME", "/"),
            "timeout_ms": round(timeout_s * 1000),
            "grace_ms": round(settings.kill_grace_s * 1000),
            "output_limit_bytes": settings.output_limit_bytes,
            "background": job.background,
            "publish": wanted_output(job, work.env),
            "cgroup": self._cgroup,
            "limits": self._limits,
        }


def cannot_change(error: OSError) -> str:
    """Return the sentence about a run folder that cannot be changed."""
    return f"cannot change a run folder: {error.filename}: {error.strerror}"


def _command(job: Job, env: dict[str, str]) -> dict[str, Any]:
    if isinstance(job.run, Argv):
        return {"argv": job.run.words, "script": None}
    return {"argv": None, "script": headed(job.run.source, env)}
