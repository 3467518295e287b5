"""Changes files of settings and jobs: what is written is checked first, and counts only then.

A file is edited as a draft beside it, whose name begins with a dot, so that the daemon passes
over it. A draft with mistakes is kept; the file, if there is one, stays in force as it is.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from contextlib import contextmanager
from typing import NamedTuple

from ..config.problems import Problem, in_order
from ..errors import NoDaemon, RequestRefused, ZdeferdError
from ..jobs.files import load
from ..machine.files import open_regular, replace_whole
from ..machine.lock import daemon_pid
from ..machine.paths import check_home, make_dirs
from ..view.render import Style, home_short, marked
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..jobs.files import Loaded
    from ..machine.paths import Paths
    from .call import Call


WAIT_OPTIONS = {
    **dict.fromkeys(("code", "code-insiders", "codium", "cursor", "windsurf"), ("--wait", "-w")),
    **dict.fromkeys(("subl", "zed", "zeditor", "gedit", "atom", "mate"), ("--wait", "-w")),
    **dict.fromkeys(("gvim", "mvim"), ("--nofork", "-f")),
    "kate": ("--block", "-b"),
}
"""Editors that open a window and return at once, and the options by which each waits."""


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


class Ids(NamedTuple):
    """The ids that an edit has taken out of a file, and those that it has put in."""

    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield what each of them means."""
        for job in self.gone:
            yield f"gone: {job}; its runs stay, `zdeferctl forget {job}` deletes them"
        for job in self.new:
            yield f"new: {job}; another job to zdeferd, with claims and runs of its own"


_NO_IDS = Ids()


class _Result(NamedTuple):
    """Says what has become of an edited draft."""

    code: int
    said: str = ""
    problems: Sequence[Problem] = ()
    """Why it is not in force."""
    ids: Ids = _NO_IDS


def edit(call: Call, paths: Paths, wanted: Edit) -> int:
    """Have the user edit a file, and put it in its place where it is right; -> 0 or 1."""
    check_home(call.env)
    editor = editor_of(call.env)
    if os.path.exists(wanted.draft):
        call.progress(f"goes on with the draft: {wanted.draft}")
    else:
        put(wanted.draft, wanted.begin)
    _run_editor(editor, wanted)
    return _answer(call, paths, wanted, _put_in_place(paths, wanted, editor))


def _put_in_place(paths: Paths, wanted: Edit, editor: str) -> _Result:
    """Put the draft in the place of the file, where it is right."""
    text = content_of(wanted.draft)
    if text == wanted.begin:
        os.unlink(wanted.draft)
        said = f"nothing was changed: {wanted.path}{_hint(editor)}"
        return _Result(NO if wanted.verb == "new" else DONE, said)
    if problems := mistakes(paths, wanted.path, text) or _emptied(paths, wanted.path, text):
        return _Result(NO, problems=problems)
    if wanted.verb == "edit" and content_of(wanted.path) != wanted.begin:
        raise ZdeferdError(
            f"file was changed meanwhile: {wanted.path}",
            f"the draft is kept: {wanted.draft}; put together what belongs into the file",
        )
    ids = _ids(paths, wanted, text)
    put(wanted.path, text)
    os.unlink(wanted.draft)
    said = f"written: {wanted.path}; {reload(paths)}"
    return _Result(DONE, "\n".join([said, *ids.lines()]), ids=ids)


def _ids(paths: Paths, wanted: Edit, text: bytes) -> Ids:
    """Return the ids that come and go where the file has this text."""
    before = set() if wanted.verb == "new" else _declared(load(paths), wanted.path)
    after = _declared(load(paths, drafts={wanted.path: text}), wanted.path)
    return Ids(tuple(sorted(before - after)), tuple(sorted(after - before - {wanted.job})))


def _declared(loaded: Loaded, path: str) -> set[str]:
    return {job.id for job in loaded.jobs.values() if job.source == path}


def _answer(call: Call, paths: Paths, wanted: Edit, result: _Result) -> int:
    """Print what has become of an edited file; -> its exit code."""
    found = [str(problem) for problem in result.problems]
    kept = wanted.draft if found else None
    document = {
        "job": wanted.job,
        "file": wanted.path,
        "problems": found,
        "draft": kept,
        "gone": result.ids.gone,
        "new": result.ids.new,
    }
    stays = "stays in force as it was" if os.path.exists(wanted.path) else "is not made"

    def text(style: Style) -> str:
        lines = marked(style.paint("refused", "red"), found, call.columns, paths.home)
        if found:
            lines.append(f"{wanted.path} {stays}; the draft is kept: {wanted.draft}")
            lines.append(f"mend it: zdeferctl {wanted.verb} {wanted.job}")
        return home_short("\n".join([*lines, *filter(None, [result.said])]), paths.home)

    return call.answer(document, text, result.code)


# --- the editor ----------------------------------------------------------------


def editor_of(env: Mapping[str, str]) -> str:
    """Return the command of the user's editor. ZdeferdError: none is set."""
    for name in ("VISUAL", "EDITOR"):
        if env.get(name, "").strip():
            return env[name]
    raise ZdeferdError("no editor is set: VISUAL and EDITOR", "set one: export EDITOR=vim")


def _hint(editor: str) -> str:
    """Return what to do where the editor is one that returns before a word can be changed."""
    try:
        program, *options = shlex.split(editor)
    except ValueError:
        return ""
    name = os.path.basename(program)
    waits = WAIT_OPTIONS.get(name, ())
    if not waits or not set(options).isdisjoint(waits):
        return ""
    return f"; {name} returns at once: VISUAL or EDITOR needs its option {waits[0]}"


def _run_editor(editor: str, wanted: Edit) -> None:
    """Run the editor on the draft; ZdeferdError where it fails. A draft without changes goes."""
    words = ["sh", "-c", f'trap : INT QUIT; {editor} "$@"', "editor", wanted.draft]
    with _keys_for_editor():
        code = subprocess.run(words, check=False).returncode
    if code == 0 and os.path.exists(wanted.draft):
        return
    failed = "there is no draft any more" if code == 0 else f"exit code {code}"
    if code == 0 or content_of(wanted.draft) == wanted.begin:
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


def content_of(path: str) -> bytes:
    """Return what a file has; nothing where there is none. ZdeferdError where it cannot be read."""
    try:
        with open(path, "rb", opener=open_regular) as file:
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
    if _declared(load(paths, drafts={path: content}), path):
        return []
    remedy = f"a table of a job, such as [build]; to end its jobs: rm {shlex.quote(path)}"
    return [Problem("", "no job", remedy, file=path)]


def put(path: str, content: bytes) -> None:
    """Replace a file whole, or make it; a symlink stays one, and so does the mode. ZdeferdError."""
    place = os.path.realpath(path)
    try:
        make_dirs(os.path.dirname(place))
        replace_whole(place, content, 0o600)
    except OSError as error:
        remedy = f"see ls -ld {shlex.quote(os.path.dirname(path))}"
        raise ZdeferdError(f"cannot write: {path}: {error.strerror}", remedy) from None


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
