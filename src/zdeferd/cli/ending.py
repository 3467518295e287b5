"""Ends a verb that starts programs as Ctrl-C does, whatever ends it: by what it cleans up."""

from __future__ import annotations

import signal
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import NoReturn

_ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt, once; one that is ignored stays so."""
    ends = [number for number in _ENDS if signal.getsignal(number) is signal.SIG_DFL]  # or nohup(1)
    for number in ends:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ends:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _ENDS:  # a terminal that closes sends two, and the second would end the clean-up
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
