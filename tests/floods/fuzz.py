"""Byte streams that no honest peer sends: made from the corpus by mutation, and sent.

`corpus/` holds streams, whole from the greeting on, one a file: those of real visits and
requests, and those that atheris found to reach new code (`python -m floods.fuzz FOLDER`
with atheris installed). `Mutator` makes more of them, from a seed.
`flood` sends them to a daemon's socket and counts.

Nothing a mutation makes runs more than `true`: a list that says otherwise is emptied.
"""

import contextlib
import random
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from floods import zmtp
from floods.crowd import GREETING, READY, Caller
from support.daemon import listed, visit

from zdeferd.errors import WireError
from zdeferd.jobs import registrations
from zdeferd.wire import control
from zdeferd.wire import messages as wire

CORPUS = Path(__file__).parent / "corpus"
ODD_FRAMES = [b"", b"=", b"hello", b"protocol=", b"seq=-1", b"seq=" + b"9" * 40, b"nonce=../x",
              b"jobs", b"id=\xff\xfe", b"list=4\0true", b"request", b"\xc1", b"record=hello",
              b"context", b"x" * 300, b"\0" * 70_000]  # fmt: skip
CALLS = {("true",), ("true", "x"), ("f",)}
ODD_BYTES = [b"\xff", b"\x08\x00", b"\x02" + b"\xff" * 8, b"\x03" + bytes(8), b"\x04\x00",
             b"\x04\x06\x05ERROR", zmtp.PING, b"\x06" + bytes(7) + b"\x05\x04PONG"]  # fmt: skip


def seeds() -> dict[str, bytes]:
    """What honest peers send; the corpus began with these."""
    jobs = {"a": "true", "b": "true"}
    env = {"HOME": "/nowhere", "PERF_SAMPLE_CONTEXT": "x", "ZSH_LOG_STRUCTURED": "1"}
    functions = [b"functions", listed(b"f", b"true")]
    words = [b"add", b"id=c", b"on=idle", b"once_per=day", b"after=a", b"after=b", b"env=A=1",
             b"watch=command:git", b"timeout=20s", b"function=f", b"--", b"true", b"x"]  # fmt: skip
    job = [b"jobs", listed(b"\0".join(words), b"defer\0d\0f\0idle\0what it does")]
    hello = visit("n1", 1, environ=env, event=b"")
    messages = {
        "event": visit("n1", 1),
        "idle": visit("n2", 2, event=b"idle"),
        "jobs": visit("n3", 1, jobs, env, event=b""),
        "function": [*hello, *functions, *job, b"end"],
        "oversize": [*hello, b"oversize", b"id=big", b"bytes=100000"],
        "ping": control.encode_request(control.Ping()),
        "await": control.encode_request(control.AwaitRun(run=1)),
        "cancel": control.encode_request(control.CancelRun(run=1)),
        "run": control.encode_request(control.RunJob(job="nobody", env={"A": "1"})),
        "reload": control.encode_request(control.Reload()),
    }
    return {name: GREETING + READY + zmtp.encode(message) for name, message in messages.items()}


def corpus() -> list[bytes]:
    """The kept streams."""
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


class Mutator:
    """Streams without end, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._messages = [found for data in corpus() for found in zmtp.messages(data)]

    def stream(self, messages: int = 8) -> bytes:
        """A handshake, mostly, and some messages; now and then it is bytes that are changed."""
        data = GREETING + READY + b"".join(zmtp.encode(self._message()) for _ in range(messages))
        return self._bytes(data) if self._chance.random() < 0.2 else data

    def _message(self) -> list[bytes]:
        chance = self._chance
        frames = list(chance.choice(self._messages))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(frames))
            other = chance.choice(self._messages)
            change = chance.randrange(6)
            if change == 0 and len(frames) > 1:
                del frames[at]
            elif change == 1:
                frames.insert(at, frames[at])
            elif change == 2:
                frames.insert(at, chance.choice(ODD_FRAMES))
            elif change == 3:
                frames[at:] = other[chance.randrange(len(other)) :] or [b""]
            elif change == 4:
                frames[at] = self._bytes(frames[at])
            else:
                chance.shuffle(frames)
        if frames[0] == b"request" and b"stop" in frames[-1]:
            frames = [b"hullo"]
        if b"jobs" in frames:  # rarely due, so that it is frames that are tested, not zsh
            frames = [frame for frame in frames if frame not in (b"postprompt", b"idle")]
        return [frame if _is_harmless(frame) else b"list=" for frame in frames]

    def _bytes(self, data: bytes) -> bytes:
        chance, changed = self._chance, bytearray(data or b"\0")
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(changed))
            if chance.random() < 0.7:
                changed[at] = chance.randrange(256)
            else:
                changed[at:at] = chance.choice(ODD_BYTES)
        return bytes(changed)


def _is_harmless(frame: bytes) -> bool:
    """Whether no job would run anything but `true`, should this be a list of a visit."""
    text = frame.removeprefix(b"list=").decode("utf-8", "surrogateescape")
    with contextlib.suppress(WireError):
        return all(job.call in CALLS for job in registrations.read("", text)[1])
    with contextlib.suppress(WireError):
        return all(function.body == "true" for function in registrations.read(text, "")[0])
    return True


class Sent(NamedTuple):
    """What a flood came to."""

    frames: int
    streams: int
    hung_up: int
    """Streams that the daemon did not take in to their end."""


def flood(path: Path, frames: int, seed: int) -> Sent:
    """Send streams, each on a connection of its own, until so many frames have been sent."""
    mutator, sent, streams, hung_up = Mutator(seed), 0, 0, 0
    while sent < frames:
        data = mutator.stream()
        sent += max(1, sum(len(message) for message in zmtp.messages(data)))
        streams += 1
        with Caller(path) as caller:
            try:
                caller.socket.sendall(data)
                caller.socket.shutdown(socket.SHUT_WR)  # it has all been taken in when it hangs up
                while caller.socket.recv(1 << 16):
                    pass
            except OSError:
                hung_up += 1
    return Sent(sent, streams, hung_up)


def take_apart(data: bytes) -> None:
    """Decode the messages of a stream as the daemon does, and touch nothing."""
    for message in zmtp.messages(data):
        with contextlib.suppress(WireError):
            _decode(message)


def _decode(message: list[bytes]) -> None:
    if message[:1] == [b"request"]:
        control.decode_request(message)
    else:
        wire.decode_visit(message)


def main() -> None:
    """Coverage-guided, for as long as libFuzzer's options say, such as `-max_total_time=60`."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    atheris.instrument_all()
    atheris.Setup(sys.argv, lambda data: take_apart(GREETING + READY + data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
