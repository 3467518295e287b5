"""Checks the machine: versions, folders of PATH, file systems, containers.

The rules are functions of texts that the kernel gives (its release, traces of a
container), so that tests can use texts of other machines.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator

from ..errors import UnsafePath
from ..install.steps import run_command
from ..machine.mounts import check_local
from ..machine.paths import SOCKET_SETTING, STATE_SETTING
from .findings import Check, Finding, Level, Scene, refused

ZSH_NEEDED = (5, 8)
MODULES = ("zsh/net/socket", "zsh/system", "zsh/zselect", "zsh/zle")
"""The modules that the shim loads."""
ASK_ZSH = 'print -r -- $ZSH_VERSION; for m in "$@"; do zmodload -s $m || print -r -- $m; done'
PYTHON_NEEDED = (3, 11)


def check_file_systems(scene: Scene) -> Iterator[Finding]:
    """Check that state and socket are on a file system with reliable locks and sockets."""
    places = {
        "state": (scene.paths.state, STATE_SETTING),
        "socket": (scene.paths.socket, SOCKET_SETTING),
    }
    for check, (path, setting) in places.items():
        try:
            check_local(path, setting)
        except UnsafePath as error:
            yield refused(check, error)


def check_linger(scene: Scene) -> Iterator[Finding]:
    """Check linger: without it a logout ends the user's systemd, and running jobs with it."""
    if scene.host.manager != "systemd":
        return
    try:
        name = pwd.getpwuid(scene.host.uid).pw_name
    except KeyError:
        return
    if os.path.exists(f"/var/lib/systemd/linger/{name}"):
        yield Finding(Level.OK, "linger", "on: jobs go on after logout")
    else:
        found = "off: jobs end at logout; `loginctl enable-linger` lets them go on"
        yield Finding(Level.OK, "linger", found)


def check_wsl(scene: Scene) -> Iterator[Finding]:
    """Check WSL: Windows drives have no sockets, and systemd is off by default."""
    if not is_wsl(_text("/proc/sys/kernel/osrelease") or ""):
        return
    if scene.paths.socket.startswith("/mnt/") or scene.paths.state.startswith("/mnt/"):
        remedy = "keep HOME and XDG_RUNTIME_DIR on the Linux side"
        yield Finding(Level.BAD, "wsl", "socket or state on a Windows drive", remedy)
    if scene.host.manager is None:
        remedy = "[boot] systemd=true in /etc/wsl.conf; until then shells start zdeferd"
        yield Finding(Level.WARN, "wsl", "no systemd here", remedy)


def is_wsl(release: str) -> bool:
    """Return whether a kernel's release is that of WSL."""
    return "microsoft" in release.lower()


def check_container(scene: Scene) -> Iterator[Finding]:
    """Check for a container, whose state is often gone with it."""
    kind = container_kind(scene.env.get("container", ""), os.path.exists)
    if kind is None:
        return
    found = f"this is one ({kind}): runs and claims go with it, unless the state is on a volume"
    yield Finding(Level.OK, "container", found)


def container_kind(variable: str, exists: Callable[[str], bool]) -> str | None:
    """Return the kind of container, by its traces; None: it is none."""
    traces = {"/run/.containerenv": "podman", "/.dockerenv": "docker"}
    return next((kind for path, kind in traces.items() if exists(path)), variable or None)


def check_versions(scene: Scene) -> Iterator[Finding]:
    """Check the versions of Python and zsh."""
    python = platform.python_version()
    if sys.version_info < PYTHON_NEEDED:
        yield Finding(Level.BAD, "python", python, "install Python 3.11 or newer")
    else:
        yield Finding(Level.OK, "python", python)
    found = [scene.shell] if scene.shell else []
    if scene.host.zsh and not any(os.path.samefile(scene.host.zsh, program) for program in found):
        found.append(scene.host.zsh)
    if not found:
        yield Finding(Level.BAD, "zsh", "not found in PATH", "install zsh 5.8 or newer")
    yield from map(_zsh, found)


def _zsh(program: str) -> Finding:
    """Return what is found of one zsh: its version and modules."""
    said = run_command((program, "-fc", ASK_ZSH, "zsh", *MODULES)).stdout.split()
    version, missing = " ".join(said[:1]), said[1:]
    if version_of(version) < ZSH_NEEDED:
        return Finding(Level.BAD, "zsh", f"{version} ({program})", "install zsh 5.8 or newer")
    if missing:
        found = f"{version} ({program}) has no module {', '.join(missing)}: its jobs do not run"
        return Finding(Level.BAD, "zsh", found, "use a zsh with loadable modules")
    return Finding(Level.OK, "zsh", f"{version} ({program})")


def version_of(text: str) -> tuple[int, int]:
    """Return major and minor number at the start of a version; (0, 0): there is none."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def check_path(scene: Scene) -> Iterator[Finding]:
    """Check PATH for folders in which other users can put programs that jobs would run."""
    for folder in scene.env.get("PATH", "").split(":"):
        try:
            found = os.stat(folder)
        except OSError:
            continue
        if found.st_mode & stat.S_IWOTH:
            remedy = f"chmod o-w {folder}, or take it out of PATH"
            yield Finding(Level.WARN, "path", f"anybody can put programs into {folder}", remedy)


def check_disk(scene: Scene) -> Iterator[Finding]:
    """Check the disk for room for outputs; doctor/files.py checks the ledger's."""
    folder = scene.paths.state
    if not os.path.isdir(folder):
        return
    free = shutil.disk_usage(folder).free
    if free < scene.loaded.settings.output_limit_bytes * 16:
        found = f"{free >> 20} MiB free at {folder}"
        yield Finding(Level.WARN, "disk", found, "free some space, or shorten keep_runs")


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


CHECKS: tuple[Check, ...] = (
    check_versions,
    check_path,
    check_file_systems,
    check_disk,
    check_linger,
    check_wsl,
    check_container,
)
