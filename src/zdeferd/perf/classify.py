"""Judges a run against its baselines: statuses, lines and the status document.

Pure: values, baselines and the time come in, a Verdict goes out. A metric's delta is its mean
against the baseline's (with `robust` its median), in percent; above a threshold it is WARN or
FAIL. A gain is OK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import goals, samples
from .goals import Goal
from .jsontext import AsRead, decimals, signed
from .reading import Data
from .samples import Baseline

OK, CREATED, NO_BASELINE, WARN, FAIL = "OK", "BASELINE_CREATED", "NO_BASELINE", "WARN", "FAIL"
_RANKS = {OK: 0, NO_BASELINE: 1, CREATED: 1, WARN: 2, FAIL: 3}
SMALLEST_MS = 1.0
"""A baseline below this is too short for a percentage of it to mean anything."""


class Rules(NamedTuple):
    """How a run is judged; thresholds in percent."""

    goal: Goal = goals.DEFAULT
    mode: str = goals.OBSERVE
    warn: int = 10
    fail: int = 25
    robust: bool = False


class Judged(NamedTuple):
    """The verdict on one metric; `baseline_ms` is None where there was no baseline."""

    metric: str
    status: str
    delta: float
    figures: samples.Summary
    baseline_ms: float | None
    values: Sequence[float]


class Verdict(NamedTuple):
    """The verdict on a run; `worst` is the largest delta of the overall status."""

    overall: str
    judged: tuple[Judged, ...]
    worst: Judged | None
    asked: int
    missing: tuple[str, ...]
    synthetic: bool
    breached: bool

    @property
    def partial(self) -> bool:
        """True where a metric that was asked for is missing."""
        return bool(self.missing)


def judge(
    data: Data, metrics: Sequence[str], baselines: Mapping[str, Baseline], rules: Rules
) -> Verdict:
    """Return the verdict on the metrics that have values; `judged` is empty where none has."""
    missing = tuple(name for name in metrics if len(data.values.get(name, ())) < _needed(data))
    makes = goals.makes_baseline(rules.goal, bool(missing), data.synthetic)
    judged = tuple(
        _judged(name, data.values[name], baselines.get(name), rules, makes)
        for name in metrics
        if name in data.values
    )
    breached = goals.is_breached(rules.goal, bool(missing), data.synthetic)
    overall = FAIL if breached else _overall(judged)
    of_status = [one for one in judged if one.status == overall and overall in (WARN, FAIL)]
    worst = max(of_status, key=lambda one: one.delta, default=None)
    return Verdict(overall, judged, worst, len(metrics), missing, data.synthetic, breached)


def _needed(data: Data) -> int:
    """Return how many values a metric must have in order not to be missing."""
    return max(data.samples, 1)


def _overall(judged: Sequence[Judged]) -> str:
    worst = max((one.status for one in judged), key=_RANKS.__getitem__, default=OK)
    return CREATED if worst == NO_BASELINE else worst


def _judged(
    name: str, values: Sequence[float], baseline: Baseline | None, rules: Rules, makes: bool
) -> Judged:
    figures = samples.summary(values)
    if baseline is None:
        return Judged(name, CREATED if makes else NO_BASELINE, 0.0, figures, None, values)
    now, then = _compared(figures, baseline, rules.robust)
    change = delta(now, then)
    if then < SMALLEST_MS:
        status = OK if now < SMALLEST_MS else WARN
    else:
        status = _status(change, values, baseline, rules)
    return Judged(name, status, change, figures, baseline.mean_ms, values)


def _compared(figures: samples.Summary, baseline: Baseline, robust: bool) -> tuple[float, float]:
    if robust:
        return figures.median, baseline.median_ms
    return figures.mean, baseline.mean_ms


def delta(now: float, then: float) -> float:
    """Return the change in percent with two decimals; 0 or 100 where `then` is under 1 ms."""
    if then < SMALLEST_MS:
        return 0.0 if now < SMALLEST_MS else 100.0
    return round((now - then) / then * 100, 2)


def _status(change: float, values: Sequence[float], baseline: Baseline, rules: Rules) -> str:
    if change <= rules.warn:
        return OK
    sure = _surely(values, baseline) if rules.robust else change
    if change > rules.fail and sure > rules.fail:
        return FAIL
    return WARN if sure > rules.warn else OK


def _surely(values: Sequence[float], baseline: Baseline) -> float:
    """Return the low end of the interval of the change of the medians, in percent."""
    groups = [values, baseline.values or (baseline.median_ms,)]

    def change(drawn: Sequence[samples.Numbers]) -> float:
        then = samples.median(drawn[1])
        return (samples.median(drawn[0]) - then) / then * 100 if then else 0.0

    return samples.bootstrap(groups, change).low


# --- lines ---------------------------------------------------------------------


def line(one: Judged, rules: Rules) -> str:
    """Return the CLASSIFIER line of a metric."""
    figures = one.figures
    then = figures.mean if one.baseline_ms is None else one.baseline_ms
    return (
        f"CLASSIFIER status={one.status} delta={signed(one.delta)}% "
        f"mean_ms={decimals(figures.mean)} baseline_mean_ms={decimals(then)} "
        f"median_ms={decimals(figures.median)} rsd={decimals(figures.rsd)}% "
        f"runs={len(one.values)} metric={one.metric}_ms warn_threshold={rules.warn}% "
        f"fail_threshold={rules.fail}% mode={rules.mode}"
    )


def overall_line(verdict: Verdict) -> str:
    """Return the CLASSIFIER line of the run."""
    text = f"CLASSIFIER status=OVERALL overall_status={verdict.overall} metrics={verdict.asked}"
    if worst := verdict.worst:
        text += f" worst_metric={worst.metric}_ms worst_delta={decimals(worst.delta)}%"
    return text


# --- documents -----------------------------------------------------------------


class Standing(NamedTuple):
    """The fields that the evidence folder adds to a status document."""

    folder: str
    streak: int
    longest: int
    enforce: bool


def status_document(
    verdict: Verdict, rules: Rules, runs: int, standing: Standing, generated_at: str
) -> dict[str, Any]:
    """Return the status document of a run of several metrics, keys in the contract's order."""
    worst = verdict.worst
    return {
        "overall_status": verdict.overall,
        "goal": rules.goal.name,
        "mode": rules.mode,
        "runs": runs,
        "warn_threshold_pct": rules.warn,
        "fail_threshold_pct": rules.fail,
        "worst_metric": f"{worst.metric}_ms" if worst else None,
        "worst_delta_pct": worst.delta if worst else 0,
        "metrics": {f"{one.metric}_ms": _metric(one) for one in verdict.judged},
        "generated_at": generated_at,
        "baseline_dir": standing.folder,
        "ok_streak_current": standing.streak,
        "ok_streak_max": standing.longest,
        "enforce_active": standing.enforce,
        **goals.flags(rules.goal, verdict.partial, verdict.synthetic),
        "_debug": _debug(verdict),
    }


