"""Start runs again in a lane that `pause` stopped, or in all of them.

Examples:

zdeferctl resume
"""

from __future__ import annotations

from .pause import configure, lanes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .call import Call

__all__ = ["configure", "perform"]


def perform(call: Call) -> int:
    """Resume the lanes; -> 0, also where they were not paused."""
    return lanes(call, paused=False)
