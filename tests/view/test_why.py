"""The rules of `why`, as a table of facts and answers."""

from typing import Any

import pytest
from support.user import SINK, job

from zdeferd.model import Batch, Code, Job, Run, Scope, Trigger
from zdeferd.rules.conditions import Condition
from zdeferd.view.answers import Live, WhyCode, WhyFacts
from zdeferd.view.render import clock, ordinal
from zdeferd.view.runs import Past
from zdeferd.view.why import why

NOW = 1_700_000_000.0
PAST = Past(run=7, at=NOW - 60, outcome="succeeded", rc=0)
FILE = {"source": "/home/u/.config/zdeferd/jobs.d/mine.toml"}


def a_job(**fields: Any) -> Job:
    return job("build", **(FILE | fields))


def runs(*jobs: str) -> tuple[Run, ...]:
    """Runs 1, 2, 3 … of these jobs."""
    values: dict[str, Any] = {"trigger": Trigger.POSTPROMPT, "batch": 1, "sink": SINK}
    return tuple(
        Run(id=number, job=name, key="ever", claimed_at=NOW, **values)
        for number, name in enumerate(jobs, 1)
    )


def live(**fields: Any) -> Live:
    return Live(**({"run": 9, "running": False, "since": NOW - 12} | fields))


TABLE: list[tuple[dict[str, Any], WhyCode, str]] = [
    ({"live": live(running=True)}, WhyCode.RUNNING, "(run 9) has been running for 12.0 s."),
    (
        {"live": live(running=True, cancelling=True)},
        WhyCode.CANCELLING,
        "(run 9) is being cancelled",
    ),
    ({"live": live()}, WhyCode.NEXT, "(run 9) is next and about to start"),
    (
        {"live": live(ahead=runs("a", "b"))},
        WhyCode.WAITS_FOR_TURN,
        "3rd in the postprompt lane, behind a (run 1), b (run 2); queued 12.0 s ago",
    ),
    (
        {"live": live(ahead=runs("a", "b", "c", "d", "e"))},
        WhyCode.WAITS_FOR_TURN,
        "behind a (run 1), b (run 2), c (run 3) and 2 more",
    ),
    (
        {"live": live(paused=True, lane=Trigger.IDLE)},
        WhyCode.PAUSED,
        "waits in the idle lane, which is paused; go on with `zdeferctl resume idle`.",
    ),
    (
        {"live": live(retry=2, retry_at=NOW + 90)},
        WhyCode.WAITS_TO_RETRY,
        "failed 2 times and is tried again at ",
    ),
    ({"live": live(retry=2, retry_at=NOW)}, WhyCode.NEXT, "is next"),
    (
        {"job": a_job(), "disabled_at": NOW - 60, "spent": PAST},
        WhyCode.DISABLED,
        "`zdeferctl enable build` lets events claim it.",
    ),
    (
        {
            "live": live(unmet=True, deadline=NOW + 60),
            "conditions": (
                Condition("power", "ac", "battery", False, None),
                Condition("load_below", 1.5, 0.25, True, NOW),
                Condition("quiet", 30.0, 12.0, False, NOW + 18),
            ),
        },
        WhyCode.WAITS_FOR_CONDITION,
        "(run 9) waits for its conditions: power ac (now battery; seen when it changes),"
        " load below 1.5 (now 0.25: holds),"
        f" quiet for 30.0 s (now 12.0 s; at {clock(NOW + 18, NOW)} at the earliest);"
        f" missed at {clock(NOW + 60, NOW)}.",
    ),
    (
        {
            "job": a_job(),
            "conditions": (Condition("online", "online", "offline", False, None),),
        },
        WhyCode.WAITS_FOR_PROMPT,
        "Its conditions: online (now offline; seen when it changes).",
    ),
    (
        {"live": live(waits_for=runs("folder")[0])},
        WhyCode.WAITS_FOR_JOB,
        "(run 9) waits for folder (run 1) to end; queued 12.0 s ago.",
    ),
    (
        {"live": live(waits_for=Batch(id=3, trigger=Trigger.IDLE, sink=SINK))},
        WhyCode.WAITS_FOR_JOB,
        "(run 9) waits for an earlier idle batch to end; queued 12.0 s ago.",
    ),
    (
        {"live": live(ended=True), "daemon": False},
        WhyCode.WAITS_FOR_DAEMON,
        "has ended, which the next daemon records",
    ),
    ({"live": live(), "daemon": False}, WhyCode.WAITS_FOR_DAEMON, "starts when the daemon is back"),
    ({"job": None}, WhyCode.UNKNOWN, "not a job that zdeferd has heard of; `zdeferctl jobs`"),
    ({"job": None, "nearest": "built"}, WhyCode.UNKNOWN, "did you mean built?"),
    (
        {
            "job": None,
            "source": "/x.toml",
            "refused": "/x.toml:3: build.run: found 1; expected a string",
        },
        WhyCode.REFUSED,
        "/x.toml:3",
    ),
    ({"job": None, "refused": "waits for itself"}, WhyCode.REFUSED, "waits for itself"),
    ({"job": None, "last": PAST}, WhyCode.UNDECLARED, "no longer declared"),
    (
        {"job": a_job(once_per=Scope.BOOT), "spent": PAST},
        WhyCode.ALREADY_RAN,
        "ran this boot as run 7",
    ),
    ({"job": a_job(once_per=Scope.DAY), "spent": PAST}, WhyCode.ALREADY_RAN, "due again tomorrow"),
    ({"job": a_job(once_per=Scope.EVER), "spent": PAST}, WhyCode.ALREADY_RAN, "never runs again"),
    (
        {
            "job": a_job(once_per=Scope.EVER),
            "spent": Past(run=7, at=NOW - 60, outcome="missed", rc=None),
        },
        WhyCode.ALREADY_RAN,
        f"was due once as run 7 at {clock(NOW - 60, NOW)} (missed); it never runs again",
    ),
    ({"job": a_job(once_per=Scope.SHELL), "spent": PAST}, WhyCode.ALREADY_RAN, "each new shell"),
    ({"job": a_job(), "spent": PAST}, WhyCode.ALREADY_RAN, "ran for the last shell as run 7"),
    (
        {"job": a_job(), "spent": PAST, "this_shell": True},
        WhyCode.ALREADY_RAN,
        "ran for this shell as run 7",
    ),
    (
        {
            "job": a_job(once_per=Scope.EVER),
            "spent": Past(run=7, at=NOW, outcome="failed", rc=3),
        },
        WhyCode.ALREADY_RAN,
        "(failed, rc 3)",
    ),
    (
        {"job": a_job(once_per=Scope.CHANGE, watch=("/x",)), "spent": PAST},
        WhyCode.INPUTS_UNCHANGED,
        "inputs are unchanged since run 7",
    ),
    (
        {"job": a_job(once_per=Scope.CHANGE, watch=("/x",)), "unseen": "no answer: /x"},
        WhyCode.WAITS_FOR_LOOK,
        "waits alone: what it watches cannot be looked at (no answer: /x).",
    ),
    (
        {"job": a_job()},
        WhyCode.WAITS_FOR_PROMPT,
        "waits for the first prompt of a new shell; no shell",
    ),
    ({"job": a_job(), "prompted_at": NOW}, WhyCode.WAITS_FOR_PROMPT, "the last shell's came at"),
    ({"job": a_job(), "last": PAST}, WhyCode.WAITS_FOR_PROMPT, "it last ran as run 7"),
    ({"job": a_job(), "daemon": False}, WhyCode.WAITS_FOR_PROMPT, "the daemon does not run"),
    (
        {"job": a_job(on=(Trigger.IDLE,)), "quiet_s": 12.0},
        WhyCode.WAITS_FOR_IDLE,
        "waits for idle: 1 min without a key pressed (so far 12.0 s).",
    ),
    (
        {"job": a_job(on=(Trigger.IDLE, Trigger.POSTPROMPT))},
        WhyCode.WAITS_FOR_IDLE,
        "or for the first prompt",
    ),
    (
        {"job": a_job(), "daemon": False, "activated": True},
        WhyCode.WAITS_FOR_PROMPT,
        "no shell has shown one to zdeferd yet.",
    ),
    ({"job": a_job(on=(Trigger.IDLE,)), "daemon": False}, WhyCode.WAITS_FOR_DAEMON, "none runs"),
    ({"job": job("build")}, WhyCode.WAITS_FOR_PROMPT, "waits for the next shell that declares it"),
    (
        {"job": job("build"), "registered": frozenset({Trigger.POSTPROMPT})},
        WhyCode.WAITS_FOR_PROMPT,
        "registered and waits for its shell",
    ),
    (
        {
            "job": job("build", on=(Trigger.IDLE,)),
            "registered": frozenset({Trigger.IDLE}),
            "quiet_s": 90.0,
        },
        WhyCode.WAITS_FOR_IDLE,
        "without a key pressed.",
    ),
]


