"""What must be true of every history: each invariant once, by name.

docs/checks.md shows them as a table; a test compares the two. Where they are looked
at: those about runs and lines in invariants.py, those about rest and the end in history.py,
those about visits in world.py.
"""

from enum import StrEnum


class Invariant(StrEnum):
    """What must be true of every history."""

    ONE_CLAIM = "one claim a scope"
    """Two runs of a job in one span (shell, boot, day, for ever) never both exist."""
    ANSWERED_IS_KEPT = "an answered visit is kept"
    """Once a shell has its answer, its visit is durable: a job of it is claimed, or it waits."""
    ONE_START = "one start an attempt"
    """A job's process is made at most once for each attempt of its run."""
    ATTEMPTS = "only an idempotent job is attempted again"
    """No run has more attempts than its job allows."""
    NO_LATE_START = "nothing starts that has ended"
    """No process is made for a run that has its outcome."""
    AFTER = "what it comes after has ended"
    """A job starts only when the runs it names in `after` have ended."""
    LANES = "a lane holds no more than its jobs"
    """No more jobs run side by side in a lane than `jobs_at_once`."""
    BUDGET = "a batch stops at its budget"
    """No job of an idle batch starts once its budget is spent."""
    QUIET = "nothing idle runs under the user's hands"
    """The idle trigger fires by itself only after enough time without a key."""
    CONDITIONS = "a run starts only while its conditions hold"
    """And never before or after its time."""
    ONE_OUTCOME = "one outcome a run"
    """No run ends twice."""
    TRUE_OUTCOME = "the outcome is the runner's"
    """Outcome, exit code and cost are what the runner recorded."""
    NO_LOST_OUTCOME = "no recorded outcome is lost"
    """A run whose runner recorded its end is not abandoned."""
    TRULY_ABANDONED = "abandoned is what has lost its runner"
    """And no other run."""
    TRULY_UNSTARTED = "what started is never said not to have"
    """Cancelled or missed without a line: nobody started it, and somebody asked."""
    TRULY_STARTED = "what never ran again had started once"
    """Cancelled or missed with a line: an attempt of it was lost."""
    NO_LEFTOVERS = "no job outlives its run"
    """When a run has ended, none of its processes is left."""
    WHOLE_OUTPUT = "an output is whole"
    """A reader never finds a part, nor nothing once there was one, nor another version compiled."""
    NEWER_OUTPUT = "an older output never replaces a newer one"
    """Older is the one whose attempt began earlier."""
    PUBLISHED = "what succeeded has published"
    """Or an attempt that began later has."""
    ONE_LINE = "one line a run a log"
    """A run that started has one `DEFERRED` line; no line of the ledger is twice in its log."""
    NO_LOST_LINE = "no line is lost"
    """Every line of the ledger that is marked is in its log, or in a rotated one."""
    WHOLE_BATCHES = "idle batches of a log never interleave"
    """From IDLE:START to IDLE:SUMMARY, no other batch writes to that log."""
    NOTHING_PENDING = "nothing is pending that could run"
    """At rest, a claimed run has a reason to wait."""
    NOT_FORGOTTEN = "no run is forgotten"
    """At rest, a dispatched run has a runner."""
    NO_WAITING_LINE = "no line waits for nothing"
    """At rest, a line that is due has been written, or has a reason."""
    REST = "the daemon comes to rest"
    """With nothing to do it does nothing."""
    ALARM = "the daemon knows when to wake up"
    """What waits for an instant has its alarm."""
    LIVES_ON = "the daemon lives on"
    """Nothing but a signal or a request ends it."""
    FORESEEN = "no error is unforeseen"
    """No exception that nobody has thought of."""
    LEAVES = "the daemon leaves when asked"
    """And at once."""
    LEAVES_NOTHING = "who leaves leaves no run"
    """A daemon that leaves by itself has nothing left to do."""
    RUNS_END = "every run ends"
    """When the faults are over, within a few instants."""
    BATCHES_END = "every batch ends"
    """And its closing line is written."""
    NO_RUNNERS = "no runner is left"
    """At the end, nobody supervises anything."""
    NO_FOLDERS = "no folder is left"
    """A run folder goes with its run, but for what a crash left; pruning removes that."""


class Violation(Exception):
    """An invariant does not hold: its name, and what was seen."""

    def __init__(self, name: Invariant, seen: str) -> None:
        self.name = name
        super().__init__(f"{name}: {seen}")
