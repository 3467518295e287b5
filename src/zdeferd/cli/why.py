"""Say what a job waits for, or why it will not run again, in a sentence.

Reads the ledger, the job files and the ttys; the daemon is not asked. The exit
code is 1 where there is no such job, or its declaration is refused.

Examples:

zdeferctl why updates-waiting
"""

from __future__ import annotations

from ..view.render import Style, home_short, printable, wrapped
from ..view.target import job_id
from ..view.where import find_paths
from .codes import DONE, NO

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..view.answers import WhyFacts
    from .call import Call


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the job."""
    parser.add_argument("job", metavar="JOB", type=job_id, help="its id, as `jobs` lists it")


def perform(call: Call) -> int:
    """Print the sentence; -> 0, or 1 for an unknown or refused job."""
    from ..ledger.reading import reading
    from ..view.answers import WhyCode
    from ..view.facts import gather
    from ..view.jobs import condition_document
    from ..view.why import why

    paths = find_paths(call.env)
    with reading(paths.ledger) as view:
        facts = gather(call.args.job, call.now, call.env, paths, view)
    answer = why(facts)
    sentence = " ".join((answer.sentence, *_insecure(facts)))
    document = {
        "job": facts.id,
        "code": str(answer.code),
        "sentence": sentence,
        "run": answer.run,
        "changed": list(facts.changed),
        "missing": facts.missing or None,
        "misplaced": facts.misplaced[0] or None,
        "cause": facts.cause or None,
        "conditions": [condition_document(one) for one in facts.conditions],
    }

    def text(style: Style) -> str:
        said = printable(home_short(sentence, paths.home))
        return wrapped(f"{style.bold(facts.id)} {said}", call.columns)

    no_answer = answer.code in (WhyCode.UNKNOWN, WhyCode.REFUSED)
    return call.answer(document, text, NO if no_answer else DONE)


def _insecure(facts: WhyFacts) -> list[str]:
    """Return a sentence for each path that a dump of completion leaves out."""
    from ..doctor.completion import insecure_troubles

    if facts.job is None or not facts.id.startswith("compinit-"):
        return []
    return [f"Note: {trouble}." for trouble in insecure_troubles([facts.job.output])]
