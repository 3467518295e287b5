"""Functions travel: what a shell's function prints there, it prints as a job.

A real zsh registers, the message is taken off a real socket, script.compose makes the
source of it, and `zsh -f` runs that: everything between but the daemon.
"""

import re
import subprocess
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer, wait_for_visit, wait_until
from support.terminal import Terminal

from zdeferd.jobs.registrations import Register
from zdeferd.jobs.script import compose
from zdeferd.model import Code
from zdeferd.runs.visits import report
from zdeferd.wire import messages

LINE_NUMBER = re.compile(r"(?<=:)\d+:")

CASES = {
    "in substitution": 'inner() { print inner:$1 }; f() { print "$(inner a)" `inner b` }',
    "in double quotes": 'inner() { print -n inner }; f() { print "x${:-$(inner)}y" }',
    "in a here-document": "inner() { print in }; f() {\ncat <<END\n$(inner) 'one' \"two\"\nEND\n}",
    "behind a pipe": "one() { print one }; two() { cat }; f() { one|two&&{ one;two </dev/null } }",
    "in a case": "one() { print one }; f() { case $1 in (*) one;; esac; for x in 1; do one; done }",
    "named zf::": "zf::inner() { print $0 }; my-inner() { zf::inner }; f() { my-inner }",
    "two steps": "a() { b }; b() { c }; c() { print c }; f() { a }",
    "in a circle": "a() { (( n++ < 2 )) && f; print a$n }; f() { a }",
    "extended glob": "setopt extended_glob\nf() { print -l ^(.*|script)(N[1]) x(#qN) (#i)NOTE }",
    "null glob": "setopt null_glob dot_glob\nf() { print no-such-*; print .zsh* }",
    "ksh arrays": "setopt ksh_arrays\nf() { local a=(x y); print ${a[0]} $a }",
    "word split": "setopt sh_word_split\nf() { local a='x y z'; print -l $a }",
    "rc expand": "setopt rc_expand_param\nf() { local a=(x y); print b${a}c }",
    "errexit": "setopt errexit\nf() { print before; false; print after }",
    "nounset": "setopt nounset\nf() { print before; print $no_such; print after }",
    "emulate sh": "f() { emulate -L sh; local a='x y'; set -- $a; echo $# }",
    "emulate ksh": "f() { emulate -L ksh; typeset -a a; a=(p q); print ${a[0]} }",
    "aliases were on": "alias greet='print hello'\neval 'f() { greet }'; alias print=false",
    "reserved names": "if2() { print if2 }; -dash() { print dash }; f() { if2; -dash }",
    "odd bytes": "f() { print -r -- $'\\xff\\x01 \\t' 'it'\"'\"'s' '!x' \\$HOME 'ä✓' }",
    "status": "f() { print out; return 3 }",
    "autoload stub": "fpath+=($HOME/fns); autoload -Uz stub\nf() { stub x }",
    "autoload itself": "fpath+=($HOME/fns); autoload -Uz stub\nfunctions[f]='stub \"$@\"'",
    "autoload by path": "autoload -Uz $HOME/fns/stub\nf() { stub x }",
    "autoload missing": "autoload -Uz no-such-file\nf() { no-such-file 2>/dev/null; print $? }",
    "autoload ksh style": "fpath+=($HOME/fns); autoload -Uz defines\nf() { defines; defines }",
    "autoload by zsh": "autoload -Uz is-at-least\nf() { is-at-least 5.0 && print yes }",
    "local functions": "f() { g() { print g }; g; unfunction g }",
    "anonymous": "inner() { print $1 }; f() { () { inner $1 } x }",
    "arithmetic": "n() { print 3 }; f() { print $(( $(n) + 1 )) $[ 1 + $(n) ] }",
    "arguments": 'f() { print -r -- "$#:$1:$2:$0" }',
}


def prepare(home: Path) -> None:
    """Files that the cases look at."""
    functions = home / "fns"
    functions.mkdir()
    (functions / "stub").write_text("print stub:$0:$1\nhelps\n")
    (functions / "defines").write_text("defines() {\n  print defined\n}\n")
    (home / "note").touch()


def as_a_job(home: Path, visit: messages.Visit, job: Register) -> tuple[int, str]:
    """Run a job of a visit as the daemon would: its status and output."""
    reported = report(visit, {}, "")
    (declared,) = (one.job for one in reported.declared if one.job.id == job.id)
    assert isinstance(declared.run, Code)
    script = home / "script"
    script.write_bytes(declared.run.source.encode("utf-8", "surrogateescape"))
    environment = reported.env | declared.env
    done = subprocess.run(
        ["zsh", "-f", script],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=200,
        check=False,
    )
    script.unlink()
    return done.returncode, LINE_NUMBER.sub("", done.stdout.decode("utf-8", "surrogateescape"))


