"""Times 20 segments of a start-up, from inside zsh: without a log, plain, and with the sidecar.

Each sample is one fresh shell that times 20 new labels with EPOCHREALTIME, the first of them
included, which reads the file of segments. The floor is 40 calls of an empty function: nothing
written in zsh can undercut it. Goals: 1 ms plain, 2 ms with the sidecar.
"""

from pathlib import Path

from .screen import add_numbers
from .stage import Stage
from .values import Figure

EMPTY, OFF = "empty calls", "no log"
PLAIN, STRUCTURED = "plain", "with sidecar"
SEGMENTS = 20


def measure(stage: Stage) -> list[Figure]:
    """Segments of a start-up."""
    figure = Figure(
        "segments",
        f"{SEGMENTS} segments of a start-up",
        "ms",
        f"EPOCHREALTIME inside zsh around start and end of {SEGMENTS} labels, one shell a sample",
    )
    calls = "zf::segment::start part-$i; zf::segment::end part-$i"
    log = "PERF_SEGMENT_LOG=$HOME/seg.log"
    shim = f"source {stage.shim}/zdeferd.plugin.zsh"
    ways = {
        EMPTY: ("empty() { }", "empty part-$i; empty part-$i"),
        OFF: (shim, calls),
        PLAIN: (f"{shim}; {log}", calls),
        STRUCTURED: (f"{shim}; {log} ZSH_LOG_STRUCTURED=1", calls),
    }
    homes = {name: _home(stage, *words) for name, words in ways.items()}
    add_numbers(figure, stage, homes, stage.size.shells)
    figure.goal("plain, p50, ms", figure.p50(PLAIN), 1)
    figure.goal("with sidecar, p50, ms", figure.p50(STRUCTURED), 2)
    return [figure]


def _home(stage: Stage, before: str, repeated: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    (home / ".zshrc").write_text(
        f"zmodload zsh/datetime\n{before}\ninteger i\ntypeset -F 9 t=$EPOCHREALTIME\n"
        f"for (( i = 0; i < {SEGMENTS}; ++i )) do {repeated}; done\n"
        f"print $(( (EPOCHREALTIME - t) * 1e3 )) >{home}/out\nexit\n"
    )
    return env, home / "out"
