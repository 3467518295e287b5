"""Writes a shell's call as zsh source: functions, options and fpath of the shell, then the call.

Owns the text that `zsh -f FILE` runs in the place of the shell. Functions are defined
first, while the new zsh still has its own defaults: their text is zsh's canonical form,
and no alias or option of the user may change how it is read. Then the options are made
those of the shell, and the call follows on the same line, because zsh has read a line
before it runs any of it: no option can change how the call itself is read.

Assumes that the caller's list of options is whole (`${(k)options[(R)on]}`): what is not
on it is off. An empty list means that the call needs no zsh of the shell's kind, and
the defaults stand. Strings are bytes decoded with `surrogateescape`, and come out so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from .environment import allowed_env

NOT_CARRIED = frozenset(
    """
    interactive zle monitor shinstdin stdin login restricted privileged singlecommand onecmd
    exec xtrace verbose printexitvalue emacs vi rcs globalrcs
    """.split()  # noqa: SIM905 - a list of quoted names would hide what is on it
)
"""Options that belong to a terminal, that cannot be set, or that would end or flood the job."""

INSIDE = frozenset(
    """
    source . eval cd chdir pushd popd dirs export typeset declare readonly local integer float unset
    alias unalias compdef compinit bindkey zle setopt unsetopt set autoload zstyle hash rehash
    unhash zmodload umask ulimit trap unfunction enable disable add-zsh-hook
    """.split()  # noqa: SIM905 - as above
)
"""Commands that change the zsh in which they run, and nothing else; the shim has the same."""

_SSH = 'ssh() { command ssh -o ControlMaster=no "$@" }; '

_QUOTED = re.compile(r"""\$?'[^']*'|"[^"]*"|`[^`]*`""")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+./:,@%=")
_SPELLED = {b"\n": b"\\n", b"\t": b"\\t", b"'": b"\\'", b"\\": b"\\\\"}
_TO_SPELL = re.compile(rb"[^ -&(-\[\]-~]")


class Array(NamedTuple):
    """An array of a shell."""

    name: str
    association: bool
    elements: tuple[str, ...]
    """Of an association, keys and values in turns."""


class Equipment(NamedTuple):
    """The modules, folders and functions of a shell that its job may need."""

    modules: tuple[str, ...] = ()
    """Of each its name and what it has enabled: `zsh/stat b:zstat`."""
    folders: Mapping[str, str] = {}
    """Named folders (`hash -d`)."""
    arrays: tuple[Array, ...] = ()
    math: tuple[str, ...] = ()
    """Math functions (`functions -M`): `NAME LEAST MOST FUNCTION`."""
    umask: str = ""
    """Octal digits; empty: the umask with which every job begins."""


NOTHING = Equipment()


def compose(
    call: tuple[str, ...],
    functions: Mapping[str, str],
    options: tuple[str, ...],
    fpath: tuple[str, ...],
    equipment: Equipment = NOTHING,
    program_first: bool = False,
) -> str:
    """Return the source whose exit status is that of `call`.

    One word is zsh code; several are a function or command and its arguments. With `program_first`
    the first word is a program of the PATH, where there is one, and not a function of its name.
    `functions` maps names to bodies as `$functions` gives them; a body that is an
    autoload stub (`builtin autoload -X`) loads itself from `fpath` at its first call.
    """
    text = "\n".join((*call, *functions.values()))
    lines = [f"umask {equipment.umask}"] if equipment.umask else []
    lines += [f"fpath=({_quoted(fpath)})"] if fpath else []
    lines += _modules(equipment.modules, text)
    lines += [
        f"hash -d -- {_always_quoted(name)}={quote(path)}"
        for name, path in equipment.folders.items()
        if name in text
    ]
    lines += [_array(array) for array in equipment.arrays]
    for function in equipment.math:
        name, *arguments = function.split()
        if f"{name}(" in text:
            lines.append(f"functions -M {_quoted((name, *arguments))}")
    if functions:
        lines.append("setopt no_aliases")  # zsh has two of its own
        lines += [_definition(name, body) for name, body in functions.items()]
        lines.append("setopt aliases")
        if program_first and call[0] in functions:
            name = _always_quoted(call[0])
            lines.append(f"whence -p {name} >/dev/null && unfunction {name}")
    if options:
        lines += _wanted_options(options)
    lines.append(_prelude(bool(options)) + _call(call))
    return "\n".join(lines) + "\n"


