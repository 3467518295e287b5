"""docs/features.md's guide: each of its steps is run on a .zshrc of 300 lines."""

import re
from pathlib import Path

import pytest
from support.terminal import Terminal
from support.zsh import SHELL

from zdeferd.install.share import share

PAGE = Path(share("shell")).parent / "docs/features.md"
OLD = """\
autoload -Uz compinit
compinit -i
zstyle ':completion:*' menu select
HISTFILE=~/.zsh_history
HISTSIZE=10000 SAVEHIST=10000
setopt extended_history hist_ignore_dups
setopt prompt_subst
branch() { git rev-parse --abbrev-ref HEAD 2>/dev/null }
PROMPT='%~ $(branch) %# '
setopt no_clobber
alias rm='rm -i'
source ~/broken.zsh
"""


def zshrc() -> str:
    """A .zshrc of 300 lines: what `OLD` has, aliases and small functions."""
    lines = OLD.splitlines()
    lines += [f"alias a{number}='print {number}'" for number in range(150)]
    lines += [f"f{number}() {{ print -r -- {number} }}" for number in range(300 - len(lines))]
    assert len(lines) == 300
    return "\n".join(lines) + "\n"


def steps() -> list[str]:
    """The code of each step of the guide."""
    guide = PAGE.read_text().split("## Ten minutes\n")[1].split("\n## ")[0]
    found = re.findall(r"```zsh\n(.*?)```", guide, re.DOTALL)
    return [re.sub("^ +", "", code, flags=re.MULTILINE) for code in found]


@pytest.fixture
def shell_home(home: Path) -> Path:
    """A home with the old .zshrc and zdeferd's shell files in the installed place."""
    place = home / ".local/share/zdeferd"
    place.mkdir(parents=True)
    (place / "shell").symlink_to(SHELL)
    (home / ".zshrc").write_text(zshrc())
    return home


def test_the_guide_leads_from_300_lines_to_five_features(shell_home: Path) -> None:
    first, second, third, fourth, fifth = steps()
    taken = r"compinit|zstyle|HIST|hist_|PROMPT|prompt_subst|branch|no_clobber|rm=|broken"
    kept = [line for line in zshrc().splitlines() if not re.search(taken, line)]
    assert len(kept) == 288
    (shell_home / ".zshrc").write_text("\n".join(kept) + "\n" + first)
    with Terminal(shell_home, None) as shell:
        shell.expect("~ [%#]")
        shell.line(second.strip())
        shell.expect("total=6 enabled=6 disabled=0 deferred=2")
        shell.line("print -r -- ${(j:,:)${(ok)ZSH_FEATURE_STATUS[(R)ok]}}")
        shell.expect("completion-aug,git-segment,history-adv,noop,prompt-core,safety-boundaries")
        for line in third.splitlines():
            shell.line(line)
        shell.expect("my-tools.zsh: ok")
        for line in fourth.splitlines():
            shell.line(line)
        shell.expect("[zf][ERR] feature my-tools: init: rc=3".replace("[", r"\["))
    (shell_home / ".zshrc").write_text(f"{fifth}{first}")
    with Terminal(shell_home, None) as shell:
        shell.line("print -r -- is:${ZSH_FEATURE_STATUS[git-segment]}.")
        shell.expect(r"is:skipped\.")