def in_the_shell(home: Path, shell: Terminal, call: str) -> tuple[int, str]:
    """Run a call in a subshell of the shell itself: its status and output."""
    shell.line(
        f"({call}) >{home}/out 2>&1 </dev/null & wait $! || rc=$?; "
        f"builtin print ${{rc-0}} >{home}/status"
    )
    status = home / "status"
    wait_until(lambda: status.exists() and status.read_text().endswith("\n"), "it has ended")
    return int(status.read_text()), (home / "out").read_bytes().decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", CASES)
def test_runs_as_in_the_shell(name: str, home: Path, peer: Peer, start: Start) -> None:
    prepare(home)
    shell = start(f"helps() {{ print helps }}\n{CASES[name]}\nzdefer add job -- f 'a b' ''")
    shell.prompt()
    visit = peer.take()
    wait_for_visit(peer.path, shell)
    job = as_a_job(home, visit, visit.jobs[0])
    status, printed = in_the_shell(home, shell, "f 'a b' ''")
    assert job == (status, LINE_NUMBER.sub("", printed))
    assert job[1]


@pytest.mark.parametrize(
    "code",
    [
        "f; f | cat",
        'x="$(f)"; print $x; [[ -o extended_glob ]] && print glob; exit 5',
        "for x in 1 2; do f $x; done; false",
        "print $'line\\nline' 'it''s' .zsh*",
        "syntax error )",
        "no-such-command",
    ],
)
def test_code_runs_as_in_the_shell(code: str, home: Path, peer: Peer, start: Start) -> None:
    quoted = code.replace("'", "'\\''")
    shell = start(
        f"setopt extended_glob rc_quotes\nf() {{ print f$1 }}\nzdefer add job -- '{quoted}'\n"
    )
    shell.prompt()
    visit = peer.take()
    wait_for_visit(peer.path, shell)
    status, printed = as_a_job(home, visit, visit.jobs[0])
    expected_status, expected = in_the_shell(home, shell, f"eval $'{escaped(code)}'")
    assert status == expected_status
    assert printed.split(":")[-1].strip() == expected.split(":")[-1].strip()


def escaped(text: str) -> str:
    """`text` for $'…'."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")


def test_stubs_are_resolved_with_the_aliases_they_would_have(
    home: Path, peer: Peer, start: Start
) -> None:
    functions = home / "fns"
    functions.mkdir()
    for name in ("with", "without"):
        (functions / name).write_text("greet there\n")
    start(
        "alias greet='print hello'; fpath+=($HOME/fns)\nautoload -z with; autoload -Uz without\n"
        "zdefer add job -- with; zdefer add other -- without"
    )
    bodies = {function.name: function.body.strip() for function in peer.take().functions}
    assert bodies == {"with": "print hello there", "without": "greet there"}


def test_zshs_own_functions_stay_stubs(peer: Peer, start: Start) -> None:
    shell = start(
        "autoload -Uz compinit; compinit -D\nf() { compinit; is-at-least 5 }\n"
        "zdefer add job -- f 1\n"
    )
    shell.prompt()
    visit = peer.take()
    bodies = {function.name: function.body for function in visit.functions}
    assert set(bodies) <= {"f", "compinit", "is-at-least", "compdef", "compaudit", "compdump"}
    wait_for_visit(peer.path, shell)
    assert shell.ask("${functions[_git]}").startswith("builtin autoload -X")


def test_options_and_environment_of_the_job_are_the_shells(
    home: Path, peer: Peer, start: Start
) -> None:
    start(
        "setopt extended_glob no_nomatch ksh_arrays pipe_fail\nunsetopt multios\nTOKEN=abc\n"
        "f() { setopt; print -r -- $TOKEN $HOME $LANG; env | sort }\n"
        "zdefer add job --env TOKEN -- f x"
    )
    visit = peer.take()
    status, printed = as_a_job(home, visit, visit.jobs[0])
    for option in ("extendedglob", "nonomatch", "ksharrays", "pipefail", "nomultios"):
        assert option in printed.split()
    assert f"abc {home} C.UTF-8" in printed
    assert "TOKEN=abc" in printed
    assert status == 0


def test_composed_source_is_printable_ascii() -> None:
    source = compose(("f", "\udcff\n'\\ä"), {"f": "\tprint 'ä'\n\x00"}, ("nomatch",), ("/a b",))
    assert all(character == "\n" or " " <= character <= "~" for character in source)


def test_options_that_belong_to_a_terminal_are_not_carried() -> None:
    source = compose(("x",), {}, ("interactive", "monitor", "zle", "vi", "nomatch", "exec"), ())
    wanted = source.splitlines()[0]
    assert wanted == "zdeferd_on=(nomatch)"
