"""`zdefer eval` in the shell: what runs, in whose scope, with which status, and what is queued."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from shell.conftest import PLUGIN, Start
from shell.peer import Peer

from zdeferd.attempts import checks
from zdeferd.machine.paths import cache_dir

LIVE = PLUGIN.parent / "live/eval.zsh"


def zsh(home: Path, code: str, **env: str) -> tuple[str, str]:
    """What a zsh with the plugin prints, on stdout and on stderr."""
    done = subprocess.run(
        ["zsh", "-f", "-c", f"source {PLUGIN}\n{code}"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return done.stdout, done.stderr


def tool(home: Path, code: str, name: str = "tool") -> str:
    """A program that prints `code`, and leaves a mark that it ran."""
    (home / "code").write_text(code)
    path = home / name
    path.write_text(f'#!/bin/sh\necho ran >>{home}/ran\ncat "{home}/code"\n')
    path.chmod(0o755)
    return str(path)


def cached(home: Path, code: str, name: str = "x", mode: int = 0o600) -> Path:
    """A cache of the name `name` with that code, as the runner publishes it."""
    folder = home / ".cache/zdeferd/init"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.zsh"
    path.write_text(code)
    path.chmod(mode | checks.mode("init", "/bin/zsh", str(path), 0))
    return path


CODE = {
    "plain": "f() { local x=1; print f }; alias a=b; setopt rc_quotes; return 3",
    "status": "f() { : }; false",
    "array": "typeset -A table=(a b); f() { : }",
    "unique": "typeset -U path; f() { : }",
    "words": "f() { print $# }; f $argv",
    "readonly": "readonly fixed=1; integer number=07; local word=w; f() { : }",
    "nested": "eval 'typeset inner=1'; f() { : }",
    "export": "export EXPORTED=1; FLAG=2; f() { : }",
}
STATE = """
print -r -- status $? ${options[rcquotes]} ${aliases[a]-} $functions[f]
typeset -p table fixed number word inner EXPORTED FLAG 2>&1; typeset +p path"""


def state_after(home: Path, line: str) -> str:
    """The shell's state after a line, at its top level and in a function."""
    show = f"{line}\n{STATE}"
    inside = f"caller() {{\n{line}\ntypeset -p table word inner 2>&1\n}}; caller\nprint ${{+table}}"
    return "\n".join([*zsh(home, show), *zsh(home, inside)])


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("way", ["first", "cached"])
def test_the_shell_is_as_after_eval(name: str, way: str, home: Path) -> None:
    code = CODE[name]
    (home / "code").write_text(code)
    if way == "cached":
        cached(home, code)
    expected = state_after(home, f"cat() {{ <{home}/code }}; source {home}/code")
    assert state_after(home, f"zdefer eval -n x cat {home}/code") == expected


OPTIONS = [
    *("nounset", "warn_create_global", "ksh_arrays", "sh_word_split", "local_options"),
    *("no_global_export", "csh_junkie_quotes rc_quotes", "ignore_braces sh_glob", "posix_traps"),
]


@pytest.mark.parametrize("option", OPTIONS)
def test_the_options_of_the_shell_are_in_force(option: str, home: Path) -> None:
    cached(home, "setopt auto_cd; got=$(setopt); f() :\nalias a=b")
    show = "print -r -- ${options[autocd]} $got; alias a; functions f"
    before = f"setopt {option}"
    out, err = zsh(home, f"{before}\nzdefer eval -n x none\n{show}")
    assert (out, err) == zsh(home, f"{before}\nsource {home}/.cache/zdeferd/init/x.zsh\n{show}")
    assert "on" in out


def test_a_cache_that_cannot_be_read_is_none(home: Path) -> None:
    cached(home, "print cached").chmod(0)
    assert zsh(home, "zdefer eval -n x print -r 'print asked'") == ("asked\n", "")


def test_traps_and_aliases_of_the_user_stay(home: Path) -> None:
    cached(home, "f() { : }", mode=0o600)
    line = "trap 'print bye' EXIT; alias -g source=no eval=no; zdefer eval -n x none; f; print $?"
    assert zsh(home, line) == ("0\nbye\n", "")
    cached(home, "typeset -A t=(a b)")
    assert zsh(home, f"{line}; print $t") == ("127\nb\nbye\n", "zsh:2: command not found: f\n")


