"""Defines the steps of an installation as data, and carries one out.

A step names a state, not an action: to carry it out a second time changes nothing. Files
are replaced whole, by rename, so that a shell never reads half a file. The caller decides
what is wanted (install/plan.py); no path of zdeferd's own stands here.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import NamedTuple

from ..errors import ZdeferdError
from ..machine.paths import make_dirs
from .zshrc import with_line, without_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

COMMAND_LIMIT_S = 20.0
_COMPILE = 'cd -q -- "${1:h}" && zcompile -UR -- "${1:t}" "${2:t}"'
"""From its folder, because zcompile cannot open most paths with letters beyond ASCII (zsh 5.9)."""


class StepFailed(ZdeferdError):
    """A step of the installation failed."""


class Write(NamedTuple):
    """The file has exactly this content."""

    path: str
    content: bytes
    mode: int = 0o644


class MakeFolder(NamedTuple):
    """The folder exists; a new one is closed to other users."""

    path: str


class Remove(NamedTuple):
    """There is no such file; with `tree` no such folder either."""

    path: str
    tree: bool = False


class RemoveEmpty(NamedTuple):
    """There is no such folder, unless it holds a file."""

    path: str


class Compile(NamedTuple):
    """A .zwc, newer than the file, is beside a zsh file that a step wrote."""

    zsh: str
    path: str


class AddLine(NamedTuple):
    """The file has the line once, above those that need it; a backup has the file as it was.

    A line that ends with `mark` was added before, and is brought up to date.
    """

    path: str
    line: str
    mark: str


class RemoveLine(NamedTuple):
    """No line in the file ends with this mark."""

    path: str
    mark: str


class Command(NamedTuple):
    """A command of the service manager succeeds."""

    words: tuple[str, ...]
    must: bool = True
    """False: the plan goes on after its failure (a service to stop need not run)."""


Step = Write | MakeFolder | Remove | RemoveEmpty | Compile | AddLine | RemoveLine | Command


def describe(step: Step) -> str:
    """Return what a step does, in a few words and with its path."""
    match step:
        case Write(path):
            return f"write {path}"
        case MakeFolder(path):
            return f"make {path}"
        case Remove(path):
            return f"remove {path}"
        case RemoveEmpty(path):
            return f"remove {path} if empty"
        case Compile(_, path):
            return f"compile {path}"
        case AddLine(path):
            return f"add one line to {path}"
        case RemoveLine(path):
            return f"take the line out of {path}"
        case Command(words):
            return " ".join(words)


# --- carrying out --------------------------------------------------------------


def carry_out(step: Step) -> bool:
    """Do a step; return whether it changed anything. StepFailed names what failed."""
    try:
        match step:
            case Write():
                return _write(step)
            case MakeFolder(path):
                return _make_folder(path)
            case Remove(path, tree):
                return _remove(path, tree)
            case RemoveEmpty(path):
                return _remove_empty(path)
            case Compile():
                return _compile(step)
            case AddLine():
                return _add_line(step)
            case RemoveLine():
                return _remove_line(step)
            case Command():
                return _command(step)
    except OSError as error:
        raise StepFailed(f"cannot {describe(step)}: {error.strerror or error}") from None


def _write(step: Write) -> bool:
    if not os.path.islink(step.path) and _content(step.path) == step.content:
        return False
    make_dirs(os.path.dirname(step.path))
    _remove(f"{step.path}.zwc", tree=False)  # zsh would read the old text from it
    _replace(step.path, step.content, step.mode)
    return True


def _make_folder(path: str) -> bool:
    if os.path.isdir(path):
        return False
    make_dirs(path)
    return True


def _replace(path: str, content: bytes, mode: int) -> None:
    """Replace the file by rename: a reader sees the old content or the new, never a part."""
    fresh = f"{path}.zdeferd-new"
    _remove(fresh, tree=False)  # of an install that was interrupted, or planted
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, mode), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    os.rename(fresh, path)


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _remove(path: str, tree: bool) -> bool:
    if not os.path.lexists(path):
        return False
    if tree and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    return True


def _remove_empty(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def _compile(step: Compile) -> bool:
    """Compile beside and rename: a shell never reads half a .zwc."""
    compiled, fresh = f"{step.path}.zwc", f"{step.path}.new.zwc"
    if os.path.exists(compiled):  # writing the file takes an old one away
        return False
    _remove(fresh, tree=False)
    # Without a .zwc the file is only slower to load.
    done = run_command((step.zsh, "-fc", _COMPILE, "zsh", fresh, step.path))
    if done.returncode != 0:
        return False
    newer = os.stat(step.path).st_mtime_ns + 1_000_000_000  # zsh compares whole seconds
    os.utime(fresh, ns=(newer, newer))
    os.rename(fresh, compiled)
    return True


def _add_line(step: AddLine) -> bool:
    path = os.path.realpath(step.path)
    before = _content(path)
    text = _decoded(before or b"")
    made = with_line(text, step.line, step.mark)
    if made == text:
        return False
    if before is not None:
        _replace(backup_of(path), before, _mode_of(path, 0o644))
    make_dirs(os.path.dirname(path))
    _replace(path, _encoded(made), _mode_of(path, 0o644))
    return True


def backup_of(path: str) -> str:
    """Return the path where the file goes as it was."""
    return f"{path}.before-zdeferd"


def _remove_line(step: RemoveLine) -> bool:
    path = os.path.realpath(step.path)
    before = _content(path)
    if before is None:
        return False
    kept = _encoded(without_line(_decoded(before), step.mark))
    if kept == before:
        return False
    if not kept and not os.path.exists(backup_of(path)):  # there was no such file before
        os.unlink(path)
        return True
    _replace(path, kept, _mode_of(path, 0o644))
    return True


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _mode_of(path: str, default: int) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return default


def _command(step: Command) -> bool:
    done = run_command(step.words)
    if done.returncode != 0 and step.must:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise StepFailed(
            f"command failed: {' '.join(step.words)}: {said[-1] if said else done.returncode}"
        )
    return done.returncode == 0


def run_command(words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a command without input, for COMMAND_LIMIT_S; rc 127: not found, 124: too slow."""
    import subprocess  # slow to import, and a plan that is only printed runs nothing

    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        said = f"no answer in {COMMAND_LIMIT_S:g} s"
        return subprocess.CompletedProcess(words, 124, "", said)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 127, "", f"{error.strerror}: {words[0]}")
