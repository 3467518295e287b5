"""A private home, a real ledger in it, and zdeferctl run inside or as a program."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from support.daemon import LIMIT_S, attempts, environment

from zdeferd.cli import main
from zdeferd.ledger.store import Ledger
from zdeferd.model import Argv, Batch, Cost, Ending, Job, Outcome, Run, Sink, State, Trigger, Work

SOURCE = Path(__file__).parents[2] / "src"
NOW = 1_700_000_000.0
SINK = Sink(log="/nowhere/deferred.log")


class Result(NamedTuple):
    """Exit code and output of a call of zdeferctl."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class User:
    """A user's home that is empty but for the files of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / ".local/state/zdeferd"
        self.config = root / ".config/zdeferd"
        self.env = environment(root, TZ="UTC")
        for folder in (self.state, self.config / "jobs.d"):
            folder.mkdir(parents=True, mode=0o700)
        self._opened: list[Ledger] = []

    def ledger(self) -> Ledger:
        """The ledger, opened to write as the daemon would; `close` closes it."""
        self._opened.append(Ledger(str(self.state / "ledger.sqlite3")))
        return self._opened[-1]

    def close(self) -> None:
        """Close each ledger: since Python 3.13 one that is dropped open is a warning."""
        for ledger in self._opened:
            ledger.close()

    def job_file(self, text: str, name: str = "mine.toml") -> Path:
        """A job file with this text."""
        path = self.config / "jobs.d" / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def program(self, *words: str, **env: str) -> Result:
        """zdeferctl as a process of its own."""
        return self._process([sys.executable, "-m", "zdeferd.cli", *words], env)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start zdeferctl as a process of its own; its output can be read."""
        return subprocess.Popen(
            [sys.executable, "-m", "zdeferd.cli", *words],
            env=self.env | {"PYTHONPATH": str(SOURCE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def python(self, code: str) -> Result:
        """Python code as a process of its own."""
        return self._process([sys.executable, "-c", code], {})

    def _process(self, words: list[str], env: dict[str, str]) -> Result:
        done = subprocess.run(
            words,
            env=self.env | {"PYTHONPATH": str(SOURCE)} | env,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


def call(*words: str) -> Result:
    """Call zdeferctl inside this process; -> its exit code and output."""
    out, err = io.BytesIO(), io.StringIO()
    printed = io.TextIOWrapper(out, "utf-8")
    pipes = signal.getsignal(signal.SIGPIPE)  # zdeferctl's choice would end the test run
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as left:
            code = int(left.code or 0)
        finally:
            signal.signal(signal.SIGPIPE, pipes)
    printed.flush()
    return Result(code, out.getvalue().decode(), err.getvalue())


def findings(level: str) -> dict[str, dict[str, Any]]:
    """The findings of doctor of a level, by the name of the check."""
    document = call("doctor", "--json").document
    return {f["check"]: f for f in document["findings"] if f["level"] == level}


def job(job_id: str, **fields: Any) -> Job:
    """A job that a shell declared."""
    return Job(id=job_id, run=Argv(("true",)), **fields)


def claim(
    ledger: Ledger,
    job_id: str,
    key: str = "ever",
    now: float = NOW,
    trigger: Trigger = Trigger.POSTPROMPT,
    after: tuple[str, ...] = (),
    batch: Batch | None = None,
) -> int:
    """A claimed run in the ledger; -> its number."""
    batch = batch or ledger.new_batch(trigger, "shell-1", SINK, now)
    run = Run(
        id=ledger.next_run(), job=job_id, key=key, trigger=trigger, batch=batch.id, sink=SINK,
        claimed_at=now, after=after, shell="shell-1",
    )  # fmt: skip
    assert ledger.claim(job_id, key, run.id, now)
    ledger.add_run(run, Work(job=job(job_id), env={}))
    return run.id


def end(ledger: Ledger, run: int, outcome: Outcome = Outcome.SUCCEEDED, rc: int = 0) -> None:
    """Dispatch a run and give it its outcome, one second after NOW."""
    ledger.dispatch(run, "a-boot", NOW)
    cost = Cost(
        wall_ms=1000, cpu_user_ms=200, cpu_system_ms=50, max_rss_kib=20480, block_out=8,
        switches_voluntary=3,
    )  # fmt: skip
    ledger.end_run(
        run,
        State.DISPATCHED,
        Ending(
            outcome=outcome, rc=rc, started_at=NOW, ended_at=NOW + 1, cost=cost, output_bytes=12
        ),
    )


def wait_for_file(path: Path) -> None:
    """Until another process has made it."""
    assert any(path.exists() for _ in attempts()), f"no such file: {path}"


def daemon_script(user: User) -> Path:
    """A program `zdeferd` in a folder of its own, as an installation has one."""
    return _script(user, "zdeferd", "zdeferd.daemon")


def ctl_script(user: User) -> Path:
    """A program `zdeferctl`, as an installation has one."""
    return _script(user, "zdeferctl", "zdeferd.cli")


def _script(user: User, name: str, module: str) -> Path:
    script = user.root / "bin" / name
    script.parent.mkdir(exist_ok=True)
    path = f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} -m {module} "$@"\n')
    script.chmod(0o755)
    return script
