"""The program: `python -m powercut --cuts 300`, in a mount namespace of its own.

Starts itself again under unshare(1), so that neither a mount nor a process outlives it.
"""

import argparse
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from powercut.campaign import Result, one_disk

INSIDE = "POWERCUT_INSIDE"
CUTS_A_DISK = 6


def many_disks(cuts: int, side_by_side: int, seed: int, lies: bool) -> list[Result]:
    """`cuts` in all, at most CUTS_A_DISK on each disk."""
    shares = [min(CUTS_A_DISK, cuts - done) for done in range(0, cuts, CUTS_A_DISK)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(side_by_side, mp_context=spawn) as pool:
        futures = [pool.submit(one_disk, seed + n, share, lies) for n, share in enumerate(shares)]
        return [future.result() for future in futures]


def report(results: list[Result], seconds: float) -> str:
    """The result as docs/power-cuts.md shows it."""
    runs: Counter[str] = Counter()
    for result in results:
        runs += result.runs
    lines = [f"cuts       {sum(result.cuts for result in results)} in {seconds:.0f} s"]
    lines += [f"disks      {len(results)}, seeds from {results[0].seed}"]
    lines += [f"changes    {sum(result.changes for result in results)}"]
    lines += [f"runs       {runs.total()}"]
    lines += [f"           {count:6} {name}" for name, count in runs.most_common()]
    lines += [f"lines      {sum(result.lines for result in results)}"]
    lines += [f"breaches   {sum(len(result.breaches) for result in results)}"]
    for result in results:
        lines += [f"           seed {result.seed}: {breach}" for breach in result.breaches]
    return "\n".join(lines)


def main() -> int:
    """0 where no rule was broken."""
    parser = argparse.ArgumentParser(description="Cut the power of a machine with zdeferd on it.")
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--disks", type=int, default=2, help="side by side (default: 2)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--lying", action="store_true", help="disks that only say they synced")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += [sys.executable, "-m", "powercut", *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | {INSIDE: "1"}, check=False).returncode
    began = time.monotonic()
    results = many_disks(options.cuts, options.disks, options.seed, options.lying)
    print(report(results, time.monotonic() - began))
    return any(result.breaches for result in results)


if __name__ == "__main__":
    sys.exit(main())
