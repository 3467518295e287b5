"""Reads config.toml and jobs.d, checks them, and keeps what was in force where they are bad.

Each mistake is one Problem, and all of them are found in one go. A bad file, job or
setting that was good in the configuration before stays in force as it was. Jobs keep the
order of their files' names and of their places in the file.

Files and folders may be symlinks (into a repository of dotfiles, into a store), but no other
user may be able to change what they lead to: a job file is code that will run.
"""

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ..config.problems import Problem, Refused, distinct, find_cycle, unreadable
from ..config.toml_lines import line_of, parse
from ..errors import UnsafePath
from ..machine import files
from ..machine.paths import Paths
from ..model import Job
from ..settings import Rotation, Settings
from .keys import job_from_table, settings_from_table
from .outputs import owner, problem_of

FILE_LIMIT = 1 << 20
"""Bytes; a larger file is a mistake, and all of it would be kept in memory."""


Drafts = Mapping[str, bytes]
_NO_DRAFTS: Drafts = {}


class Loaded(NamedTuple):
    """A configuration in force, and what was refused when it was read."""

    settings: Settings
    jobs: dict[str, Job]
    problems: tuple[Problem, ...]


class Source(NamedTuple):
    """One file of the configuration, as it was read."""

    path: str
    text: str
    table: dict[str, object]

    def located(self, table: tuple[str, ...], problem: Problem) -> Problem:
        """Return the problem of a key of `table` (empty: the file's own) with its place."""
        keys = (*table, *problem.key.split(".")) if problem.key else table
        line = line_of(self.text, keys) or line_of(self.text, table)
        return problem._replace(job=".".join(table), file=self.path, line=line or 0)


class Configuration:
    """The configuration in force; what is refused leaves the last good one in place."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._stamp = self._look()  # before the files are read, so that no change is missed
        self._loaded = load(paths)

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self._loaded.settings

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs of the files, by id."""
        return self._loaded.jobs

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of the last reading of the files."""
        return self._loaded.problems

    def refusal(self, job_id: str) -> Problem | None:
        """Return why the files' declaration of a job is refused as it stands now; None: it is not.

        The last good one may be in force all the same.
        """
        job = self.jobs.get(job_id)
        whole_file = job.source if job else ""
        places = ((p, p.job or (job_id if p.file == whole_file else "")) for p in self.problems)
        return next((problem for problem, named in places if named == job_id), None)

    @property
    def default_log(self) -> str:
        """The shared log of a shell that names none."""
        return self.settings.log or self._paths.shared_log

    def rotation(self) -> Rotation:
        """Return which logs are rotated, and when: the daemon's own, none that a user names."""
        log, settings = self._paths.shared_log, self.settings
        own = frozenset({log, f"{os.path.splitext(log)[0]}.jsonl"})
        return Rotation(own, settings.log_limit_bytes, settings.log_keep)

    def reload(self, only_if_changed: bool = False) -> bool:
        """Read the files again; False where that was not needed."""
        stamp = self._look()
        if only_if_changed and stamp == self._stamp:
            return False
        self._stamp, self._loaded = stamp, load(self._paths, self._loaded)
        return True

    def _look(self) -> object:
        return stamp(self._paths)


def load(paths: Paths, previous: Loaded | None = None, drafts: Drafts = _NO_DRAFTS) -> Loaded:
    """Return the configuration of `paths`; missing files mean defaults and no jobs.

    `drafts`: content by path, as if the files had it. Mistakes are in `problems`.
    """
    problems: list[Problem] = []
    settings = _settings(paths, previous, problems, drafts)
    jobs = _jobs(paths, previous.jobs if previous else {}, problems, drafts)
    return Loaded(settings, jobs, tuple(distinct(problems)))


def stamp(paths: Paths) -> tuple[object, ...]:
    """Return a value that differs whenever a file of the configuration may have changed."""
    found = [*files.stamps(paths.config_file), *files.stamps(paths.jobs_dir)]
    return (*found, *map(files.stamp, _job_files(paths.jobs_dir)))


# --- settings ------------------------------------------------------------------


def _settings(
    paths: Paths, previous: Loaded | None, problems: list[Problem], drafts: Drafts
) -> Settings:
    before = previous.settings if previous else Settings()
    try:
        file = _read(paths.config_file, paths.home, drafts)
    except Refused as error:
        problems += error.problems
        return before
    if file is None:
        return Settings()
    fields, found = settings_from_table(file.table, paths.home)
    problems += (file.located((), problem) for problem in found)
    if found and previous:
        return before
    # At the start there are no settings before these: keep the valid ones, such as `state_dir`.
    return msgspec.structs.replace(Settings(), **fields)


# --- jobs ----------------------------------------------------------------------


