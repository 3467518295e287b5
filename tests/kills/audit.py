"""What must be so after any kills, written once, each rule under its name.

Owns the comparison of four witnesses that cannot agree by accident: what the shells handed
over and were answered, the ledger, the shared logs with their rotated siblings, and the
files to which the jobs wrote a line at each start. Read when everything has come to rest
and the daemon has left; a rule yields a sentence for each breach that it finds.
"""

import json
import os
import re
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from kills import prey
from kills.arena import EACH_SHELL, ONCE, Arena

FOREIGN = b"SEGMENT name=foreign "
KILLED = 137
OLDER = 65
"""A run whose output is older than the one that is there."""
ABANDONED = 255
TABLE = (
    "id, job, key, trigger, batch, sink, attempt, state, outcome, rc, wall_ms, started_at, ended_at"
)
COST = "max_rss_kib, output_bytes, output_dropped_bytes, refusal"


class Evidence:
    """All witnesses, read once."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        path = arena.daemon.state / "ledger.sqlite3"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            self.integrity = db.execute("PRAGMA integrity_check").fetchone()[0]
            self.runs = db.execute(f"SELECT {TABLE}, {COST} FROM runs ORDER BY id").fetchall()
            self.batches = db.execute(
                "SELECT id, trigger, sink, started_at FROM batches"
            ).fetchall()
            self.open_lines = db.execute("SELECT state, problem FROM lines").fetchall()
            self.claims = db.execute("SELECT job, key, run FROM claims").fetchall()
        self.starts = Counter(
            {file.name: len(file.read_bytes().splitlines()) for file in starts(arena)}
        )
        self.lines = {path: read_log(path) for path in arena.logs()}

    def own_starts(self, run: sqlite3.Row) -> int:
        """How often the job of `run` has begun, as it says itself."""
        nonce = run["key"].removeprefix("shell:")
        return self.starts[f"{run['job']}.{nonce}" if run["job"] in EACH_SHELL else run["job"]]

    def doomed(self, run: sqlite3.Row) -> bool:
        """Whether its last runner was killed after the start and before the record."""
        return (run["id"], run["attempt"]) in self.arena.doomed


def starts(arena: Arena) -> list[Path]:
    """The files to which jobs wrote at their starts."""
    return sorted((arena.home / "starts").iterdir())


def read_log(path: Path) -> list[bytes]:
    """A log's lines, those of its rotated siblings first."""
    siblings = sorted(path.parent.glob(f"{path.name}.*"), key=lambda p: int(p.suffix[1:]))
    return [line for file in (*siblings, path) if file.exists() for line in _lines(file)]


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().split(b"\n")[:-1]


# --- rules ---------------------------------------------------------------------


def no_run_is_lost(seen: Evidence) -> Iterator[str]:
    """Each job that a shell handed over has its run, and each file job one per scope."""
    found = Counter(run["job"] for run in seen.runs)
    expected = Counter(list(seen.arena.orders))
    if seen.arena.visitors:
        expected += Counter(dict.fromkeys(EACH_SHELL, len(seen.arena.visitors)))
        expected += Counter(dict.fromkeys(ONCE, 1))
    for job in sorted(expected | found):
        if found[job] < expected[job]:
            yield f"{job}: {found[job]} runs, {expected[job]} were asked for"


def no_claim_is_made_twice(seen: Evidence) -> Iterator[str]:
    """One run a (job, scope key), and the claim is its."""
    keys = Counter((run["job"], run["key"]) for run in seen.runs)
    yield from (f"{job}: {count} runs of {key}" for (job, key), count in keys.items() if count > 1)
    of_runs = {(run["job"], run["key"]): run["id"] for run in seen.runs}
    if of_runs != {(claim["job"], claim["key"]): claim["run"] for claim in seen.claims}:
        yield "claims and runs differ"


def no_start_is_made_twice(seen: Evidence) -> Iterator[str]:
    """A job begins once an attempt; without a killed runner or job exactly once."""
    for run in seen.runs:
        begun = seen.own_starts(run)
        if begun > run["attempt"]:
            yield f"run {run['id']} {run['job']}: {begun} starts in {run['attempt']} attempts"
        sure = run["outcome"] in ("succeeded", "failed") and run["rc"] != KILLED
        if sure and begun < 1:
            why = f"{run['outcome']} ({run['refusal']})"
            yield f"run {run['id']} {run['job']}: {why}, but it never began"
        if run["rc"] is None and begun >= run["attempt"]:
            yield f"run {run['id']} {run['job']}: {run['outcome']} before its start, but it began"


