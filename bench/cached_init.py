"""Cached init: the output of slow commands, sourced at each start without running them.

Timed inside zsh, one fresh shell a sample, everything warm, the contestants in turn. Each text is
like the output of a real tool: some forty functions. The commands take 20 ms to print them.
"""

import subprocess
from pathlib import Path

from support.pty import ZSH

from .contestants import EVALCACHE, PROLOGUE, US
from .screen import add_numbers, number_from
from .stage import Stage
from .values import Figure

SOURCED, EVALUATED = "source FILE", 'eval "$(command)"'
LINES, SEVERAL = 40, 10


def measure(stage: Stage) -> list[Figure]:
    """Return the figures: one init, and several."""
    return [
        _figure(stage, "cached-init", "Cached init", 1, 0.2),
        _figure(stage, "cached-inits", "Ten cached inits", SEVERAL, 2.0),
    ]


def _figure(stage: Stage, name: str, title: str, number: int, goal_ms: float) -> Figure:
    what = f"{LINES} functions that a command takes 20 ms to print, in .zshrc"
    if number > 1:
        what += f"; {number} such commands"
    skipped = stage.peers.missing(EVALCACHE)
    figure = Figure(name, title, "ms", what, skipped=skipped)
    ways = _ways(stage, number)
    homes = {way: _home(stage, number, *words) for way, words in ways.items()}
    for env, out in homes.values():
        number_from(env, out)
    add_numbers(figure, stage, homes, stage.size.register_rounds)
    figure.goal("over `source`, p50, ms", figure.p50(US) - figure.p50(SOURCED), goal_ms)
    return figure


def _ways(stage: Stage, number: int) -> dict[str, tuple[str, str]]:
    """Return for each contestant the lines before the clock starts, and the timed lines."""
    tools = [_tool(stage, index) for index in range(number)]

    def lines(form: str) -> str:
        return "\n".join(
            form.format(tool=tool, plain=f"{tool}.zsh", name=tool.name) for tool in tools
        )

    ways = {
        SOURCED: ("", lines("source {plain}")),
        EVALUATED: ("", lines('eval "$({tool})"')),
        US: (f"source {stage.shim}/zdeferd.plugin.zsh", lines("zdefer eval -n {name} {tool}")),
    }
    if EVALCACHE in stage.peers.plugins:
        ways[EVALCACHE] = (f"source {stage.peers.plugins[EVALCACHE]}", lines("_evalcache {tool}"))
    return ways


def _tool(stage: Stage, index: int) -> Path:
    """Make the program and, beside it, a compiled file of what it prints."""
    tool = stage.root / f"tool{index}"
    text = "\n".join(f"tool{index}-{line}() {{ print {line} }}" for line in range(LINES))
    plain = Path(f"{tool}.zsh")
    plain.write_text(text + "\n")
    _compile(plain)
    tool.write_text(f'#!{ZSH} -f\n{PROLOGUE}{stage.burn(20)}\nprint -r -- "$(<{plain})"\n')
    tool.chmod(0o755)
    return tool


def _compile(file: Path) -> None:
    subprocess.run([ZSH, "-fc", 'zcompile -UR -- "$1"', "zsh", str(file)], check=True)


def _home(stage: Stage, number: int, before: str, timed: str) -> tuple[dict[str, str], Path]:
    """Make a home with the lines in .zshrc and the caches as the daemon leaves them."""
    home, env = stage.home()
    folder = home / ".cache/zdeferd/init"
    folder.mkdir(mode=0o700, parents=True)
    for index in range(number):
        cache = folder / f"tool{index}.zsh"
        cache.write_bytes((stage.root / f"tool{index}.zsh").read_bytes())
        cache.chmod(0o600)
        _compile(cache)
    (home / ".zshrc").write_text(
        f"{PROLOGUE}zmodload zsh/datetime\n{before}\ntypeset -F 9 t=$EPOCHREALTIME\n{timed}\n"
        f"print $(( (EPOCHREALTIME - t) * 1000 )) >{home}/out\n"
        f"(( $+functions[tool{number - 1}-1] )) && exit\n"
    )
    return env, home / "out"