def _modules(modules: Iterable[str], text: str) -> Iterator[str]:
    """Yield lines that make modules load as soon as something of them is used.

    A module counts where `text` has the name of anything that it brings.
    """
    for module in modules:
        name, *features = module.split(" ")
        if any(feature[2:] in text for feature in features):
            yield f"zmodload -Fa {_quoted((name, *features))} 2>/dev/null"


def _array(array: Array) -> str:
    kind = "-gA" if array.association else "-ga"
    return f"typeset {kind} {array.name}; {array.name}=({_quoted(array.elements)})"


def _definition(name: str, body: str) -> str:
    """Return a line that defines a function; a body that zsh cannot read spoils no other line.

    Not `functions[name]=body`: zsh 5.9 encodes such a body twice, and spoils bytes.
    """
    definition = f"function {_always_quoted(name)} {{\n{body}\n}}"
    return f"eval {quote(definition)}"


def remarks(call: tuple[str, ...], source: str) -> list[str]:
    """Return sentences about what the shell that declared `call` may expect of it in vain."""
    found = []
    words = call[0].split() if len(call) == 1 else list(call)
    one_command = len(call) > 1 or not re.search(r"[;&|\n]", _QUOTED.sub("", call[0].strip()))
    if words and words[0] in INSIDE and one_command:
        found.append(f"{words[0]} changes the job's own zsh, and not the shell that declared it")
    if "zstyle " in source:
        found.append("zstyle finds no style of the shell in a job")
    return found


def headed(source: str, env: Mapping[str, str]) -> str:
    """Return zsh code behind commands for each job, on its first line: zsh counts the user's lines.

    zsh reads /etc/zshenv in spite of -f, and that file may set PATH and others anew: on NixOS it
    does where a variable is unset that no job has. So they are set to those of `env` again.
    The user's ssh must not share a connection that ends with a job.
    """
    again = [f"{name}={_always_quoted(env[name])}" for name in env if allowed_env(name)]
    head = f"export {' '.join(again)}; " if again else ""
    return head + (_SSH if "ssh" in source else "") + source


def quote(text: str) -> str:
    """Return `text` as one zsh word of printable ASCII, the same under every option."""
    data = text.encode("utf-8", "surrogateescape")
    if data and data[0] not in b"=%+-" and _PLAIN.issuperset(data):
        return data.decode("ascii")
    return "$'" + _TO_SPELL.sub(_spelled, data).decode("ascii") + "'"


def _spelled(found: re.Match[bytes]) -> bytes:
    return _SPELLED.get(found[0]) or b"\\x%02x" % ord(found[0])


@lru_cache(maxsize=32)
def _quoted(words: tuple[str, ...]) -> str:
    return " ".join(map(quote, words))


@lru_cache(maxsize=8)  # all jobs of a visit come from one shell
def _wanted_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return lines that compute, before any option changes, which ones to turn on and off."""
    wanted = [name for name in options if name not in NOT_CARRIED]
    return (
        f"zdeferd_on=({_quoted(tuple(wanted))})",
        f"zdeferd_off=({_quoted(tuple(sorted(NOT_CARRIED)))} $zdeferd_on)",
        "zdeferd_off=(${${(k)options[(R)on]}:|zdeferd_off})",
    )


def _prelude(with_options: bool) -> str:
    if not with_options:
        return ""
    # Without arguments setopt lists the options; with them it goes on past a bad one.
    return (
        "(( $#zdeferd_off )) && unsetopt $zdeferd_off; "
        "(( $#zdeferd_on )) && setopt $zdeferd_on; "
        "unset zdeferd_on zdeferd_off; "
    )


def _call(call: tuple[str, ...]) -> str:
    if len(call) == 1:
        return f"eval {quote(call[0])}"
    # A quoted name is never a reserved word or an alias.
    return " ".join(_always_quoted(word) for word in call)


def _always_quoted(word: str) -> str:
    quoted = quote(word)
    return quoted if quoted.startswith("$'") else f"$'{quoted}'"
