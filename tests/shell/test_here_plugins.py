"""Plugins in real use, loaded by `zdefer here` and by its zsh-defer: they work, and say nothing.

zsh-autosuggestions and zsh-syntax-highlighting as Debian's packages; those and the others also from
the folder that PEERS names, one sub-folder each as their repositories are called. What is absent is
skipped by name.
"""

import os
import re
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import wait_until
from shell.test_here import LAST, settled
from support.pty import PROMPT

PLACES = (os.environ.get("PEERS", ""), "/usr/share")
WAYS = {"here": "zdefer here", "zsh-defer": "zdefer here --zsh-defer; zsh-defer"}


def plugin(path: str) -> Path:
    """The file of a plugin; skips the test where there is none."""
    for place in filter(None, PLACES):
        if (found := Path(place) / path).is_file():
            return found
    pytest.skip(f"{path} is neither below /usr/share nor below PEERS=")


@pytest.mark.parametrize("way", WAYS)
def test_autosuggestions(way: str, home: Path, start: Start) -> None:
    file = plugin("zsh-autosuggestions/zsh-autosuggestions.zsh")
    shell = start(f"print -s 'echo suggested words'\n{WAYS[way]} source {file}\n{LAST}")
    settled(shell, home)
    shell.type("echo su")
    shell.expect("ggested words")
    shell.type("\x05\r")  # ^E takes the suggestion
    shell.expect(r"\nsuggested words\n")


@pytest.mark.parametrize("way", WAYS)
def test_syntax_highlighting(way: str, home: Path, start: Start) -> None:
    file = plugin("zsh-syntax-highlighting/zsh-syntax-highlighting.zsh")
    shell = start(f"{WAYS[way]} source {file}\n{LAST}")
    settled(shell, home)
    shell.type("no-such-command")
    wait_until(lambda: bool(shell.read(0.1)) and b"\x1b[31m" in shell.raw, "it turns red")


def test_both_keep_what_is_typed_meanwhile(home: Path, start: Start) -> None:
    files = [
        plugin("zsh-autosuggestions/zsh-autosuggestions.zsh"),
        plugin("zsh-syntax-highlighting/zsh-syntax-highlighting.zsh"),
    ]
    wait = f"while [[ ! -e {home}/go ]]; do zselect -t 1; done"
    lines = [
        f"zmodload zsh/zselect; zdefer here '{wait}'",
        *(f"zdefer here source {f}" for f in files),
    ]
    shell = start("\n".join([*lines, LAST]))
    shell.prompt()
    shell.type("print -r -- ty''")
    (home / "go").touch()
    settled(shell, home)
    shell.type("ped\r")
    shell.expect(r"\ntyped\n")


def test_fzf_tab(home: Path, start: Start) -> None:
    file = plugin("fzf-tab/fzf-tab.plugin.zsh")
    shell = start(
        f"zdefer here 'autoload -Uz compinit; compinit -u -D'\nzdefer here source {file}\n{LAST}"
    )
    settled(shell, home)
    assert shell.ask("$widgets[fzf-tab-complete] ${(Mw)$(bindkey '^I'):#fzf*}") == (
        "user:fzf-tab-complete fzf-tab-complete"
    )
    shell.type("print -r -- $ZDOTDI\t")
    shell.expect(re.escape("$ZDOTDIR"))


def test_nvm(home: Path, start: Start) -> None:
    file = plugin("nvm/nvm.sh")
    shell = start(f"export NVM_DIR={home}/nvm; mkdir $NVM_DIR\nzdefer here source {file}\n{LAST}")
    settled(shell, home)
    assert shell.run("nvm --version").count(".") == 2
    assert shell.ask("$? $NVM_DIR").endswith(f"0 {home}/nvm")


def test_beside_powerlevel10ks_instant_prompt(home: Path, start: Start) -> None:
    """Its cache is made by the first shell; the second one draws the prompt from it."""
    file = plugin("powerlevel10k/powerlevel10k.zsh-theme")
    before = (
        "cache=${XDG_CACHE_HOME:-$HOME/.cache}/p10k-instant-prompt-${(%):-%n}.zsh\n"
        "[[ ! -r $cache ]] || { source $cache; instant=1 }\n"
        "POWERLEVEL9K_DISABLE_GITSTATUS=true POWERLEVEL9K_DISABLE_CONFIGURATION_WIZARD=true\n"
        "POWERLEVEL9K_LEFT_PROMPT_ELEMENTS=(dir) POWERLEVEL9K_RIGHT_PROMPT_ELEMENTS=()\n"
    )
    after = f"source {file}\nzdefer here 'typeset here=yes; print -r -- sa''id'\n{LAST}"
    for _ in range(2):
        shell = start(after, before=before)
        settled(shell, home)
        shell.expect("said\n")
        shell.line("print -r -- a''sked $here${instant-}")
        seen = shell.expect(r"asked yes(1?)\n")
        (home / "last").unlink()
    assert seen.match[1] == "1"
    assert PROMPT not in shell.screen
    assert "Console output during zsh initialization" not in shell.screen
