"""Parts that the verbs of `perf` share: the evidence folder, numbers, the time as text."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from ...perf.reading import Data
    from ...view.render import Document, Style
    from ..call import Call


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add --baseline-dir."""
    parser.add_argument("--baseline-dir", metavar="DIR", help="the evidence folder")


def folder_of(call: Call) -> str:
    """Return the evidence folder of a call."""
    from ...perf import evidence

    return call.args.baseline_dir or evidence.default_folder(call.env)


def locked(call: Call) -> AbstractContextManager[None]:
    """Return the lock of the evidence folder, which is made where it is missing."""
    from ...perf import evidence

    return evidence.locked(folder_of(call), private=check_folder(call))


def check_folder(call: Call) -> bool:
    """Return whether the evidence folder is zdeferd's own; UnsafePath: in another user's home."""
    from ...machine.paths import check_home
    from ...perf import evidence

    own = not call.args.baseline_dir and folder_of(call) != evidence.IN_A_REPOSITORY
    if own:
        check_home(call.env)
    return own


def captures_of(call: Call, count: int, files: Sequence[str] = ()) -> list[Data]:
    """Return the newest captures of files, else of the evidence folder; at least one."""
    from ...errors import ZdeferdError
    from ...perf import evidence, reading

    folder = folder_of(call)
    if files:
        read = [(path, reading.read(path)) for path in files]
        for path, data in read:
            if not data.generated_at:
                raise ZdeferdError(f"not a capture: {path}", "`perf capture --output` writes one")
        return sorted((data for _path, data in read), key=lambda data: data.generated_at)[-count:]
    found = reading.newest(evidence.documents(folder), count)
    if not found:
        raise ZdeferdError(f"no capture in {folder}", "name the files of captures")
    return found


def utc(instant: float) -> str:
    """Return an instant as 2026-01-31T00:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(instant))


def day(instant: float) -> str:
    """Return the date of an instant in UTC."""
    return utc(instant)[:10]


def answer(call: Call, document: Document, text: Callable[[Style], str], code: int = 0) -> int:
    """Print the document as people's CI reads it, or the text; -> `code`."""
    from ...perf.jsontext import layout

    return call.answer(document, text, code, layout)


def number(text: str) -> float:
    """Return milliseconds or percent, with or without the unit, for argparse."""
    from argparse import ArgumentTypeError

    try:
        found = float(text.removesuffix("ms").removesuffix("%"))
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e15:
        raise ArgumentTypeError(f"not a number from 0 on: {text}")
    return found


def names(text: str) -> tuple[str, ...]:
    """Return the metrics of a list with commas or blanks, without `_ms`, for argparse."""
    from argparse import ArgumentTypeError

    from ...perf.reading import bare, is_metric

    found = tuple(dict.fromkeys(map(bare, text.replace(",", " ").split())))
    if wrong := [name for name in found if not is_metric(name)]:
        raise ArgumentTypeError(f"not a metric: {wrong[0]}")
    if not found:
        raise ArgumentTypeError("no metric is named")
    return found


def name(text: str) -> str:
    """Return one metric without `_ms`, for argparse."""
    from argparse import ArgumentTypeError

    found = names(text)
    if len(found) > 1:
        raise ArgumentTypeError(f"one metric is expected: {text}")
    return found[0]