def test_what_declares_is_found_by_both(home: Path) -> None:
    texts = {
        "f() { local x; typeset y }\ng() {\n  declare z\n}\nh": False,
        "if true; then\n f() { local x }\nfi": False,
        "# local\nf": False,
        "print locals; x-local y": False,
        "if true; then\n typeset x\nfi": True,
        "f() { : }; 'builtin' 'local' x": True,
        ". file": True,
        "x; . file": True,
        "emulate -L zsh": True,
        "TRAPEXIT() { : }": True,
        "setopt LOCAL_OPTIONS": True,
        "() { local x }": False,
        "f() { cat <<E\n}\nE\n}\nlocal y": True,
    }
    for text, declares in texts.items():
        (home / "text").write_text(text)
        found = checks.mode("init", "/bin/zsh", str(home / "text"), 0)
        assert found == (0o700 if declares else 0o600), text
    assert checks.DECLARES.strip() in LIVE.read_text()


@pytest.mark.parametrize("named", ["", "caches", "HOME/elsewhere"])
def test_the_shim_finds_the_caches_that_python_finds(home: Path, named: str) -> None:
    env = {"HOME": str(home), "XDG_CACHE_HOME": named.replace("HOME", str(home))}
    folder = Path(cache_dir(env)) / "init"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "x.zsh").write_text("print cached")
    assert zsh(home, "zdefer eval -n x none", **env) == ("cached\n", "")


def test_with_a_cache_nothing_is_run(home: Path) -> None:
    program = tool(home, "print from the program")
    cached(home, "print from the cache")
    assert zsh(home, f"zdefer eval -n x {program}") == ("from the cache\n", "")
    assert not (home / "ran").exists()


def test_a_cache_of_somebody_else_is_not_read(home: Path) -> None:
    program = tool(home, "print from the program")
    path = cached(home, "print from the cache")
    folder = path.parent

    def read() -> str:
        return zsh(home, f"zdefer eval -n x {program}")[0]

    assert read() == "from the cache\n"
    for changed, mode, usual in [
        (folder, 0o777, 0o700),
        (folder, 0o770, 0o700),
        (path, 0o666, 0o600),
    ]:
        changed.chmod(mode)
        assert read() == "from the program\n", (changed, oct(mode))
        changed.chmod(usual)
    compiled = path.with_name("x.zsh.zwc")
    compile_to = ["zsh", "-fc", 'zcompile -U -R "$1"', "zsh", str(path)]
    subprocess.run(compile_to, check=True, timeout=200)
    assert read() == "from the cache\n"
    folder.chmod(0o755)
    assert read() == "from the cache\n"
    for mode in (0o464, 0o446):
        compiled.chmod(mode)
        assert read() == "from the program\n", oct(mode)
    compiled.unlink()
    compiled.symlink_to(home / "away.zwc")
    (home / "away.zwc").touch()
    assert read() == "from the program\n"
    compiled.unlink()
    folder.chmod(0o700)
    folder.rename(home / "folder")
    folder.symlink_to(home / "folder")
    assert read() == "from the program\n"
    folder.unlink()
    (home / "folder").rename(folder)
    assert read() == "from the cache\n"
    path.rename(home / "away")
    path.symlink_to(home / "away")
    assert read() == "from the program\n"
    path.unlink()
    path.mkdir()
    assert read() == "from the program\n"
    if os.getuid() == 0:
        path.rmdir()
        cached(home, "print from the cache")
        os.chown(folder, 12345, -1)
        assert read() == "from the program\n"
        os.chown(folder, 0, -1)
        os.chown(path, 12345, -1)
        assert read() == "from the program\n"


def test_code_that_fails_and_commands_that_do(home: Path) -> None:
    cached(home, "print one; nonsense; print two")
    out, err = zsh(home, "zdefer eval -n x none; print $?")
    assert (out, "command not found: nonsense" in err) == ("one\ntwo\n0\n", True)
    cached(home, "print ${x:?unset}; print two")
    assert zsh(home, "zdefer eval -n x none; print three")[0] == ""
    assert zsh(home, "zdefer eval false; print $?") == ("0\n", "")
    assert zsh(home, "set -e; zdefer eval false; print $?") == ("0\n", "")
    cached(home, "exit 4; print no", name="e")
    assert zsh(home, "zdefer eval -n e none; print no") == ("", "")