def every_run_has_ended(seen: Evidence) -> Iterator[str]:
    """One outcome a run."""
    for run in seen.runs:
        if run["state"] != "ended" or run["outcome"] is None:
            yield f"run {run['id']} {run['job']}: {run['state']}, {run['outcome']}"


def abandoned_is_where_a_runner_died(seen: Evidence) -> Iterator[str]:
    """There, and nowhere else."""
    for run in seen.runs:
        if (run["outcome"] == "abandoned") != seen.doomed(run):
            died = "died" if seen.doomed(run) else "lived"
            yield f"run {run['id']} {run['job']}: {run['outcome']}, its runner {died}"


def a_record_is_kept_whole(seen: Evidence) -> Iterator[str]:
    """The exit code, the cost and the output of every run whose runner lived."""
    for run in seen.runs:
        if run["rc"] is None or run["outcome"] == "abandoned":
            continue
        order = seen.arena.orders.get(run["job"])
        expected = {0 if order is None else order.rc}
        if (run["id"], run["attempt"]) in seen.arena.struck:
            expected = {KILLED}
        cut_short = expected == {KILLED}
        if run["id"] in seen.arena.cancelled:
            expected.add(143)
            cut_short |= run["rc"] == 143
        if run["job"] == "makes":
            expected.add(OLDER)
        if run["rc"] not in expected:
            yield f"run {run['id']} {run['job']}: rc {run['rc']}, not {expected}"
        if not run["max_rss_kib"] or run["wall_ms"] is None or run["output_dropped_bytes"]:
            yield f"run {run['id']} {run['job']}: no cost"
        if order and not cut_short and run["output_bytes"] != order.prints:
            yield f"run {run['id']} {run['job']}: {run['output_bytes']} bytes of {order.prints}"


def cancelled_is_what_was_cancelled(seen: Evidence) -> Iterator[str]:
    """Nothing else, and a cancelled run that had started has its exit code."""
    for run in seen.runs:
        if run["outcome"] == "missed":
            yield f"run {run['id']} {run['job']}: missed"
        if run["outcome"] != "cancelled":
            continue
        if run["id"] not in seen.arena.cancelled:
            yield f"run {run['id']} {run['job']}: cancelled, and nobody asked for that"
        if run["rc"] not in (None, 143):
            yield f"run {run['id']} {run['job']}: cancelled with rc {run['rc']}"


def every_line_is_there_once(seen: Evidence) -> Iterator[str]:
    """Each log holds exactly what the ledger reports, and what others wrote."""
    for line in seen.open_lines:
        yield f"a line is {line['state']}: {line['problem']}"
    for path, lines in seen.lines.items():
        expected = Counter(expected_lines(seen, path))
        found = Counter(map(_without_time, lines))
        for line in sorted(expected | found):
            if expected[line] != found[line]:
                yield f"{path.name}: {line!r} {found[line]} times, not {expected[line]}"


def expected_lines(seen: Evidence, path: Path) -> Iterator[bytes]:
    """What must stand in `path`; totals of idle batches without their elapsed time."""
    yield from (line for at, line in seen.arena.foreign if at == path)
    of_batch: dict[int, list[sqlite3.Row]] = {}
    for run in seen.runs:
        of_batch.setdefault(run["batch"], []).append(run)
        if json.loads(run["sink"])["log"] != str(path) or run["rc"] is None:
            continue
        told = f"id={run['job']} ms={run['wall_ms']} rc={run['rc']}"
        yield f"DEFERRED {told}".encode()
        if run["trigger"] == "idle":
            yield f"IDLE:TASK {told}".encode()
    for batch in seen.batches:
        sink = json.loads(batch["sink"])
        if sink["log"] == str(path):
            runs = of_batch.get(batch["id"], [])
            yield from _batch_lines(batch, sink, runs)


def _batch_lines(
    batch: sqlite3.Row, sink: dict[str, str], runs: list[sqlite3.Row]
) -> Iterator[bytes]:
    ran = [run for run in runs if run["rc"] is not None]
    if batch["trigger"] == "postprompt":
        total = sum(run["wall_ms"] for run in ran)
        sample = sink["sample"]
        yield f"SEGMENT name=deferred_total ms={total} phase=postprompt sample={sample}".encode()
    elif batch["started_at"] is not None:
        ok = sum(run["rc"] == 0 for run in ran)
        yield f"IDLE:START budget=0ms tasks={len(runs)}".encode()
        yield f"IDLE:SUMMARY tasks={len(runs)} ok={ok} err={len(ran) - ok}".encode()


