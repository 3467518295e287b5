"""`python -m zdeferd.cli` is `zdeferctl`."""

import sys

from ..programs import zdeferctl

sys.exit(zdeferctl())
