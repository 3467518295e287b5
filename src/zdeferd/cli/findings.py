"""What `zdeferctl doctor` looks at: zdeferd's own side, from the socket to the shim.

Each check is a function of a Scene that yields findings; `examine` runs them all, in
the order in which a user would meet the problems. The machine's side is in
surroundings.py.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from .. import __version__, wire
from ..client import check_socket, request
from ..config import Loaded, load
from ..errors import LogUnavailable, NoDaemon, ZdeferdError
from ..paths import (
    Paths,
    check_private_dir,
    check_private_file,
    check_socket_path,
)
from ..render import count
from ..service import Host, install_plan, installed_service
from ..sharedlog import open_log
from ..steps import Write, sources_shim
from ..view import daemon_pid, open_view
from .host import this_host
from .status import log_problems, state_problems

PING_S = 3.0
_START = "zdeferctl install, or zdeferctl start for this time"


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(NamedTuple):
    """One thing that was looked at; `remedy` says what to do."""

    level: Level
    check: str
    found: str
    remedy: str = ""


class Scene(NamedTuple):
    """What the checks look at."""

    env: Mapping[str, str]
    paths: Paths
    loaded: Loaded
    host: Host
    platform: str = sys.platform


Check = Callable[[Scene], Iterator[Finding]]


def examine(env: Mapping[str, str]) -> list[Finding]:
    """Every finding of every check."""
    from .surroundings import CHECKS as SURROUNDINGS

    host = this_host(env)
    scene = Scene(env, host.paths, load(host.paths), host)
    return [finding for check in (*CHECKS, *SURROUNDINGS) for finding in check(scene)]


def refused(check: str, error: ZdeferdError) -> Finding:
    """An error of ours as a finding: its message ends with what to do."""
    found, _, remedy = str(error).partition("; ")
    return Finding(Level.BAD, check, found, remedy)


# --- socket and daemon ---------------------------------------------------------


def check_home(scene: Scene) -> Iterator[Finding]:
    """A HOME of somebody else's (sudo -s) is where the shim stays away."""
    home = scene.paths.home
    try:
        owner = os.stat(home).st_uid
    except OSError as error:
        yield Finding(Level.BAD, "home", f"{home}: {error.strerror}", "set HOME")
        return
    if owner != os.getuid():
        remedy = "start a login shell of this user (sudo -i); here shells stay away from zdeferd"
        yield Finding(Level.BAD, "home", f"{home} belongs to uid {owner}", remedy)
    if not os.access(home, os.W_OK):
        yield Finding(Level.BAD, "home", f"{home} cannot be written", "make it writable")


def check_socket_rule(scene: Scene) -> Iterator[Finding]:
    """The path that shells, this program and the daemon compute alike."""
    path = scene.paths.socket
    try:
        check_socket_path(path, scene.platform)
        if os.path.lexists(path):
            check_socket(path)
        elif os.path.lexists(os.path.dirname(path)):
            check_private_dir(os.path.dirname(path))
    except ZdeferdError as error:
        yield refused("socket", error)
        return
    rule = next((n for n in ("ZDEFERD_SOCKET", "XDG_RUNTIME_DIR") if scene.env.get(n)), "HOME")
    yield Finding(Level.OK, "socket", f"{path} (by {rule})")


def check_runtime_dir(scene: Scene) -> Iterator[Finding]:
    """Sessions with and without XDG_RUNTIME_DIR would not meet."""
    runtime = scene.env.get("XDG_RUNTIME_DIR", "")
    if scene.platform == "darwin" or scene.env.get("ZDEFERD_SOCKET"):
        return
    usual = f"/run/user/{os.getuid()}"
    if not runtime:
        if os.path.isdir(usual):
            yield Finding(
                Level.WARN,
                "runtime",
                f"XDG_RUNTIME_DIR is not set, and {usual} exists",
                f"export XDG_RUNTIME_DIR={usual}, or this session meets another daemon",
            )
        return
    try:
        found = os.stat(runtime)
    except OSError as error:
        remedy = "unset XDG_RUNTIME_DIR, or log in so that it is made"
        yield Finding(Level.BAD, "runtime", f"{runtime}: {error.strerror}", remedy)
        return
    if found.st_uid != os.getuid():
        remedy = f"export XDG_RUNTIME_DIR={usual} (this one came through su or sudo)"
        yield Finding(Level.BAD, "runtime", f"{runtime} belongs to uid {found.st_uid}", remedy)


def check_daemon(scene: Scene) -> Iterator[Finding]:
    """Does it run, does it answer, is it of our version, has it problems?"""
    pid = daemon_pid(scene.paths.lock)
    if pid is None and installed_service(scene.host) != "systemd":
        yield _no_daemon(scene)
        return
    try:
        pong = request(scene.paths.socket, wire.Ping(), PING_S)
    except NoDaemon as error:
        remedy = "zdeferctl stop; zdeferctl start" if pid is not None else "zdeferctl start"
        found = str(error).partition(";")[0]
        if pid:
            found += f"; pid {pid} holds the lock, perhaps with another socket path"
        yield Finding(Level.BAD, "daemon", found, remedy)
        return
    except ZdeferdError as error:
        yield refused("daemon", error)
        return
    assert isinstance(pong, wire.Pong)
    yield from _answering(pong)


def _no_daemon(scene: Scene) -> Finding:
    if os.path.exists(scene.paths.autostart):
        return Finding(Level.OK, "daemon", "not running; the next new shell starts it")
    return Finding(Level.BAD, "daemon", "not running, and nothing starts it", _START)


