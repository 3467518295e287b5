"""Makes the badges: endpoint JSON of shields.io, and the same as a picture. Pure.

The same input gives the same bytes: nothing here reads a clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .jsontext import decimals
from .readiness import is_whole

STATES = ("governance", "ci", "streak", "explore")
RED, YELLOW, BLUE, GREEN = 3, 2, 1, 0
COLOURS = {RED: "red", YELLOW: "yellow", BLUE: "blue", GREEN: "brightgreen"}
SEVERITIES = {"red": RED, "yellow": YELLOW, "blue": BLUE}
_OF_STATE = {
    "failing": RED,
    "warning": YELLOW,
    **dict.fromkeys(("clean", "strict", "stable", "sandbox"), GREEN),
}
STABLE = 3
"""OK runs in a row from which the streak is stable."""

Badge = dict[str, Any]


def badge(label: str, message: str, colour: str) -> Badge:
    """Return an endpoint document of shields.io."""
    return {"schemaVersion": 1, "label": label, "message": message, "color": colour}


# --- goal state ----------------------------------------------------------------


def goal_state(status: Mapping[str, Any] | None, source: str) -> dict[str, Any]:
    """Return the four states of a status document; None: no run."""
    known = status or {}
    return {
        "governance": _governance(known),
        "ci": "strict"
        if (known.get("goal"), known.get("mode")) == ("ci", "enforce")
        else "lenient",
        "streak": "stable" if _is_stable(known) else "building",
        "explore": "sandbox",
        "generated_at": known.get("generated_at"),
        "source": source,
    }


def _governance(status: Mapping[str, Any]) -> str:
    overall = status.get("overall_status", status.get("status"))
    if overall == "OK":
        return "clean" if is_whole(status) else "warning"
    named = {"WARN": "warning", "FAIL": "failing", "BASELINE_CREATED": "baseline"}
    return named.get(overall or "", "unknown")


def _is_stable(status: Mapping[str, Any]) -> bool:
    is_partial = status.get("partial") or (status.get("_debug") or {}).get("partial")
    return not is_partial and status.get("ok_streak_current", 0) >= STABLE


# --- summary -------------------------------------------------------------------


def summary(
    states: Mapping[str, str],
    drift: Mapping[str, Any] | None,
    struct: Mapping[str, Any] | None,
    label: str,
    logo: str,
    cache_seconds: int,
) -> tuple[Badge, int]:
    """Return the badge of all states, and its severity; None: there is no such badge."""
    parts = [f"{short}:{states[name]}" for short, name in zip(_SHORT, STATES, strict=True)]
    severities = [_OF_STATE.get(states[name], BLUE) for name in STATES]
    for name, one, judge in (("drift", drift, _of_drift), ("struct", struct, _of_struct)):
        if one and one.get("message"):
            parts.append(f"{name}:{one['message']}")
            severities.append(judge(one))
    worst = max(severities)
    made = badge(label, " | ".join(parts), COLOURS[worst])
    made |= {"namedLogo": logo, "cacheSeconds": cache_seconds, "isError": worst == RED}
    return made, worst


_SHORT = ("gov", "ci", "streak", "explore")


def _of_drift(one: Mapping[str, Any]) -> int:
    message, colour = str(one["message"]), one.get("color")
    if colour == "red" or re.search(r"\bfail\b", message, re.IGNORECASE):
        return RED
    if colour == "yellow" or re.search(r"\bwarn\b", message, re.IGNORECASE):
        return YELLOW
    return GREEN if message == "0" else BLUE


def _of_struct(one: Mapping[str, Any]) -> int:
    known = {"red": RED, "yellow": YELLOW, "green": GREEN, "brightgreen": GREEN}
    return known.get(str(one.get("color")), BLUE)


# --- the others ----------------------------------------------------------------


def streak(length: int, is_enforced: bool) -> Badge:
    """Return the badge of OK runs in a row."""
    return badge("perf streak", f"{length} ok", "purple" if is_enforced else "blue")


def drift(run: Mapping[str, Any] | None, warn: float, fail: float) -> Badge:
    """Return the badge of the metrics that have become slower, by thresholds of its own."""
    if run is None:
        return badge("perf drift", "no data", "lightgrey")
    deltas = [one["delta_pct"] for one in run["metrics"].values()]
    largest = max(deltas, default=0.0)
    if largest < warn:
        return badge("perf drift", "0", "green")
    word, limit, colour = ("fail", fail, "red") if largest >= fail else ("warn", warn, "yellow")
    number = sum(one >= limit for one in deltas)
    return badge("perf drift", f"{number} {word} (+{largest:.1f}% max)", colour)


def performance(run: Mapping[str, Any] | None) -> Badge:
    """Return the badge of a run's overall status."""
    if run is None:
        return badge("performance", "no data", "lightgrey")
    overall = run["overall_status"]
    colours = {"OK": "brightgreen", "WARN": "yellow", "FAIL": "red"}
    message = overall
    if run.get("worst_metric"):
        message += f": {run['worst_metric']} {decimals(run['worst_delta_pct'])}%"
    return badge("performance", message, colours.get(overall, "blue"))


def structure(violations: int, is_broken: bool) -> Badge:
    """Return the badge of the shell code's structure."""
    if is_broken:
        return badge("structure", "self-check failed", "red")
    if violations:
        noun = "violation" if violations == 1 else "violations"
        return badge("structure", f"{violations} {noun}", "yellow")
    return badge("structure", "stable", "green")


# --- pictures ------------------------------------------------------------------

_HUES = {
    "brightgreen": "#2ea44f",
    "green": "#3c873a",
    "yellow": "#8a6d00",
    "red": "#b3261e",
    "blue": "#1f6feb",
    "purple": "#7d3cb5",
    "lightgrey": "#6e7681",
}
_LETTER, _PAD = 7, 10


def svg(made: Mapping[str, Any]) -> str:
    """Return a badge as a picture that needs no network."""
    from html import escape

    label, message = escape(str(made["label"])), escape(str(made["message"]))
    left, right = (len(str(made[key])) * _LETTER + 2 * _PAD for key in ("label", "message"))
    hue = _HUES.get(made["color"], _HUES["lightgrey"])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" '
            f'role="img" aria-label="{label}: {message}">',
            f"<title>{label}: {message}</title>",
            f'<rect width="{left}" height="20" fill="#444c56"/>',
            f'<rect x="{left}" width="{right}" height="20" fill="{hue}"/>',
            '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">',
            f'<text x="{_PAD}" y="14">{label}</text>',
            f'<text x="{left + _PAD}" y="14">{message}</text>',
            "</g>",
            "</svg>",
            "",
        ]
    )


def state_badge(states: Mapping[str, Any]) -> Badge:
    """Return the four states as one badge, for a picture of them."""
    made, _ = summary(states, None, None, "goal", "", 0)
    return made


def unmet(states: Mapping[str, Any], required: Sequence[tuple[str, str]]) -> list[str]:
    """Return `KEY=STATE, not WANTED` for each required state that does not hold."""
    return [f"{key}={states[key]}, not {want}" for key, want in required if states[key] != want]
