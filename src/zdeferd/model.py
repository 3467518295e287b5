"""The words of zdeferd as plain values: what is declared, claimed, run and measured.

Instants are seconds since the epoch (float, wall clock); durations carry their
unit in their name. Nothing here does IO or knows the time.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from msgspec import Struct

from .conditions import Conditions
from .inputs import Inputs

ID_PATTERN = r"[a-z0-9][a-z0-9-]{0,63}"
"""A job's id (contracts.md). Match it whole: `re.fullmatch`."""


class Trigger(StrEnum):
    """The trigger that makes a job due."""

    POSTPROMPT = "postprompt"
    IDLE = "idle"


class Scope(StrEnum):
    """The span in which a job runs once."""

    SHELL = "shell"
    BOOT = "boot"
    DAY = "day"
    CHANGE = "change"
    EVER = "ever"


class State(StrEnum):
    """Where a run is in its life; lifecycle.py has the transitions."""

    CLAIMED = "claimed"
    DISPATCHED = "dispatched"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    MISSED = "missed"


class Argv(Struct, frozen=True, tag="argv", tag_field="kind"):
    """A command and its arguments, executed as they stand."""

    words: tuple[str, ...]


class Code(Struct, frozen=True, tag="code", tag_field="kind"):
    """zsh source, run by `zsh -f` from a file."""

    source: str


class Retry(Struct, frozen=True):
    """How a job that fails is tried again."""

    attempts: int = 3
    """At most this many runs, the first one included."""
    backoff_s: float = 30.0
    """The wait before the second run; doubled before each further one."""


