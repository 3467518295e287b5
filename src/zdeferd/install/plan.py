"""Plans the installation of zdeferd as a user's service, and its removal.

A plan is data: `install_plan` and `uninstall_plan` are functions of a `Host` (platform,
environment, the manager that answers) and return a list of steps; steps.py carries them
out. So a plan can be printed and tested without a change on the disk.

Where systemd's user manager answers: units copied from `systemd/`, with the program's
full path, socket-activated. On macOS: a launchd agent. Elsewhere a marker in the state
folder allows the shim to start `zdeferd --detach` itself.
"""

from __future__ import annotations

import glob
import os
import shlex
import shutil
from typing import NamedTuple

from ..machine.lock import VERSION
from ..machine.paths import Paths
from .share import share
from .steps import (
    AddLine,
    Command,
    Compile,
    MakeFolder,
    Remove,
    RemoveEmpty,
    RemoveLine,
    Step,
    Write,
    run_command,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNITS = ("zdeferd.socket", "zdeferd.service")
LABEL = "org.zdeferd.zdeferd"
ADDED = "# added by zdeferctl install"
"""Ends the line in .zshrc, so that uninstall removes no line that the user wrote."""
STOPPED = ".stopped"
"""Ends the autostart marker's name from `stop` to `start`: no shell starts zdeferd then."""
PAGES = ("man1/zdeferctl.1", "man1/zdefer.1", "man8/zdeferd.8")
"""The manual pages, below the folder of manual pages."""
NO_PAGES: Mapping[str, str] = {}
CARRIED_ENV = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "ZDEFERD_SOCKET")
"""Variables that decide where daemon and shells meet; a manager has not read .zshrc."""


class Host(NamedTuple):
    """The facts that a plan depends on."""

    paths: Paths
    env: Mapping[str, str]
    uid: int
    manager: str | None
    """`systemd` or `launchd` where one answers, else None."""
    program: str
    """The absolute path of `zdeferd`; empty where it was not found."""
    zsh: str | None
    """The absolute path of zsh, where there is one."""
    zdotdir: str = ""
    """The folder that ZDOTDIR names in a new shell, where it names one."""

    @property
    def data(self) -> str:
        """Return the folder of the installed data."""
        base = self.env.get("XDG_DATA_HOME", "")
        return (base if base.startswith("/") else f"{self.paths.home}/.local/share") + "/zdeferd"

    @property
    def shim(self) -> str:
        """Return the installed shim's folder."""
        return f"{self.data}/shell"

    @property
    def manual(self) -> str:
        """Return the folder of the user's manual pages, which man(1) finds by itself."""
        return os.path.join(os.path.dirname(self.data), "man")

    @property
    def units(self) -> str:
        """Return the folder of the user's systemd units."""
        base = self.env.get("XDG_CONFIG_HOME", "")
        return (base if base.startswith("/") else f"{self.paths.home}/.config") + "/systemd/user"

    @property
    def agent(self) -> str:
        """Return the launchd agent's file."""
        return f"{self.paths.home}/Library/LaunchAgents/{LABEL}.plist"

    @property
    def zshrc(self) -> str:
        """Return the file that interactive shells read."""
        return f"{self.startup}/.zshrc"

    @property
    def startup(self) -> str:
        """Return the folder of the files that a new shell reads."""
        return self.zdotdir if self.zdotdir.startswith("/") else self.paths.home

    @property
    def line(self) -> str:
        """Return the one line for .zshrc; without the file it does nothing."""
        plugin = f"{self.shim}/zdeferd.plugin.zsh"
        home = self.paths.home
        word = shlex.quote(plugin)
        if plugin.startswith(home + "/"):
            word = "~/" + shlex.quote(plugin[len(home) + 1 :])
        return f"[[ -r {word} ]] && source {word}"


# --- plans ---------------------------------------------------------------------


def install_plan(
    host: Host, zshrc: bool = False, pages: Mapping[str, str] = NO_PAGES
) -> list[Step]:
    """Return the steps that install zdeferd on `host`, in order; `pages`: manual pages by path."""
    steps: list[Step] = [
        MakeFolder(os.path.dirname(host.paths.config_file)),
        MakeFolder(host.paths.jobs_dir),
        *_install_shim(host),
        *(Write(f"{host.manual}/{path}", page.encode()) for path, page in pages.items()),
    ]
    if zshrc:
        steps.append(AddLine(host.zshrc, host.line, ADDED))
    marker = host.paths.autostart
    steps.append(Remove(f"{marker}{STOPPED}"))
    if host.manager == "systemd":
        steps += [Write(f"{host.units}/{name}", _unit(host, name)) for name in UNITS]
        steps += [
            Remove(marker),
            Command(("systemctl", "--user", "daemon-reload")),
            Command(("systemctl", "--user", "enable", "--now", "zdeferd.socket")),
        ]
    elif host.manager == "launchd":
        domain = f"gui/{host.uid}"
        steps += [
            MakeFolder(host.paths.state),
            Write(host.agent, _agent(host)),
            Remove(marker),
            Command(("launchctl", "bootout", f"{domain}/{LABEL}"), must=False),
            Command(("launchctl", "bootstrap", domain, host.agent)),
        ]
    else:
        steps.append(Write(marker, os.fsencode(host.program) + b"\n", 0o600))
    return steps


