"""Checks the way from a shell to its daemon, step by step."""

from __future__ import annotations

import os
from collections.abc import Iterator

from .. import __version__
from ..errors import NoDaemon, ZdeferdError
from ..install.plan import STOPPED, installed_service
from ..machine.lock import daemon_pid
from ..machine.paths import check_private_dir, check_socket_path, socket_path
from ..machine.processes import named
from ..wire import control
from ..wire.client import check_socket, request
from .findings import Check, Finding, Level, Scene, refused

PING_S = 3.0
_START = "zdeferctl install, or zdeferctl start for this time"


def check_home(scene: Scene) -> Iterator[Finding]:
    """Check HOME: the shim does nothing in a HOME of another user (sudo -s)."""
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
    """Check the socket's path, which shells and the daemon compute by the same rule."""
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
    if path != socket_path(scene.env, scene.platform):
        yield Finding(Level.OK, "socket", f"{path} (another session's, by {scene.paths.pointer})")
        return
    rule = next((n for n in ("ZDEFERD_SOCKET", "XDG_RUNTIME_DIR") if scene.env.get(n)), "HOME")
    yield Finding(Level.OK, "socket", f"{path} (by {rule})")


def check_runtime_dir(scene: Scene) -> Iterator[Finding]:
    """Check XDG_RUNTIME_DIR: a missing folder, or another user's, holds no socket."""
    runtime = scene.env.get("XDG_RUNTIME_DIR", "")
    if scene.platform == "darwin" or scene.env.get("ZDEFERD_SOCKET"):
        return
    if not runtime:
        return
    try:
        found = os.stat(runtime)
    except OSError as error:
        remedy = "unset XDG_RUNTIME_DIR, or log in so that it is made"
        where = "while it cannot be made, the socket is in the state folder"
        yield Finding(Level.WARN, "runtime", f"{runtime}: {error.strerror}; {where}", remedy)
        return
    if found.st_uid != os.getuid():
        usual = f"/run/user/{os.getuid()}"
        remedy = f"export XDG_RUNTIME_DIR={usual} (this one came through su or sudo)"
        yield Finding(Level.BAD, "runtime", f"{runtime} belongs to uid {found.st_uid}", remedy)


def check_daemon(scene: Scene) -> Iterator[Finding]:
    """Check that the daemon runs, answers, and is of this version; list its problems."""
    pid = daemon_pid(scene.paths.lock)
    if pid is None and installed_service(scene.host) != "systemd":
        yield _no_daemon(scene)
        return
    try:
        pong = request(scene.paths.socket, control.Ping(), PING_S)
    except NoDaemon as error:
        remedy = "zdeferctl restart" if pid is not None else "zdeferctl start"
        found = error.found
        if pid:
            found += f"; {named(pid)} holds the lock, perhaps with another socket path"
        yield Finding(Level.BAD, "daemon", found, remedy)
        return
    except ZdeferdError as error:
        yield refused("daemon", error)
        return
    assert isinstance(pong, control.Pong)
    yield from _answering(pong)


def _no_daemon(scene: Scene) -> Finding:
    if os.path.exists(scene.paths.autostart):
        return Finding(Level.OK, "daemon", "not running; the next new shell starts it")
    if os.path.exists(scene.paths.autostart + STOPPED):
        found = "stopped by zdeferctl stop: no shell starts it"
        return Finding(Level.WARN, "daemon", found, "zdeferctl start")
    return Finding(Level.BAD, "daemon", "not running, and nothing starts it", _START)


def _answering(pong: control.Pong) -> Iterator[Finding]:
    found = f"pid {pong.pid}, version {pong.version}, answers"
    if pong.version != __version__:
        found += f"; this zdeferctl is {__version__}"
        yield Finding(Level.BAD, "daemon", found, "zdeferctl restart")
    else:
        yield Finding(Level.OK, "daemon", found)
    for problem in pong.problems:
        yield Finding(
            Level.WARN,
            "daemon",
            problem,
            "mend what it names; it is listed for an hour at most",
        )


CHECKS: tuple[Check, ...] = (check_home, check_runtime_dir, check_socket_rule, check_daemon)
