"""Lists what each goal tolerates, records and fails on: one table, and its exit codes.

A goal is chosen by `--goal`, else `$GOAL`, else streak. The rows are those of
docs/performance.md; a test compares them.
"""

from __future__ import annotations

from typing import NamedTuple

OBSERVE, ENFORCE = "observe", "enforce"
MODES = (OBSERVE, ENFORCE)
DONE, WARNED, FAILED = 0, 2, 3
_CODES = {"WARN": WARNED, "FAIL": FAILED}


class Goal(NamedTuple):
    """The treatment of a run under one goal.

    `strict`: synthetic data or a missing metric fails. `makes_baselines`: a metric without a
    baseline gets one; `only_complete`: only where nothing is missing. `flags`: those that the
    status document may have. `counts`: the run is recorded. `fails`: WARN and FAIL have an
    exit code in enforce mode.
    """

    name: str
    strict: bool
    makes_baselines: bool
    only_complete: bool
    flags: tuple[str, ...]
    counts: bool
    fails: bool


_SEEN = ("partial", "synthetic_used")
GOALS = {
    goal.name: goal
    for goal in (
        Goal("streak", False, True, False, _SEEN, True, True),
        Goal("governance", True, True, True, (), True, True),
        Goal("explore", False, False, False, (*_SEEN, "ephemeral"), False, False),
        Goal("ci", True, True, False, (), True, True),
    )
}
DEFAULT = GOALS["streak"]


def choose(option: str | None, variable: str) -> tuple[Goal, str]:
    """Return the goal that the option, else the variable names, and a warning (empty: none)."""
    given = option if option is not None else variable
    if not given:
        return DEFAULT, ""
    if goal := GOALS.get(given.lower()):
        return goal, ""
    return DEFAULT, f"unknown goal: {given}; streak is used; known are {', '.join(GOALS)}"


def makes_baseline(goal: Goal, is_partial: bool, is_synthetic: bool) -> bool:
    """Return whether a metric without a baseline gets one from this run."""
    return goal.makes_baselines and not is_synthetic and not (goal.only_complete and is_partial)


def is_breached(goal: Goal, is_partial: bool, is_synthetic: bool) -> bool:
    """Return whether the goal's strictness fails the run."""
    return goal.strict and (is_partial or is_synthetic)


def flags(goal: Goal, is_partial: bool, is_synthetic: bool) -> dict[str, bool]:
    """Return the flags of the status document that are true and that the goal allows."""
    true = {"partial": is_partial, "synthetic_used": is_synthetic, "ephemeral": True}
    return {name: True for name in goal.flags if true[name]}


def exit_code(goal: Goal, mode: str, overall: str) -> int:
    """Return the exit code of a run that measured something."""
    return _CODES.get(overall, DONE) if mode == ENFORCE and goal.fails else DONE
