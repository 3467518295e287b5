"""Make a badge for a README or for CI: the endpoint JSON of shields.io, or a picture.

goal-state has the states governance, ci, streak and explore of a status document; summary-goal
is one badge of them. streak, drift and performance are of the last run that counted. struct is of
zsh code: what `zdeferctl lint zsh` finds in it, and whether its features pass the registry's
self-check. --svg makes a picture instead, which needs no network. Examples:

zdeferctl perf badge goal-state --status status.json --require ci=strict --output goal-state.json

zdeferctl perf badge summary-goal --input goal-state.json --fail-on red
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import badges, jsontext, reading
from ..codes import DONE, NO
from .shared import add_folder, folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ..call import Call

LAST_RUN = "last counted run"
OPTIONS = {
    "goal-state": ("status", "require"),
    "summary-goal": ("input", "drift", "struct", "label", "logo", "cache_seconds", "fail_on"),
    "streak": (),
    "drift": ("warn", "fail"),
    "struct": (),
    "performance": (),
}
"""The badges, and the options that each has besides --svg and --output."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the badge and the options of all badges."""
    add = parser.add_argument
    add("badge", choices=OPTIONS, help="which badge")
    add("path", nargs="*", metavar="PATH", help="struct: the zsh code to look at")
    add("--svg", action="store_true", help="a picture")
    add("--output", metavar="FILE", help="write it to FILE; -: print it, as without")
    add("--status", metavar="FILE", help="goal-state: a status document, not the last run")
    add(
        "--require", nargs="+", action="extend", type=_requirement, metavar="KEY=STATE",
        help="goal-state: exit with 1 unless these hold",
    )  # fmt: skip
    add("--input", metavar="FILE", help="summary-goal: a goal-state, not the last run's")
    add("--drift", metavar="FILE", help="summary-goal: a badge of drift to add")
    add("--struct", metavar="FILE", help="summary-goal: a badge of structure to add")
    add("--label", metavar="TEXT", help="summary-goal: its label (goal)")
    add("--logo", metavar="NAME", help="summary-goal: its logo (zsh)")
    add("--cache-seconds", metavar="N", help="summary-goal: how long it may be kept (300)")
    add("--fail-on", choices=badges.SEVERITIES, help="summary-goal: exit with 1 at this or worse")
    add("--warn", type=_percent, metavar="PCT", help="drift: yellow from here on (5)")
    add("--fail", type=_percent, metavar="PCT", help="drift: red from here on (10)")
    add_folder(parser)


def _requirement(text: str) -> tuple[str, str]:
    from argparse import ArgumentTypeError

    key, equals, state = text.partition("=")
    if key not in badges.STATES or not equals or not state:
        raise ArgumentTypeError(f"not KEY=STATE: {text}; keys are {', '.join(badges.STATES)}")
    return key, state


def _percent(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found < 1e6:
        raise ArgumentTypeError(f"not a number above 0: {text}")
    return found


def perform(call: Call) -> int:
    """Make the badge; -> 0, or 1 for --require and --fail-on."""
    args = call.args
    mine = OPTIONS[args.badge]
    others = [name for names in OPTIONS.values() for name in names if name not in mine]
    if foreign := [name for name in others if getattr(args, name) is not None]:
        raise ZdeferdError(f"not an option of {args.badge}: --{foreign[0].replace('_', '-')}")
    if bool(args.path) != (args.badge == "struct"):
        raise ZdeferdError(f"{args.badge}: {'it takes no PATH' if args.path else 'name a PATH'}")
    if args.badge == "goal-state":
        return _goal_state(call)
    if args.badge == "summary-goal":
        return _summary(call)
    _put(call, _simple(call), args.output)
    return DONE


def _simple(call: Call) -> badges.Badge:
    if call.args.badge == "struct":
        from .structure import is_broken, violations

        return badges.structure(violations(call.args.path), is_broken(call.args.path, call.env))
    from ...perf.evidence import load_state

    state = load_state(folder_of(call))
    if call.args.badge == "streak":
        return badges.streak(state.streak, state.enforcement.active)
    if call.args.badge == "performance":
        return badges.performance(state.last)
    warn, fail = call.args.warn or 5.0, call.args.fail or 10.0
    if warn >= fail:
        raise ZdeferdError(f"--warn is not below --fail: {warn:g}, {fail:g}")
    return badges.drift(state.last, warn, fail)


# --- goal state ----------------------------------------------------------------


def _goal_state(call: Call) -> int:
    states = _states(call, call.args.status)
    if call.args.svg:
        _put(call, badges.state_badge(states), call.args.output)
    else:
        call.put(jsontext.layout(states), call.args.output or "-")
    unmet = badges.unmet(states, call.args.require or ())
    if unmet:
        call.warn(f"required: {'; '.join(unmet)}")
    return NO if unmet else DONE


def _states(call: Call, path: str | None) -> dict[str, Any]:
    """Return the goal state of a status document, else of the last run; variables override."""
    from ...perf.evidence import load_state

    status = _object(path) if path else load_state(folder_of(call)).last
    try:
        states = badges.goal_state(status, path or LAST_RUN)
    except (AttributeError, KeyError, TypeError) as error:
        raise ZdeferdError(f"not a status document: {path}: {error}") from None
    for name in badges.STATES:
        states[name] = call.env.get(f"GOAL_STATE_{name.upper()}") or states[name]
    return states


def _object(path: str) -> dict[str, Any]:
    return reading.load_object(_bytes(path), path)


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(reading.LARGEST_CAPTURE)
    except OSError as error:
        raise ZdeferdError(f"cannot read: {path}: {error.strerror}") from None


# --- summary -------------------------------------------------------------------


def _summary(call: Call) -> int:
    args = call.args

    def chosen(option: str | None, name: str, default: str) -> str:
        return option if option is not None else call.env.get(f"SUMMARY_GOAL_{name}") or default

    source = chosen(args.input, "INPUT", "")
    states = _known_states(source) if source else _states(call, None)
    seconds = chosen(args.cache_seconds, "CACHE_SECONDS", "300")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):
        raise ZdeferdError(f"cache seconds are not a whole number: {seconds}")
    label, logo = chosen(args.label, "LABEL", "goal"), chosen(args.logo, "LOGO", "zsh")
    drift, struct = _other(args.drift), _other(args.struct)
    made, severity = badges.summary(states, drift, struct, label, logo, int(seconds))
    _put(call, made, chosen(args.output, "OUTPUT", ""))
    limit = badges.SEVERITIES.get(args.fail_on or "")
    return NO if limit is not None and severity >= limit else DONE


def _known_states(path: str) -> dict[str, Any]:
    states = _object(path)
    if wrong := [name for name in badges.STATES if not isinstance(states.get(name), str)]:
        raise ZdeferdError(f"not a goal state: {path}: {wrong[0]}: {states.get(wrong[0])!r}")
    return states


def _other(path: str | None) -> dict[str, Any] | None:
    """Return a badge to add; None where there is no file, or only blanks in it."""
    from os.path import exists

    if not path or not exists(path):
        return None
    text = _bytes(path)
    return reading.load_object(text, path) if text.strip() else None


# --- output --------------------------------------------------------------------


def _put(call: Call, made: badges.Badge, path: str | None) -> None:
    call.put(badges.svg(made) if call.args.svg else jsontext.layout(made), path or "-")
