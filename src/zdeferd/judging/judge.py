"""Judges an attempt from its run's folder, and stops one.

Three things there cannot be wrong after a crash: the lock of the runner's life (`lock`, flock),
`started.<attempt>` (O_EXCL) and `outcome.json` (rename). The runner makes them in this
order: `alive` open (inherited from the spawner), lock, started, the job, outcome, unlock,
`alive` closed.

**A judge holds the lock**, shared, so that two judges do not take each other for a runner;
a runner holds it exclusively. While a judge holds it no runner gets past its first step, so
a verdict is still true when the judge acts on it. The races, each with what decides it:

* A runner meets a judge's lock: it sees that the lock is shared, so no runner has it, and
  waits. Then it looks again: `started.<attempt>` exists (a tombstone), or `alive` is gone or
  another file (discarded): it ends. Two runners of one attempt: the lock, then O_EXCL, let
  one through.
* A judge comes before the runner has the lock: the spawner had `alive` open before it
  forked, so the FIFO has a writer: Running, and its end will be seen.
* A judge comes while the kernel closes a killed runner's files, in any order: the lock is
  held and `alive` has no writer. So it is where somebody removed `alive`. No verdict is
  possible now: BlockingIOError, and the caller judges again later.
* A runner ends by itself: it unlocks before `alive` ends, so a judge that saw the end gets
  the lock.
* Cancelling a runner that is about to start: the mark `cancelled` is made, then the pid is
  looked for; the runner writes its pid, then looks for the mark. One sees the other.
  SIGTERM is blocked until a runner can act on it. `tombstone` is for a runner that never came.

So: `prepare` first, then `judge`; a change after the verdict Running ends `alive`.

**Only ENOENT is absence** (for a mark also ELOOP: a tombstone). Any other OSError is the
caller's: nothing is concluded from it and nothing is removed. `make` makes `lock` with the
folder, before the run is recorded as dispatched. So a folder without `lock` has lost its
files, and its attempt may have started: Vanished. So has one with `job.lock` and no mark,
because `job.lock` is made after the mark.

Nothing here waits. Assumes one judging daemon a user (the daemon's own lock) on a local file
system. A verdict holds for this boot: after another boot only Ended counts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator

from ..attempts import records
from ..attempts.records import ALIVE, CANCELLED, JOB_LOCK, LOCK, OUTPUT, SCRIPT, mark_of, open_file
from ..crashpoints import reached
from ..errors import UnsafePath
from ..processes import tree
from ..rules.verdicts import Ended, NeverStarted, Running, Vanished, Verdict, Withdrawn

WITHDRAWN = "withdrawn"
"""The target of a tombstone, a symbolic link in place of `started.<attempt>`."""


def make(folder: str) -> None:
    """Make the folder and its `lock` where there is none. OSError, UnsafePath."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    _check_folder(folder)
    _make_lock(folder)


def _check_folder(folder: str) -> None:
    _check_ours(os.lstat(folder), stat.S_ISDIR, f"not a folder of yours: {folder}")


def _make_lock(folder: str) -> None:
    os.close(open_file(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT))


def highest(runs: str) -> int:
    """Return the largest number of a folder in `runs`; 0: there is none."""
    with contextlib.suppress(FileNotFoundError):
        return max(_numbers(runs), default=0)
    return 0


def _numbers(runs: str) -> list[int]:
    return [int(name) for name in os.listdir(runs) if name.isdecimal()]


def prepare(folder: str) -> int:
    """Make the folder's `alive`; return that FIFO's reading end (non-blocking).

    It is readable when the runner has written to it, and at end of file when the runner is
    gone. A reader that was opened after that end never sees it, so judge after preparing.
    The same for a first start, a further attempt and an adoption. FileNotFoundError: there
    is no folder. OSError, UnsafePath.
    """
    _check_folder(folder)
    path = f"{folder}/{ALIVE}"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    fd = open_file(path, os.O_RDONLY)
    try:
        _check_ours(os.fstat(fd), stat.S_ISFIFO, f"not a FIFO of yours: {path}")
    except UnsafePath:
        os.close(fd)
        raise
    return fd


def _check_ours(found: os.stat_result, is_kind: Callable[[int], bool], refusal: str) -> None:
    if not is_kind(found.st_mode) or found.st_uid != os.getuid():
        raise UnsafePath(f"{refusal}; remove it")


def judge(folder: str, attempt: int) -> Verdict:
    """Return the verdict on this attempt, which holds for this boot.

    It may consume what the runner has written to `alive` so far. OSError: no verdict is
    possible now, so judge again later.
    """
    try:
        with _judging(folder) as free:
            if not free:
                return _of_a_held_lock(folder, attempt)
            if outcome := records.outcome(folder, attempt):
                return Ended(outcome)
            if _withdrawn(folder, attempt):
                return Withdrawn()
            if _may_have_started(folder, attempt):
                return Vanished()
            _free_attempt(folder, attempt)
            return Running() if _has_writer(folder) else NeverStarted()
    except FileNotFoundError:
        return _without_lock(folder, attempt)


