"""List the caches of `zdefer eval` and `zdefer compinit`, make them anew, or remove them.

SAVED is the wall time of the command's last good run, less the time in which zsh sources the
cache, which `list` measures in a `zsh -f`; of a dump of compinit there is none. `refresh` runs the
commands now and waits; `clear` removes caches, and the next shell has them made.

Examples:

zdeferctl cache

zdeferctl cache refresh starship
"""

from __future__ import annotations

import glob
import os
from contextlib import suppress
from typing import NamedTuple

from ..doctor.completion import dumps_of
from ..errors import RequestRefused, ZdeferdError
from ..jobs.environment import cut_env
from ..machine.paths import cache_dir
from ..view.render import Style, ago, count, duration, marked, octets, printable, table
from ..view.runs import ended
from ..view.where import find_paths
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..ledger.reading import RunRow, View
    from ..machine.paths import Paths
    from ..model import Job
    from ..view.answers import WhyFacts
    from ..wire.client import Client
    from .call import Call

_SOURCE = (
    "zmodload zsh/datetime; float began=$EPOCHREALTIME; source $1 >/dev/null 2>&1;"
    " print -r -- $(( (EPOCHREALTIME - began) * 1000 ))"
)
_TIMES = 3
_LIMIT_S = 5.0
_ENDING = ".zsh"


class NoSuchCache(ZdeferdError):
    """No cache has that name."""


