"""The ledger as zdeferctl reads it: read-only, with or without a daemon.

Owns every query of the reading verbs. Opens the SQLite file with `mode=ro`, so that no
verb can change the ledger, and answers with plain dictionaries whose keys are the
columns of ledger.sql. A ledger that does not exist yet reads as an empty one.

Assumes the schema of ledger.sql; a newer one is refused, because what its columns mean
is not known here. Imports no msgspec: `status` must be
fast, so definitions stay JSON until a verb asks for them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..errors import LedgerError, LedgerLocked, LedgerNewer
from ..machine.paths import check_regular
from .database import SCHEMA_VERSION, connect_to_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .packing import DeclarationRow as DeclarationRow
    from .packing import RunRow as RunRow
    from .packing import ShellsRow as ShellsRow

    Row = dict[str, Any]

_LIVE = "state != 'ended'"
_RUN = (
    "id, job, key, trigger, shell, batch, after, attempts, claimed_at, state, cancelling,"
    " attempt, boot, dispatched_at, started_at, ended_at, outcome, rc, wall_ms, cpu_user_ms,"
    " cpu_system_ms, max_rss_kib, block_in, block_out, switches_voluntary,"
    " switches_involuntary, output_bytes, output_dropped_bytes"
)


class View:
    """One read-only look at the ledger; every method is one query."""

    def __init__(self, connection: sqlite3.Connection | None, schema: int = SCHEMA_VERSION) -> None:
        self._connection = connection
        since_4 = "ended_behind" if schema >= 4 else "NULL AS ended_behind"
        since_5 = "refusal" if schema >= 5 else "NULL AS refusal"
        since_7 = "retry, retry_at, retry_of"
        since_7 = since_7 if schema >= 7 else "0 AS retry, 0.0 AS retry_at, NULL AS retry_of"
        self._run = f"{_RUN}, {since_4}, {since_5}, {since_7}"
        self._has_standing = schema >= 7

    @property
    def exists(self) -> bool:
        """True where there is a ledger."""
        return self._connection is not None

    def live_runs(self) -> list[RunRow]:
        """Return the runs that have not ended, in the order of their claims.

        `sink` is JSON; so is `conditioned`, the payload of a run that may have conditions.
        """
        payload = "SELECT work FROM payloads WHERE run = runs.id AND instr(work, '\"when\":')"
        columns = f"{self._run}, sink, ({payload}) AS conditioned"
        return self._rows(f"SELECT {columns} FROM runs WHERE {_LIVE} ORDER BY id")

    def runs(
        self,
        job: str | None = None,
        outcomes: Sequence[str] = (),
        limit: int = 20,
        since: float | None = None,
    ) -> list[RunRow]:
        """Return the newest `limit` runs, newest first; -1: all.

        `outcomes`: only those that ended in one of these ways. `since`: only those that had not
        ended before that instant.
        """
        ended_so = {f"outcome_{at}": outcome for at, outcome in enumerate(outcomes)}
        listed = ", ".join(f":{name}" for name in ended_so)
        return self._rows(
            f"SELECT {self._run} FROM runs WHERE (:job IS NULL OR job = :job)"
            + (f" AND outcome IN ({listed})" if outcomes else "")
            + " AND (:since IS NULL OR ended_at IS NULL OR ended_at >= :since)"
            " ORDER BY id DESC LIMIT :limit",
            {"job": job, "limit": limit, "since": since, **ended_so},
        )

    def run(self, run_id: int) -> RunRow | None:
        """Return one run, or None."""
        row: RunRow | None = self._row(f"SELECT {self._run} FROM runs WHERE id = ?", (run_id,))
        return row

    def ran(self, run_id: int) -> Row:
        """Return `command` (JSON text) and `timeout_s` of a run, where its ledger has them."""
        found: Row = self._row("SELECT * FROM runs WHERE id = ?", (run_id,))
        return found

    def kept_run(self, job: str) -> RunRow | None:
        """Return the ended run of a job whose work is kept, or None."""
        kept = "SELECT run FROM payloads JOIN runs ON id = run WHERE job = ? AND state = 'ended'"
        sql = f"SELECT {self._run} FROM runs WHERE id IN ({kept}) ORDER BY ended_at DESC"
        row: RunRow | None = self._row(sql, (job,))
        return row

    def last_run(self, job: str) -> RunRow | None:
        """Return the newest run of a job, or None."""
        rows = self.runs(job=job, limit=1)
        return rows[0] if rows else None

    def last_runs(self) -> dict[str, RunRow]:
        """Return the newest run of every job, by job."""
        rows = self._rows(
            f"SELECT {self._run} FROM runs WHERE id IN (SELECT max(id) FROM runs GROUP BY job)"
        )
        return {row["job"]: row for row in rows}

    def last_good_ms(self) -> dict[str, int]:
        """Return how long the newest run of each job took that succeeded away from a shell."""
        rows = self._rows(
            "SELECT job, wall_ms FROM runs WHERE id IN (SELECT max(id) FROM runs"
            " WHERE outcome = 'succeeded' AND key NOT LIKE 'here:%' GROUP BY job)"
        )
        return {row["job"]: row["wall_ms"] or 0 for row in rows}

    def outcomes(self, since: float) -> dict[str, int]:
        """Return how many runs ended since that instant, by outcome."""
        rows = self._rows(
            "SELECT outcome, count(*) AS n FROM runs WHERE ended_at >= ? GROUP BY outcome", (since,)
        )
        return {row["outcome"]: row["n"] for row in rows}

    def failed_runs(self, since: float) -> list[RunRow]:
        """Return the runs that failed since that instant and that no later run of the job mended.

        The newest first, one of each job. A later run that was cancelled or missed mends nothing.
        """
        return self._rows(
            f"SELECT {self._run} FROM runs WHERE ended_at >= ?"
            " AND outcome IN ('failed', 'timed_out', 'abandoned')"
            " AND NOT EXISTS (SELECT 1 FROM runs later"
            "   WHERE later.job = runs.job AND later.id > runs.id"
            "   AND later.outcome NOT IN ('cancelled', 'missed')) ORDER BY id DESC",
            (since,),
        )

    def declarations(self) -> list[DeclarationRow]:
        """Return shells' jobs: id, definition (JSON), declared_at, shell, refused."""
        return self._rows("SELECT * FROM jobs ORDER BY id")

    def declaration(self, job: str) -> DeclarationRow | None:
        """Return the last declaration of a job by a shell, or None."""
        row: DeclarationRow | None = self._row("SELECT * FROM jobs WHERE id = ?", (job,))
        return row

    def refused_declarations(self, since: float) -> list[str]:
        """Return the jobs whose last declaration by a shell, since then, was refused.

        Where another shell has visited after that and did not declare it, it is mended.
        """
        rows = self._rows(
            "SELECT id FROM jobs WHERE refused IS NOT NULL AND declared_at >= ?"
            " AND NOT EXISTS (SELECT 1 FROM shells"
            "   WHERE prompted AND nonce != jobs.shell AND seen_at > jobs.declared_at)"
            " ORDER BY id",
            (since,),
        )
        return [row["id"] for row in rows]

    def registrations(self, job: str) -> list[Row]:
        """Return the registrations of a job that no event has made due yet."""
        return self._rows(
            "SELECT id, shell, trigger FROM registrations WHERE job = ? ORDER BY id", (job,)
        )

    def claim(self, job: str, key: str) -> Row | None:
        """Return the claim on (job, scope key), or None: the job may still run."""
        row: Row | None = self._row("SELECT * FROM claims WHERE job = ? AND key = ?", (job, key))
        return row

    def fingerprint(self, job: str) -> Row | None:
        """Return the last fingerprint of a job of scope change, its generation, inputs, cause."""
        row: Row | None = self._row("SELECT * FROM fingerprints WHERE job = ?", (job,))
        return row and {"inputs": "[]", "cause": ""} | row

    def disabled(self) -> dict[str, float]:
        """Return the jobs that are disabled, each with the instant since when."""
        rows = self._rows("SELECT * FROM disabled") if self._has_standing else []
        return {row["job"]: row["since"] for row in rows}

    def paused(self) -> dict[str, float]:
        """Return the lanes that are paused, each with the instant since when."""
        sql = "SELECT * FROM lanes WHERE paused_at IS NOT NULL ORDER BY lane"
        rows = self._rows(sql) if self._has_standing else []
        return {row["lane"]: row["paused_at"] for row in rows}

    def open_batches(self) -> list[Row]:
        """Return the batches that have not ended: id, trigger, sink (JSON)."""
        return self._rows("SELECT id, trigger, sink FROM batches WHERE ended_at IS NULL")

    def prompts(self, since: float) -> list[float]:
        """Return when shells reported their first prompt, since that instant, in order."""
        rows = self._rows(
            "SELECT min(opened_at) AS at FROM batches WHERE trigger = 'postprompt'"
            " GROUP BY shell HAVING at >= ? ORDER BY at",
            (since,),
        )
        return [row["at"] for row in rows]

    def shells(self) -> ShellsRow:
        """Return `shells` (a count), `seen_at` (last visit), `prompted_at` (last with a prompt)."""
        row: ShellsRow | None = self._row(
            "SELECT count(*) AS shells, max(seen_at) AS seen_at,"
            " max(CASE WHEN prompted THEN seen_at END) AS prompted_at FROM shells"
        )
        return row or {"shells": 0, "seen_at": None, "prompted_at": None}

    def last_prompted_shell(self) -> str | None:
        """Return the nonce of the last shell that has shown a prompt, or None."""
        row = self._row("SELECT nonce FROM shells WHERE prompted ORDER BY seen_at DESC LIMIT 1")
        return None if row is None else str(row["nonce"])

    def unwritten_lines(self) -> list[Row]:
        """Return the telemetry not known to be in its file: path, state, lines, problem."""
        rows = self._rows(
            "SELECT path, state, count(*) AS lines, max(problem) AS problem"
            " FROM lines GROUP BY path, state ORDER BY path, state"
        )
        return [{**row, "path": os.fsdecode(row["path"])} for row in rows]

    def job_ids(self) -> list[str]:
        """Return every job that has a declaration or a run."""
        rows = self._rows("SELECT id FROM jobs UNION SELECT job FROM runs ORDER BY 1")
        return [row["id"] for row in rows]

    def damage(self) -> str:
        """Return SQLite's words for the damage of the file; empty: there is none."""
        row = self._row("PRAGMA quick_check(1)") or {"quick_check": "ok"}
        return "" if row["quick_check"] == "ok" else str(row["quick_check"])

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def _rows(self, sql: str, values: Any = ()) -> list[Any]:
        if self._connection is None:
            return []
        try:
            return [dict(row) for row in self._connection.execute(sql, values)]
        except sqlite3.Error as error:
            raise _unreadable(str(error), error) from None

    def _row(self, sql: str, values: Any = ()) -> Any:
        rows = self._rows(sql, values)
        return rows[0] if rows else None


