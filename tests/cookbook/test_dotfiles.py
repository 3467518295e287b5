"""The lines for machines with and without zdeferd: without it a verb does the plain thing."""

from pathlib import Path

import pytest
from cookbook.book import LOADS, code, install_plugin
from support.zsh import run_zsh

LINES = code("Dotfiles on several machines")
TOOL = """tool() { print -r -- "typeset -A made=(a '$1 $#'); setopt null_glob" }\n"""
SHOWN = "; print -r -- $made[a] ${(t)made} $options[nullglob] $+functions[zdefer]"


@pytest.mark.parametrize(
    "call",
    [
        "zdefer eval tool init",
        "zdefer eval -n name -- tool init",
        "zdefer eval --watch ~/x --watch=command:tool --live -n name tool init",
        "zdefer here -n name -t 2 --after other 'eval \"$(tool init)\"'",
        "zdefer here 'typeset -A made=(a \"init 1\"); setopt null_glob'",
        'print -r -- "$(tool init)" >~/f; zdefer here -n f -- source ~/f',
    ],
)
def test_the_verb_does_what_the_plain_line_did(call: str, home: Path) -> None:
    done = run_zsh(f"{LINES}\n{TOOL}{call}{SHOWN}", home, load=())
    assert (done.stdout, done.stderr) == ("init 1 association on 1\n", "")


def test_words_reach_a_command_as_they_are(home: Path) -> None:
    call = "f() { print -rl -- $# $@ }; zdefer here -n n f 'a  b' '$x' \"it's\""
    done = run_zsh(f"{LINES}\n{call}", home, load=())
    assert (done.stdout, done.stderr) == ("3\na  b\n$x\nit's\n", "")


def test_a_command_that_fails_is_not_evaluated(home: Path) -> None:
    call = "f() { print x=1; return 3 }; zdefer eval f; print $? $+x"
    assert run_zsh(f"{LINES}\n{call}", home, load=()).stdout == "3 0\n"


def test_compinit_add_and_zsh_defer(home: Path) -> None:
    call = """zdefer compinit -u -d ~/dump; print $? $_comps[git]
zdefer add job --once-per day -- false; print $?
zdefer here --zsh-defer; print $?"""
    done = run_zsh(f"{LINES}\n{call}", home, load=())
    assert (done.stdout, done.stderr) == ("0 _git\n0\n1\n", "")
    assert (home / "dump").exists()


def test_with_zdeferd_the_lines_load_it(home: Path) -> None:
    install_plugin(home)
    assert LOADS in LINES.replace("  source", "source")
    done = run_zsh(f"{LINES}\nprint ${{functions[zdefer]:+yes}} $_zdeferd_root", home, load=())
    assert done.stdout.startswith("yes /")
