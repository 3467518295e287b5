"""Completion: compinit with a dump of its own, without a look (-C), and `zdefer compinit`.

Timed inside zsh, one fresh shell a sample, everything warm, the contestants in turn. fpath is
zsh's own with a folder of 500 functions in front. The dumps are there and compiled; the one of
`zdefer compinit` is made as its job makes it.
"""

import os
import subprocess
from pathlib import Path

from support.pty import ZSH

from .contestants import PROLOGUE, US
from .screen import add_numbers, number_from
from .stage import Stage
from .values import Figure

UNCHECKED, CHECKED = "compinit -C", "compinit"
FUNCTIONS = 500
AUTOLOAD = "autoload -Uz compinit"
MAKE = """
zdefer compinit
words=("${(@ps:\\0:)_zdeferd_queue[-1]}") dump=${${(M)words:#output=*}#output=}
(umask 077; mkdir -p $dump:h)
"${(@)words[${words[(ie)--]}+1,-1]}" >$dump && zcompile -UR $dump
"""


def measure(stage: Stage) -> list[Figure]:
    """Return the one figure."""
    what = f"completion in .zshrc, with {FUNCTIONS} functions besides zsh's own; dumps are there"
    figure = Figure("compinit", "compinit", "ms", what)
    homes = {name: _home(stage, *words) for name, words in _ways(stage).items()}
    for env, out in homes.values():
        number_from(env, out)
    add_numbers(figure, stage, homes, stage.size.register_rounds)
    figure.goal("over `compinit -C`, p50, ms", figure.p50(US) - figure.p50(UNCHECKED), 1.0)
    return [figure]


def _ways(stage: Stage) -> dict[str, tuple[str, str, str]]:
    """Return of each contestant its preparation, the lines before the clock, the timed line."""
    plugin = f"source {stage.shim}/zdeferd.plugin.zsh"
    own = f"{AUTOLOAD}; compinit; zcompile -R $_comp_dumpfile"
    return {
        UNCHECKED: (own, "", f"{AUTOLOAD}; compinit -C"),
        CHECKED: (own, "", f"{AUTOLOAD}; compinit"),
        US: (plugin + MAKE, plugin, "zdefer compinit"),
    }


def _home(stage: Stage, prepare: str, before: str, timed: str) -> tuple[dict[str, str], Path]:
    home, env = stage.home()
    folder = stage.root / "completions"
    if not folder.exists():
        folder.mkdir(mode=0o755)
        for number in range(FUNCTIONS):
            (folder / f"_many{number}").write_text(f"#compdef many{number}\n_default\n")
    fpath = f"fpath=({folder} $fpath)\n"
    script = home / "prepare.zsh"
    script.write_text(f"{fpath}{prepare}\n")
    subprocess.run([ZSH, "-df", script], env={**os.environ, **env}, check=True, timeout=60)
    (home / ".zshrc").write_text(
        f"{PROLOGUE}{fpath}zmodload zsh/datetime\n{before}\n"
        f"typeset -F 9 t=$EPOCHREALTIME\n{timed}\n"
        f"print $(( (EPOCHREALTIME - t) * 1000 )) >{home}/out\n"
        f"(( $#_comps > {FUNCTIONS} )) && exit\n"
    )
    return env, home / "out"
