"""What a verb is about: a run by its number, a job by its id; and errors that help."""

from __future__ import annotations

from ..errors import ZdeferdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..view import View
    from .call import Document


class NoSuchRun(ZdeferdError):
    """No such run; `zdeferctl runs` lists them."""


class NoSuchJob(ZdeferdError):
    """No such job; `zdeferctl jobs` lists them."""


def run_number(text: str) -> int:
    """The number of a run, for argparse."""
    from argparse import ArgumentTypeError

    if not is_number(text):
        raise ArgumentTypeError(f"not a run's number: {text}; `zdeferctl runs` lists them")
    return int(text)


def job_id(text: str) -> str:
    """A job's id, for argparse (model.py has the pattern; this is its meaning)."""
    from argparse import ArgumentTypeError

    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-")
    if not text or len(text) > 64 or set(text) - allowed or text[0] == "-":
        raise ArgumentTypeError(f"not a job's id: {text}; expected a-z, 0-9 and -, at most 64")
    return text


def is_number(text: str) -> bool:
    """Whether `text` can name a run."""
    return text.isascii() and text.isdigit() and len(text) < 19


def find_run(view: View, run: int) -> Document:
    """The run's row, or NoSuchRun."""
    row = view.run(run)
    if row is None:
        raise NoSuchRun(f"no such run: {run}; `zdeferctl runs` lists them")
    return row


def no_such_job(job: str, known: list[str]) -> NoSuchJob:
    """The error for an unknown job, with the id that was probably meant."""
    from . import nearest

    hint = nearest(job, known)
    remedy = f"did you mean {hint}?" if hint else "`zdeferctl jobs` lists all jobs"
    return NoSuchJob(f"no such job: {job}; {remedy}")
