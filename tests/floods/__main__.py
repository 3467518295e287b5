"""The long form of the floods: `make flood`, or `python -m floods` in tests/.

Each flood comes at a daemon of its own, from processes of its own, while a bystander (a shell
that wants no more than an answer) visits from this one. Printed as a table: memory before, at
its peak and after (MiB resident), the bystander's answers, and the fewest wake-ups of a second
at rest. Ends with 1 where a daemon did not survive, left a bystander unanswered, grew beyond
its bound, or did not come to rest. What `--keys` says is typed at the end (floods.echo).
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from floods import echo, fuzz, zmtp
from floods.crowd import GREETING, READY, Bystander, Caller, Signs, callers, descriptors
from support.daemon import Daemon, attempts, visit
from support.terminal import Terminal

BOUND_KIB = 32 << 10
"""No flood may make a daemon grow by more."""
SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"
Action = Callable[[], object]


def _fork(action: Action) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return child


def together(*actions: Action) -> None:
    """Each once, side by side, in processes of their own."""
    for child in [_fork(action) for action in actions]:
        _, status = os.waitpid(child, 0)
        assert status == 0, "a part of the flood failed"


@contextlib.contextmanager
def apart(*actions: Action) -> Iterator[None]:
    """Each again and again, in processes of their own, while the block lasts."""

    def again_and_again(action: Action) -> None:
        while True:
            with contextlib.suppress(OSError):
                action()

    children = [_fork(partial(again_and_again, action)) for action in actions]
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class Campaign:
    """The floods, one method each; each returns what it came to, in a few words."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def nothing(self, daemon: Daemon) -> str:
        """What the others are to be compared with."""
        time.sleep(self.options.seconds)
        return f"for {self.options.seconds} s"

    def shells(self, daemon: Daemon) -> str:
        """Real zsh in real terminals, all at once, each with a job, and one that all share."""
        jobs = "zdefer add shared --once-per boot -- true\nzdefer add own -- true\n"
        zshrc = f"source {SHIM}\n{jobs}"
        runs, environ = self.options.shells + 1, {"XDG_STATE_HOME": ""}
        with contextlib.ExitStack() as stack:
            opened = [
                stack.enter_context(Terminal(daemon.home, None if number else zshrc, environ))
                for number in range(self.options.shells)
            ]
            for shell in opened:
                shell.prompt(limit_s=120)
            self._done(daemon, runs)
        return f"{len(opened)} zsh at once, {runs} runs"

    def events(self, daemon: Daemon) -> str:
        """Postprompt events as fast as they are answered, on 20 connections."""
        began = time.monotonic()
        together(*(partial(self._send, daemon, part) for part in range(4)))
        took = time.monotonic() - began
        self._done(daemon, 0)
        return f"{self.options.events:,} events, answered in {took:.1f} s"

    def _send(self, daemon: Daemon, part: int) -> None:
        names = [f"p{part}-{number}" for number in range(5)]
        with contextlib.ExitStack() as stack:
            shells = [stack.enter_context(Caller(daemon.socket)).greet() for _ in names]
            for number in range(self.options.events // 20):
                for name, shell in zip(names, shells, strict=True):
                    shell.send(visit(f"{name}-{number}"))
                for shell in shells:
                    shell.answer()

    def _done(self, daemon: Daemon, runs: int) -> None:
        for _ in attempts(600):
            ended = daemon.rows("SELECT count(*) FROM runs WHERE state = 'ended'")[0][0]
            if ended == runs and not daemon.rows("SELECT count(*) FROM lines")[0][0]:
                return
        raise AssertionError(f"{ended} of {runs} runs have ended")

    def silent(self, daemon: Daemon) -> str:
        """Two thousand that say nothing, then new ones, and so on."""

        def connect() -> None:
            with callers(daemon.socket, 1000):
                time.sleep(0.5)

        with apart(connect, connect):
            time.sleep(self.options.seconds)
        return f"2,000 connections, new ones twice a second, for {self.options.seconds} s"

    def half_a_greeting(self, daemon: Daemon) -> str:
        """The same, with half a greeting or half a message said."""
        half = zmtp.encode(visit("n1"))[:-1]

        def connect(said: bytes) -> None:
            with callers(daemon.socket, 500) as made:
                for caller in made:
                    with contextlib.suppress(OSError):
                        caller.socket.sendall(said)
                time.sleep(0.5)

        with apart(lambda: connect(GREETING[:11]), lambda: connect(GREETING + READY + half)):
            time.sleep(self.options.seconds)
        return f"1,000 connections, new ones twice a second, for {self.options.seconds} s"

    def deaf(self, daemon: Daemon) -> str:
        """Messages as fast as they are read, and the answers never read."""

        def ask_for_ever() -> None:
            with Caller(daemon.socket, limit_s=2) as caller:
                caller.greet()
                while True:
                    caller.socket.sendall(zmtp.encode([b"hullo"]) * 500)

        with apart(*[ask_for_ever] * 4):
            time.sleep(self.options.seconds)
        return f"4 peers for {self.options.seconds} s"

    def dripping(self, daemon: Daemon) -> str:
        """Two hundred that send a byte a second."""

        def drip() -> None:
            message = iter(GREETING + READY + zmtp.encode(visit("n1")) * 100)
            with callers(daemon.socket, 200) as made:
                for byte in message:
                    for caller in made:
                        with contextlib.suppress(OSError):
                            caller.socket.send(bytes([byte]))
                    time.sleep(1.0)

        with apart(drip):
            time.sleep(max(12, self.options.seconds))
        return f"200 peers for {max(12, self.options.seconds)} s"

    def fuzzed(self, daemon: Daemon) -> str:
        """Mutated streams, from two processes."""
        parts = [1, 2]
        frames = self.options.frames // len(parts)
        together(*(partial(fuzz.flood, daemon.socket, frames, seed) for seed in parts))
        return f"{frames * len(parts):,} frames"

    def loud(self, daemon: Daemon) -> str:
        """A job that prints 1 GiB, and one with 300 children that do not listen."""
        crowd = "for i in {1..300}; do ( trap '' TERM; sleep 300 ) & done; return 0"
        jobs = {"loud": "head -c 1073741824 /dev/zero", "crowd": crowd}
        with Caller(daemon.socket) as shell:
            shell.greet().ask(visit("loud", 1, jobs, {"PATH": os.environ["PATH"]}))
        self._done(daemon, 2)
        (printed,), *_ = daemon.rows("SELECT output_bytes FROM runs WHERE job = 'loud'")
        return f"{printed >> 20} MiB printed; 300 children ended"

    def stopped(self, daemon: Daemon) -> str:
        """Visits behind a stopped daemon, which then goes on."""
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGSTOP)
        queued = 0
        for _ in range(self.options.visits):
            with contextlib.suppress(BlockingIOError), Caller(daemon.socket) as shell:
                shell.socket.sendall(GREETING + READY)
                queued += 1
        daemon.process.send_signal(signal.SIGCONT)
        began = time.monotonic()
        for _ in attempts():
            with contextlib.suppress(BlockingIOError), Caller(daemon.socket) as shell:
                shell.greet().ask(visit("late", event=b""))
                break
        took = time.monotonic() - began
        return f"{self.options.visits:,} visits, {queued:,} queued, dealt with in {took:.2f} s"