def _jobs(
    paths: Paths, previous: Mapping[str, Job], problems: list[Problem], drafts: Drafts
) -> dict[str, Job]:
    jobs: dict[str, Job] = {}
    is_trusted = True
    try:
        _check_folder(paths.jobs_dir, paths.home)
    except Refused as error:
        problems += error.problems
        is_trusted = False  # its files are read for what else is to be mended
    new = drafts.keys() - {paths.config_file}
    for path in sorted({*_job_files(paths.jobs_dir), *new}, key=os.fsencode):
        try:
            file = _read(path, paths.home, drafts)
        except Refused as error:
            problems += error.problems
            jobs |= {j.id: j for j in previous.values() if j.source == path and j.id not in jobs}
            continue
        if file is not None:
            _add_jobs(file, paths.home, jobs, previous, problems)
    _break_cycles(jobs, previous, problems)
    return jobs if is_trusted else dict(previous)


def _add_jobs(
    file: Source,
    home: str,
    jobs: dict[str, Job],
    previous: Mapping[str, Job],
    problems: list[Problem],
) -> None:
    for job_id, table in file.table.items():
        if job_id in jobs:
            taken = Problem("", "an id that is taken", f"another id than in {jobs[job_id].source}")
            problems.append(file.located((job_id,), taken))
            continue
        job, found = job_from_table(job_id, table, home, file.path)
        if job is not None and (wrong := problem_of(job, jobs.values(), home)):
            job, found = None, [wrong]
        problems += (file.located((job_id,), problem) for problem in found)
        before = previous.get(job_id)
        if job is None and before is not None and before.source == file.path:
            job = None if owner(before, jobs.values()) else before
        if job is not None:
            jobs[job_id] = job


def _break_cycles(
    jobs: dict[str, Job], previous: Mapping[str, Job], problems: list[Problem]
) -> None:
    """Restore the new jobs of each cycle to what they were; remove those that are new."""
    while cycle := find_cycle({job.id: job.after for job in jobs.values()}):
        shown = " -> ".join([*cycle, cycle[0]])
        changed = [id_ for id_ in cycle if previous.get(id_) != jobs[id_]] or cycle
        for id_ in changed:
            expected = "no job that waits for itself"
            problem = Problem("after", f"a cycle, {shown}", expected, id_, jobs[id_].source)
            problems.append(problem)
            before = previous.get(id_)
            if before is None or before == jobs[id_]:
                del jobs[id_]
            else:
                jobs[id_] = before


# --- files ---------------------------------------------------------------------


def _job_files(folder: str) -> list[str]:
    """Return the job files of a folder in order; none where it cannot be read.

    Names that begin with a dot are those of editors: locks, swap files.
    """
    try:
        names = sorted(os.listdir(folder), key=os.fsencode)
    except OSError:
        return []
    return [f"{folder}/{n}" for n in names if n.endswith(".toml") and not n.startswith(".")]


def _check_folder(folder: str, home: str) -> None:
    """Raise Refused where others could add job files, or where the folder is closed."""
    try:
        _check_way(folder, home)
        os.listdir(folder)
    except FileNotFoundError:
        _refuse_dangling(folder, "a folder")
    except OSError as error:
        found = UnsafePath(f"cannot read folder: {folder}: {error.strerror}")
        raise Refused(unreadable(folder, found)) from None


def _read(path: str, home: str, drafts: Drafts) -> Source | None:
    """Return the file, None where there is none; Refused has all that is wrong with it."""
    if path in drafts:
        return _parsed(path, drafts[path])
    try:
        data = _read_bytes(path)
        _check_way(path, home)
    except FileNotFoundError:
        _refuse_dangling(path, "a file")
        return None
    except OSError as error:
        found = UnsafePath(f"cannot read: {path}: {error.strerror}")
        raise Refused(unreadable(path, found)) from None
    return _parsed(path, data)


def _check_way(path: str, home: str) -> None:
    if reasons := [unreadable(path, reason) for reason in files.untrusted(path, home)]:
        raise Refused(*reasons)


def _refuse_dangling(path: str, expected: str) -> None:
    for place in (path, os.path.dirname(path)):
        if os.path.islink(place) and not os.path.exists(place):
            raise Refused(Problem("", "a symlink to nothing", expected, file=place)) from None


def _read_bytes(path: str) -> bytes:
    fd = files.open_file(os.path.realpath(path), os.O_RDONLY)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            what = "something that is not a regular file"
            raise Refused(Problem("", what, "a file", file=path))
        if found.st_size > FILE_LIMIT:
            size, most = f"{found.st_size} bytes", f"at most {FILE_LIMIT}"
            raise Refused(Problem("", size, most, file=path))
        return os.read(fd, FILE_LIMIT)
    finally:
        os.close(fd)


def _parsed(path: str, data: bytes) -> Source:
    """Return the file with its table; Refused where it is no TOML."""
    try:
        text = data.decode()
        return Source(path, text, parse(text))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem("", "bytes that are not UTF-8", "UTF-8", file=path, line=line)
        raise Refused(problem) from None
    except Refused as refused:
        raise Refused(*(problem._replace(file=path) for problem in refused.problems)) from None
