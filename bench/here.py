"""Typing lag while commands run in the shell itself, one after the other: from a key to its echo.

Ten commands of 200 ms CPU, with keys sent every 20 to 40 ms as a person types; and twenty of 5 ms,
with keys every 5 to 10 ms, so that they meet commands at all. Beside zsh-defer and zinit's turbo
mode, which run theirs in the shell too. The floor is a shell that runs none.
"""

from collections.abc import Callable
from pathlib import Path

from . import contestants
from .contestants import FLOOR, US, ZSH_DEFER
from .stage import Stage
from .typing_lag import session
from .values import Figure

ZINIT = "zinit turbo"
CONTESTANTS = (FLOOR, US, ZSH_DEFER, ZINIT)
LONG, SHORT = (10, 200.0), (20, 5.0)
"""How many commands, of how many milliseconds."""
LONG_EVERY_S, SHORT_EVERY_S = (0.020, 0.040), (0.005, 0.010)
SHORT_KEYS = 20


def measure(stage: Stage) -> list[Figure]:
    """Return a figure for long and one for short commands."""
    long = _figure(stage, "here-typing", LONG, "keys sent every 20 to 40 ms")
    _fill(stage, long, LONG, stage.size.keys, LONG_EVERY_S, stage.size.typing_rounds)
    if (row := long.row(US)) is not None:
        long.goal("p50, ms", row.p50, 110)
        long.goal("most, ms", row.most, 260)
    short = _figure(stage, "here-short", SHORT, "keys sent every 5 to 10 ms")
    keys = min(stage.size.keys, SHORT_KEYS)
    _fill(stage, short, SHORT, keys, SHORT_EVERY_S, 4 * stage.size.typing_rounds)
    if (row := short.row(US)) is not None:
        short.goal("p95, ms", row.p95, 8)
    return [long, short]


def _figure(stage: Stage, name: str, work: tuple[int, float], how: str) -> Figure:
    title = f"Typing lag while {work[0]} commands of {work[1]:g} ms run in the shell"
    skipped = stage.peers.missing(ZSH_DEFER)
    if "zinit" in stage.peers.absent:
        skipped[ZINIT] = stage.peers.absent["zinit"]
    return Figure(
        name, title, "ms", f"key to echo, {how} from the first prompt on", skipped=skipped
    )


def _fill(
    stage: Stage,
    figure: Figure,
    work: tuple[int, float],
    keys: int,
    every_s: tuple[float, float],
    rounds: int,
) -> None:
    names = [name for name in CONTESTANTS if name not in figure.skipped]
    homes = {name: _home(stage, name, *work) for name in names}
    lags: dict[str, list[float]] = {name: [] for name in names}
    for name in stage.rounds(names, rounds):
        pauses = [stage.order.uniform(*every_s) for _ in range(keys)]
        lags[name] += session(*homes[name], pauses, 0 if name == FLOOR else work[0])
    for name in names:
        figure.add(name, lags[name])


def _home(stage: Stage, name: str, count: int, ms: float) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    if name == US:
        env |= {"ZDEFERD_SOCKET": str(stage.daemon().socket)}
    jobs = [f"job{number}" for number in range(1, count + 1)]
    bodies = [f"{job}() {{ {stage.burn(ms)}; print -n x >>{home}/done }}" for job in jobs]
    ways: dict[str, Callable[[], list[str]]] = {
        FLOOR: list,
        US: lambda: [
            f"source {stage.shim}/zdeferd.plugin.zsh",
            *(f"zdefer here {job}" for job in jobs),
        ],
        ZSH_DEFER: lambda: [
            f"source {stage.peers.plugins[ZSH_DEFER]}",
            *(f"zsh-defer {job}" for job in jobs),
        ],
        ZINIT: lambda: _zinit(stage, home, jobs),
    }
    lines = [contestants.PROLOGUE, *bodies, *ways[name](), ""]
    (home / ".zshrc").write_text("\n".join(lines))
    return env, home / "done"


def _zinit(stage: Stage, home: Path, jobs: list[str]) -> list[str]:
    """Each command is what an empty plugin of the user's own runs when it is loaded."""
    lines = [f"typeset -A ZINIT=(HOME_DIR {home}/zinit)", f"source {stage.peers.plugins['zinit']}"]
    for job in jobs:
        folder = home / f"plugin-{job}"
        folder.mkdir()
        (folder / f"plugin-{job}.plugin.zsh").write_text(":\n")
        lines.append(f"zinit ice wait'0' lucid nocd atload'{job}'; zinit light {folder}")
    return lines
