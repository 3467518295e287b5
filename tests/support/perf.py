"""Logs and captures as files, and `zdeferctl perf` with an evidence folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support.user import Result, User, call

from zdeferd.perf.reading import SCHEMA

STEADY = {
    "prompt_ready": [334, 336, 335, 334, 336],
    "pre_plugin_total": [100, 101, 100, 99, 100],
    "post_plugin_total": [200, 201, 200, 199, 200],
    "deferred_total": [0, 0, 0, 0, 0],
}
"""Five cold starts that differ little."""
SYNTHETIC = "#SYNTHETIC_FALLBACK_INSERTED=1\n"


def log_file(path: Path, values: dict[str, list[int]], extra: str = "") -> str:
    """A log with these values; -> its path."""
    lines = [
        f"SEGMENT name={name} ms={ms} phase=core sample=cold\n"
        for name, found in values.items()
        for ms in found
    ]
    path.write_text("".join(lines) + extra)
    return str(path)


def capture_file(
    path: Path,
    metrics: dict[str, Sequence[float]],
    generated_at: str = "2026-01-01T00:00:00Z",
    samples: int = 5,
    **changes: Any,
) -> str:
    """A capture with these values; -> its path."""
    document = {
        "schema": SCHEMA,
        "generated_at": generated_at,
        "requested": samples,
        "samples": samples,
        "failed": 0,
        "context": "cold",
        "metrics": {f"{name}_ms": {"values": list(found)} for name, found in metrics.items()},
        "segments": [],
        "features": [],
    }
    path.write_text(json.dumps(document | changes))
    return str(path)


class Evidence:
    """An evidence folder, and runs judged against it."""

    def __init__(self, user: User) -> None:
        self.root = user.root
        self.folder = user.root / "evidence"

    def perf(self, verb: str, *words: str) -> Result:
        """A verb of `zdeferctl perf` with the folder."""
        return call("perf", verb, *words, "--baseline-dir", str(self.folder))

    def classify(
        self, *words: str, extra: str = "", scale: float = 1, **changes: list[int]
    ) -> Result:
        """Judge a log of steady values, all times `scale`, with changes; [] leaves one out."""
        values = {name: [round(ms * scale) for ms in found] for name, found in STEADY.items()}
        values = {name: found for name, found in (values | changes).items() if found}
        source = log_file(self.root / "perf.log", values, extra)
        return self.perf("classify", "--from", source, *words)

    def status(self, *words: str, **changes: Any) -> Any:
        """The status document of such a run."""
        return self.classify(*words, "--json", **changes).document

    @property
    def state(self) -> Any:
        """What the folder remembers."""
        return json.loads((self.folder / "perf-state.json").read_text())

    def baseline(self, metric: str) -> Any:
        """A baseline's file."""
        return json.loads((self.folder / f"{metric}-baseline.json").read_text())
