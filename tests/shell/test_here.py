"""`zdefer here`: commands in this shell, once ZLE waits for keys, one at a time, keys first."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from shell.conftest import Start
from shell.peer import Peer, asleep, wait_for_visit, wait_until
from shell.test_zdefer import zsh
from support.daemon import Daemon
from support.drawn import drawn
from support.pty import PROMPT
from support.terminal import Terminal

EXAMPLE = Path(__file__).parents[2] / "examples/zshrc/live-shell.zsh"
WAIT = "zmodload zsh/zselect; while [[ ! -e {go} ]]; do zselect -t 1; done"
LAST = "zdefer here -n last ': >$HOME/last'"
"""The queue's last command, by which a test sees that all have run."""


def settled(shell: Terminal, home: Path, name: str = "last") -> None:
    """Wait until a command has made its file; the prompt is up."""
    wait_until((home / name).exists, f"{name} has run")
    wait_until(lambda: asleep(shell.pid), "its turn is over")
    shell.drain()


def ran(start: Start, home: Path, *commands: str, before: str = "", typed: str = "") -> Terminal:
    """Start a shell with these lines and the last command; -> it, once all have run."""
    shell = start("\n".join([*commands, LAST]), before=before)
    shell.prompt()
    settled(shell, home)
    return shell


def test_code_is_evaluated_at_the_top_level(home: Path, start: Start) -> None:
    shell = ran(
        start,
        home,
        "zdefer here 'typeset X=one; typeset -A Y=(a b); setopt pipe_fail; alias hi=hello'",
        "zdefer here 'Z=\"$X $0 $zsh_eval_context[1]\"'",
        "zdefer here typeset W='a  b'",
    )
    assert shell.ask("$X $Y[a] $options[pipefail] $aliases[hi] ${(t)X}") == "one b on hello scalar"
    assert shell.ask("\"$W\"'|'$Z") == "a  b|one zsh sched"


def test_first_in_first_out_and_a_failure_ends_itself_alone(home: Path, start: Start) -> None:
    shell = ran(
        start,
        home,
        "zdefer here 'X+=a; return 3; X+=no'",
        "zdefer here 'X+=b; exit 4; X+=no'",
        "zdefer here 'X+=c; : $(( 1 / 0 )); X+=no'",
        "zdefer here 'X+=d; : ${unset_name?}; X+=no'",
        "zdefer here 'f() { X+=e; exit; X+=no }; f; X+=no'",
        "zdefer here no-such-command",
        "zdefer here 'X+=f; break; X+=no'",
        "exit() { builtin exit 9 }",
    )
    assert shell.ask("$X") == "abcdef"
    assert "division by zero" in shell.screen
    assert "command not found: no-such-command" in shell.screen
    assert shell.ask("${functions[exit]}").split() == ["builtin", "exit", "9"]


def test_keys_come_before_the_next_command(home: Path, start: Start) -> None:
    code = "key() { keyed=$second; }; zle -N key; bindkey x key\n"
    code += (
        f"zdefer here ': >{home}/first; {WAIT.format(go=home / 'go')}'\nzdefer here 'second=ran'"
    )
    shell = start(f"{code}\n{LAST}")
    wait_until((home / "first").exists, "the first one runs")
    shell.type("x")
    (home / "go").touch()
    settled(shell, home)
    assert shell.ask("'<'$keyed'>'$second") == "<>ran"


def test_what_is_printed_comes_above_the_prompt_and_keeps_the_line(
    home: Path, start: Start
) -> None:
    code = f"zdefer here '{WAIT.format(go=home / 'go')}; print out; print -u2 err; print -n end'"
    shell = start(code)
    shell.prompt()
    shell.type("print -r -- ty")
    (home / "go").touch()
    shell.expect(r"out\nerr\nend\n")
    shell.expect(re.escape(f"{PROMPT}print -r -- ty"))
    shell.type("ped\r")
    shell.expect(r"\ntyped\n")


