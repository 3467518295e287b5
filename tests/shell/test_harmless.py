"""The shim must not be noticed: hostile settings, busy users, shells that are none.

Each shell with the shim is compared with one without it that is told the same things:
the two screens must be equal, and so must every part of the shell's state.
"""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer, asleep, connections, pausing, wait_for_visit, wait_until
from support.pty import PROMPT
from support.terminal import Terminal

from zdeferd.wire import frames as wire_frames

JOB = "build() { print $(part) }; part() { : }; zf::defer::register build build postprompt Build"
STATE = """\
setopt; print -rl -- "${precmd_functions-none}" "${preexec_functions-none}" ${(kv)options}; trap
(( ! $+functions[TRAPZERR] )) || functions TRAPZERR; alias; jobs; bindkey -L; zle -lL; zle -FL
umask; print -r -- "$PWD $OPTIND $IFS"; typeset -p REPLY match MATCH mbegin"""
"""Commands whose output is the shell's state."""

HOSTILE = {
    "nounset": "setopt nounset",
    "errexit": "setopt errexit",
    "errreturn": "setopt err_return",
    "warn_create_global": "setopt warn_create_global warn_nested_var",
    "ksh_arrays": "setopt ksh_arrays",
    "sh_word_split": "setopt sh_word_split glob_subst null_glob rc_expand_param",
    "ksh": "emulate ksh",
    "sh": "emulate sh",
    "odd syntax": "setopt ignore_braces sh_glob csh_junkie_quotes rc_quotes ksh_glob",
    "no multibyte": "setopt no_multibyte no_glob no_unset",
    "verbose": "setopt print_exit_value all_export typeset_silent",
    "no_clobber": "setopt no_clobber no_bang_hist",
    "IFS": "IFS=edf:/-",
    "vi mode": "bindkey -v",
    "xtrace": "setopt xtrace",
    "DEBUG trap": "trap 'print -r -- debug: $ZSH_DEBUG_CMD' DEBUG",
    "DEBUG function": "TRAPDEBUG() { print -r -- debug }",
    "DEBUG after": "setopt no_debug_before_cmd; trap 'print -r -- debug' DEBUG",
    "ZERR trap": "trap 'print -r -- failed' ZERR",
    "ZERR function": "TRAPZERR() { print -r -- failed }",
    "EXIT trap": "trap 'print -r -- bye' EXIT",
    "posix_argzero": "setopt posix_argzero",
    "posix EXIT trap": "setopt posix_traps; trap 'print -r -- bye' EXIT",
    "functions": "zle() { print zle }; exec2() { : }; trap2() { : }; true() { return 1 }",
}


def tell(shell: Terminal, commands: list[str]) -> str:
    """Run commands; the whole screen, with what differs between two shells made equal."""
    for command in "\n".join(commands).splitlines():
        shell.line(command)
        shell.prompt()
    return re.sub(r"\b\d{3,}\b", "N", shell.screen)


ASK = 'print -r -- "$? ${pipestatus[*]} <$_> $REPLY ${match[*]} $-"'


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_shows_under(name: str, peer: Peer, start: Start) -> None:
    stubs = "zf::defer::register() { : }"
    # What traces both sides of a pipe prints them in any order.
    traced = "tra" in name or "DEBUG" in name
    failing = "(exit 5)" if traced else "(exit 5) | (exit 6)"
    rest = f"REPLY=mine; match=(a b); MATCH=c; mbegin=(1)\n{HOSTILE[name]}\n{failing}\n"
    commands = [ASK, "(exit 5)" if traced else "(exit 3) | builtin true", ASK, STATE]
    without = start(f"{JOB}\n{rest}", before=stubs, plugin=False)
    without.prompt()
    expected = tell(without, commands)
    shell = start(f"{JOB}\n{rest}")
    shell.prompt()
    visit = peer.take()
    assert [job.id for job in visit.jobs] == ["build"]
    assert {function.name for function in visit.functions} == {"build", "part"}
    wait_for_visit(peer.path, shell)
    assert tell(shell, commands) == expected


