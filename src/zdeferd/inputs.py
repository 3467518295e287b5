"""The inputs of a job of scope change, as plain values: how they were found."""

from typing import NamedTuple

InputFile = tuple[str, ...]
"""A file as a look found it: its path, then size, time, inode and content, or why there is none."""
States = tuple[tuple[str, tuple[InputFile, ...]], ...]
"""The watched words of a job, each with its files."""


class Inputs(NamedTuple):
    """The inputs of a job of scope change, as one look found them."""

    fingerprint: str
    """The same for the same inputs."""
    states: States = ()
    missing: str = ""
    """The path of an output of the job that is not there; empty: none is missing."""
    seen_at: float = 0.0
    """When the look began."""