@pytest.mark.parametrize("above", [[], ["above"]], ids=["a line", "two lines"])
@pytest.mark.parametrize("verb", ["zdefer here", "zsh-defer -12 -c"])
@pytest.mark.parametrize("change", [":", "RPROMPT=right"], ids=["-", "another prompt"])
def test_the_last_line_that_is_printed_is_not_drawn_over(
    change: str, verb: str, above: list[str], home: Path, start: Start
) -> None:
    prompt = "\n".join([*above, PROMPT])
    code = (
        f"PROMPT='{prompt}'; zdefer here --zsh-defer; {verb} 'print first; print -n last; {change}'"
    )
    shell = ran(start, home, code)
    assert shell.ask("done") == "done"  # all that came before has been read
    lines = drawn(shell.raw)
    at = lines.index("first") + 1
    assert lines[at : at + 1 + len(above)] == ["last", *above]
    assert lines[at + 1 + len(above)].startswith(f"{PROMPT}print -r -- done")


def test_nothing_is_drawn_where_nothing_was_printed(home: Path, start: Start) -> None:
    shell = ran(
        start, home, "zdefer here 'X=1'", "zdefer here 'f() { : }; print -n \"\\e]0;t\\a\"'"
    )
    assert shell.screen.count(PROMPT) == 1
    assert b"\x1b]0;t\a" in shell.raw


@pytest.mark.parametrize(
    "change",
    [
        "PROMPT='new> '",
        "RPROMPT=right",
        "cd /",
        "more() { : }; precmd_functions+=(more)",
        "zle-line-init() { : }; zle -N zle-line-init",
    ],
)
def test_a_change_of_the_prompt_draws_it_and_runs_precmd(
    change: str, home: Path, start: Start
) -> None:
    shell = start(f"precmd() {{ (( ++calls )) }}\nzdefer here {change!r}")
    shell.expect(r"> ")
    shell.expect(r"(new|ready)> ")
    shell.line("print -r -- calls:$calls")
    shell.expect("calls:2\n")


def test_a_hook_that_fails_stops_no_other(home: Path, start: Start) -> None:
    shell = ran(
        start,
        home,
        "bad() { (( ++bads )) && return; : ${no?} }; good() { (( ++goods )) }",
        "precmd_functions=(bad good); zdefer here 'PROMPT=\"new> \"'",
    )
    shell.line("print -r -- $bads $goods")
    shell.expect("2 2\n")


def test_a_name_a_time_and_an_order(home: Path, start: Start) -> None:
    shell = ran(
        start,
        home,
        "zdefer here --after late 'X+=c'",
        "zdefer here -t 1 -n late 'X+=b'",
        "zdefer here 'X+=a'",
        "zdefer here --after nobody 'X+=n'",
    )
    wait_until(lambda: shell.ask("$X").endswith("anbc"), "all have run")


def test_a_circle_of_names_runs_all_the_same(home: Path, start: Start) -> None:
    shell = ran(
        start, home, "zdefer here -n a --after b 'X+=a'", "zdefer here -n b --after a 'X+=b'"
    )
    assert shell.ask("$X") == "ab"


def test_ctrl_c_ends_the_command_and_the_queue_goes_on(home: Path, start: Start) -> None:
    code = f"zmodload zsh/zselect; zdefer here -n endless ': >{home}/first; while :; do :; done'"
    shell = start(f"{code}\nzdefer here -n slow ': >{home}/second; zselect -t 6000'\n{LAST}")
    for name in ("first", "second"):
        wait_until((home / name).exists, f"{name} runs")
        shell.type("\x03")
    settled(shell, home)
    shell.expect(r"zdefer: here: endless: interrupted after \d+ ms")
    shell.expect(r"zdefer: here: slow: interrupted after \d+ ms")
    assert shell.ask("fine").endswith("fine")


def test_the_keyboard_stays_with_the_line(home: Path, start: Start) -> None:
    begin = WAIT.format(go=home / "go")
    shell = start(
        f"zdefer here '{begin}; read X; X=r$?'\nzdefer here cat\nzdefer here 'vared X'\n"
        f"zdefer here 'tty=$(tty)'\n{LAST}"
    )
    shell.prompt()
    shell.type("print -r -- $X $tty ")
    (home / "go").touch()
    settled(shell, home)
    shell.type("kept\r")
    shell.expect(r"r1 /dev/\S+ kept\n")
    assert "ZLE cannot be used recursively" in shell.screen


def test_handlers_of_zle_may_change(home: Path, start: Start) -> None:
    code = (
        "zdefer here 'for n in {790..910}; do zle -F $n; done 2>/dev/null; h() { zle -F $1; Y=h }'"
    )
    shell = ran(start, home, code, "zdefer here 'zle -F 850 h'", "zdefer here 'X=2'")
    wait_until(lambda: shell.ask("$X$Y").endswith("2h"), "its own handler is called")


