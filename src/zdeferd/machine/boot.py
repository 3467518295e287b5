"""Identifies the boot and the local date, by which claims of scope `boot` and `day` are keyed.

Assumes Linux, where the kernel keeps the boot's identifier in a file, or macOS, where
sysctl(8) prints it. The date is that of the daemon's time zone: its `TZ`, else the machine's
zone, which may change while it runs.
"""

import os
import sys
import time

from ..errors import ZdeferdError

_FILE = "/proc/sys/kernel/random/boot_id"
_SYSCTL = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")


def local_day(now: float) -> str:
    """Return the local date, ISO 8601, in the time zone as it is now."""
    time.tzset()  # else the C library reads the machine's zone once and never again
    return time.strftime("%Y-%m-%d", time.localtime(now))


def clock_at(now: float, time_of_day: str, days: int = 0) -> float:
    """Return the instant of a local time of day (`HH:MM`), `days` after the date of `now`.

    A time that is left out when summer time begins is the instant at which it begins.
    """
    time.tzset()
    date = time.localtime(now)
    hour, minute = map(int, time_of_day.split(":"))
    found = time.mktime((*date[:2], date.tm_mday + days, hour, minute, 0, 0, 0, -1))
    return found if time.localtime(found)[3:5] == (hour, minute) else _jump(int(found))


def _jump(near: int) -> float:
    """Return the instant, less than a day from `near`, at which local time changes its offset."""
    before, after = near - 86400, near + 86400
    offset = time.localtime(after).tm_gmtoff
    while after - before > 1:
        middle = (before + after) // 2
        if time.localtime(middle).tm_gmtoff == offset:
            after = middle
        else:
            before = middle
    return float(after)


def day_in(now: float, zone: str | None) -> str:
    """Return what `local_day` returns in a process whose `TZ` is `zone`; None: it has none.

    Changes this process's own `TZ` for a moment, so it is for a program without threads.
    """
    before = os.environ.pop("TZ", None)
    try:
        if zone is not None:
            os.environ["TZ"] = zone
        return local_day(now)
    finally:
        os.environ.pop("TZ", None)
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def check_proc() -> None:
    """Raise ZdeferdError where /proc is of another PID namespace: it names other processes."""
    if sys.platform != "linux":
        return
    try:
        own = os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return  # none at all: the boot has no identifier then
    if not own:
        raise ZdeferdError(
            "/proc is of another PID namespace: its processes would be ended in place of jobs",
            "mount the own one: mount -t proc proc /proc, unshare --mount-proc, bwrap --proc /proc",
        )


def boot_id() -> str:
    """Return a text that is new in every boot of this machine. ZdeferdError: there is none."""
    found = _from_file() if sys.platform == "linux" else _from_sysctl()
    if not found:
        raise ZdeferdError(f"the boot has no identifier: {sys.platform}", "report this system")
    return found


def _from_file() -> str:
    try:
        with open(_FILE, encoding="ascii") as file:
            return file.read().strip()
    except OSError as error:
        raise ZdeferdError(
            f"cannot read the boot's identifier: {_FILE}: {error.strerror}", "mount /proc"
        ) from None


def _from_sysctl() -> str:
    import subprocess  # macOS only: `zdeferctl why` starts faster without it

    return subprocess.run(_SYSCTL, capture_output=True, text=True, check=False).stdout.strip()
