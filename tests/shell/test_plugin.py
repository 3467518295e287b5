"""The plugin as it is loaded, laid out, measured and taken out again."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer, asleep, connections, wait_for_visit, wait_until
from support.terminal import Terminal
from support.zsh import FEATURES

import zdeferd
from zdeferd.jobs.environment import ALLOWED_ENV, ALLOWED_PREFIXES

SHELL = PLUGIN.parent
ROOT = SHELL.parent
SOURCES = sorted(
    path
    for path in [*SHELL.rglob("*"), ROOT / "zdeferd.plugin.zsh"]
    if path.is_file() and path.suffix != ".zwc"
)
PROLOGUE = re.compile(
    r"builtin emulate -L zsh -o warn_create_global( -o \w+)*( && builtin trap - DEBUG ZERR)?"
)
HOT = {"zdeferd-register", "zf::idle::register", "zdeferd-verb", "zdeferd-eval"}
"""Functions that live by the plugin's sticky options alone: `emulate` costs 4 µs."""
INNER = {
    f".zdeferd-{name}"
    for name in (
        *("compose", "gather", "encode", "surroundings", "equipment"),
        *("commands", "mention", "oversize", "math", "context", "mask", "tell", "awake"),
        "soon",
    )
}
"""The same for what .zdeferd-pack and others of ours call, under the options of the caller."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_parses(path: Path) -> None:
    done = subprocess.run(["zsh", "-f", "-n", path], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_read_after_the_prompt_runs_no_command() -> None:
    code = f"""source {PLUGIN}; source {SHELL}/defer/visit.zsh; path=()
    command_not_found_handler() {{ print -r -- "$1" }}
    for file in {SHELL}/live/{{here,turn,guard,eval,apply,zsh-defer}}.zsh; do source $file; done"""
    done = subprocess.run(["zsh", "-fc", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")


def bodies() -> dict[str, list[str]]:
    """Every function of the shim: name -> the lines of its body."""
    found = {}
    for path in SOURCES:
        parts = path.relative_to(ROOT).parts
        if "features" in parts or path.name in (PLUGIN.name, FEATURES.name):
            continue  # tests/features has the rules of what is for the user's own commands
        if path.suffix == "" and not path.name.startswith("_"):
            lines = path.read_text().splitlines()
            found[path.name] = [line for line in lines if not line.startswith("#")]
        elif path.suffix == ".zsh":
            for name, body in re.findall(r"^(\S+)\(\) \{\n(.*?)^\}", path.read_text(), re.M | re.S):
                found[name] = [line.strip() for line in body.splitlines()]
    return found


def test_every_function_begins_with_the_prologue() -> None:
    functions = bodies()
    assert len(functions) > 30
    for name, lines in functions.items():
        if name == "zdefer":
            first = 'if [[ "${1-}" != eval && "${1-}" != compinit ||'
            assert lines[0] == first  # the options are the shell's
        elif name == "zdeferd-with-dump":  # as with those of zdefer
            assert lines[0].startswith("'builtin' 'local' ")
        elif name == "zdeferd-here-kick":
            assert lines[0] == "_zdeferd_under=$_"
            assert PROLOGUE.fullmatch(lines[1]), name
        elif name == "zf::defer::register":  # one list, and what it ends with is as good
            assert "&& builtin setopt debug_before_cmd ||" in lines[1]
        elif name in HOT:
            assert lines[0].startswith("builtin trap - DEBUG ZERR")
        elif name not in INNER:
            assert PROLOGUE.fullmatch(lines[0]), name


def test_what_zsh_calls_by_itself_puts_the_traps_away() -> None:
    entries = [".zdeferd-precmd", "zdeferd-kick", ".zdeferd-open", ".zdeferd-turn", ".zdeferd-say"]
    entries += [".zdeferd-kick", ".zdeferd-prepare", ".zdeferd-settle"]
    for name in [*entries, ".zdeferd-preexec", "zdeferd_plugin_unload"]:
        assert bodies()[name][0].endswith("&& builtin trap - DEBUG ZERR"), name


def test_functions_are_short_and_named_by_the_rules() -> None:
    functions = bodies()
    assert {"zdefer", "zdeferd-kick", "zdeferd-compinit", ".zdeferd-open"} <= functions.keys()
    for name, lines in functions.items():
        assert re.match(r"\.?zdeferd[-_]|zdefer$|zf::|zsh-defer$", name)
        assert len(lines) <= 50, name


def test_every_function_is_in_the_table() -> None:
    page = (ROOT / "docs/shim.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \|[^|]*\|[^|]+\|$", page, re.MULTILINE)
    assert sorted(rows) == sorted(bodies())


def test_versions_agree() -> None:
    assert f"_zdeferd_version={zdeferd.__version__}\n" in (SHELL / "defer/register.zsh").read_text()


def test_the_shim_cuts_the_environment_by_the_list() -> None:
    text = (SHELL / "defer/message.zsh").read_text() + (SHELL / "defer/visit.zsh").read_text()
    names = re.search(r"names=\(\n(.*?)\$\{\(k\)parameters\[\(I\)\((.*?)\)\]\}", text, re.S)
    contract = re.search(r"for name in (PERF_.*?)\n  do\n", text, re.S)
    assert names
    assert contract
    words = contract[1].replace("\\\n", " ")
    spelled = subprocess.run(
        ["zsh", "-fc", f"print -- {words}"], capture_output=True, text=True, check=True
    )
    assert set(names[1].split()) | set(spelled.stdout.split()) == ALLOWED_ENV
    assert set(names[2].split("|")) == {f"{prefix}*" for prefix in ALLOWED_PREFIXES}


LAYOUTS = ["direct", "twice", "relative", "root", "oh-my-zsh", "zinit", "antidote", "compiled"]


def copy(to: Path) -> Path:
    """The part of the repository that the shim is, as a plugin manager clones it."""
    shutil.copytree(SHELL, to / "shell", ignore=shutil.ignore_patterns("*.zwc"))
    shutil.copy(ROOT / "zdeferd.plugin.zsh", to)
    return to


def loading(layout: str, home: Path) -> str:
    """The lines of .zshrc by which a layout loads the plugin."""
    clone = copy(home / "plugins/zdeferd")
    match layout:
        case "twice":
            return f"source {clone}/shell/zdeferd.plugin.zsh\n" * 2
        case "relative":
            return "cd plugins; source ./zdeferd/shell/zdeferd.plugin.zsh; cd .."
        case "root":
            return f"source {clone}/zdeferd.plugin.zsh"
        case "oh-my-zsh":  # oh-my-zsh.sh adds the folder to fpath and sources from a function
            return (
                f"ZSH_CUSTOM={home}; fpath=($ZSH_CUSTOM/plugins/zdeferd $fpath)\n"
                "_omz_source() { source $1 }\n"
                "_omz_source $ZSH_CUSTOM/plugins/zdeferd/zdeferd.plugin.zsh"
            )
        case "zinit":  # sets ZERO, sources from a function with its options
            return (
                "load() { setopt local_options warn_create_global; local ZERO=$1; "
                'builtin source "$1" }\n'
                f"load {clone}/zdeferd.plugin.zsh"
            )
        case "antidote":
            return f"fpath+=( {clone} )\nsource {clone}/zdeferd.plugin.zsh"
        case "compiled":
            for path in clone.rglob("*.zsh"):
                subprocess.run(["zsh", "-fc", f"zcompile {path}"], check=True)
            return f"source {clone}/zdeferd.plugin.zsh"
    return f"source {clone}/shell/zdeferd.plugin.zsh"


def linked(what: str, home: Path) -> str:
    """The line of .zshrc that loads the plugin through a symbolic link."""
    clone = copy(home / "plugins/zdeferd")
    match what:
        case "file":
            (home / "plugin.zsh").symlink_to(clone / "shell/zdeferd.plugin.zsh")
            return "source ./plugin.zsh"
        case "file of the root":
            (home / "plugin.zsh").symlink_to(clone / "zdeferd.plugin.zsh")
            return f"source {home}/plugin.zsh"
    (home / "shell").symlink_to(clone / "shell")
    return f"source {home}/shell/zdeferd.plugin.zsh"


@pytest.mark.parametrize("what", ["file", "file of the root", "folder"])
def test_loads_through_a_link_to_its(what: str, home: Path, peer: Peer, start: Start) -> None:
    start(f"{linked(what, home)}\nzdefer add a -- true", plugin=False).prompt()
    assert [job.id for job in peer.take().jobs] == ["a"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_loads_in(layout: str, home: Path, peer: Peer, start: Start) -> None:
    job = "f() { : }; zf::defer::register a f postprompt A; zdefer add b -- f\n"
    shell = start(f"{loading(layout, home)}\n{job}", plugin=False)
    shell.prompt()
    assert [record.id for record in peer.take().jobs] == ["a", "b"]
    wait_for_visit(peer.path, shell)
    assert peer.silent(0.05)
    assert shell.ask("$precmd_functions ${(M)#fpath:#*/shell/functions}") == "1"
    assert re.sub("[#%]", " ", shell.screen).split()[0] == "ready>"


STATE = """\
typeset + | grep -v '^[^ ]* *[0-9_?!#*@-]$' | sort; functions | grep -c .; print -rl $fpath; setopt
print -rl -- "${precmd_functions-none}" "${preexec_functions-none}"; trap; jobs; alias; zle -FL"""


@pytest.mark.parametrize("moment", ["before the prompt", "in a visit", "after", "armed"])
def test_unload_restores_the_shell(moment: str, peer: Peer, start: Start) -> None:
    plain = start("f() { : }; zmodload zsh/parameter", plugin=False)
    plain.prompt()
    expected = state(plain)
    job = (
        "f() { : }; zf::defer::register a f postprompt A; zdefer add b -- f; zdefer help >/dev/null"
    )
    early = moment == "before the prompt"
    shell = start(f"zmodload zsh/parameter\n{job}\n" + ("zdeferd_plugin_unload" if early else ""))
    shell.prompt()
    if not early:
        identity, _ = peer.receive()
        if moment != "in a visit":
            peer.answer(identity, [b"ok", b"seq=1"])
            wait_for_visit(peer.path, shell)
        if moment == "armed":
            shell.run("zdefer add c -- f; zdeferd_plugin_unload")
        else:
            shell.run("zdeferd_plugin_unload")
    assert state(shell) == expected
    assert peer.silent(0.05)
    wait_until(lambda: connections(peer.path) == 0, "its connection is closed")


@pytest.mark.parametrize("file", ["visit.zsh", "exchange.zsh", "message.zsh"])
def test_files_that_go_before_they_are_read(
    file: str, home: Path, peer: Peer, start: Start
) -> None:
    """An upgrade under a starting shell: nothing is printed, nothing stays behind."""
    clone = copy(home / "plugins/zdeferd")
    shell = start(f"source {clone}/zdeferd.plugin.zsh; rm {clone}/shell/defer/{file}", plugin=False)
    shell.prompt()
    for _ in range(5):
        wait_until(lambda: asleep(shell.pid), "the turns are over")
        shell.run(":")
    wait_for_visit(peer.path, shell)
    assert shell.run("zle -FL; print $#preexec_functions") == "0"
    assert "no such file" not in shell.screen
    assert "not found" not in shell.screen


def test_a_live_shell_outlives_the_files(home: Path, peer: Peer, start: Start) -> None:
    clone = copy(home / "plugins/zdeferd")
    plain = start("f() { : }; zmodload zsh/parameter", plugin=False)
    plain.prompt()
    expected = state(plain)
    shell = start(
        f"zmodload zsh/parameter; source {clone}/zdeferd.plugin.zsh; f() {{ : }}", plugin=False
    )
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    shutil.rmtree(clone)
    for call in ("help", "status", "idle", "add a -- f", "eval print X=1", "compinit", ""):
        assert shell.run(f"zdefer {call}; print $?").splitlines() == [
            f"zdefer: zdeferd has been removed: {clone}/shell; "
            "zdeferd_plugin_unload takes the rest out of this shell",
            "1",
        ]
    for call in ("zf::defer::register a f postprompt A", "zf::idle::register b f B"):
        assert shell.run(f"{call}; print $?") == "0"
        assert len(peer.take().jobs) == 1
        wait_for_visit(peer.path, shell)
    assert shell.run("zf::idle::run_if_ready; zdeferd_plugin_unload; print $?") == "0"
    assert state(shell) == expected


def assert_left_alone(shell: Terminal, peer: Peer, error: str) -> None:
    """No visit is made, ZLE watches nothing, and the error is not printed, whatever is typed."""
    shell.prompt()
    for _ in range(3):
        wait_until(lambda: asleep(shell.pid), "the turns are over")
        shell.run(":")
    assert shell.run("zle -FL; print .") == "."
    assert error not in shell.screen
    assert peer.silent(0.01)


@pytest.mark.parametrize("text", ["", "if {("])
def test_what_cannot_be_loaded_is_not_called_for_ever(
    text: str, home: Path, peer: Peer, start: Start
) -> None:
    """The files go between the plugin and the first prompt, or the kick's is damaged."""
    clone = copy(home / "plugins/zdeferd")
    kick = clone / "shell/functions/zdeferd-kick"
    then = f"print -r {shlex.quote(text)} >{kick}" if text else f"command rm -rf {clone}/shell"
    shell = start(f"source {clone}/zdeferd.plugin.zsh\n{then}", plugin=False)
    assert_left_alone(shell, peer, "zdeferd-kick")


