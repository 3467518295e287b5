"""What a job of scope change depends on, as plain values: how its inputs were found."""

from typing import NamedTuple

InputFile = tuple[str, ...]
"""A file as a look found it: its path, then size, time, inode and content, or why there is none."""
States = tuple[tuple[str, tuple[InputFile, ...]], ...]
"""What a job watches, each with its files."""


class Inputs(NamedTuple):
    """What a job of scope change depends on, as one look found it."""

    fingerprint: str
    """The same for the same inputs."""
    states: States = ()
    missing: str = ""
    """The path of an output of the job that is not there; empty: none is missing."""
    seen_at: float = 0.0
    """When the look began."""
