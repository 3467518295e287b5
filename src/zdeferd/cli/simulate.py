"""Show what would run when, in order, and why the rest would not.

Decides with the daemon's own rules, over the jobs and claims that there are. It is assumed that a
new shell starts at --at, and one at that time of each further day, and that no key is pressed in
between; that each job takes as long as its last good run (1 s where it has none), keeps its place
in the lane until it ends, and succeeds; and that power, load and network stay as they are now, or
as the options say. A job with `retry` that failed when it last ran is named: its retries are not
shown. Nothing is run or claimed.

Examples:

zdeferctl simulate --power battery

zdeferctl simulate --at 22:00 --quiet 5m

zdeferctl simulate --for 7d --json
"""

from __future__ import annotations

from ..view.render import Style, clock, count, marked, printable, table, wrapped
from ..view.render import duration as duration_text
from ..view.where import find_paths
from .codes import DONE
from .parsers import duration, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ..rules.conditions import Condition
    from ..rules.simulate import Played, Rest
    from .assumed import Basis
    from .call import Call

LONGEST = "31d"
_REASONS = {
    "already_ran": "has run in this span of its scope",
    "inputs_unchanged": "has nothing to do: what it watches is unchanged",
    "waits_for_idle": "waits for idle",
    "waits_for_turn": "waits for its turn",
    "waits_for_look": "waits alone: what it watches cannot be looked at",
    "disabled": "is disabled",
    "refused": "is refused; `zdeferctl check` says why",
    "paused": "waits in a lane that is paused",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what is assumed."""
    add = parser.add_argument
    add("--at", metavar="TIME", type=_later, help="begin then: 22:00, 2h, 2026-12-24 18:00 (now)")
    add(
        "--for",
        dest="span",
        metavar="TIME",
        type=span(LONGEST),
        default=86400.0,
        help="the time to simulate (1d)",
    )
    add(
        "--quiet",
        metavar="TIME",
        type=duration,
        help="no key was pressed for so long by then (0s)",
    )
    add("--power", choices=("ac", "battery"), help="where the power comes from")
    add("--load", metavar="LOAD", type=_load, help="the load average of one minute")
    add("--offline", action="store_true", help="there is no network")


def perform(call: Call) -> int:
    """Print what would run; -> 0."""
    from ..conditions import Power
    from ..ledger.reading import reading
    from ..rules.simulate import rest, simulate
    from .assumed import Wishes, gather

    paths, args = find_paths(call.env), call.args
    wishes = Wishes(
        at=call.now if args.at is None else args.at,
        for_s=args.span,
        quiet_s=args.quiet,
        power=Power(args.power) if args.power else None,
        load=args.load,
        online=False if args.offline else None,
    )
    with reading(paths.ledger) as view:
        basis = gather(view, paths, call.env, call.now, wishes)
    played = simulate(basis.candidates, basis.assumed)
    left = [*rest(basis.candidates, played), *basis.left_out]
    return call.answer(
        _document(basis, played, left),
        lambda style: _text(basis, played, left, call, style),
        DONE,
    )


# --- options -------------------------------------------------------------------


def _load(text: str) -> float:
    from argparse import ArgumentTypeError
    from math import isfinite

    try:
        load = float(text)
    except ValueError:
        load = -1.0
    if not (isfinite(load) and load >= 0):
        raise ArgumentTypeError(f"not a load: {text}; expected a number such as 1.5")
    return load


def _later(text: str) -> float:
    """Return an instant that has not passed: a time of day is the next one, for argparse."""
    import time
    from argparse import ArgumentTypeError

    from ..config.units import parse_duration, parse_instant

    now = time.time()
    try:
        return now + parse_duration(text)
    except ValueError:
        pass
    try:
        at = parse_instant(text, now)
    except ValueError:
        expected = "expected such as 22:00, 2h or 2026-12-24 18:00"
        raise ArgumentTypeError(f"not a time: {text}; {expected}") from None
    if at < now and ":" in text and "-" not in text:
        at = parse_instant(text, now + 86400)
    if at < now:
        raise ArgumentTypeError(f"a time that has passed: {text}; expected one from now on")
    return at


# --- the answer ----------------------------------------------------------------


def _document(basis: Basis, played: Played, left: list[Rest]) -> dict[str, object]:
    from ..view.jobs import condition_document

    assumed, senses = basis.assumed, basis.assumed.senses
    return {
        "from_s": assumed.begins_at,
        "to_s": assumed.ends_at,
        "assumed": {
            "quiet_s": assumed.begins_at - (senses.quiet_since or 0.0),
            "power": senses.power,
            "load": senses.load,
            "online": senses.online,
        },
        "starts": [
            {
                "at_s": start.at,
                "job": start.run.job,
                "trigger": start.run.trigger,
                "lasts_ms": round(start.lasts_s * 1000),
            }
            for start in played.starts
        ],
        "retries_not_shown": _unsure(basis, played),
        "missed": [{"at_s": at, "job": run.job} for at, run in played.missed],
        "rest": [
            {
                "job": one.job,
                "code": one.code,
                "waits_for": one.waits_for or None,
                "conditions": [it.name for it in one.conditions if not it.holds],
                "unmet": [condition_document(it) for it in one.conditions if not it.holds],
            }
            for one in left
        ],
    }


def _unsure(basis: Basis, played: Played) -> list[str]:
    """Return the jobs of which a run that starts may fail, and would be tried again."""
    started = {start.run.job for start in played.starts}
    return [job for job in basis.may_fail if job in started]


def _text(basis: Basis, played: Played, left: list[Rest], call: Call, style: Style) -> str:
    assumed = basis.assumed
    begins, ends = (clock(at, call.now) for at in (assumed.begins_at, assumed.ends_at))
    rows = [
        [
            clock(start.at, call.now),
            style.bold(printable(start.run.job)),
            str(start.run.trigger),
            duration_text(start.lasts_s * 1000),
        ]
        for start in played.starts
    ]
    parts = [f"{count(len(rows), 'run')} from {begins} to {ends}", ""]
    if rows:
        parts += [table(("WHEN", "JOB", "TRIGGER", "TAKES"), rows, style), ""]
    parts += [
        wrapped(f"  {style.bold(printable(one.job))} {_reason(one, call.now)}", call.columns, 4)
        for one in left
    ]
    unsure = [
        f"{job} failed when it last ran: no retry of it is shown" for job in _unsure(basis, played)
    ]
    parts += marked(style.paint("!", "yellow"), unsure, call.columns)
    return "\n".join(parts).rstrip("\n")


def _reason(one: Rest, now: float) -> str:
    if one.code == "missed":
        return f"is missed at {clock(one.at, now)}: its conditions do not hold in time"
    if one.code == "waits_to_retry":
        return f"failed and is tried again at {clock(one.at, now)}"
    if one.code == "waits_for_job":
        return f"waits for {one.waits_for} to end"
    if one.code == "waits_for_condition":
        return f"waits for its conditions: {_conditions(one.conditions, now)}"
    return _REASONS[one.code]


def _conditions(found: tuple[Condition, ...], now: float) -> str:
    from ..rules.conditions import said

    seconds: Callable[[float], str] = lambda wanted: duration_text(wanted * 1000)  # noqa: E731
    return ", ".join(
        said(one, seconds, lambda at: clock(at, now)) for one in found if not one.holds
    )
