"""Identifies the current boot of this machine, by which claims of scope `boot` are keyed.

Assumes Linux, where the kernel keeps the identifier in a file, or macOS, where sysctl(8)
prints it.
"""

import sys

from ..errors import ZdeferdError

_FILE = "/proc/sys/kernel/random/boot_id"
_SYSCTL = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")


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
