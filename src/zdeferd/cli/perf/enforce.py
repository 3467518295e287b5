"""Make enforce the default mode of `perf classify`, or observe again.

`on` is refused unless `zdeferctl perf ready` says ready; --force overrides that. Both add a row
to the log; baselines stay as they are. Examples:

zdeferctl perf enforce on --reason "steady for a week"

zdeferctl perf enforce status
"""

from __future__ import annotations

from ...errors import ZdeferdError
from ...perf import evidence
from ...perf.evidence import WATCHED, Enforcement
from .logfile import add_row
from .ready import add_files, failed, judge
from .shared import add_folder, answer, day, folder_of, locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..call import Call

ACTIONS = ("on", "off", "status")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to do, the reason, and the files of the criteria."""
    parser.add_argument("action", choices=ACTIONS, help="switch it on or off, or show it")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")
    parser.add_argument("--force", action="store_true", help="on without being ready")
    parser.add_argument("--log", metavar="FILE", help="the log that gets the row")
    add_files(parser)
    add_folder(parser)


def perform(call: Call) -> int:
    """Do what was asked; -> 0."""
    if call.args.action == "status":
        return _show(call, evidence.load_state(folder_of(call)).enforcement)
    wanted = call.args.action == "on"
    if evidence.load_state(folder_of(call)).enforcement.active == wanted:
        return _show(call, evidence.load_state(folder_of(call)).enforcement)
    if not (call.args.reason or "").strip():
        raise ZdeferdError(f"enforce {call.args.action} needs --reason")
    with locked(call):
        state = evidence.load_state(folder_of(call))
        if state.enforcement.active == wanted:  # another process was faster
            return _show(call, state.enforcement)
        notes = _notes_on(call, state) if wanted else f"enforce off: {call.args.reason}"
        row = {"type": "governance", "scope": "performance-classifier", "notes": notes}
        state = add_row(call, state, row)
        made = Enforcement(wanted, day(call.now), call.args.reason) if wanted else Enforcement()
        evidence.save_state(folder_of(call), state._replace(enforcement=made))
    return _show(call, made)


def _notes_on(call: Call, state: evidence.State) -> str:
    """Return the notes of the activation row; ZdeferdError unless ready or forced."""
    failing = failed(judge(call, state))
    if failing and not call.args.force:
        raise ZdeferdError(
            f"not ready: {' '.join(failing)}",
            "`zdeferctl perf ready` says why; --force overrides it",
        )
    earned = f"forced: {' '.join(failing)}" if failing else "goal=governance, A8 satisfied"
    return f"enforce on: {call.args.reason} ({earned})"


def _show(call: Call, found: Enforcement) -> int:
    document = {
        "enforce_active": found.active,
        "since": found.since or None,
        "reason": found.reason or None,
        "watched": found.watched,
    }
    line = "enforce: off"
    if found.active:
        line = f"enforce: on since {found.since}, {found.watched} of {WATCHED} watched runs"
    return answer(call, document, lambda _: line)
