"""Plays the second act of `zdeferctl demo`: one .zshrc as people write it, and with zdefer.

Both have compinit, four tools whose init code is evaluated, and two plugins. The tools and plugins
are stand-ins that do real work: a tool is a Python program that prints forty functions, a plugin
fills a table and wraps widgets. Each way has a ZDOTDIR of its own. All caches are warm before the
first prompts are measured: compinit's own dump, the dump and the caches of zdefer.
"""

from __future__ import annotations

import statistics
import sys

from ...errors import ZdeferdError
from ...ledger.reading import reading
from ...view.render import Style, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .stage import Stage

    Document = dict[str, Any]

TOOLS = ("prompt-tool", "jump-tool", "version-tool", "cloud-tool")
PLUGINS = ("suggestions", "highlighting")
ROUNDS = 5
LIMIT_S = 120.0
BEFORE, AFTER = "before", "after"
_TOOL = """\
#!{python}
import argparse, json

parser = argparse.ArgumentParser()
parser.add_argument("words", nargs="*")
parser.parse_args()
for number in range(40):
    print(f"{name}-{{number}}() {{{{ print -r -- {{json.dumps(number)}} }}}}")
"""
_PLUGIN = """\
typeset -gA demo_{name}
for number in {{1..2000}}; do demo_{name}[word-$number]=$(( number * 7 % 256 )); done
demo-{name}-wrapped() {{ zle .$WIDGET; }}
for widget in self-insert backward-delete-char; do zle -N $widget demo-{name}-wrapped; done
"""
_HEAD = """\
PROMPT='{prompt}'
path=(~/bin $path)
fpath=(~/completions $fpath)
"""


def furnish(stage: Stage, prompt: str, plugin: str) -> None:
    """Write tools, plugins, completion functions, and the two start-up files."""
    for name in TOOLS:
        stage.write(f"bin/{name}", _TOOL.format(python=sys.executable, name=name), 0o700)
    for name in PLUGINS:
        stage.write(f"plugins/{name}.zsh", _PLUGIN.format(name=name))
    for number in range(100):
        stage.write(f"completions/_demo{number}", f"#compdef demo{number}\n_default\n")
    head = _HEAD.format(prompt=prompt)
    stage.write(f"{BEFORE}/.zshrc", head + "\n".join(_before()) + "\n")
    stage.write(f"{AFTER}/.zshrc", f"{head}source {plugin}\n" + "\n".join(_after()) + "\n")


def _before() -> list[str]:
    tools = [f'eval "$({name} init)"' for name in TOOLS]
    plugins = [f"source ~/plugins/{name}.zsh" for name in PLUGINS]
    return ["autoload -Uz compinit && compinit", *tools, *plugins]


def _after() -> list[str]:
    tools = [f"zdefer eval {name} init" for name in TOOLS]
    plugins = [f"zdefer here -n {name} -- source ~/plugins/{name}.zsh" for name in PLUGINS]
    return ["zdefer compinit", *tools, *plugins]


def play(stage: Stage, prompt: str) -> Document:
    """Return the times to the first prompts of both ways, in ms, in the order of measuring."""
    for way in (BEFORE, AFTER):
        _prompt_ms(stage, prompt, way, len(TOOLS) + 1 if way == AFTER else 0)
    found: dict[str, list[float]] = {BEFORE: [], AFTER: []}
    for _ in range(ROUNDS):
        for way, times in found.items():
            times.append(_prompt_ms(stage, prompt, way))
    medians = {way: statistics.median(times) for way, times in found.items()}
    return {
        "before_ms": [round(ms, 1) for ms in found[BEFORE]],
        "after_ms": [round(ms, 1) for ms in found[AFTER]],
        "ratio": round(medians[AFTER] / medians[BEFORE], 3),
    }


def _prompt_ms(stage: Stage, prompt: str, way: str, caches: int = 0) -> float:
    """Open one shell; return when its prompt came, once so many caches have been made."""
    shell = stage.open_shells(1, prompt, ZDOTDIR=f"{stage.home}/{way}")[0]
    for _ in stage.watch(LIMIT_S):
        if shell.prompt_ms and _made(stage) >= caches:
            stage.close_shells()
            return shell.prompt_ms
    raise ZdeferdError(f"demo: the prompt or the caches did not come within {LIMIT_S:.0f} s")


def _made(stage: Stage) -> int:
    with reading(stage.paths.ledger) as view:
        runs = view.runs(limit=1000)
    kept = [run for run in runs if run["job"].startswith(("eval-", "compinit-"))]
    return sum(run["outcome"] == "succeeded" for run in kept)


def text(found: Document, style: Style) -> list[str]:
    """Return the lines of the second act."""
    rows = [_row("as it was", found["before_ms"]), _row("with zdefer", found["after_ms"])]
    return [
        f"Second act: a .zshrc with compinit, {len(TOOLS)} tools and {len(PLUGINS)} plugins.",
        "",
        table(("FIRST PROMPT", "MEDIAN", "FASTEST", "SLOWEST"), rows, style, frozenset({1, 2, 3})),
        "",
        f"With zdefer compinit, eval and here: {100 * found['ratio']:.0f} % of the time.",
    ]


def _row(name: str, times: list[float]) -> list[str]:
    return [name, *(f"{ms:.0f} ms" for ms in (statistics.median(times), min(times), max(times)))]
