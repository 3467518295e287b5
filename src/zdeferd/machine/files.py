"""Opens files where something unexpected may stand in their place.

Every open here closes the descriptor at exec, follows no symlink in the last part of the
path, and never waits: a FIFO in a file's place must not hold the program up. New files get
mode 0600.
"""

import os

from .paths import check_private_file

_CAREFUL = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_file(path: str, flags: int) -> int:
    """Return a descriptor of `path`, whose kind and owner the caller checks. OSError."""
    return os.open(path, flags | _CAREFUL, 0o600)


def open_private(path: str, flags: int) -> int:
    """Return a descriptor of a regular file that is this user's alone. OSError, UnsafePath."""
    if os.path.lexists(path):
        check_private_file(path)  # before: to open a device can have effects
    return open_file(path, flags)
