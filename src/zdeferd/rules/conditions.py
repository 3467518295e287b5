"""Finds the conditions of a run that do not hold, and when to look at them again.

Pure. A condition that depends on time alone has the instant from which on it can hold. Power and
network have none where the kernel reports their changes. The load is looked at again after a
while, and only where all else holds, so nothing is read for a run that could not start anyway.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ..conditions import Conditions, Power
from ..model import Run

AGAIN_S = 15.0
"""At least so long between two looks at what neither has an instant nor is reported."""
NO_TERMINAL = "without a terminal"
NEVER_S = 3600.0
"""Seconds since the epoch: a last key before that is none. No terminal has been found."""
_RENEWED = ("day:", "change:", "boot:")
"""Scope keys of which a later run does what an earlier one waits to do."""


class Senses(Struct, frozen=True, kw_only=True):
    """The values that conditions depend on, as of the last look; None: not looked at."""

    power: Power | None = None
    power_again_at: float | None = None
    """When to look again; None: the kernel reports changes."""
    online: bool | None = None
    online_again_at: float | None = None
    """As `power_again_at`."""
    load: float | None = None
    load_again_at: float | None = None
    quiet_since: float | None = None
    """The last instant at which a key may have been pressed."""


class Condition(NamedTuple):
    """One condition: its key, what it asks for, what was found, and whether it holds."""

    name: str
    wanted: float | str
    found: float | str | None
    """None: not looked at."""
    holds: bool
    at: float | None
    """Where it does not hold: the instant from which on it can; None: at a reported change."""


ClockAt = Callable[[float, str, int], float]
"""Returns the instant of a time of day, so many days after the date of an instant."""


def opened(when: Conditions, now: float, clock_at: ClockAt) -> Conditions:
    """Return the conditions of a run that is claimed at `now`, with their instants.

    A deadline that is a time of day is the first one after `not_before`. Where both are times of
    day they make a window, and the first window that has not ended counts. One that summer time
    leaves out whole is no window.
    """
    opens, closes = when.not_before, when.deadline
    if isinstance(opens, str) and isinstance(closes, str):
        windows = [_window(opens, closes, now, day, clock_at) for day in (-1, 0, 1, 2)]
        window = next(one for one in windows if max(now, one[0]) < one[1])
        return replace(when, opens_at=window[0], closes_at=window[1])
    opens_at = 0.0 if opens is None else _instant(opens, now, clock_at)
    closes_at = None if closes is None else _instant(closes, now, clock_at)
    if isinstance(closes, str) and closes_at is not None and closes_at <= now:
        closes_at = clock_at(now, closes, 1)
    return replace(when, opens_at=opens_at, closes_at=closes_at)


def _instant(moment: float | str, now: float, clock_at: ClockAt) -> float:
    return clock_at(now, moment, 0) if isinstance(moment, str) else now + moment


def _window(
    opens: str, closes: str, now: float, day: int, clock_at: ClockAt
) -> tuple[float, float]:
    """Return when the window of a day opens and closes; it may close on the next day."""
    return clock_at(now, opens, day), clock_at(now, closes, day + (closes <= opens))


def conditions(when: Conditions, senses: Senses, now: float) -> Iterator[Condition]:
    """Yield each condition as it is at `now`."""
    if when.opens_at:
        yield Condition("not_before", when.opens_at, now, when.opens_at <= now, when.opens_at)
    if when.quiet_s is not None:
        since = now if senses.quiet_since is None else senses.quiet_since
        at = since + when.quiet_s
        found = NO_TERMINAL if since < NEVER_S else max(0.0, now - since)
        yield Condition("quiet", when.quiet_s, found, at <= now, at)
    if when.power is not None:
        holds = when.power is senses.power
        yield Condition("power", when.power, senses.power, holds, senses.power_again_at)
    if when.online:
        network = None if senses.online is None else "online" if senses.online else "offline"
        yield Condition("online", "online", network, bool(senses.online), senses.online_again_at)
    if when.load_below is not None:
        holds = senses.load is not None and senses.load < when.load_below
        again_at = now if senses.load_again_at is None else senses.load_again_at
        yield Condition("load_below", when.load_below, senses.load, holds, again_at)


def unmet(when: Conditions, senses: Senses, now: float) -> list[Condition]:
    """Return the conditions that do not hold at `now`."""
    return [one for one in conditions(when, senses, now) if not one.holds]


def next_look(unmet: Iterable[Condition]) -> float | None:
    """Return the first instant at which all of these can hold; None: after a reported change."""
    instants = [one.at for one in unmet]
    known = [at for at in instants if at is not None]
    return max(known) if known and len(known) == len(instants) else None


def needs_load(when: Conditions, senses: Senses, now: float) -> bool:
    """Return whether nothing but the load can keep a run from starting."""
    others = (one for one in unmet(when, senses, now) if one.name != "load_below")
    return when.load_below is not None and not is_over(when, now) and not any(others)


def is_over(when: Conditions, now: float) -> bool:
    """Return whether the deadline has passed."""
    return when.closes_at is not None and when.closes_at <= now


def in_vain(conditioned: Iterable[Run], now: float) -> list[Run]:
    """Return the runs that need not wait: past their deadline, or a later run does the same.

    `conditioned`: the waiting runs with conditions.
    """
    runs = list(conditioned)
    latest: dict[str, int] = {}
    for run in runs:
        latest[run.job] = max(run.id, latest.get(run.job, 0))
    replaced = (run for run in runs if run.key.startswith(_RENEWED) and run.id < latest[run.job])
    past = (run for run in runs if run.when is not None and is_over(run.when, now))
    return list({run.id: run for run in (*past, *replaced)}.values())


def said(one: Condition, duration: Callable[[float], str], clock: Callable[[float], str]) -> str:
    """Return a condition in words: what it asks for, its value now, and when it can hold.

    `duration` words seconds, `clock` an instant.
    """
    if one.name == "not_before":
        return f"not before {clock(float(one.wanted))}"
    wanted, found = one.wanted, "not known" if one.found is None else one.found
    if one.name == "quiet":
        wanted = f"quiet for {duration(float(wanted))}"
        found = found if isinstance(found, str) else duration(found)
    elif one.name == "load_below":
        wanted = f"load below {wanted:g}"
        found = found if isinstance(found, str) else f"{found:.2f}"
    elif one.name == "power":
        wanted = f"power {wanted}"
    if one.holds:
        return f"{wanted} (now {found}: holds)"
    at = "seen when it changes" if one.at is None else f"at {clock(one.at)} at the earliest"
    return f"{wanted} (now {found}; {at})"
