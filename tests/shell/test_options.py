"""Any option of zsh, set or not: the plugin loads, a visit arrives, and the job runs."""

import os
import subprocess
from pathlib import Path

from shell.conftest import PLUGIN, Start
from shell.peer import Peer, wait_for_visit

from zdeferd.jobs.script import compose
from zdeferd.wire import frames

END_A_SHELL = {"exec", "singlecommand", "onecmd", "restricted", "privileged", "interactive"}
"""What cannot be set in a shell that runs, or would end it."""
END_A_PROMPT = END_A_SHELL | {"zle", "shinstdin", "stdin", "login"}
"""And without which there is no visit."""
TOGGLE = "toggle() { if [[ -o $1 ]]; then unsetopt $1; else setopt $1; fi 2>/dev/null; true }\n"


def options(home: Path) -> dict[str, bool]:
    """Every option of this zsh, and whether a `zsh -f` has it on."""
    listed = zsh(home, "print -rl -- ${(kv)options}").split()
    return {name: state == "on" for name, state in zip(listed[::2], listed[1::2], strict=True)}


def zsh(home: Path, code: str) -> str:
    """What zsh code prints, errors too."""
    done = subprocess.run(
        ["zsh", "-fc", code],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    return done.stdout


def test_the_plugin_loads_under_any_option(home: Path) -> None:
    registered = (
        "zdefer add a --timeout 2s --once-per change --watch x -- f 'b c'\n"
        "zdefer add b -- f\nzf::defer::register c f postprompt C\n"
        'emulate -L zsh; print -r -- "$1:" "${(@V)_zdeferd_queue}"'
    )
    names = sorted(options(home).keys() - END_A_SHELL - {"xtrace", "verbose", "sourcetrace"})
    code = (
        f"{TOGGLE}f() {{ : }}\none() {{\ntoggle $1; source {PLUGIN}\n{registered}\n}}\n"
        f"for name in none {' '.join(names)}; do (one $name); done"
    )
    lines = zsh(home, code).splitlines()
    _, _, plain = lines[0].partition(": ")
    assert plain.count("^@") > 10
    assert [line.partition(": ")[0] for line in lines] == ["none", *names]
    assert {line.partition(": ")[2] for line in lines} == {plain}


def test_a_visit_arrives_under_any_option(home: Path, peer: Peer, start: Start) -> None:
    shell = start(
        f"{TOGGLE}f() {{ : }}; big() {{ : {'x' * 1000} }}\n"
        "try() { toggle $1; zdefer add $2 -- f $1 }"
    )
    shell.prompt()
    peer.take()
    before = options(home)
    names = sorted(before.keys() - END_A_PROMPT)
    for number, name in enumerate(names):
        wait_for_visit(peer.path, shell)
        shell.line(f"builtin true; try {name} job-{number}")
        visit = peer.take()
        wait_for_visit(peer.path, shell)
        assert [(job.id, job.call) for job in visit.jobs] == [(f"job-{number}", ("f", name))], name
        assert [function.name for function in visit.functions] == ["f"], name
        shell.line(f"toggle {name}")
        shell.drain()


def test_a_job_runs_under_any_option(home: Path) -> None:
    before = options(home)
    names = sorted(before.keys() - END_A_SHELL)
    strange = {}
    for name in names:
        on = tuple(sorted({one for one, state in before.items() if state} ^ {name}))
        source = compose(("f", "x y"), {"f": 'print -r -- "ran:$1:$#"'}, on, ())
        printed = zsh(home, source)
        if printed != "ran:x y:1\n":
            strange[name] = printed
    assert strange == {}


def test_a_job_has_the_options_of_the_visit(peer: Peer, start: Start) -> None:
    start("setopt force_float c_bases octal_zeroes\nzdefer add a -- print x").prompt()
    on = frames.split(peer.take().context.options)
    assert {"forcefloat", "cbases", "octalzeroes"} <= set(on)
