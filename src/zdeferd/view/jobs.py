"""Reads all declarations of jobs, by files and by shells: those in force, those refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ..conditions import Conditions
from ..config.problems import Problem, in_order
from ..jobs.files import Loaded, load
from ..ledger.packing import unpack
from ..ledger.reading import View
from ..machine.paths import Paths
from ..model import Code, Job
from .render import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ledger.reading import DeclarationRow
    from ..rules.conditions import Condition


class Declared(NamedTuple):
    """A job, its declaration in force, and the reason why another one was refused."""

    id: str
    job: Job | None
    """The declaration in force; None: there is none."""
    refused: str | None = None
    """Why the declaration was not taken, or a shell's of an id that is a file's job."""
    declared_at: float | None = None
    """When a shell first declared it as it is; None: none has."""
    source: str = "shell"
    """The file that declares it, or `shell`."""


def declared(view: View, paths: Paths) -> tuple[dict[str, Declared], Loaded]:
    """Return every job by its id, those of files first and in their order; the configuration."""
    loaded = load(paths)
    found = {job.id: Declared(job.id, job, source=job.source) for job in loaded.jobs.values()}
    for problem in in_order(loaded.problems):
        if problem.job:
            refused = Declared(problem.job, None, str(problem), source=problem.file)
            found.setdefault(problem.job, refused)
    for row in view.declarations():
        item = found.get(row["id"])
        if item is None:
            found[row["id"]] = of_shell(row)
        elif item.job and row["refused"]:
            found[item.id] = item._replace(refused=row["refused"], declared_at=row["declared_at"])
    return found, loaded


def tally(problems: Sequence[Problem], paths: Paths) -> str:
    """Return how many problems there are, and where, in one line; empty for none."""
    if not problems:
        return ""
    settings = any(problem.file == paths.config_file for problem in problems)
    return f"{count(len(problems), 'problem')} in {'settings and ' * settings}job files"


def of_shell(row: DeclarationRow) -> Declared:
    """Return a shell's declaration; a definition of another version reads as none."""
    refused = row["refused"]
    job = None
    if refused is None:
        try:
            job = unpack(row["definition"], Job)
        except (ValueError, msgspec.DecodeError):
            refused = "it was declared to another version of zdeferd; open a new shell"
    return Declared(row["id"], job, refused, row["declared_at"])


def conditions_document(when: Conditions) -> dict[str, object]:
    """Return conditions as their JSON document, under the keys of docs/conditions.md with units."""
    return {
        "quiet_s": when.quiet_s,
        "power": when.power,
        "load_below": when.load_below,
        "online": when.online or None,
        "not_before": when.not_before,
        "deadline": when.deadline,
    }


def condition_document(one: Condition) -> dict[str, object]:
    """Return a condition of a run, as it is now, as its JSON document."""
    return {
        "condition": one.name,
        "wanted": one.wanted,
        "found": one.found,
        "holds": one.holds,
        "at_s": None if one.holds else one.at,
    }


def document(job: Job) -> dict[str, object]:
    """Return a job as its JSON document, under the keys of docs/jobs.md with units."""
    run = {"code": job.run.source} if isinstance(job.run, Code) else {"argv": list(job.run.words)}
    return {
        "job": job.id,
        "run": run,
        "call": list(job.call),
        "on": list(job.on),
        "once_per": job.once_per,
        "watch": list(job.watch),
        "after": list(job.after),
        "timeout_s": job.timeout_s,
        "idempotent": job.idempotent,
        "attempts": job.attempts,
        "retry": _retry(job),
        "background": job.background,
        "output": job.output or None,
        "empty": job.empty,
        "check": job.check or None,
        "compile": job.compile,
        "apply": job.apply,
        "when": None if job.when is None else conditions_document(job.when),
        "env": sorted(job.env),
        "description": job.description,
        "source": job.source,
    }


def _retry(job: Job) -> dict[str, object] | None:
    if job.retry is None:
        return None
    return {"attempts": job.retry.attempts, "backoff_s": job.retry.backoff_s}
