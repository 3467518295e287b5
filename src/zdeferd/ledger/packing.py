"""Values as the ledger keeps them: Structs as ASCII JSON, and rows as values again.

Texts of a shell may hold any bytes, which Python carries as surrogates. MessagePack and
UTF-8 refuse those; the standard library's JSON escapes them and restores them. JSON is
also readable in the ledger with any SQLite tool.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple, NotRequired, TypedDict, TypeVar

import msgspec

from ..conditions import Conditions
from ..machine.processes import UNKNOWN, Process
from ..model import Batch, Job, Run, Sink, State, Trigger, Work, command_of

T = TypeVar("T")
COMMAND_LIMIT = 1000
"""Characters of its command that a run keeps."""
_encode = json.JSONEncoder(separators=(",", ":")).encode


class RunRow(TypedDict):
    """A row of `runs`; a column that is None is not known yet, or never was."""

    id: int
    job: str
    key: str
    trigger: str
    shell: str
    batch: int | None
    after: str
    """Ids of jobs, joined by a space."""
    attempts: int
    claimed_at: float
    state: str
    cancelling: int
    attempt: int
    boot: str
    dispatched_at: float | None
    started_at: float | None
    ended_at: float | None
    outcome: str | None
    rc: int | None
    wall_ms: int | None
    cpu_user_ms: int | None
    cpu_system_ms: int | None
    max_rss_kib: int | None
    block_in: int | None
    block_out: int | None
    switches_voluntary: int | None
    switches_involuntary: int | None
    output_bytes: int | None
    output_dropped_bytes: int | None
    ended_behind: int | None
    refusal: str | None
    retry: int
    """So many failed runs of its claim came before it."""
    retry_at: float
    """The instant before which it does not start; 0: none."""
    retry_of: int | None
    """The run whose work it repeats."""
    sink: NotRequired[str]
    """Of a live run: its Sink as JSON."""
    conditioned: NotRequired[str | None]
    """Of a live run with conditions: its Work as JSON."""
    found: NotRequired[str]
    """The verdict of its folder, where no daemon follows it (view/live.py)."""


class DeclarationRow(TypedDict):
    """A row of `jobs`: the last declaration of a job by a shell."""

    id: str
    definition: str
    """The Job as JSON; empty where there is none."""
    declared_at: float
    shell: str
    refused: str | None


class ShellsRow(TypedDict):
    """All shells together: their number, the last visit, the last with a prompt."""

    shells: int
    seen_at: float | None
    prompted_at: float | None


class Shell(NamedTuple):
    """A shell as of its last visit."""

    nonce: str
    seq: int
    prompted: bool
    env: dict[str, str]
    sink: Sink
    boot: str = ""
    """Of its last visit."""
    process: Process = UNKNOWN


class Declaration(NamedTuple):
    """A job that a shell declared, and why it is refused; None: it is accepted."""

    job: Job
    refused: str | None = None


class Refusal(NamedTuple):
    """A declaration that is no job: its id (None: not even that is valid), and why."""

    id: str | None
    reason: str


class DoneHere(NamedTuple):
    """Deferred work that a shell has done itself."""

    job: str
    ms: int
    """Wall time."""
    rc: int


class Asked(NamedTuple):
    """The outputs that a shell wants to source once they are published."""

    since: float
    """When the shell began: it has found by itself what was published before."""
    runs: dict[str, int]
    """The jobs that it waits for since an earlier visit, and from which run on."""


class Report(msgspec.Struct, frozen=True):
    """One visit of a shell as plain values; runs/visits.py makes it from the message."""

    nonce: str
    seq: int
    env: dict[str, str]
    """Cut to the allow-list."""
    sink: Sink
    process: Process = UNKNOWN
    declared: tuple[Declaration, ...] = ()
    refused: tuple[Refusal, ...] = ()
    postprompt: bool = False
    idle: bool = False
    done: tuple[DoneHere, ...] = ()
    asked: Asked | None = None
    """None: the shell cannot wait."""


def pack(value: Any) -> str:
    """Return `value` (a Struct, or plain data) as one line of ASCII."""
    return _encode(msgspec.to_builtins(value))


class _Same:
    """A key that compares values by identity; it keeps its value alive, so no id is reused."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@lru_cache(maxsize=256)
def _pack_same(same: _Same) -> str:
    return pack(same.value)


def pack_again(value: Any) -> str:
    """As `pack`, for a value that is packed often and never changes; keeps the last texts."""
    return _pack_same(_Same(value))


def pack_work(work: Work) -> str:
    """As `pack`, from parts that are kept: all runs of a visit have the same environment."""
    return f'{{"job":{pack_again(work.job)},"env":{pack_again(work.env)}}}'


def pack_command(job: Job) -> str:
    """Return what `job` runs as a run keeps it: one line, cut, as JSON; keeps the last texts."""
    return _pack_command(_Same(job))


@lru_cache(maxsize=256)
def _pack_command(same: _Same) -> str:
    return pack(command_of(same.value)[:COMMAND_LIMIT])


def unpack(text: str, kind: type[T]) -> T:
    """Return what `pack` was given; msgspec.ValidationError where it is no `kind`."""
    return msgspec.convert(json.loads(text), kind)


def batch_of(row: Any) -> Batch:
    """Return the batch of a row of `open_batches`."""
    return Batch(
        id=row["id"],
        trigger=Trigger(row["trigger"]),
        sink=unpack(row["sink"], Sink),
        started_at=row["started_at"],
        spent_ms=row["spent_ms"],
    )


def run_of(row: Any) -> Run:
    """Return the run of a row of `live_runs`."""
    return Run(
        id=row["id"],
        job=row["job"],
        key=row["key"],
        trigger=Trigger(row["trigger"]),
        batch=row["batch"],
        sink=unpack(row["sink"], Sink),
        claimed_at=row["claimed_at"],
        after=tuple(row["after"].split()),
        state=State(row["state"]),
        attempt=row["attempt"],
        boot=row["boot"],
        cancelling=bool(row["cancelling"]),
        attempts=row["attempts"],
        shell=row["shell"],
        retry=row["retry"],
        retry_at=row["retry_at"],
        retry_of=row["retry_of"],
        when=_conditions_of(row["conditioned"]),
    )


def _conditions_of(work: str | None) -> Conditions | None:
    """Return the conditions of what a run executes; None: it has none."""
    return unpack(work, Work).job.when if work else None


def shell_of(row: Any) -> Shell:
    """Return the shell that a row of `shells` holds."""
    env, sink = unpack(row["env"], dict[str, str]), unpack(row["sink"], Sink)
    process = Process(row["pid"], row["begun"])
    return Shell(row["nonce"], row["seq"], bool(row["prompted"]), env, sink, row["boot"], process)
