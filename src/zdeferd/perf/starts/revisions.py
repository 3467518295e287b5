"""Unpacks commits of the repository here, each as a folder that zsh can start with.

The repository is only read: each commit goes through an index of its own beside the folder. Not
through `git archive`, which leaves out submodules, and what an attribute says (export-ignore). A
submodule that is not here stays an empty folder, as in the repository's own files.
"""

from __future__ import annotations

import os
import subprocess
from typing import NamedTuple

from ...errors import ZdeferdError
from ...machine.zsh import STARTUP

GIT_S = 60
_PLAIN = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
_SUBMODULE = "160000"


class Side(NamedTuple):
    """One of the two configurations."""

    name: str
    zdotdir: str


def revisions(text: str, folder: str) -> tuple[Side, Side]:
    """Return the configurations of `REV..REV` of the repository here, unpacked in a folder.

    ZDOTDIR is the folder in it that this process stands in. ZdeferdError.
    """
    first, _, second = text.partition("..")
    prefix = _git("rev-parse", "--show-prefix").decode().strip()
    store = _git("rev-parse", "--absolute-git-dir").decode().rstrip("\n")
    top = os.path.realpath(os.path.join(os.getcwd(), "../" * prefix.count("/")))
    sides: list[Side] = []
    for name in (first or "HEAD", second or "HEAD"):
        commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        root = os.path.join(folder, str(len(sides)))
        _unpack(store, top, commit.decode().strip(), root)
        zdotdir = os.path.join(root, prefix)
        if not any(os.path.lexists(os.path.join(zdotdir, one)) for one in STARTUP):
            where = f"{prefix or './'} of {name}"
            raise ZdeferdError(f"no start-up file of zsh: {where}", "go to the folder of .zshrc")
        sides.append(Side(name, zdotdir))
    return sides[0], sides[1]


def _unpack(store: str, files: str, commit: str, root: str) -> None:
    """Write a commit of the repository `store`, whose own files are in `files`, to a new folder."""
    os.makedirs(root, exist_ok=True)
    words = (*_PLAIN, f"--git-dir={store}", f"--work-tree={root}")
    index = f"{root}.index"
    _git(*words, "read-tree", "--no-sparse-checkout", commit, index=index)
    _git(*words, "checkout-index", "--all", "--force", index=index, folder=root)
    listed = _git(*words, "ls-files", "--stage", "-z", index=index, folder=root)
    os.unlink(index)
    for entry in listed.decode("utf-8", "surrogateescape").split("\0"):
        about, _, path = entry.partition("\t")
        if about.startswith(f"{_SUBMODULE} ") and (inner := _store_of(store, files, path)):
            _unpack(inner, f"{files}/{path}", about.split()[1], f"{root}/{path}")


def _store_of(store: str, files: str, path: str) -> str:
    """Return the repository of a submodule; empty: it is not here."""
    if os.path.lexists(f"{files}/{path}/.git"):
        found = _git("rev-parse", "--absolute-git-dir", folder=f"{files}/{path}", own=True)
        return found.decode().rstrip("\n")
    kept = f"{store}/modules/{path}"
    return kept if os.path.isdir(f"{kept}/objects") else ""


def _git(*words: str, index: str = "", folder: str | None = None, own: bool = False) -> bytes:
    """Return what git prints. `own`: of the repository there, whatever the environment names."""
    env = {name: value for name, value in os.environ.items() if not own or name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", *words],
            env=env | ({"GIT_INDEX_FILE": index} if index else {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ZdeferdError(f"cannot run git: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"no such revision: {words[-1]}"
        raise ZdeferdError(f"git: {said}", "name REV..REV inside a repository, or two folders")
    return done.stdout