def test_words_that_cannot_be_right(home: Path) -> None:
    refused = {
        "": (2, "no command"),
        "-n": (2, "no value for: -n"),
        "-n x": (2, "no command"),
        "-n X y": (1, "bad value for -n: X"),
        "--nonsense y": (2, "unknown option: --nonsense"),
        "--watch env:1 y": (1, "bad value for --watch: env:1"),
        "--watch -- y": (2, "no value for: --watch"),
    }
    for words, (status, message) in refused.items():
        out, err = zsh(home, f"zdefer eval {words}; print $?; print $#_zdeferd_queue")
        assert out == f"{status}\n0\n", words
        assert message in err
        assert err.count("\n") == 1


def test_two_commands_of_one_name(home: Path) -> None:
    program = tool(home, "print $0 ran")
    out, err = zsh(home, f"zdefer eval -n x {program} a; zdefer eval -n x {program} b; print $?")
    assert (
        err
        == "zdefer: eval: a second command of this name: x; give each a name of its own with -n\n"
    )
    assert out.count("ran") == 2
    out, err = zsh(home, f"repeat 2 zdefer eval -n x {program} a; print $#_zdeferd_queue")
    assert (out.split()[-1], err) == ("1", "")


def test_one_command_again_with_other_inputs(home: Path) -> None:
    """As where .zshrc is sourced again after `pyenv shell`; the last one counts."""
    program = tool(home, "print $0 ran")
    again = f"zdefer eval -n x {program} a; PYENV_VERSION=3.12\nzdefer eval -n y true\n"
    again += f"zdefer eval -n x --watch /a {program} a\nprint -r -- $#_zdeferd_queue"
    out, err = zsh(home, f'{again} "${{(@qqqq)_zdeferd_queue}}"')
    assert err == ""
    queue = out.splitlines()[-1]
    assert queue.startswith("2 ")
    assert (queue.count("id=eval-x"), queue.count("watch=/a")) == (1, 1)
    assert queue.count("env=PYENV_VERSION") == 2


def test_what_the_visit_says(home: Path, peer: Peer, start: Start) -> None:
    program = tool(home, "f() { : }", name="My.Tool")
    shell = start(
        f"zdefer eval {program} init --x\nzdefer eval -n one --watch /a --watch env:HOME -- true"
    )
    shell.prompt()
    first, second = peer.take().jobs
    name = re.sub("[^a-z0-9-]", "-", f"{program} init --x".lower())
    assert first.id == f"eval-{name[:59]}"
    assert first.call == (program, "init", "--x")
    assert (first.once_per, first.check, first.compile) == ("change", "init", "true")
    assert first.timeout == "30s"
    assert first.output == f"{home}/.cache/zdeferd/init/{name[:64]}.zsh"
    assert first.watch[0] == program
    assert first.watch[1].startswith("zsh:")
    assert (second.id, second.call) == ("eval-one", ("true",))
    assert second.watch[:1] + second.watch[2:] == ("command:true", "/a", "env:HOME")
    assert f"HOME={home}" in second.env
    assert {word.partition("=")[0] for word in second.env} == {"HOME", "PATH", "TERM"}


def test_the_program_behind_another_and_files_of_the_call_are_inputs(
    home: Path, peer: Peer, start: Start
) -> None:
    for name in ("a.conf", "[b]"):
        (home / name).touch()
    files = f"{home}/a.conf --c={home}/a.conf {home} {home}/none '{home}/[b]' a.conf"
    calls = {
        "env X=1 -u true": {"command:true", "command:env"},
        "env -i 2>&1": {"command:env"},
        "timeout 5 /bin/true": {"/bin/true", "command:timeout"},
        f"true {files}": {"command:true", f"{home}/a.conf"},
    }
    lines = [f"zdefer eval -n n{number} {call}" for number, call in enumerate(calls)]
    shell = start("{\n" + "\n".join(lines) + "\n} &>/dev/null")
    shell.prompt()
    found = [{word for word in job.watch if word[:4] != "zsh:"} for job in peer.take().jobs]
    assert found == list(calls.values())


def test_the_path_is_that_of_the_first_call_where_it_leads_to_the_same(
    home: Path, peer: Peer, start: Start
) -> None:
    for folder in ("one", "two"):
        (home / folder).mkdir()
        tool(home, ":", f"{folder}/mine")
    shell = start(
        "path=(rel ~/one $path)\nzdefer eval mine; path=(~/two $path)\n"
        "zdefer eval ~/one/mine; zdefer eval sh -c true; zdefer eval -n none gone 2>/dev/null"
    )
    shell.prompt()
    paths = [
        [word.split(":") for word in job.env if word.startswith("PATH=")]
        for job in peer.take().jobs
    ]
    [[path]] = paths[1:2]
    assert path[0] == f"PATH={home}/one"
    assert f"{home}/two" not in path
    assert paths[0] == []  # it is ~/two/mine by now
    assert paths[2] == [path]
    assert paths[3] == [path]


