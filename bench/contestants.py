"""The same ten jobs, as each contestant is given them: the text of a .zshrc.

A contestant is a name and the lines that hand `count` jobs over (functions job1, job2 …,
defined alike for all). A job burns CPU and then adds one byte to a file, by which the
harness sees that it was done. evalcache caches the output of a command instead of
running work later: its jobs print one assignment.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from support import pty

from .stage import BURN, Stage
from .values import FLOOR as FLOOR
from .values import US as US

FOREGROUND, ONE_FORK, FORKS = "foreground", "one ( … ) &!", "ten ( … ) &!"
ZSH_DEFER, ZSH_ASYNC, EVALCACHE = "zsh-defer", "zsh-async", "evalcache"
ALL = (FLOOR, US, ZSH_DEFER, ZSH_ASYNC, ONE_FORK, FORKS, EVALCACHE, FOREGROUND)
PROLOGUE = f"{pty.PROLOGUE}{BURN}\n"


def available(stage: Stage, wanted: Sequence[str] = ALL) -> list[str]:
    """Those of `wanted` that can be measured here."""
    return [name for name in wanted if name not in stage.peers.absent]


def zshrc(stage: Stage, name: str, jobs: int, job_ms: float, done: Path) -> str:
    """The start-up file of one contestant."""
    lines = [PROLOGUE]
    for number in range(1, jobs + 1):
        last = f"print job{number}=1" if name == EVALCACHE else f"print -n x >>{done}"
        lines.append(f"job{number}() {{ {stage.burn(job_ms)}; {last} }}")
    return "\n".join([*lines, *hand_over(stage, name, jobs), ""])


def hand_over(stage: Stage, name: str, jobs: int) -> list[str]:
    """The lines that a user of this contestant writes."""
    names = [f"job{number}" for number in range(1, jobs + 1)]
    ways: dict[str, Callable[[], list[str]]] = {
        FLOOR: list,
        FOREGROUND: lambda: names,
        ONE_FORK: lambda: [f"( {'; '.join(names)} ) &!"],
        FORKS: lambda: [f"( {name} ) &!" for name in names],
        ZSH_DEFER: lambda: _with(stage, name, [f"zsh-defer {job}" for job in names]),
        ZSH_ASYNC: lambda: _with(stage, name, _async(names)),
        EVALCACHE: lambda: _with(stage, name, [f"_evalcache {job}" for job in names]),
        US: lambda: ours(stage, names),
    }
    return ways[name]()


def ours(stage: Stage, names: Sequence[str]) -> list[str]:
    """The same for zdeferd."""
    lines = [f"source {stage.shim}/zdeferd.plugin.zsh"]
    for name in names:
        identifier = name.replace("_", "-")
        lines.append(f"zf::defer::register {identifier} {name} postprompt 'what {name} does'")
    return lines


def _with(stage: Stage, plugin: str, lines: list[str]) -> list[str]:
    return [f"source {stage.peers.plugins[plugin]}", *lines]


def _async(names: Sequence[str]) -> list[str]:
    start = ["async_init", "async_start_worker bench -n"]
    return start + [f"async_job bench {name}" for name in names]
