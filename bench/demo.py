"""The second act of `zdeferctl demo`: the first prompt of one .zshrc, as it was and with zdefer.

The program measures by itself, in turns, with all caches warm; its document has the times.
"""

import json
import os
import subprocess
import sys
from typing import Any

from .contestants import US
from .stage import SOURCE, Stage
from .values import Figure

BEFORE = "the .zshrc as it was"
LIMIT_S = 180.0


def measure(stage: Stage) -> list[Figure]:
    """Return the one figure."""
    what = "first prompt: compinit, the init code of 4 tools, 2 plugins"
    figure = Figure("demo", "The demo's .zshrc", "ms", what)
    before: list[float] = []
    after: list[float] = []
    for _ in range(stage.size.demos):
        act = _second_act()
        before += act["before_ms"]
        after += act["after_ms"]
    figure.add(BEFORE, before)
    figure.add(US, after)
    figure.goal("over the .zshrc as it was, p50", figure.p50(US) / figure.p50(BEFORE), 0.25)
    return [figure]


def _second_act() -> Any:
    """Play the demo to its end; return what its document says of the second act."""
    done = subprocess.run(
        [sys.executable, "-m", "zdeferd.cli", "demo", "--json"],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=LIMIT_S,
    )
    return json.loads(done.stdout)["second_act"]
