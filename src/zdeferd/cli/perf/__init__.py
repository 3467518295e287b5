"""Measure how long your shells take to start, and judge it against a baseline.

`zdeferctl perf VERB --help` says more of each verb. Examples:

zdeferctl perf classify --from perf.log

zdeferctl perf trend --plot

Every verb exits with 1 on a usage error: 2 and 3 mean WARN and FAIL here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..call import Call

SUBVERBS = {
    "capture": "measure cold starts of zsh",
    "classify": "judge a run against its baselines",
    "status": "the last run that counted, the streak, enforcement",
    "baseline": "show, check or renew the baselines",
    "ready": "are the conditions of enforcement met? A1 to A8",
    "enforce": "make enforce the default mode, or observe again",
    "log": "add to, show or check PERFORMANCE_LOG.md",
    "badge": "badges for a README and for CI",
    "features": "what each feature costs, from a capture",
    "trend": "do metrics rise or fall, and since when?",
    "compare": "is one configuration, or commit, slower than another?",
    "blame": "where do the milliseconds of a start go?",
}
"""Every verb of `perf` and its line of help, in the order of `zdeferctl perf --help`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """List the verbs; their options belong to the verbs."""
    lines = "\n".join(f"  {verb:<9} {line}" for verb, line in SUBVERBS.items())
    parser.epilog = f"verbs:\n{lines}"
    parser.add_argument("subverb", metavar="VERB", choices=SUBVERBS, help="one of those below")


def perform(call: Call) -> int:
    """Refuse a verb that does not stand first, such as `perf -- status`; -> 1."""
    return call.failed(f"the verb stands first: zdeferctl perf {call.args.subverb}", 1)
