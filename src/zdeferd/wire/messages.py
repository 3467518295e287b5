"""Every message, declared once.

**Shells** speak in frames. A visit is one multipart message of records; a record is
a frame that holds its name, followed by frames `field=value` (any bytes after the
first `=`). Lists travel inside one field, joined by NUL; jobs/registrations.py has those of
functions and jobs. The answer is one record.

**zdeferctl** sends two frames, `request` and a MessagePack map with a `verb`; the
answer is `reply` and a MessagePack map, or `refused` and a text.

docs/protocol.md describes both; a test compares it with this file.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from ..errors import WireError
from ..jobs import registrations
from ..jobs.registrations import Function, Register

T = TypeVar("T")

PROTOCOL = 2
"""Bumped when a message changes its meaning; an unknown one is answered with an error."""
UNDERSTOOD = (1, 2)
"""Shells that were open before an upgrade speak as they did."""
MAX_FRAMES = 4096
MAX_FRAME_BYTES = 1 << 18


class Record(Struct, frozen=True, forbid_unknown_fields=True, tag_field="record"):
    """One record of a visit. List fields are text joined by NUL."""


class Hello(Record, frozen=True, tag="hello"):
    """Opens every visit: who is calling, and the number of this message."""

    protocol: int
    nonce: str
    """Identifies one zsh: letters, digits, `.`, `-`; new in every shell."""
    seq: int
    """1, 2, 3 … in one shell; a number seen before changes nothing."""
    version: str = ""
    """The shim's version."""


class ShellContext(Record, frozen=True, tag="context"):
    """What jobs of this shell run with."""

    environment: str = ""
    """`NAME=VALUE` list, cut to the allow-list by the shim."""
    options: str = ""
    """List of the options that are on."""
    fpath: str = ""
    """List of folders."""


class Functions(Record, frozen=True, tag="functions"):
    """The functions that travel with this visit."""

    list: str = ""
    """Names and bodies, in the form of jobs/registrations.py."""


class Jobs(Record, frozen=True, tag="jobs"):
    """Declares jobs."""

    list: str = ""
    """The words of each, in the form of jobs/registrations.py."""


class OldFunction(Record, frozen=True, tag="function"):
    """Version 1: a function that travels with this visit."""

    name: str
    body: str


class OldJob(Record, frozen=True, tag="job"):
    """Version 1: declares a job."""

    id: str
    call: str
    """List."""
    on: str = "postprompt"
    once_per: str = "shell"
    after: str = ""
    """List."""
    watch: str = ""
    """List."""
    timeout: str = ""
    env: str = ""
    """List."""
    functions: str = ""
    """List of names of the functions of this visit that it needs."""
    description: str = ""


class Postprompt(Record, frozen=True, tag="postprompt"):
    """A prompt is up: what is registered becomes due."""


class Idle(Record, frozen=True, tag="idle"):
    """The user has gone quiet, says the shell."""


class Oversize(Record, frozen=True, tag="oversize"):
    """A job too large to travel; recorded so that `zdeferctl why` can say so."""

    id: str
    bytes: int


class End(Record, frozen=True, tag="end"):
    """Nothing more: a shell need not know which of its other records is the last."""


OLD_LISTS = ("call", "after", "watch", "env", "functions")
RECORDS: dict[str, type[Any]] = {
    "hello": Hello,
    "context": ShellContext,
    "functions": Functions,
    "jobs": Jobs,
    "function": OldFunction,
    "job": OldJob,
    "postprompt": Postprompt,
    "idle": Idle,
    "oversize": Oversize,
    "end": End,
}


class Visit(Struct, frozen=True):
    """One decoded visit of a shell."""

    hello: Hello
    context: ShellContext
    functions: tuple[Function, ...]
    jobs: tuple[Register, ...]
    oversize: tuple[Oversize, ...]
    postprompt: bool
    idle: bool


def split(text: str) -> tuple[str, ...]:
    """A list field's elements."""
    return tuple(text.split("\0")) if text else ()


def split_map(text: str) -> dict[str, str]:
    """A `NAME=VALUE` list as a dictionary."""
    return as_map(split(text))


