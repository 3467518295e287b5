"""Compares the inputs of a job with what its last claim saw; decides whether an output is lost.

Pure. The states that are compared are those of jobs/fingerprint.py, which keeps a limited number
of files one by one and of the others a digest.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..inputs import InputFile, Inputs, States
from ..model import Outcome

PAUSE_S = 60.0
"""For so long a run that failed to make a missing output is not repeated."""
MOST_NAMED = 3
"""Inputs, and files of one input, that a text names."""
LONGEST_CAUSE = 500
"""Characters."""
_FIELDS = 3
"""Size, time and inode of a file; its content may follow."""
_VALUES = {"set": "set now", "not set": "not set now"}


class Last(NamedTuple):
    """The latest run of a job: its outcome, None while it has none, and when it ended."""

    outcome: str | None
    ended_at: float


def is_lost(seen_at: float, last: Last | None) -> bool:
    """Return whether an output that was missing at `seen_at` is to be made again.

    Not while a run is on its way, nor for what was seen before it ended. An end that is far
    ahead of `seen_at` is from before the clock was set back.
    """
    if last is None:
        return True
    if last.outcome is None:
        return False
    since = seen_at - last.ended_at
    pause = 0.0 if last.outcome == Outcome.SUCCEEDED else PAUSE_S
    return since >= pause or since < -PAUSE_S


def cause(before: States, now: Inputs) -> str:
    """Return why a claim is made that sees `now`, in words; empty: it is the first."""
    differs = changes(before, now.states)
    if differs:
        return f"this changed: {listed(differs)}"[:LONGEST_CAUSE]
    return f"its output was missing: {now.missing}"[:LONGEST_CAUSE] if now.missing else ""


def changes(before: States, now: States) -> list[str]:
    """Return each input that differs, in words; none where nothing was kept of `before`."""
    then = dict(before)
    found: list[str] = []
    if not before:
        return found
    for word, files in now:
        if word.startswith("definition:"):
            found += [] if word in then else ["its own definition"]
        elif word not in then:
            found.append(f"{word} (watched only now)")
        elif then[word] != files:
            how = _difference(then[word], files).removeprefix(f"{word}: ")
            found.append(f"{word} ({how})")
    left = [word for word, _ in before if word not in dict(now)]
    return found + [f"{word} (no longer watched)" for word in left if "definition:" not in word]


def listed(parts: Sequence[str]) -> str:
    """Return the first parts, and how many more there are."""
    more = len(parts) - MOST_NAMED
    return ", ".join(parts[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _difference(before: tuple[InputFile, ...], now: tuple[InputFile, ...]) -> str:
    then, files = ({name: state for name, *state in those} for those in (before, now))
    if len(then) == len(files) == 1:
        return _of_one(before[0], now[0])
    parts = [f"{name}: new" for name in files if name not in then]
    parts += [f"{name}: gone" for name in then if name not in files]
    both = (name for name in files if name in then and then[name] != files[name])
    return listed(parts + [f"{name}: {_detail(then[name], files[name])}" for name in both])


def _of_one(before: InputFile, now: InputFile) -> str:
    if now[0] in _VALUES:
        return _VALUES[now[0]] if now[0] != before[0] else "other value"
    if before[0] != now[0]:
        return f"{now[0]}, before {before[0]}"
    return f"{now[0]}: {_detail(before[1:], now[1:])}"


def _detail(before: Sequence[str], now: Sequence[str]) -> str:
    """Return what differs of size, time, inode and content, or of the state without a file."""
    if len(now) < _FIELDS or len(before) < _FIELDS:
        return f"{_without(now)}, before {_without(before)}"
    if now[0] != before[0]:
        return "other size"
    if now[3:] != before[3:]:
        return "other content"
    return "other time" if now[1] != before[1] else "another file"


def _without(state: Sequence[str]) -> str:
    return "there" if len(state) >= _FIELDS else " ".join(state)