def test_the_plugin_unloaded_by_a_command(home: Path, start: Start) -> None:
    shell = start(
        f"zdefer here 'zdeferd_plugin_unload; print o''k; : >{home}/last'\n{LAST}\n(exit 7)"
    )
    shell.expect("ok\n")
    shell.prompt()
    assert shell.ask("$? ${(k)functions[(I)*zdefer*]} ${(k)parameters[(I)_zdefer*]}") == "7"
    assert shell.ask("$functions[exit]${(F)zsh_scheduled_events}") == ""


def test_what_waits_is_named_where_the_plugin_is_unloaded(start: Start) -> None:
    shell = start(
        "zdefer here -n first 'zdeferd_plugin_unload; print fi''rst'\n"
        "zdefer here -n nvm 'Y=1'\nzdefer here -n 'fast' 'Z=1'"
    )
    shell.expect("first\nzdefer: here: the plugin is unloaded; not run: nvm, fast\n")
    shell.prompt()
    assert shell.ask("+$Y$Z+") == "++"


def test_what_waits_is_named_where_the_user_unloads_the_plugin(start: Start) -> None:
    shell = start("zdefer here -t 3600 -n later 'Y=1'")
    shell.prompt()
    said = "zdefer: here: the plugin is unloaded; not run: later"
    assert shell.run("zdeferd_plugin_unload") == said


HOSTILE = {
    "nounset": "setopt nounset",
    "errexit": "setopt errexit",
    "errreturn": "setopt err_return",
    "warn_create_global": "setopt warn_create_global warn_nested_var",
    "ksh_arrays": "setopt ksh_arrays",
    "sh_word_split": "setopt sh_word_split glob_subst null_glob rc_expand_param",
    "ksh": "emulate ksh",
    "sh": "emulate sh",
    "odd syntax": "setopt ignore_braces csh_junkie_quotes rc_quotes ksh_glob",
    "no_clobber": "setopt no_clobber no_multibyte no_glob",
    "print_exit_value": "setopt print_exit_value all_export typeset_silent",
    "IFS": "IFS=edf:/-",
    "vi mode": "bindkey -v",
    "ZERR trap": "trap 'print -r -- failed' ZERR",
    "ZERR function": "TRAPZERR() { print -r -- failed }",
    "EXIT trap": "trap 'print -r -- bye' EXIT",
    "posix EXIT trap": "setopt posix_traps; trap 'print -r -- bye' EXIT",
    "functions": "zle() { print zle }; source() { print s }; true() { return 1 }",
}
STATE = """\
setopt; print -rl -- "${precmd_functions-none}" ${(kv)options}; trap
(( ! $+functions[TRAPZERR] )) || functions TRAPZERR; alias; jobs; zle -FL
umask; print -r -- "$PWD $OPTIND $IFS"; typeset -p REPLY match MATCH mbegin"""


def told(shell: Terminal, commands: str) -> str:
    """Run commands; the whole screen, without numbers that differ."""
    for command in commands.splitlines():
        shell.line(command)
        shell.prompt()
    return re.sub(r"\b\d{3,}\b", "N", shell.screen)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_command_leaves_nothing_of_ours_under(
    name: str, home: Path, peer: Peer, start: Start
) -> None:
    """The screen of a shell with a silent command is that of one without."""
    rest = f"REPLY=mine; match=(a b); MATCH=c; mbegin=(1)\n{HOSTILE[name]}\n"
    failing = "(exit 3) | builtin true" if name == "errexit" else "(exit 5)"
    ask = 'print -r -- "$? <$_> $REPLY ${match[*]} $-"'
    commands = f"{ask}\n{failing}\n{ask}\n{STATE}"
    without = start(f"zdefer() {{ : }}\nzdefer here one\n{rest}{failing}", plugin=False)
    without.prompt()
    expected = told(without, commands)
    shell = start(f"one() {{ return 3 }}\nzdefer here one\n{rest}{failing}")
    shell.prompt()
    peer.take()
    (done,) = peer.take().done
    assert (done.id, done.rc) == ("one", 3)
    wait_for_visit(peer.path, shell)
    assert told(shell, commands) == expected


