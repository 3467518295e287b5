"""`make simulate`: play many histories, or one, and say what was found."""

import argparse
import sys
import time
import traceback

from .chance import play, play_all
from .invariants import Violation


def main() -> int:
    """The program; 1 where an invariant does not hold."""
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone, told in full")
    options = parser.parse_args()
    if options.seed is not None:
        return tell(options.seed)
    return many(options.first, options.histories)


def tell(seed: int) -> int:
    """One history, line by line."""
    notes: list[str] = []
    failure: BaseException | None = None
    try:
        play(seed, notes)
    except Exception as error:  # noqa: BLE001 - it is what we are here to show
        failure = error
    print("\n".join(notes))
    if failure is None:
        print(f"seed {seed}: every invariant holds")
        return 0
    if not isinstance(failure, Violation):
        traceback.print_exception(failure)
    print(f"seed {seed}: {failure}")
    return 1


def many(first: int, histories: int) -> int:
    """All of them, or until one fails."""
    failed: list[int] = []

    def found(seed: int, failure: BaseException) -> bool:
        failed.append(seed)
        return True

    began = time.monotonic()
    played = play_all(range(first, first + histories), found)
    took_s = time.monotonic() - began
    print(f"{played} histories in {took_s:.1f} s: {played / took_s * 60:.0f} a minute")
    return tell(failed[0]) if failed else 0


if __name__ == "__main__":
    sys.exit(main())
