"""Named instants at which a process can be made to die, for the kill campaign.

Owns the list of all of them. Each stands in the code as one call, `reached("NAME")`, at a
step between a visit's arrival and the mark of its line; the first word of the name says
whose process it is. The calls do nothing unless ZDEFERD_CRASH_AT was set when the process
was started. It holds one or more of `NAME:COUNT:SIGNAL:TALLY`, separated by a blank: the
process that makes the COUNT-th pass through the point gets the signal (a number: 9 ends
it, 19 stops it). Passes are counted in the file TALLY, one byte each, over all processes,
so that each setting strikes once, and its file tells how often the point was reached.

Standard library only; runs in the daemon, the spawner and the runners. Assumes that TALLY
has neither blanks nor colons in its path.
"""

from __future__ import annotations

import os

VARIABLE = "ZDEFERD_CRASH_AT"

POINTS = {
    "daemon.locked": "it has the lock, and has opened nothing yet",
    "daemon.listening": "the socket is bound; nothing has been recovered",
    "daemon.recovering": "it has read the live runs, and is about to adopt one",
    "daemon.adopted": "it has judged a run of an earlier daemon",
    "daemon.visit-arrived": "a visit was received whole",
    "daemon.commit-due": "a transaction is worked out and not committed",
    "daemon.commit-done": "a transaction is durable, and nobody knows",
    "daemon.visit-committed": "the claims of a visit are durable; it is not answered",
    "daemon.visit-answered": "a visit is answered",
    "daemon.dispatch-decided": "it was decided to start a run",
    "daemon.dispatch-committed": "that decision is durable",
    "daemon.start-prepared": "the run's folder and `alive` are made",
    "daemon.start-asked": "the spawner was asked for a runner",
    "daemon.end-seen": "a runner is gone, and was judged",
    "daemon.leftovers-ended": "what a vanished runner's job left running was ended",
    "daemon.recall-decided": "a run that never started is about to wait again",
    "daemon.recall-committed": "it waits again",
    "daemon.cancel-committed": "that a run is to be cancelled is durable; nobody was told",
    "daemon.cancel-marked": "its runner must not start the job, and has not been signalled",
    "daemon.tombstone-made": "an attempt was withdrawn before its start",
    "daemon.end-decided": "how a run ended is known, and not recorded",
    "daemon.end-committed": "a run's outcome and its lines are durable",
    "daemon.discarding": "a part of an ended run's folder is removed",
    "daemon.discarded": "all of it is",
    "daemon.log-ready": "a log may be written; one of the daemon's that was full is moved aside",
    "daemon.line-due": "a line's place is known, and not recorded",
    "daemon.line-intended": "where a line is about to be appended is durable",
    "daemon.line-appended": "the line is in its file, and not marked",
    "daemon.line-flushed": "the lines of a file are flushed, and not marked",
    "daemon.line-marked": "the lines of a file are marked",
    "daemon.line-settled": "what became of lines that were begun is known, and not recorded",
    "daemon.leaving": "it was asked to stop",
    "spawner.asked": "it has read a request, and seen that the daemon is there",
    "spawner.ready": "it has `alive` open for the runner to come",
    "spawner.forked": "the runner exists",
    "spawner.answered": "the daemon was told so",
    "runner.forked": "it exists, and has done nothing",
    "runner.locked": "it has the run's lock",
    "runner.reserved": "the script is written, and room for the outcome taken",
    "runner.marking": "`started` exists and is empty",
    "runner.marked": "`started` is written; there is no job yet",
    "runner.spawned": "the job runs, and nobody knows",
    "runner.told": "the daemon knows, and `started` names the job",
    "runner.job-ended": "nothing of the job is left",
    "runner.output-whole": "the output is checked, flushed and compiled, beside its place",
    "runner.output-due": "an older output can no longer be published; this one is not",
    "runner.zwc-removed": "the compiled one of the old version is gone",
    "runner.output-renamed": "the output is in its place, durably",
    "runner.zwc-renamed": "the compiled one is, too",
    "runner.outcome-written": "the outcome is written beside its place",
    "runner.outcome-renamed": "the outcome is in its place",
    "runner.unlocked": "the lock is given back",
}
"""Every point, in the order of a run's life as each process sees it, and what is so then."""

_ARMED = os.environ.get(VARIABLE, "")


def reached(point: str) -> None:
    """End this process where the orders name `point`; else do nothing."""
    if _ARMED:
        _pass(point)


def environment() -> dict[str, str]:
    """Return the variables that put another process under the orders of this one."""
    return {VARIABLE: _ARMED} if _ARMED else {}


def _pass(point: str) -> None:
    for order in _ARMED.split():
        name, count, number, tally = order.split(":")
        if name == point and _counted(tally) == int(count):
            os.kill(os.getpid(), int(number))


def _counted(tally: str) -> int:
    """Count this pass and return its number."""
    file = os.open(tally, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b".")
        return os.lseek(file, 0, os.SEEK_CUR)  # where our byte ends, whoever wrote since
    finally:
        os.close(file)
