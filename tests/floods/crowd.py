"""Who floods a daemon, and how the daemon bears it: raw peers, and its vital signs.

A `Caller` is one plain unix socket that speaks ZMTP as the shim does, byte for byte, or
does not; thousands of them cost a test nothing but descriptors. `Signs` reads what the
kernel says about a process: memory, descriptors, processor time, and how often it woke up.
`Bystander` is a shell that wants no more than an answer, and measures how long that takes.

All that is opened here closes with its `with` block. Linux only: the signs are in /proc.
"""

import contextlib
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from floods import zmtp
from support.daemon import LIMIT_S, attempts, visit

GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL" + bytes(48)
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
GREETING_BYTES = 64
MORE, LONG, COMMAND = 1, 2, 4
"""Flags of a frame."""


class Caller:
    """One connection. Nothing is sent but what is asked for."""

    def __init__(self, path: Path, limit_s: float = LIMIT_S) -> None:
        """Connect, or BlockingIOError where the kernel's queue is full."""
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.setblocking(False)
            self.socket.connect(str(path))
            self.socket.settimeout(limit_s)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def greet(self) -> Self:
        """Send greeting and READY, and take in the daemon's own."""
        return self.shake_hands(GREETING + READY)

    def shake_hands(self, said: bytes) -> Self:
        """Send these bytes as a handshake, and take in the daemon's own."""
        self.socket.sendall(said)
        assert self._exactly(GREETING_BYTES)[10] == 3  # ZMTP 3
        flags, size = self._exactly(2)
        assert flags == 4
        assert self._exactly(size).startswith(b"\x05READY\x0bSocket-Type\0\0\0\x06ROUTER")
        return self

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionResetError("hung up")
            data += piece
        return data

    def send(self, frames: Sequence[bytes]) -> None:
        """One message."""
        self.socket.sendall(zmtp.encode(list(frames)))

    def answer(self) -> bytes:
        """Return the bytes of the next message; ConnectionResetError: it hung up.

        libzmq pings whoever is connected, busy or not: commands are skipped.
        """
        message, more = b"", True
        while more:
            frame = self._frame()
            if not frame[0] & COMMAND:
                message += frame
                more = bool(frame[0] & MORE)
        return message

    def _frame(self) -> bytes:
        """Return the next frame, in however many pieces it comes."""
        head = self._exactly(2)
        if head[0] & LONG:
            head += self._exactly(7)
        return head + self._exactly(int.from_bytes(head[1:], "big"))

    def ask(self, frames: Sequence[bytes]) -> bytes:
        """A message and its answer."""
        self.send(frames)
        return self.answer()

    def hung_up(self, limit_s: float = LIMIT_S) -> bool:
        """Whether the daemon hangs up within the limit; what it says before is skipped."""
        self.socket.settimeout(limit_s)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            try:
                while self.socket.recv(1 << 16):
                    pass
            except TimeoutError:
                return False
        return True


@contextlib.contextmanager
def callers(path: Path, count: int) -> Iterator[list[Caller]]:
    """That many connections at once; those for whom there is no room are left out."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            with contextlib.suppress(BlockingIOError):
                made.append(stack.enter_context(Caller(path)))
        yield made


class Answers(NamedTuple):
    """How a bystander fared; times in milliseconds."""

    asked: int
    unanswered: int
    p50_ms: float
    p99_ms: float
    worst_ms: float


class Bystander:
    """Shells that visit one after the other while the block lasts, each with an event."""

    def __init__(self, path: Path, name: str = "bystander", pause_s: float = 0.002) -> None:
        self._path, self._name, self._pause_s = path, name, pause_s
        self.times: list[float] = []
        self._unanswered = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._visit)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _visit(self) -> None:
        while not self._over.wait(self._pause_s):
            number = len(self.times) + self._unanswered
            before = time.perf_counter()
            try:
                with Caller(self._path) as caller:
                    frames = visit(f"{self._name}-{number}", event=b"")
                    assert caller.greet().ask(frames) == zmtp.encode([b"ok", b"seq=1"])
                self.times.append((time.perf_counter() - before) * 1000)
            except OSError:
                self._unanswered += 1

    def answers(self) -> Answers:
        """What the finished block brought."""
        times = sorted(self.times) or [float("inf")]
        return Answers(
            asked=len(self.times) + self._unanswered,
            unanswered=self._unanswered,
            p50_ms=percentile(times, 50),
            p99_ms=percentile(times, 99),
            worst_ms=times[-1],
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of values in ascending order."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Signs:
    """The vital signs of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def rss_kib(self) -> int:
        """Resident memory."""
        return self._status("VmRSS")

    def peak_kib(self) -> int:
        """The most that was ever resident."""
        return self._status("VmHWM")

    def pss_kib(self) -> int:
        """Resident memory, what is shared counted in parts."""
        for line in self._read("smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise AssertionError("the kernel does not tell the Pss")

    def descriptors(self) -> int:
        """How many are open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wake_ups(self) -> int:
        """How often any of its threads has waited and gone on."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        texts = [(thread / "status").read_text() for thread in threads]
        return sum(_field(text, "voluntary_ctxt_switches") for text in texts)

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def state(self) -> str:
        """The one letter of proc(5)."""
        return self._read("stat").rpartition(")")[2].split()[0]

    def wake_ups_at_rest(self, interval_s: float = 1.0, limit_s: float = LIMIT_S) -> int:
        """The fewest wake-ups of an interval; 0 as soon as one goes by without any."""
        fewest = 1 << 30
        end = time.monotonic() + limit_s
        while fewest and time.monotonic() < end:
            before = self.wake_ups()
            threading.Event().wait(interval_s)  # an interval is what is measured
            fewest = min(fewest, self.wake_ups() - before)
        return fewest

    def _status(self, name: str) -> int:
        return _field(self._read("status"), name)

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no such field: {name}")


@contextlib.contextmanager
def descriptors(limit: int) -> Iterator[None]:
    """This process may open that many, as far as it is allowed to allow itself."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = limit if before[1] == resource.RLIM_INFINITY else min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def until(condition: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Wait for what nothing announces."""
    for _ in attempts(limit_s):
        if condition():
            return
    raise AssertionError(f"did not come true: {what}")
