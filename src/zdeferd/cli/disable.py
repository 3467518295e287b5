"""Switch jobs off: no event claims them until `enable`.

A run that waits or runs goes on; `zdeferctl cancel JOB` ends it. `zdeferctl run JOB` runs a
disabled job all the same. It stays disabled over restarts, and where its declaration changes.

Examples:

zdeferctl disable updates-waiting
"""

from __future__ import annotations

from .enable import configure, switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call

__all__ = ["configure", "perform"]


def perform(call: Call) -> int:
    """Disable the jobs; -> 0, also where they were disabled."""
    return switch(call, enabled=False)
