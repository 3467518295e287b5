"""Sets up what `zdeferctl demo` needs: a home folder, a daemon, real zsh in terminals.

Owns every process and file that it makes. The home is a new folder under /tmp (short, for
the socket's path). The environment is made anew, so that the user's daemon and files are
out of reach. `close` ends shells, daemon and the jobs that still run, by the ids of these
processes, and removes the home.

Waits on descriptors with a limit: a shell's terminal, the daemon's readiness message, the
FIFO that ends with a runner.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from ...errors import ZdeferdError
from ...install.plan import shim_files
from ...install.steps import Write, carry_out
from ...machine.paths import Paths, locate

PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "USER", "LOGNAME")
START_LIMIT_S = 15.0
END_LIMIT_S = 5.0


class Shell:
    """Runs one interactive zsh in a terminal of its own."""

    def __init__(self, env: dict[str, str], prompt: str) -> None:
        """Start it; its prompt is there once it has printed `prompt`."""
        self._prompt = prompt.encode()
        self._printed = b""
        self.prompt_ms: float | None = None
        """From its start to its first prompt."""
        self._started = time.monotonic()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            try:
                os.chdir(env["HOME"])
                # -d: the machine's own start-up files are not part of this
                os.execvpe("zsh", ["zsh", "-d", "-i"], env)
            finally:
                os._exit(127)

    def read(self) -> None:
        """Read its output, so that it is never blocked by a full terminal."""
        try:
            self._printed = self._printed[-4096:] + os.read(self.terminal, 65536)
        except OSError:
            said = self._printed.decode(errors="replace").strip()
            raise ZdeferdError(f"demo: a zsh ended early: {said or 'no word'}") from None
        if self.prompt_ms is None and self._prompt in self._printed:
            self.prompt_ms = (time.monotonic() - self._started) * 1000

    def type(self, line: str) -> None:
        """Type a line and Enter."""
        os.write(self.terminal, line.encode() + b"\r")

    def close(self) -> None:
        """Kill and reap it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


class Stage:
    """Holds the home, the daemon and the shells; a context manager."""

    def __init__(self) -> None:
        os.umask(0o077)
        self.home = tempfile.mkdtemp(prefix="zdeferd.", dir="/tmp")
        self.shells: list[Shell] = []
        self._daemon: subprocess.Popen[bytes] | None = None
        self.env = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
            "HOME": self.home,
            "TERM": "xterm-256color",
            "SHELL": shutil.which("zsh") or "zsh",
            "ZDEFERD_SOCKET": f"{self.home}/sock",
        }
        self.paths: Paths = locate(self.env)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, name: str, text: str, mode: int = 0o600) -> None:
        """Write a file in the home, with its folders."""
        carry_out(Write(f"{self.home}/{name}", text.encode(), mode))

    def copy(self, source: str, name: str) -> None:
        """Copy a folder's text files, with the mode of a new private file."""
        for file in shim_files(source):
            with open(f"{source}/{file}", encoding="utf-8") as text:
                self.write(f"{name}/{file}", text.read())

    def run(self, *command: str) -> None:
        """Run a command in the home and its environment; ZdeferdError where it fails."""
        done = subprocess.run(
            command, env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True
        )
        if done.returncode:
            raise ZdeferdError(f"demo: {command[0]} failed: {done.stderr.decode().strip()}")

    def start_daemon(self) -> float:
        """Start zdeferd as a child process; return the ms until it was ready."""
        begun = time.monotonic()
        log_path = f"{self.home}/zdeferd.log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(log_path, "wb") as log:
            ready.bind(f"{self.home}/ready")
            ready.settimeout(0.1)
            self._daemon = subprocess.Popen(
                [sys.executable, "-P", "-m", "zdeferd.daemon"],
                env=self.env | {"NOTIFY_SOCKET": f"{self.home}/ready"} | _import_path(),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then stops it
            )
            self._await_ready(ready, log_path)
        return (time.monotonic() - begun) * 1000

    def _await_ready(self, ready: socket.socket, log_path: str) -> None:
        """Return once the daemon is ready; ZdeferdError has its last line where it is not."""
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until and self._daemon and self._daemon.poll() is None:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in ready.recv(4096):
                    return
        with open(log_path, encoding="utf-8", errors="replace") as log:
            said = log.read().strip().splitlines()
        raise ZdeferdError(f"demo: zdeferd did not start: {said[-1] if said else 'no word'}")

    def open_shells(self, count: int, prompt: str, **more: str) -> list[Shell]:
        """Start `count` zsh at once, with `more` in their environment; return them."""
        opened = [Shell(self.env | more, prompt) for _ in range(count)]
        self.shells += opened
        return opened

    def close_shells(self) -> None:
        """Kill all shells."""
        for shell in self.shells:
            shell.close()
        self.shells = []

    def watch(self, limit_s: float) -> Iterator[None]:
        """Read the terminals until the limit; yield at least ten times a second."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            ready, _, _ = select.select([shell.terminal for shell in self.shells], [], [], 0.1)
            for shell in self.shells:
                if shell.terminal in ready:
                    shell.read()
            yield

    def close(self) -> None:
        """End all processes, then remove the home."""
        self.close_shells()
        self._stop_daemon()
        if os.path.isdir(self.paths.runs):
            for run in os.listdir(self.paths.runs):
                _end_runner(os.path.join(self.paths.runs, run))
        shutil.rmtree(self.home, ignore_errors=True)

    def _stop_daemon(self) -> None:
        if self._daemon is None:
            return
        self._daemon.terminate()
        try:
            self._daemon.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()


def _import_path() -> dict[str, str]:
    """Return the variable by which the child imports this same package."""
    return {"PYTHONPATH": os.path.abspath(f"{os.path.dirname(__file__)}/../../..")}


def _end_runner(folder: str) -> None:
    """Cancel the run of this folder, if its runner lives, and wait for its end."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(open(os.path.join(folder, "lock"), "rb"))
            alive = os.open(os.path.join(folder, "alive"), os.O_RDONLY | os.O_NONBLOCK)
            stack.callback(os.close, alive)
            with open(os.path.join(folder, "started.1"), "rb") as file:
                pid = json.loads(file.readline())["pid"]
        except (OSError, ValueError):
            return  # it never started
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.kill(pid, signal.SIGTERM)
            end = select.poll()
            end.register(alive, select.POLLIN)
            while end.poll(END_LIMIT_S * 1000) and os.read(alive, 512):
                pass
