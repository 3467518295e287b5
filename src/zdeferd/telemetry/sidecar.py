"""Makes the objects of the JSON sidecar: one for each plain line, keys in the contract's order.

An object is made from a plain line, which checked its values when it was made. It adds only
`ts` (whole epoch milliseconds) and the phase. A new key is a change of the schema: version,
changelog, docs/privacy.md and the allow-list test change together.
"""

import msgspec
from msgspec import Struct

from .lines import Deferred, IdleJob, IdleStart, IdleSummary, Phase, PlainLine, Segment


class JsonSegment(Struct, frozen=True, tag_field="type", tag="segment"):
    """As SEGMENT."""

    name: str
    ms: int
    phase: Phase
    sample: str
    ts: int


class JsonDeferred(Struct, frozen=True, tag_field="type", tag="deferred"):
    """As DEFERRED; `phase` is the trigger of the run."""

    id: str
    ms: int
    rc: int
    phase: Phase
    ts: int


class JsonIdleStart(Struct, frozen=True, tag_field="type", tag="idle_start"):
    """As IDLE:START."""

    ts: int
    budget_ms: int
    tasks: int


class JsonIdleJob(Struct, frozen=True, tag_field="type", tag="idle_task"):
    """As IDLE:TASK."""

    id: str
    ms: int
    rc: int
    timeout: bool


class JsonIdleSummary(Struct, frozen=True, tag_field="type", tag="idle_summary"):
    """As IDLE:SUMMARY."""

    tasks: int
    errors: int
    elapsed_ms: int
    budget_exceeded: bool


SIDECAR_OBJECTS: tuple[type[Struct], ...] = (
    JsonSegment,
    JsonDeferred,
    JsonIdleStart,
    JsonIdleJob,
    JsonIdleSummary,
)


def json_object(line: PlainLine, phase: Phase, ts: int) -> bytes:
    """Return the sidecar's object for a plain line; ERROR lines have none (ValueError).

    `phase` is the trigger's, `ts` epoch milliseconds.
    """
    out: Struct
    match line:
        case Deferred(id=id_, ms=ms, rc=rc):
            out = JsonDeferred(id_, ms, rc, phase, ts)
        case Segment(name=name, ms=ms, phase=own, sample=sample):
            out = JsonSegment(name, ms, own, sample, ts)
        case IdleStart(budget_ms=budget_ms, tasks=tasks):
            out = JsonIdleStart(ts, budget_ms, tasks)
        case IdleJob(id=id_, ms=ms, rc=rc, timeout=timeout):
            out = JsonIdleJob(id_, ms, rc, timeout)
        case IdleSummary(tasks=tasks, err=err, elapsed_ms=elapsed, budget_exceeded=exceeded):
            out = JsonIdleSummary(tasks, err, elapsed, exceeded)
        case _:
            raise ValueError(f"no sidecar object for {type(line).__name__}")
    return msgspec.json.encode(out)
