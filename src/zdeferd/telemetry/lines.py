"""Formats and parses the plain lines of the shared log.

Every line is a Struct that refuses each value that the contract does not allow (whole
numbers, static ids, the enumerations), so a path, a name or a command line cannot get into
telemetry by mistake. `parse` reads exactly what the Structs can write, and the legacy lines
that other tools still write; other programs' lines are None, for readers to pass over.
docs/telemetry.md lists the lines.

Lines are bytes without their newline.
"""

import re
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct

from ..model import ID_PATTERN

LABEL_PATTERN = r"[a-z0-9][a-z0-9._:/+-]{0,63}"
"""Names of segments, such as `essential/git+fzf`. No path begins so: `/` is never the first."""
MODULE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"
"""Names of modules: static tags."""
SAMPLE_PATTERN = r"[A-Za-z0-9_.-]{1,64}"
MS_LIMIT = 10**15
"""Milliseconds; longer than any run, so a larger value is a defect."""

T = TypeVar("T", bound=Struct)


class Phase(StrEnum):
    """The part of a shell's life in which a segment was timed."""

    PRE_PLUGIN = "pre_plugin"
    POST_PLUGIN = "post_plugin"
    PROMPT = "prompt"
    POSTPROMPT = "postprompt"
    CORE = "core"
    IDLE = "idle"


class Level(StrEnum):
    """The severity of an ERROR line."""

    WARN = "WARN"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"
    FATAL = "FATAL"


class LegacyName(StrEnum):
    """First words of lines that zdeferd reads but never writes."""

    PRE_PLUGIN_COMPLETE = "PRE_PLUGIN_COMPLETE"
    POST_PLUGIN_COMPLETE = "POST_PLUGIN_COMPLETE"
    PROMPT_READY_COMPLETE = "PROMPT_READY_COMPLETE"
    POST_PLUGIN_SEGMENT = "POST_PLUGIN_SEGMENT"


# --- what a field may hold -----------------------------------------------------


def _number(name: str, value: object, limit: int = MS_LIMIT) -> None:
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError(f"{name}: {value!r}: expected a whole number from 0 to {limit}")


