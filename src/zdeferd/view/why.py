"""Explains in one sentence why a job does not run now.

`why` is a pure function: the verb `why` fetches the facts (ledger, configuration, ttys,
lock) and prints the answer. The order of the questions is the order in which they
matter to the user: what happens right now, is the job declared at all, has its scope
been spent, and only then what it waits for.
"""

from ..jobs.script import remarks
from ..model import Batch, Code, Job, Run, Scope, Trigger
from ..rules.changes import listed
from ..rules.conditions import said
from .answers import Answer, Live, WhyCode, WhyFacts
from .render import clock, count, duration, ordinal
from .runs import Past, ended

START = "start it with `zdeferctl start`"


def why(facts: WhyFacts) -> Answer:
    """Return what the job waits for, or why it will not run again."""
    answer = _answer(facts)
    if facts.job is None:
        return answer
    answer = _remarked(_with_changes(answer, facts), facts.job)
    if not facts.refused:
        return answer
    when = clock(facts.refused_at, facts.now)
    beside = f"A shell's declaration of the same id, at {when}, was refused: {facts.refused}."
    return Answer(answer.code, f"{answer.sentence} {beside}", answer.run)


def _with_changes(answer: Answer, facts: WhyFacts) -> Answer:
    """Return the answer; behind it inputs that differ, its output, and the last claim's cause."""
    more = f" Changed since its last claim: {listed(facts.changed)}." if facts.changed else ""
    place, remedy = facts.misplaced
    if place:
        more += f" Its output has no place: {place}; {remedy}."
    elif facts.missing:
        more += f" Its output is missing: {facts.missing}."
    more += f" Its last claim was made because {facts.cause}." if facts.cause else ""
    if facts.conditions and facts.live is None:
        more += f" Its conditions: {_conditions(facts)}."
    return Answer(answer.code, answer.sentence + more, answer.run)


def _remarked(answer: Answer, job: Job) -> Answer:
    """Return the answer, with what a shell may expect of its job in vain behind it."""
    if not isinstance(job.run, Code) or not job.call:
        return answer
    more = [f" Note: {remark}." for remark in remarks(job.call, job.run.source)]
    return Answer(answer.code, answer.sentence + "".join(more), answer.run)


def _answer(facts: WhyFacts) -> Answer:
    if facts.live is not None:
        return _live(facts, facts.live)
    if facts.job is None:
        return _undeclared(facts)
    if facts.disabled_at is not None:
        since = clock(facts.disabled_at, facts.now)
        sentence = f"is disabled since {since}; `zdeferctl enable {facts.id}` lets events claim it."
        return Answer(WhyCode.DISABLED, sentence)
    if facts.unseen is not None:
        sentence = f"waits alone: what it watches cannot be looked at ({facts.unseen})."
        return Answer(WhyCode.WAITS_FOR_LOOK, sentence)
    if facts.spent is not None:
        return _spent(facts, facts.job, facts.spent)
    return _not_yet(facts, facts.job)


def _live(facts: WhyFacts, live: Live) -> Answer:
    age = duration((facts.now - live.since) * 1000)
    code, says = _says(facts, live, age)
    return Answer(code, f"(run {live.run}) {says}.", live.run)


def _says(facts: WhyFacts, live: Live, age: str) -> tuple[WhyCode, str]:
    if live.ended:
        return WhyCode.WAITS_FOR_DAEMON, f"has ended, which the next daemon records; {START}"
    if live.cancelling:
        return WhyCode.CANCELLING, "is being cancelled"
    if live.running:
        return WhyCode.RUNNING, f"has been running for {age}"
    if not facts.daemon:
        later = "is queued and starts when the daemon is back, which does not run now"
        return WhyCode.WAITS_FOR_DAEMON, f"{later}; {START}"
    if live.paused:
        lane = f"{live.lane} lane, which is paused"
        return WhyCode.PAUSED, f"waits in the {lane}; go on with `zdeferctl resume {live.lane}`"
    if live.retry_at > facts.now:
        return WhyCode.WAITS_TO_RETRY, _retry(facts, live)
    if live.waits_for is not None:
        return WhyCode.WAITS_FOR_JOB, f"waits for {_named(live.waits_for)} to end; queued {age} ago"
    if live.unmet:
        until = "" if live.deadline is None else f"; missed at {clock(live.deadline, facts.now)}"
        says = f"waits for its conditions: {_conditions(facts)}{until}"
        return WhyCode.WAITS_FOR_CONDITION, says
    return _turn(live, age)


def _conditions(facts: WhyFacts) -> str:
    """Return the conditions in words: what each asks for, its value now, when it can hold."""

    def seconds(wanted: float) -> str:
        return duration(wanted * 1000)

    def at(instant: float) -> str:
        return clock(instant, facts.now)

    return ", ".join(said(one, seconds, at) for one in facts.conditions)