def _metric(one: Judged) -> dict[str, Any]:
    figures = one.figures
    return {
        "status": one.status,
        "delta_pct": one.delta,
        "mean_ms": float(figures.mean),
        "median_ms": float(figures.median),
        "p95_ms": float(figures.p95),
        "stddev_ms": figures.stddev,
        "rsd_pct": figures.rsd,
        "baseline_mean_ms": then_of(one),
        "values": AsRead(one.values),
    }


def then_of(one: Judged) -> float | None:
    """Return the baseline's mean for a document: a new one's is the mean itself."""
    if one.status == CREATED:
        return float(one.figures.mean)
    return None if one.baseline_ms is None else float(one.baseline_ms)


def single_document(
    verdict: Verdict, rules: Rules, baseline_file: str, generated_at: str
) -> dict[str, Any]:
    """Return the older document of a run of one metric, keys in the contract's order."""
    (one,) = verdict.judged
    known = _metric(one)
    return {
        "metric": f"{one.metric}_ms",
        "goal": rules.goal.name,
        "status": FAIL if verdict.breached else one.status,
        **{key: known[key] for key in ("mean_ms", "median_ms", "stddev_ms", "rsd_pct")},
        "delta_pct": one.delta,
        "baseline_mean_ms": known["baseline_mean_ms"],
        "warn_threshold_pct": rules.warn,
        "fail_threshold_pct": rules.fail,
        "runs": len(one.values),
        "values": known["values"],
        "mode": rules.mode,
        "generated_at": generated_at,
        "baseline_file": baseline_file,
        **goals.flags(rules.goal, verdict.partial, verdict.synthetic),
        "_debug": _debug(verdict),
    }


def _debug(verdict: Verdict) -> dict[str, Any]:
    return {
        "synthetic_used": int(verdict.synthetic),
        "partial": int(verdict.partial),
        "missing_metrics": [f"{name}_ms" for name in verdict.missing],
    }


def error_document(rules: Rules, generated_at: str) -> dict[str, Any]:
    """Return the document of a run that measured nothing."""
    return {
        "overall_status": "ERROR",
        "goal": rules.goal.name,
        "mode": rules.mode,
        "error": "no_successful_captures",
        "generated_at": generated_at,
    }
