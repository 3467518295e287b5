"""`python -m zdeferd.daemon`: the program zdeferd."""

import contextlib
import sys

from .main import main

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