class Job(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named unit of deferred work, as declared in a file or by a shell."""

    id: str
    run: Argv | Code
    on: tuple[Trigger, ...] = (Trigger.POSTPROMPT,)
    once_per: Scope = Scope.SHELL
    watch: tuple[str, ...] = ()
    """For scope change: paths, globs, `command:NAME`, `env:NAME`, or `fpath:FOLDER`."""
    after: tuple[str, ...] = ()
    timeout_s: float | None = None
    """None: the setting `default_timeout`."""
    idempotent: bool = False
    attempts: int = 1
    """At most this many process starts; above 1 only for an idempotent job."""
    retry: Retry | None = None
    """None: a job that fails is not tried again."""
    background: bool = False
    """Processes that outlive the main process go on."""
    output: str = ""
    """Where its stdout is published; empty: nowhere."""
    empty: bool = False
    """An output of no bytes may be published."""
    check: str = ""
    """`zsh`: published only where `zsh -n` accepts it."""
    compile: bool = False
    """The output is published compiled, too."""
    apply: bool = False
    """Shells that asked for the job source the output once it is published."""
    when: Conditions | None = None
    """None: a run starts at its turn."""
    env: dict[str, str] = {}
    """Added to the environment of the claiming shell."""
    description: str = ""
    source: str = "shell"
    """The file that declares it, or `shell`."""
    call: tuple[str, ...] = ()
    """The call as a shell declared it: one word is zsh code, several are a command and its
    arguments. Empty: a file declares the job, and `run` is as the user wrote it."""
    umask: str = ""
    """Octal digits: that of the shell which declared it; empty: 022."""


def inputs_of(job: Job) -> tuple[str, ...]:
    """Return what a job of scope change depends on: what it watches, and its own definition.

    Of a shell's job the call counts, because what travels with it differs between shells.
    """
    made = repr((job.call or job.run, job.output, job.check, job.compile, job.empty))
    digest = blake2b(made.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return (*job.watch, f"definition:{digest}")


def command_of(job: Job) -> str:
    """Return what a job runs, on one line; of a shell's job the call that declared it."""
    words = job.call or (job.run.words if isinstance(job.run, Argv) else (job.run.source,))
    if len(words) > 1 or isinstance(job.run, Argv):
        return shlex.join(words)
    first, *more = words[0].strip().splitlines() or [""]
    return first + (f" … ({len(more) + 1} lines)" if more else "")


class Sink(Struct, frozen=True):
    """Where and how the telemetry of one shell is written (contracts.md)."""

    log: str
    sidecar: str | None = None
    sample: str = "unknown"
    idle_budget_ms: int = 0
    """0: no limit."""
    idle_soft_timeout_ms: int = 0
    """0: none."""


class Work(Struct, frozen=True, omit_defaults=True):
    """The data that executes a run, frozen at its claim."""

    job: Job
    env: dict[str, str]
    """The claiming shell's environment, cut to the allow-list."""


class Batch(Struct, frozen=True, kw_only=True):
    """The runs that one event claimed, reported together."""

    id: int
    trigger: Trigger
    sink: Sink
    started_at: float | None = None
    """Idle batches: when IDLE:START was written."""
    spent_ms: int = 0
    """Wall time of its runs that have ended."""


class BatchTotals(NamedTuple):
    """The state of a batch: counts of runs, and wall time in ms."""

    live: int
    tasks: int
    """All of its runs, started or not."""
    ok: int
    err: int
    missed: int
    ms: int


class Run(Struct, frozen=True, kw_only=True):
    """One due occurrence of a job that has not ended."""

    id: int
    job: str
    key: str
    """The scope key of its claim, such as `boot:<boot id>`."""
    trigger: Trigger
    batch: int | None
    """None: asked for by `zdeferctl run`, or it waits for conditions."""
    sink: Sink
    claimed_at: float
    after: tuple[str, ...] = ()
    state: State = State.CLAIMED
    attempt: int = 1
    """The process start that is next or under way, counted from 1."""
    boot: str = ""
    """The boot in which it was dispatched."""
    cancelling: bool = False
    attempts: int = 1
    """The most process starts it may have."""
    shell: str = ""
    """The nonce of the shell it was claimed for; empty for `zdeferctl run`."""
    retry: int = 0
    """So many failed runs of its claim came before it."""
    retry_at: float = 0.0
    """The instant before which it does not start; 0: none."""
    retry_of: int | None = None
    """The run whose work it repeats."""
    when: Conditions | None = None
    """The conditions of its start, their instants computed."""


class Cost(Struct, frozen=True, kw_only=True):
    """The cost of a run's whole process tree (getrusage(2), RUSAGE_CHILDREN).

    `max_rss_kib` is of the largest single process and has a floor of the runner's
    own size (about 10 MiB). Block counts are 512-byte units that reached a device.
    """

    wall_ms: int = 0
    cpu_user_ms: int = 0
    cpu_system_ms: int = 0
    max_rss_kib: int = 0
    block_in: int = 0
    block_out: int = 0
    switches_voluntary: int = 0
    switches_involuntary: int = 0


class Ending(Struct, frozen=True, kw_only=True):
    """How one run ended: the row that its telemetry is a projection of."""

    outcome: Outcome
    rc: int | None = None
    """0 to 255; None where the run never started."""
    started_at: float | None = None
    ended_at: float = 0.0
    cost: Cost = Cost()
    output_bytes: int = 0
    output_dropped_bytes: int = 0
    ended_behind: int = 0
    """Processes that outlived the main process and were ended."""
    refusal: str | None = None
    """Why its output was not published."""


@dataclass(frozen=True)
class Facts:
    """The values that claims depend on besides the ledger."""

    now: float
    boot: str
    day: str
    """The local date, ISO 8601."""
    jobs: Mapping[str, Job]
    """The jobs of the files, in order."""
    default_log: str
    inputs: Callable[[Job, Mapping[str, str]], Inputs | None]
    """The inputs of a job for a shell's `env`, looked at before; None: they could not be seen."""


class Expected(NamedTuple):
    """The output of a job that a shell asks for."""

    job: str
    path: str
    run: int
    """Runs from this one on count."""
    published: int = 0
    """The run that has published it; 0: none of these."""
    waits: bool = True
    """False: no further run is due."""


@dataclass
class Claimed:
    """The runs that a transaction claimed: for the dispatcher's picture and the answer."""

    runs: list[Run] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """`id: reason` of each refused declaration."""
    expected: list[Expected] = field(default_factory=list)
    """The outputs that the shell is to source."""
    notices: list[str] = field(default_factory=list)
    """Lines about failures that the shell is to show."""
