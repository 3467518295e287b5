"""Start no more runs in a lane, or in all of them, until `resume`.

The lane `idle` has the runs of idle batches, `postprompt` has all others. A run under way
goes on, and a job that comes due is claimed and waits. A pause survives restarts.

Examples:

zdeferctl pause

zdeferctl pause idle
"""

from __future__ import annotations

from ..view.where import find_paths
from .codes import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from .call import Call

LANES = ("postprompt", "idle")
"""The values of `Trigger`, whose import would cost each start of the verb 30 ms."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a lane."""
    parser.add_argument(
        "lane",
        metavar="LANE",
        nargs="?",
        choices=LANES,
        help="postprompt or idle; else both",
    )


def perform(call: Call) -> int:
    """Pause the lanes; -> 0, also where they were paused."""
    return lanes(call, paused=True)


def lanes(call: Call, paused: bool) -> int:
    """Pause or resume what the call names, and print which of them were so; -> 0."""
    from ..model import Trigger
    from ..wire import control
    from ..wire.client import request

    named = [Trigger(one) for one in ([call.args.lane] if call.args.lane else LANES)]
    asked = control.Pause(lanes=named) if paused else control.Resume(lanes=named)
    changed = request(find_paths(call.env).socket, asked)
    assert isinstance(changed, control.Changed)
    made = [{"lane": str(one), "paused": paused, "changed": one in changed.names} for one in named]
    words = ("paused", "already paused") if paused else ("resumed", "was not paused")
    lines = [f"{one['lane']} lane: {words[not one['changed']]}" for one in made]
    return call.answer({"lanes": made}, lambda _: "\n".join(lines), DONE)
