"""The in-memory twin of `store.Ledger`: the same methods, values and rollbacks, no SQLite.

Owns plain dictionaries, one a table. Rows are frozen values that are replaced, never
changed, so a copy of the dictionaries is a snapshot, and a rollback puts it back. It
implements the Protocol of ledger/contract.py and shares no code with the store.
tests/ledger/test_contract.py compares the two: their signatures, one suite over both, and
the same random statements to both.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from zdeferd.errors import LedgerError, WrongTransition
from zdeferd.ledger.lines import Line
from zdeferd.ledger.packing import Shell
from zdeferd.ledger.standing import Failure, Repeatable, RunsOf
from zdeferd.ledger.store import Ledger, Registration
from zdeferd.machine.processes import may_live
from zdeferd.model import Batch, BatchTotals, Ending, Job, Outcome, Run, Sink, State, Trigger, Work
from zdeferd.rules import lifecycle
from zdeferd.rules.changes import Last
from zdeferd.rules.lifecycle import RunEvent


class RunRow(NamedTuple):
    """A run, its end included."""

    run: Run
    ending: Ending | None = None

    @property
    def wall_ms(self) -> int:
        return self.ending.cost.wall_ms if self.ending else 0


class BatchRow(NamedTuple):
    """A batch, its end included."""

    batch: Batch
    ended_at: float | None = None


class LineRow(NamedTuple):
    """A line, and the problem that `doctor` lists for it."""

    line: Line
    run: int | None
    due_at: float
    problem: str | None = None


class JobRow(NamedTuple):
    """The last declaration of a job by a shell."""

    job: Job | None
    refused: str | None
    declared_at: float


class Tables(NamedTuple):
    """Everything that a transaction can change."""

    shells: dict[str, tuple[Shell, float]]
    jobs: dict[str, JobRow]
    registrations: dict[int, tuple[Registration, Trigger]]
    claims: dict[tuple[str, str], tuple[int, float]]
    fingerprints: dict[str, tuple[str, int]]
    inputs: dict[str, tuple[str, str]]
    batches: dict[int, BatchRow]
    runs: dict[int, RunRow]
    payloads: dict[int, Work]
    lines: dict[int, LineRow]
    disabled: dict[str, float]
    lanes: dict[Trigger, float | None]
    notices: dict[str, tuple[str, int, bool]]
    last: dict[str, int]
    """The highest id that was ever given, by table."""

    def copy(self) -> "Tables":
        return Tables(*map(dict, self))  # type: ignore[arg-type]


def as_ledger(twin: "MemoryLedger") -> Ledger:
    """The twin for code that names the store's type; test_contract.py compares their methods."""
    return cast(Ledger, twin)