@pytest.mark.parametrize("name", ["xtrace", "DEBUG function", "ksh", "warn_create_global", "IFS"])
def test_completion_comes_unnoticed_under(name: str, peer: Peer, start: Start) -> None:
    calls = "(( calls += 1 ))"
    compinit = f"integer calls; typeset -A _comps; compdef() {{ {calls}; _comps[$3]=$2 }}"
    rest = f"REPLY=mine; match=(a b); MATCH=c; mbegin=(1)\n{HOSTILE[name]}\n(exit 5)\n"
    commands = [ASK, "(exit 5)", ASK, STATE]
    without = start(rest, plugin=False, before=compinit)
    without.prompt()
    expected = tell(without, commands)
    shell = start(rest, before=compinit)
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    assert tell(shell, commands) == expected
    assert "3" in shell.ask("$calls")


SILENT = [
    "nounset",
    "errexit",
    "warn_create_global",
    "ksh_arrays",
    "sh_word_split",
    "odd syntax",
    "sh",
]


@pytest.mark.parametrize("name", SILENT)
def test_loads_and_registers_under(name: str, peer: Peer, start: Start) -> None:
    shell = start(
        "f() { :; }\nzf::defer::register a f postprompt A\nzf::idle::register b f B\n"
        "zdefer add c --once-per day --env HOME -- f 1 2\n"
        "zf::defer::register bad 2>/dev/null || :\n",
        before=HOSTILE[name],
    )
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["a", "b", "c"]
    assert re.sub("[#%]", "", shell.screen).split() == PROMPT.split()


def test_aliases_on_every_builtin(peer: Peer, start: Start) -> None:
    shell = start(
        JOB.replace("; ", "\n"),
        before="for name in ${(k)builtins:#(source|-)}; do\n"
        "  'builtin' 'alias' -- \"$name=nonsense\"\n"
        "done\n"
        "'builtin' 'alias' -g 'fd=nonsense' 'REPLY=nonsense'\n",
    )
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["build"]
    assert "nonsense" not in shell.screen


RESERVED = (
    "{ } [[ if then else elif fi case esac for do done while until repeat local typeset function"
)


@pytest.mark.parametrize("plugin", [PLUGIN, PLUGIN.parents[1] / PLUGIN.name], ids=["shell", "root"])
def test_aliases_on_reserved_words(plugin: Path, home: Path, peer: Peer, start: Start) -> None:
    before = "".join(f"'builtin' 'alias' '{word}=nonsense'\n" for word in RESERVED.split())
    log = home / "seg.log"
    shell = start(
        f"'builtin' 'source' {plugin}\nzf::segment::wrap w -- true\nzdefer add c -- true",
        before=before,
        plugin=False,
        env={"PERF_SEGMENT_LOG": str(log)},
    )
    shell.prompt()
    assert [job.id for job in peer.take().jobs] == ["c"]
    assert "nonsense" not in shell.screen
    assert log.read_text().startswith("SEGMENT name=w ")


def test_typing_ahead_is_not_disturbed(home: Path, peer: Peer, start: Start) -> None:
    shell = start(f"{JOB}\nwhile [[ ! -e {home}/go ]]; do :; done")
    shell.type("print -r -- $((20+2))\rprint -r -- $((30+3))\rprint -r -- ha")
    (home / "go").touch()
    shell.expect("22\n")
    shell.expect("33\n")
    assert len(peer.take().jobs) == 1
    wait_for_visit(peer.path, shell)
    shell.type("lf\r")
    shell.expect(r"\bhalf\n")


