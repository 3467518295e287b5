"""`python -m bench`: measure, and write the results.

    python -m bench [--quick] [--peers FOLDER] [--no-fetch] [--no-write] [FAMILY …]

A full run writes bench/results/latest.json and latest.md, the pictures, and the summary in
docs/benchmarks.md; a run of some families replaces only theirs. A quick run measures next
to nothing, to check that everything works, and writes to build/bench/quick only. A family
that fails is named and the others are measured; the exit code is then 1. Ctrl-C ends the
run and keeps what was measured.
"""

import argparse
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import report
from .stage import QUICK, Size, Stage
from .values import Figure, figure_of

FAMILIES = (
    "prompt",
    "typing_lag",
    "here",
    "registering",
    "segments",
    "features",
    "cached_init",
    "compinit",
    "demo",
    "publication",
    "handover",
    "runs",
    "survival",
    "storm",
    "rest",
    "top",
    "conditions",
    "control",
    "growth",
    "governance",
)
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/results/latest.json"
TABLES = RESULTS.with_suffix(".md")
PAGE, PLOTS = ROOT / "docs/benchmarks.md", ROOT / "docs/benchmarks"
QUICK_RESULTS = ROOT / "build/bench/quick"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    options = _parser().parse_args(arguments)
    names = options.family or list(FAMILIES)
    size = QUICK if options.quick else Size()
    folder = Path(options.peers).resolve() if options.peers else None
    with Stage(size, folder, fetch=not options.no_fetch, say=_say) as stage:
        _say(f"{', '.join(names)}; load average {os.getloadavg()[0]:.1f}")
        for name, why in sorted(stage.peers.absent.items()):
            _say(f"without {name}: {why}")
        figures, families, failed = measure(stage, names)
        results = report.document(figures, families, stage.peers.absent, options.quick)
    if not options.no_write:
        _write(results, options.quick)
    for name in failed:
        _say(f"failed: {name}")
    return 1 if failed else 0


def measure(stage: Stage, names: Sequence[str]) -> tuple[list[Figure], dict[str, Any], list[str]]:
    """The figures of these families, when each was measured, and which of them failed."""
    figures: list[Figure] = []
    families: dict[str, Any] = {}
    failed = []
    for name in names:
        began, load = time.time(), os.getloadavg()[0]
        stage.calibrate()
        try:
            made = importlib.import_module(f"bench.{name}").measure(stage)
        except KeyboardInterrupt:
            failed.append(name)
            break  # the families measured until now are kept
        except Exception:  # noqa: BLE001 - the other families can be measured all the same
            traceback.print_exc()
            failed.append(name)
            continue
        families[name] = report.family_facts(began, load)
        figures += made
        for figure in made:
            stage.say("\n".join(report.text_lines(figure)))
        stage.say(f"\n{name}: {families[name]}")
    return figures, families, failed


def _write(results: dict[str, Any], quick: bool) -> None:
    if quick:
        report.write_json(QUICK_RESULTS / "latest.json", results)
        report.write_plots(QUICK_RESULTS, [figure_of(one) for one in results["figures"]])
        return
    if RESULTS.exists():
        results = report.merged(json.loads(RESULTS.read_text()), results)
    figures = [figure_of(one) for one in results["figures"]]
    report.write_json(RESULTS, results)
    report.write_plots(PLOTS, figures)
    TABLES.write_text(report.tables(results))
    PAGE.write_text(report.filled(PAGE.read_text(), results))


def _parser() -> argparse.ArgumentParser:
    what = "Measure zdeferd beside what it replaces."
    parser = argparse.ArgumentParser(prog="bench", description=what)
    parser.add_argument("--quick", action="store_true", help="tiny counts; for its own health")
    parser.add_argument(
        "--peers", metavar="FOLDER", help="zsh-defer, zsh-async, evalcache, zinit in it"
    )
    parser.add_argument("--no-fetch", action="store_true", help="install no peer from a registry")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("family", nargs="*", choices=[[], *FAMILIES], help="default: all")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
