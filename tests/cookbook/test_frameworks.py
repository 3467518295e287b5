"""The recipes of docs/cookbook/frameworks.md: the frameworks, or stand-ins of their shape.

COOKBOOK_SOURCES names a folder with checkouts `ohmyzsh`, `zinit`, `antidote`, `zimfw` and `prezto`;
each that is missing there has a stand-in, and the test's name says so.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cookbook.book import LOADS, ROOT, Reader, code, headings, source_of
from support.daemon import Daemon
from support.user import wait_for_file

COMPLETION = "autoload -Uz compinit\ncompinit -d ~/.zcompdump-own\n"
"""How such a framework asks for completion: it finds the user's function of that name."""
MINE = "alias mine=yes\n"


def plugin(home: Path, name: str, text: str) -> None:
    """A plugin of the user's, in a folder of its own."""
    folder = home / ".zsh/plugins" / name
    folder.mkdir(parents=True)
    (folder / f"{name}.plugin.zsh").write_text(text)


def oh_my_zsh(home: Path) -> None:
    """oh-my-zsh with its plugin git."""
    if source := source_of("ohmyzsh"):
        # Without its repository, which the job would pull from elsewhere.
        shutil.copytree(source, home / ".oh-my-zsh", ignore=shutil.ignore_patterns(".git"))
        return
    (home / ".oh-my-zsh").mkdir()
    plugins = "for plugin in $plugins; do alias gst='git status'; done\n"
    (home / ".oh-my-zsh/oh-my-zsh.sh").write_text(COMPLETION + plugins)


ZINIT = """
zinit() {
  case $1 in
    (ice) later=1 ;;
    (light) if (( later )); then later=0 turbo=$2; else source $2/*.plugin.zsh; fi ;;
    (cdreplay) (( $+functions[compdef] )) || print "cdreplay before compinit" ;;
  esac
}
turbo() { [[ -z $turbo ]] || source $turbo/*.plugin.zsh; turbo= }
typeset -i later
typeset turbo=
zmodload zsh/sched
precmd_functions+=(wait-for-turbo)
wait-for-turbo() { [[ -z $turbo ]] || sched +1 turbo }
"""


def zinit(home: Path) -> None:
    """zinit with a plugin, and one that turbo loads later, which declares a job."""
    plugin(home, "mine", MINE)
    plugin(home, "later", "zdefer add from-turbo -- true\n: >~/turbo\n")
    folder = home / ".local/share/zinit"
    folder.mkdir(parents=True)
    if source := source_of("zinit"):
        (folder / "zinit.git").symlink_to(source)
        return
    (folder / "zinit.git").mkdir()
    (folder / "zinit.git/zinit.zsh").write_text(ZINIT)


def antidote(home: Path) -> None:
    """antidote with a plugin in a folder."""
    plugin(home, "mine", MINE)
    (home / ".zsh_plugins.txt").write_text(f"{home}/.zsh/plugins/mine\n")
    if source := source_of("antidote"):
        (home / ".antidote").symlink_to(source)
        return
    (home / ".antidote").mkdir()
    loads = (
        "antidote() { local one; for one in ${(f)mapfile[$2]}; do source $one/*.plugin.zsh; done }"
    )
    (home / ".antidote/antidote.zsh").write_text(f"zmodload zsh/mapfile\n{loads}\n")


def zim(home: Path) -> None:
    """zim's start-up file, made of a module and one that calls compinit."""
    plugin(home, "mine", MINE)
    plugin(home, "completion", COMPLETION)
    modules = home / ".zsh/plugins"
    (home / ".zim").mkdir()
    if source := source_of("zimfw"):
        zmodules = "\n".join(f"zmodule {modules}/{name}" for name in ("mine", "completion"))
        (home / ".zimrc").write_text(zmodules + "\n")
        (home / ".zim/zimfw.zsh").write_text((source / "zimfw.zsh").read_text())
        build = f"ZIM_HOME={home}/.zim; source $ZIM_HOME/zimfw.zsh init -q"
        subprocess.run(["zsh", "-fc", build], env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
                       check=True, capture_output=True, timeout=200)  # fmt: skip
        return
    sources = [f"source {modules}/{name}/{name}.plugin.zsh\n" for name in ("mine", "completion")]
    (home / ".zim/init.zsh").write_text("".join(sources))


