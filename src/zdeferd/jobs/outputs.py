"""Reads what a job declares of its output, and what is wrong with it.

Owns the keys `output`, `empty`, `check`, `compile` and `apply`: how they are read, what they
cannot stand beside, and where an output may be. attempts/publish.py publishes, and looks at the
place again: `misplaced` tells a mistake before a job has run for it.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..config.problems import Problem, shown
from ..config.units import parse_path
from ..model import Job

CHECKS = ("zsh", "init")
FLAGS = ("empty", "compile", "apply")
"""Keys that are true or false, and mean nothing without an output."""
_MENTION = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def expanded(path: str, env: Mapping[str, str]) -> str:
    """Return `path` with the values of `$NAME` and `${NAME}`; what has none stays."""
    return _MENTION.sub(lambda found: env.get(found[1] or found[2], found[0]), path)


def made_paths(job: Job, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the files that a run of `job` publishes in the claiming shell's environment `env`."""
    path = expanded(job.output, {**env, **job.env})
    if not path.startswith("/"):
        return ()
    return (path, f"{path}.zwc") if job.compile else (path,)


def first_missing(paths: Iterable[str]) -> str:
    """Return the first of the paths that has to be made again; empty: there is none.

    Nothing is there, or a file that was changed since it was published: a compiled file has the
    time of its source. A path that cannot be looked at is not missing: no run could publish there.
    """
    times: dict[str, int] = {}
    for path in paths:
        try:
            times[path] = os.lstat(path).st_mtime_ns
        except FileNotFoundError:
            return path
        except OSError:
            continue
        source = path.removesuffix(".zwc")
        if times.get(source, times[path]) != times[path]:
            return f"{source} (what is there is not what was published)"
    return ""


def wanted_output(job: Job, env: Mapping[str, str]) -> dict[str, object] | None:
    """Return what the runner publishes of `job`, as launch.Wanted; None: nothing.

    `env` is the claiming shell's environment.
    """
    if not job.output:
        return None
    path = expanded(job.output, {**env, **job.env})
    return {
        "path": path,
        "home": env.get("HOME", ""),
        "key": hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest(),
        "empty": job.empty,
        "check": job.check,
        "compile": job.compile,
        "umask": int(job.umask or "22", 8),
    }


def read_output(value: object, home: str) -> str:
    """Return the path of a file: absolute, or one that begins with a variable. ValueError."""
    text = (
        value if isinstance(value, str) and re.match(_VARIABLE, value) else parse_path(value, home)
    )
    parts = text.split("/")
    if ".." in parts or parts[-1] in ("", ".") or "\0" in text:
        raise ValueError("not the path of a file")
    return text


_VARIABLE = r"\$(?!(HOME|\{HOME\})(/|$))"


def read_check(value: object, _home: str) -> str:
    """Return the name of a check. ValueError."""
    if value not in CHECKS:
        raise ValueError("no such check")
    return str(value)


def with_check(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a job with the check that the name of its output asks for."""
    name = fields.get("output", "").rpartition("/")[2]
    is_zsh = name.endswith(".zsh") or name.startswith("_")
    return {"check": "zsh", **fields} if is_zsh else fields


def beside_output(fields: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the keys that an output needs beside it, or cannot have."""
    for name in (*FLAGS, "check"):
        if fields.get(name) and not fields.get("output"):
            yield Problem(name, shown(fields[name]), "`output` beside it")
    if fields.get("output") and fields.get("background"):
        yield Problem("background", "true", "no `output` beside it: that is published at the end")


def problem_of(job: Job, others: Iterable[Job], home: str) -> Problem | None:
    """Return what is wrong with where the output of `job` is to be, beside `others`."""
    if not job.output:
        return None
    if other := owner(job, others):
        return Problem("output", shown(job.output), f"another file than that of {other.id}")
    where = misplaced(job.output, home)
    return Problem("output", where, "a file of yours below your home folder") if where else None


def owner(job: Job, others: Iterable[Job]) -> Job | None:
    """Return another job that has the same output."""
    same = (one for one in others if one.output == job.output and one.id != job.id)
    return next(same, None) if job.output else None


def misplaced(path: str, home: str) -> str:
    """Return why an output cannot be at `path`, empty: it can.

    A path with variables in it is judged when they have values, by the runner.
    """
    if "$" in path:
        return ""
    if not path.startswith(f"{home.rstrip('/')}/"):
        return "a place outside your home folder"
    try:
        return _on_the_way(path, home.rstrip("/"))
    except FileNotFoundError:
        return ""  # the runner makes what is missing
    except OSError as error:
        return f"a place that cannot be reached ({error.strerror})"


def out_of_place(job: Job, env: Mapping[str, str], home: str) -> tuple[str, str]:
    """Return where no run of `job` can publish and why, and what to do; empty: nothing is wrong.

    `env` is the claiming shell's environment.
    """
    path = expanded(job.output, {**env, **job.env})
    reason = misplaced(path, home) if path else ""
    if not reason:
        return "", ""
    folder, _, name = path.rpartition("/zdeferd/")
    if not name.startswith(_CACHES):
        return f"{path}: {reason}", "name a file of yours below your home folder"
    return f"{folder}: {reason}", "set XDG_CACHE_HOME to a folder of yours below it, or unset it"


_CACHES = ("init/", "compinit/")
"""Folders of `zdefer eval` and `zdefer compinit` in the one for caches."""


def _on_the_way(path: str, home: str) -> str:
    names = [name for name in path[len(home) :].split("/") if name]
    root = os.path.realpath(home or "/").rstrip("/")  # empty: the home is `/`, as in containers
    for end in range(1, len(names)):
        folder = "/".join((home, *names[:end]))
        if not f"{os.path.realpath(folder)}/".startswith(f"{root}/"):
            return f"a link out of your home folder, {folder}"
        if problem := _folder_problem(folder):
            return problem
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        return "something that is no regular file of yours"
    return ""


def _folder_problem(folder: str) -> str:
    found = os.stat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return f"a place below a file, {folder}"
    if found.st_uid != os.getuid():
        return f"a folder of another user, {folder}"
    return f"a folder that others can write to, {folder}" if found.st_mode & 0o002 else ""