def _without_time(line: bytes) -> bytes:
    return re.sub(rb"( err=\d+) elapsed=\d+ budget_exceeded=0$", rb"\1", line)


def idle_batches_do_not_mix(seen: Evidence) -> Iterator[str]:
    """In each log: START, its jobs, SUMMARY, before the next START."""
    for path, lines in seen.lines.items():
        open_batch = False
        for line in lines:
            begins = line.startswith(b"IDLE:START")
            if line.startswith(b"IDLE:") and begins == open_batch:
                yield f"{path.name}: out of turn: {line!r}"
            open_batch = begins or (open_batch and not line.startswith(b"IDLE:SUMMARY"))


def the_sidecar_says_the_same(seen: Evidence) -> Iterator[str]:
    """One JSON object for each DEFERRED line of a shell that asked for them."""
    for path in seen.arena.logs():
        sidecar = path.with_suffix(".jsonl")
        lines = _lines(sidecar) if sidecar.exists() else []
        objects = [json.loads(line) for line in lines]
        found = Counter((o["id"], o["ms"], o["rc"]) for o in objects if o["type"] == "deferred")
        expected = Counter(
            (run["job"], run["wall_ms"], run["rc"])
            for run in seen.runs
            if json.loads(run["sink"]).get("sidecar") == str(sidecar) and run["rc"] is not None
        )
        if found != expected:
            yield f"{sidecar.name}: too many {found - expected}, missing {expected - found}"


def an_output_is_whole_and_published(seen: Evidence) -> Iterator[str]:
    """One version, also compiled: that of the last run that succeeded, or of one beside it."""
    path = seen.arena.home / "made/value.zsh"
    makers = [run for run in seen.runs if run["job"] == "makes"]
    if not path.exists():
        yield from (f"run {run['id']} published nothing" for run in makers if run["rc"] == 0)
        return
    lines = path.read_text().splitlines()
    if len(lines) != 2000 or len(set(lines)) != 1:
        yield f"a part was published: {len(lines)} lines of {set(lines)}"
    shown = ["zsh", "-fc", 'source "$1"; print -r -- "made=$made"', "zsh", str(path)]
    found = subprocess.run(shown, capture_output=True, text=True, check=False, timeout=200)
    if found.stdout != f"{lines[0]}\n":
        yield f"zsh finds {found.stdout!r} in it, not {lines[0]!r}"
    yield from _newer_than(lines[0].removeprefix("made="), makers)


def _newer_than(shell: str, makers: list[sqlite3.Row]) -> Iterator[str]:
    """Runs that began after the one whose output is there had ended, and succeeded."""
    shown = next((run for run in makers if json.loads(run["sink"])["sample"] == shell), None)
    if shown is None:
        yield f"no run has made the output that is there: {shell}"
        return
    for run in makers:
        if run["rc"] == 0 and run["started_at"] > shown["ended_at"]:
            yield f"run {run['id']} succeeded, and the older output of run {shown['id']} is there"


def nothing_is_left_behind(seen: Evidence) -> Iterator[str]:
    """No process, no fault, no damage."""
    deadline = time.monotonic() + prey.LIMIT_S
    while (left := prey.ours(seen.arena.home)) and time.monotonic() < deadline:
        os.sched_yield()  # a runner ends just after its record
    for pid in left:
        yield f"still runs: {pid} {prey.command(pid)!r}"
    errors = seen.arena.daemon.errors.read_text()
    if "Traceback" in errors or "internal error" in errors:
        yield f"the daemon complains: {errors[-2000:]}"
    if seen.integrity != "ok":
        yield f"the ledger is damaged: {seen.integrity}"


RULES: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    no_run_is_lost,
    no_claim_is_made_twice,
    no_start_is_made_twice,
    every_run_has_ended,
    abandoned_is_where_a_runner_died,
    a_record_is_kept_whole,
    cancelled_is_what_was_cancelled,
    every_line_is_there_once,
    idle_batches_do_not_mix,
    the_sidecar_says_the_same,
    an_output_is_whole_and_published,
    nothing_is_left_behind,
)


def breaches(arena: Arena) -> list[str]:
    """Every breach of every rule, as `rule: what`."""
    seen = Evidence(arena)
    return [f"{rule.__name__}: {breach}" for rule in RULES for breach in rule(seen)]
