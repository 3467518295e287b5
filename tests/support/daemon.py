"""A real daemon in a private home, and a libzmq peer that speaks as a shell does."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import zmq

from zdeferd.wire import control
from zdeferd.wire.frames import address

LIMIT_S = 200.0
"""No single event takes longer, or the test fails: a busy machine leaves jobs little time."""
ASK_LEDGER = """import os, sqlite3, sys
path = os.environ["HOME"] + "/.local/state/zdeferd/ledger.sqlite3"
db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
claimed = "SELECT count(*) FROM claims c JOIN runs r ON r.id = c.run "
dispatched = claimed + "WHERE c.job = ? AND r.state = 'dispatched'"
sys.exit(db.execute(dispatched, sys.argv[1:]).fetchone()[0] == 0)
"""
"""A job that succeeds only where its own claim and dispatch are committed: `ask.py JOB`."""
PATIENT = f"""import sys
from zdeferd.daemon.main import main
from zdeferd.runs import looks
looks.WAIT_S = {LIMIT_S}
sys.exit(main([]))
"""
"""A daemon that answers no visit before it has looked at all files that jobs watch."""


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user whose home is `home`."""
    paths = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | paths | more


class Daemon:
    """`zdeferd` in the foreground, as a child of the test."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home, self.env = home, environment(home, **env)
        self.state = home / ".local/state/zdeferd"
        self.config = home / ".config/zdeferd"
        self.socket = home / "run/zdeferd/sock"
        self.errors = home / "stderr"
        self.errors.touch()
        self.command = [sys.executable, "-m", "zdeferd.daemon"]
        self.process: subprocess.Popen[bytes] | None = None

    def write_jobs(self, text: str, name: str = "jobs.toml") -> None:
        """A file of jobs.d."""
        folder = self.config / "jobs.d"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)

    def write_settings(self, text: str) -> None:
        """The file config.toml."""
        self.config.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.config / "config.toml").write_text(text)
        (self.config / "config.toml").chmod(0o600)

    def start(self) -> "Daemon":
        """Start it and wait until it answers."""
        self.launch()
        with Peer(self.socket) as peer:
            peer.request(control.Ping())
        return self

    def start_gated(self, code: str = ":") -> Path:
        """Start it with a job `slow`, which runs `code` and then waits; -> a FIFO that ends it.

        A line written to the FIFO ends the job.
        """
        gate = self.home / "go"
        os.mkfifo(gate)
        self.write_jobs(f"[slow]\nrun = '{code}; read <{gate}'\n")
        self.start()
        return gate

    def launch(self, *inherited: int, stderr: int | None = None) -> None:
        """Start it; nothing is waited for. `stderr`: a descriptor, else the file `errors`."""
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command,
                env=self.env | {"PYTHONPATH": os.pathsep.join(sys.path)},
                stderr=errors if stderr is None else stderr,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=inherited,
            )

    def run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of zdeferd as the daemon's user; -> its exit code and output."""
        return subprocess.run(
            [sys.executable, "-m", module, *words],
            env=self.env | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )

    def refusal(self, *words: str) -> str:
        """Start the daemon, expect exit code 1; -> its one line."""
        done = self.run("zdeferd.daemon", *words)
        assert done.returncode == 1, done
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("zdeferd: ")
        return done.stderr

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def stop(self) -> int:
        """End it as a service manager does."""
        return self.kill(signal.SIGTERM)

    def close(self) -> None:
        """End it if it still runs, and its runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.end_runs()
        said = self.errors.read_text()
        assert "internal error" not in said, said
        assert "Traceback" not in said, said

    def end_runs(self) -> None:
        """End the runners whose run folders are ours, then wait for their locks."""
        from zdeferd.judging import judge

        for folder in (self.state / "runs").glob("*"):
            judge.cancel(str(folder))

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a query of the ledger."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.state}/ledger.sqlite3?mode=ro", uri=True)
        ) as db:
            return db.execute(sql, values).fetchall()

    def wait_for(self, sql: str, expected: object) -> None:
        """Until the one value of a query is `expected`."""
        found: object = None
        for _ in attempts():
            with contextlib.suppress(sqlite3.OperationalError):  # there is no ledger yet
                found = self.rows(sql)[0][0]
            if found == expected:
                return
        raise AssertionError(f"{sql}: {found!r}, not {expected!r}\n{self.errors.read_text()}")

    def wait_until_done(self, runs: int) -> None:
        """Until that many runs have ended and all their lines are written."""
        self.wait_for("SELECT count(*) FROM runs WHERE state = 'ended'", runs)
        self.wait_for("SELECT count(*) FROM lines WHERE state != 'lost'", 0)

    def log(self) -> list[str]:
        """The shared log's lines."""
        return (self.state / "deferred.log").read_text().splitlines()


def attempts(limit_s: float = LIMIT_S) -> Iterator[None]:
    """Yield turns of a bounded wait for a fact that no event announces."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        yield
        time.sleep(0.01)  # the ledger and files of another process announce nothing here


class Peer:
    """A DEALER that connects to a daemon's socket."""

    def __init__(self, path: Path) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.connect(address(str(path)))

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._context.term()

    def send(self, frames: list[bytes]) -> None:
        """One message."""
        self.socket.send_multipart(frames)

    def receive(self, limit_s: float = LIMIT_S) -> list[bytes]:
        """The next message."""
        assert self.socket.poll(round(limit_s * 1000)), "no answer"
        return self.socket.recv_multipart()

    def ask(self, frames: list[bytes]) -> list[bytes]:
        """A message and its answer."""
        self.send(frames)
        return self.receive()

    def request(self, request: control.Request) -> Any:
        """A request and its reply."""
        return control.decode_reply(self.ask(control.encode_request(request)))


def visit(
    nonce: str,
    seq: int = 1,
    jobs: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    event: bytes = b"postprompt",
    **fields: str,
) -> list[bytes]:
    """The frames of a visit that registers `jobs` (id -> zsh code) with the same `fields`."""
    variables = "\0".join(f"{name}={value}" for name, value in (environ or {}).items())
    frames = [b"hello", b"protocol=2", f"nonce={nonce}".encode(), f"seq={seq}".encode()]
    frames += [b"context", os.fsencode(f"environment={variables}")]
    said = [f"{field}={value}" for field, value in fields.items()]
    words = [("add", f"id={name}", *said, "--", code) for name, code in (jobs or {}).items()]
    if words:
        frames += [b"jobs", listed(*("\0".join(job).encode() for job in words))]
    return [*frames, event] if event else frames


def listed(*elements: bytes) -> bytes:
    """The field of a record that holds a list: each with its length (jobs/registrations.py)."""
    return b"list=" + b"\0".join(b"%d\0%s" % (len(element), element) for element in elements)