class MemoryLedger:
    """The store, without a file."""

    def __init__(self) -> None:
        self.tables = Tables(
            {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {"runs": 0, "lines": 0}
        )
        self._in_transaction = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        assert not self._in_transaction, "one at a time"
        self._in_transaction = True
        try:
            with self.savepoint():
                yield
        finally:
            self._in_transaction = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        before = self.tables.copy()
        try:
            yield
        except BaseException:
            self.tables = before
            raise

    def close(self) -> None:
        pass

    # shells and their declarations

    def shell(self, nonce: str) -> Shell | None:
        row = self.tables.shells.get(nonce)
        return row[0] if row else None

    def latest_shells(self) -> list[Shell]:
        rows = sorted(self.tables.shells.items(), key=lambda item: (item[1][1], item[0]))
        return [shell for _, (shell, _) in rows[: -32 - 1 : -1]]

    def save_shell(self, shell: Shell, now: float) -> None:
        self.tables.shells[shell.nonce] = (shell, now)

    def declare_job(self, job: Job, shell: str, now: float, refused: str | None = None) -> None:
        row = self.tables.jobs.get(job.id)
        if row is None or row.job != job or (row.refused or refused) is not None:
            self.tables.jobs[job.id] = JobRow(job, refused, now)

    def refuse_job(self, job_id: str, shell: str, now: float, refused: str) -> None:
        before = self.tables.jobs.get(job_id)
        self.tables.jobs[job_id] = JobRow(before.job if before else None, refused, now)

    def declared_job(self, job_id: str) -> Job | None:
        row = self.tables.jobs.get(job_id)
        return row.job if row else None

    def register(self, shell: str, trigger: Trigger, job: Job) -> None:
        table = self.tables.registrations
        for registration, on in table.values():
            if (registration.shell, on, registration.job.id) == (shell, trigger, job.id):
                return
        number = max(table, default=0) + 1
        table[number] = (Registration(number, shell, job), trigger)

    def registrations(self, trigger: Trigger, shell: str | None = None) -> list[Registration]:
        rows = sorted(self.tables.registrations.items())
        return [r for _, (r, on) in rows if on is trigger and shell in (None, r.shell)]

    def drop_registration(self, registration: int) -> None:
        self.tables.registrations.pop(registration, None)

    # claims, runs, batches

    def is_claimed(self, job: str, key: str) -> bool:
        return (job, key) in self.tables.claims

    def claim(self, job: str, key: str, run: int, now: float) -> bool:
        if (job, key) in self.tables.claims:
            return False
        self.tables.claims[job, key] = (run, now)
        return True

    def set_aside(self, job: str, key: str, run: int, aside: str) -> None:
        claims = self.tables.claims
        if (job, key) in claims and claims[job, key][0] == run and (job, aside) not in claims:
            claims[job, aside] = claims.pop((job, key))

    def next_run(self) -> int:
        return self.tables.last["runs"] + 1

    def add_run(self, run: Run, work: Work) -> None:
        assert run.id not in self.tables.runs
        self.tables.last["runs"] = max(self.tables.last["runs"], run.id)
        self.tables.runs[run.id] = RunRow(run)
        self.tables.payloads[run.id] = work

    def _next_id(self, table: str) -> int:
        self.tables.last[table] += 1
        return self.tables.last[table]

    def number_runs_after(self, highest: int) -> None:
        self.tables.last["runs"] = max(self.tables.last["runs"], highest)

    def fingerprint(self, job: str) -> tuple[str, int]:
        return self.tables.fingerprints.get(job, ("", 0))

    def save_fingerprint(self, job: str, fingerprint: str, generation: int) -> None:
        self.tables.fingerprints[job] = (fingerprint, generation)

    def inputs(self, job: str) -> str:
        return self.tables.inputs.get(job, ("[]", ""))[0]

    def save_inputs(self, job: str, inputs: str, cause: str) -> None:
        if job in self.tables.fingerprints:
            self.tables.inputs[job] = (inputs, cause)

    def last_of(self, job: str) -> Last | None:
        runs = [row for row in self.tables.runs.values() if row.run.job == job]
        if not runs:
            return None
        ending = max(runs, key=lambda row: row.run.id).ending
        return Last(ending.outcome, ending.ended_at) if ending else Last(None, 0.0)

    def new_batch(self, trigger: Trigger, shell: str, sink: Sink, now: float) -> Batch:
        batch = Batch(id=max(self.tables.batches, default=0) + 1, trigger=trigger, sink=sink)
        self.tables.batches[batch.id] = BatchRow(batch)
        return batch

    def start_batch(self, batch: int, now: float) -> bool:
        row = self.tables.batches.get(batch)
        if row is None or row.batch.started_at is not None:
            return False
        self.tables.batches[batch] = row._replace(batch=replace(row.batch, started_at=now))
        return True

    def end_batch(self, batch: int, now: float) -> None:
        if row := self.tables.batches.get(batch):
            self.tables.batches[batch] = row._replace(ended_at=now)

    def batch_totals(self, batch: int) -> BatchTotals:
        rows = [row for row in self.tables.runs.values() if row.run.batch == batch]
        endings = [row.ending for row in rows if row.ending is not None]
        ran = [ending for ending in endings if ending.started_at is not None]
        return BatchTotals(
            live=len(rows) - len(endings),
            tasks=len(rows),
            ok=sum(ending.rc == 0 for ending in ran),
            err=sum(ending.rc not in (0, None) for ending in ran),
            missed=sum(ending.outcome == "missed" for ending in endings),
            ms=sum(row.wall_ms for row in rows),
        )

    def open_batches(self) -> list[Batch]:
        found = (self.batch(number) for number in sorted(self.tables.batches))
        return [batch for batch in found if batch is not None]

    def batch(self, batch: int) -> Batch | None:
        row = self.tables.batches.get(batch)
        if row is None or row.ended_at is not None:
            return None
        runs = self.tables.runs.values()
        return replace(row.batch, spent_ms=sum(r.wall_ms for r in runs if r.run.batch == batch))

    def live_runs(self) -> list[Run]:
        rows = sorted(self.tables.runs.items())
        return [row.run for _, row in rows if row.run.state is not State.ENDED]

    def work(self, run: int) -> Work:
        if run not in self.tables.payloads:
            raise LedgerError(f"the ledger holds no payload: run {run}")
        return self.tables.payloads[run]

    def dispatch(self, run: int, boot: str, now: float) -> None:
        self._change(run, lifecycle.change(RunEvent.DISPATCH), boot=boot)

    def recall(self, run: int, attempt: int) -> None:
        self._change(run, lifecycle.change(RunEvent.RECALL), attempt=attempt)

    def set_cancelling(self, run: int) -> None:
        row = self.tables.runs.get(run)
        if row is not None and row.ending is None:
            self.tables.runs[run] = row._replace(run=replace(row.run, cancelling=True))

    def end_run(self, run: int, before: State, ending: Ending) -> None:
        self._change(run, lifecycle.end(before, ending.outcome))
        self.tables.runs[run] = self.tables.runs[run]._replace(ending=ending)
        if ending.outcome is Outcome.SUCCEEDED:
            self.tables.payloads.pop(run, None)
            return
        for other in self.runs_of(self.tables.runs[run].run.job).ended:
            if other != run:
                self.tables.payloads.pop(other, None)

    def _change(self, run: int, to: lifecycle.Change, **fields: Any) -> None:
        row = self.tables.runs.get(run)
        if row is None or row.run.state is not to.before:
            raise WrongTransition(f"run {run} is not {to.before}")
        self.tables.runs[run] = row._replace(run=replace(row.run, state=to.after, **fields))

    def last_published(self, job: str) -> tuple[int, float]:
        found = [
            (row.run.id, row.ending.ended_at)
            for row in self.tables.runs.values()
            if row.run.job == job and row.ending and row.ending.outcome is Outcome.SUCCEEDED
            if not row.run.key.startswith("here:")
        ]
        return max(found, default=(0, 0.0))

    def ended_run(self, run: int) -> tuple[str, int | None] | None:
        row = self.tables.runs.get(run)
        ending = row.ending if row else None
        return (ending.outcome, ending.rc) if ending else None

    # what a user decides

    def disable(self, job: str, now: float) -> bool:
        return self.tables.disabled.setdefault(job, now) == now

    def enable(self, job: str) -> bool:
        return self.tables.disabled.pop(job, None) is not None

    def disabled(self) -> frozenset[str]:
        return frozenset(self.tables.disabled)

    def pause(self, lane: Trigger, now: float) -> bool:
        if self.tables.lanes.get(lane) is not None:
            return False
        self.tables.lanes[lane] = now
        return True

    def resume(self, lane: Trigger) -> bool:
        if self.tables.lanes.get(lane) is None:
            return False
        self.tables.lanes[lane] = None
        return True

    def paused(self) -> frozenset[Trigger]:
        return frozenset(lane for lane, at in self.tables.lanes.items() if at is not None)

    def repeatable(self, run: int) -> Repeatable | None:
        row, work = self.tables.runs.get(run), self.tables.payloads.get(run)
        if row is None or work is None or row.ending is None or row.run.key.startswith("here:"):
            return None
        return Repeatable(row.run.trigger, row.run.after, row.run.attempts, work)

    def runs_of(self, job: str) -> RunsOf:
        rows = sorted(row.run.id for row in self.tables.runs.values() if row.run.job == job)
        ended = [run for run in rows if self.tables.runs[run].ending is not None]
        return RunsOf([run for run in rows if run not in ended], ended)

    def forget(self, job: str) -> None:
        for run in chain(*self.runs_of(job)):
            del self.tables.runs[run]
            self.tables.payloads.pop(run, None)
        for claim in [claim for claim in self.tables.claims if claim[0] == job]:
            del self.tables.claims[claim]
        tables: Any = (self.tables.fingerprints, self.tables.inputs, self.tables.jobs)
        for table in (*tables, self.tables.notices):
            table.pop(job, None)
        for number, (registration, _) in list(self.tables.registrations.items()):
            if registration.job.id == job:
                del self.tables.registrations[number]

    def notice(self, job: str, day: str, run: int, told: bool) -> bool:
        if job in self.tables.notices and self.tables.notices[job][0] == day:
            return False
        self.tables.notices[job] = (day, run, told)
        return True

    def take_notices(self) -> list[Failure]:
        found = []
        for job, (day, run, told) in sorted(self.tables.notices.items(), key=lambda one: one[1][1]):
            self.tables.notices[job] = (day, run, True)
            row = self.tables.runs.get(run)
            rows = self.tables.runs.values()
            later = [r.ending for r in rows if r.run.job == job and r.run.id > run and r.ending]
            mended = any(ending.outcome is Outcome.SUCCEEDED for ending in later)
            if not told and row and row.ending and not mended:
                found.append(Failure(job, run, row.ending.outcome, row.ending.rc))
        return found

    # telemetry lines

    def add_line(self, path: str, text: bytes, run: int | None, now: float) -> None:
        line = Line(self._next_id("lines"), path, text, "pending", None, None, None)
        self.tables.lines[line.id] = LineRow(line, run, now)

    def open_lines(self) -> list[Line]:
        due = [row.line for row in self.tables.lines.values() if row.line.state != "lost"]
        due.sort(key=lambda line: (line.path, line.id))
        files = groupby(due, key=lambda line: line.path)
        return sorted(
            (line for _, lines in files for line in list(lines)[:200]), key=lambda line: line.id
        )

    def begin_line(self, line: int, inode: int, offset: int, before: int | None) -> None:
        if row := self.tables.lines.get(line):
            place = {"inode": inode, "offset": offset, "before": before}
            self._change_line(line, row.problem, state="writing", **place)

    def put_back_line(self, line: int, problem: str | None) -> None:
        self._change_line(line, problem, state="pending")

    def mark_line(self, line: int) -> None:
        self.tables.lines.pop(line, None)

    def note_line(self, line: int, problem: str) -> None:
        self._change_line(line, problem)

    def lose_line(self, line: int, problem: str) -> None:
        self._change_line(line, problem, state="lost")

    def _change_line(self, line: int, problem: str | None, **fields: Any) -> None:
        if row := self.tables.lines.get(line):
            changed = replace(row.line, **fields)
            self.tables.lines[line] = row._replace(line=changed, problem=problem)

    # growth

    def prune(self, before: float, boot: str) -> list[int]:
        tables = self.tables
        rows = sorted(tables.runs.items())
        runs = [run for run, row in rows if row.ending and row.ending.ended_at < before][:500]
        for run in runs:
            del tables.runs[run]
            tables.payloads.pop(run, None)
        self._prune_shells(before, boot)
        self.prune_claims(before, boot)
        in_use = {row.run.batch for row in tables.runs.values()}
        for number, batch in list(tables.batches.items()):
            if batch.ended_at is not None and batch.ended_at < before and number not in in_use:
                del tables.batches[number]
        for line in [line for line, row in tables.lines.items() if row.due_at < before]:
            del tables.lines[line]
        for number, (registration, _) in list(tables.registrations.items()):
            if registration.shell not in tables.shells:
                del tables.registrations[number]
        self._prune_notices()
        wanted = {row.run.job for row in tables.runs.values()}
        wanted |= {registration.job.id for registration, _ in tables.registrations.values()}
        for job, row in list(tables.jobs.items()):
            if row.declared_at < before and job not in wanted:
                del tables.jobs[job]
        return runs

    def _prune_notices(self) -> None:
        for job, (_, run, _) in list(self.tables.notices.items()):
            if run not in self.tables.runs:
                del self.tables.notices[job]

    def _prune_shells(self, before: float, boot: str) -> None:
        table = self.tables.shells
        for nonce, (shell, at) in list(table.items()):
            shell = shell._replace(boot=shell.boot or boot)
            table[nonce] = (shell, at)
            if at < before and not (shell.boot == boot and may_live(shell.process)):
                del table[nonce]

    def prune_claims(self, before: float, boot: str) -> None:
        table = self.tables.claims
        old = [claim for claim, (_, at) in table.items() if at < before]
        for claim in [claim for claim in old if self._is_past(*claim, boot)]:
            del table[claim]

    def _is_past(self, job: str, key: str, boot: str) -> bool:
        scope, _, value = key.partition(":")
        if scope == "day":
            days = [c for c in self.tables.claims if c[0] == job and c[1].startswith("day:")]
            run = self.tables.claims[job, key][0]
            return sum(self.tables.claims[day][0] > run for day in days) >= 32
        if scope == "change":
            seen = self.tables.fingerprints.get(job)
            return seen is not None and value != str(seen[1])
        if scope in ("shell", "here"):
            return value.partition(":")[0] not in self.tables.shells
        return scope in ("run", "retry") or (scope == "boot" and value != boot)