def _answering(pong: wire.Pong) -> Iterator[Finding]:
    found = f"pid {pong.pid}, version {pong.version}, answers"
    if pong.version != __version__:
        found += f"; this zdeferctl is {__version__}"
        yield Finding(Level.BAD, "daemon", found, "zdeferctl stop; zdeferctl start")
    else:
        yield Finding(Level.OK, "daemon", found)
    for problem in pong.problems:
        yield Finding(Level.WARN, "daemon", problem, "see the daemon's log, then zdeferctl reload")


# --- files ---------------------------------------------------------------------


def check_state(scene: Scene) -> Iterator[Finding]:
    """The state folder and the ledger: ours alone, writable, readable as a ledger."""
    paths = scene.paths
    if not os.path.lexists(paths.state):
        yield Finding(Level.OK, "state", f"{paths.state} is not made yet")
        return
    try:
        check_private_dir(paths.state)
        if os.path.lexists(paths.ledger):
            check_private_file(paths.ledger)
        view = open_view(paths.ledger)
        unwritten = log_problems(view)
        view.close()
    except ZdeferdError as error:
        yield refused("state", error)
        return
    problems = state_problems(paths.state)
    for problem in problems:
        found, _, remedy = problem.partition("; ")
        yield Finding(Level.BAD, "state", found, remedy)
    if not problems:
        yield Finding(Level.OK, "state", paths.state)
    for problem in unwritten:
        found, _, remedy = problem.partition("; ")
        yield Finding(Level.WARN, "log", found, remedy)


def check_log(scene: Scene) -> Iterator[Finding]:
    """The shared log that a shell like this one would name."""
    paths, settings = scene.paths, scene.loaded.settings
    log = scene.env.get("PERF_SEGMENT_LOG") or settings.log or paths.shared_log
    if not os.path.lexists(log):
        folder = os.path.dirname(log)
        if os.path.isdir(folder) and not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(Level.BAD, "log", f"cannot be made: {log}", f"chmod u+wx {folder}")
        elif not os.path.isdir(folder) and folder != paths.state:
            yield Finding(Level.BAD, "log", f"folder is missing: {folder}", f"mkdir -p {folder}")
        else:
            yield Finding(Level.OK, "log", f"{log} is not made yet")
        return
    try:
        os.close(open_log(log))
    except LogUnavailable as error:
        yield refused("log", error)
        return
    yield Finding(Level.OK, "log", log)


def check_configuration(scene: Scene) -> Iterator[Finding]:
    """Settings and job files."""
    for problem in scene.loaded.problems:
        yield Finding(Level.BAD, "jobs", problem, "mend the file, then zdeferctl check")
    jobs = count(len(scene.loaded.jobs), "valid job")
    yield Finding(Level.OK, "jobs", f"{jobs} in {scene.paths.jobs_dir}")


# --- what install put in place -------------------------------------------------


def check_shim(scene: Scene) -> Iterator[Finding]:
    """The plugin's files, and the line that loads them."""
    host = scene.host
    writes = [s for s in install_plan(host) if isinstance(s, Write)]
    writes = [s for s in writes if s.path.startswith(f"{host.shim}/")]
    if not os.path.isdir(host.shim):
        remedy = "zdeferctl install (not needed where a plugin manager loads it)"
        yield Finding(Level.WARN, "shim", f"not installed: {host.shim}", remedy)
    elif any(_differs(step) for step in writes):
        found = f"not of this version: {host.shim}"
        yield Finding(Level.BAD, "shim", found, "zdeferctl install, then open new shells")
    else:
        yield Finding(Level.OK, "shim", f"{host.shim}, version {__version__}")
    if not _loads_shim(host.zshrc):
        remedy = f"add: {host.line}"
        yield Finding(Level.WARN, "zshrc", f"{host.zshrc} does not load the plugin", remedy)


def _differs(step: Write) -> bool:
    try:
        with open(step.path, "rb") as file:
            return file.read() != step.content
    except OSError:
        return True


def _loads_shim(zshrc: str) -> bool:
    """Whether the line stands there, or a plugin manager is told of us."""
    try:
        with open(zshrc, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.readlines()
    except OSError:
        return False
    code = (line.partition("#")[0] for line in lines)
    return any(sources_shim(line) or "zdeferd" in line for line in code)


def check_service(scene: Scene) -> Iterator[Finding]:
    """Units or agent as this version ships them; the marker names a program that is there."""
    host = scene.host
    service = installed_service(host)
    if service is not None:
        mine = (f"{host.units}/", host.agent)
        writes = [s for s in install_plan(host) if isinstance(s, Write)]
        if any(_differs(s) for s in writes if s.path.startswith(mine)):
            found = f"{service}: files are not of this version"
            yield Finding(Level.WARN, "service", found, "zdeferctl install")
        else:
            yield Finding(Level.OK, "service", service)
    elif os.path.exists(host.paths.autostart):
        yield _marker(host.paths.autostart)
    else:
        found = f"not installed ({host.manager or 'no service manager'} here)"
        yield Finding(Level.WARN, "service", found, "zdeferctl install")


def _marker(path: str) -> Finding:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        program = file.readline().rstrip("\n")
    try:
        runnable = stat.S_IMODE(os.stat(program).st_mode) & 0o111
    except OSError:
        runnable = 0
    if not runnable or not program.startswith("/"):
        found = f"autostart marker names no program: {program}"
        return Finding(Level.BAD, "service", found, "zdeferctl install")
    return Finding(Level.OK, "service", f"shells start {program}")


CHECKS: tuple[Check, ...] = (
    check_home,
    check_runtime_dir,
    check_socket_rule,
    check_daemon,
    check_service,
    check_shim,
    check_configuration,
    check_state,
    check_log,
)