def test_a_key_ends_the_pause_behind_the_prompt(home: Path, peer: Peer, start: Start) -> None:
    """And is not eaten by what waited for it; neither is the descriptor left open."""
    shim = home / "shim"
    shutil.copytree(PLUGIN.parent, shim, ignore=shutil.ignore_patterns("*.zwc"))
    kick = shim / "functions/zdeferd-kick"
    text = kick.read_text()
    assert "-t 0.0003 " in text
    kick.write_text(text.replace("-t 0.0003 ", "-t 60 "))
    shell = start(f"source {shim}/zdeferd.plugin.zsh\n{JOB}", plugin=False)
    shell.prompt()
    opened = "/proc/$$/fd/*(:t)"  # in a `$(…)` its pipe may be seen with both ends
    wait_until(lambda: pausing(shell.pid), "it pauses")
    before = shell.ask(opened)
    wait_until(lambda: pausing(shell.pid), "it pauses again")
    shell.type("\x03")
    wait_until(lambda: asleep(shell.pid), "it was interrupted")
    shell.type(" ")  # what follows an interrupted handler is zsh's new prompt
    shell.prompt()
    assert shell.ask(opened) == before
    assert peer.silent(0.01)


def test_typing_during_a_visit_is_not_disturbed(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    shell.type("print -r -- $((40+")
    identity, visit = peer.receive()
    shell.type("4")
    peer.answer(identity, wire_frames.answer("ok", seq=visit.hello.seq))
    shell.type("))\r")
    shell.expect("44\n")


def test_redraws_during_a_visit(peer: Peer, start: Start) -> None:
    shell = start(f"{JOB}\nredraw() {{ zle reset-prompt }}; zle -N redraw; bindkey '^T' redraw")
    shell.prompt()
    identity, visit = peer.receive()
    shell.type("\x14" * 200)
    peer.answer(identity, wire_frames.answer("ok", seq=visit.hello.seq))
    shell.type("\x14" * 200)
    assert shell.ask("$((1+1))").endswith("2")
    while not peer.silent(0.05):  # the command was typed before the answer was read
        assert peer.take() == visit


def test_redraws_at_every_prompt(peer: Peer, start: Start) -> None:
    shell = start(f"{JOB}\nzle-line-init() {{ repeat 50 zle reset-prompt }}; zle -N zle-line-init")
    assert len(peer.take().jobs) == 1
    wait_for_visit(peer.path, shell)
    shell.line("print -r -- $((40+2))")
    shell.expect("42\n")


def test_interrupt_between_two_turns(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    _, first = peer.receive()
    wait_until(lambda: asleep(shell.pid), "the turn is over")
    shell.type("half a line\x03")
    shell.prompt()
    assert peer.take() == first
    wait_for_visit(peer.path, shell)
    assert shell.ask("$precmd_functions $preexec_functions") == ""


@pytest.mark.parametrize(
    ("function", "behind"),
    [
        ("zdeferd-socket", ()),
        (".zdeferd-modules", ("zdeferd-socket",)),
        (".zdeferd-pack", (".zdeferd-exchange", "zdeferd-socket")),
    ],
)
def test_interrupt_inside_a_turn(
    function: str, behind: tuple[str, ...], peer: Peer, start: Start
) -> None:
    """`behind`: the functions of a visit after whose first calls `function` is there."""
    hit = (
        f"functions[real]=$functions[{function}]\n"
        f'{function}() {{ (( hits++ )) || kill -INT $$; real "$@" }}'
    )
    for at, earlier in enumerate(behind):
        hit = (
            f"functions[real-{at}]=$functions[{earlier}]\n"
            f'{earlier}() {{ real-{at} "$@"; (( seen[{at + 1}]++ )) || {{ {hit}\n }} }}'
        )
    shell = start(f"autoload +X zdeferd-socket; integer hits; seen=(0 0)\n{JOB}\n{hit}\n")
    shell.prompt()

    def rests() -> bool:
        """Return whether it waits for keys, and not for an answer."""
        return asleep(shell.pid) and connections(peer.path) == 0

    for _ in range(4):  # whether Ctrl-C gives a new prompt of its own depends on the moment
        wait_until(lambda: rests() or not peer.silent(0), "the turn is over")
        if not peer.silent(0):
            break
        shell.run(":")
    visit = peer.take()
    assert [job.id for job in visit.jobs] == ["build"]
    wait_for_visit(peer.path, shell)
    assert int(shell.ask("$hits")) > 0
    assert shell.ask("$precmd_functions $preexec_functions") == ""


def test_no_command_inherits_the_connection(peer: Peer, start: Start) -> None:
    shell = start(f"{JOB}\nprecmd() {{ ls -l /proc/self/fd >fds.precmd }}\n")
    shell.prompt()
    peer.receive()  # connected, and not answered
    assert "socket:" not in shell.run("ls -l /proc/self/fd")
    peer.receive()
    shell.line("")
    shell.prompt()
    peer.receive()
    assert "socket:" not in shell.run("(ls -l /proc/self/fd)")
    peer.take()


@pytest.mark.parametrize("argv", [["-c", "f"], ["script"], ["-ic", "f"]])
def test_shells_without_a_prompt(argv: list[str], home: Path, peer: Peer, start: Start) -> None:
    body = (
        f"source {PLUGIN}\n{JOB}\nzdefer add x -- y\nzf::idle::run_if_ready\nprint -r -- done:$?\n"
    )
    (home / "script").write_text(body)
    argv = [body if word == "f" else word for word in argv]
    shell = start(plugin=False, argv=["zsh", "-d", *argv])
    shell.expect("done:0\n")
    assert shell.wait() == 0
    assert peer.silent(0.05)
    assert shell.screen == "done:0\n"


def test_subshells_send_nothing(peer: Peer, start: Start) -> None:
    shell = start()
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    assert shell.run(f"({JOB}; zdefer add x -- y; zf::idle::run_if_ready; zdefer idle)") == ""
    assert shell.run(f"print $({JOB}; zf::idle::run_if_ready; print in)") == "in"
    assert peer.silent(0.05)


def test_somebody_elses_home(home: Path, peer: Peer, start: Start) -> None:
    if os.getuid() == 0:
        theirs = home / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    else:
        theirs = Path("/")
    shell = start(JOB, env={"HOME": str(theirs)})
    shell.prompt()
    assert peer.silent(0.1)
    assert shell.run("zdefer add x -- true") == ""
    assert peer.silent(0.05)
    assert connections(peer.path) == 0


@pytest.mark.parametrize("term", ["dumb", "emacs", "no-such-terminal", ""])
def test_poor_terminals(term: str, peer: Peer, start: Start) -> None:
    shell = start(JOB, env={"TERM": term})
    shell.prompt()
    without = start("zf::defer::register() { : }\n" + JOB, plugin=False, env={"TERM": term})
    without.prompt()
    if not peer.silent(0.2):
        peer.take()
    assert "42" in shell.run("print $((6*7))")
    assert "42" in without.run("print $((6*7))")
    assert shell.screen == without.screen


def test_without_the_line_editor(peer: Peer, start: Start) -> None:
    shell = start(JOB, argv=["zsh", "-d", "-i", "+o", "zle"])
    shell.prompt()
    shell.line("print $((40+2))")
    shell.expect("42\n")
    assert peer.silent(0.05)


@pytest.mark.parametrize("settings", ["", "setopt posix_traps\n", "setopt errexit\n"])
def test_the_shell_ends_as_ever(settings: str, peer: Peer, start: Start) -> None:
    shell = start(f"{JOB}\n{settings}trap 'print bye' EXIT")
    shell.prompt()
    peer.receive()
    shell.line("exit 7")
    shell.expect("bye\n")
    assert shell.wait() == 7
    assert shell.screen.count("bye\n") == 1


def test_hangup_during_a_visit(peer: Peer, start: Start) -> None:
    shell = start(JOB)
    shell.prompt()
    peer.receive()
    shell.signal(signal.SIGHUP)
    shell.wait()
