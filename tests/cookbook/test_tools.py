"""The recipes of docs/cookbook/tools.md, each in two shells: before the cache, and with it."""

from pathlib import Path
from typing import NamedTuple

import pytest
from cookbook.book import Reader, code, installed, place, source_of
from support.daemon import Daemon


class Tool(NamedTuple):
    """What a recipe needs, and what both shells must have."""

    program: str
    code: str
    """What the stand-in prints for `words`."""
    words: str
    ask: str
    answer: str
    jobs: set[str]


STAND_IN = """case "$*" in
  "{words}") cat <<'END'
{code}
END
  ;;
  rehash) ;;
  *) exit 2 ;;
esac"""
TOOLS = {
    "pyenv": Tool(
        "pyenv",
        'export PATH="$HOME/.pyenv/shims:${PATH}"\npyenv() { command pyenv "$@" }',
        "init - --no-push-path --no-rehash zsh",
        "$+functions[pyenv] ${path[(r)$PYENV_ROOT/shims]:t}",
        "1 shims",
        {"eval-pyenv", "pyenv-rehash"},
    ),
    "mise": Tool(
        "mise",
        "mise() { command mise }",
        "activate zsh",
        "$+functions[mise] ${path[(r)*/mise/shims]:t}",
        "1 shims",
        {"mise"},
    ),
    "direnv": Tool(
        "direnv",
        "_direnv_hook() { : }\nprecmd_functions+=_direnv_hook",
        "hook zsh",
        "${precmd_functions[(r)_direnv_hook]}",
        "_direnv_hook",
        {"eval-direnv-hook-zsh"},
    ),
    "starship": Tool(
        "starship",
        "prompt_starship_precmd() { : }",
        "init zsh --print-full-init",
        "$+functions[prompt_starship_precmd]",
        "1",
        {"eval-starship"},
    ),
    "zoxide": Tool(
        "zoxide",
        "z() { builtin cd $1 }",
        "init zsh",
        "$+functions[z]",
        "1",
        {"eval-zoxide-init-zsh"},
    ),
}


def named(tool: str) -> str:
    """The tool, and whether the test runs it or its stand-in."""
    return tool if installed(TOOLS[tool].program) else f"{tool} (a stand-in)"


@pytest.mark.parametrize("name", TOOLS, ids=named)
def test_both_shells_have_it(name: str, daemon: Daemon) -> None:
    tool = TOOLS[name]
    if not installed(tool.program):
        place(daemon.home, tool.program, STAND_IN.format(words=tool.words, code=tool.code))
    reader = Reader(daemon.start(), code(name))
    assert reader.says(tool.ask, len(tool.jobs)) == tool.answer
    assert reader.outcomes() == {job: {"succeeded"} for job in tool.jobs}
    assert reader.says(tool.ask, code(name).count("zdefer here")) == tool.answer
    for job in (one for one in tool.jobs if one.startswith("eval-")):
        assert (daemon.home / f".cache/zdeferd/init/{job[5:]}.zsh.zwc").exists()
        assert len(daemon.rows("SELECT id FROM runs WHERE job = ?", job)) == 1


NVM = """nvm() { print -r -- "nvm of $NVM_DIR, $1" }
[[ $1 == --no-use ]] || print "nvm.sh uses the default version"
"""


@pytest.mark.parametrize("kind", ["nvm" if source_of("nvm") else "nvm (a stand-in)"])
def test_node_is_there_at_once_and_nvm_after_the_prompt(kind: str, daemon: Daemon) -> None:
    folder = daemon.home / ".nvm"
    folder.mkdir()
    if source := source_of("nvm"):
        (folder / "nvm.sh").symlink_to(source / "nvm.sh")
    else:
        (folder / "nvm.sh").write_text(NVM)
    for version in ("v9.0.0", "v22.1.0", "v22.11.0"):
        (folder / f"versions/node/{version}/bin").mkdir(parents=True)
    reader = Reader(daemon.start(), code("nvm"), behind="typeset -i early=$+functions[nvm]")
    asked = "$early $+functions[nvm] ${${path[(r)*/versions/node/*]}:h:t}"
    assert reader.says(asked, 1) == "0 1 v22.11.0", kind
    assert reader.outcomes() == {"nvm": {"succeeded"}}


FZF = 'if [ "$*" = --zsh ]; then echo "fzf-history-widget() { : }"; else exit 2; fi'


def test_fzf_s_keys_of_debian_or_from_a_cache(daemon: Daemon) -> None:
    debian = Path("/usr/share/doc/fzf/examples/key-bindings.zsh").exists()
    if not installed("fzf"):
        place(daemon.home, "fzf", FZF)
    reader = Reader(daemon.start(), code("fzf"))
    for _ in range(2):
        assert reader.says("$+functions[fzf-history-widget]") == "1"
    assert reader.outcomes() == ({} if debian else {"eval-fzf": {"succeeded"}})


def test_fzf_from_a_cache(daemon: Daemon) -> None:
    place(daemon.home, "fzf", FZF)
    recipe = code("fzf").replace("/usr/share/doc/fzf", "/nowhere")
    reader = Reader(daemon.start(), recipe)
    assert reader.says("$+functions[fzf-history-widget]", 1) == "1"
    assert reader.says("$+functions[fzf-history-widget]") == "1"
    assert reader.outcomes() == {"eval-fzf": {"succeeded"}}
