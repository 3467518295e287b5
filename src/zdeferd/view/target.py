"""Finds the run or the job that an argument names, or raises an error with a remedy."""

from __future__ import annotations

from ..errors import RequestRefused, ZdeferdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths


class NoSuchRun(ZdeferdError):
    """The ledger has no run of that number."""


class NoSuchJob(ZdeferdError):
    """No file or shell has declared a job of that id."""


def job_id(text: str) -> str:
    """Return `text` if it is a job's id, for argparse. Same rule as model.ID_PATTERN."""
    from argparse import ArgumentTypeError

    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if not text or len(text) > 64 or set(text) - allowed or text[0] == "-":
        raise ArgumentTypeError(f"not a job's id: {text}; expected a-z, 0-9 and -, at most 64")
    return text


def run_or_job(text: str) -> str:
    """Return `text` if it is a run's number or a job's id, for argparse."""
    return text if is_number(text) else job_id(text)


def is_number(text: str) -> bool:
    """Return whether `text` can be a run's number."""
    return text.isascii() and text.isdigit() and len(text) < 19


def find_run(view: View, run: int) -> RunRow:
    """Return the run's row; NoSuchRun."""
    row = view.run(run)
    if row is None:
        raise NoSuchRun(f"no such run: {run}", "`zdeferctl runs` lists them")
    return row


def latest_run(view: View, paths: Paths, target: str, started: bool = False) -> RunRow:
    """Return a run by its number, or a job's newest; `started`: one that has, if any has."""
    if is_number(target):
        return find_run(view, int(target))
    rows = view.runs(job=target)
    if rows:
        return next((r for r in rows if started and r["dispatched_at"]), rows[0])
    check_job(view, paths, target)
    raise ZdeferdError(f"job has not run yet: {target}", f"`zdeferctl why {target}` says why")


def check_job(view: View, paths: Paths, job: str) -> None:
    """Raise NoSuchJob if no file or shell has declared the job and it never ran."""
    from .jobs import declared  # 40 ms, which a known job does not pay

    known = [*declared(view, paths)[0], *view.job_ids()]
    if job not in known:
        raise no_such_job(job, known)


def told_why(error: RequestRefused, view: View, paths: Paths, job: str) -> RequestRefused:
    """Return why a job's declaration is refused; else `error`: the daemon does not know the job."""
    from .jobs import declared
    from .render import home_short

    item = declared(view, paths)[0].get(job)
    if item is None or item.job or not item.refused:
        return error
    why = home_short(item.refused, paths.home)
    return RequestRefused(f"job is refused: {job}: {why}", "mend it first")


def no_such_job(job: str, known: list[str]) -> NoSuchJob:
    """Return the error for an unknown job, with the id that was probably meant."""
    hint = nearest(job, known)
    remedy = f"did you mean {hint}?" if hint else "`zdeferctl jobs` lists all jobs"
    return NoSuchJob(f"no such job: {job}", remedy)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None: one that begins so, or one alike."""
    from difflib import get_close_matches

    words = list(known)
    longer = (name for name in words if len(word) > 1 and name.startswith(word))
    return next(longer, None) or next(iter(get_close_matches(word, words, 1, 0.6)), None)