FLOODS = ("nothing", "shells", "events", "stopped", "silent", "half_a_greeting", "dripping",
          "deaf", "fuzzed", "loud")  # fmt: skip
MAY_END_IT = ("deaf",)
"""libzmq aborts where a peer dies in the instant of its heartbeat with messages unread (ADR 19)."""
UNWATCHED = ("stopped",)
"""While it is stopped it answers nobody."""


def bear(campaign: Campaign, name: str) -> bool:
    """One flood, as a row; whether it was borne."""
    with tempfile.TemporaryDirectory(prefix="zd.", dir="/tmp") as folder:
        daemon = Daemon(Path(folder))
        daemon.write_settings('jobs_at_once = 2\nkill_grace = "500ms"\n')
        process = daemon.start().process
        assert process is not None
        signs = Signs(process.pid)
        before = signs.rss_kib()
        pause_s = 3600.0 if name in UNWATCHED else 0.005
        with Bystander(daemon.socket, pause_s=pause_s) as bystander:
            came_to = getattr(campaign, name)(daemon)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
            reason = daemon.errors.read_text().strip().splitlines()[-1]
            print(f"| {name.replace('_', ' ')}: {came_to}; ended: {reason} |", flush=True)
            return name in MAY_END_IT
        answers, peak = bystander.answers(), signs.peak_kib()
        rests = signs.wake_ups_at_rest(1.0, limit_s=40)
        after = signs.rss_kib()
        daemon.stop()
        assert "internal error" not in daemon.errors.read_text()
    memory = " | ".join(f"{kib / 1024:.1f}" for kib in (before, peak, after))
    seen = "— | — | —"
    if answers.asked:
        seen = (
            f"{answers.asked}, {answers.unanswered} | {answers.p50_ms:.1f} | {answers.p99_ms:.1f}"
        )
    print(f"| {name.replace('_', ' ')}: {came_to} | {memory} | {seen} | {rests} |", flush=True)
    return not (answers.unanswered or rests or peak - before > BOUND_KIB)


def main() -> int:
    """The floods that were asked for; 1 where one was not borne."""
    parser = argparse.ArgumentParser(prog="python -m floods", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "floods", nargs="*", default=FLOODS, metavar="FLOOD", help=", ".join(FLOODS)
    )
    for name, default in {
        "shells": 200, "events": 10_000, "visits": 5000, "seconds": 15, "frames": 1_000_000,
        "keys": 2000,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default:,}")
    options = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    assert threading.active_count() == 1, "floods fork"
    print("| flood | MiB before | peak | after | visits, unanswered | p50 ms | p99 ms | wake-ups |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with descriptors(16384):
        borne = [bear(Campaign(options), name) for name in options.floods]
    if options.keys:
        print()
        sys.argv[1:] = [str(options.keys)]
        echo.main()
    return 0 if all(borne) else 1


if __name__ == "__main__":
    sys.exit(main())
