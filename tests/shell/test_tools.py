"""`zdefer eval` in place of `eval "$(…)"` with real tools: the two shells are equal.

Each tool that is installed is compared, with no cache and with one; the others are skipped by name.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell.conftest import PLUGIN

from zdeferd.attempts import checks

PATH = f"{os.environ['PATH']}:{Path(sys.executable).parent}"
TOOLS = {
    "dircolors": "dircolors -b",
    "direnv": "direnv hook zsh",
    "fzf": "fzf --zsh",
    "fzf-keys": "cat /usr/share/doc/fzf/examples/key-bindings.zsh",
    "gh": "gh completion -s zsh",
    "just": "just --completions zsh",
    "kubectl": "kubectl completion zsh",
    "mise": "mise activate zsh",
    "npm": "npm completion",
    "pip": "python3 -m pip completion --zsh",
    "poetry": "poetry completions zsh",
    "pyenv": "pyenv init - zsh",
    "ruff": "ruff generate-shell-completion zsh",
    "starship": "starship init zsh --print-full-init",
    "thefuck": "thefuck --alias",
    "uv": "uv generate-shell-completion zsh",
    "zoxide": "zoxide init zsh",
}
OWN = """
_zdeferd* _ [#?$!*@0-] argv pipestatus status RANDOM SECONDS EPOCH* LINENO TTYIDLE
ZSH_EVAL_CONTEXT zsh_eval_context funcstack funcfiletrace funcsourcetrace functrace
options parameters builtins commands modules functions* aliases galiases saliases dis_*
history historywords jobstates jobdirs jobtexts keymaps widgets nameddirs userdirs
usergroups patchars reswords errnos sysparams terminfo termcap langinfo zle* LINES
COLUMNS PPID SHLVL OLDPWD ZSH_SUBSHELL mapfile epochtime zutil* ZSH_DEBUG_CMD
ZSH_EXECUTION_STRING"""
"""Parameters that are zsh's own, or differ in any two shells."""
STATE = """
print -r -- "status $?"
functions -- ${(ok)functions:#(zdefer*|.zdefer*|_zdefer*|caller|cat)}
alias -L; alias -gL; alias -sL; setopt; hash -d
typeset -p -- ${(ok)parameters:#(OWN)} 2>&1
for map in $(bindkey -l); do print -r -- "keymap $map"; bindkey -M $map -L; done
zle -lL; zmodload
print -rl -- ${(kv)_comps} | sort""".replace("OWN", "|".join(OWN.split()))


def environment(home: Path) -> dict[str, str]:
    """The environment of both shells and of the tools."""
    return {"HOME": str(home), "PATH": PATH, "LANG": "C.UTF-8", "TERM": "xterm"}


def state(home: Path, line: str) -> str:
    """All of a shell's state after a line."""
    code = f"source {PLUGIN}\nautoload -Uz compinit\ncompinit -D -u\n{line}\n{STATE}"
    done = subprocess.run(
        ["zsh", "-d", "-f", "-i", "-c", code],
        env=environment(home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=200,
    )
    assert "compdef" in done.stdout
    return re.sub(r"\b(direnv|[0-9]{6,})-?[0-9]{6,}\b", "N", done.stdout)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_shell_is_as_after_eval(tool: str, home: Path) -> None:
    program, *words = TOOLS[tool].split()
    if not shutil.which(program, path=PATH):
        pytest.skip(f"not installed: {program}")
    # As in a job, whose parent is a zsh: thefuck asks which shell has called it.
    made = subprocess.run(
        ["zsh", "-fc", '"$@"; exit', "zsh", program, *words],
        env=environment(home),
        cwd=home,
        capture_output=True,
        check=False,
        timeout=200,
    )
    if made.returncode or not made.stdout:
        pytest.skip(f"prints nothing here: {TOOLS[tool]}")
    expected = state(home, f'eval "$({TOOLS[tool]})"')
    assert state(home, f"zdefer eval -n tool {TOOLS[tool]}") == expected
    folder = home / ".cache/zdeferd/init"
    folder.mkdir(mode=0o700, parents=True)
    cache = folder / "tool.zsh"
    cache.write_bytes(made.stdout)
    cache.chmod(checks.mode("init", "/bin/zsh", str(cache), 0))
    subprocess.run(["zsh", "-fc", 'zcompile -U -R "$1"', "zsh", cache], check=True, timeout=200)
    assert state(home, "zdefer eval -n tool none") == expected
