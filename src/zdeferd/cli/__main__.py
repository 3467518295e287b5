"""`python -m zdeferd.cli` is `zdeferctl`."""

import sys

from . import main

sys.exit(main())
