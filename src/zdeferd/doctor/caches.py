"""Checks the places where jobs publish, above all the caches of `zdefer eval` and `compinit`.

A shell that may not read a cache, or for which there is none, goes on as if there were no zdeferd,
and says nothing at its start: so it is said here.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..errors import ZdeferdError
from ..jobs.outputs import out_of_place
from ..ledger.reading import reading
from ..machine.paths import cache_dir
from ..view.jobs import declared
from ..view.render import count
from .findings import Finding, Level, Scene

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..model import Job


def not_read(path: str, found: os.stat_result) -> str:
    """Return why shells do not read a cache; the same rule as in shell/functions/zdeferd-eval."""
    try:
        folder = os.lstat(os.path.dirname(path))
    except OSError:
        return "its folder cannot be looked at"
    reasons = [
        _not_ours("its folder", folder, stat.S_ISDIR(folder.st_mode)),
        _not_ours("its file", found, stat.S_ISREG(found.st_mode)),
    ]
    with suppress(OSError):
        compiled = os.lstat(f"{path}.zwc")
        reasons.append(_not_ours("its compiled file", compiled, stat.S_ISREG(compiled.st_mode)))
    return next(filter(None, reasons), "")


def _not_ours(what: str, found: os.stat_result, right: bool) -> str:
    if not right:
        return f"{what} is a link or of another kind"
    if found.st_uid != os.geteuid():
        return f"{what} belongs to another user"
    if found.st_mode & 0o022:
        return f"{what} can be changed by others: mode {stat.S_IMODE(found.st_mode):o}"
    return ""


def check_outputs(scene: Scene) -> Iterator[Finding]:
    """Check where jobs publish, and the folders of caches."""
    with suppress(ZdeferdError), reading(scene.paths.ledger) as view:  # check_state tells
        jobs = [it.job for it in declared(view, scene.paths)[0].values() if it.job]
        yield from _misplaced([job for job in jobs if job.output], scene)
        yield from _shared([job for job in jobs if job.output])
    for name in ("init", "compinit"):
        yield from _unread_folder(f"{cache_dir(scene.env)}/{name}")


def _misplaced(jobs: list[Job], scene: Scene) -> Iterator[Finding]:
    found: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        found.setdefault(out_of_place(job, scene.env, scene.paths.home), []).append(job.id)
    found.pop(("", ""), None)
    for (what, remedy), ids in found.items():
        jobs_of = f"{count(len(ids), 'job')} ({', '.join(ids)})"
        yield Finding(Level.WARN, "outputs", f"{jobs_of} can publish nothing: {what}", remedy)


def _shared(jobs: list[Job]) -> Iterator[Finding]:
    """Yield each output that several jobs have; those of one visit, or of files, are refused."""
    by_output: dict[str, list[str]] = {}
    for job in jobs:
        by_output.setdefault(job.output, []).append(job.id)
    for path, ids in by_output.items():
        if len(ids) > 1:
            what = f"{len(ids)} jobs ({', '.join(ids)}) publish the same file: {path}"
            remedy = (
                "give each a file of its own; `zdeferctl forget JOB` what you no longer declare"
            )
            yield Finding(Level.WARN, "outputs", what, remedy)


def _unread_folder(path: str) -> Iterator[Finding]:
    try:
        found = os.lstat(path)
    except OSError:
        return
    if reason := _not_ours("it", found, stat.S_ISDIR(found.st_mode)):
        what = f"shells read no cache in {path}: {reason}"
        remedy = f"chmod go-w {path}, or where that is not it remove it; shells have it made anew"
        yield Finding(Level.WARN, "outputs", what, remedy)