@pytest.mark.parametrize("here", ["", "zdefer here true"])
def test_a_restricted_shell_is_left_alone(here: str, peer: Peer, start: Start) -> None:
    """Each redirection to a file is refused there, with an error."""
    shell = start(f"f() {{ : }}; zf::defer::register a f postprompt A; {here}; setopt restricted")
    assert_left_alone(shell, peer, "restricted mode")


@pytest.mark.parametrize("order", ["compinit first", "plugin first"])
def test_unload_forgets_the_completions(order: str, peer: Peer, start: Start) -> None:
    compinit = "autoload -Uz compinit; compinit -u -D"
    shell = start(**{"before" if order == "compinit first" else "after": compinit})
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    names = "${(k)_comps[(I)zdefer*]} ${(k)functions[(I)_zdefer*]}"
    assert set(shell.ask(names).split()) >= {"zdefer", "zdeferctl"}
    shell.type("zdefer status \t\x15")  # loads them
    shell.run("zdeferd_plugin_unload")
    assert shell.ask(names) == ""
    theirs = "_comps[zdeferctl]=_theirs; _theirs() { : }; _zdefer() { : }"
    shell.run(f"{theirs}; source {PLUGIN}")
    peer.take()
    shell.run("zdeferd_plugin_unload")
    assert shell.ask("$_comps[zdeferctl]") == "_theirs"


def state(shell: Terminal) -> str:
    """What a user could notice of a shell's state."""
    return "\n".join(shell.run(line) for line in STATE.splitlines())


def test_loads_again_after_unload(peer: Peer, start: Start) -> None:
    shell = start()
    shell.prompt()
    peer.take()
    wait_for_visit(peer.path, shell)
    shell.run(f"zdeferd_plugin_unload; source {PLUGIN}; zdefer add a -- true")
    assert [job.id for job in peer.take().jobs] == ["a"]


def test_nothing_forks(home: Path, peer: Peer, start: Start) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = home / "trace"
    shell = start(
        "f() { print $(g) }; g() { : }; zf::defer::register a f postprompt A; zdefer add b -- f x",
        argv=[
            "strace",
            "-f",
            "-e",
            "trace=clone,clone3,fork,vfork",
            "-o",
            trace,
            "zsh",
            "-d",
            "-i",
        ],
    )
    shell.prompt()
    assert len(peer.take().jobs) == 2
    wait_for_visit(peer.path, shell)
    shell.run("zf::idle::run_if_ready")
    assert peer.take().idle
    assert "clone" not in trace.read_text()
    assert "fork" not in trace.read_text()
