"""What `zdefer` and the contract's functions accept and refuse, and how they say it."""

import os
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer, wait_for_visit

QUEUE = '; print -rl -- "${(@ps:\\0:)_zdeferd_queue}"'


def zsh(code: str, home: Path, **env: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of zsh code with the plugin loaded."""
    done = subprocess.run(
        ["zsh", "-fc", f"source {PLUGIN}\nf() {{ : }}\n{code}"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **env},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


ACCEPTED = {
    "zdefer add a -- f": ["words", "add", "a", "--", "f"],
    "zdefer add a --once-per day -- f x": ["words", "add", "a", "--once-per", "day", "f"],
    "zdefer add a --once-per=day -- f": ["add", "id=a", "on=postprompt", "once_per=day", "--"],
    "zdefer add a --timeout 100ms -- f": ["timeout=100ms"],
    "zdefer add a --retry 3:30s -- f": ["retry=3:30s"],
    "zdefer add a --when power=ac --when=quiet=5m --when online -- f": [
        *("when=power=ac", "when=quiet=5m", "when=online")
    ],
    "zdefer add a --timeout 2w -- f": ["timeout=2w"],
    "zdefer add a --background --timeout 2w -- f": ["background=true", "timeout=2w"],
    "zdefer add a --timeout 2w --background -- f": ["background=true", "timeout=2w"],
    "zdefer add a --idempotent --description 'two  words' -- f": [
        *("idempotent=true", "description=two  words", "--", "f")
    ],
    "zdefer add a --description=a --background --description=b -- f": [
        *("background=true", "description=b", "--", "f")
    ],
    "zdefer add a --output x/y -- f": ["output=HOME/x/y", "--", "f"],
    "zdefer add a --output='~/x' --check zsh --compile --empty --apply -- f": [
        *("compile=true", "empty=true", "apply=true", "output=HOME/x", "check=zsh", "--", "f")
    ],
    "zdefer add a --background --background -- f": ["background=true", "--", "f"],
    "zdefer add a -- f --background": ["add", "a", "--", "f", "--background"],
    "zdefer add a --timeout 0.1 -- f": ["timeout=0.1"],
    "zdefer add 0 --on idle -- f 'x  y' ''": ["id=0", "on=idle", "--", "f", "x  y", ""],
    "zdefer add a --once-per ever --timeout 1.5m -- f": ["once_per=ever", "timeout=1.5m"],
    "zdefer add a --after b --after c --after b -- f": ["after=b", "after=c", "--"],
    "zdefer add a --once-per=change --watch=command:ls --watch '/x*' -- f": [
        *("watch=command:ls", "watch=/x*")
    ],
    "zdefer add a --once-per change --watch='~/x' --watch='$HOME/y' --watch='${HOME}' -- f": [
        *("watch=HOME/x", "watch=HOME/y", "watch=HOME", "--", "f")
    ],
    "zdefer add a --once-per change --watch=x/y --watch=./~z --watch '/a b/$c' -- f": [
        *("watch=HOME/x/y", "watch=HOME/./~z", "watch=/a b/$c")
    ],
    "zdefer add a --once-per change --watch env:X -- f": ["watch=env:X", "env=X", "--", "f"],
    "zdefer add a --env X --env Y -f f -f g -- f": ["env=X", "env=Y", "function=f", "function=g"],
    "zdefer add a -- --on idle": ["add", "a", "--", "--on", "idle"],
    f"zdefer add {'x' * 64} -- f": ["x" * 64],
    "zf::defer::register a f postprompt": ["defer", "a", "f", "postprompt"],
    "zf::idle::register a f": ["defer", "a", "f", "idle"],
    "zf::defer::register a f postprompt some words": ["defer", "a", "f", "postprompt"],
    "zf::defer::register a f idle words": ["defer", "a", "f", "idle", "words"],
    "zf::idle::register a f some words": ["a", "f", "idle", "some", "words"],
    "zf::idle::register a f x; zf::idle::register b f x": ["a", "b"],
}


@pytest.mark.parametrize("call", ACCEPTED)
def test_accepts(call: str, home: Path) -> None:
    status, printed, errors = zsh(call + " || exit" + QUEUE, home)
    assert (status, errors) == (0, "")
    words = iter(printed.split("\n"))
    wanted = [word.replace("HOME", str(home)) for word in ACCEPTED[call]]
    assert all(word in words for word in wanted)  # in this order


REFUSED = {
    "zdefer add": (2, "missing ID; "),
    "zdefer add -- f": (2, "missing ID before: --; "),
    "zdefer add --once-per day -- f": (2, "missing ID before: --once-per"),
    "zdefer add --once-per=day -- f": (2, "missing ID before: '--once-per=day'"),
    "zdefer add a": (2, "nothing to run"),
    "zdefer add a --": (2, "nothing to run"),
    "zdefer add a f": (2, "`--' is missing before: f"),
    "zdefer add a --nice 3 -- f": (2, "unknown option: --nice"),
    "zdefer add a --nice": (2, "unknown option: --nice"),
    "zdefer add a -x 3 -- f": (2, "unknown option: -x"),
    "zdefer add a --once-per day": (2, "nothing to run"),
    "zdefer add a --once-per day --": (2, "nothing to run"),
    "zdefer add a --on": (2, "no value for: --on"),
    "zdefer add a --on -- f": (2, "no value for: --on"),
    "zdefer add A -- f": (1, "bad value for ID: A"),
    "zdefer add '' -- f": (1, "bad value for ID: ''"),
    "zdefer add -x -- f": (1, "bad value for ID: -x"),
    "zdefer add $'a\\nb' -- f": (1, "bad value for ID: $'a\\nb'"),
    "zdefer add a/b -- f": (1, "bad value for ID: a/b"),
    f"zdefer add {'x' * 65} -- f": (1, "bad value for ID"),
    "zdefer add a --on boot -- f": (1, "bad value for --on: boot"),
    "zdefer add a --once-per week -- f": (1, "bad value for --once-per: week"),
    "zdefer add a --output x/ -- f": (1, "bad value for --output: x/"),
    "zdefer add a --output x/../y -- f": (1, "bad value for --output: x/../y"),
    "zdefer add a --output x --check sh -- f": (1, "bad value for --check: sh"),
    "zdefer add a --compile -- f": (2, "add: no --output PATH beside it"),
    "zdefer add a --apply -- f": (2, "add: no --output PATH beside it"),
    "zdefer add a --output x --background -- f": (2, "add: --background: not beside --output"),
    "zdefer add a --after B -- f": (1, "bad value for --after: B"),
    "zdefer add a --timeout soon -- f": (1, "bad value for --timeout: soon"),
    "zdefer add a --timeout 0s -- f": (1, "at least 0.1s"),
    "zdefer add a --timeout 99ms -- f": (1, "bad value for --timeout: 99ms"),
    "zdefer add a --retry 0 -- f": (1, "bad value for --retry: 0; use the number of runs"),
    "zdefer add a --when power=mains -- f": (
        1,
        "bad value for --when: 'power=mains'; use quiet=5m",
    ),
    "zdefer add a --timeout 20 s -- f": (2, "`--' is missing before: s"),
    "zdefer add a --timeout 9999999999999s -- f": (1, "bad value for --timeout"),
    "zdefer add a --timeout '' -- f": (1, "bad value for --timeout: ''"),
    "zdefer add a --watch '' -- f": (1, "bad value for --watch: ''"),
    "zdefer add a --once-per change --watch '~bob/x' -- f": (1, "bad value for --watch: '~bob/x'"),
    "zdefer add a --once-per change --watch '$X/y' -- f": (1, "bad value for --watch: '$X/y'; use"),
    "zdefer add a --once-per change --watch '$HOMES' -- f": (1, "perhaps below ~/ or $HOME/"),
    "zdefer add a -f '' -- f": (1, "bad value for -f: ''"),
    "zdefer add a --env A=B -- f": (1, "bad value for --env: 'A=B'"),
    "zdefer add a --once-per change -- f": (2, "--once-per change: no --watch"),
    "zdefer add a --watch /x -- f": (2, "--watch: no --once-per"),
    "zdefer add a --once-per change --watch command:/x -- f": (1, "bad value for --watch"),
    "zdefer idle now": (2, "unexpected argument: now"),
    "zf::defer::register": (1, "missing arguments"),
    "zf::defer::register a f": (1, "missing arguments"),
    "zf::defer::register a '' postprompt x": (1, "missing arguments"),
    "zf::defer::register a f boot x": (1, "unsupported trigger: boot"),
    "zf::defer::register a f post:prompt x": (1, "unsupported trigger"),
    "zf::defer::register A f postprompt x": (1, "bad id: A"),
    f"zf::defer::register {'x' * 65} f postprompt x": (1, "bad id"),
    "zf::idle::register": (1, "missing arguments"),
    "zf::idle::register a": (1, "missing arguments"),
    "zf::idle::register a no-such x": (1, "no such function: no-such"),
    "zf::idle::register a_b f x": (1, "bad id: a_b"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_refuses(call: str, home: Path) -> None:
    expected, says = REFUSED[call]
    status, printed, errors = zsh(call, home)
    assert status == expected
    assert printed == ""
    assert errors.count("\n") == 1
    assert re.match(r"(zdefer|zf::\w+::\w+): [^:]+: ", errors)
    assert says in errors


def test_a_duplicate_of_an_idle_job_is_told_silently(home: Path) -> None:
    status, _, errors = zsh("zf::idle::register a f x; zf::idle::register a f x", home)
    assert (status, errors) == (2, "")


def test_a_duplicate_of_a_deferred_job_is_no_error(home: Path) -> None:
    call = "zf::defer::register a f postprompt x"
    assert zsh(f"{call}; {call}", home) == (0, "", "")


@pytest.mark.parametrize("call", ["zf::idle::register A no x", "zf::idle::run_if_ready"])
def test_switched_off_idle_does_nothing(call: str, home: Path) -> None:
    assert zsh(call + QUEUE, home, ZSH_IDLE_ENABLE="0") == (0, "\n", "")


def test_run_if_ready_is_silent_anywhere(home: Path) -> None:
    assert zsh("zf::idle::run_if_ready; zdefer idle", home) == (0, "", "")


def test_other_verbs_are_zdeferctls(home: Path) -> None:
    program = home / "bin/zdeferctl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"; exit 3\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    assert zsh("zdefer why 'a b' -x", home, PATH=path) == (3, "<why><a b><-x>", "")


def test_other_verbs_without_zdeferctl(home: Path) -> None:
    status, _, errors = zsh("path=(/nowhere); zdefer status", home)
    assert status == 127
    assert errors.startswith("zdefer: command not found: zdeferctl; ")


def test_help_names_every_verb_and_option(home: Path) -> None:
    status, printed, _ = zsh("zdefer help", home)
    assert status == 0
    for word in (
        *(
            "add",
            "compinit",
            "idle",
            "help",
            "--on",
            "--once-per",
            "--watch",
            "--after",
            "--timeout",
        ),
        *(
            "--description TEXT",
            "--idempotent",
            "--background",
            "--output",
            "--empty",
            "--check",
            "--compile",
            "--apply",
        ),
    ):
        assert word in printed
    assert "--env" in printed
    assert "-f FUNCTION" in printed
    assert max(map(len, printed.splitlines())) < 80
    for same in ("zdefer", "zdefer --help", "zdefer -h", "zdefer add -h", "zdefer add x --help"):
        assert zsh(same, home) == (0, printed, "")


DOUBTS = {
    "zdefer add a -- nosuch": ["no such function or program: nosuch"],
    "zdefer add a -- nosuch x": ["no such function or program: nosuch"],
    "zdefer add a -- print x": [],
    "zdefer add a -- if x": ["no such function or program: if"],
    "zdefer add a -f nosuch --env NOSUCH -- f": [
        "no such function: nosuch",
        "no such variable: NOSUCH",
    ],
    "zdefer add a -f f --env HOME -- f": [],
    "zdefer add a -- 'nosuch; x'": [],
    "zdefer add a -- ls /": [],
    "repos=(x y); typeset -x out=1; g() { print $repos $out $nosuch }; zdefer add a -- g": [
        "$repos is not exported: --env repos takes it along",
    ],
    "repos=(x y); g() { print ${repos[1]} }; zdefer add a --env repos -- g": [],
    "repos=(x y); g() { local repos=1; print $repos }; zdefer add a -- g": [],
    "word=x; one=y; zdefer add a -- 'print $one $HOME $1'": [
        "$one is not exported: --env one takes it along",
    ],
    "g() { zstyle -s x y z }; zdefer add a -- g": ["zstyle finds no style of this shell in a job"],
    "eval 'zdefer add a -- nosuch'": ["no such function or program: nosuch"],
    "source =(print zdefer add a -- nosuch)": [],
    "(zdefer add a -- nosuch)": [],
}


@pytest.mark.parametrize("call", DOUBTS)
def test_what_is_typed_may_be_doubted(call: str, peer: Peer, start: Start) -> None:
    shell = start("f() { : }; zdefer add early -f nosuch --env NOSUCH -- nosuch x")
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    printed = shell.run(f"{call}; print $?").splitlines()
    says = [f"zdefer: add: a: {doubt}; the job is queued all the same" for doubt in DOUBTS[call]]
    assert printed == [*says, "0"]
    assert "zdefer:" not in shell.screen.partition("ready>")[0]


@pytest.mark.parametrize("marker", ["", "/nowhere/zdeferd\n"])
@pytest.mark.parametrize(("call", "what"), [("add a -- true", "add: a"), ("idle", "idle")])
def test_without_a_daemon_one_line_says_so(
    call: str, what: str, marker: str, home: Path, socket: Path, start: Start
) -> None:
    state = home / ".local/state/zdeferd"
    state.mkdir(parents=True, mode=0o700)
    if marker:
        (state / "autostart").write_text(marker)
    shell = start()
    shell.prompt()
    said = f"zdefer: {what}: no daemon listens: {socket}; zdeferctl start starts one, "
    said += "zdeferctl doctor says more"
    typed = (shell.run(f"zdefer {call}; print $?").splitlines() for _ in range(50))
    assert any(printed[:1] == [said] and printed[-1] == "0" for printed in typed)
    assert "zdefer:" not in shell.screen.partition("ready>")[0]


def test_a_daemon_that_the_next_visit_starts_is_not_missed(home: Path, start: Start) -> None:
    state = home / ".local/state/zdeferd"
    state.mkdir(parents=True, mode=0o700)
    (state / "autostart").write_text("/bin/true\n")
    shell = start()
    shell.prompt()
    assert shell.run("zdefer add a -- true; zdefer idle; print $?").splitlines() == ["0"]


INSIDE = ["source ~/x", ". x", "eval 'a; b'", "cd /", "export A=1", "alias a=b", "compdef _a a"]
INSIDE += [
    "bindkey x y",
    "setopt x",
    "autoload x",
    "'hash -d x=/'",
    "'eval \"$(a | b)\"'",
    "unset x",
]


@pytest.mark.parametrize("options", ["--", "--once-per day --", "--on idle --"])
@pytest.mark.parametrize("call", INSIDE)
def test_a_job_that_changes_its_own_shell_only_is_told_so(
    call: str, options: str, home: Path
) -> None:
    status, printed, errors = zsh(f"zdefer add a {options} {call}{QUEUE}", home)
    assert status == 0
    assert printed.startswith(("add\nid=a\n", "words\nadd\na\n"))
    name = call.strip("'").split()[0]
    said = f"zdefer: add: a: {name} runs in a zsh of its own, and does not change this shell; "
    assert errors.startswith(said + "keep it in .zshrc")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "call", ["'cd /x && make'", "'export A=1; make'", "print source", "sources x", "'cat x | hash'"]
)
def test_a_job_that_does_more_is_not(call: str, home: Path) -> None:
    assert zsh(f"zdefer add a -- {call}", home) == (0, "", "")


def test_a_job_that_was_due_in_this_shell_is_told(peer: Peer, start: Start) -> None:
    shell = start("zdefer add a -- true; zdefer add b --once-per day -- true")
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    again = "zdefer: add: a: not the first of this shell: it runs once a shell; "
    assert shell.run("zdefer add a -- true") == again + "zdeferctl run a runs it again"
    assert peer.take().jobs
    wait_for_visit(peer.path, shell)
    assert shell.run("zdefer add a --once-per day -- true; zdefer add b -- true") == ""


@pytest.mark.parametrize(
    "caller",
    [
        "zle -N away; bindkey '^O' away",
        # By itself ^O accepts the line: what is typed before the new prompt would be there twice.
        "precmd() { (( ! wanted )) || away }; integer wanted; bindkey -r '^O'",
    ],
)
def test_a_call_that_nobody_typed_says_nothing(caller: str, peer: Peer, start: Start) -> None:
    shell = start("away() { wanted=0; zdefer add a -- nosuch }; " + caller)
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    shell.type("\x0f")
    assert shell.run("wanted=1") == ""
    assert [job.id for job in peer.take().jobs] == ["a"]
    assert "nosuch" not in shell.screen


def test_the_simplest_calls_are_those_that_were_looked_at(peer: Peer, start: Start) -> None:
    start(
        "f() { : }\n"
        "zdefer add a -- f 'x y' ''; zdefer add b --once-per=shell -- f 'x y' ''\n"
        "zdefer add a --once-per day -- 'f; f'\n"
        "zdefer add b --once-per day --on postprompt -- 'f; f'"
    )
    short, long, coded, code = (msgspec.structs.asdict(job) for job in peer.take().jobs)
    assert short == long | {"id": "a"}
    assert coded == code | {"id": "a"}
    assert short["functions"] == coded["functions"] == ("f",)


def test_a_variable_may_have_any_name(peer: Peer, start: Start) -> None:
    """Packing has locals of its own; they hide nobody's."""
    text = "".join(path.read_text() for path in PLUGIN.parent.rglob("*.zsh"))
    names = {"job", "any", "body", "called", "words", "folders", "n", "name", "fd", "ready"}
    assert all(re.search(rf"^ *local .*\b{name}\b", text, re.M) for name in names), "ours"
    options = " ".join(f"--env {name}" for name in sorted(names))
    values = "; ".join(f"{name}=my-{name}" for name in names)
    start(f"{values}\nzdefer add j {options} -- true").prompt()
    (job,) = peer.take().jobs
    sent = dict(word.split("=", 1) for word in job.env)
    assert sent == {name: f"my-{name}" for name in names}


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("zdefer id", "zdefer idle "),
        ("zdeferctl rel", "zdeferctl reload "),
        ("zdefer add x --once-per=bo", "zdefer add x --once-per=boot "),
        ("zdefer add x -f special-fu", "zdefer add x -f special-function "),
    ],
)
@pytest.mark.parametrize("order", ["after the plugin", "before the plugin"])
def test_completion(typed: str, completed: str, order: str, peer: Peer, start: Start) -> None:
    compinit = "special-function() { : }; autoload -Uz compinit; compinit -u -D"
    shell = start(**{"before" if order == "before the plugin" else "after": compinit})
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    shell.type(f"{typed}\t")
    shell.expect(re.escape(completed))