def uninstall_plan(host: Host, purge: bool = False) -> list[Step]:
    """Return the steps that remove it; the user's own files stay."""
    steps: list[Step] = []
    units = [f"{host.units}/{name}" for name in UNITS]
    if host.manager == "systemd" and any(map(os.path.lexists, units)):
        steps.append(Command(("systemctl", "--user", "disable", "--now", *UNITS), must=False))
    if host.manager == "launchd":
        steps.append(Command(("launchctl", "bootout", f"gui/{host.uid}/{LABEL}"), must=False))
    marker = host.paths.autostart
    removed = [*units, host.agent, marker, f"{marker}{STOPPED}"]
    steps += [Remove(path) for path in removed if os.path.lexists(path)]
    if host.manager == "systemd" and any(map(os.path.lexists, units)):
        steps.append(Command(("systemctl", "--user", "daemon-reload"), must=False))
    steps.append(RemoveLine(host.zshrc, ADDED))
    steps += [
        Remove(host.shim, tree=True),
        RemoveEmpty(host.data),
        *(Remove(f"{host.manual}/{path}") for path in PAGES),
        *(RemoveEmpty(f"{host.manual}/{folder}") for folder in ("man1", "man8", "")),
        Remove(host.paths.socket),
        RemoveEmpty(os.path.dirname(host.paths.socket)),
    ]
    return steps + (list(_purge(host.paths)) if purge else [])


def _purge(paths: Paths) -> Iterator[Step]:
    """Yield the removal of zdeferd's own files in the state folder, which may hold others."""
    for path in (paths.ledger, f"{paths.ledger}-wal", f"{paths.ledger}-shm"):
        yield Remove(path)
    for path in (paths.lock, paths.lock + VERSION, paths.pointer):
        yield Remove(path)
    for path in (paths.shared_log, f"{paths.state}/deferred.jsonl", paths.daemon_log):
        yield Remove(path)
    for path in sorted(glob.glob(f"{glob.escape(paths.state)}/deferred.*.[0-9]*")):  # rotated
        yield Remove(path)
    yield Remove(paths.runs, tree=True)
    yield Remove(f"{paths.state}/outputs", tree=True)
    yield Remove(f"{paths.state}/bells", tree=True)
    yield Remove(f"{paths.state}/zsh", tree=True)  # the versions that fingerprints have met
    yield RemoveEmpty(paths.state)


def _install_shim(host: Host) -> Iterator[Step]:
    source = share("shell")
    for name in shim_files(source):
        with open(f"{source}/{name}", "rb") as file:
            yield Write(f"{host.shim}/{name}", file.read())
    if host.zsh is not None:
        for name in shim_files(source):
            yield Compile(host.zsh, f"{host.shim}/{name}")


def shim_files(folder: str) -> list[str]:
    """Return the shim's files, relative to its folder."""
    return sorted(
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, names in os.walk(folder)
        for name in names
        if not name.endswith(".zwc") and not name.startswith(".")
    )


def _unit(host: Host, name: str) -> bytes:
    """Return a shipped unit with the program's full path and the variables that it needs."""
    with open(share("systemd", name), encoding="utf-8") as file:
        lines = file.read().splitlines()
    carried = [n for n in CARRIED_ENV if host.env.get(n, "").startswith("/")]
    made = []
    for line in lines:
        if line == "ExecStart=zdeferd":
            made.append(f"ExecStart={_unit_quoted(host.program, '$$')}")
            made += [f"Environment={_unit_quoted(f'{n}={host.env[n]}')}" for n in carried]
        elif line.startswith("ListenStream=") and "ZDEFERD_SOCKET" in carried:
            made.append("ListenStream=" + host.env["ZDEFERD_SOCKET"].replace("%", "%%"))
        else:
            made.append(line)
    return ("\n".join(made) + "\n").encode("utf-8", "surrogateescape")


def _unit_quoted(text: str, dollar: str = "$") -> str:
    """Return `text` as one word of systemd.syntax(7)."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("%", "%%").replace("$", dollar) + '"'


def _agent(host: Host) -> bytes:
    """Return the shipped launchd agent with the paths of the program and of its log."""
    import plistlib  # slow to import, and for launchd only

    with open(share("launchd", f"{LABEL}.plist"), "rb") as file:
        agent = plistlib.load(file)
    agent["ProgramArguments"][0] = host.program
    agent["StandardErrorPath"] = host.paths.daemon_log
    carried = {n: host.env[n] for n in CARRIED_ENV if host.env.get(n, "").startswith("/")}
    if carried:
        agent["EnvironmentVariables"] = carried
    return plistlib.dumps(agent)


# --- the host as it is ---------------------------------------------------------


def answering_service(platform: str) -> str | None:
    """Return the service manager that answers: `systemd`, `launchd`, or None."""
    if platform == "darwin":
        return "launchd" if shutil.which("launchctl") else None
    if not shutil.which("systemctl"):
        return None
    # The program may be there without a manager for this user: after su, in a container.
    answers = run_command(("systemctl", "--user", "show", "--property=Version")).returncode == 0
    return "systemd" if answers else None


def installed_service(host: Host) -> str | None:
    """Return the manager that runs zdeferd here: its files are in place and it answers."""
    if host.manager == "systemd" and os.path.exists(f"{host.units}/zdeferd.socket"):
        return "systemd"
    if host.manager == "launchd" and os.path.exists(host.agent):
        return "launchd"
    return None
