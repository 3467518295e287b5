"""Checks zdeferd's own files: installed, configured and written."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress

from .. import __version__
from ..errors import LedgerError, LedgerLocked, LedgerNewer, LogUnavailable, ZdeferdError
from ..install import ask
from ..install.plan import STOPPED, install_plan, installed_service
from ..install.steps import Write
from ..install.zshrc import called_too_early, lines_of, loads_shim, sources_shim
from ..ledger.reading import reading
from ..machine.files import check_way
from ..machine.lock import daemon_pid
from ..machine.paths import Paths, check_private_dir, check_private_file
from ..machine.processes import named, openers
from ..telemetry.logfile import discards, open_log
from ..telemetry.projection import is_usable
from ..view.health import log_troubles, refused_by_shells, state_troubles
from ..view.jobs import tally
from ..view.render import count
from .caches import check_outputs
from .completion import dumps_of, insecure_troubles
from .findings import Check, Finding, Level, Scene, refused


def check_state(scene: Scene) -> Iterator[Finding]:
    """Check that state folder and ledger are private, writable and undamaged."""
    paths = scene.paths
    if not os.path.lexists(paths.state):
        yield Finding(Level.OK, "state", f"{paths.state} is not made yet")
        return
    try:
        check_private_dir(paths.state)
        check_way(paths.state, paths.home)
        if os.path.lexists(paths.ledger):
            check_private_file(paths.ledger)
    except ZdeferdError as error:
        yield refused("state", error)
        return
    try:
        with reading(paths.ledger) as view:
            damage, unwritten = view.damage(), log_troubles(view)
    except LedgerNewer as error:
        yield refused("state", error)
    except LedgerLocked:
        yield _locked(paths)
    except LedgerError as error:
        yield _damaged(paths.ledger, error.found)
    else:
        yield from [_damaged(paths.ledger, damage)] if damage else _state_folder(paths)
        yield from (Finding(Level.WARN, "log", *trouble) for trouble in unwritten)


def _locked(paths: Paths) -> Finding:
    daemon = daemon_pid(paths.lock)
    others = [named(pid) for pid in openers(paths.ledger) if pid != daemon]
    program = ", ".join(others) or "the other program that has it open"
    remedy = f"end {program}; zdeferd goes on by itself then"
    return Finding(Level.BAD, "state", f"ledger is locked: {paths.ledger}", remedy)


def _damaged(path: str, found: str) -> Finding:
    remedy = f"zdeferctl stop; move {path}* away; zdeferctl start (every job is due once more then)"
    return Finding(Level.BAD, "state", f"ledger is damaged: {path} ({found})", remedy)


def _state_folder(paths: Paths) -> Iterator[Finding]:
    troubles = state_troubles(paths)
    yield from (Finding(Level.BAD, "state", *trouble) for trouble in troubles)
    if not troubles:
        yield Finding(Level.OK, "state", paths.state)


def check_log(scene: Scene) -> Iterator[Finding]:
    """Check the shared log that a shell with this environment would name."""
    paths, settings = scene.paths, scene.loaded.settings
    log = scene.env.get("PERF_SEGMENT_LOG") or settings.log or paths.shared_log
    if not is_usable(log):
        found = f"not an absolute path of printable text: {log}; shells alone write there"
        yield Finding(Level.WARN, "log", found, "export PERF_SEGMENT_LOG with such a path")
        return
    if discards(log):
        yield Finding(Level.OK, "log", f"{log}: no log is wanted")
        return
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
    """Check settings and job files."""
    if problems := tally(scene.loaded.problems, scene.paths):
        yield Finding(Level.BAD, "jobs", problems, "zdeferctl check says where and what")
    with suppress(ZdeferdError), reading(scene.paths.ledger) as view:  # check_state tells
        for trouble in refused_by_shells(view, time.time()):
            yield Finding(Level.WARN, "jobs", *trouble)
    jobs = count(len(scene.loaded.jobs), "valid job")
    yield Finding(Level.OK, "jobs", f"{jobs} in {scene.paths.jobs_dir}")


def check_completion(scene: Scene) -> Iterator[Finding]:
    """Check what the dumps of `zdefer compinit` leave out."""
    for trouble in insecure_troubles(dumps_of(scene.env)):
        yield Finding(Level.WARN, "completion", *trouble)


# --- what install put in place -------------------------------------------------


def check_shim(scene: Scene) -> Iterator[Finding]:
    """Check the plugin's files, and the line of .zshrc that loads them."""
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
    yield _zshrc(scene)


def _zshrc(scene: Scene) -> Finding:
    """Return whether a new shell loads the plugin; zsh is asked, for text does not tell."""
    host = scene.host
    zsh = scene.shell or host.zsh
    answer = ask.loaded(zsh, scene.env, host.startup) if zsh else None
    if at := called_too_early(host.zshrc):
        found = f"{host.zshrc}:{at} calls the plugin above the line that loads it"
        return Finding(Level.BAD, "zshrc", found, "move that line below it")
    if answer is not None and answer.is_loaded:
        return Finding(Level.OK, "zshrc", f"a new shell loads the plugin: {answer.folder}")
    if not loads_shim(host.zshrc):
        remedy = f"add: {host.line}"
        return Finding(Level.WARN, "zshrc", f"{host.zshrc} does not load the plugin", remedy)
    if answer is not None and any(map(sources_shim, lines_of(host.zshrc))):
        found = f"{host.zshrc} has the line, and a new shell does not load the plugin"
        return Finding(Level.WARN, "zshrc", found, "zdeferctl install; is the line reached?")
    return Finding(Level.OK, "zshrc", f"{host.zshrc} loads the plugin")


def _differs(step: Write) -> bool:
    try:
        with open(step.path, "rb") as file:
            return file.read() != step.content
    except OSError:
        return True


def check_service(scene: Scene) -> Iterator[Finding]:
    """Check the units or the agent, or the marker by which shells start the daemon."""
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
    elif not os.path.exists(host.paths.autostart + STOPPED):  # of that doctor/connection.py tells
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
    check_service,
    check_shim,
    check_configuration,
    check_completion,
    check_outputs,
    check_state,
    check_log,
)
