"""Every line byte by byte, what may not become one, and the projections of the ledger."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.model import ID_PATTERN, Batch, BatchTotals, Cost, Ending, Outcome, Sink, Trigger
from zdeferd.telemetry import lines, projection
from zdeferd.telemetry.allowed import ALLOWED
from zdeferd.telemetry.lines import (
    Deferred,
    Error,
    IdleJob,
    IdleStart,
    IdleSummary,
    Legacy,
    LegacyName,
    Level,
    Phase,
    Segment,
    parse,
    text,
)
from zdeferd.telemetry.sidecar import SIDECAR_OBJECTS, json_object

GOLDEN = Path(__file__).parents[1] / "golden"
NOW = 1700000000.0
SINK = Sink(
    log="/l/perf.log",
    sidecar="/l/perf.jsonl",
    sample="cold-1",
    idle_budget_ms=300,
    idle_soft_timeout_ms=100,
)

EVERY_LINE: list[lines.PlainLine] = [
    Deferred("docker-completion", 0, 0),
    Segment("deferred_total", 1234, Phase.POSTPROMPT),
    Segment("essential/zsh-z+fzf", 3, Phase.POST_PLUGIN, "cold-1"),
    IdleStart(0, 2),
    IdleJob("0", 7, 255, timeout=True),
    IdleJob("a", 7, 0),
    IdleSummary(0, 0, 0, 0, budget_exceeded=False),
    Error(Level.CRITICAL, "sharedlog"),
]
LEGACY = [
    Legacy(LegacyName.PRE_PLUGIN_COMPLETE, 41),
    Legacy(LegacyName.POST_PLUGIN_COMPLETE, 120),
    Legacy(LegacyName.PROMPT_READY_COMPLETE, 160),
    Legacy(LegacyName.POST_PLUGIN_SEGMENT, 33, "compinit"),
]


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def written(pairs: list[projection.Line], path: str) -> bytes:
    return b"".join(line + b"\n" for where, line in pairs if where == path)


def ending(outcome: Outcome, ms: int = 0, rc: int | None = None, at: float = NOW) -> Ending:
    started = None if rc is None else at - ms / 1000
    return Ending(outcome=outcome, rc=rc, started_at=started, ended_at=at, cost=Cost(wall_ms=ms))


# --- lines ---------------------------------------------------------------------


def test_every_line_byte_by_byte() -> None:
    found = b"".join(text(line) + b"\n" for line in EVERY_LINE)
    assert golden("every_line.txt").startswith(found)


def test_every_line_is_read_back() -> None:
    read = [parse(line) for line in golden("every_line.txt").decode().splitlines()]
    assert read == [*EVERY_LINE, *LEGACY]


whole = st.integers(0, lines.MS_LIMIT)
rc = st.integers(0, 255)
ids = st.from_regex(ID_PATTERN, fullmatch=True)
labels = st.from_regex(lines.LABEL_PATTERN, fullmatch=True)
modules = st.from_regex(lines.MODULE_PATTERN, fullmatch=True)
samples = st.from_regex(lines.SAMPLE_PATTERN, fullmatch=True)
any_line = st.one_of(
    st.builds(Deferred, ids, whole, rc),
    st.builds(Segment, labels, whole, st.sampled_from(Phase), samples),
    st.builds(IdleStart, whole, whole),
    st.builds(IdleJob, ids, whole, rc, st.booleans()),
    st.builds(IdleSummary, whole, whole, whole, whole, st.booleans()),
    st.builds(Error, st.sampled_from(Level), modules),
)


@given(any_line)
def test_round_trip(line: lines.PlainLine) -> None:
    assert parse(text(line).decode()) == line


@given(st.text() | st.from_regex(r"(DEFERRED|IDLE:TASK|SEGMENT|ERROR) [ -~]*", fullmatch=True))
def test_what_is_read_is_what_would_be_written(line: str) -> None:
    found = parse(line)
    assert found is None or isinstance(found, Legacy) or text(found).decode() == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        " DEFERRED id=a ms=1 rc=0",
        "DEFERRED id=a ms=1 rc=0 ",
        "DEFERRED id=a ms=1 rc=0\n",
        "DEFERRED id=a ms=01 rc=0",
        "DEFERRED id=a ms=-1 rc=0",
        "DEFERRED id=a ms=1.5 rc=0",
        "DEFERRED id=a ms=٣ rc=0",
        "DEFERRED id=a ms=1 rc=256",
        "DEFERRED id=A ms=1 rc=0",
        "DEFERRED id=-a ms=1 rc=0",
        "DEFERRED id=a/b ms=1 rc=0",
        f"DEFERRED id={'a' * 65} ms=1 rc=0",
        f"DEFERRED id=a ms={10**16} rc=0",
        "DEFERRED id=a rc=0 ms=1",
        "SEGMENT name=a ms=1 phase=lunch sample=unknown",
        "SEGMENT name=/etc/passwd ms=1 phase=core sample=unknown",
        "SEGMENT name=a ms=1 phase=core sample=",
        "SEGMENT name=A ms=1 phase=core sample=unknown",
        f"SEGMENT name={'a' * 65} ms=1 phase=core sample=unknown",
        "ERROR level=WARN module=a/b",
        "IDLE:TASK id=a ms=1 rc=0 timeout=0",
        "IDLE:SUMMARY tasks=1 ok=1 err=0 elapsed=1 budget_exceeded=2",
        "ERROR level=INFO module=a",
        "ERROR level=WARN module=a b",
        "PRE_PLUGIN_COMPLETE",
        "PRE_PLUGIN_SEGMENT a 1",
        '{"type":"deferred"}',
        "POLICY guidelines_checksum=9f3 path=docs",
        "MODULE_MONITOR module=history status=healthy",
        "# a remark",
    ],
)
def test_everything_else_is_no_line(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Deferred("A", 1, 0),
        lambda: Deferred("a\nb", 1, 0),
        lambda: Deferred("a\n", 1, 0),
        lambda: Deferred("", 1, 0),
        lambda: Deferred("a", -1, 0),
        lambda: Deferred("a", 1.5, 0),  # type: ignore[arg-type]
        lambda: Deferred("a", True, 0),
        lambda: Deferred("a", 1, 256),
        lambda: Deferred("a", 1, -1),
        lambda: Segment("/h/u", 1, Phase.CORE),
        lambda: Segment("a", 1, "core"),  # type: ignore[arg-type]
        lambda: Segment("a", 1, Phase.CORE, "a b"),
        lambda: IdleStart(-1, 0),
        lambda: IdleJob("a", 1, 0, 1),  # type: ignore[arg-type]
        lambda: IdleSummary(1, 1, 1, -1, budget_exceeded=False),
        lambda: Error("WARN", "a"),  # type: ignore[arg-type]
        lambda: Error(Level.WARN, "cannot open /h/u"),
    ],
)
def test_no_line_is_made_of_anything_else(make: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        make()


# --- the sidecar ---------------------------------------------------------------

CONTRACT_KEYS = {
    "segment": "type,name,ms,phase,sample,ts",
    "deferred": "type,id,ms,rc,phase,ts",
    "idle_start": "type,ts,budget_ms,tasks",
    "idle_task": "type,id,ms,rc,timeout",
    "idle_summary": "type,tasks,errors,elapsed_ms,budget_exceeded",
}
OF_THE_SHELL = {"feature_timing": "type,feature,ms,phase,sequence,version,ts_epoch_ms"}


def test_keys_of_the_sidecar_are_the_contract_s() -> None:
    found = {
        kind.__struct_config__.tag: ",".join(["type", *kind.__struct_fields__])
        for kind in SIDECAR_OBJECTS
    }
    assert found == CONTRACT_KEYS


@given(any_line.filter(lambda line: not isinstance(line, Error)))
def test_objects_are_plain_json_with_the_keys_in_order(line: lines.PlainLine) -> None:
    found = json.loads(json_object(line, Phase.IDLE, 1))
    assert ",".join(found) == CONTRACT_KEYS[found["type"]]


def test_error_lines_have_no_object() -> None:
    with pytest.raises(ValueError, match="no sidecar object"):
        json_object(Error(Level.WARN, "a"), Phase.CORE, 0)


# --- where it goes -------------------------------------------------------------


def sink(**env: str) -> Sink:
    return projection.sink(env, "/state/deferred.log")


def test_sink_of_an_empty_environment() -> None:
    assert sink() == Sink(log="/state/deferred.log")


def test_sink_of_a_full_environment() -> None:
    found = sink(
        PERF_SEGMENT_LOG="/l/perf.log",
        PERF_SEGMENT_JSON_LOG="/j/x.jsonl",
        PERF_SAMPLE_CONTEXT="cold-1",
        ZSH_LOG_STRUCTURED="1",
        ZSH_IDLE_HARD_BUDGET_MS="300",
        ZSH_IDLE_TASK_TIMEOUT_MS="100",
    )
    assert found == Sink("/l/perf.log", "/j/x.jsonl", "cold-1", 300, 100)


@pytest.mark.parametrize("value", ["", "relative.log", "~/perf.log"])
def test_log_that_is_no_absolute_path_counts_as_unset(value: str) -> None:
    assert sink(PERF_SEGMENT_LOG=value).log == "/state/deferred.log"


@pytest.mark.parametrize(
    ("env", "sidecar"),
    [
        ({}, None),
        ({"ZSH_PERF_JSON": "1"}, None),
        ({"PERF_SEGMENT_JSON_LOG": "/j"}, None),
        ({"ZSH_LOG_STRUCTURED": "0", "PERF_SEGMENT_JSON_LOG": "/j"}, None),
        ({"ZSH_LOG_STRUCTURED": "yes"}, None),
        ({"ZSH_LOG_STRUCTURED": "1"}, "/state/deferred.jsonl"),
        ({"ZSH_LOG_STRUCTURED": "1", "ZSH_PERF_JSON": "1"}, "/state/deferred.jsonl"),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_JSON_LOG": "/j"}, "/j"),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_JSON_LOG": "j"}, "/state/deferred.jsonl"),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/a.b/seg"}, "/a.b/seg.jsonl"),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/dev/null"}, None),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/dev/./stderr"}, None),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/proc/self/fd/2"}, None),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/dev/shm/s.log"}, "/dev/shm/s.jsonl"),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/a/.seg"}, "/a/.seg.jsonl"),
        ({"ZSH_LOG_STRUCTURED": "1", "PERF_SEGMENT_LOG": "/a/s.jsonl"}, "/a/s.jsonl.jsonl"),
        (
            {
                "ZSH_LOG_STRUCTURED": "1",
                "PERF_SEGMENT_LOG": "/a/s.log",
                "PERF_SEGMENT_JSON_LOG": "/a/./s.log",
            },
            "/a/s.jsonl",
        ),
    ],
)
def test_sidecar_only_on_request_and_never_the_log_itself(
    env: dict[str, str], sidecar: str | None
) -> None:
    assert sink(**env).sidecar == sidecar


@pytest.mark.parametrize("value", ["", "a b", "a/b", "é", "x" * 65, "a\n"])
def test_bad_sample_is_unknown(value: str) -> None:
    assert sink(PERF_SAMPLE_CONTEXT=value).sample == "unknown"


@pytest.mark.parametrize("value", ["", "-1", "1.5", "300ms", " 300", "٣", "9" * 13])
def test_bad_limits_are_none(value: str) -> None:
    found = sink(ZSH_IDLE_HARD_BUDGET_MS=value, ZSH_IDLE_TASK_TIMEOUT_MS=value)
    assert (found.idle_budget_ms, found.idle_soft_timeout_ms) == (0, 0)


# --- projections ---------------------------------------------------------------


def test_line_of_each_outcome() -> None:
    ends = [
        ("done", ending(Outcome.SUCCEEDED, 12, 0)),
        ("not-found", ending(Outcome.FAILED, 3, 127)),
        ("slow", ending(Outcome.TIMED_OUT, 20001, 124)),
        ("cancelled", ending(Outcome.CANCELLED, 50, 143)),
        ("vanished", ending(Outcome.ABANDONED, 0, 255)),
        ("never-a", ending(Outcome.CANCELLED)),
        ("never-b", ending(Outcome.MISSED)),
    ]
    sink = msgspec.structs.replace(SINK, sidecar=None)
    found = [
        pair
        for job, end in ends
        for pair in projection.run_lines(job, Trigger.POSTPROMPT, end, sink, in_batch=True)
    ]
    assert {path for path, _ in found} == {SINK.log}
    assert written(found, SINK.log) == golden("run_lines.txt")


def batch_lines(trigger: Trigger, totals: BatchTotals) -> list[projection.Line]:
    batch = Batch(id=1, trigger=trigger, sink=SINK, started_at=NOW)
    ends = [
        ("a", ending(Outcome.SUCCEEDED, 120, 0, NOW + 0.25)),
        ("b", ending(Outcome.FAILED, 80, 1, NOW + 0.25)),
        ("c", ending(Outcome.MISSED, at=NOW + 0.25)),
    ]
    out = projection.idle_start_lines(SINK, 3, NOW) if trigger is Trigger.IDLE else []
    for job, end in ends:
        out += projection.run_lines(job, trigger, end, SINK, in_batch=True)
    ended_at = NOW + (1.5 if trigger is Trigger.IDLE else 0.5)
    return out + projection.batch_end_lines(batch, totals, ended_at)


@pytest.mark.parametrize("trigger", Trigger)
def test_batch_byte_by_byte(trigger: Trigger) -> None:
    found = batch_lines(trigger, BatchTotals(live=0, tasks=3, ok=1, err=1, missed=1, ms=200))
    assert written(found, SINK.log) == golden(f"{trigger}_batch.txt")
    assert SINK.sidecar is not None
    assert written(found, SINK.sidecar) == golden(f"{trigger}_batch.jsonl")


def test_run_by_hand_is_no_part_of_an_idle_batch() -> None:
    end = ending(Outcome.SUCCEEDED, 5, 0)
    found = projection.run_lines("a", Trigger.IDLE, end, Sink("/l"), in_batch=False)
    assert found == [("/l", b"DEFERRED id=a ms=5 rc=0")]


def test_idle_batch_that_never_began_says_nothing() -> None:
    batch = Batch(id=1, trigger=Trigger.IDLE, sink=SINK)
    assert projection.batch_end_lines(batch, BatchTotals(0, 0, 0, 0, 0, 0), NOW) == []


def test_empty_postprompt_batch_says_zero() -> None:
    batch = Batch(id=1, trigger=Trigger.POSTPROMPT, sink=Sink("/l"))
    found = projection.batch_end_lines(batch, BatchTotals(0, 0, 0, 0, 0, 0), NOW)
    assert found == [("/l", b"SEGMENT name=deferred_total ms=0 phase=postprompt sample=unknown")]


@pytest.mark.parametrize(
    ("budget", "missed", "ms", "exceeded"), [(0, 0, 900, 0), (300, 0, 300, 0), (300, 0, 301, 1)]
)
def test_budget_is_exceeded_only_past_it(budget: int, missed: int, ms: int, exceeded: int) -> None:
    sink = Sink("/l", idle_budget_ms=budget)
    batch = Batch(id=1, trigger=Trigger.IDLE, sink=sink, started_at=NOW)
    totals = BatchTotals(live=0, tasks=1, ok=1, err=0, missed=missed, ms=ms)
    [(_, line)] = projection.batch_end_lines(batch, totals, NOW)
    assert line.endswith(b"budget_exceeded=%d" % exceeded)


def test_clock_set_back_gives_no_negative_time() -> None:
    batch = Batch(id=1, trigger=Trigger.IDLE, sink=Sink("/l"), started_at=NOW)
    [(_, line)] = projection.batch_end_lines(batch, BatchTotals(0, 1, 1, 0, 0, 5), NOW - 60)
    assert b" elapsed=0 " in line


SECRETS = ["/home/you/secret", "hunter 2", "me@host", "rm -rf /", "a\nDEFERRED id=x ms=1 rc=0"]


@given(st.sampled_from(SECRETS), st.sampled_from(Trigger))
def test_nothing_of_the_environment_gets_into_a_line(secret: str, trigger: Trigger) -> None:
    env = dict.fromkeys(
        ["PERF_SAMPLE_CONTEXT", "ZSH_IDLE_HARD_BUDGET_MS", "HOME", "USER", "PATH"], secret
    )
    where = projection.sink(env | {"ZSH_LOG_STRUCTURED": "1"}, "/l/x.log")
    batch = Batch(id=1, trigger=trigger, sink=where, started_at=NOW)
    pairs = projection.run_lines("a", trigger, ending(Outcome.FAILED, 5, 1), where, in_batch=True)
    pairs += projection.batch_end_lines(batch, BatchTotals(0, 1, 0, 1, 0, 5), NOW)
    for _, line in pairs:
        assert secret.encode() not in line
        assert re.fullmatch(rb"[ -~]+", line)


# --- the documentation ---------------------------------------------------------

DOCS = Path(__file__).parents[2] / "docs"


def test_every_line_is_documented() -> None:
    page = (DOCS / "telemetry.md").read_text().replace("\\|", "|")
    blank = re.compile(r"<[^>]*>")
    documented = [
        blank.sub("…", line)
        for line in re.findall(r"`((?:DEFERRED|SEGMENT|IDLE:\w+|ERROR) [^`]*=<[^`]*)`", page)
    ]
    declared = [
        re.sub(r"\{0\.[^}]*\}", "…", kind.TEXT).replace("rc=……", "rc=…[ timeout=1]")
        for kind in (Deferred, Segment, IdleStart, IdleJob, IdleSummary, Error)
    ]
    assert documented == declared


def test_every_enumerated_word_is_documented() -> None:
    page = (DOCS / "telemetry.md").read_text()
    missing = [
        word
        for word in (*Phase, *Level, *Outcome, *LegacyName)
        if f"`{word}" not in page and f"<{word}>" not in page
    ]
    assert missing == []


def test_every_key_of_the_sidecar_is_documented_and_allowed() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(type,[^`]*)` \|", (DOCS / "telemetry.md").read_text(), re.M
    )
    every = CONTRACT_KEYS | OF_THE_SHELL
    assert dict(rows) == every
    assert {kind: ",".join(keys) for kind, keys in ALLOWED.items()} == every
    allowed = set(re.findall(r"`(\w+)`", (DOCS / "privacy.md").read_text().split("sidecar:")[1]))
    assert {key for keys in every.values() for key in keys.split(",")} <= allowed