def _unreadable(what: str, error: sqlite3.Error) -> LedgerError:
    busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    kind = LedgerLocked if busy else LedgerError
    return kind(f"ledger cannot be read: {what}", "see `zdeferctl doctor`")


@contextmanager
def reading(path: str) -> Iterator[View]:
    """Yield a view of the ledger at `path`, and close it; LedgerError, UnsafePath."""
    view = open_view(path)
    try:
        yield view
    finally:
        view.close()


def open_view(path: str) -> View:
    """Return a view of the ledger at `path`; an empty one where there is no file."""
    if not os.path.lexists(path):
        return View(None)
    check_regular(path)  # SQLite would block for ever on a FIFO
    try:
        connection, version = connect_to_read(path)
    except sqlite3.Error as error:
        raise _unreadable(f"{path} ({error})", error) from None
    if version == 0:  # a daemon made the file and died before the schema was in it
        connection.close()
        return View(None)
    if version > SCHEMA_VERSION:
        connection.close()
        raise LedgerNewer(
            f"ledger is from a newer zdeferd: {path} (schema {version}, this zdeferctl knows"
            f" {SCHEMA_VERSION})",
            "use the zdeferctl that was installed with the daemon",
        )
    connection.row_factory = sqlite3.Row
    return View(connection, version)
