"""What travels besides functions: modules, named folders, arrays, exported variables."""

import os
import sys
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer
from shell.test_functions import as_a_job

CASES = {
    "a parameter of a module": ("zmodload zsh/datetime", "print $(( EPOCHSECONDS > 1000 ))", "1"),
    "a builtin of a module": (
        "zmodload -F zsh/stat b:zstat; touch note",
        "zstat +size note; whence -w stat",
        f"0\nstat: {'command' if os.access('/usr/bin/stat', os.X_OK) else 'none'}",
    ),
    "a math function": ("zmodload zsh/mathfunc", "print $(( int(sqrt(16)) ))", "4"),
    "a module without --": (
        "zmodload zsh/mapfile; print -n hi >note",
        "print $mapfile[note]",
        "hi",
    ),
    "a math function of the shell's": (
        "half() { (( $1 / 2. )) }; functions -M dbl 1 1; dbl() { (( $1 * 2 )) }\n"
        "functions -M hlf 1 2 half; functions -M unused",
        "print $(( dbl(4) + hlf(3) ))",
        "9.5",
    ),
    "a named folder": ("hash -d 'my proj'=/; hash -d note=/usr", "print ~note; cd ~note", "/usr"),
    "an array": ('a=("x y" "" z)', "print -rl -- $#a $a[1] $a[3]", "3\nx y\nz"),
    "an array of odd bytes": ("a=($'\\xff\\n' '$HOME' 'it'\\''s')", "print -r -- ${(q)a}", None),
    "an association": ("typeset -A a=(k v 'k 2' 'v 2' e '')", "print -r -- ${a[k 2]} $#a", "v 2 3"),
    "an array in ksh": ("setopt ksh_arrays; a=(x y)", "print -r -- ${a[0]} ${#a[@]}", "x 2"),
}


@pytest.mark.parametrize("name", CASES)
def test_travels(name: str, home: Path, peer: Peer, start: Start) -> None:
    before, body, expected = CASES[name]
    start(f"{before}\nf() {{ {body} }}\nzdefer add job --env a -- f").prompt()
    visit = peer.take()
    status, printed = as_a_job(home, visit, visit.jobs[0])
    assert status == 0
    assert printed.rstrip("\n") == (expected or "$'\\377'$'\\n' \\$HOME it\\'s")


def test_a_builtin_of_a_module_may_be_the_job(home: Path, peer: Peer, start: Start) -> None:
    start("zmodload zsh/datetime\nzdefer add a -- strftime %Y 86400\nzdefer add b -- print x")
    visit = peer.take()
    assert as_a_job(home, visit, visit.jobs[0]) == (0, "1970\n")
    assert as_a_job(home, visit, visit.jobs[1]) == (0, "x\n")


def test_exported_variables_that_code_mentions(home: Path, peer: Peer, start: Start) -> None:
    names = ["NVM_DIR", "MY_TOKEN", "api_key", "SECRETS", "PASSWORD", "UNUSED", "OLDPWD", "TERM"]
    exported = " ".join(f"{name}=value-of-{name}" for name in names)
    start(
        f"export {exported}\nPLAIN=plain\n"
        'f() { print -r -- "${NVM_DIR:-none}" $MY_TOKEN $api_key $SECRETS ${#PASSWORD} $PLAIN }\n'
        "zdefer add a -- f\nzdefer add b -- 'print $TERM'\nzdefer add c --env MY_TOKEN -- f\n"
        "zdefer add d -- env UNUSED"
    )
    visit = peer.take()
    assert visit.context.exported.split("\0") == [
        *("NVM_DIR=value-of-NVM_DIR", "TERM=value-of-TERM")
    ]
    a, b, c, _ = visit.jobs
    assert as_a_job(home, visit, a) == (0, "value-of-NVM_DIR 0\n")
    assert as_a_job(home, visit, b) == (0, "value-of-TERM\n")
    assert as_a_job(home, visit, c) == (0, "value-of-NVM_DIR value-of-MY_TOKEN 0\n")


NAMES_OF_OURS = [
    *("any", "body", "called", "encoded", "events", "exported", "fd", "first", "folders", "frames"),
    *(
        "job",
        "jobs",
        "known",
        "last",
        "loaded",
        "mask",
        "mentioned",
        "module",
        "n",
        "name",
        "names",
    ),
    *("nul", "pool", "ready", "said", "seconds", "text", "words"),
]


@pytest.mark.parametrize("when", ["at once", "from a timer"])
def test_exported_variables_that_are_named_as_locals(when: str, peer: Peer, start: Start) -> None:
    """What packs has locals, and the timer's function that calls it."""
    exported = " ".join(f"{name}=my-{name}" for name in NAMES_OF_OURS)
    add = "zdefer add a -- f"
    timed = f"zmodload zsh/sched; sched +1 '{add}'"
    before = f"export {exported}\nf() {{ : {' '.join(NAMES_OF_OURS)} }}\n"
    start(before + (add if when == "at once" else timed)).prompt()
    while not (visit := peer.take()).jobs:
        pass
    found = sorted(visit.context.exported.split("\0"))
    assert found == sorted(f"{name}=my-{name}" for name in NAMES_OF_OURS)


@pytest.mark.skipif(sys.platform != "linux", reason="no file says the umask")
@pytest.mark.parametrize("umask", ["022", "077", "002", "0", "777"])
def test_the_umask(umask: str, home: Path, peer: Peer, start: Start) -> None:
    start(
        f"f() {{ umask }}\nzdefer add a -- f\nzdefer add b -- touch {home}/made\n"
        f"{{ zdefer add c -- umask }} 2>/dev/null\numask {umask}"
    )
    visit = peer.take()
    function, command, code = visit.jobs
    for job in (function, code):
        status, printed = as_a_job(home, visit, job)
        assert (status, int(printed, 8)) == (0, int(umask, 8))
    assert as_a_job(home, visit, command) == (0, "")
    assert (home / "made").stat().st_mode & 0o777 == 0o666 & ~int(umask, 8)


def test_what_no_job_names_stays(peer: Peer, start: Start) -> None:
    start("zmodload zsh/datetime; hash -d x=/usr; export A=1\nzdefer add a -- ls").prompt()
    visit = peer.take()
    assert visit.context.exported == ""
    assert "zsh/datetime" in visit.context.modules
