"""Finds the parts that are not Python: `shell`, `systemd`, `launchd`, `examples`.

A wheel carries them in `share/` inside the package; in a checkout (and an editable
install of one) they are beside `src/`. Standard library only.
"""

import os

from ..errors import ZdeferdError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_CHECKOUT = os.path.dirname(os.path.dirname(_PACKAGE))


def share(*names: str) -> str:
    """Return the absolute path of a shipped file or folder, such as `share("shell")`."""
    for base in (os.path.join(_PACKAGE, "share"), _CHECKOUT):
        path = os.path.join(base, *names)
        if os.path.exists(path):
            return path
    raise ZdeferdError(
        f"missing from this installation: {'/'.join(names)}", "install zdeferd again"
    )
