"""`make simulate`: play many histories, or one, and say what was found.

One seed is told line by line; many are shared out among processes, in order, and the first
one that fails is told.
"""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from .chance import play, play_all
from .promises import Violation

CHUNK = 500
"""Seeds that a process plays at a time."""


def main() -> int:
    """The program; 1 where an invariant does not hold."""
    parser = argparse.ArgumentParser(prog="simulate", description="Play histories of zdeferd.")
    parser.add_argument("--histories", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone, told in full")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.seed is not None:
        return tell(options.seed)
    return many(range(options.first, options.first + options.histories), options.processes)


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
    print(f"again: make simulate SEED={seed}")
    return 1


def many(seeds: range, processes: int) -> int:
    """All of them, or until one fails."""
    began, played = time.monotonic(), 0
    with ProcessPoolExecutor(processes) as pool:
        for chunk, failed in zip(_chunks(seeds), pool.map(_play, _chunks(seeds)), strict=True):
            if failed is not None:
                pool.shutdown(cancel_futures=True)
                print(f"{_rate(played + failed - chunk[0], began)}, then:")
                return tell(failed)
            played += len(chunk)
            if played % (20 * CHUNK) == 0 or played == len(seeds):
                print(f"{_rate(played, began)}, every invariant holds", flush=True)
    return 0


def _chunks(seeds: range) -> Iterator[range]:
    return (seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK))


def _play(seeds: range) -> int | None:
    """The first seed that fails."""
    failed: list[int] = []

    def stop(seed: int, _failure: BaseException) -> bool:
        failed.append(seed)
        return True

    play_all(seeds, stop)
    return failed[0] if failed else None


def _rate(played: int, began: float) -> str:
    took_s = time.monotonic() - began
    return f"{played} histories in {took_s:.0f} s ({played / took_s * 60:.0f} a minute)"


if __name__ == "__main__":
    sys.exit(main())
