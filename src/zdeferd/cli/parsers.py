"""Makes the argument parser of a verb; its help is the docstring of the verb's module.

The paragraphs of the docstring are the description. Behind the word `Examples:` each paragraph
that begins with `zdeferctl` is one example; the help lists them at its end.
"""

from __future__ import annotations

import sys

from .codes import USAGE, USAGE_CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import ModuleType
    from typing import NoReturn

HELP_COLUMNS = 78
MOST = 999_999_999
"""The largest number that an option takes."""
_EXAMPLES = "Examples:"


def verb_parser(verb: str, module: ModuleType) -> argparse.ArgumentParser:
    """Return the argument parser of one verb."""
    import argparse
    from textwrap import fill

    from ..view.render import printable

    paragraphs, examples = told(module)

    class Parser(argparse.ArgumentParser):
        """Prints usage errors as all other errors of this program."""

        def error(self, message: str) -> NoReturn:
            said = printable(message)  # an argument of several lines makes one line
            print(f"zdeferctl: {said}; see `zdeferctl {verb} --help`", file=sys.stderr)
            raise SystemExit(USAGE_CODES.get(verb.split()[0], USAGE))

    parser = Parser(
        prog=f"zdeferctl {verb}",
        description="\n\n".join(
            fill(text, HELP_COLUMNS, break_on_hyphens=False) for text in paragraphs
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    module.configure(parser)
    listed = "\n".join(["examples:", *(f"  {example}" for example in examples)])
    parser.epilog = "\n\n".join(filter(None, [parser.epilog, listed]))
    return parser


def told(module: ModuleType) -> tuple[list[str], list[str]]:
    """Return the paragraphs and the examples of a verb's docstring."""
    text = (module.__doc__ or "").strip()
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    examples = [text for text in paragraphs if text.startswith("zdeferctl ")]
    described = [text.removesuffix(_EXAMPLES).strip() for text in paragraphs]
    return [text for text in described if text and text not in examples], examples


# --- values of options ---------------------------------------------------------


def whole(lowest: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `lowest` on, for argparse."""

    def read(text: str) -> int:
        from argparse import ArgumentTypeError

        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= lowest):
            raise ArgumentTypeError(f"not a whole number: {text}; expected {lowest} to {MOST}")
        return int(text)

    return read


def duration(text: str) -> float:
    """Return the seconds of a duration, for argparse."""
    from argparse import ArgumentTypeError

    from ..config.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise ArgumentTypeError(
            f"not a duration: {text}; expected such as 20s, 5m, 2h, 7d"
        ) from None


def span(longest: str) -> Callable[[str], float]:
    """Return a reader of durations above 0 and up to `longest`, for argparse."""

    def read(text: str) -> float:
        from argparse import ArgumentTypeError

        seconds = duration(text)
        if not 0 < seconds <= duration(longest):
            raise ArgumentTypeError(f"not a duration above 0 and up to {longest}: {text}")
        return seconds

    return read


def instant(text: str) -> float:
    """Return the instant that a text such as `2h` or `yesterday` means now, for argparse."""
    import time
    from argparse import ArgumentTypeError

    from ..config.units import parse_instant

    try:
        return parse_instant(text, time.time())
    except ValueError:
        expected = "2h, 3d, today, yesterday, 14:30, 2026-11-22 or 2026-11-22 14:30"
        raise ArgumentTypeError(f"not a time: {text}; expected such as {expected}") from None
