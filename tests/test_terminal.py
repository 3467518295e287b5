"""The terminal of tests and benchmarks: its shell's start-up file, on every zsh, and its screen."""

import subprocess
from pathlib import Path

import pytest
from support.pty import PROLOGUE, PROMPT, ZSH
from support.terminal import Terminal


def printed(code: str) -> str:
    """What zsh prints for `code`, its errors included."""
    done = subprocess.run(
        [ZSH, "-fc", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=200,
    )
    return done.stdout


def test_the_prologue_prints_nothing_and_reads_to_its_end() -> None:
    assert printed(f"{PROLOGUE}print -r -- after:$PROMPT") == "after:ready> \n"


@pytest.mark.parametrize(
    ("version", "told"),
    [("5.8", False), ("5.9", False), ("5.9.2", False), ("5.9.999", True), ("5.10", True),
     ("6.0", True)],
)  # fmt: skip
def test_only_a_zsh_with_extensions_is_told_to_leave_them(version: str, told: bool) -> None:
    code = PROLOGUE.replace("$ZSH_VERSION", version).replace("&& eval", "&& print -r --")
    assert printed(code).startswith("typeset -ga .term.extensions") is told


def test_a_line_that_is_typed_slowly_is_seen_as_one_typed_at_once(tmp_path: Path) -> None:
    slowly = f"{PROMPT}p\\bprint x\\n"
    with Terminal(tmp_path, argv=("printf", slowly)) as shell:
        shell.expect(f"^{PROMPT}print x\n")
