"""Decides whether enforcement has been earned: the criteria A1 to A8, pure.

Facts about files (baselines, sidecar, README) come in as values. A criterion that does not
apply is `n/a` and holds too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

YES, NO, NOT_APPLICABLE = "yes", "no", "n/a"
LAST = 3
"""Runs that A1, A4 and A8 look at."""
NEAR_PCT = 9
"""A delta above this is near the WARN threshold."""
RSD_PCT = 5


class Criterion(NamedTuple):
    """One criterion: whether it holds, and why."""

    name: str
    state: str
    why: str

    @property
    def holds(self) -> bool:
        """True where it holds or does not apply."""
        return self.state != NO


class Outside(NamedTuple):
    """The findings in files: metrics without a readable baseline, the sidecar, the README.

    None: there is no such file, or no markers in it.
    """

    unreadable: Sequence[str]
    sidecar_valid: bool | None
    unnamed_keys: Sequence[str] | None
    readme_synced: bool | None


def criteria(runs: Sequence[Mapping[str, Any]], outside: Outside) -> tuple[Criterion, ...]:
    """Return A1 to A8 of the runs that count, newest last."""
    last = runs[-1] if runs else None
    metrics: Mapping[str, Any] = last["metrics"] if last else {}
    return (
        _steady(runs, metrics),
        _baselines(metrics, outside.unreadable),
        _of_file("A3", outside.sidecar_valid, "the last sidecar", "valid", "not valid"),
        _same_labels(runs),
        _of_file("A5", outside.readme_synced, "the README's block", "in step", "differs"),
        _quiet(metrics),
        _named("A7", outside.unnamed_keys),
        _governed(runs),
    )


def _criterion(name: str, holds: bool, why: str) -> Criterion:
    return Criterion(name, YES if holds else NO, why)


def _steady(runs: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> Criterion:
    overall = [run["overall_status"] for run in runs[-LAST:]]
    if overall != ["OK"] * LAST:
        found = ", ".join(overall) or "none"
        return Criterion("A1", NO, f"the last {LAST} runs are to be OK: {found}")
    worst = max((one["delta_pct"] for one in metrics.values()), default=0)
    why = f"the last {LAST} runs were OK; largest delta {worst:+.2f}%, at most {NEAR_PCT}%"
    return _criterion("A1", worst <= NEAR_PCT, why)


def _baselines(metrics: Mapping[str, Any], unreadable: Sequence[str]) -> Criterion:
    if not metrics:
        return Criterion("A2", NO, "no run, so no metric is governed")
    why = f"no readable baseline: {' '.join(unreadable)}" if unreadable else "all baselines read"
    return _criterion("A2", not unreadable, why)


def _of_file(name: str, found: bool | None, what: str, good: str, bad: str) -> Criterion:
    if found is None:
        return Criterion(name, NOT_APPLICABLE, f"{what}: there is none")
    return _criterion(name, found, f"{what}: {good if found else bad}")


def _same_labels(runs: Sequence[Mapping[str, Any]]) -> Criterion:
    labels = [sorted(run["segments"]) for run in runs[-LAST:]]
    if not any(labels):
        return Criterion("A4", NOT_APPLICABLE, "no segments")
    if len(labels) < LAST:
        return Criterion("A4", NO, f"{len(labels)} of {LAST} runs")
    differing = sorted({label for found in labels for label in found} - _common(labels))
    why = f"labels differ: {' '.join(differing)}" if differing else f"{len(labels[0])} labels"
    return _criterion("A4", not differing, why)


def _common(labels: Sequence[Sequence[str]]) -> set[str]:
    return set[str].intersection(*map(set, labels))


def _quiet(metrics: Mapping[str, Any]) -> Criterion:
    for name in ("prompt_ready_ms", "first_prompt_lag_ms"):
        if one := metrics.get(name):
            why = f"rsd of {name} {one['rsd_pct']:.2f}%, at most {RSD_PCT}%"
            return _criterion("A6", one["rsd_pct"] <= RSD_PCT, why)
    return Criterion("A6", NO, "neither prompt_ready nor first_prompt_lag was measured")


def _named(name: str, unnamed: Sequence[str] | None) -> Criterion:
    if unnamed is None:
        return Criterion(name, NOT_APPLICABLE, "the last sidecar: there is none")
    why = f"not named: {' '.join(unnamed)}" if unnamed else "every key of the sidecar is named"
    return _criterion(name, not unnamed, why)


def _governed(runs: Sequence[Mapping[str, Any]]) -> Criterion:
    governed = [run for run in runs if run["goal"] == "governance"][-LAST:]
    clean = [run for run in governed if is_whole(run)]
    why = f"{len(clean)} of the last {LAST} governance runs had all metrics, none synthetic"
    return _criterion("A8", len(clean) == LAST, why)


def is_whole(run: Mapping[str, Any]) -> bool:
    """Return whether nothing of a run was missing or synthetic.

    The flags count too: a document that somebody wrote by hand may lack `_debug`.
    """
    said = {**run, **(run.get("_debug") or {})}
    return not said.get("partial") and not said.get("synthetic_used")
