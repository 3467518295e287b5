"""How fast keys come back: with the plugin beside without it, whatever the daemon does.

    python -m floods.echo [KEYS]

For each state of the daemon two shells are open, one with the plugin and one without. Keys are
typed into them in turns, one at a time, each as soon as the last has come back; every so many
keys a new prompt, so that there are visits. Printed are the p50 and p99 in milliseconds.
"""

import contextlib
import os
import select
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from floods import zmtp
from floods.crowd import Caller, percentile
from shell.peer import Stub
from support.daemon import Daemon
from support.terminal import Terminal

SHIM = Path(__file__).parents[2] / "shell/zdeferd.plugin.zsh"
JOBS = "\n".join(f"f{i}() {{ : }}; zf::defer::register j{i} f{i} postprompt J" for i in range(5))
KEYS_A_PROMPT = 20


@contextlib.contextmanager
def no_daemon(_: Daemon) -> Iterator[None]:
    """Nobody listens."""
    yield


@contextlib.contextmanager
def well(daemon: Daemon) -> Iterator[None]:
    """It answers."""
    daemon.start()
    yield
    daemon.close()


@contextlib.contextmanager
def stopped(daemon: Daemon) -> Iterator[None]:
    """It has been stopped, and the kernel's queue behind it is full."""
    process = daemon.start().process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    with contextlib.suppress(BlockingIOError):
        for _ in range(5000):
            with Caller(daemon.socket):
                pass
    yield
    daemon.close()


@contextlib.contextmanager
def _spoken(daemon: Daemon, piece: bytes) -> Iterator[None]:
    over = threading.Event()

    def speak() -> None:
        while not over.is_set():
            if stub.waiting():
                with stub.accept() as connection, contextlib.suppress(OSError):
                    connection.sendall(zmtp.OPENING)
                    while not over.is_set():
                        connection.sendall(piece)

    with Stub(daemon.socket) as stub:
        speaking = threading.Thread(target=speak)
        speaking.start()
        yield
        over.set()
        speaking.join()


@contextlib.contextmanager
def rubbish(daemon: Daemon) -> Iterator[None]:
    """It answers with noise."""
    with _spoken(daemon, b"\x00\xffnoise" * 100):
        yield


@contextlib.contextmanager
def for_ever(daemon: Daemon) -> Iterator[None]:
    """It pings without end."""
    with _spoken(daemon, zmtp.PING * 100):
        yield


def echo_ms(shell: Terminal, keys: int) -> list[float]:
    """How long each key takes to come back."""
    times = []
    shell.drain()
    for _ in range(keys):
        before = time.perf_counter()
        os.write(shell.fd, b"a")
        assert select.select([shell.fd], [], [], 10)[0], "a key did not come back"
        times.append((time.perf_counter() - before) * 1000)
        shell.drain()
    shell.type("\x15")  # the line is cleared
    shell.read(1)
    return times


def measure(state: "contextlib.AbstractContextManager[None]", home: Path, keys: int) -> str:
    """One row: p50 and p99, with and without."""
    found: dict[bool, list[float]] = {True: [], False: []}
    stubs = "zf::defer::register() { : }\n"
    with state:
        for _ in range(max(1, keys // KEYS_A_PROMPT // 5)):
            with contextlib.ExitStack() as stack:
                shells = {
                    plugin: stack.enter_context(
                        Terminal(home, (f"source {SHIM}\n" if plugin else stubs) + JOBS)
                    )
                    for plugin in (True, False)
                }
                for shell in shells.values():
                    shell.prompt()
                for _ in range(5):
                    for plugin, shell in shells.items():
                        found[plugin] += echo_ms(shell, KEYS_A_PROMPT)
                    for shell in shells.values():
                        shell.type("\r")
                        shell.prompt()
    rows = [sorted(found[plugin]) for plugin in (False, True)]
    cells = [f"{percentile(row, p):.2f}" for p in (50, 99) for row in rows]
    return " | ".join(cells)


def main() -> None:
    """Every state, as rows of a table."""
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print("| daemon | p50 without | p50 with | p99 without | p99 with |")
    print("| --- | --- | --- | --- | --- |")
    for state in (no_daemon, well, stopped, rubbish, for_ever):
        with tempfile.TemporaryDirectory(prefix="zd.", dir="/tmp") as folder:
            home = Path(folder)
            daemon = Daemon(home)
            daemon.errors.touch()
            # The terminal's own folders, for the daemon too.
            daemon.env |= {"XDG_STATE_HOME": str(home / ".local/state")}
            print(f"| {state.__name__.replace('_', ' ')} | {measure(state(daemon), home, keys)} |")


if __name__ == "__main__":
    main()