def test_aliases_of_the_names_it_uses_are_not_expanded(home: Path, start: Start) -> None:
    aliases = "alias builtin=false local=false; alias -g name=no status=no flags=no fd=no"
    shell = ran(start, home, "zdefer here 'print -r seen'", DEFER + "zsh-defer -c 'X=1'", aliases)
    assert "seen\n" in shell.screen
    assert shell.ask("$X") == "1"


def test_of_what_a_command_prints_1_mib_is_shown(start: Start) -> None:
    shell = start("zdefer here -n much 'print -r -- ${(l:3000000::x:)}'")
    said = "zdefer: here: much: printed more than 1 MiB; the rest is not shown: send it to a file"
    shell.expect(f"x\n{said}\n")
    assert (1 << 20) - 1 <= shell.raw.count(b"x") <= (1 << 20) + 100


def test_output_is_shown_where_no_file_can_take_it(start: Start) -> None:
    shell = start("trap '' XFSZ; ulimit -f 0; zdefer here 'print -r -- sho\"\"wn'")
    shell.expect("shown\n")


def test_ctrl_c_while_output_is_shown_leaves_the_queue(home: Path, start: Start) -> None:
    much = "zdefer here ': >~/much; print -r -- ${(l:900000::x:)}'"
    shell = start(f"{much}\nzdefer here 'print -r -- the-end'")
    shell.prompt()
    wait_until((home / "much").exists, "the command has begun")
    wait_until(lambda: asleep(shell.pid), "the terminal takes no more")
    shell.type("\x03")
    shell.expect("the-end\n")
    assert shell.raw.count(b"x") < 900000


def test_xtrace_shows_the_users_own_code_alone(home: Path, start: Start) -> None:
    shell = ran(start, home, "one() { : two }; zdefer here one", before="setopt xtrace")
    assert re.findall(r"^\+.*two$", shell.screen, re.MULTILINE) == ["+one:0> : two"]
    after = shell.screen.partition(PROMPT)[2]
    assert re.findall(r"^\+(?!one:).*", after, re.MULTILINE) == []


def test_the_daemon_is_told_and_shows_the_place(home: Path, start: Start) -> None:
    daemon = Daemon(home).start()
    try:
        shell = ran(start, home, "zdefer here -n mine 'exit 3'", "zdefer here 'two words'")
        daemon.wait_for("SELECT count(*) FROM runs WHERE ended_at IS NOT NULL", 3)
        lines = daemon.run("zdeferd.cli", "runs").stdout
        assert re.search(r"mine .*here", lines)
        assert "two-words" in lines
        shell.signal(signal.SIGHUP)
    finally:
        daemon.stop()


def test_a_daemon_that_does_not_answer_stops_no_queue(home: Path, start: Start) -> None:
    with Peer(home / "run/zdeferd/sock") as peer:
        shell = start(f"zdefer here 'X=1'\n{LAST}")
        shell.prompt()
        peer.receive()
        settled(shell, home)
        assert shell.ask("$X") == "1"


def test_words_that_are_refused(home: Path) -> None:
    wrong = {
        "zdefer here": (2, "zdefer: here: nothing to run; "),
        "zdefer here ' '": (2, "zdefer: here: nothing to run; "),
        "zdefer here -x a": (2, "zdefer: here: unknown option: -x; "),
        "zdefer here -n": (2, "zdefer: here: no value for: -n; "),
        "zdefer here -n A a": (1, "zdefer: here: bad name: A; use 1 to 64 of"),
        "zdefer here -t soon a": (1, "zdefer: here: bad value for -t: soon; use a number"),
        "zdefer here -n '' a": (1, "zdefer: here: bad name: ''; use 1 to 64 of"),
        "zdefer here --after '' a": (1, "zdefer: here: bad name: ''; use 1 to 64 of"),
        "zdefer here --after=-a a": (1, "zdefer: here: bad name: -a; use 1 to 64 of"),
        "zdefer here --zsh-defer a": (2, "zdefer: here: unexpected argument: a; "),
    }
    for line, (status, said) in wrong.items():
        done = zsh(line, home)
        assert (done[0], done[1]) == (status, ""), line
        assert done[2].startswith(said), line
        assert done[2].count("\n") == 1


@pytest.mark.parametrize("call", ["zdefer here 'print ran'", "(zdefer here 'print ran')"])
def test_a_script_runs_none(call: str, home: Path) -> None:
    assert zsh(call, home) == (0, "", "")


