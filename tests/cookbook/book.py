"""The cookbook as its reader has it: the code of a recipe, and shells whose .zshrc it is.

A recipe uses a tool. Where that is not installed, a stand-in with the same interface takes its
place, and the test's name says so.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from support.daemon import Daemon
from support.pty import PROMPT
from support.terminal import Terminal

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs/cookbook"
LOADS = "source ~/.local/share/zdeferd/shell/zdeferd.plugin.zsh\n"
ENDED = "SELECT count(*) FROM runs WHERE state != 'ended'"
SHELLS = "SELECT count(*) FROM shells"


def headings() -> dict[str, str]:
    """Heading of each recipe -> the text below it."""
    text = "".join(path.read_text() for path in sorted(PAGES.glob("*.md")))
    return {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}


def code(recipe: str, language: str = "zsh") -> str:
    """Return the code of a recipe as it is printed."""
    [block] = re.findall(rf"^```{language}\n(.*?)^```", headings()[recipe], re.M | re.S)
    return str(block)


def installed(program: str) -> str | None:
    """Return the path of a program, or None where a stand-in is needed."""
    return shutil.which(program)


def source_of(tool: str) -> Path | None:
    """Return the checkout of a tool that no package has, in the folder COOKBOOK_SOURCES."""
    folder = Path(os.environ.get("COOKBOOK_SOURCES") or "/nowhere", tool)
    return folder if folder.is_dir() else None


def place(home: Path, program: str, text: str) -> Path:
    """Write a program into the folder of programs of this home."""
    path = home / "bin" / program
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def install_plugin(home: Path) -> None:
    """Put the plugin where `zdeferctl install` puts it."""
    folder = home / ".local/share/zdeferd"
    folder.mkdir(parents=True)
    (folder / "shell").symlink_to(ROOT / "shell")


def install_functions(home: Path) -> None:
    """Give the shells zsh's own functions, and of its thousand completions git's alone.

    A scan of all takes a job at nice 19 a minute where other programs want the processors.
    """
    (home / "functions").mkdir()
    found = subprocess.run(
        ["zsh", "-fc", "print -rl -- $^fpath/[^_]*(N.) $^fpath/_git(N.)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for path in map(Path, reversed(found.stdout.splitlines())):
        (home / "functions" / path.name).unlink(missing_ok=True)
        (home / "functions" / path.name).symlink_to(path)


class Reader:
    """A user whose .zshrc is a recipe, beside a running daemon."""

    def __init__(
        self,
        daemon: Daemon,
        recipe: str,
        before: str = "",
        behind: str = "",
        loads: str | None = None,
    ) -> None:
        self.daemon = daemon
        if loads is None:
            loads = "" if LOADS in recipe else LOADS
        self.zshrc = (
            f"path=(~/bin $path) fpath=(~/functions)\n{loads}{before}\n{recipe}\n{behind}\n"
            f"ready() {{ PROMPT='{PROMPT}' RPROMPT= }}\nready\nprecmd_functions+=(ready)\n"
        )
        install_plugin(daemon.home)
        install_functions(daemon.home)

    def shell(self) -> Terminal:
        """A new shell."""
        return Terminal(self.daemon.home, self.zshrc)

    def says(self, words: str, runs: int = 0) -> str:
        """What a new shell prints of `words`, once `runs` more have ended and none is under way."""
        visits = self.daemon.rows(SHELLS)[0][0]
        runs += self.daemon.rows("SELECT count(*) FROM runs")[0][0]
        with self.shell() as shell:
            shell.prompt()
            self.daemon.wait_for(SHELLS, visits + 1)
            self.daemon.wait_for(f"SELECT count(*) >= {runs} FROM runs", 1)
            self.daemon.wait_for(ENDED, 0)
            return shell.ask(words)

    def outcomes(self) -> dict[str, set[str]]:
        """Job -> the outcomes of its runs."""
        found: dict[str, set[str]] = {}
        for job, outcome in self.daemon.rows("SELECT job, outcome FROM runs"):
            found.setdefault("compinit" if job.startswith("compinit-") else job, set()).add(outcome)
        return found
