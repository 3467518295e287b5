"""Messages: what is accepted, and that everything else is a WireError and nothing worse."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.daemon import listed

from zdeferd.errors import WireError
from zdeferd.jobs.registrations import Function, Register
from zdeferd.wire import frames, messages
from zdeferd.wire.frames import MAX_FRAMES

HELLO = [b"hello", b"protocol=2", b"nonce=n1", b"seq=1"]


def test_a_whole_visit() -> None:
    visit = messages.decode_visit(
        [
            *HELLO,
            b"context",
            b"environment=HOME=/h\0PATH=/bin",
            b"functions",
            listed(b"f", b"\tprint a=b"),
            b"jobs",
            listed(b"words\0add\0x\0--\0f\0one two"),
            b"postprompt",
            b"end",
        ]
    )
    assert visit.hello == messages.Hello(protocol=2, nonce="n1", seq=1)
    assert frames.split_map(visit.context.environment) == {"HOME": "/h", "PATH": "/bin"}
    assert visit.functions == (Function(name="f", body="\tprint a=b"),)
    assert visit.jobs == (Register(id="x", call=("f", "one two"), functions=("f",)),)
    assert (visit.postprompt, visit.idle) == (True, False)


def test_unknown_fields_of_the_context_are_passed_over() -> None:
    """So that a shell whose shim is newer than the daemon is not refused."""
    frames = [*HELLO, b"context", b"umask=077", b"of-tomorrow=\xff\0x", b"postprompt"]
    visit = messages.decode_visit(frames)
    assert visit.context == messages.ShellContext(umask="077")
    assert visit.postprompt


def test_bytes_that_are_no_utf8_survive() -> None:
    visit = messages.decode_visit([*HELLO, b"jobs", listed(b"add\0id=x\0--\0\xff\xfe")])
    assert visit.jobs[0].call[0].encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize(
    ("frames", "what"),
    [
        ([], "first record is not hello"),
        ([b""], "unknown record: ''"),
        ([b"nonce=1"], "field before any record"),
        ([b"postprompt"], "first record is not hello"),
        ([*HELLO, b"hullo"], "unknown record: 'hullo'"),
        ([*HELLO, *HELLO], "repeated record: hello"),
        ([*HELLO, b"context", b"context"], "repeated record: context"),
        ([*HELLO, b"seq=2"], "repeated field: hello.seq"),
        ([*HELLO, b"jobs", b"jobs"], "repeated record: jobs"),
        ([*HELLO, b"jobs", b"list=4\0true"], "not the words of a job: 'true'"),
        ([*HELLO, b"postprompt", b"x=1"], "postprompt: Object contains unknown field `x`"),
        ([*HELLO, b"context", b"umask=077; x"], "context: Expected `str` matching regex"),
        ([*HELLO, b"context", b"record=idle"], "unknown field: context.record"),
        ([*HELLO, b"postprompt", b"record=idle"], "unknown field: postprompt.record"),
        ([*HELLO, b"function", b"name=f", b"body=x"], "unknown record: 'function'"),
        ([*HELLO, b"job", b"id=x", b"call=f"], "unknown record: 'job'"),
        ([b"hello", b"protocol=one", b"nonce=n", b"seq=1"], "Expected `int`"),
        ([*HELLO, *[b"idle"] * MAX_FRAMES], "too many frames"),
    ],
)
def test_what_is_refused(frames: list[bytes], what: str) -> None:
    with pytest.raises(WireError, match=what.replace("(", r"\(")):
        messages.decode_visit(frames)


names = st.sampled_from([*(n.encode() for n in messages.RECORDS), b"record", b"x"])
fields = st.builds(
    lambda n, v: n + b"=" + v,
    st.sampled_from([b"id", b"seq", b"call", b"x"]),
    st.binary(max_size=20),
)


@given(st.lists(st.one_of(names, fields, st.binary(max_size=40)), max_size=20))
def test_noise_is_a_visit_or_a_wire_error(frames: list[bytes]) -> None:
    for start in ([], HELLO):
        with contextlib.suppress(WireError):
            assert isinstance(messages.decode_visit([*start, *frames]), messages.Visit)
