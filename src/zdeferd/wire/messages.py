"""Declares the records of a visit, once each, and decodes them.

A visit is one multipart message of records. A record is a frame that holds its name, followed
by frames `field=value` (any bytes after the first `=`). Lists travel inside one field, joined
by NUL; jobs/registrations.py has those of functions and jobs. The answer is one record.
control.py has the messages of zdeferctl; docs/protocol.md describes all.
"""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from ..errors import WireError
from ..jobs import registrations
from ..jobs.registrations import Function, Register
from .frames import MAX_FRAMES, records_of, split

T = TypeVar("T")

PROTOCOL = 2
"""Raised when a message changes its meaning. A visit of another version gets an error."""
NONCE = re.compile(r"[A-Za-z0-9.-]{1,64}")


class Record(Struct, frozen=True, forbid_unknown_fields=True, tag_field="record"):
    """One record of a visit. List fields are text joined by NUL."""


class Hello(Record, frozen=True, tag="hello"):
    """Opens every visit: names the shell and numbers the message."""

    protocol: int
    nonce: str
    """Identifies one zsh: letters, digits, `.`, `-`; new in every shell."""
    seq: int
    """1, 2, 3 … in one shell; a number seen before changes nothing."""
    version: str = ""


class ShellContext(Record, frozen=True, forbid_unknown_fields=False, tag="context"):
    """Holds what the jobs of this shell run with; passes over unknown fields of a newer shim."""

    environment: str = ""
    """`NAME=VALUE` list, cut to the allow-list by the shim."""
    options: str = ""
    """List of the options that are on."""
    fpath: str = ""
    """List of folders."""
    modules: str = ""
    """List; of each its name and what it has enabled, with blanks between: `zsh/stat b:zstat`."""
    folders: str = ""
    """`NAME=PATH` list of named folders (`hash -d`)."""
    exported: str = ""
    """`NAME=VALUE` list of the exported variables that the jobs' code mentions."""
    math: str = ""
    """List of math functions (`functions -M`): `NAME LEAST MOST FUNCTION`."""
    umask: Annotated[str, Meta(pattern=r"\A[0-7]{0,4}\Z")] = ""
    """Octal digits; empty: not known."""
    apply: str = ""
    """List: when the shell began (ns since the epoch), then `JOB=RUN` of each output that it
    waits for. Empty: this shell waits for none."""


class Functions(Record, frozen=True, tag="functions"):
    """Holds the functions that travel with this visit."""

    list: str = ""
    """Names and bodies, in the form of jobs/registrations.py."""


class Jobs(Record, frozen=True, tag="jobs"):
    """Declares jobs."""

    list: str = ""
    """The words of each, in the form of jobs/registrations.py."""


class Postprompt(Record, frozen=True, tag="postprompt"):
    """Reports that a prompt is up: registered jobs become due."""


class Idle(Record, frozen=True, tag="idle"):
    """Reports that nobody has typed for a while, as far as the shell knows."""


class Oversize(Record, frozen=True, tag="oversize"):
    """Names a job too large to travel; recorded so that `zdeferctl why` can say so."""

    id: str
    bytes: int
    function: str = ""
    """The largest of the functions that it needs."""
    size: int = 0


class DoneHere(Record, frozen=True, tag="done"):
    """Reports deferred work that the shell has done itself, once ZLE waited for keys."""

    id: str
    ms: Annotated[int, Meta(ge=0, lt=1 << 53)]
    rc: Annotated[int, Meta(ge=0, le=255)]


class Piece(Record, frozen=True, tag="piece"):
    """A part of a visit that is too large for one write."""

    number: int
    """1, 2, 3 …"""
    of: int
    bytes: str
    """The next bytes of the message, as ZMTP frames."""


class End(Record, frozen=True, tag="end"):
    """Ends a visit, so that a shell need not know which other record is the last."""


_KINDS = (Hello, ShellContext, Functions, Jobs, Postprompt, Idle, Oversize, DoneHere, Piece, End)
RECORDS: dict[str, type[Any]] = {str(kind.__struct_config__.tag): kind for kind in _KINDS}
"""The records of a visit, by the frame that names them."""


class Visit(Struct, frozen=True):
    """Holds one decoded visit of a shell."""

    hello: Hello
    context: ShellContext
    functions: tuple[Function, ...]
    jobs: tuple[Register, ...]
    oversize: tuple[Oversize, ...]
    postprompt: bool
    idle: bool
    done: tuple[DoneHere, ...] = ()
    piece: Piece | None = None


def decode_visit(frames: list[bytes]) -> Visit:
    """Return the visit in `frames`; WireError: wrong order, name, field or type."""
    if len(frames) > MAX_FRAMES:
        raise WireError(f"too many frames: {len(frames)}")
    records = [_decode_record(name, fields) for name, fields in records_of(frames)]
    if not records or not isinstance(records[0], Hello):
        raise WireError("the first record is not hello")
    found: dict[type[Any], list[Any]] = {}
    for record in records:
        found.setdefault(type(record), []).append(record)
    for kind in (Hello, ShellContext, Functions, Jobs, Piece):
        if len(found.get(kind, ())) > 1:
            raise WireError(f"repeated record: {kind.__struct_config__.tag}")

    def the(kind: type[T]) -> T:
        return found[kind][0] if kind in found else kind()

    context = the(ShellContext)
    functions, jobs = registrations.read(the(Functions).list, the(Jobs).list, split(context.math))
    return Visit(
        hello=records[0],
        context=context,
        functions=functions,
        jobs=jobs,
        oversize=tuple(found.get(Oversize, ())),
        done=tuple(found.get(DoneHere, ())),
        piece=found[Piece][0] if Piece in found else None,
        postprompt=Postprompt in found,
        idle=Idle in found,
    )


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


def check(hello: Hello) -> None:
    """Refuse, with WireError, a visit of another protocol or of a shell that has no name."""
    if hello.protocol != PROTOCOL:
        said = f"unknown protocol version: {hello.protocol}"
        raise WireError(f"{said}; this zdeferd speaks {PROTOCOL}")
    if not NONCE.fullmatch(hello.nonce) or hello.seq < 1:
        raise WireError("hello: bad nonce or seq")
