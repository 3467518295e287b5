"""Checks the zsh code that a job is about to publish: `check = "zsh"` and `check = "init"`.

`init` is code for many shells, as `zdefer eval` reads it. Code that contains the value of PATH is
refused: each shell would get the PATH of the one for which it was made. Code that declares at its
top level must run in the scope of zdefer's caller. The bit of an executable file says so, because
it changes with the file itself, in one rename.

Standard library only.
"""

from __future__ import annotations

import re

from .launch import run_to_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DECLARES = r"""
.zdeferd-declares() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local word='typeset|declare|local|integer|float|readonly|private|nameref|trap|TRAPEXIT|emulate'
  word="($word|eval|source|(#i)local(|_)(opt[iI]ons|traps))"
  word="((|*[^a-zA-Z0-9_-])$word(|[^a-zA-Z0-9_-]*)|(|*[[:space:];&|({]).[[:blank:]]*)"
  [[ $1 == ${~word} ]] || return 1
  (( $#1 <= 4194304 )) && functions[.zdeferd-examined]=$1 || return 0
  local line bare end
  local -a lines=("${(@f)functions[.zdeferd-examined]}")
  builtin unfunction .zdeferd-examined
  for line in "${(@)lines}"; do
    if [[ -n $end ]]; then
      [[ $line != $end* ]] || end=
      continue
    fi
    bare=${line##$'\t'#}
    [[ $bare != ${~word} ]] || return 0
    [[ $bare != *'() {' ]] || end=${line%"$bare"}'}'
  done
  return 1
}
"""
"""The function of shell/live/eval.zsh, which has the comments."""


def refused(check: str, zsh: str, file: str, path: str, ended: Sequence[int]) -> str:
    """Return why `check` refuses the code in `file`, empty: it does not.

    `path`: the job's PATH; `ended`: the processes that were ended behind the job.
    """
    if said := run_to_end([zsh, "-fn", file]):
        return f"zsh does not accept it: {said}"
    if check == "init" and _has_path(file, path):
        return "it contains the value of PATH, which differs between shells"
    if check == "init" and (gone := [pid for pid in ended if _has(file, rb"\d", b"%d" % pid)]):
        return f"it is about a process that was ended with the job, {gone[0]}; leave it to eval"
    return ""


def mode(check: str, zsh: str, file: str, usual: int) -> int:
    """Return the mode of the published file; `usual` is that of any other output."""
    if check != "init":
        return usual
    code = f'zmodload zsh/parameter{DECLARES}.zdeferd-declares "$(<$1)"'
    return 0o600 if run_to_end([zsh, "-fc", code, "zdefer", file]) else 0o700


def _has_path(file: str, path: str) -> bool:
    value = re.escape(path.encode(errors="surrogateescape"))
    return bool(path) and _has(file, rb"[\w./-]", value)


def _has(file: str, part: bytes, value: bytes) -> bool:
    """Return whether a file has `value`, a pattern, with nothing beside it that `part` matches."""
    with open(file, "rb") as opened:
        return bool(re.search(rb"(?<!%b)%b(?!%b)" % (part, value, part), opened.read()))