def test_a_subshell_queues_nothing_and_exec_begins_anew(home: Path, start: Start) -> None:
    shell = ran(start, home, "(zdefer here 'print ran')")
    assert "ran\n" not in shell.screen
    (home / "last").unlink()
    shell.line("exec zsh -d -i")
    settled(shell, home)
    assert shell.ask("fine").endswith("fine")


def test_a_command_that_is_typed_runs_at_the_next_prompt(home: Path, start: Start) -> None:
    shell = ran(start, home)
    shell.line("zdefer here 'print -r -- ty''ped'")
    shell.expect("typed\n")
    shell.prompt()


DEFER = "zdefer here --zsh-defer\n"


def test_zsh_defer_and_its_options(home: Path, start: Start) -> None:
    shell = ran(
        start,
        home,
        DEFER + "precmd() { (( ++calls )) }; (( calls = 0 ))",
        "zsh-defer -c 'print silent; X+=a$zsh_defer_options'",
        "zsh-defer -a +2 -c 'print -u2 silent; print seen; X+=b$zsh_defer_options'",
        "zsh-defer -12mp -t 1 eval 'X+=c'",
        "zsh-defer -12 -m -p typeset Y='a  b'",
    )
    wait_until(lambda: shell.ask('"$X $Y"').endswith("a  b"), "all have run")
    assert shell.ask("$X").endswith("a12dmszprcb2cc")
    assert shell.screen.count("silent\n") == 0
    assert "seen\n" in shell.screen


def test_zsh_defer_waits_with_all_behind_it(home: Path, start: Start) -> None:
    shell = ran(start, home, DEFER + "zsh-defer -a -t 1 -c 'X+=a'", "zsh-defer -a -c 'X+=b'")
    wait_until(lambda: shell.ask("$X").endswith("ab"), "both have run")


def test_zsh_defer_refuses(home: Path) -> None:
    wrong = {
        "zsh-defer": "nothing to run",
        "zsh-defer -c a b": "unexpected argument: b; -c takes one",
        "zsh-defer -t soon a": "bad value for -t: soon; use a number",
        "zsh-defer -q a": "unknown option: -q",
        "zsh-defer +c a": "unknown option: +c",
        "zsh-defer -t": "no value for: -t",
    }
    for line, said in wrong.items():
        status, out, errors = zsh(DEFER + line, home)
        assert (status, out) == (1, ""), line
        assert errors.startswith(f"zsh-defer: {said}"), line
        assert errors.count("\n") == 1


@pytest.mark.parametrize("name", sorted({*HOSTILE} - {"functions"}))
def test_it_queues_and_runs_under(name: str, home: Path, start: Start) -> None:
    """The options are in force where the plugin is loaded and the command queued, too."""
    code = "zdefer here 'X=\"a b\"'\nzdefer here -n two -t 0 -- typeset Y=$'c\\td'\n"
    shell = start(
        f"{code}zdefer here --zsh-defer\nzsh-defer -c 'Z=e'\n{LAST}", before=HOSTILE[name]
    )
    settled(shell, home)
    shell.line('print -r -- "<$X|$Y|$Z>"')
    shell.expect(r"<a b\|c\s+d\|e>\n")


def test_what_is_typed_ahead_comes_first(home: Path, start: Start) -> None:
    wait = f"zmodload zsh/zselect; while [[ ! -e {home}/go ]]; do zselect -t 1; done"
    shell = start(f"zdefer here 'X=here'\n{LAST}\n: >{home}/begun; {wait}")
    wait_until((home / "begun").exists, ".zshrc waits")
    shell.type("print -r -- o''ne:$X\rprint -r -- t''wo:$X\rprint -r -- ha")
    (home / "go").touch()
    shell.expect("one:\n")
    shell.expect("two:\n")
    settled(shell, home)
    shell.type("lf:$X\r")
    shell.expect("half:here\n")


def test_the_example_is_accepted(home: Path) -> None:
    """With programs that print nothing and files that are not there, no line is refused."""
    text = EXAMPLE.read_text()
    assert subprocess.run(["zsh", "-fn", EXAMPLE], check=False).returncode == 0
    calls = [line for line in text.splitlines() if re.match(r"zdefer (here|add) ", line)]
    assert len(calls) > 3
    assert zsh("\n".join(calls), home) == (0, "", "")
