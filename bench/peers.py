"""Finds the peers that are measured beside zdeferd.

zsh plugins come from the folder that `PEERS=` names, one sub-folder each as their
repositories are called (zsh-defer, zsh-async, evalcache, zinit); zsh-async also travels inside
the npm package `pure-prompt`. Programs come from the PATH (`tsp`, `nq`, `systemd-run`),
supervisor and circus from an environment of the suite's own. Whatever is absent is left
out and named, with what would bring it. Plugins are copied into the run's own folder and
compiled there as an installation would; nothing of them is kept.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.pty import ZSH

PLUGINS = {
    "zsh-defer": "zsh-defer.plugin.zsh",
    "zsh-async": "async.zsh",
    "evalcache": "evalcache.plugin.zsh",
    "zinit": "zinit.zsh",
}
PROGRAMS = {"tsp": "task-spooler", "nq": "nq", "systemd-run": "systemd"}
SUPERVISORS = {"supervisord": "supervisor", "circusd": "circus"}
CACHE = Path(__file__).parents[1] / "build/bench"
"""Packages from registries, kept between runs in a folder that git ignores."""


@dataclass(frozen=True)
class Peers:
    """The peers that were found, by name, and the absent ones with a remedy."""

    plugins: Mapping[str, Path] = field(default_factory=dict)
    """The file to source, compiled."""
    programs: Mapping[str, str] = field(default_factory=dict)
    supervisors: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)

    def missing(self, *names: str) -> dict[str, str]:
        """Of these, the ones that are absent and why."""
        return {name: self.absent[name] for name in names if name in self.absent}


def find(folder: Path | None, scratch: Path, fetch: bool = True) -> Peers:
    """Look in `folder`, on the PATH and, with `fetch`, in the registries' packages."""
    absent: dict[str, str] = {}
    plugins: dict[str, Path] = {}
    for name, file in PLUGINS.items():
        source = _plugin(name, file, folder, fetch)
        if source is None:
            absent[name] = "no such folder under PEERS="
        else:
            plugins[name] = compiled(source, scratch / name) / file
    programs = {name: path for name in PROGRAMS if (path := shutil.which(name))}
    for name in PROGRAMS.keys() - programs.keys():
        absent[name] = f"not installed; its package is {PROGRAMS[name]}"
    supervisors = _supervisors(fetch)
    for name in SUPERVISORS.keys() - supervisors.keys():
        absent[name] = f"not installed; its package is {SUPERVISORS[name]}"
    return Peers(plugins, programs, supervisors, absent)


def compiled(source: Path, target: Path) -> Path:
    """A copy of a plugin's folder with each of its zsh files compiled."""
    ignored = shutil.ignore_patterns(".git", "*.zwc", "docs", "*test*")
    shutil.copytree(source, target, ignore=ignored)
    for file in sorted(target.rglob("*")):
        if file.is_file() and (file.suffix == ".zsh" or {"functions", "live"} & set(file.parts)):
            subprocess.run([ZSH, "-fc", 'zcompile -UR -- "$1"', "zsh", str(file)], check=True)
    return target


def _plugin(name: str, file: str, folder: Path | None, fetch: bool) -> Path | None:
    if folder is not None and (folder / name / file).is_file():
        return folder / name
    if name == "zsh-async" and fetch:
        return _async_of_pure(file)
    return None


def _async_of_pure(file: str) -> Path | None:
    """zsh-async as the npm package of the prompt `pure` carries it."""
    target = CACHE / "zsh-async"
    if (target / file).is_file():
        return target
    npm = shutil.which("npm")
    if npm is None:
        return None
    CACHE.mkdir(parents=True, exist_ok=True)
    pack = [npm, "pack", "--silent", "--pack-destination", str(CACHE), "pure-prompt"]
    if subprocess.run(pack, capture_output=True, timeout=120, check=False).returncode:
        return None
    archive = max(CACHE.glob("pure-prompt-*.tgz"), key=os.path.getmtime)
    target.mkdir(exist_ok=True)
    with tarfile.open(archive) as packed:
        found = packed.extractfile(f"package/{file}")
        if found is None:
            return None
        (target / file).write_bytes(found.read())
    return target


def _supervisors(fetch: bool) -> dict[str, str]:
    programs = CACHE / "venv/bin"
    wanted = {name: str(programs / name) for name in SUPERVISORS}
    if fetch and not all(map(os.path.exists, wanted.values())):
        venv.create(CACHE / "venv", with_pip=True)
        pip = [str(programs / "python"), "-m", "pip", "install", "--quiet"]
        quiet = ["--disable-pip-version-check", *SUPERVISORS.values()]
        subprocess.run([*pip, *quiet], check=False, timeout=300, stdout=sys.stderr)
    return {name: path for name, path in wanted.items() if os.path.exists(path)}
