"""Turns the words of a shell's registrations into values.

A shell must be brief, so it sends what `zf::defer::register` and `zdefer` were called with much
as it stands, and the functions that all of that can reach in one heap. The words of each job, and
the functions that it needs, are found out here; and since the next shell of the same user
sends the same, byte by byte, the last result is kept.

Both lists have the same form: of each element its length in bytes, NUL, the element; joined by
NUL. The functions' has names and bodies, in turns. A job's words are joined by NUL:

    defer ID FUNCTION TRIGGER DESCRIPTION...
    words add ID [--once-per SCOPE] -- CALL...
    add id=ID on=TRIGGER once_per=SCOPE [after= watch= when= timeout= function= env=]... -- CALL...

Among the fields of `add`, `array=NAME` and `association=NAME` are followed by `element=VALUE` for
each element; of an association keys and values in turns.

Strings are bytes decoded with `surrogateescape`.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..errors import WireError
from .outputs import FLAGS
from .script import Array, quote

SINGLE = frozenset(
    {"id", "on", "once_per", "timeout", "retry", "background", "output", "check", *FLAGS}
    | {"idempotent", "description"}
)
REPEATED = {
    "after": "after",
    "watch": "watch",
    "when": "when",
    "env": "env",
    "function": "functions",
}
"""Fields of `add` that may come more than once -> of a Register."""
_ARRAYS = frozenset({"array", "association"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PIECES = re.compile(r"[\0\n;&|(){}`]")
_COMMAND = re.compile(
    r"""(?:[ \t\\"']
        |(?:then|do|else|elif|if|while|until|time|!|-|noglob|nocorrect|exec|coproc|eval|trap)[ \t]+
        |[A-Za-z_][A-Za-z0-9_]*\+?=(?:"[^"]*"|'[^']*'|[^ \t]*)[ \t]+
        )*([^ \t<>"'$]*)""",
    re.VERBOSE,
)
"""A word in command position: behind a separator, a word that a command follows, or an assignment;
the shim has the same."""


class Function(Struct, frozen=True):
    """A function that travels with a visit."""

    name: str
    body: str
    """The source, as `$functions` has it."""


class Register(Struct, frozen=True):
    """One job as a shell declared it; its values are still to be judged."""

    id: str
    call: tuple[str, ...]
    """One word is zsh code, several are a command or function and its arguments."""
    on: str = "postprompt"
    once_per: str = "shell"
    after: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    timeout: str = ""
    env: tuple[str, ...] = ()
    """`NAME=VALUE`; what has no value was not set in the shell."""
    arrays: tuple[Array, ...] = ()
    functions: tuple[str, ...] = ()
    """Names of those that it needs, of the functions that came with it."""
    description: str = ""
    output: str = ""
    empty: Literal["", "true"] = ""
    check: str = ""
    compile: Literal["", "true"] = ""
    apply: Literal["", "true"] = ""
    idempotent: Literal["", "true"] = ""
    """`true`: it is started again where its process vanished without a record."""
    background: Literal["", "true"] = ""
    """`true`: what outlives its main process is left alone."""
    retry: str = ""
    """`ATTEMPTS[:BACKOFF]`."""
    when: tuple[str, ...] = ()
    """`KEY=VALUE`, of the keys of `when`."""


@lru_cache(maxsize=8)
def read(
    functions: str, jobs: str, math: tuple[str, ...] = ()
) -> tuple[tuple[Function, ...], tuple[Register, ...]]:
    """Return the two lists of one visit; WireError where they are none."""
    elements = _elements(functions)
    if len(elements) % 2:
        raise WireError("functions: a name without a body")
    bodies = dict(zip(elements[::2], elements[1::2], strict=True))
    reach = _Reach(bodies, math)
    declarations = [element.split("\0") for element in _elements(jobs)]
    return (
        tuple(Function(name, body) for name, body in bodies.items()),
        tuple(_register(words, reach) for words in _without_repetitions(declarations)),
    )


def _without_repetitions(declarations: list[list[str]]) -> list[list[str]]:
    """Drop repeated declarations: `zf::defer::register` takes a job once for a trigger."""
    first: dict[tuple[str, ...], list[str]] = {}
    for number, words in enumerate(declarations):
        repeats = words[0] == "defer" and len(words) > 3
        first.setdefault((words[1], words[3]) if repeats else (str(number),), words)
    return list(first.values())


def _elements(text: str) -> list[str]:
    found = []
    data = text.encode("utf-8", "surrogateescape")
    at = 0
    while at < len(data):
        length, _, _ = data[at : at + 8].partition(b"\0")
        start = at + len(length) + 1
        if not length.isdigit() or start + int(length) > len(data):
            raise WireError(f"a list whose lengths are wrong, at byte {at}")
        at = start + int(length)
        found.append(data[start:at].decode("utf-8", "surrogateescape"))
        if data[at : at + 1] not in (b"", b"\0"):
            raise WireError(f"a list whose lengths are wrong, at byte {at}")
        at += 1
    return found


def _register(words: list[str], reach: "_Reach") -> Register:
    match words:
        case ["defer", job, function, trigger, *description]:
            return Register(
                id=job,
                call=(quote(function),),
                on=trigger,
                functions=reach([function]),
                description=" ".join(description),
            )
        case ["words", "add", job, "--", *call] if call:
            return Register(id=job, call=tuple(call), functions=reach.of_call(call))
        case ["words", "add", job, "--once-per", scope, "--", *call] if call:
            return Register(id=job, call=tuple(call), once_per=scope, functions=reach.of_call(call))
        case ["add", *rest] if "--" in rest[:-1]:
            split = rest.index("--")
            return _of_fields(rest[:split], rest[split + 1 :], reach)
    raise WireError(f"not the words of a job: {words[0][:40]!r}")


def _of_fields(fields: list[str], call: list[str], reach: "_Reach") -> Register:
    found: dict[str, Any] = {"call": call, "arrays": []}
    for word in fields:
        name, equals, value = word.partition("=")
        if not equals:
            raise _not_a_field(name)
        if name in REPEATED:
            found.setdefault(REPEATED[name], []).append(value)
        elif name in SINGLE - found.keys():
            found[name] = value
        elif name in _ARRAYS and _VARIABLE.fullmatch(value):
            found["arrays"].append((value, name == "association", []))
        elif name == "element" and found["arrays"]:
            found["arrays"][-1][2].append(value)
        else:
            raise _not_a_field(name)
    found["functions"] = reach.of_call(call, found.get("functions", ()))
    try:
        return msgspec.convert(found, Register)
    except msgspec.ValidationError as error:
        raise WireError(f"not the fields of a job: {error}") from None


def _not_a_field(name: str) -> WireError:
    return WireError(f"not a field of a job, or a second one: {name[:40]!r}")


def _names(text: str) -> Iterable[str]:
    """Return the words in command position: inside `$(…)` and here-documents as well."""
    for piece in _PIECES.split(text):
        found = _COMMAND.match(piece)
        if found and found[1]:
            yield found[1]


class _Reach:
    """Finds which functions a name leads to: those that it calls, as far as text can tell."""

    def __init__(self, bodies: Mapping[str, str], math: Iterable[str]) -> None:
        self._bodies = bodies
        self._math = {name: words[-1] for name, *words in map(str.split, math) if words}
        self._calls: dict[str, list[str]] = {}

    def names(self, text: str) -> Iterable[str]:
        """Return what a text may call: words in command position, functions of arithmetic."""
        yield from _names(text)
        for name, function in self._math.items():
            if f"{name}(" in text:
                yield function

    def of_call(self, call: list[str], named: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the functions of a job: what its call leads to, and what `-f` named."""
        return self([*(self.names(call[0]) if len(call) == 1 else call[:1]), *named])

    def __call__(self, names: Iterable[str]) -> tuple[str, ...]:
        found = dict.fromkeys(name for name in names if name in self._bodies)
        new = list(found)
        while new:
            name = new.pop(0)
            if name not in self._calls:
                words = dict.fromkeys(self.names(self._bodies[name]))
                self._calls[name] = [word for word in words if word in self._bodies]
            more = [word for word in self._calls[name] if word not in found]
            found |= dict.fromkeys(more)
            new += more
        return tuple(found)
