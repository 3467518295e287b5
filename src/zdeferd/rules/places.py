"""Decides when a running run gives up its place in the lane: it used no CPU for a while.

Pure. runs/live.py looks at the processes; `schedule.decide` says when a run waits for a place.
"""

from typing import NamedTuple

NO_CPU_S = 0.03
"""The kernel counts in hundredths of a second: up to three between two looks are nothing."""
LOOK_EVERY_S = 10.0
"""A job that used no CPU for so long gives up its place."""
FIRST_LOOK_S = 2.0
"""The first look, after a run has begun to wait for a place."""
MOST_GIVEN_UP = 16
"""So many runs at most have given up their places at a time."""


class Use(NamedTuple):
    """The use of the CPU by a process tree, at the instant of a look."""

    cpu_s: float
    """The sum of its times so far; it falls where a process has ended unseen by its parent."""
    ready: int = 0
    """Processes that run, or wait for a processor: on a busy machine for a long time."""


def is_quiet(before: Use, now: Use) -> bool:
    """Return whether a process tree used no CPU between two looks, and wants none."""
    return not now.ready and abs(now.cpu_s - before.cpu_s) <= NO_CPU_S
