"""What a shell registered: every way of saying it, and that all else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.daemon import listed

from zdeferd.errors import WireError
from zdeferd.jobs.registrations import Function, Register, read

LISTS = st.lists(st.text(alphabet="ab\0\n=-\udcff", max_size=6), max_size=5)


def text(*elements: str) -> str:
    """A list as it travels."""
    data = listed(*(element.encode("utf-8", "surrogateescape") for element in elements))
    return data.removeprefix(b"list=").decode("utf-8", "surrogateescape")


def words(*words: str) -> str:
    """The list of one job."""
    return text("\0".join(words))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (
            ("defer", "a", "my f", "idle", "what", "it does"),
            Register("a", ("$'my f'",), on="idle", description="what it does"),
        ),
        (("words", "add", "a", "--", "git", "", "gc"), Register("a", ("git", "", "gc"))),
        (
            ("words", "add", "a", "--once-per", "boot", "--", "--"),
            Register("a", ("--",), once_per="boot"),
        ),
        (
            ("add", "id=a", "description=a\nb=c", "idempotent=true", "--", "x"),
            Register("a", ("x",), description="a\nb=c", idempotent="true"),
        ),
        (("add", "id=a", "--", "x", "--", "id=b"), Register("a", ("x", "--", "id=b"))),
        (
            (
                *("add", "id=a", "on=idle", "once_per=day", "after=b", "after=c", "watch=/x=y"),
                *("timeout=2s", "env=A=b=c", "env=B", "--", "make"),
            ),
            Register(
                *("a", ("make",), "idle", "day", ("b", "c"), ("/x=y",), "2s", ("A=b=c", "B")),
            ),
        ),
    ],
)
def test_every_way_of_saying_it(said: tuple[str, ...], meant: Register) -> None:
    assert read("", words(*said)) == ((), (meant,))


def test_a_function_is_registered_once_for_a_trigger_and_the_first_stays() -> None:
    words = ("defer\0a\0f\0idle\0one", "defer\0a\0g\0idle\0two", "defer\0a\0f\0postprompt\0three")
    _, jobs = read("", text(*words, "words\0add\0a\0--\0f", "words\0add\0a\0--\0g"))
    assert [(job.call, job.on) for job in jobs] == [
        (("f",), "idle"),
        (("f",), "postprompt"),
        (("f",), "postprompt"),
        (("g",), "postprompt"),
    ]


@pytest.mark.parametrize(
    "said",
    [
        ("",),
        ("defer", "a", "f"),
        ("words", "add", "a", "--"),
        ("words", "add", "a", "--on", "idle", "--", "f"),
        ("add", "id=a", "f"),
        ("add", "id=a", "--"),
        ("add", "on=idle", "--", "f"),
        ("add", "id=a", "id=b", "--", "f"),
        ("add", "id=a", "source=x", "--", "f"),
        ("add", "id=a", "call=x", "--", "f"),
        ("add", "id", "--", "f"),
    ],
)
def test_other_words_are_refused(said: tuple[str, ...]) -> None:
    with pytest.raises(WireError):
        read("", words(*said))


@pytest.mark.parametrize(
    "wrong", ["4\0abc", "3abc", "-1\0", "1\0ab", "99999999999\0a", "x\0", "\0"]
)
def test_wrong_lengths_are_refused(wrong: str) -> None:
    for functions, jobs in ((wrong, ""), ("", wrong)):
        with pytest.raises(WireError, match="lengths"):
            read(functions, jobs)


def test_a_function_without_a_body_is_refused() -> None:
    with pytest.raises(WireError, match="without a body"):
        read(text("f"), "")


def test_a_job_gets_what_it_can_reach_and_no_more() -> None:
    bodies = {
        "outer": '\tprint "$(inner)"; [[ x ]] && again',
        "inner": "\tlate=`last` # outer",
        "last": "\tlast",
        "again": "\t:",
        "other": "\touter",
    }
    functions, jobs = read(
        text(*(part for pair in bodies.items() for part in pair)),
        text(
            "defer\0a\0outer\0postprompt\0",
            "words\0add\0b\0--\0if true; then again; fi",
            "words\0add\0c\0--\0make\0outer",
            'add\0id=d\0function=last\0function=none\0--\0print "$var"',
        ),
    )
    assert functions == tuple(Function(*pair) for pair in bodies.items())
    assert [job.functions for job in jobs] == [
        ("outer", "inner", "again", "last"),
        ("again",),
        (),
        ("last",),
    ]


@given(LISTS)
def test_any_bytes_survive_in_a_list(elements: list[str]) -> None:
    pairs = [part for number, body in enumerate(elements) for part in (f"f{number}", body)]
    functions, _ = read(text(*pairs), "")
    assert [function.body for function in functions] == elements


@given(st.text(alphabet="0123\0ad=-", max_size=30), st.text(alphabet="0123\0ad=-", max_size=30))
def test_noise_is_lists_or_a_wire_error(functions: str, jobs: str) -> None:
    try:
        found, declared = read(functions, jobs)
    except WireError:
        return
    assert all(isinstance(one, Function) for one in found)
    assert all(isinstance(one, Register) for one in declared)


SECRET = ["env=TOKEN=hunter2", "TOKEN=hunter2"]


@pytest.mark.parametrize(
    "words",
    [
        ["add", "id=a", *SECRET, "--", "f"],
        ["add", "id=a", "id=hunter2", "--", "f"],
        ["add", *SECRET],
        ["words", "add", "hunter2", "hunter2", "f"],
    ],
)
def test_no_message_has_a_value(words: list[str]) -> None:
    text = "\0".join(words)
    with pytest.raises(WireError) as refused:
        read("", f"{len(text)}\0{text}")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("text", ["99\0hunter2", "7\0hunter2", "3\0hunter2"])
def test_no_message_has_a_part_of_a_list(text: str) -> None:
    with pytest.raises(WireError) as refused:
        read(text, "")
    assert "hunter2" not in str(refused.value)
