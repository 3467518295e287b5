"""What a verdict means for a run, as a table."""

import pytest
from msgspec.structs import replace

from zdeferd.model import Outcome, Run, Sink, State, Trigger
from zdeferd.rules import verdicts
from zdeferd.rules.lifecycle import OUTCOMES, RunEvent
from zdeferd.rules.verdicts import Ended, NeverStarted, Running, Vanished, Verdict, Withdrawn
from zdeferd.telemetry import projection

SINK = Sink(log="/log")
RUN = Run(
    id=1,
    job="a",
    key="ever",
    trigger=Trigger.POSTPROMPT,
    batch=None,
    sink=SINK,
    claimed_at=1.0,
    state=State.DISPATCHED,
    boot="b1",
)
CANCELLING, TWICE = replace(RUN, cancelling=True), replace(RUN, attempts=2)
SECOND = replace(TWICE, attempt=2)


def record(ended_by: str = "exit", rc: int = 0) -> Ended:
    sizes = {"output_bytes": 3, "output_dropped_bytes": 0}
    return Ended({"ended_by": ended_by, "rc": rc, "started_at": 1.0, "ended_at": 2.0, **sizes})


def test_what_was_ended_behind_a_job_is_counted() -> None:
    """An older runner's record has no such number."""
    counted = record()
    counted.outcome["ended_behind"] = 2
    for verdict, number in ((record(), 0), (counted, 2)):
        _, ending = verdicts.settle(RUN, verdict, "b1", 3.0)
        assert ending is not None
        assert ending.ended_behind == number


def test_why_an_output_was_refused_is_kept() -> None:
    refused = record(rc=65)
    refused.outcome["refusal"] = "it is empty"
    _, ending = verdicts.settle(RUN, refused, "b1", 3.0)
    assert ending is not None
    assert (ending.outcome, ending.refusal) == (Outcome.FAILED, "it is empty")


@pytest.mark.parametrize(
    ("run", "verdict", "boot", "event", "outcome", "line"),
    [
        (RUN, record(), "b1", RunEvent.FINISH, Outcome.SUCCEEDED, (0, 0)),
        (RUN, record(), "b2", RunEvent.FINISH, Outcome.SUCCEEDED, (0, 0)),
        (RUN, record(rc=3), "b1", RunEvent.FINISH, Outcome.FAILED, (0, 3)),
        (RUN, record("timeout", 0), "b1", RunEvent.FINISH, Outcome.TIMED_OUT, (0, 124)),
        (RUN, record("cancel", 0), "b1", RunEvent.FINISH, Outcome.CANCELLED, (0, 143)),
        (RUN, NeverStarted(), "b1", RunEvent.RECALL, None, None),
        (RUN, NeverStarted(), "b2", RunEvent.VANISH, Outcome.ABANDONED, (0, 255)),
        (RUN, Vanished(), "b1", RunEvent.VANISH, Outcome.ABANDONED, (0, 255)),
        (RUN, Withdrawn(), "b1", RunEvent.CANCEL, Outcome.CANCELLED, None),
        (CANCELLING, NeverStarted(), "b1", RunEvent.CANCEL, Outcome.CANCELLED, None),
        (CANCELLING, Vanished(), "b1", RunEvent.VANISH, Outcome.ABANDONED, (0, 255)),
        (TWICE, Vanished(), "b1", RunEvent.RETRY, None, None),
        (TWICE, NeverStarted(), "b2", RunEvent.RETRY, None, None),
        (replace(TWICE, cancelling=True), Vanished(), "b1", RunEvent.VANISH, "abandoned", (0, 255)),
        (SECOND, Vanished(), "b1", RunEvent.VANISH, Outcome.ABANDONED, (0, 255)),
        (SECOND, Withdrawn(), "b1", RunEvent.CANCEL, Outcome.CANCELLED, (0, 143)),
    ],
)
def test_each_verdict(
    run: Run,
    verdict: Verdict,
    boot: str,
    event: RunEvent,
    outcome: Outcome | None,
    line: tuple[int, int] | None,
) -> None:
    found, ending = verdicts.settle(run, verdict, boot, 9.0)
    assert found is event
    assert (ending.outcome if ending else None) == outcome
    if ending is not None:
        assert ending.outcome in OUTCOMES[event]
        assert projection.reported(ending) == line
        assert (ending.started_at is None) == (line is None)


def test_a_run_that_runs_cannot_be_settled() -> None:
    with pytest.raises(TypeError, match="lives"):
        verdicts.settle(RUN, Running(), "b1", 9.0)


@pytest.mark.parametrize(
    ("run", "outcome", "line"),
    [
        (RUN, Outcome.CANCELLED, None),
        (RUN, Outcome.MISSED, None),
        (SECOND, Outcome.CANCELLED, (0, 143)),
        (SECOND, Outcome.MISSED, (0, 255)),
    ],
)
def test_what_is_not_started_again_keeps_the_line_of_its_start(
    run: Run, outcome: Outcome, line: tuple[int, int] | None
) -> None:
    assert projection.reported(verdicts.not_again(run, outcome, 9.0)) == line
