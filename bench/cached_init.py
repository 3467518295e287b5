"""Cached init: the output of a slow command, sourced at each start without running it.

Timed inside zsh, one fresh shell a sample, everything warm. The text is the output
of a real tool: some forty lines of functions. `zdefer eval` joins as soon as the shim has it.
"""

import subprocess
from pathlib import Path

from support.pty import ZSH

from .contestants import EVALCACHE, PROLOGUE, US
from .screen import number_from
from .stage import SOURCE, Stage
from .values import Figure

SOURCED, EVALUATED = "source FILE", 'eval "$(command)"'
LINES = 40


def measure(stage: Stage) -> list[Figure]:
    """Return the one figure."""
    figure = Figure(
        "cached-init",
        "Cached init",
        "ms",
        f"{LINES} functions of a tool that takes 20 ms to print them, in .zshrc",
        skipped=stage.peers.missing(EVALCACHE),
    )
    ways = _ways(stage)
    if not has_eval():
        figure.skipped[US] = "`zdefer eval` does not exist yet"
    homes = {name: _home(stage, *words) for name, words in ways.items()}
    for env, out in homes.values():
        number_from(env, out)
    samples: dict[str, list[float]] = {name: [] for name in homes}
    for name in stage.rounds(list(homes), stage.size.register_rounds):
        samples[name].append(number_from(*homes[name]))
    for name, values in samples.items():
        figure.add(name, values)
    figure.goal("over `source`, p50, ms", figure.p50(US) - figure.p50(SOURCED), 0.2)
    return [figure]


def has_eval() -> bool:
    """Whether the shim has the verb yet."""
    return "(eval)" in (SOURCE.parent / "shell/functions/zdefer").read_text()


def _ways(stage: Stage) -> dict[str, tuple[str, str]]:
    """Return for each contestant the lines before the clock starts, and the timed line."""
    tool = stage.root / "tool"
    text = "\n".join(f"tool{number}() {{ print {number} }}" for number in range(LINES))
    plain = stage.root / "tool.zsh"
    plain.write_text(text + "\n")
    subprocess.run([ZSH, "-fc", 'zcompile -R -- "$1"', "zsh", str(plain)], check=True)
    tool.write_text(f'#!{ZSH} -f\n{PROLOGUE}{stage.burn(20)}\nprint -r -- "$(<{plain})"\n')
    tool.chmod(0o755)
    ways = {SOURCED: ("", f"source {plain}"), EVALUATED: ("", f'eval "$({tool})"')}
    if EVALCACHE in stage.peers.plugins:
        ways[EVALCACHE] = (f"source {stage.peers.plugins[EVALCACHE]}", f"_evalcache {tool}")
    if has_eval():
        ways[US] = (f"source {stage.shim}/zdeferd.plugin.zsh", f"zdefer eval tool -- {tool}")
    return ways


def _home(stage: Stage, before: str, timed: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    (home / ".zshrc").write_text(
        f"{PROLOGUE}zmodload zsh/datetime\n{before}\ntypeset -F 9 t=$EPOCHREALTIME\n{timed}\n"
        f"print $(( (EPOCHREALTIME - t) * 1000 )) >{home}/out\n(( $+functions[tool1] )) && exit\n"
    )
    return env, home / "out"
