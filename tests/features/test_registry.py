"""The registry of features: registration, the five rules, the order, phases, failures."""

import random
import re
import subprocess
from pathlib import Path

import pytest
from features.conftest import Start
from shell.test_harmless import HOSTILE, RESERVED
from support.zsh import BOTH, FEATURES, run_zsh


def run(code: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run code in a zsh that has the feature layer alone."""
    return run_zsh(code, home, env, load=(FEATURES,))


def out(code: str, home: Path, **env: str) -> list[str]:
    """The output of code that says nothing on stderr."""
    done = run(code, home, **env)
    assert done.stderr == ""
    return done.stdout.splitlines()


def add(*names: str, depends: str = "", deferred: str = "no") -> str:
    """Registrations with nothing but a name and dependencies."""
    return "".join(f"feature_registry_add {name} 2 '{depends}' {deferred}\n" for name in names)


# --- registration ---------------------------------------------------------


def test_values_are_listed_as_they_were_given_and_empty_ones_by_default(home: Path) -> None:
    code = """feature_registry_init; print $?
feature_registry_add a 1 "b, c" yes prompt "Says a" g-1 here
feature_registry_add b '' '' '' '' '' ''; feature_registry_add c
feature_registry_list
print -r -- "$ZSH_FEATURE_REGISTRY_NAMES"
print -r -- "$ZSH_FEATURE_REGISTRY_PHASE[a]|$ZSH_FEATURE_REGISTRY_DEPENDS[a]"
print -r -- "$ZSH_FEATURE_REGISTRY_DEFERRED[a]|$ZSH_FEATURE_REGISTRY_CATEGORY[b]"
a=$ZSH_FEATURE_REGISTRY_DESCRIPTION[a]
print -r -- "$a|$ZSH_FEATURE_REGISTRY_GUID[a]|$+ZSH_FEATURE_STATUS[a]\""""
    assert out(code, home) == [
        "0",
        "a|phase=1|enabled=yes|depends=b c|deferred=yes|category=prompt",
        "b|phase=2|enabled=yes|depends=|deferred=no|category=misc",
        "c|phase=2|enabled=yes|depends=|deferred=no|category=misc",
        "a b c",
        "1|b c",
        "yes|misc",
        "Says a|g-1|0",
    ]


@pytest.mark.parametrize("name", ["''", "A", "a.b", "-a", "_a", "'a b'", "a" * 65, "$'a\\nb'"])
def test_a_bad_name_is_refused_in_one_line(name: str, home: Path) -> None:
    done = run(f"feature_registry_add {name} 2; print $?; feature_registry_list", home)
    assert done.stdout == "1\n"
    assert re.fullmatch(r"\[zf\]\[ERR\] feature_registry_add: bad name: .*\n", done.stderr)


def test_a_name_that_differs_in_dash_and_underscore_alone_is_refused(home: Path) -> None:
    done = run(add("a-b", "a_b", "ab") + "feature_registry_list", home)
    assert re.findall(r"^[a-b_-]+", done.stdout, re.MULTILINE) == ["a-b", "ab"]
    assert done.stderr.count("\n") == 1
    assert {"a_b", "a-b"} <= set(re.findall(r"\ba[_-]b\b", done.stderr))


def test_a_second_registration_warns_where_it_differs(home: Path) -> None:
    done = run(add("a", "a") + "feature_registry_add a 3; print $?; feature_registry_list", home)
    assert done.stdout == "0\na|phase=2|enabled=yes|depends=|deferred=no|category=misc\n"
    assert re.fullmatch(r"\[zf\]\[WARN\] feature a: .*\n", done.stderr)


def test_odd_bytes_become_blanks(home: Path) -> None:
    code = "feature_registry_add a $'1\\n' $'b\\tc|d' no $'x\\e|y' $'one\\ntwo|\\0\\x7f.' $'g\\r'\n"
    lines = out(code + "zsh-features status --raw --no-self-check", home)
    assert lines == ["a|1 |yes|no|x  y|b c d|g |one two   ."]


def test_loading_twice_is_silent_and_changes_no_option(home: Path) -> None:
    code = f"setopt >a; source {FEATURES}; source {FEATURES}; setopt >b; cmp a b; print $?"
    assert out(code, home) == ["0"]


# --- enablement -----------------------------------------------------------

WORDS = [("1", 0), ("TRUE", 0), ("Yes", 0), ("on", 0), ("enable", 0), ("Enabled", 0)]
WORDS += [(word, 1) for word in ("0", "false", "NO", "off", "disable", "disabled", "", "perhaps")]


@pytest.mark.parametrize(("word", "status"), WORDS)
def test_a_word_in_the_variable_decides(word: str, status: int, home: Path) -> None:
    code = "zf::feature::enabled a-b; print $?; feature_registry_is_enabled a-b; print $?"
    env = {"ZSH_FEATURE_A_B_ENABLED": word}
    assert out(code, home, **env) == [f"{status}"] * 2


@pytest.mark.parametrize(
    ("env", "default", "status"),
    [
        ({}, "", 0),
        ({}, "no", 1),
        ({}, "off", 1),
        ({}, "TRUE", 0),
        ({"ZSH_FEATURES_DISABLE": "all"}, "yes", 1),
        ({"ZSH_FEATURES_DISABLE": "x,all", "ZSH_FEATURE_A_ENABLED": "1"}, "yes", 1),
        ({"ZSH_FEATURES_DISABLE": "install small"}, "yes", 0),
        ({"ZSH_FEATURES_DISABLE": "b, a"}, "yes", 1),
        ({"ZSH_FEATURES_DISABLE": "a", "ZSH_FEATURE_A_ENABLED": "1"}, "no", 0),
        ({"ZSH_FEATURES_DISABLE": "a", "ZSH_FEATURES_ENABLE": "a"}, "yes", 1),
        ({"ZSH_FEATURES_ENABLE": "b\ta\nc"}, "no", 0),
        ({"ZSH_FEATURES_ENABLE": "ab"}, "no", 1),
    ],
)
def test_the_first_rule_that_matches_decides(
    env: dict[str, str], default: str, status: int, home: Path
) -> None:
    assert out(f"zf::feature::enabled a {default}; print $?", home, **env) == [f"{status}"]


def test_a_feature_is_asked_once_a_session_and_again_when_it_is_added(home: Path) -> None:
    code = """
feature_a_is_enabled() { print asked; zf::feature::enabled a no }
feature_registry_add a 2
repeat 2; do feature_registry_is_enabled a; print $?; done
ZSH_FEATURE_A_ENABLED=1
feature_registry_is_enabled a; print $?
feature_registry_add a 2
feature_registry_is_enabled a; print $?"""
    assert out(code, home) == ["asked", "1", "1", "1", "asked", "0"]


def test_without_a_feature_the_rules_decide_and_an_empty_name_is_disabled(home: Path) -> None:
    code = "feature_x_is_enabled() { print asked }\n" + "".join(
        f"feature_registry_is_enabled {name}; print $?\n" for name in ("x", "'a.b'", "''", "")
    )
    assert out(code, home) == ["0", "0", "1", "1"]


def test_the_switch_for_all_comes_before_the_features_own_answer(home: Path) -> None:
    code = "feature_a_is_enabled() { print asked }\n" + add("a")
    code += "feature_registry_is_enabled a; print $?"
    assert out(code, home, ZSH_FEATURES_DISABLE="all") == ["1"]


# --- order ----------------------------------------------------------------


def test_dependencies_then_phase_then_registration(home: Path) -> None:
    code = """feature_registry_add late 3; feature_registry_add c 2 "z"; feature_registry_add b 2
feature_registry_add a 1; feature_registry_add z 3 a; feature_registry_add y 010
feature_registry_add odd soon; feature_registry_add first 1 c
feature_registry_resolve_order; print $?"""
    assert out(code, home) == ["a b odd late z c first y", "0"]


@pytest.mark.parametrize("seed", range(12))
def test_the_order_is_that_of_the_definition(seed: int, home: Path) -> None:
    chance = random.Random(seed)
    names = [f"f{number}" for number in range(25)]
    chance.shuffle(names)
    phase = {name: chance.randint(1, 3) for name in names}
    needs = {
        name: chance.sample(sorted(names)[:at], min(at, chance.randint(0, 3)))
        for at, name in enumerate(sorted(names))
    }
    code = "".join(
        f"feature_registry_add {name} {phase[name]} '{','.join(needs[name])}'\n" for name in names
    )
    expected: list[str] = []
    while len(expected) < len(names):
        ready = [n for n in names if n not in expected and set(needs[n]) <= set(expected)]
        expected.append(min(ready, key=lambda name: (phase[name], names.index(name))))
    assert out(code + "feature_registry_resolve_order", home) == [" ".join(expected)]


@pytest.mark.parametrize(
    ("edges", "on"),
    [
        ({"a": "a"}, "a"),
        ({"a": "b", "b": "a"}, "a b"),
        ({"a": "b", "b": "c", "c": "a", "d": "a", "e": "", "b2": "d"}, "a b c"),
        ({"a": "b", "b": "a", "m": "a", "c": "d m", "d": "c", "x": "d"}, "a b c d"),
    ],
)
def test_each_feature_on_a_cycle_has_one_line(edges: dict[str, str], on: str, home: Path) -> None:
    code = "".join(add(name, depends=depends) for name, depends in edges.items())
    done = run(code + "feature_registry_resolve_order; print $?", home)
    assert done.stdout == "1\n"
    said = re.findall(r"^\[zf\]\[ERR\] feature (\S+): depends on itself", done.stderr, re.MULTILINE)
    assert " ".join(said) == on
    assert done.stderr.count("\n") == len(said)


def test_a_feature_on_a_cycle_is_told_of_its_own(home: Path) -> None:
    edges = {"a": "b", "b": "a", "m": "a", "c": "d m", "d": "c", "e": "e c"}
    code = "".join(add(name, depends=depends) for name, depends in edges.items())
    done = run(code + "feature_registry_resolve_order", home)
    said = re.findall(r"feature (\S+): depends on itself through: ([^;]*);", done.stderr)
    assert said == [("a", "a b"), ("b", "a b"), ("c", "c d"), ("d", "c d"), ("e", "e")]


def test_after_a_cycle_the_phases_run_in_order_of_registration(home: Path) -> None:
    code = add("z") + add("a", depends="b") + add("b", depends="a") + "feature_registry_add y 1\n"
    code += 'for n in z a b y; do functions[feature_${n}_init]="print $n"; done\n'
    done = run(code + "feature_registry_invoke_phase init; print $?", home)
    assert done.stdout.split() == ["z", "a", "b", "y", "0"]
    assert done.stderr.count("\n") == 1
    assert "a b" in done.stderr


def test_what_is_unknown_or_disabled_counts_as_satisfied_with_a_warning(home: Path) -> None:
    code = add("a", depends="nowhere,off") + add("off") + "ZSH_FEATURE_OFF_ENABLED=no\n"
    done = run(code + "feature_registry_resolve_order; print $?", home)
    assert done.stdout == "a\n0\n"
    lines = done.stderr.splitlines()
    assert [line.startswith("[zf][WARN] feature a: ") for line in lines] == [True, True]
    assert re.findall("nowhere|off", done.stderr) == ["nowhere", "off"]


# --- phases ---------------------------------------------------------------


def test_phases_set_the_status(home: Path) -> None:
    code = (
        add("a", "b", "c")
        + """ZSH_FEATURE_C_ENABLED=no
feature_a_preload() { print preload }; feature_a_init() { print init }
feature_b_init() { return 3 }; feature_c_init() { print never }
feature_registry_invoke_phase preload
print "$? ${ZSH_FEATURE_STATUS[a]} <${ZSH_FEATURE_STATUS[b]}>"
feature_registry_invoke_phase init; print $? ${(kv)ZSH_FEATURE_STATUS[(I)[abc]]}
"""
    )
    done = run(code, home)
    assert done.stdout.splitlines()[:3] == ["preload", "0 ok <>", "init"]
    assert done.stderr == "[zf][ERR] feature b: init: rc=3\n"
    asked = run(
        code + 'print "$ZSH_FEATURE_STATUS[a] $ZSH_FEATURE_STATUS[b] $ZSH_FEATURE_STATUS[c]"', home
    )
    assert asked.stdout.splitlines()[-1] == "ok error skipped"


def test_phases_without_a_feature_do_nothing(home: Path) -> None:
    code = "for p in preload init postprompt; do feature_registry_invoke_phase $p; print $?; done"
    assert out(code, home) == ["0", "0", "0"]


def test_a_function_that_no_file_defined_is_called(home: Path) -> None:
    code = add("a", "b") + (
        "functions[feature_a_preload]='print preload'; functions[feature_b_init]='print init'\n"
        "for p in preload init; do feature_registry_invoke_phase $p; done"
    )
    assert out(code, home) == ["preload", "init"]


def test_another_phase_is_refused(home: Path) -> None:
    done = run("feature_registry_invoke_phase later; print $?", home)
    assert done.stdout == "2\n"
    assert done.stderr.count("\n") == 1


FAILURES = {
    "return 300": "300",
    "exit 7": "7",
    "exit": "0",
    "(exit 3); exit": "3",
    "{ exit 5 } always { : }": "5",
    "() { exit 300 }": "300",
    "eval 'exit 6'; print no'no'": "6",
    "print 'exit 8' >ends; source ./ends; print no'no'": "8",
    "print x | while read; do exit 9; done": "9",
    "print ${nowhere_to_be_found:?}": "1",
    "print ${x:bad}": "1",
    "break; :": "1",
    "break 9; :": "1",
    "nowhere_to_be_found": "127",
    "unset -m 'ZSH_FEATURE_*'; false": "1",
}


@pytest.mark.parametrize("body", FAILURES)
def test_what_fails_ends_its_own_turn_alone(body: str, start: Start) -> None:
    """Not in a script: there `${…:?}` ends zsh, as its manual says."""
    code = "unsetopt monitor\n"  # at times zsh says that a pipeline's other end is done
    code += add("a", "b")
    code += f"feature_a_init() {{ {{ {body}\n}} || return $?; print -r -- no'no' }}\n"
    code += "feature_b_init() { print -r -- others; later=yes }\n"
    code += (
        "feature_registry_invoke_phase preload; feature_registry_invoke_phase init; print rc:$?\n"
    )
    shell = start(code)
    shell.prompt()
    lines = shell.screen.splitlines()
    assert [line for line in lines if line.startswith("[zf]")] == [
        f"[zf][ERR] feature a: init: rc={FAILURES[body]}"
    ]
    assert "nono" not in shell.screen
    assert "others\nrc:0\n" in shell.screen
    assert shell.ask("$ZSH_FEATURE_STATUS[a] $ZSH_FEATURE_STATUS[b] $later $+functions[exit]") == (
        "error ok yes 0"
    )


def test_a_continue_too_many_ends_its_own_turn_alone(home: Path) -> None:
    code = add("a", "b", "c") + "feature_a_init() { continue; print no }\n"
    code += "feature_b_init() { print b }; feature_c_init() { continue }\n"
    done = run(code + "feature_registry_invoke_phase init; print $? $ZSH_FEATURE_STATUS[b]", home)
    assert done.stdout == "b\n0 ok\n"
    assert done.stderr == "".join(f"[zf][ERR] feature {n}: init: rc=1\n" for n in ("a", "c"))


@pytest.mark.parametrize(("signal", "rc"), [("INT", 130), ("TERM", 143)])
def test_a_signal_to_itself_ends_its_own_turn_alone(signal: str, rc: int, start: Start) -> None:
    code = add("a", "b", "c") + f"feature_a_init() {{ kill -{signal} $$; print -r -- no'no' }}\n"
    code += "feature_b_init() { print others; trap 'print mine' INT }\n"
    code += "feature_c_init() { return 4 }\n"
    code += "feature_registry_invoke_phase init\nprint rc:$?; trap\n"
    shell = start(code)
    shell.prompt()
    assert f"feature a: init: rc={rc}\nothers\n[zf][ERR] feature c: init: rc=4\n" in shell.screen
    assert "rc:0\ntrap -- 'print mine' INT\n" in shell.screen
    assert "nono" not in shell.screen


def test_a_trap_for_sigterm_is_back_afterwards(start: Start) -> None:
    code = add("a") + "feature_a_init() { : }\ntrap 'print mine' TERM\n"
    shell = start(code + "feature_registry_invoke_phase init; trap")
    shell.prompt()
    assert "trap -- 'print mine' TERM" in shell.screen


def test_what_init_sets_stays_but_not_errexit(home: Path) -> None:
    code = (
        add("a", "b")
        + """
feature_a_init() { setopt err_exit extended_history; one=1; alias two=2; false
  three() { : }; setopt err_return }
feature_b_init() { false; print went on; return 0 }
feature_registry_invoke_phase init
[[ -o err_exit || -o err_return ]] && print -r -- bad
[[ -o extended_history ]] && print -r -- $one ${+aliases[two]} ${+functions[three]}
setopt err_exit
feature_registry_invoke_phase init; [[ -o err_exit && ! -o err_return ]]; print still"""
    )
    assert out(code, home) == ["went on", "1 1 1", "went on", "still"]


def test_a_function_named_exit_is_back_afterwards(home: Path) -> None:
    code = add("a") + "exit() { print mine $1 }\nfeature_a_init() { exit 3 }\n"
    done = run(
        f"{code}feature_registry_invoke_phase init; exit 4\n"
        "print -r -- $+functions[.zdeferd-exit-before]",
        home,
    )
    assert (done.stdout, done.stderr) == ("mine 4\n0\n", "[zf][ERR] feature a: init: rc=3\n")


def test_removed_entries_end_no_other_turn(home: Path) -> None:
    code = (
        add("a", "b", "c")
        + """
feature_a_init() { unset 'ZSH_FEATURE_REGISTRY_PHASE[a]' 'ZSH_FEATURE_REGISTRY_PHASE[b]'
  unset ZSH_FEATURE_STATUS
  ZSH_FEATURE_REGISTRY_NAMES=(); unfunction feature_c_init }
feature_b_init() { print b }; feature_c_init() { print c }
feature_registry_invoke_phase init; print $ZSH_FEATURE_STATUS[b]; feature_registry_list | wc -l"""
    )
    assert [line.strip() for line in out(code, home)] == ["b", "ok", "3"]


def test_removed_parameters_are_made_again(home: Path) -> None:
    """What others read has what is registered from then on; the registry itself loses nothing."""
    code = (
        add("a", "b")
        + """
feature_a_init() { unset -m 'ZSH_FEATURE_REGISTRY_*' ZSH_FEATURE_STATUS ZSH_FEATURE_TIMINGS_SYNC }
feature_b_init() { print b; typeset -g ZSH_FEATURE_REGISTRY_PHASE=odd }
feature_registry_invoke_phase init; print $?
feature_registry_add c 1 a; print $? $ZSH_FEATURE_REGISTRY_NAMES $ZSH_FEATURE_REGISTRY_PHASE[c]
feature_registry_resolve_order; print ${(ok)ZSH_FEATURE_TIMINGS_SYNC}
unset -m 'ZSH_FEATURE_REGISTRY_*'
feature_registry_add d 1 '' no misc 'All is given' g-1 away
print $? $ZSH_FEATURE_REGISTRY_GUID[d]"""
    )
    lines = ["b", "0", "0 c 1", "a c b", "a b", "0 g-1"]
    assert out(code, home, ZSH_FEATURE_TELEMETRY="1") == lines


READ_ONLY = "ZSH_FEATURE_STATUS ZSH_FEATURE_TIMINGS_SYNC"


@pytest.mark.parametrize("then", ["true", "false", "return 300", "print /nowhere/*(/:)"])
def test_read_only_parameters_are_written_to_again(then: str, home: Path) -> None:
    code = (
        add("a", "b", "c")
        + f"""
feature_a_init() {{ typeset -gr {READ_ONLY}; print a; {then} }}
feature_b_init() {{ print b; typeset -gr ZSH_FEATURE_STATUS; {then} }}
feature_c_init() {{ print c }}
feature_registry_invoke_phase init; print $? $ZSH_FEATURE_STATUS[b] $ZSH_FEATURE_STATUS[c]
print ${{(ok)ZSH_FEATURE_TIMINGS_SYNC}}"""
    )
    b = "ok" if then == "true" else "error"
    done = run(code, home, ZSH_FEATURE_TELEMETRY="1")
    assert done.stdout.splitlines() == ["a", "b", "c", f"0 {b} ok", "a b c"]
    assert "read-only" not in done.stderr


def test_turns_come_to_their_end_where_a_failure_cannot_be_noted(home: Path) -> None:
    code = (
        add("a", "b")
        + """
feature_a_init() { typeset -gr _zdeferd_feature_failed; print a; print /nowhere/* }
feature_b_init() { print b }
feature_registry_invoke_phase init; print $?"""
    )
    assert run(code, home).stdout.splitlines() == ["a", "b", "0"]


@pytest.mark.parametrize("call", ["zf::log", "zf::warn", "zf::err"])
def test_a_message_without_a_stderr_ends_nothing(call: str, home: Path) -> None:
    assert run(f"exec 2>&-\n{call} lost; print $?", home).stdout == "0\n"


def test_a_phase_that_an_init_asks_for_does_not_call_it_again(home: Path) -> None:
    code = add("a", "b") + "feature_a_init() { print a; zsh-features load /dev/null }\n"
    code += "feature_b_init() { print b }\nfeature_registry_invoke_phase init"
    assert out(code, home) == ["a", "b", "b"]


def test_an_init_may_print_a_megabyte(home: Path) -> None:
    code = add("a") + "feature_a_init() { print -r -- ${(l:1000000::x:)} }\n"
    done = run(code + "feature_registry_invoke_phase init", home)
    assert len(done.stdout) == 1_000_001


def test_a_script_has_no_deferred_work(home: Path) -> None:
    code = add("a", deferred="yes") + "feature_a_postprompt() { print no }\n"
    code += "zf::defer::register() { print registered }\n"
    assert out(code + "feature_registry_invoke_phase postprompt; print $?", home) == ["0"]


def test_deferred_work_is_registered_once_as_a_job(start: Start) -> None:
    code = "feature_registry_add a_b 2 '' yes misc 'Says it'; feature_registry_add c 2 '' no\n"
    code += "for n in a_b c; do functions[feature_${n}_postprompt]=:; done\n"
    code += 'zf::defer::register() { print -r -- "<$*>" }\n'
    code += "repeat 2; do feature_registry_invoke_phase postprompt; done"
    shell = start(code)
    shell.prompt()
    assert re.findall("<.*>", shell.screen) == ["<a-b feature_a_b_postprompt postprompt Says it>"]


def test_deferred_work_of_a_feature_that_is_off_is_not_handed_over(start: Start) -> None:
    code = add("a_b", "c", deferred="yes")
    code += "for n in a_b c; do functions[feature_${n}_postprompt]=:; done\n"
    code += "feature_registry_invoke_phase postprompt; zsh-features off a_b\n"
    code += "print -r -- \"<${(j:,:)${(@)_zdeferd_queue//$'\\0'/ }}>\""
    shell = start(code)
    shell.prompt()
    assert re.findall("<.*>", shell.screen) == ["<defer c feature_c_postprompt postprompt >"]


def test_faults_have_a_line_each(home: Path) -> None:
    code = (
        "feature_registry_add a soon; feature_registry_add b\n"
        + add("c", "d")
        + """
ZSH_FEATURE_REGISTRY_CATEGORY[b]=
for n in c d; do functions[feature_${n}_init]=:; functions[feature_${n}_self_check]='return 1'; done
ZSH_FEATURE_D_ENABLED=no
feature_registry_self_check; print $?
feature_registry_invoke_phase init; feature_registry_self_check; print $?"""
    )
    done = run(code, home)
    assert done.stdout == "1\n1\n"
    lines = done.stderr.splitlines()
    assert [re.sub("(feature [a-d]: [a-z_]+).*", r"\1", line) for line in lines] == [
        *(f"[zf][ERR] feature {which}" for which in ("a: phase", "b: category")),
        *(f"[zf][ERR] feature {which}" for which in ("a: phase", "b: category", "c: self_check")),
    ]


# --- hostile settings -----------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_all_of_it_works_under(name: str, home: Path, start: Start) -> None:
    """The settings hold while the layer is loaded and used."""
    code = add("a", "b") + add("c", depends="d") + add("d")
    code += "feature_a_init() { typeset -g said=yes; return 0\n}\nfeature_b_init() { exit 3\n}\n"
    code += "feature_c_is_enabled() { zf::feature::enabled c yes\n}\n"
    code += "for phase in preload init postprompt; do feature_registry_invoke_phase $phase; done\n"
    code += "'builtin' trap - DEBUG ZERR; 'builtin' unsetopt xtrace\n"
    code += "{ feature_registry_resolve_order; zsh-features status --raw; feature_registry_list\n"
    code += "} >|list 2>|errors\n"
    code += 'both="${ZSH_FEATURE_STATUS[a]} ${ZSH_FEATURE_STATUS[b]}"\n'
    code += "'builtin' print -r -- \"$said $both\" >|state\n"
    shell = start(
        code, before=f"alias builtin=print local=print shift=print functions=print\n{HOSTILE[name]}"
    )
    shell.prompt()
    assert (home / "errors").read_text() == ""
    assert (home / "list").read_text().splitlines()[0] == "a b d c"
    assert (home / "list").read_text().count("\n") == 9
    assert (home / "state").read_text() == "yes ok error\n"
    if "tra" not in name and "DEBUG" not in name and "ZERR" not in name:
        assert next(line for line in shell.screen.splitlines() if line) == (
            "[zf][ERR] feature b: init: rc=3"
        )


@pytest.mark.parametrize("load", [BOTH, (FEATURES,)], ids=["after the plugin", "alone"])
def test_aliases_on_reserved_words(load: tuple[Path, ...], home: Path) -> None:
    before = "".join(f"'builtin' 'alias' '{word}=nonsense'\n" for word in RESERVED.split())
    code = add("a", "b") + "feature_a_init() print -r -- init\nfeature_b_is_enabled() false\n"
    phases = ("preload", "init", "postprompt", "later")
    code += "".join(f"feature_registry_invoke_phase {phase}; print $?\n" for phase in phases)
    done = run_zsh(
        f"{code}print $ZSH_FEATURE_STATUS[a] $ZSH_FEATURE_STATUS[b]\n", home, {}, load, before
    )
    assert done.stdout.splitlines() == ["0", "init", "0", "0", "2", "ok skipped"]
    assert "nonsense" not in done.stderr


@pytest.mark.parametrize("name", ["features.zsh", "./linked.zsh"])
def test_loads_by_a_path_that_is_not_absolute(name: str, home: Path) -> None:
    (home / "shell").symlink_to(FEATURES.parent)
    (home / "linked.zsh").symlink_to(FEATURES)
    code = "builtin cd -q shell\n" if "/" not in name else ""
    done = run_zsh(f"{code}source ./{name}; print -r -- $_zdeferd_root $?", home, load=())
    root = f"{home}/shell/." if "/" not in name else str(FEATURES.parent)
    assert (done.stderr, done.stdout) == ("", f"{root} 0\n")
