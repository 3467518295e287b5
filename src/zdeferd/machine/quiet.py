"""Measures quiet time: for how long the user has pressed no key.

The kernel moves a tty's access time with keystrokes, in steps of 8 s. So the access times
of all ttys of this user (ssh and tmux clients have one too) give the last key, with no
hook in any shell; so do those of shells whose terminal another user owns (`su -`). They are
wall-clock times: after a suspend they look hours old, after a jump of the clock they mean
nothing. A `Probe` therefore keeps a reading of the clocks and counts a resume or a jump as
activity.

Reads only when it is called. Assumes Linux or macOS names of ttys; without any tty the
quiet time has no limit.
"""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .processes import Process, process_of

TTY_RESOLUTION_S = 8.0
"""A tty's access time is at most this much behind its last key (Linux, tty_io.c)."""
_PTS, _CONSOLE = 136, 4
"""Linux: major numbers of devices (devices.txt); pseudo-terminals have eight."""
JUMP_S = 1.0
"""A clock that moved by more than this against another was set or stopped."""


class Clocks(NamedTuple):
    """One reading, in seconds."""

    real: float
    """The wall clock."""
    awake: float
    """Stops in suspend."""
    since_boot: float
    """Runs in suspend."""


def quiet_s(now: float, atimes: Iterable[float], resumed_at: float, jumped_at: float) -> float:
    """Return the least quiet time that the readings allow, in seconds; never negative."""
    return max(0.0, now - last_activity(now, atimes, resumed_at, jumped_at) - TTY_RESOLUTION_S)


def last_activity(
    now: float, atimes: Iterable[float], resumed_at: float, jumped_at: float
) -> float:
    """Return the last instant (seconds since the epoch) of possible activity.

    `resumed_at`, `jumped_at`: 0.0 where that never happened. An access time in the future
    was written before the clock was set back: `jumped_at` replaces it.
    """
    known = [atime for atime in atimes if atime <= now + TTY_RESOLUTION_S]
    return min(now, max(resumed_at, jumped_at, *known))


def has_resumed(before: Clocks, after: Clocks) -> bool:
    """Return whether the machine was suspended between two readings."""
    asleep = (after.since_boot - after.awake) - (before.since_boot - before.awake)
    return asleep > JUMP_S


def has_jumped(before: Clocks, after: Clocks) -> bool:
    """Return whether the wall clock was set between two readings."""
    moved = (after.real - after.since_boot) - (before.real - before.since_boot)
    return abs(moved) > JUMP_S


class Probe:
    """Reads the ttys and the clocks at each call."""

    def __init__(
        self,
        read_clocks: Callable[[], Clocks] | None = None,
        read_atimes: Callable[[], list[float]] | None = None,
    ) -> None:
        self._read_clocks = read_clocks or clocks
        self._read_atimes = read_atimes or (lambda: tty_atimes(os.getuid()))
        self._before = self._read_clocks()
        self._resumed_at = self._jumped_at = 0.0

    def last_activity(self, shells: Iterable[Process] = ()) -> float:
        """Return the last instant of possible activity, by what is known now.

        The terminals of `shells` count too, whoever owns them.
        """
        now, atimes = self._look(shells)
        return last_activity(now, atimes, self._resumed_at, self._jumped_at)

    def quiet_s(self, shells: Iterable[Process] = ()) -> float:
        """Return the least quiet time, in seconds."""
        now, atimes = self._look(shells)
        return quiet_s(now, atimes, self._resumed_at, self._jumped_at)

    def _look(self, shells: Iterable[Process]) -> tuple[float, list[float]]:
        now, atimes = self._note_clocks(), self._read_atimes()
        found = map(shell_atime, shells)
        atimes = [*atimes, *(atime for atime in found if atime is not None)]
        # Written before a jump back that came before this probe, at an unknown instant.
        if not self._jumped_at and any(atime > now + TTY_RESOLUTION_S for atime in atimes):
            self._jumped_at = now
        return now, atimes

    def _note_clocks(self) -> float:
        """Return the present instant; a resume or jump since the last reading counts as now."""
        before, self._before = self._before, self._read_clocks()
        now = self._before.real
        if has_jumped(before, self._before):
            self._jumped_at, self._resumed_at = now, 0.0  # an instant of the old time
        if has_resumed(before, self._before):
            self._resumed_at = now
        return now


def clocks() -> Clocks:
    """Return a reading of the clocks; without CLOCK_BOOTTIME no suspend is ever found."""
    monotonic = time.clock_gettime(time.CLOCK_MONOTONIC)
    if sys.platform == "darwin":  # there CLOCK_MONOTONIC runs in suspend
        awake, since_boot = time.clock_gettime(time.CLOCK_UPTIME_RAW), monotonic
    else:
        boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        awake, since_boot = monotonic, time.clock_gettime(boottime)
    return Clocks(time.time(), awake, since_boot)


def tty_atimes(uid: int, dev: str = "/dev") -> list[float]:
    """Return access times of the ttys that `uid` owns: pseudo-terminals and consoles."""
    ptys = (entry for entry in _entries(f"{dev}/pts") if entry.name.isdigit())
    consoles = (entry for entry in _entries(dev) if len(entry.name) > 3)
    named = [*ptys, *(entry for entry in consoles if entry.name.startswith("tty"))]
    found = (_stat(entry) for entry in named)
    return [s.st_atime for s in found if s and s.st_uid == uid and stat.S_ISCHR(s.st_mode)]


def shell_atime(shell: Process, dev: str = "/dev") -> float | None:
    """Return the access time of the terminal that a shell is on; None: it is gone. Linux."""
    if not shell.pid or process_of(shell.pid) != shell:
        return None
    try:
        with open(f"/proc/{shell.pid}/stat", "rb") as file:
            number = int(file.read().rpartition(b")")[2].split()[4])
        path = terminal(number)
        found = os.stat(f"{dev}/{path}") if path else None
    except (OSError, IndexError):
        return None
    return found.st_atime if found and found.st_rdev == number else None


def terminal(number: int) -> str | None:
    """Return the name below /dev of the terminal with this device number; None: another kind."""
    major, minor = os.major(number), os.minor(number)
    if _PTS <= major < _PTS + 8:
        return f"pts/{(major - _PTS) * 256 + minor}"
    return f"tty{minor}" if major == _CONSOLE and minor < 64 else None


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _stat(entry: "os.DirEntry[str]") -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:  # closed in the meantime
        return None
