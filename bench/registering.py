"""Times the shim before the prompt, from inside zsh: sourcing it, and registering.

Both are loops in a .zshrc under an interactive zsh, timed with EPOCHREALTIME, one fresh
shell a sample. Every start pays for the path (goal: at most 0.3 ms): sourcing the
plugin, and its one precmd. A registration is compared with calling an empty function with
the same words, which nothing written in zsh can undercut.
"""

from collections.abc import Callable
from pathlib import Path

from . import contestants
from .contestants import PROLOGUE, US, ZSH_ASYNC, ZSH_DEFER
from .screen import PROMPT, Screen, add_numbers
from .stage import Stage
from .values import Figure

EMPTY = "empty call"
ADD = "zdefer add"
FORK = "( … ) &!"
COMPILED = "empty file"
MARKS = "typeset -ga marks; mark() { marks+=($EPOCHREALTIME) }; zmodload zsh/datetime"


def measure(stage: Stage) -> list[Figure]:
    """The prompt's path, and registering."""
    return [_path(stage), _register(stage)]


# --- the prompt's path ---------------------------------------------------------


def _path(stage: Stage) -> Figure:
    figure = Figure(
        "prompt-path",
        "What sourcing and the first precmd cost",
        "ms",
        "EPOCHREALTIME inside zsh around `source` and around the plugin's own precmd,"
        " nothing registered; ZLE is loaded, as by any .zshrc that binds a key",
        skipped=stage.peers.missing(ZSH_DEFER, ZSH_ASYNC),
    )
    empty = stage.root / "empty.zsh"
    empty.write_text("\n")
    sources = {COMPILED: f"source {empty}", US: f"source {stage.shim}/zdeferd.plugin.zsh"}
    for name in (ZSH_DEFER, ZSH_ASYNC):
        if name in stage.peers.plugins:
            start = "; async_init; async_start_worker bench -n" if name == ZSH_ASYNC else ""
            sources[name] = f"source {stage.peers.plugins[name]}{start}"
    ways = {name: _path_home(stage, source) for name, source in sources.items()}
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for name in stage.rounds(list(ways), stage.size.shells):
        samples[name].append(_path_sample(*ways[name]))
    for name, values in samples.items():
        figure.add(name, values)
    figure.goal("p50, ms", figure.p50(US), 0.3)
    return figure


def _path_home(stage: Stage, source: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    (home / ".zshrc").write_text(
        f"{PROLOGUE}bindkey -e\n{MARKS}\nprecmd_functions=(mark)\nmark; {source}; mark\n"
        f"report() {{ mark; print $marks >{home}/out }}\nprecmd_functions+=(report)\n"
    )
    return env, home / "out"


def _path_sample(env: dict[str, str], out: Path) -> float:
    with Screen(env) as screen:
        screen.see(PROMPT)
    before, after, first, last = map(float, out.read_text().split())
    out.unlink()
    return (after - before + last - first) * 1000


# --- registering ---------------------------------------------------------------


def _register(stage: Stage) -> Figure:
    figure = Figure(
        "register",
        "Registering a job, before the prompt",
        "µs",
        f"a loop of {stage.size.registrations} in .zshrc, one shell a sample",
        skipped=stage.peers.missing(ZSH_DEFER, ZSH_ASYNC),
    )
    ways = {name: _loop_home(stage, *words) for name, words in _loops(stage).items()}
    add_numbers(figure, stage, ways, stage.size.register_rounds)
    figure.goal("over an empty call, p50, µs", figure.p50(US) - figure.p50(EMPTY), 10)
    figure.goal("beside zsh-defer, p50, µs", figure.p50(US), figure.p50(ZSH_DEFER))
    return figure


def _loops(stage: Stage) -> dict[str, tuple[str, str]]:
    """Return for each contestant the lines before the loop, and the line repeated with $i."""
    shim = f"source {stage.shim}/zdeferd.plugin.zsh"
    words = "job-$i work postprompt 'what it does'"
    loops = {
        EMPTY: ("empty() { }", f"empty {words}"),
        US: (shim, f"zf::defer::register {words}"),
        ADD: (shim, "zdefer add job-$i -- work"),
        FORK: ("", "( work ) &!"),
    }
    plugins: dict[str, Callable[[str], tuple[str, str]]] = {
        ZSH_DEFER: lambda path: (f"source {path}", "zsh-defer work"),
        ZSH_ASYNC: lambda path: (
            f"source {path}; async_init; async_start_worker bench -n",
            "async_job bench work",
        ),
    }
    for name, way in plugins.items():
        if name in stage.peers.plugins:
            loops[name] = way(str(stage.peers.plugins[name]))
    return loops


def _loop_home(stage: Stage, before: str, repeated: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    count = stage.size.registrations
    (home / ".zshrc").write_text(
        f"{contestants.PROLOGUE}zmodload zsh/datetime\nwork() {{ : }}\n{before}\ninteger i\n"
        f"typeset -F 9 t=$EPOCHREALTIME\nfor (( i = 0; i < {count}; ++i )) do {repeated}; done\n"
        f"print $(( (EPOCHREALTIME - t) * 1e6 / {count} )) >{home}/out\nexit\n"
    )
    return env, home / "out"