def test_variables_of_the_program_reach_its_job(home: Path, peer: Peer, start: Start) -> None:
    before = "export MY_TOOL_ROOT=/r MY_TOOL_X=1 MY_TOOL_API_KEY=s __MY_TOOL_Y=2; MY_TOOL_Z=3"
    shell = start("zdefer eval -n x env A=1 my-tool 2>/dev/null", before=before)
    shell.prompt()
    [job] = peer.take().jobs
    names = {word.partition("=")[0] for word in job.env}
    assert names == {"PATH", "TERM", "MY_TOOL_ROOT", "MY_TOOL_X", "__MY_TOOL_Y"}
    assert [word for word in job.watch if word.startswith("env:")] == ["env:MY_TOOL_ROOT"]


def test_what_a_command_goes_by_is_said_once(home: Path) -> None:
    """Also where packing was interrupted, so that the queue is looked at again."""
    code = "zdefer eval -n x true; source $_zdeferd_root/defer/message.zsh\n"
    code += ".zdeferd-look-up; before=$_zdeferd_queue[1]; .zdeferd-look-up\n"
    code += "[[ $before == *env=TERM=xterm* && $_zdeferd_queue[1] == $before ]] && print same"
    assert zsh(home, code, TERM="xterm") == ("same\n", "")


@pytest.mark.parametrize(
    "name",
    ["TOKEN", "api_key", "CLIENT_SECRET", "PASSWORD", "PASSPHRASE", "PWD", "_AUTH", "AUTH_CONFIG",
     "CREDENTIALS", "COOKIE", "SESSION", "SESSION_my"],
)  # fmt: skip
def test_what_may_be_a_secret_of_the_program_stays_in_the_shell(
    name: str, home: Path, peer: Peer, start: Start
) -> None:
    before = f"export MY_TOOL_{name}=hidden MY_TOOL_X={'x' * 4096} MY_TOOL_Y=seen"
    shell = start("zdefer eval my-tool 2>/dev/null", before=before)
    shell.prompt()
    visit = peer.take()
    [job] = visit.jobs
    assert {word for word in job.env if word.startswith("MY_")} == {"MY_TOOL_Y=seen"}
    assert "hidden" not in visit.context.exported + visit.context.environment


def test_a_compiled_file_of_another_zsh_is_not_used(home: Path) -> None:
    path = cached(home, "print compiled")
    subprocess.run(["zsh", "-fc", 'zcompile -U -R "$1"', "zsh", path], check=True, timeout=200)
    compiled = path.with_name("x.zsh.zwc")
    path.write_text("print text")
    after = path.stat().st_mtime_ns + 5_000_000_000
    os.utime(compiled, ns=(after, after))
    assert zsh(home, "zdefer eval -n x none") == ("compiled\n", "")
    version = zsh(home, "print -rn $ZSH_VERSION")[0].encode()
    data = compiled.read_bytes()
    assert version in data[:64]
    compiled.chmod(0o600)
    compiled.write_bytes(data.replace(version, b"4" + version[1:]))
    os.utime(compiled, ns=(after, after))
    assert zsh(home, "zdefer eval -n x none") == ("text\n", "")


def test_the_version_that_a_shim_goes_by_is_watched(home: Path, peer: Peer, start: Start) -> None:
    shell = start("zdefer eval -n x true", before="PYENV_VERSION=3.11")
    shell.prompt()
    [job] = peer.take().jobs
    assert "env:PYENV_VERSION" in job.watch
    assert "PYENV_VERSION=3.11" in job.env


@pytest.mark.parametrize(
    ("given", "told"),
    [("xterm-kitty", "xterm-kitty"), ("dumb", "xterm-256color"), ("", "xterm-256color")],
)
def test_the_terminal_of_an_editor_makes_no_cache_for_a_dumb_one(
    given: str, told: str, home: Path, peer: Peer, start: Start
) -> None:
    shell = start("zdefer eval -n x true", before=f"TERM={given}")
    shell.prompt()
    [job] = peer.take().jobs
    assert f"TERM={told}" in job.env
