"""What must be so after any power cuts, each rule under its name.

Owns the comparison of what shells were answered, what jobs say of their starts (both outside
the disk that forgets), the ledger, and the logs with their rotated siblings. `at_a_boot` holds
at once after a cut, before a daemon has mended anything; `at_the_end` when all is at rest.
"""

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from powercut.machine import Machine

FILE_JOBS = ("once-ever", "once-boot", "once-day", "on-change", "again")
COLUMNS = "id, job, key, state, attempt, boot, outcome, rc, wall_ms, started_at, sink"


class Evidence:
    """All witnesses, read once. The ledger is read as a copy: to read is to recover."""

    def __init__(self, machine: Machine, logs: list[Path]) -> None:
        self.machine = machine
        self.runs: list[Any] = []
        self.lines: list[Any] = []
        self.batches: list[Any] = []
        self.integrity = "ok"
        with tempfile.TemporaryDirectory(prefix="zp.", dir="/tmp") as folder:
            copy = Path(folder, "ledger.sqlite3")
            for suffix in ("", "-wal"):
                source = Path(f"{machine.state}/ledger.sqlite3{suffix}")
                if source.exists():
                    shutil.copy(source, f"{copy}{suffix}")
            if copy.exists() and copy.stat().st_size:
                try:
                    self._read(copy)
                except sqlite3.DatabaseError as error:
                    self.integrity = str(error)
        self.starts = machine.starts()
        self.logged = Counter(line for log in logs for line in _lines(log))

    def _read(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.row_factory = sqlite3.Row
            self.integrity = db.execute("PRAGMA integrity_check").fetchone()[0]
            if not db.execute("PRAGMA user_version").fetchone()[0]:
                return
            self.runs = db.execute(f"SELECT {COLUMNS} FROM runs ORDER BY id").fetchall()
            self.lines = db.execute("SELECT id, text, state FROM lines").fetchall()
            self.batches = db.execute("SELECT shell, ended_at FROM batches").fetchall()


def _lines(log: Path) -> Iterator[bytes]:
    for file in (log, *log.parent.glob(f"{log.name}.*")):
        if file.exists():
            yield from file.read_bytes().split(b"\n")[:-1]


def at_a_boot(seen: Evidence, ended: dict[int, tuple[str, int | None]]) -> list[str]:
    """Breaches of what holds after a cut. `ended`: outcomes known so far; grows here."""
    if seen.integrity != "ok":
        return [f"the ledger is damaged: {seen.integrity}"]
    found = [*_answered(seen), *_starts(seen), *_claims(seen), *_outcomes(seen, ended)]
    return [*found, *_lines_once(seen)]


def at_the_end(seen: Evidence, ended: dict[int, tuple[str, int | None]]) -> list[str]:
    """The same, and that all has come to an end."""
    found = at_a_boot(seen, ended)
    found += [f"run {run['id']} has no outcome" for run in seen.runs if run["state"] != "ended"]
    found += [f"a line was given up: {line['text']!r}" for line in seen.lines]
    last = f"boot-{seen.machine.boots}"
    for run in seen.runs:
        if run["outcome"] == "abandoned" and run["boot"] == last:
            found.append(f"run {run['id']} is abandoned, and its boot had no power cut")
    return found


def _answered(seen: Evidence) -> Iterator[str]:
    visited = {run["key"] for run in seen.runs}
    for nonce in seen.machine.answered:
        if f"shell:{nonce}" not in visited:
            yield f"shell {nonce} was answered, and its claim is gone"


def _starts(seen: Evidence) -> Iterator[str]:
    """No attempt starts twice, and none before its dispatch is durable."""
    allowed: Counter[str] = Counter()
    for run in seen.runs:
        begun = run["attempt"] if run["state"] != "claimed" else run["attempt"] - 1
        allowed[run["job"]] += begun
    for job, count in seen.starts.items():
        if count > allowed[job]:
            yield f"{job} has started {count} times, with {allowed[job]} dispatched attempts"
    for run in seen.runs:
        if run["outcome"] in ("succeeded", "failed") and not seen.starts[run["job"]]:
            yield f"run {run['id']} has ended, and its job has never started"


def _claims(seen: Evidence) -> Iterator[str]:
    keys = Counter((run["job"], run["key"]) for run in seen.runs)
    yield from (f"{job} was claimed {n} times for {key}" for (job, key), n in keys.items() if n > 1)
    # A date ends once in a campaign, at most.
    ever = sum(run["job"] == "once-ever" for run in seen.runs)
    day = sum(run["job"] == "once-day" for run in seen.runs)
    boot = sum(run["job"] == "once-boot" for run in seen.runs)
    if ever > 1 or day > 2 or boot > seen.machine.boots:
        yield f"claimed too often: ever {ever}, day {day}, boot {boot}"


def _outcomes(seen: Evidence, ended: dict[int, tuple[str, int | None]]) -> Iterator[str]:
    now = {run["id"]: (run["outcome"], run["rc"]) for run in seen.runs if run["outcome"]}
    for run, outcome in ended.items():
        if now.get(run) != outcome:
            yield f"run {run} had ended {outcome}, and now {now.get(run)}"
    ended |= now
    for run in seen.runs:
        kind, _, rc = run["job"].partition("-rc")
        by_itself = run["outcome"] in ("succeeded", "failed") and kind not in FILE_JOBS
        if by_itself and run["rc"] != int(rc):
            yield f"run {run['id']} ended with {run['rc']}, not {rc}"


def _lines_once(seen: Evidence) -> Iterator[str]:
    """A line of an ended run is in the ledger still, or marked and then in its log; never twice."""
    due = Counter(bytes(line["text"]) for line in seen.lines)
    texts: Counter[bytes] = Counter()
    for run in seen.runs:
        if run["outcome"]:
            text = f"DEFERRED id={run['job']} ms={run['wall_ms'] or 0} rc={run['rc']}"
            texts[text.encode()] += 1
    yield from _totals(seen)
    for line, count in texts.items():
        if seen.logged[line] > count:
            yield f"{line!r} is {seen.logged[line]} times in the log, for {count} runs"
        if seen.logged[line] + due[line] < count:
            yield f"{line!r} was marked, and is not in the log"


def _totals(seen: Evidence) -> Iterator[str]:
    """The line of a batch: of each shell there is one, once its batch has ended."""
    logged = _totals_in(seen.logged)
    due = _totals_in(Counter(bytes(line["text"]) for line in seen.lines))
    for batch in seen.batches:
        shell, ended = batch["shell"], batch["ended_at"] is not None
        # Both: it was begun and is in the log, and the next daemon marks it.
        if logged[shell] > ended or logged[shell] + due[shell] < ended:
            yield f"the batch of {shell} has {logged[shell]} lines, and {due[shell]} are due"


def _totals_in(texts: Counter[bytes]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for text, count in texts.items():
        if text.startswith(b"SEGMENT name=deferred_total "):
            totals[text.rpartition(b"=")[2].decode()] += count
    return totals