class Cache(NamedTuple):
    """One cache: its file as it is, and what the ledger knows of its job."""

    name: str
    path: str
    found: os.stat_result | None
    """None: there is no file."""
    facts: WhyFacts | None
    """None: no shell has declared the job."""
    made: RunRow | None
    """The last good run."""
    source_ms: float | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the action and the names."""
    actions = ("list", "refresh", "clear")
    parser.add_argument("action", nargs="?", default="list", choices=actions, help="list is usual")
    parser.add_argument("names", metavar="NAME", nargs="*", help="of a cache; none: all of them")


def perform(call: Call) -> int:
    """Do it; -> 0, or 1 where a cache could not be made anew."""
    from ..ledger.reading import reading

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        caches = _caches(call, paths, view)
    chosen = _chosen(call.args.names, caches)
    if call.args.action == "refresh":
        return _refresh(call, paths, chosen)
    if call.args.action == "clear":
        return _clear(call, chosen)
    return _list(call, [cache._replace(source_ms=_source_ms(cache, call)) for cache in chosen])


def _chosen(names: list[str], caches: dict[str, Cache]) -> list[Cache]:
    for name in names:
        if name not in caches:
            raise NoSuchCache(f"no such cache: {name}", "zdeferctl cache lists them")
    return [caches[name] for name in dict.fromkeys(names)] if names else list(caches.values())


def _caches(call: Call, paths: Paths, view: View) -> dict[str, Cache]:
    """Return the caches by name: those of jobs, then files without a job."""
    from ..view.jobs import declared

    jobs = (item.job for item in declared(view, paths)[0].values())
    found = {
        cache.name: cache for job in jobs if job and _is_cache(job)
        for cache in [_cache(job, call, paths, view)]
    }  # fmt: skip
    for path in (*_files(call), *dumps_of(call.env)):
        plain = os.path.basename(path).removesuffix(_ENDING)
        found.setdefault(plain, Cache(plain, path, _stat(path), None, None))
    return found


def _is_cache(job: Job) -> bool:
    """Return whether the job makes a cache, or a dump that is still there: old ones are removed."""
    return job.check == "init" or (_is_dump(job.output) and os.path.lexists(job.output))


def _is_dump(path: str) -> bool:
    return os.path.dirname(path).endswith("/zdeferd/compinit")


def _files(call: Call) -> list[str]:
    """Return the files of the caches of `zdefer eval`."""
    return sorted(glob.glob(f"{glob.escape(cache_dir(call.env))}/init/*{_ENDING}"))


def _cache(job: Job, call: Call, paths: Paths, view: View) -> Cache:
    from ..view.facts import gather

    name = os.path.basename(job.output).removesuffix(_ENDING)
    good = view.runs(job.id, ["succeeded"], 1)
    facts = gather(job.id, call.now, call.env, paths, view)
    return Cache(name, job.output, _stat(job.output), facts, good[0] if good else None)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


# --- list ----------------------------------------------------------------------


def _list(call: Call, caches: list[Cache]) -> int:
    def text(style: Style) -> str:
        if not caches:
            return "no caches yet; put `zdefer eval COMMAND ARG…` into .zshrc"
        heads = ("NAME", "MADE", "SIZE", "SAVED", "STATE")
        rows = [_cells(cache, call.now, style) for cache in caches]
        notes = [
            f"{cache.name}: {reason}" for cache in caches if (reason := _state(cache, call)[1])
        ]
        lines = marked(style.paint("!", "red"), notes, call.columns)
        return "\n".join([table(heads, rows, style, frozenset({2, 3})), *lines])

    def _cells(cache: Cache, now: float, style: Style) -> list[str]:
        saved = _saved_ms(cache)
        return [
            style.bold(printable(cache.name)),
            ago(cache.found.st_mtime, now) if cache.found else "never",
            octets(cache.found.st_size) if cache.found else "",
            "" if saved is None else duration(saved),
            _state(cache, call)[0],
        ]

    return call.answer({"caches": [_document(cache, call) for cache in caches]}, text)


def _document(cache: Cache, call: Call) -> dict[str, object]:
    state, reason = _state(cache, call)
    return {
        "name": cache.name,
        "job": cache.facts.id if cache.facts else None,
        "path": cache.path,
        "made_at_s": cache.found.st_mtime if cache.found else None,
        "size_bytes": cache.found.st_size if cache.found else None,
        "command_ms": cache.made["wall_ms"] if cache.made else None,
        "source_ms": cache.source_ms,
        "saved_ms": _saved_ms(cache),
        "state": state,
        "reason": reason or None,
    }


def _saved_ms(cache: Cache) -> float | None:
    wall = cache.made["wall_ms"] if cache.made else None
    if wall is None or cache.source_ms is None:
        return None
    return max(0.0, round(wall - cache.source_ms, 3))


def _state(cache: Cache, call: Call) -> tuple[str, str]:
    """Return `fresh`, or another word and its reason."""
    from ..doctor.caches import not_read

    if cache.facts is None:
        return "unused", "no shell has asked for it; zdeferctl cache clear removes it"
    if cache.found and (reason := not_read(cache.path, cache.found)):
        return "not read", reason
    if cache.facts.misplaced[0]:
        return ("stale" if cache.found else "none"), "; ".join(cache.facts.misplaced)
    last, live = cache.facts.last, cache.facts.live
    if live:
        return "being made", ""
    if last and last.outcome != "succeeded":
        end = "-- " if cache.name.startswith("-") else ""
        again = f"; zdeferctl cache refresh {end}{cache.name} tries again"
        return ("stale" if cache.found else "none"), ended(last, call.now) + again
    if cache.found is None:
        return "none", "it is made after the next prompt"
    if cache.facts.unseen:
        return "unknown", cache.facts.unseen
    changed = ", ".join(cache.facts.changed)
    if changed or cache.facts.missing:
        what = f"changed: {changed}" if changed else f"to be made again: {cache.facts.missing}"
        return "stale", f"{what}; it is made after the next prompt"
    return "fresh", ""


def _source_ms(cache: Cache, call: Call) -> float | None:
    """Return the shortest time in which a zsh sources the cache; None: it is not known."""
    import subprocess

    from ..doctor.caches import not_read

    if _is_dump(cache.path) or not cache.found or not cache.facts:
        return None
    if not_read(cache.path, cache.found):
        return None
    found = []
    for _ in range(_TIMES):
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            done = subprocess.run(
                ["zsh", "-fc", _SOURCE, "zsh", cache.path],
                env=cut_env(call.env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_LIMIT_S,
                start_new_session=True,
                check=True,
            )
            found.append(float(done.stdout))
    return min(found, default=None)


# --- refresh, clear ------------------------------------------------------------


def _refresh(call: Call, paths: Paths, caches: list[Cache]) -> int:
    from ..ledger.reading import reading
    from ..wire.client import Client

    jobs = [(cache.name, cache.facts.id) for cache in caches if cache.facts]
    runs: dict[str, int] = {}
    if jobs:
        with Client(paths.socket) as client:
            for name, job in jobs:
                call.progress(f"{name}: being made")
                runs[name] = _made(client, job, call)
    with reading(paths.ledger) as view:
        rows = {name: view.run(run) for name, run in runs.items()}
    made = [name for name, row in rows.items() if row and row["outcome"] == "succeeded"]
    failed = [name for name in rows if name not in made]

    def text(_: Style) -> str:
        lines = [f"! {name} failed: zdeferctl show {runs[name]}" for name in failed]
        return "\n".join([f"{count(len(made), 'cache')} made anew", *lines])

    return call.answer({"made": made, "failed": failed}, text, NO if failed else DONE)


def _made(client: Client, job: str, call: Call) -> int:
    """Run a job and wait for its end; return its run."""
    from ..wire import control

    claimed = client.ask(control.RunJob(job=job, env=cut_env(call.env)))
    assert isinstance(claimed, control.RunClaimed)
    with suppress(RequestRefused):  # it has ended already
        client.ask(control.AwaitRun(run=claimed.run), None)
    return claimed.run


def _clear(call: Call, caches: list[Cache]) -> int:
    gone = []
    for cache in caches:
        if cache.found is not None:
            with suppress(FileNotFoundError):
                os.unlink(f"{cache.path}.zwc")
            os.unlink(cache.path)
            gone.append(cache.name)
    return call.answer({"removed": gone}, lambda _: f"{count(len(gone), 'cache')} removed")
