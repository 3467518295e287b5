"""A job's call is shown as the user wrote it."""

import pytest

from zdeferd.jobs.registrations import Function, Register
from zdeferd.model import Argv, Code, Job, command_of
from zdeferd.runs.visits import report
from zdeferd.wire.messages import Hello, ShellContext, Visit


def declared(*call: str) -> Job:
    """The job that a visit with this call declares."""
    visit = Visit(
        hello=Hello(protocol=2, nonce="n" * 16, seq=1),
        context=ShellContext(options="extendedglob"),
        functions=(Function("rebuild", "true"),),
        jobs=(Register(id="a", call=call, functions=("rebuild",)),),
        oversize=(),
        postprompt=False,
        idle=False,
    )
    [declaration] = report(visit, {}, "/log").declared
    return declaration.job


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (("rebuild", "all of", "x=1"), "rebuild 'all of' x=1"),
        (("rebuild",), "rebuild"),
        (("print -r -- 'it' \\n $x",), "print -r -- 'it' \\n $x"),
        (("one\ntwo\n",), "one … (2 lines)"),
        (("unset zdeferd_on zdeferd_off; x",), "unset zdeferd_on zdeferd_off; x"),
    ],
)
def test_the_call_of_a_shells_job(call: tuple[str, ...], shown: str) -> None:
    assert command_of(declared(*call)) == shown


def test_the_command_of_a_files_job() -> None:
    assert command_of(Job(id="a", run=Code("one\ntwo\n"), source="/x.toml")) == "one … (2 lines)"
    assert (
        command_of(Job(id="a", run=Argv(("make", "all it")), source="/x.toml")) == "make 'all it'"
    )
