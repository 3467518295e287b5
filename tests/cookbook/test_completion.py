"""The recipes of docs/cookbook/completion.md: first the file, then the dump, then Tab."""

import pytest
from cookbook.book import Reader, code, installed, place
from support.daemon import Daemon

STAND_IN = '[ "$*" = "completion zsh" ] && echo "#compdef {0}\n_{0}() {{ : }}"'


def named(program: str) -> str:
    """The program, and whether the test runs it or its stand-in."""
    return program if installed(program) else f"{program} (a stand-in)"


@pytest.mark.parametrize("program", ["kubectl", "docker"], ids=named)
def test_completion_of_a_tool_two_shells_later(program: str, daemon: Daemon) -> None:
    if not installed(program):
        place(daemon.home, program, STAND_IN.format(program))
    reader = Reader(daemon.start(), code(program))
    completes = f"is:$_comps[{program}]"
    reader.says(completes, runs=2)
    made = daemon.home / f".cache/zsh/completions/_{program}"
    assert made.read_text().startswith(f"#compdef {program}")
    reader.says(completes)
    assert reader.says(completes) == f"is:_{program}"
    assert reader.outcomes() == {f"{program}-completion": {"succeeded"}, "compinit": {"succeeded"}}


def test_compinit_scans_in_the_first_shell_alone(daemon: Daemon) -> None:
    reader = Reader(daemon.start(), code("compinit"))
    assert reader.says("$_comps[git] ~/.zcompdump(N:t)", runs=1) == "_git .zcompdump"
    (daemon.home / ".zcompdump").unlink()
    assert reader.says("$_comps[git] ~/.zcompdump(N:t)") == "_git"
    assert reader.outcomes() == {"compinit": {"succeeded"}}
