"""Changes files of settings and jobs: what is written is checked first, and counts only then.

A file is edited as a draft beside it, whose name begins with a dot, so that the daemon passes
over it. A draft with mistakes is kept; the file, if there is one, stays in force as it is.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from typing import NamedTuple

from ..config.problems import Problem, in_order
from ..errors import NoDaemon, RequestRefused, ZdeferdError
from ..jobs.files import load
from ..machine.lock import daemon_pid
from ..machine.paths import make_dirs, sync_folder
from ..view.render import Style, home_short, printable, wrapped
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..machine.paths import Paths
    from .call import Call


class Edit(NamedTuple):
    """A job file that is to be edited."""

    job: str
    path: str
    begin: bytes
    """The text that the editor shows first: the file, or a template."""
    verb: str
    """The verb that goes on with a draft: `new` or `edit`."""

    @property
    def draft(self) -> str:
        """Return the path of the draft."""
        folder, name = os.path.split(self.path)
        return f"{folder}/.{name.removesuffix('.toml')}.draft.toml"


def edit(call: Call, paths: Paths, wanted: Edit) -> int:
    """Have the user edit a file, and put it in its place where it is right; -> 0 or 1."""
    editor = editor_of(call.env)
    if os.path.exists(wanted.draft):
        call.progress(f"goes on with the draft: {wanted.draft}")
    else:
        put(wanted.draft, wanted.begin)
    _run_editor(editor, wanted)
    text = _content(wanted.draft)
    if text == wanted.begin:
        os.unlink(wanted.draft)
        said = f"nothing was changed: {wanted.path}"
        return _answer(call, paths, wanted, said, NO if wanted.verb == "new" else DONE)
    if problems := mistakes(paths, wanted.path, text) or _emptied(paths, wanted.path, text):
        return _answer(call, paths, wanted, "", NO, problems)
    if wanted.verb == "edit" and _content(wanted.path) != wanted.begin:
        raise ZdeferdError(
            f"file was changed meanwhile: {wanted.path}",
            f"the draft is kept: {wanted.draft}; put together what belongs into the file",
        )
    put(wanted.path, text)
    os.unlink(wanted.draft)
    return _answer(call, paths, wanted, f"written: {wanted.path}; {reload(paths)}", DONE)


def _answer(
    call: Call,
    paths: Paths,
    wanted: Edit,
    said: str,
    code: int,
    problems: list[Problem] | None = None,
) -> int:
    """Print what has become of an edited file; -> `code`."""
    found = [str(problem) for problem in problems or ()]
    kept = wanted.draft if found else None
    document = {"job": wanted.job, "file": wanted.path, "problems": found, "draft": kept}
    stays = "stays in force as it was" if os.path.exists(wanted.path) else "is not made"

    def text(style: Style) -> str:
        lines = refusals(found, paths, call, style)
        if found:
            lines.append(f"{wanted.path} {stays}; the draft is kept: {wanted.draft}")
            lines.append(f"mend it: zdeferctl {wanted.verb} {wanted.job}")
        return home_short("\n".join([*lines, *filter(None, [said])]), paths.home)

    return call.answer(document, text, code)


def refusals(problems: list[str], paths: Paths, call: Call, style: Style) -> list[str]:
    """Return a line for each problem."""
    word = style.paint("refused", "red")
    shown = [printable(home_short(problem, paths.home)) for problem in problems]
    return [wrapped(f"{word} {problem}", call.columns, 8) for problem in shown]


# --- the editor ----------------------------------------------------------------


def editor_of(env: Mapping[str, str]) -> str:
    """Return the command of the user's editor. ZdeferdError: none is set."""
    for name in ("VISUAL", "EDITOR"):
        if env.get(name, "").strip():
            return env[name]
    raise ZdeferdError("no editor is set: VISUAL and EDITOR", "set one: export EDITOR=vim")


def _run_editor(editor: str, wanted: Edit) -> None:
    """Run the editor on the draft; ZdeferdError where it fails. A draft without changes goes."""
    words = ["sh", "-c", f'trap : INT QUIT; {editor} "$@"', "editor", wanted.draft]
    with _keys_for_editor():
        code = subprocess.run(words, check=False).returncode
    if code == 0 and os.path.exists(wanted.draft):
        return
    failed = "there is no draft any more" if code == 0 else f"exit code {code}"
    if code == 0 or _content(wanted.draft) == wanted.begin:
        _remove(wanted.draft)
        remedy = "nothing was changed; VISUAL and EDITOR name the editor"
    else:
        remedy = f"the draft is kept: {wanted.draft}"
    raise ZdeferdError(f"editor failed: {editor}: {failed}", remedy)


@contextmanager
def _keys_for_editor() -> Iterator[None]:
    """Leave Ctrl-C and Ctrl-\\ to the editor meanwhile: in vi, Ctrl-C ends an insertion."""
    keys = (signal.SIGINT, signal.SIGQUIT)
    # A function, not SIG_IGN, which the editor would inherit.
    before = [signal.signal(one, lambda *_: None) for one in keys]
    try:
        yield
    finally:
        for one, handler in zip(keys, before, strict=True):
            signal.signal(one, handler)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ZdeferdError(f"cannot read: {path}: {error.strerror}", "move it away") from None


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


# --- files ---------------------------------------------------------------------


def mistakes(paths: Paths, path: str, content: bytes) -> list[Problem]:
    """Return what is wrong where a file has this content, without what is wrong in others."""
    before = {str(problem) for problem in load(paths).problems}
    found = in_order(load(paths, drafts={path: content}).problems)
    return [one for one in found if one.file == path or str(one) not in before]


def _emptied(paths: Paths, path: str, content: bytes) -> list[Problem]:
    """Return a problem where a job file with this content declares no job."""
    jobs = load(paths, drafts={path: content}).jobs.values()
    if any(job.source == path for job in jobs):
        return []
    remedy = f"a table of a job, such as [build]; to end its jobs: rm {shlex.quote(path)}"
    return [Problem("", "no job", remedy, file=path)]


def put(path: str, content: bytes) -> None:
    """Replace a file whole, or make it; a symlink stays one, and so does the mode. ZdeferdError."""
    try:
        _replace(os.path.realpath(path), content)
    except OSError as error:
        remedy = f"see ls -ld {shlex.quote(os.path.dirname(path))}"
        raise ZdeferdError(f"cannot write: {path}: {error.strerror}", remedy) from None


def _replace(path: str, content: bytes) -> None:
    folder = os.path.dirname(path)
    make_dirs(folder)
    try:
        mode = os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mode = 0o600
    descriptor, fresh = tempfile.mkstemp(dir=folder, prefix=".zdeferctl-")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(fresh, path)
    except OSError:
        _remove(fresh)
        raise
    sync_folder(folder)


def reload(paths: Paths) -> str:
    """Have a daemon that runs read its files again; return what has become of that."""
    later = "the daemon reads it at its next start"
    if daemon_pid(paths.lock) is None:
        return later
    from ..wire import control
    from ..wire.client import request

    try:
        request(paths.socket, control.Reload())
    except NoDaemon:
        return later
    except RequestRefused as error:
        return f"the daemon did not read it: {error.found}"
    return "the daemon has read it"