def prezto(home: Path) -> None:
    """prezto with a module of the user's, and its module completion."""
    plugin(home, "mine", MINE)
    (home / ".zpreztorc").write_text(
        "zstyle ':prezto:load' pmodule-dirs ~/.zsh/plugins\n"
        "zstyle ':prezto:load' pmodule environment mine completion\n"
    )
    if source := source_of("prezto"):
        (home / ".zprezto").symlink_to(source)
        return
    (home / ".zprezto").mkdir()
    sources = "source ~/.zpreztorc\nsource ~/.zsh/plugins/mine/mine.plugin.zsh\n"
    (home / ".zprezto/init.zsh").write_text(sources + COMPLETION)


def plain(home: Path) -> None:
    """A plugin in a folder of the user's."""
    plugin(home, "mine", MINE)


class Framework(NamedTuple):
    """What a recipe needs, and what its shells must have."""

    source: str
    furnish: Callable[[Path], None]
    alias: str
    jobs: set[str]
    runs: int = 1
    """Of the first shell and each other."""
    each: int = 0


FRAMEWORKS = {
    "oh-my-zsh": Framework("ohmyzsh", oh_my_zsh, "gst", {"compinit", "omz-update"}, 2),
    "zinit": Framework("zinit", zinit, "mine", {"compinit"}),
    "antidote": Framework("antidote", antidote, "mine", {"compinit"}),
    "zim": Framework("zimfw", zim, "mine", {"compinit"}),
    "prezto": Framework("prezto", prezto, "mine", {"compinit"}),
    "plain": Framework("", plain, "mine", {"compinit", "mine"}, 2, 1),
}


def named(name: str) -> str:
    """The framework, and whether the test runs it or a stand-in."""
    source = FRAMEWORKS[name].source
    return name if not source or source_of(source) else f"{name} (a stand-in)"


@pytest.mark.parametrize("name", FRAMEWORKS, ids=named)
def test_the_second_shell_loads_the_shared_dump(name: str, daemon: Daemon) -> None:
    framework = FRAMEWORKS[name]
    framework.furnish(daemon.home)
    reader = Reader(daemon.start(), code(name), before="DISABLE_AUTO_TITLE=true  # oh-my-zsh's")
    asked = f"is:$_comps[git]:$+aliases[{framework.alias}]:$+shared"
    assert reader.says(asked, framework.runs) == "is:_git:1:0"
    reader.says(
        asked, framework.each
    )  # prezto calls compinit -i in its first shell, then compinit -C
    for dump in (daemon.home / ".cache/zdeferd/compinit").glob("*.zsh"):
        with dump.open("a") as file:
            file.write("typeset -g shared=yes\n")
        dump.with_suffix(".zsh.zwc").unlink()
    assert reader.says(asked, framework.each) == "is:_git:1:1"
    assert framework.jobs <= reader.outcomes().keys()
    assert reader.outcomes()["compinit"] == {"succeeded"}


def test_what_turbo_loads_declares_its_job_at_the_next_prompt(daemon: Daemon) -> None:
    zinit(daemon.home)
    reader = Reader(daemon.start(), code("zinit"))
    with reader.shell() as shell:
        shell.prompt()
        daemon.wait_for("SELECT count(*) FROM shells", 1)
        wait_for_file(daemon.home / "turbo")  # and type nothing: a command ends a visit
        shell.run("true")
        daemon.wait_for("SELECT count(*) FROM runs WHERE job = 'from-turbo'", 1)


@pytest.mark.parametrize("name", ["zinit", "antidote"])
def test_the_readme_s_line_of_a_plugin_manager(name: str, daemon: Daemon) -> None:
    FRAMEWORKS[name].furnish(daemon.home)
    readme = (ROOT / "README.md").read_text()
    [line] = re.findall(rf"^\| {name}[^|]*\| `([^`]*)` \|$", readme, re.M)
    recipe = code(name).removeprefix(LOADS)
    if name == "zinit":
        recipe = recipe.replace("zinit light ~/.zsh/plugins/mine", line)
    else:
        (daemon.home / ".zsh_plugins.txt").write_text(
            line.replace("$HOME", str(daemon.home)) + "\n"
        )
    reader = Reader(daemon.start(), f"{recipe}\nzdefer add declared -- true\n", loads="")
    assert reader.says("is:$+functions[zdefer]", 2) == "is:1"
    assert reader.outcomes()["declared"] == {"succeeded"}


def test_every_recipe_is_in_the_index() -> None:
    tasks = (ROOT / "docs/cookbook.md").read_text().split("\n## ")[0]
    linked = re.findall(r"\]\(cookbook/[a-z]+\.md#([a-z-]+)\)", tasks)
    recipes = {one.lower().replace(" ", "-") for one in headings()}
    assert len(linked) == 20
    assert set(linked) == recipes - {"dotfiles-on-several-machines"}