def _of_a_held_lock(folder: str, attempt: int) -> Verdict:
    if not _has_writer(folder):
        raise BlockingIOError(errno.EAGAIN, "held by no known runner", f"{folder}/{LOCK}")
    return Running(records.runner(folder, attempt))


def _without_lock(folder: str, attempt: int) -> Verdict:
    """Return the verdict on a folder that has lost its files, or is gone. OSError."""
    if _has_writer(folder):
        return Running()
    outcome = records.outcome(folder, attempt)
    return Ended(outcome) if outcome else Vanished("its files are gone")


def _may_have_started(folder: str, attempt: int) -> bool:
    """Return whether a runner has marked the attempt, or has and the mark was removed since."""
    if records.marks(folder, attempt):
        return True
    return attempt == 1 and records.is_file(f"{folder}/{JOB_LOCK}")


def tombstone(folder: str, attempt: int) -> bool:
    """Keep this attempt from ever starting. False: it has started, or may be about to. OSError."""
    try:
        with _judging(folder) as free:
            if not free or records.outcome(folder, attempt):
                return False
            if not _withdrawn(folder, attempt) and not _may_have_started(folder, attempt):
                _free_attempt(folder, attempt)
                # A link is made whole or not at all, and O_EXCL never follows it.
                os.symlink(WITHDRAWN, mark_of(folder, attempt))
                reached("daemon.tombstone-made")
            return _withdrawn(folder, attempt)
    except FileNotFoundError:
        if _has_writer(folder):
            return False
    try:
        _make_lock(folder)
    except FileNotFoundError:
        return True  # without its folder no runner starts
    return tombstone(folder, attempt)


def cancel(folder: str) -> bool:
    """Signal the run's runner to end its job. True: it will record `cancel`.

    False: no runner is known. One that is about to start sees the mark `cancelled` and does
    not; one that has ended is seen at the end of `alive`. In both cases judge then. OSError:
    the mark cannot be made, without which the runner takes the signal for somebody else's.
    """
    with contextlib.suppress(FileNotFoundError):
        os.close(open_file(f"{folder}/{CANCELLED}", os.O_WRONLY | os.O_CREAT))
    reached("daemon.cancel-marked")
    try:
        with _judging(folder) as free:
            pid = None if free else records.runner(folder, records.latest(folder))
        if pid is None:
            return False
        handle = tree.Handle(pid)
    except OSError:
        return False
    with contextlib.closing(handle):
        ours = not tree.LINUX or tree.has_open(pid, os.stat(f"{folder}/{LOCK}"))
        return ours and handle.send(signal.SIGTERM)


def discard(folder: str) -> None:
    """Remove all files but the job's output, once its outcome is in the ledger. OSError."""
    try:
        with _judging(folder) as free:
            if free:
                _discard(folder)
    except FileNotFoundError:
        if not _has_writer(folder):
            _discard(folder)  # somebody removed its lock, or all of it


def _discard(folder: str) -> None:
    try:
        # `alive` first: a runner that comes late finds no run here.
        for name in sorted(os.listdir(folder), key=lambda name: name != ALIVE):
            if name != OUTPUT:
                os.unlink(f"{folder}/{name}")
                reached("daemon.discarding")
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def remove(folder: str) -> None:
    """Remove a run's folder with its output, unless a runner is at work in it."""
    discard(folder)
    if not os.path.exists(f"{folder}/{ALIVE}"):
        shutil.rmtree(folder, ignore_errors=True)


def with_script(runs: str) -> list[int]:
    """Return the numbers of the runs whose folders hold a script, as far as can be seen now."""
    with contextlib.suppress(OSError):
        return [run for run in _numbers(runs) if os.path.lexists(f"{runs}/{run}/{SCRIPT}")]
    return []


def tidy(folder: str) -> None:
    """Discard what a crash left of an ended run, its script above all. OSError."""
    discard(folder)
    if not os.path.lexists(f"{folder}/{ALIVE}"):  # the lock may have gone before the rest
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/{SCRIPT}")


@contextlib.contextmanager
def _judging(folder: str) -> Iterator[bool]:
    """Share the folder's lock with other judges: True. A runner holds it: False.

    FileNotFoundError: there is no lock. OSError.
    """
    fd = open_file(f"{folder}/{LOCK}", os.O_RDWR)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _has_writer(folder: str) -> bool:
    """Return whether a runner, or the spawner for one, has `alive` open."""
    try:
        fd = open_file(f"{folder}/{ALIVE}", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _withdrawn(folder: str, attempt: int) -> bool:
    try:
        return os.readlink(mark_of(folder, attempt)) == WITHDRAWN
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # none, or a file
            return False
        raise


def _free_attempt(folder: str, attempt: int) -> None:
    """Remove the mark of a runner that died in making it, before there was a job."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mark_of(folder, attempt))
