"""Makes telemetry lines from rows of the ledger, and reads where a shell wants them.

The lines are a projection of the ledger: each function here turns a row into `(file, line)`
pairs, plain lines for the shared log (lines.py) and objects for the JSON sidecar where the
shell asked for it (sidecar.py). docs/telemetry.md is the reference.
"""

import posixpath
import re
from collections.abc import Mapping

from ..model import Batch, BatchTotals, Ending, Sink, Trigger
from .lines import (
    SAMPLE_PATTERN,
    Deferred,
    IdleJob,
    IdleStart,
    IdleSummary,
    Phase,
    PlainLine,
    Segment,
    text,
)
from .sidecar import json_object

TOTAL = "deferred_total"
"""The segment that sums up a postprompt batch."""

Line = tuple[str, bytes]
"""A file, and the line that is appended to it (without its newline)."""


def sink(env: Mapping[str, str], default_log: str) -> Sink:
    """Return where a shell with this environment wants its telemetry, and how."""
    log = _path(env, "PERF_SEGMENT_LOG") or default_log
    sample = env.get("PERF_SAMPLE_CONTEXT", "")
    return Sink(
        log=log,
        sidecar=_sidecar(env, log),
        sample=sample if re.fullmatch(SAMPLE_PATTERN, sample, re.ASCII) else "unknown",
        idle_budget_ms=_limit_ms(env, "ZSH_IDLE_HARD_BUDGET_MS"),
        idle_soft_timeout_ms=_limit_ms(env, "ZSH_IDLE_TASK_TIMEOUT_MS"),
    )


def _sidecar(env: Mapping[str, str], log: str) -> str | None:
    """Return the sidecar's path, never the shared log's; None unless ZSH_LOG_STRUCTURED=1."""
    if env.get("ZSH_LOG_STRUCTURED") != "1":
        return None
    named = _path(env, "PERF_SEGMENT_JSON_LOG")
    if named and posixpath.normpath(named) != posixpath.normpath(log):
        return named
    if is_device(posixpath.normpath(log)):
        return None  # beside it is no place for a file
    stem, extension = posixpath.splitext(log)
    return f"{log}.jsonl" if extension == ".jsonl" else f"{stem}.jsonl"


def is_device(path: str) -> bool:
    """Return whether a path names what the kernel has there, such as /dev/null, and not a file."""
    return path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm/")


def _path(env: Mapping[str, str], name: str) -> str:
    """Return an absolute path, else the empty text."""
    # The ledger keeps paths as text, so one that is not UTF-8 counts as unset.
    value = env.get(name, "")
    return value if is_usable(value) else ""


def is_usable(path: str) -> bool:
    """Return whether the daemon writes to a log of this path: an absolute one, printable."""
    return path.startswith("/") and path.isprintable()


def _limit_ms(env: Mapping[str, str], name: str) -> int:
    value = env.get(name, "")
    return int(value) if re.fullmatch(r"[0-9]{1,12}", value, re.ASCII) else 0


# --- projections of the ledger -------------------------------------------------


def reported(ending: Ending) -> tuple[int, int] | None:
    """Return `ms` and `rc` of the run's line; None: the run never started and has none."""
    return None if ending.rc is None else (ending.cost.wall_ms, ending.rc)


def run_lines(job: str, trigger: Trigger, ending: Ending, sink: Sink, in_batch: bool) -> list[Line]:
    """Return the lines of a run that has ended; none if it never started."""
    found = reported(ending)
    if found is None:
        return []
    ms, rc = found
    lines: list[PlainLine] = [Deferred(job, ms, rc)]
    if in_batch and trigger is Trigger.IDLE:
        limit = sink.idle_soft_timeout_ms
        lines.append(IdleJob(job, ms, rc, timeout=0 < limit < ms))
    return _addressed(lines, trigger, sink, ending.ended_at)


def idle_start_lines(sink: Sink, tasks: int, now: float) -> list[Line]:
    """Return the lines that open an idle batch of `tasks` runs."""
    return _addressed([IdleStart(sink.idle_budget_ms, tasks)], Trigger.IDLE, sink, now)


def batch_end_lines(batch: Batch, totals: BatchTotals, now: float) -> list[Line]:
    """Return the lines that close a batch; none for an idle batch that never began."""
    sink = batch.sink
    if batch.trigger is Trigger.POSTPROMPT:
        total = Segment(TOTAL, totals.ms, Phase.POSTPROMPT, sink.sample)
        return _addressed([total], batch.trigger, sink, now)
    if batch.started_at is None:
        return []
    summary = IdleSummary(
        tasks=totals.tasks,
        ok=totals.ok,
        err=totals.err,
        elapsed_ms=max(0, round((now - batch.started_at) * 1000)),
        budget_exceeded=totals.missed > 0 or 0 < sink.idle_budget_ms < totals.ms,
    )
    return _addressed([summary], batch.trigger, sink, now)


def _addressed(lines: list[PlainLine], trigger: Trigger, sink: Sink, now: float) -> list[Line]:
    out = [(sink.log, text(line)) for line in lines]
    if sink.sidecar is not None:
        phase, ts = Phase(trigger), int(now * 1000)
        out += [(sink.sidecar, json_object(line, phase, ts)) for line in lines]
    return out