def as_map(words: Iterable[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a dictionary; those without `=` are dropped."""
    return dict(word.split("=", 1) for word in words if "=" in word)


def decode_visit(frames: list[bytes]) -> Visit:
    """The visit in `frames`, or WireError: wrong order, name, field or type."""
    if len(frames) > MAX_FRAMES:
        raise WireError(f"too many frames: {len(frames)}")
    records = [_decode_record(name, fields) for name, fields in _records(frames)]
    if not records or not isinstance(records[0], Hello):
        raise WireError("the first record is not hello")

    def all_of(kind: type[Any]) -> tuple[Any, ...]:
        return tuple(record for record in records if isinstance(record, kind))

    for kind in (Hello, ShellContext, Functions, Jobs):
        if len(all_of(kind)) > 1:
            raise WireError(f"repeated record: {kind.__struct_config__.tag}")

    def the(kind: type[T]) -> T:
        return next(iter(all_of(kind)), kind())

    functions, jobs = registrations.read(the(Functions).list, the(Jobs).list)
    return Visit(
        hello=records[0],
        context=the(ShellContext),
        functions=(*functions, *(Function(old.name, old.body) for old in all_of(OldFunction))),
        jobs=(*jobs, *map(_renewed, all_of(OldJob))),
        oversize=all_of(Oversize),
        postprompt=bool(all_of(Postprompt)),
        idle=bool(all_of(Idle)),
    )


def _renewed(old: OldJob) -> Register:
    lists = {name: split(getattr(old, name)) for name in OLD_LISTS}
    return msgspec.convert(msgspec.structs.asdict(old) | lists, Register)


def _records(frames: list[bytes]) -> list[tuple[str, dict[str, str]]]:
    out: list[tuple[str, dict[str, str]]] = []
    for frame in frames:
        text = frame.decode("utf-8", "surrogateescape")
        name, equals, value = text.partition("=")
        if not equals:
            out.append((text, {}))
        elif not out:
            raise WireError(f"a field before any record: {name[:40]!r}")
        elif name in out[-1][1]:
            raise WireError(f"repeated field: {out[-1][0]}.{name[:40]}")
        else:
            out[-1][1][name] = value
    return out


def _decode_record(name: str, fields: dict[str, str]) -> Any:
    kind = RECORDS.get(name)
    if kind is None:
        raise WireError(f"unknown record: {name[:40]!r}")
    if "record" in fields:
        raise WireError(f"unknown field: {name}.record")
    try:
        return msgspec.convert(fields | {"record": name}, kind, strict=False)
    except msgspec.ValidationError as error:
        raise WireError(f"{name}: {error}") from None
    except UnicodeError:  # msgspec compares names as UTF-8; values may be any bytes
        raise WireError(f"{name}: a field whose name is not UTF-8") from None


def answer(name: str, **fields: object) -> list[bytes]:
    """An answer to a shell: `ok` or `error`, with its fields."""
    return [
        name.encode(),
        *(f"{key}={value}".encode(errors="replace") for key, value in fields.items()),
    ]


# --- zdeferctl ---------------------------------------------------------------


class Ping(Struct, frozen=True, tag="ping", tag_field="verb"):
    """Is it alive, and which version: -> Pong."""


class RunJob(Struct, frozen=True, tag="run", tag_field="verb"):
    """Claim and run a job now, under a key of its own: -> Claimed."""

    job: str
    env: dict[str, str] = {}
    """The caller's environment, cut to the allow-list."""


class CancelRun(Struct, frozen=True, tag="cancel", tag_field="verb"):
    """Cancel a run: -> Done once it has ended."""

    run: int


class AwaitRun(Struct, frozen=True, tag="await", tag_field="verb"):
    """Answer when the run has ended (at once if it has): -> Done."""

    run: int


class Reload(Struct, frozen=True, tag="reload", tag_field="verb"):
    """Read the configuration again: -> Reloaded."""


class Stop(Struct, frozen=True, tag="stop", tag_field="verb"):
    """Exit; running jobs go on and are adopted by the next daemon: -> Done."""


Request = Ping | RunJob | CancelRun | AwaitRun | Reload | Stop


class Pong(Struct, frozen=True, tag="pong", tag_field="reply"):
    """The daemon's own state, as far as the ledger does not hold it."""

    version: str
    pid: int
    protocol: int
    started_at: float
    activated: bool
    jobs: int
    problems: list[str]
    """The last distinct faults since the start; what is refused is in the configuration."""


class Claimed(Struct, frozen=True, tag="claimed", tag_field="reply"):
    """The run that a request made."""

    run: int


class Done(Struct, frozen=True, tag="done", tag_field="reply"):
    """The request was carried out."""

    outcome: str = ""
    rc: int | None = None


class Reloaded(Struct, frozen=True, tag="reloaded", tag_field="reply"):
    """What is in force now."""

    jobs: int
    problems: list[str]


Reply = Pong | Claimed | Done | Reloaded

_request: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def encode_request(request: Request) -> list[bytes]:
    """The frames of a request."""
    return [b"request", msgspec.msgpack.encode(request)]


def decode_request(frames: list[bytes]) -> Request:
    """The request in `frames`, or WireError."""
    try:
        return _request.decode(frames[1])
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"request: {error}") from None


def encode_reply(reply: Reply) -> list[bytes]:
    """The frames of a reply."""
    return [b"reply", msgspec.msgpack.encode(reply)]


def decode_reply(frames: list[bytes]) -> Reply | str:
    """The reply in `frames`, or the text of a refusal, or WireError."""
    if len(frames) == 2 and frames[0] == b"refused":
        return frames[1].decode("utf-8", "replace")
    try:
        return _reply.decode(frames[1])
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"reply: {error}") from None