@pytest.mark.parametrize(("fields", "code", "part"), TABLE)
def test_the_rules(fields: dict[str, Any], code: WhyCode, part: str) -> None:
    known: dict[str, Any] = {"id": "build", "now": NOW, "daemon": True, "job": a_job()}
    answer = why(WhyFacts(**(known | fields)))
    assert answer.code is code
    assert part in answer.sentence
    assert answer.sentence[-1] in ".?"


def test_every_code_is_in_the_table() -> None:
    assert {code for _, code, _ in TABLE} == set(WhyCode)


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "remark"),
    [
        (("source", "/x"), "source changes the job's own zsh"),
        (('eval "$(a; b | c)"',), "eval changes the job's own zsh"),
        (("cd /x && make",), None),
        (("make", "eval"), None),
        (("print x",), None),
    ],
)
def test_a_job_that_changes_only_its_own_zsh_is_remarked(
    call: tuple[str, ...], remark: str | None
) -> None:
    job = Job(id="a", call=call, run=Code("source"))
    sentence = why(WhyFacts(id="a", now=0.0, daemon=True, job=job)).sentence
    assert ("Note: " in sentence) == bool(remark)
    assert remark is None or f" Note: {remark}, and not the shell that declared it." in sentence


def test_a_job_that_reads_styles_is_remarked() -> None:
    job = Job(id="a", call=("f",), run=Code("f() { zstyle -s x y z }"))
    sentence = why(WhyFacts(id="a", now=0.0, daemon=True, job=job)).sentence
    assert sentence.endswith(" Note: zstyle finds no style of the shell in a job.")