def _retry(facts: WhyFacts, live: Live) -> str:
    """Return which retry waits, and until when."""
    at, wait = clock(live.retry_at, facts.now), duration((live.retry_at - facts.now) * 1000)
    by_hand = f"try now with `zdeferctl run {facts.id}`"
    return f"failed {count(live.retry, 'time')} and is tried again at {at}, in {wait}; {by_hand}"


def _turn(live: Live, age: str) -> tuple[WhyCode, str]:
    if not live.ahead:
        return WhyCode.NEXT, "is next and about to start"
    place, lane = ordinal(len(live.ahead) + 1), f"{live.lane} lane"
    behind = ", ".join(map(_named, live.ahead[:3]))
    more = len(live.ahead) - 3
    behind += f" and {more} more" if more > 0 else ""
    says = f"waits for its turn: {place} in the {lane}, behind {behind}; queued {age} ago"
    return WhyCode.WAITS_FOR_TURN, says


def _named(waited: Run | Batch) -> str:
    if isinstance(waited, Batch):
        return "an earlier idle batch"
    return f"{waited.job} (run {waited.id})"


def _undeclared(facts: WhyFacts) -> Answer:
    if facts.refused and facts.source != "shell":
        return Answer(WhyCode.REFUSED, f"is refused: {facts.refused}.")
    if facts.refused:
        return Answer(WhyCode.REFUSED, f"is refused as a shell declared it: {facts.refused}.")
    if facts.last is not None:
        ending = ended(facts.last, facts.now)
        return Answer(
            WhyCode.UNDECLARED,
            f"is no longer declared by a file or a shell; it last ran as {ending}.",
            facts.last.run,
        )
    hint = f"did you mean {facts.nearest}?" if facts.nearest else "`zdeferctl jobs` lists all jobs."
    return Answer(WhyCode.UNKNOWN, f"is not a job that zdeferd has heard of; {hint}")


_AGAIN = {
    Scope.BOOT: ("this boot", "it is due again after the next boot"),
    Scope.DAY: ("today", "it is due again tomorrow"),
    Scope.EVER: ("once", "it never runs again by itself"),
    Scope.SHELL: ("for this shell", "each new shell runs it again"),
    Scope.CHANGE: ("for its inputs as they are", "it is due again when they change"),
}


def _spent(facts: WhyFacts, job: Job, past: Past) -> Answer:
    by_hand = f"run it now with `zdeferctl run {facts.id}`"
    if job.once_per is Scope.CHANGE:
        sentence = (
            f"has nothing to do: its inputs are unchanged since {ended(past, facts.now)};"
            f" it is due again when they change; {by_hand}."
        )
        return Answer(WhyCode.INPUTS_UNCHANGED, sentence, past.run)
    span, again = _AGAIN[job.once_per]
    if past.rc == 127 and job.once_per is not Scope.SHELL:
        again += ", and in a shell whose PATH has its command"
    if job.once_per is Scope.SHELL and not facts.this_shell:
        span = "for the last shell"
    verb = "was due" if past.outcome == "missed" else "already ran"
    sentence = f"{verb} {span} as {ended(past, facts.now)}; {again}; {by_hand}."
    return Answer(WhyCode.ALREADY_RAN, sentence, past.run)


def _not_yet(facts: WhyFacts, job: Job) -> Answer:
    idle = Trigger.IDLE in (facts.registered or frozenset(job.on))
    postprompt = Trigger.POSTPROMPT in (facts.registered or frozenset(job.on))
    from_shell = job.source == "shell"
    if from_shell and not facts.registered:
        return _next_shell(facts, "waits for the next shell that declares it")
    if idle:
        return _idle(facts, postprompt)
    if from_shell:
        return _next_shell(facts, "is registered and waits for its shell to show a prompt")
    return _next_shell(facts, "waits for the first prompt of a new shell")


def _idle(facts: WhyFacts, or_prompt: bool) -> Answer:
    if not facts.daemon:
        sentence = f"waits for idle, which only the daemon can see, and none runs; {START}."
        return Answer(WhyCode.WAITS_FOR_DAEMON, sentence)
    wanted = duration(facts.idle_after_s * 1000)
    known = facts.quiet_s is not None and facts.quiet_s < facts.idle_after_s
    quiet = f" (so far {duration((facts.quiet_s or 0) * 1000)})" if known else ""
    other = ", or for the first prompt of a new shell" if or_prompt else ""
    sentence = f"waits for idle: {wanted} without a key pressed{quiet}{other}."
    return Answer(WhyCode.WAITS_FOR_IDLE, sentence)


def _next_shell(facts: WhyFacts, waits: str) -> Answer:
    if facts.last is not None:
        then, run = f"it last ran as {ended(facts.last, facts.now)}", facts.last.run
    elif facts.prompted_at is not None:
        then, run = f"the last shell's came at {clock(facts.prompted_at, facts.now)}", None
    else:
        then, run = "no shell has shown one to zdeferd yet", None
    reached = facts.daemon or facts.activated
    tail = "." if reached else f"; the daemon does not run: {START}."
    return Answer(WhyCode.WAITS_FOR_PROMPT, f"{waits}; {then}{tail}", run)
