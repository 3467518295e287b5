"""Turns a decoded visit into the plain values that the ledger records.

Pure: no clock, no IO, no ledger. It runs in the daemon's loop before a transaction is
open, so that composing zsh code and looking for cycles never hold the ledger's lock.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from msgspec import structs

from ..config.problems import find_cycle
from ..config.values import is_id
from ..errors import ConfigError
from ..jobs import environment, outputs, script
from ..jobs.keys import declared_job
from ..jobs.registrations import Register
from ..jobs.script import Equipment
from ..ledger.packing import Asked, Declaration, DoneHere, Refusal, Report
from ..machine.processes import UNKNOWN, Process
from ..model import Code, Job, Sink
from ..telemetry import projection
from ..wire import frames
from ..wire.messages import ShellContext, Visit


def report(
    visit: Visit, files: Mapping[str, Job], default_log: str, shell: Process = UNKNOWN
) -> Report:
    """Return what `visit` reports, judged against the jobs of the files.

    `default_log` is the shared log of a shell that names none.
    """
    env, sink = _surroundings(visit.context.environment, default_log)
    jobs, refused = _jobs(visit)
    return Report(
        nonce=visit.hello.nonce,
        seq=visit.hello.seq,
        env=env,
        sink=sink,
        process=shell,
        declared=tuple(_judged(jobs, files)),
        refused=(*refused, *_too_large(visit), *_nameless(visit)),
        postprompt=visit.postprompt,
        idle=visit.idle,
        done=tuple(DoneHere(one.id, one.ms, one.rc) for one in visit.done if is_id(one.id)),
        asked=_asked(visit.context.apply),
    )


def _asked(text: str) -> Asked | None:
    """Return what the shell waits for; None where it cannot wait, or says it wrongly."""
    since, *jobs = frames.split(text) or ("",)
    runs = frames.as_map(jobs)
    if not all(map(_is_number, (since, *runs.values()))):
        return None
    return Asked(int(since) / 1e9, {job: int(run) for job, run in runs.items() if is_id(job)})


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


# Most shells of a user have the same environment. The ledger also packs the same object only once.
@lru_cache(maxsize=8)
def _surroundings(text: str, default_log: str) -> tuple[dict[str, str], Sink]:
    """Return the environment, cut to the allow-list, and the shell's sink of telemetry."""
    env = environment.cut_env(frames.split_map(text))
    return env, projection.sink(env, default_log)


def _jobs(visit: Visit) -> tuple[dict[str, Job], list[Refusal]]:
    """Return the jobs that the visit declares, by id, and the declarations that are none."""
    bodies = {function.name: function.body for function in visit.functions}
    context = structs.replace(visit.context, apply="")  # of no job, and another in each shell
    jobs: dict[str, Job] = {}
    refused = []
    for record in visit.jobs:
        functions = tuple((name, bodies[name]) for name in record.functions if name in bodies)
        try:
            job = _job_of(record, functions, context)
        except ConfigError as error:
            refused.append(_refusal(record.id, str(error)))
        else:
            jobs[job.id] = job
    return jobs, refused


# Most shells of a user declare the same jobs. The ledger also packs the same object only once.
@lru_cache(maxsize=128)
def _job_of(record: Register, functions: tuple[tuple[str, str], ...], context: ShellContext) -> Job:
    """Return the job that `record` declares; ConfigError where a value of it is refused."""
    modules = frames.split(context.modules)
    text = "\n".join((*record.call, *(body for _, body in functions)))
    if functions or len(record.call) == 1 or _is_builtin(record.call[0], modules):
        kind = frames.split(context.options), frames.split(context.fpath)
    else:  # a command with arguments depends on no option of the shell, and on no variable
        kind, modules, text = ((), ()), (), ""
    folders, math = frames.split_map(context.folders), frames.split(context.math)
    equipment = Equipment(modules, folders, record.arrays, math, context.umask)
    # The code of a tool often has a function of the tool's name: the shell that visits has run it.
    source = script.compose(
        record.call, dict(functions), *kind, equipment, program_first=record.check == "init"
    )
    exported = environment.mentioned(text, frames.split_map(context.exported))
    return declared_job(
        id=record.id,
        run=Code(source),
        call=record.call,
        on=(record.on,),
        once_per=record.once_per,
        after=record.after,
        watch=record.watch,
        timeout=record.timeout,
        retry=record.retry,
        when=record.when,
        background=record.background == "true",
        output=record.output,
        check=record.check,
        flags=[name for name in (*outputs.FLAGS, "idempotent") if getattr(record, name)],
        env=exported | frames.as_map(record.env),
        description=record.description,
        umask=context.umask,
    )


def _is_builtin(command: str, modules: tuple[str, ...]) -> bool:
    return any(f" b:{command} " in f"{module} " for module in modules)


def _too_large(visit: Visit) -> Iterator[Refusal]:
    for job in visit.oversize:
        largest = f", {job.size} of them in {job.function}," if job.function else ""
        reason = f"{job.id}: {job.bytes} bytes{largest} are too many to send; use a job file"
        yield _refusal(job.id, reason)


def _nameless(visit: Visit) -> Iterator[Refusal]:
    for one in visit.done:
        if not is_id(one.id):
            yield _refusal(one.id, f"work done in the shell: bad id: {one.id!r}")


def _refusal(job: str, reason: str) -> Refusal:
    return Refusal(job if is_id(job) else None, reason)


def _judged(jobs: Mapping[str, Job], files: Mapping[str, Job]) -> Iterator[Declaration]:
    """Yield each job, refused where a file declares it, its output, or it waits for itself."""
    cycle = _cycle(jobs, files)
    earlier: list[Job] = []
    for job in jobs.values():
        refused = None
        if job.id in files:
            refused = f"declared in {files[job.id].source}, which stands"
        elif job.id in cycle:
            refused = f"waits for itself through `after`: {', '.join(sorted(cycle))}"
        elif other := outputs.owner(job, (*files.values(), *earlier)):
            refused = f"its output is that of {other.id}: {job.output}; give it another file"
        else:
            earlier.append(job)
        yield Declaration(job, refused)


def _cycle(jobs: Mapping[str, Job], files: Mapping[str, Job]) -> set[str]:
    """Return the ids of a cycle in `after`; empty where none can lead through `jobs`."""
    if not any(job.after for job in jobs.values()):
        return set()
    edges = {job.id: job.after for job in (*files.values(), *jobs.values())}
    return set(find_cycle(edges) or ())
