"""`python -m zdeferd.daemon`: the program zdeferd."""

import contextlib
import sys

from ..programs import daemon

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(daemon())
