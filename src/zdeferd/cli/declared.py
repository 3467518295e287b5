"""Every job that is declared, by files and by shells: what is in force, what was refused."""

from typing import NamedTuple

import msgspec

from ..config import Loaded, load
from ..model import Code, Job
from ..packing import unpack
from ..paths import Paths
from ..view import View


class Declared(NamedTuple):
    """One job: its declaration in force (None: none is), why another was refused."""

    id: str
    job: Job | None
    refused: str | None = None
    declared_at: float | None = None
    """When a shell last declared it; None for a file's job."""


def declared(view: View, paths: Paths) -> tuple[dict[str, Declared], Loaded]:
    """Every job by its id, those of files first and in their order; and the configuration."""
    loaded = load(paths)
    found = {job.id: Declared(job.id, job) for job in loaded.jobs.values()}
    for row in view.declarations():
        if row["id"] not in found:
            found[row["id"]] = of_shell(row)
    return found, loaded


def of_shell(row: dict[str, object]) -> Declared:
    """A row of the ledger's `jobs`; a definition of another version reads as none."""
    refused = row["refused"]
    job = None
    if refused is None:
        try:
            job = unpack(str(row["definition"]), Job)
        except (ValueError, msgspec.DecodeError):
            refused = "it was declared to another version of zdeferd; the next shell mends it"
    return Declared(str(row["id"]), job, refused, row["declared_at"])  # type: ignore[arg-type]


def document(job: Job) -> dict[str, object]:
    """A job as its JSON document, under the keys of docs/jobs.md with units."""
    run = {"code": job.run.source} if isinstance(job.run, Code) else {"argv": list(job.run.words)}
    return {
        "job": job.id,
        "run": run,
        "on": list(job.on),
        "once_per": job.once_per,
        "watch": list(job.watch),
        "after": list(job.after),
        "timeout_s": job.timeout_s,
        "idempotent": job.idempotent,
        "attempts": job.attempts,
        "background": job.background,
        "env": sorted(job.env),
        "description": job.description,
        "source": job.source,
    }
