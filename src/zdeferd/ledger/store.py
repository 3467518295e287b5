"""The store: the statements of ledger.sql behind methods that take and return values.

claims.py and outcomes.py compose its methods into transactions, which committer.py
runs. Of the rules it knows one: a run changes its state only as rules/lifecycle.py says.
It implements the contract of claims (contract.py).
"""

from typing import NamedTuple

import msgspec

from ..errors import LedgerError, WrongTransition
from ..machine.processes import Process, may_live
from ..model import Batch, BatchTotals, Ending, Job, Outcome, Run, Scope, Sink, State, Trigger, Work
from ..rules import lifecycle
from ..rules.changes import Last
from ..rules.lifecycle import RunEvent
from ..rules.scopes import scope_key
from .packing import (
    Shell,
    batch_of,
    pack_again,
    pack_command,
    pack_work,
    run_of,
    shell_of,
    unpack,
)
from .standing import StandingStore


class Registration(NamedTuple):
    """A job that a shell declared and that is not yet due."""

    id: int
    shell: str
    job: Job


class Ledger(StandingStore):
    """The store. Every method runs one statement, or a few that belong together."""

    # shells and what they declared

    def shell(self, nonce: str) -> Shell | None:
        """Return the shell, or None where it has not visited."""
        row = self._one("shell", nonce=nonce)
        return shell_of(row) if row else None

    def latest_shells(self) -> list[Shell]:
        """Return the last 32 shells that visited, newest first."""
        return [shell_of(row) for row in self._run("latest_shells")]

    def save_shell(self, shell: Shell, now: float) -> None:
        """Record a visit: insert the shell or replace it."""
        self._run(
            "save_shell",
            nonce=shell.nonce,
            seq=shell.seq,
            now=now,
            prompted=shell.prompted,
            env=pack_again(shell.env),
            sink=pack_again(shell.sink),
            boot=shell.boot,
            pid=shell.process.pid,
            begun=shell.process.begun,
        )

    def declare_job(self, job: Job, shell: str, now: float, refused: str | None = None) -> None:
        """Record the last declaration of a shell's job, and why it is refused (None: it is not).

        A repeated declaration changes nothing: most shells declare what the one before did.
        """
        definition = pack_again(job)
        self._run(
            "declare_job", id=job.id, definition=definition, now=now, shell=shell, refused=refused
        )

    def refuse_job(self, job_id: str, shell: str, now: float, refused: str) -> None:
        """Record why a shell's declaration that is no job is refused."""
        self._run("refuse_job", id=job_id, now=now, shell=shell, refused=refused)

    def declared_job(self, job_id: str) -> Job | None:
        """Return the last declaration of a shell's job; None where no shell declared it."""
        row = self._one("declared_job", id=job_id)
        return unpack(row["definition"], Job) if row else None

    def register(self, shell: str, trigger: Trigger, job: Job) -> None:
        """Record a declaration that waits for its trigger; a repeated one changes nothing."""
        self._run("register", shell=shell, trigger=trigger, job=job.id, definition=pack_again(job))

    def registrations(self, trigger: Trigger, shell: str | None = None) -> list[Registration]:
        """Return the registrations of `trigger` by one shell (None: by all), in order."""
        if shell is None:
            rows = self._run("registrations_of_all", trigger=trigger)
        else:
            rows = self._run("registrations_of_shell", trigger=trigger, shell=shell)
        return [Registration(r["id"], r["shell"], unpack(r["definition"], Job)) for r in rows]

    def drop_registration(self, registration: int) -> None:
        """Delete a registration whose trigger has come."""
        self._run("drop_registration", id=registration)

    # claims, runs, batches

    def is_claimed(self, job: str, key: str) -> bool:
        """Return whether the scope key is spent, as a hint; `claim` decides."""
        return self._one("is_claimed", job=job, key=key) is not None

    def claim(self, job: str, key: str, run: int, now: float) -> bool:
        """Give `run` the right to run `job` under `key`; False: the key is spent."""
        return self._one("claim", job=job, key=key, run=run, now=now) is not None

    def set_aside(self, job: str, key: str, run: int, aside: str) -> None:
        """Move the claim of `run` from `key`, which is free then, to the key `aside`."""
        self._run("set_aside", job=job, key=key, run=run, aside=aside)

    def next_run(self) -> int:
        """Return the number of the next run."""
        row = self._one("next_run")
        return int(row[0]) if row else 1

    def add_run(self, run: Run, work: Work) -> None:
        """Insert a run that has its claim, and what it executes."""
        self._run(
            "insert_run",
            id=run.id,
            job=run.job,
            key=run.key,
            trigger=run.trigger,
            shell=run.shell,
            batch=run.batch,
            sink=pack_again(run.sink),
            after=" ".join(run.after),
            attempts=run.attempts,
            now=run.claimed_at,
            state=lifecycle.FIRST,
            command=pack_command(work.job),
            timeout_s=work.job.timeout_s,
            retry=run.retry,
            retry_at=run.retry_at,
            retry_of=run.retry_of,
        )
        self._run("insert_payload", run=run.id, work=pack_work(work))

    def number_runs_after(self, highest: int) -> None:
        """Number new runs from above `highest`: an old run's folder may hold an outcome."""
        self._run("begin_run_numbers")
        self._run("number_runs_after", highest=highest)

    def fingerprint(self, job: str) -> tuple[str, int]:
        """Return the last fingerprint and its generation; ("", 0) where there is none."""
        row = self._one("fingerprint", job=job)
        return (row["fingerprint"], row["generation"]) if row else ("", 0)

    def save_fingerprint(self, job: str, fingerprint: str, generation: int) -> None:
        """Record the fingerprint of a claim and its generation."""
        self._run("save_fingerprint", job=job, fingerprint=fingerprint, generation=generation)

    def inputs(self, job: str) -> str:
        """Return what the last claim of scope change saw, as `save_inputs` was given it."""
        row = self._one("inputs", job=job)
        return row["inputs"] if row else "[]"

    def save_inputs(self, job: str, inputs: str, cause: str) -> None:
        """Record what a claim saw (JSON), beside its fingerprint, and why it was made."""
        self._run("save_inputs", job=job, inputs=inputs, cause=cause)

    def last_of(self, job: str) -> Last | None:
        """Return how the latest run of a job ended; None where it has none."""
        row = self._one("last_of", job=job)
        return Last(row["outcome"], row["ended_at"] or 0.0) if row else None

    def new_batch(self, trigger: Trigger, shell: str, sink: Sink, now: float) -> Batch:
        """Insert a batch without runs and return it."""
        cursor = self._run(
            "open_batch", trigger=trigger, shell=shell, sink=pack_again(sink), now=now
        )
        return Batch(id=cursor.lastrowid or 0, trigger=trigger, sink=sink)

    def start_batch(self, batch: int, now: float) -> bool:
        """Record the start of an idle batch; True the first time: its IDLE:START is due now."""
        return self._run("start_batch", id=batch, now=now).rowcount == 1

    def end_batch(self, batch: int, now: float) -> None:
        """Record that no run of a batch is left."""
        self._run("end_batch", id=batch, now=now)

    def batch_totals(self, batch: int) -> BatchTotals:
        """Return the counts of a batch's runs, and their wall time."""
        return BatchTotals(*self._one("batch_totals", id=batch))

    def open_batches(self) -> list[Batch]:
        """Return the batches that have not ended."""
        return [batch_of(row) for row in self._run("open_batches")]

    def batch(self, batch: int) -> Batch | None:
        """Return the batch, or None where it has ended."""
        row = self._one("open_batch_by_id", id=batch)
        return batch_of(row) if row else None

    def live_runs(self) -> list[Run]:
        """Return the runs that have not ended, in the order of their claims."""
        return [run_of(row) for row in self._run("live_runs")]

    def work(self, run: int) -> Work:
        """Return what a live run executes; LedgerError where the ledger has none."""
        row = self._one("work", run=run)
        if row is None:
            raise LedgerError(f"the ledger holds no payload: run {run}")
        return unpack(row["work"], Work)

    def dispatch(self, run: int, boot: str, now: float) -> None:
        """Record the decision to start a run; WrongTransition where it is not claimed."""
        self._change("dispatch", run, lifecycle.change(RunEvent.DISPATCH), boot=boot, now=now)

    def recall(self, run: int, attempt: int) -> None:
        """Make a run wait again, for `attempt`; WrongTransition where it is not dispatched."""
        self._change("recall", run, lifecycle.change(RunEvent.RECALL), attempt=attempt)

    def set_cancelling(self, run: int) -> None:
        """Record that the end of a run was asked for; nothing where it has ended."""
        self._run("set_cancelling", id=run)

    def end_run(self, run: int, before: State, ending: Ending) -> None:
        """Record the one outcome of a run that is `before`; WrongTransition where it is not."""
        values = msgspec.structs.asdict(ending) | msgspec.structs.asdict(ending.cost)
        del values["cost"]
        self._change("end_run", run, lifecycle.end(before, ending.outcome), **values)
        if ending.outcome is Outcome.SUCCEEDED:
            self._run("drop_payload", run=run)
        else:
            self._run("drop_older_payloads", run=run)

    def _change(self, statement: str, run: int, to: lifecycle.Change, **values: object) -> None:
        changed = self._run(statement, id=run, before=to.before, state=to.after, **values)
        if changed.rowcount != 1:
            raise WrongTransition(
                f"run {run} is not {to.before} in the ledger, and cannot become {to.after}",
                "internal error, please report",
            )

    def ended_run(self, run: int) -> tuple[str, int | None] | None:
        """Return (outcome, rc) of a run; None where it has not ended."""
        row = self._one("ended_run", id=run)
        return (row["outcome"], row["rc"]) if row else None

    def last_published(self, job: str) -> tuple[int, float]:
        """Return the latest run of `job` that succeeded, and when it ended; (0, 0): none has."""
        row = self._one("last_published", job=job)
        return (row["id"], row["ended_at"]) if row else (0, 0.0)

    # growth

    def prune(self, before: float, boot: str) -> list[int]:
        """Delete what ended before that instant, at most 500 runs; return the deleted runs."""
        runs = [row["id"] for row in self._run("prunable_runs", before=before)]
        for run in runs:
            self._run("prune_run", id=run)
            self._run("drop_payload", run=run)
        self._prune_shells(before, boot)
        self.prune_claims(before, boot)
        self._run("prune_registrations")
        self._run("prune_notices")
        for name in ("prune_batches", "prune_lines", "prune_jobs"):
            self._run(name, before=before)
        return runs

    def _prune_shells(self, before: float, boot: str) -> None:
        self._run("place_shells", boot=boot)
        for row in self._run("old_shells", before=before).fetchall():
            if row["boot"] != boot or not may_live(Process(row["pid"], row["begun"])):
                self._run("prune_shell", nonce=row["nonce"])

    def prune_claims(self, before: float, boot: str) -> None:
        """Delete claims from before that instant whose key can never come back."""
        self._run("prune_claims", before=before, boot=scope_key(Scope.BOOT, "", boot, ""))
