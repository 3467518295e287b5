"""The answers of `why`: their kinds, and the facts that they depend on."""

from enum import StrEnum

from msgspec import Struct

from ..model import Batch, Job, Run, Trigger
from ..rules.conditions import Condition
from .runs import Past


class WhyCode(StrEnum):
    """The kinds of answer; `zdeferctl why --json` has them as `code`."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    NEXT = "next"
    PAUSED = "paused"
    DISABLED = "disabled"
    WAITS_TO_RETRY = "waits_to_retry"
    WAITS_FOR_CONDITION = "waits_for_condition"
    WAITS_FOR_TURN = "waits_for_turn"
    WAITS_FOR_JOB = "waits_for_job"
    WAITS_FOR_IDLE = "waits_for_idle"
    WAITS_FOR_LOOK = "waits_for_look"
    WAITS_FOR_PROMPT = "waits_for_prompt"
    WAITS_FOR_DAEMON = "waits_for_daemon"
    ALREADY_RAN = "already_ran"
    INPUTS_UNCHANGED = "inputs_unchanged"
    REFUSED = "refused"
    UNDECLARED = "undeclared"
    UNKNOWN = "unknown"


class Live(Struct, frozen=True, kw_only=True):
    """The job's run that has not ended."""

    run: int
    running: bool
    since: float
    """When it was dispatched, or else claimed."""
    ended: bool = False
    """True where it ended while no daemon ran; the next one records that."""
    cancelling: bool = False
    waits_for: Run | Batch | None = None
    """A run of a job that it comes after, or an earlier idle batch."""
    ahead: tuple[Run, ...] = ()
    """The runs before it in its lane, running ones first."""
    lane: Trigger = Trigger.POSTPROMPT
    paused: bool = False
    """True where nothing starts in its lane."""
    retry: int = 0
    """So many failed runs of its claim came before it."""
    retry_at: float = 0.0
    """The instant before which it does not start."""
    unmet: bool = False
    """True where one of its conditions does not hold."""
    deadline: float | None = None
    """The instant at which it is missed."""


class WhyFacts(Struct, frozen=True, kw_only=True):
    """The facts that the answer depends on."""

    id: str
    now: float
    daemon: bool
    """True while a daemon runs."""
    activated: bool = False
    """True where a visit would start one."""
    job: Job | None = None
    """The declaration in force."""
    source: str = "shell"
    """The file that declares it, or `shell`."""
    refused: str | None = None
    """Why that declaration was not taken, or a shell's beside a file's job."""
    refused_at: float | None = None
    """When a shell made the declaration that was refused."""
    nearest: str | None = None
    """The id that was probably meant."""
    live: Live | None = None
    disabled_at: float | None = None
    """Since when it is disabled; None: it is not."""
    spent: Past | None = None
    """The run that holds the claim on the scope as it is now."""
    unseen: str | None = None
    """Why what it watches cannot be looked at."""
    changed: tuple[str, ...] = ()
    """The inputs that differ now from what the last claim saw."""
    missing: str = ""
    """The path of its output, where that is not there."""
    misplaced: tuple[str, str] = ("", "")
    """Where its output cannot be published and why, and what to do."""
    cause: str = ""
    """Why the last claim of scope change was made."""
    this_shell: bool = False
    """Scope shell: `spent` is about the shell that asks; else about the last one seen."""
    last: Past | None = None
    """The latest run, whatever its scope key."""
    registered: frozenset[Trigger] = frozenset()
    """Triggers that a shell's registration of this job waits for."""
    prompted_at: float | None = None
    """When a shell last showed its first prompt, as far as the ledger knows."""
    quiet_s: float | None = None
    """How long the user has been quiet; None: not known."""
    idle_after_s: float = 60.0
    conditions: tuple[Condition, ...] = ()
    """The conditions of the live run, or of a run that were claimed now."""


class Answer(Struct, frozen=True):
    """The answer: its kind, its sentence, and the run it speaks of."""

    code: WhyCode
    sentence: str
    run: int | None = None
