"""A visit as plain values: what a shell declares, and which of it is refused."""

from typing import Any

import pytest

from zdeferd.jobs.keys import RETRIES
from zdeferd.jobs.registrations import Function, Register
from zdeferd.ledger.packing import DoneHere, Refusal, Report
from zdeferd.model import Code, Job, Scope, Sink, Trigger
from zdeferd.runs import visits
from zdeferd.wire import messages

ENVIRONMENT = "HOME=/h\0PATH=/bin:.\0SECRET=x\0PERF_SAMPLE_CONTEXT=here"


def report(*jobs: Register, files: tuple[Job, ...] = (), **fields: Any) -> Report:
    values: dict[str, Any] = {
        "hello": messages.Hello(protocol=2, nonce="n1", seq=3),
        "context": messages.ShellContext(environment=ENVIRONMENT, options="extendedglob"),
        "functions": (),
        "jobs": jobs,
        "oversize": (),
        "postprompt": True,
        "idle": False,
    }
    visit = messages.Visit(**(values | fields))
    return visits.report(visit, {job.id: job for job in files}, "/log")


def file(name: str, *after: str) -> Job:
    return Job(id=name, run=Code("true"), after=after, source="/j.toml")


def declared(found: Report) -> list[tuple[str, str | None]]:
    return [(job.id, refused) for job, refused in found.declared]


def test_a_shell_is_its_nonce_number_environment_and_sink() -> None:
    found = report(postprompt=False, idle=True)
    assert (found.nonce, found.seq, found.postprompt, found.idle) == ("n1", 3, False, True)
    assert found.env == {"HOME": "/h", "PATH": "/bin", "PERF_SAMPLE_CONTEXT": "here"}
    assert found.sink == Sink(log="/log", sample="here")


def test_jobs_keep_their_order_and_have_the_values_that_were_declared() -> None:
    found = report(
        Register(id="z", call=("true",), on="idle", once_per="ever", after=("a",), timeout="2s"),
        Register(id="a", call=("true",), once_per="change", watch=("/x",), env=("K=v", "unset")),
        Register(id="b", call=("true",), description="why"),
    )
    first, second, third = (declaration.job for declaration in found.declared)
    assert (first.id, first.on, first.once_per) == ("z", (Trigger.IDLE,), Scope.EVER)
    assert (first.after, first.timeout_s) == (("a",), 2.0)
    assert (second.watch, second.env, third.description) == (("/x",), {"K": "v"}, "why")


def test_an_idempotent_job_of_a_shell_has_attempts_as_one_of_a_file() -> None:
    safe = Register(id="a", call=("true",), idempotent="true")
    plain = Register(id="b", call=("true",))
    first, second = (declaration.job for declaration in report(safe, plain).declared)
    assert (first.idempotent, first.attempts) == (True, RETRIES)
    assert (second.idempotent, second.attempts) == (False, 1)


def test_the_last_declaration_of_an_id_in_a_visit_counts() -> None:
    wrong, right = (Register(id="a", call=(f"print {word}",)) for word in ("wrong", "right"))
    (declaration,) = report(wrong, right).declared
    assert "right" in repr(declaration.job)


def test_functions_travel_with_the_jobs_that_need_them() -> None:
    work = Function("work", "\tprint done")
    (declaration,) = report(
        Register(id="a", call=("work",), functions=("work", "absent")), functions=(work,)
    ).declared
    assert "print done" in repr(declaration.job)


def test_a_command_needs_nothing_of_the_shells() -> None:
    found = report(Register(id="a", call=("git", "gc")), Register(id="b", call=("git gc",)))
    command, code = (declaration.job for declaration in found.declared)
    assert "extendedglob" not in repr(command)
    assert "extendedglob" in repr(code)


def test_the_same_declaration_gives_the_same_object() -> None:
    """The ledger packs an object once; the next shell's must not be packed again."""
    first, second = (report(Register(id="a", call=("true",))) for _ in range(2))
    assert first.declared[0].job is second.declared[0].job


def test_a_file_stands_against_a_shells_declaration() -> None:
    found = report(*(Register(id=name, call=("true",)) for name in "fg"), files=(file("f"),))
    assert declared(found) == [("f", "declared in /j.toml, which stands"), ("g", None)]


def test_an_output_belongs_to_one_job() -> None:
    made = [Register(id=name, call=("true",), output="/h/x") for name in "ab"]
    assert declared(report(*made)) == [
        ("a", None),
        ("b", "its output is that of a: /h/x; give it another file"),
    ]


def test_a_cycle_through_a_shells_job_is_refused() -> None:
    found = report(Register(id="a", call=("true",), after=("f",)), files=(file("f", "a"),))
    assert declared(found) == [("a", "waits for itself through `after`: a, f")]


@pytest.mark.parametrize(
    "bad", [{"on": "never"}, {"once_per": "week"}, {"timeout": "soon"}, {"after": ("A B",)}]
)
def test_one_bad_declaration_does_not_hurt_the_others(bad: Any) -> None:
    found = report(Register(id="bad", call=("true",), **bad), Register(id="good", call=("true",)))
    assert declared(found) == [("good", None)]
    (refusal,) = found.refused
    assert refusal.id == "bad"
    assert refusal.reason.startswith("bad.")


@pytest.mark.parametrize("bad", ["", "A", "a/b", "a\nb", "../x", "-a", "a" * 65])
def test_an_id_that_is_none_is_refused_without_it(bad: str) -> None:
    found = report(Register(id=bad, call=("true",)))
    assert (found.declared, [refusal.id for refusal in found.refused]) == ((), [None])


def test_work_done_in_the_shell_is_reported_unless_its_id_is_none() -> None:
    done = messages.DoneHere("a", 5, 0), messages.DoneHere("A b", 6, 1)
    found = report(done=done)
    assert found.done == (DoneHere("a", 5, 0),)
    assert [refusal.id for refusal in found.refused] == [None]


def test_a_job_too_large_to_send_is_refused_with_its_size() -> None:
    found = report(oversize=(messages.Oversize("big", 99),))
    reason = "big: 99 bytes are too many to send; use a job file"
    assert found.refused == (Refusal("big", reason),)
    found = report(oversize=(messages.Oversize("big", 99, "huge", 50),))
    reason = "big: 99 bytes, 50 of them in huge, are too many to send; use a job file"
    assert found.refused == (Refusal("big", reason),)
