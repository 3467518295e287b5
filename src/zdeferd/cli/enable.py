"""Let events claim jobs again that `disable` switched off.

Events that came while a job was disabled are not made up for. A job of scope boot, day, change or
ever is due from the next shell on, where its scope is not spent.

Examples:

zdeferctl enable updates-waiting
"""

from __future__ import annotations

from ..view.target import job_id
from ..view.where import find_paths
from .codes import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..errors import RequestRefused
    from ..machine.paths import Paths
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name jobs."""
    parser.add_argument("jobs", metavar="JOB", nargs="+", type=job_id, help="a job's id")


def perform(call: Call) -> int:
    """Enable the jobs; -> 0, also where they were enabled."""
    return switch(call, enabled=True)


def switch(call: Call, enabled: bool) -> int:
    """Enable or disable the jobs that the call names, and print which of them were so; -> 0."""
    from ..errors import RequestRefused
    from ..wire import control
    from ..wire.client import Client

    made: list[dict[str, object]] = []
    word = "enabled" if enabled else "disabled"
    paths = find_paths(call.env)
    with Client(paths.socket) as client:
        for job in call.args.jobs:
            try:
                changed = client.ask(control.Switch(job=job, enabled=enabled))
            except RequestRefused as error:
                raise _refused(error, paths, job, f"{word} before: ", made) from None
            assert isinstance(changed, control.Changed)
            made.append({"job": job, "enabled": enabled, "changed": bool(changed.names)})
    lines = [f"{one['job']}: {'' if one['changed'] else 'already '}{word}" for one in made]
    return call.answer({"jobs": made}, lambda _: "\n".join(lines), DONE)


def _refused(
    error: RequestRefused, paths: Paths, job: str, head: str, made: list[dict[str, object]]
) -> RequestRefused:
    """Return the error of a job, with the jobs before it, which the daemon has switched."""
    from ..errors import RequestRefused
    from ..ledger.reading import reading
    from ..view.target import told_why

    with reading(paths.ledger) as view:
        told = told_why(error, view, paths, job)
    before = ", ".join(str(one["job"]) for one in made)
    return RequestRefused(f"{told.found}; {head}{before}" if made else told.found, told.remedy)
