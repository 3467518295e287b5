"""Times `zdeferctl perf classify --from` and `perf trend`, whole processes.

The log has 100 values of each of four metrics; the folder of captures has 10,000, of which the
trend takes the last 20.
"""

import json
import os
from pathlib import Path

from zdeferd.perf.reading import FIRST_CHOICE, SCHEMA

from .contestants import US
from .control import process, status_words
from .stage import Stage, compare
from .values import Figure

VALUES, CAPTURES = 100, 10_000
CLASSIFY, TREND = f"{US}: classify", f"{US}: trend"
CLASSIFY_MS, TREND_MS = 150.0, 1000.0


def measure(stage: Stage) -> list[Figure]:
    """Return both figures."""
    home, env = stage.home()
    log, folder = _log(home), _captures(home)
    words = status_words()[:-1]
    evidence = ["--baseline-dir", str(home / "evidence")]
    classify = process([*words, "perf", "classify", "--from", str(log), *evidence], env)
    trend = process([*words, "perf", "trend", "--baseline-dir", str(folder)], env)
    return [
        _figure(stage, "classify", CLASSIFY, classify, CLASSIFY_MS,
                f"a log of {VALUES} values of each of four metrics"),
        _figure(stage, "trend", TREND, trend, TREND_MS, f"a folder of {CAPTURES:,} captures"),
    ]  # fmt: skip


def _figure(stage: Stage, name: str, us: str, sample, limit: float, what: str) -> Figure:  # type: ignore[no-untyped-def]
    how = f"the whole process, {what}"
    figure = Figure(f"perf-{name}", f"`zdeferctl perf {name}`", "ms", how)
    for contestant, values in compare(stage, {us: sample}, stage.size.programs).items():
        figure.add(contestant, values)
    figure.goal("p50, ms", figure.p50(us), limit)
    return figure


def _log(home: Path) -> Path:
    path = home / "perf.log"
    lines = [
        f"SEGMENT name={name} ms={300 + at % 7} phase=core sample=cold\n"
        for at in range(VALUES)
        for name in FIRST_CHOICE
    ]
    path.write_text("".join(lines))
    return path


def _captures(home: Path) -> Path:
    folder = home / "captures"
    folder.mkdir()
    for at in range(CAPTURES):
        made = {
            "schema": SCHEMA,
            "generated_at": f"2026-01-{1 + at // 1440:02}T{at // 60 % 24:02}:{at % 60:02}:00Z",
            "requested": 5,
            "samples": 5,
            "failed": 0,
            "context": "cold",
            "metrics": {f"{name}_ms": {"values": [300 + at % 7] * 5} for name in FIRST_CHOICE},
            "segments": [],
            "features": [],
        }
        (folder / f"{os.urandom(4).hex()}-{at}.json").write_text(json.dumps(made, indent=1))
    return folder