def _matching(name: str, value: object, pattern: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
        raise ValueError(f"{name}: {value!r}: expected {pattern}")


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {value!r}: expected true or false")


def _one_of(name: str, value: object, kind: type[StrEnum]) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{name}: {value!r}: expected one of {', '.join(kind)}")


# --- plain lines ---------------------------------------------------------------


class Deferred(Struct, frozen=True):
    """The end of a run that had started."""

    id: str
    ms: int
    rc: int
    TEXT: ClassVar[str] = "DEFERRED id={0.id} ms={0.ms} rc={0.rc}"

    def __post_init__(self) -> None:
        _matching("id", self.id, ID_PATTERN)
        _number("ms", self.ms)
        _number("rc", self.rc, 255)


class Segment(Struct, frozen=True):
    """A timing probe."""

    name: str
    ms: int
    phase: Phase
    sample: str = "unknown"
    TEXT: ClassVar[str] = "SEGMENT name={0.name} ms={0.ms} phase={0.phase} sample={0.sample}"

    def __post_init__(self) -> None:
        _matching("name", self.name, LABEL_PATTERN)
        _number("ms", self.ms)
        _one_of("phase", self.phase, Phase)
        _matching("sample", self.sample, SAMPLE_PATTERN)


class IdleStart(Struct, frozen=True):
    """The start of an idle batch; a budget of 0: none."""

    budget_ms: int
    tasks: int
    TEXT: ClassVar[str] = "IDLE:START budget={0.budget_ms}ms tasks={0.tasks}"

    def __post_init__(self) -> None:
        _number("budget_ms", self.budget_ms)
        _number("tasks", self.tasks)


class IdleJob(Struct, frozen=True):
    """The end of a run of an idle batch; `timeout`: past its soft limit."""

    id: str
    ms: int
    rc: int
    timeout: bool = False
    TEXT: ClassVar[str] = "IDLE:TASK id={0.id} ms={0.ms} rc={0.rc}{0.flag}"

    def __post_init__(self) -> None:
        _matching("id", self.id, ID_PATTERN)
        _number("ms", self.ms)
        _number("rc", self.rc, 255)
        _flag("timeout", self.timeout)

    @property
    def flag(self) -> str:
        """Return the last field of the line, which is written only when it is true."""
        return " timeout=1" if self.timeout else ""


class IdleSummary(Struct, frozen=True):
    """The end of an idle batch; `tasks` as IDLE:START announced them, `ok` and `err` ran."""

    tasks: int
    ok: int
    err: int
    elapsed_ms: int
    budget_exceeded: bool
    TEXT: ClassVar[str] = (
        "IDLE:SUMMARY tasks={0.tasks} ok={0.ok} err={0.err} elapsed={0.elapsed_ms} "
        "budget_exceeded={0.budget_exceeded:d}"
    )

    def __post_init__(self) -> None:
        for name in ("tasks", "ok", "err", "elapsed_ms"):
            _number(name, getattr(self, name))
        _flag("budget_exceeded", self.budget_exceeded)


class Error(Struct, frozen=True):
    """A fault in a module, named by a static tag; its message is not telemetry."""

    level: Level
    module: str
    TEXT: ClassVar[str] = "ERROR level={0.level} module={0.module}"

    def __post_init__(self) -> None:
        _one_of("level", self.level, Level)
        _matching("module", self.module, MODULE_PATTERN)


class Legacy(Struct, frozen=True):
    """A line of an older tool: read, never written. `label` only of POST_PLUGIN_SEGMENT."""

    name: LegacyName
    ms: int
    label: str = ""


PlainLine = Deferred | Segment | IdleStart | IdleJob | IdleSummary | Error


def text(line: PlainLine) -> bytes:
    """Return the line as the shared log has it, without its newline."""
    return line.TEXT.format(line).encode("ascii")


# --- parsing -------------------------------------------------------------------

_INT = "(0|[1-9][0-9]{0,15})"
_RC = "(0|[1-9][0-9]{0,2})"
_PATTERNS: tuple[tuple[type[Any], str], ...] = (
    (Deferred, rf"DEFERRED id=({ID_PATTERN}) ms={_INT} rc={_RC}"),
    (Segment, rf"SEGMENT name=({LABEL_PATTERN}) ms={_INT} phase=(\w+) sample=({SAMPLE_PATTERN})"),
    (IdleStart, rf"IDLE:START budget={_INT}ms tasks={_INT}"),
    (IdleJob, rf"IDLE:TASK id=({ID_PATTERN}) ms={_INT} rc={_RC}(?: timeout=(1))?"),
    (
        IdleSummary,
        rf"IDLE:SUMMARY tasks={_INT} ok={_INT} err={_INT} elapsed={_INT} budget_exceeded=([01])",
    ),
    (Error, rf"ERROR level=([A-Z]+) module=({MODULE_PATTERN})"),
    (Legacy, rf"((?:PRE|POST)_PLUGIN_COMPLETE|PROMPT_READY_COMPLETE) {_INT}"),
)
_GRAMMAR = tuple((kind, re.compile(pattern, re.ASCII)) for kind, pattern in _PATTERNS)
_LEGACY_SEGMENT = re.compile(rf"POST_PLUGIN_SEGMENT ({LABEL_PATTERN}) {_INT}", re.ASCII)


def parse(line: str) -> PlainLine | Legacy | None:
    """Return the line of the shared log (without its newline) as a value; None: not of ours."""
    if match := _LEGACY_SEGMENT.fullmatch(line):
        return Legacy(LegacyName.POST_PLUGIN_SEGMENT, int(match[2]), match[1])
    for kind, pattern in _GRAMMAR:
        if match := pattern.fullmatch(line):
            return _checked(kind, [field for field in match.groups() if field is not None])
    return None


def _checked(kind: type[T], fields: list[str]) -> T | None:
    """Return the fields as a `kind`; None where a value is out of its range."""
    try:
        named = dict(zip(kind.__struct_fields__, fields, strict=False))
        return msgspec.convert(named, kind, strict=False)
    except msgspec.ValidationError:
        return None
