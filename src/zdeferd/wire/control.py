"""Declares the requests of zdeferctl and their replies, once each, encodes and decodes them.

A request is two frames, `request` and a MessagePack map with a `verb`; the answer is `reply` and
a MessagePack map, or `refused` and a text. docs/protocol.md describes them.
"""

import os
import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ..errors import WireError
from ..model import Trigger


class Ping(Struct, frozen=True, tag="ping", tag_field="verb"):
    """Asks whether it is alive, and which version: -> Pong."""


class RunJob(Struct, frozen=True, omit_defaults=True, tag="run", tag_field="verb"):
    """Claims and runs a job now, under a key of its own: -> RunClaimed."""

    job: str
    env: dict[str, str] = {}
    """The caller's environment, cut to the allow-list."""
    env_bytes: dict[str, bytes] = {}
    """Values of the environment that are no UTF-8."""


class CancelRun(Struct, frozen=True, tag="cancel", tag_field="verb"):
    """Cancels a run: -> Done once it has ended."""

    run: int


class AwaitRun(Struct, frozen=True, tag="await", tag_field="verb"):
    """Waits for the end of a run: -> Done, at once if it has ended."""

    run: int


class Switch(Struct, frozen=True, tag="switch", tag_field="verb"):
    """Lets events claim a job, or pass it over: -> Changed, with the job where that is new."""

    job: str
    enabled: bool


class Pause(Struct, frozen=True, tag="pause", tag_field="verb"):
    """Starts no run of these lanes until they are resumed: -> Changed, with the lanes."""

    lanes: list[Trigger]


class Resume(Struct, frozen=True, tag="resume", tag_field="verb"):
    """Starts runs of these lanes again: -> Changed, with the lanes."""

    lanes: list[Trigger]


class RetryRun(Struct, frozen=True, tag="retry", tag_field="verb"):
    """Runs the work of a run that has ended once more: -> RunClaimed."""

    run: int


class Forget(Struct, frozen=True, tag="forget", tag_field="verb"):
    """Deletes a job's runs, claims and files: -> Forgotten."""

    job: str
    force: bool = False
    """True: live runs of the job are cancelled first."""


class Reload(Struct, frozen=True, tag="reload", tag_field="verb"):
    """Reads the configuration again: -> Reloaded."""


class Stop(Struct, frozen=True, tag="stop", tag_field="verb"):
    """Ends the daemon; running jobs go on, the next daemon adopts them: -> Done."""


Request = (
    Ping
    | RunJob
    | CancelRun
    | AwaitRun
    | Switch
    | Pause
    | Resume
    | RetryRun
    | Forget
    | Reload
    | Stop
)


class Pong(Struct, frozen=True, tag="pong", tag_field="reply"):
    """Describes the daemon, as far as the ledger does not."""

    version: str
    pid: int
    protocol: int
    started_at: float
    activated: bool
    jobs: int
    problems: list[str]
    """The last distinct faults since the start, without problems of the configuration."""


class RunClaimed(Struct, frozen=True, tag="claimed", tag_field="reply"):
    """Names the run that a request made."""

    run: int
    ledger: bytes = b""
    """The path of the ledger that has the run; empty: this daemon does not say."""


class Done(Struct, frozen=True, tag="done", tag_field="reply"):
    """Confirms that the request was carried out."""

    outcome: str = ""
    rc: int | None = None


class Changed(Struct, frozen=True, tag="changed", tag_field="reply"):
    """Names what a request has changed; the rest of what it named was so already."""

    names: list[str]


class Forgotten(Struct, frozen=True, tag="forgotten", tag_field="reply"):
    """Counts what a request has deleted."""

    runs: int


class Reloaded(Struct, frozen=True, tag="reloaded", tag_field="reply"):
    """Describes the configuration in force now."""

    jobs: int
    problems: list[str]


Reply = Pong | RunClaimed | Done | Changed | Forgotten | Reloaded

_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def run_job(job: str, env: Mapping[str, str]) -> RunJob:
    """Return the request to run `job` with an environment as os.environ has it.

    A variable whose name is no UTF-8 is left out.
    """
    known = {name: value for name, value in env.items() if _is_text(name)}
    odd = {name: os.fsencode(value) for name, value in known.items() if not _is_text(value)}
    texts = {name: value for name, value in known.items() if name not in odd}
    return RunJob(job=job, env=texts, env_bytes=odd)


def environment_of(request: RunJob) -> dict[str, str]:
    """Return the environment of the request, as os.environ has it."""
    return request.env | {name: os.fsdecode(value) for name, value in request.env_bytes.items()}


def _is_text(value: str) -> bool:
    return value.isascii() or not re.search(r"[\ud800-\udfff]", value)


def encode_request(request: Request) -> list[bytes]:
    """Encode a request as frames."""
    return [b"request", msgspec.msgpack.encode(request)]


def decode_request(frames: list[bytes]) -> Request:
    """Return the request in `frames`; WireError: it is none."""
    if len(frames) != 2:
        raise WireError(f"request: {len(frames)} frames, not 2")
    try:
        return _request.decode(frames[1])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"request: {error}") from None


def encode_reply(reply: Reply) -> list[bytes]:
    """Encode a reply as frames."""
    return [b"reply", msgspec.msgpack.encode(reply)]


def decode_reply(frames: list[bytes]) -> Reply | str:
    """Return the reply in `frames`, or the text of a refusal; WireError: it is neither."""
    if len(frames) == 2 and frames[0] == b"refused":
        return frames[1].decode("utf-8", "replace")
    try:
        return _reply.decode(frames[1])
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"reply: {error}") from None
